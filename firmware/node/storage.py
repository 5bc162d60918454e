"""What a node keeps: the partition, the journal on it, and what must be known outside of it."""

import gc

from node.acquire import ROLE_NAMES
from node.errors import FlashRefused, JournalError
from node.flash import Flash
from node.identity import Identity
from node.journal import Journal


class Storage:
    """The flash of one node.

    Args:
        node: what the parts share: board, signals, reporter, uplink.
        tick: called between long steps; it feeds the watchdog.
    Attributes:
        flash: the partitions.
        journal: on the one in use.
    """

    def __init__(self, node: object, tick: object) -> None:
        board = node.board
        self._node = node
        self.flash = Flash(board.flash_devices(), board.folder)
        self.journal = Journal(
            self.flash.path + "/journal",
            board.BUDGET,
            board.random_bytes,
            board.sync_folder,
            tick,
        )
        self.journal.lost = self._lost
        self._identity = Identity(board.folder + "/identity")

    def open(self) -> bool:
        """Open the journal; without one nothing can be promised, so the node waits for it."""
        node = self._node
        try:
            self.flash.open(self.journal)
            self._identity.load()
            missing = self._identity.compare(self.journal)
        except (JournalError, OSError) as error:
            node.signals.fault("journal", str(error))
            return False
        self.journal.rolled = self._rolled
        node.signals.clear("journal")
        if self.journal.notice:
            node.signals.fault("journal", self.journal.notice)
        notices = "; ".join(text for text in (self.flash.notice, missing) if text)
        if notices:  # a part of its own: receipts do not clear it
            node.signals.fault("flash", notices)
        node.board.log("%s; %d erasures" % (self.journal.report(), self.flash.erase_count))
        return True

    def close(self) -> None:
        """Let go of the partition; the node stops."""
        self.flash.close()

    def store(self, message: object) -> int:
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
            ("role", ROLE_NAMES.get(getattr(message, "role", None), "sample")),
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
            self._identity.note(self.journal)
            self.flash.save_wear()
        except OSError as error:
            self._node.board.log("identity and wear cannot be saved: %s" % error)
