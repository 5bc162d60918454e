"""Which journal this node had and what it lost, remembered outside of it.

littlefs may come back older than it was, or empty, without an error: when the newer of its two
superblocks is spoilt, it takes the other one. Then this file tells that something is missing.
It is written when a journal or a segment is begun, after that is on the flash, so it never knows
more than the journal; and when records were lost, for losses count over the journal's whole life.
"""

import os

from node.errors import FlashRefused
from node.segment import append
from node.shelf import NEW_SUFFIX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Journal

_FILE_BYTES_MAX = 200
_ENOENT = 2
_RANKS = 4
_REFUSED = "file %s cannot be %s (%s); remove it and check the flash"


class Identity:
    """The file.

    Args:
        path: of it, best on another file system than the journal.
    Attributes:
        journal_id: empty when none is known.
        floor_seq: this number was reached.
        lost_count: how many times a journal, or a part of one, was gone.
        losses: of this journal: records evicted by rank, then damaged ones that are gone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.journal_id = b""
        self.floor_seq = 0
        self.lost_count = 0
        self.losses = [0] * (_RANKS + 1)
        self._written = ""

    def load(self) -> None:
        """Read the file; a missing or damaged one knows nothing.

        Raises:
            FlashRefused: it is there and cannot be read.
        """
        try:
            with open(self._path, "rb") as file:
                words = file.read(_FILE_BYTES_MAX).decode().split()
            journal_id, floor, lost = bytes.fromhex(words[0]), int(words[1]), int(words[2])
            losses = [int(word) for word in words[3:]] or self.losses  # none of older firmware
        except OSError as error:
            if error.errno == _ENOENT:
                return
            raise FlashRefused(_REFUSED % (self._path, "read", error))
        except (ValueError, IndexError):
            return
        self.journal_id, self.floor_seq, self.lost_count = journal_id, floor, lost
        if len(losses) == len(self.losses):
            self.losses = losses

    def compare(self, journal: "Journal") -> str:
        """Hold an opened journal against what is known; return what is missing, else "".

        A journal that is older than it was goes on above the numbers it had given.

        Raises:
            FlashRefused: the file cannot be written.
            OSError: the journal cannot be moved on.
        """
        notice = ""
        known = self.journal_id
        if known == journal.journal_id:
            for rank in range(_RANKS):
                journal.evicted_by_rank[rank] += self.losses[rank]
            journal.damaged_count += self.losses[_RANKS]
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
            FlashRefused: the file cannot be written.
        """
        self.journal_id, self.floor_seq = journal.journal_id, journal.segments[-1].first_seq
        self.losses = journal.evicted_by_rank + [journal.damaged_gone]
        words = [self.floor_seq, self.lost_count] + self.losses
        text = " ".join([self.journal_id.hex()] + [str(word) for word in words])
        if text == self._written:
            return
        try:
            append(self._path + NEW_SUFFIX, text.encode(), "wb")
            os.rename(self._path + NEW_SUFFIX, self._path)
        except OSError as error:
            raise FlashRefused(_REFUSED % (self._path, "written", error))
        self._written = text
