"""Which nodes are not listened to for a while, because they misbehave. Pure: times enter.

Each fault of a node adds to its score, which leaks away by one a second; above SCORE_MAX the node
is barred for BAR_S_MIN, and each time twice as long as before. It is heard again by itself. A node
that keeps to the protocol adds nothing to its score, however much it has to deliver.

What says nothing new is no fault: every node repeats its window now and then. So that has a score
of its own, which leaks away faster than the widest window is repeated at the shortest deadline;
only a node that floods fills it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocol import limits

# A whole window of records that this gateway cannot read, sent again at the deadlines of the
# protocol (after 5, 15, 35 s ...), comes to 93: the health of a node with newer firmware gets in.
SCORE_MAX: Final = 4 * limits.WINDOW_RECORDS_MAX
BAR_S_MIN: Final = 60.0  # long enough that the others notice nothing, short for a passing fault
BAR_S_MAX: Final = 3_600.0  # a technician who has mended a node waits no longer than that
CALM_S: Final = 3_600.0  # a node that was heard so long begins with BAR_S_MIN again

# The widest window, repeated at the shortest deadline for ever (which doubles, so nobody does), and
# as much again for connections and words of the gateway that make a node begin anew.
EXCESS_PER_S: Final = 2 * limits.WINDOW_RECORDS_MAX * 1_000 // limits.RESEND_MS_MIN
# What came while the gateway was held up for a minute comes at once: the widest window, repeated by
# deadlines, new connections and words of the gateway, comes to some 1,400.
EXCESS_MAX: Final = 4 * EXCESS_PER_S

CAUSES: Final[Mapping[str, int]] = {
    "overflow": 1,
    "frame_refused": 1,
    "frame_overlong": 1,
    "kind_refused": 1,
    "message_failed": 4,  # each costs the gateway a traceback in its log
    "topic_foreign": 8,  # no mistake of a firmware
}
"""What a node may do wrong, and how much that counts."""

EXCESSES: Final = frozenset({"record_repeated", "health_replaced", "message_empty"})
"""What a node may do, but not without end; each counts one."""

TEXTS: Final[Mapping[str, str]] = {
    "overflow": "it sends more than its window without waiting for receipts; check its `window` and"
    " its firmware",
    "frame_refused": "it sends what is no message of the protocol; update its firmware",
    "frame_overlong": "it sends messages longer than the protocol allows; update its firmware",
    "kind_refused": "it sends kinds of messages that do not belong on their channel; update its"
    " firmware, or this gateway's",
    "message_failed": "its messages make the gateway itself fail; report the fault, and update its"
    " firmware",
    "topic_foreign": "it publishes on topics that are not its own, which no firmware of ours does;"
    " take it off the network, look at it, and revoke its certificate if it is not in your hands",
    "record_repeated": "it floods the post with records that are here already; check `resend_ms`"
    " and its firmware, and take it off the network if this comes again",
    "health_replaced": "it floods the post with healths; check its firmware, and take it off the"
    " network if this comes again",
    "message_empty": "it floods the post with empty messages, which no firmware of ours does; take"
    " it off the network and look at it",
}
"""What each means, with its remedy."""


@dataclass(frozen=True, slots=True)
class Barred:
    """A node that is not listened to.

    Attributes:
        node: who.
        cause: of CAUSES or EXCESSES; what it did most since its score was last zero.
        since_s: when it began, by the caller's clock.
        until_s: when it ends.
        times: how often it was barred in a row.
    """

    node: str
    cause: str
    since_s: float
    until_s: float
    times: int

    @property
    def text(self) -> str:
        """Say what it did and what to do."""
        return (
            f"node {self.node!r} is not listened to for {self.until_s - self.since_s:.0f} s:"
            f" {TEXTS[self.cause]}. It keeps its readings and is heard again by itself"
        )


@dataclass(slots=True)
class _Score:
    """Leaks away with time.

    Attributes:
        causes: how much each has added since the score was last zero.
    """

    score_max: int
    per_s: int
    score: float = 0.0
    noted_s: float = 0.0
    causes: dict[str, int] = field(default_factory=dict)

    def add(self, cause: str, weight: int, now_s: float) -> bool:
        """Add to it; say whether it is too high now."""
        self.score = max(0.0, self.score - self.per_s * max(0.0, now_s - self.noted_s))
        self.noted_s = now_s
        if not self.score:
            self.causes.clear()
        self.score += weight
        self.causes[cause] = self.causes.get(cause, 0) + weight
        return self.score > self.score_max

    def clear(self) -> None:
        """Forget everything."""
        self.score = 0.0
        self.causes.clear()


@dataclass(slots=True)
class _Record:
    """What is remembered of one node."""

    faults: _Score = field(default_factory=lambda: _Score(SCORE_MAX, 1))
    excess: _Score = field(default_factory=lambda: _Score(EXCESS_MAX, EXCESS_PER_S))
    times: int = 0
    heard_s: float = 0.0  # since when it is heard again


class Quarantine:
    """Keeps the nodes' scores. The caller names nodes of the post only, which bounds it."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._barred: dict[str, Barred] = {}

    def note(self, node: str, cause: str, now_s: float, count: int = 1) -> Barred | None:
        """Note faults of a node, or an excess; return its sentence when that bars it now.

        Args:
            node: who.
            cause: of CAUSES or EXCESSES.
            now_s: by the caller's clock.
            count: how often it did that.

        Raises:
            KeyError: `cause` is none of CAUSES and EXCESSES.
        """
        weight = 1 if cause in EXCESSES else CAUSES[cause]
        if node in self._barred:
            return None
        record = self._records.setdefault(node, _Record())
        score = record.excess if cause in EXCESSES else record.faults
        if not score.add(cause, weight * count, now_s):
            return None
        if record.times and now_s - record.heard_s > CALM_S:
            record.times = 0
        length_s = min(BAR_S_MIN * 2.0**record.times, BAR_S_MAX)
        record.times += 1
        worst = max(score.causes, key=lambda name: score.causes[name])
        barred = Barred(node, worst, now_s, now_s + length_s, record.times)
        self._barred[node] = barred
        return barred

    def bars(self, node: str) -> bool:
        """Say whether a node is not listened to; `release` ends that."""
        return node in self._barred

    def release(self, now_s: float) -> list[Barred]:
        """Return the nodes that are heard again from now on."""
        over = [barred for barred in self._barred.values() if barred.until_s <= now_s]
        for barred in over:
            del self._barred[barred.node]
            record = self._records[barred.node]
            record.heard_s = now_s
            record.faults.clear()
            record.excess.clear()
        return over

    def states(self) -> dict[str, Barred]:
        """Return the nodes that are not listened to."""
        return dict(self._barred)
