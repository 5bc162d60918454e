"""What a node keeps: the partition, the journal on it, and what must be known outside of it.

Rules of the file
- A partition found damaged takes no further record. What can be read of it is still delivered, for
  RESCUE_MS at most; then it goes into quarantine, and the node starts anew with the next one. A
  measurement that cannot be stored hastens that: somebody stands there.
- The node starts anew once for each mark of a quarantine: the next start does not touch what is
  marked, and without a mark there is no restart.
"""

import gc

from node import boots, limits
from node.errors import FlashRefused, JournalError
from node.flash import Flash
from node.identity import Identity
from node.journal import Journal
from node.measure import ROLE_NAMES
from node.safe import Backlog
from protocol.messages import EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT, Event

if False:  # for the type checker: nothing of it is compiled
    from node.typed import AnyJournal, Call, Node, Record


_EVENT_NAMES = {EVENT_CODE: "code", EVENT_DOCUMENT: "document", EVENT_WEIGHT: "weight"}


def _name(record: "Record") -> str:
    """Return what a record is, for the signal `stored`."""
    if isinstance(record, Event):
        return _EVENT_NAMES[record.event_type]
    return ROLE_NAMES.get(getattr(record, "role", -1), "sample")


class Storage:
    """The flash of one node.

    Args:
        node: what the parts share: board, boot, signals, reporter, uplink.
        tick: called between long steps; it feeds the watchdog.
        is_safe: write nothing, and go on whatever is found.
    Attributes:
        flash: the partitions.
        journal: on the one in use; a Backlog while there is none, and in safe mode.
    """

    def __init__(self, node: "Node", tick: "Call", is_safe: bool) -> None:
        board = node.board
        self._node = node
        self._is_safe = is_safe
        self._spoilt_ms: int | None = None  # uptime at which the partition was found damaged
        self._rescue_ms = limits.RESCUE_MS
        self._leaving_ms = 0  # for what waits to be sent, since it is time to leave
        self.flash = Flash(board.flash_devices(), board.folder)
        self._identity = Identity(board.folder + "/identity")
        path = self.flash.path + "/journal"
        self._backlog = Backlog(path, board.BUDGET, tick, board.log)
        self.journal: AnyJournal = self._backlog
        if not is_safe:
            self._journal = Journal(path, board.BUDGET, board.random_bytes, board.sync_folder, tick)
            self._journal.lost = self._lost
            self._journal.spoilt = self._spoilt

    def open(self) -> bool:
        """Open the journal; False when there is none, and nothing can be promised."""
        try:
            self._identity.load()
            self._backlog.remember(self._identity)
            return self._open_safe() if self._is_safe else self._open()
        except (JournalError, OSError) as error:
            self._node.signals.fault("journal", str(error))
            return False

    def _open_safe(self) -> bool:
        """Open what is there to be sent, unless that may be what crashes."""
        node = self._node
        if node.boot.where == "journal" or node.boot.crash_count > boots.SAFE_BOOTS:
            node.signals.fault(
                "journal", "journal is left alone: safe mode, or opening it, crashed"
            )
        else:
            self.flash.open(self._backlog)
            self._show(self._backlog.notice, self.flash.notice)
        return True

    def _open(self) -> bool:
        node, journal = self._node, self._journal
        self.flash.open(journal)
        missing = self._identity.compare(journal)
        self.journal = journal
        journal.rolled = self._rolled
        node.signals.clear("journal")
        self._show(journal.notice, self.flash.notice, missing)
        node.board.log("%s; %d erasures" % (journal.report(), self.flash.erase_count))
        if self.flash.doubt is not None:
            self._suspect(self.flash.doubt)
        return True

    def _show(self, journal_notice: str, *flash_notices: str) -> None:
        if journal_notice:
            self._node.signals.fault("journal", journal_notice)
        notices = "; ".join(text for text in flash_notices if text)
        if notices:  # a part of its own: receipts do not clear it
            self._node.signals.fault("flash", notices)

    def close(self) -> None:
        """Let go of the partition; the node stops."""
        self.flash.close()

    def store(self, message: "Record") -> int:
        """Put a record into the journal, tell the officer and the uplink; return its number.

        Raises:
            FlashRefused: it could not be stored.
        """
        node = self._node
        try:
            if self.flash.doubt is not None:
                raise self.flash.doubt
            seq = self.journal.append(message)
        except FlashRefused as error:
            text = "not stored: %s" % error
            if self._suspect(error):
                self._rescue_ms = limits.RESCUE_MS_HURRIED
                text += "; measure again when the node has started anew"
            # Each time: somebody pressed the button in vain.
            node.signals.fault("journal", text, repeat=True)
            raise FlashRefused(text, error.number)
        node.signals.show(
            "stored",
            ("seq", seq),
            ("journal", self.journal.journal_id),
            ("inspection", message.inspection_id),
            ("role", _name(message)),
        )
        node.uplink.stored()
        gc.collect()
        return seq

    def _spoilt(self, number: int) -> None:
        self._suspect(FlashRefused("it cannot be read: %d" % number, number))

    def _suspect(self, error: FlashRefused) -> bool:
        """Have nothing written to the partition any more if `error` says that it is damaged."""
        if not self.flash.suspect(error):
            return False
        if self._spoilt_ms is None:
            self._spoilt_ms = self._node.clock.uptime_ms()
            text = "partition %s is damaged: %s; what can be read is sent, then the node restarts"
            self._node.signals.fault("flash", text % (self.flash.name, error))
        return True

    def follow(self) -> None:
        """Start the node anew when a partition is damaged; call it every second."""
        error = self.flash.doubt
        if self._spoilt_ms is None or self._is_safe or error is None:
            return
        node, journal = self._node, self.journal
        spoilt_ms = node.clock.uptime_ms() - self._spoilt_ms
        if journal.oldest_seq < journal.next_seq and spoilt_ms < self._rescue_ms:
            return
        self._leaving_ms += limits.HEARTBEAT_MS
        if node.uplink.replies and self._leaving_ms <= limits.REBOOT_MS_MAX:
            return
        self._spoilt_ms = None
        try:
            self.flash.condemn(error)
        except FlashRefused as failure:  # without a mark a restart would change nothing
            node.signals.fault("flash", str(failure))
            return
        node.board.log("partition %s is used no more: the node starts anew" % self.flash.name)
        node.restart()

    def _lost(self) -> None:
        """Tell that records are gone that nobody has received."""
        journal, node = self.journal, self._node
        node.signals.fault(
            "journal",
            "unsent records are lost: %d spectra, %d scans, %d of alarms for want of room, %d "
            "damaged; restore the link to the gateway, then check the flash"
            % (tuple(journal.evicted_by_rank[1:]) + (journal.damaged_count,)),
        )
        node.reporter.changed()
        self._rolled()

    def _rolled(self) -> None:
        """Keep what must be known outside the journal; once per segment and loss."""
        try:
            self._identity.note(self._journal)
            self.flash.save_wear()
        except (FlashRefused, OSError) as error:
            self._node.board.log("identity and wear cannot be saved: %s" % error)
