"""What a node keeps: the partition, the journal on it, and what must be known outside of it."""

import gc

from node import boots
from node.acquire import ROLE_NAMES
from node.errors import FlashRefused, JournalError
from node.flash import Flash
from node.identity import Identity
from node.journal import Journal
from node.safe import Backlog

if False:  # for the type checker: nothing of it is compiled
    from node.typed import AnyJournal, Call, Node, Record


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
        self.flash = Flash(board.flash_devices(), board.folder)
        self._identity = Identity(board.folder + "/identity")
        path = self.flash.path + "/journal"
        self._backlog = Backlog(path, board.BUDGET, tick, board.log)
        self.journal: AnyJournal = self._backlog
        if not is_safe:
            self._journal = Journal(path, board.BUDGET, board.random_bytes, board.sync_folder, tick)
            self._journal.lost = self._lost

    def open(self) -> bool:
        """Open the journal; False when there is none, and nothing can be promised."""
        self._identity.load()
        self._backlog.remember(self._identity)
        try:
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
            seq = self.journal.append(message)
        except FlashRefused as error:
            if self.flash.condemn(error):
                node.board.log("partition %s is used no more after a restart" % self.flash.name)
            raise
        node.signals.show(
            "stored",
            ("seq", seq),
            ("journal", self.journal.journal_id),
            ("inspection", message.inspection_id),
            ("role", ROLE_NAMES.get(getattr(message, "role", -1), "sample")),
        )
        node.uplink.stored()
        gc.collect()
        return seq

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

    def _rolled(self) -> None:
        """Keep what must be known outside the journal; once per segment, for it is a write."""
        try:
            self._identity.note(self._journal)
            self.flash.save_wear()
        except OSError as error:
            self._node.board.log("identity and wear cannot be saved: %s" % error)
