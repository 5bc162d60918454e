"""Which journal this node had, remembered outside of it.

littlefs may come back older than it was, or empty, without an error: when the newer of its two
superblocks is spoilt, it takes the other one. Then this file tells that something is missing.
It is written when a journal or a segment is begun, after that is on the flash, so it never knows
more than the journal.
"""

import os

from node.segment import append
from node.shelf import NEW_SUFFIX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Journal

_FILE_BYTES_MAX = 64


class Identity:
    """The file.

    Args:
        path: of it, best on another file system than the journal.
    Attributes:
        journal_id: empty when none is known.
        floor_seq: this number was reached.
        lost_count: how many times a journal, or a part of one, was gone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.journal_id = b""
        self.floor_seq = 0
        self.lost_count = 0

    def load(self) -> None:
        """Read the file; a missing or damaged one knows nothing."""
        try:
            with open(self._path, "rb") as file:
                words = file.read(_FILE_BYTES_MAX).decode().split()
            journal_id, floor, lost = bytes.fromhex(words[0]), int(words[1]), int(words[2])
        except (OSError, ValueError, IndexError):
            return
        self.journal_id, self.floor_seq, self.lost_count = journal_id, floor, lost

    def compare(self, journal: "Journal") -> str:
        """Hold an opened journal against what is known; return what is missing, else "".

        A journal that is older than it was goes on above the numbers it had given.

        Raises:
            OSError: the file cannot be written, or the journal cannot be moved on.
        """
        notice = ""
        known = self.journal_id
        if known and known != journal.journal_id:
            notice = "journal %s is gone; what it had not delivered is lost" % known.hex()
        elif known and self.floor_seq > journal.next_seq:
            notice = (
                "journal %s came back older than it was: record %d instead of %d; records since "
                "then are lost" % (known.hex(), journal.next_seq - 1, self.floor_seq - 1)
            )
            journal.advance(self.floor_seq + journal.segment_records_max)
        if notice:
            self.lost_count += 1
            notice += "; %d times so far, check the flash" % self.lost_count
        if notice or not known:
            self.note(journal)
        return notice

    def note(self, journal: "Journal") -> None:
        """Remember the journal as it is.

        Raises:
            OSError: the file cannot be written.
        """
        self.journal_id, self.floor_seq = journal.journal_id, journal.segments[-1].first_seq
        text = "%s %d %d" % (self.journal_id.hex(), self.floor_seq, self.lost_count)
        append(self._path + NEW_SUFFIX, text.encode(), "wb")
        os.rename(self._path + NEW_SUFFIX, self._path)
