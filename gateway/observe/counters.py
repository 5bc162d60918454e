"""Counts of everything refused, repeated, lost or failed; kept in the journal across restarts."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

# Every name that is counted, with what it means; docs/gateway.md says what to do about each.
NAMES: Final[Mapping[str, str]] = {
    # A message that is not acted on.
    "topic_refused": "on a topic that this gateway does not read",
    "node_unknown": "from a node that is not in the settings",
    "frame_overlong": "longer than the protocol allows",
    "frame_refused": "not a message of the protocol",
    "kind_refused": "of a kind that does not belong on its channel",
    "node_revoked": "from a node that is revoked",
    "packet_oversize": "so long that the broker closed the sender's connection",
    "message_dropped": "from a node that has too many waiting; it sends them again",
    "message_barred": "from a node in quarantine",
    "message_empty": "without content; it says nothing",
    "message_unaffordable": "this computer had no memory for it; its node sends it again",
    "message_failed": "the gateway itself failed over it; its node sends it again",
    "topic_foreign": "a node published on a topic that is not its own; nobody got it",
    "certificate_refused": "a client's certificate is expired, revoked, foreign or missing",
    "client_refused": "a program on this machine spoke to the broker without its password",
    "connection_refused": "the broker had no place for it: too many connections are open",
    "connection_flood": "an address opened far more connections than its nodes would",
    "quarantined": "a node misbehaved and was not listened to for a while",
    # Records.
    "record_repeated": "came again; committed once, receipted again",
    "health_replaced": "waited, and a newer one of its node took its place",
    "record_changed": "came again with other bytes; the first ones are kept",
    "record_lost": "a node gave up before it was committed",
    "record_bygone": "freed by its node, and not in the journal that was renewed or put back",
    "record_missing": "has been missing for long while later ones came",
    "record_deferred": "came while the disk takes no readings; its node sends it again",
    # Readings that cannot be used, and verdicts.
    "axis_unknown": "its axis was never announced; the node is asked for it",
    "axis_refused": "its axis is not finite, does not increase, or is out of range",
    "pixels_refused": "it, or its dark frame, has not as many pixels as its axis",
    "reading_refused": "its counts cannot be evaluated",
    "judgement_failed": "the evaluation itself failed",
    "frame_damaged": "its bytes in the journal are not those it came with; the disk flips bits",
    "verdict_alarm": "verdict alarm",
    "verdict_inconclusive": "verdict inconclusive",
    "verdict_clear": "verdict clear",
    # Calibration.
    "calibration_made": "a measured standard has set an instrument's axis",
    "calibration_failed": "a measured standard could not set an instrument's axis",
    # The library, and stored readings judged again with another one.
    "library_fault": "a part of the library or a list is faulty and not in use",
    "library_withdrawn": "a package left force because its key is trusted no longer",
    "rejudged": "a stored reading was judged again",
    "rejudged_changed": "its verdict or its substances are others now",
    "rejudged_raised": "it became an alarm",
    "rejudged_lowered": "it is no alarm any more; its alert stays",
    "rejudged_failed": "it could not be judged again and keeps its verdict",
    # Delivery to the authority.
    "alert_delivered": "the authority's receipt is kept",
    "alert_delivery_failed": "the authority was not reached or takes nothing now",
    "alert_receipt_refused": "the authority answered, but not with the receipt for the alert",
    "alert_refused": "the authority refuses the alert",
    # The journal and its disk.
    "disk_unwell": "the disk under the journal became short of room, full, read-only or failing",
    "record_evicted": "its frame was evicted because the journal has reached its bytes or days",
    "axis_forgotten": "a node had announced too many axes; the one unused for longest went",
    "journal_forgotten": "a node had begun too many journals; the one silent for longest went",
    "journal_displaced": "the journal's file was deleted or exchanged; it was put back",
    "journal_damaged": "a damaged journal was set aside; the post went on with a fresh one",
    # The gateway itself.
    "task_fault": "a part met a foreseen fault and was started again",
    "task_failed": "a part met an unforeseen fault and was started again",
    "broker_hung": "our broker gave no answer and was killed; another was started",
    "watchdog_starved": "a part hung; the service supervisor is left to start the gateway again",
    "clock_behind": "the clock says a day before this edition was made",
    "clock_ahead": "the clock says a day by which this edition or the certificates have ended",
    "clock_set": "this computer's clock was set while the gateway ran",
    "node_silent": "a node said nothing for three of its healths and more",
    "node_back": "a silent node is heard again",
    "nodes_file_fault": "nodes.toml cannot be read; what it said before holds",
    "log_dropped": "a line of the log that nobody took in time",
}


class Counters:
    """Counts by name and subject (a node or a task); `take` hands over what is not yet kept."""

    def __init__(self) -> None:
        self._fresh: Counter[tuple[str, str]] = Counter()
        self._totals: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, subject: str = "", amount: int = 1) -> None:
        """Add to one count.

        Raises:
            KeyError: `name` is not in NAMES.
        """
        if name not in NAMES:
            raise KeyError(f"counter {name!r} is not listed in gateway/observe/counters.py")
        self._fresh[name, subject] += amount
        self._totals[name, subject] += amount

    def totals(self) -> dict[tuple[str, str], int]:
        """Return everything counted since the start of the gateway, kept or not."""
        return dict(self._totals)

    def take(self) -> dict[tuple[str, str], int]:
        """Return what was counted since the last call."""
        fresh, self._fresh = dict(self._fresh), Counter()
        return fresh

    def give_back(self, counts: dict[tuple[str, str], int]) -> None:
        """Take back what could not be kept."""
        self._fresh.update(counts)
