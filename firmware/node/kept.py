"""What the journal keeps, read: the segments, and which of their records are still to be sent.

Rules of the file
- Nothing is written here.
- Numbers are read upwards. A record that lies in two segments is therefore read once.
- A damaged record is found when it is read: counted once, told, and passed over. So is what the
  medium does not give any more, and `spoilt` is called: nothing should be written there.
"""

from node import limits, segment, shelf
from node.coverage import Coverage
from node.errors import FLASH_DAMAGED
from node.record import Record

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Call, Callable


class Kept:
    """The records of a journal.

    Args:
        folder: path of the journal.
    Attributes:
        next_seq: the number the next record gets.
        oldest_seq: lowest number that is kept and not receipted; `next_seq` when there is none.
        damaged_count: unreceipted records lost to damage.
        evicted_by_rank: unreceipted records lost to the byte limit: health, spectra, scans, alarms.
        segments: files, ascending; the last one is being written.
        lost: called without arguments when records are lost.
        spoilt: called with the number of the error when the medium does not give what it holds.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._coverage = Coverage()
        self._damaged_seqs: list[int] = []
        self._place: tuple[segment.Segment | None, int, int] = (
            None,
            0,
            0,
        )  # segment, offset after the record last read, its number
        self.segments: list[segment.Segment] = []
        self.next_seq = 1
        self.oldest_seq = 1
        self.damaged_count = 0
        self.evicted_by_rank = [0, 0, 0, 0]
        self.lost: Call = lambda: None
        self.spoilt: Callable[[int], object] = lambda _number: None
        self._told_spoilt: list[int] = []  # segments, by their first numbers

    @property
    def evicted_count(self) -> int:
        """Unreceipted records lost to the byte limit."""
        return sum(self.evicted_by_rank)

    @property
    def bytes(self) -> int:
        """Bytes on the medium, heads and torn tails included."""
        return sum([part.size for part in self.segments])

    def path(self, part: segment.Segment) -> str:
        """Return the path of a segment's file."""
        return shelf.segment_path(self._folder, part.first_seq)

    def is_due(self, seq: int) -> bool:
        """Say whether record `seq` is still to be sent, as far as is known."""
        return not self._coverage.covers(seq) and seq not in self._damaged_seqs

    def forget_place(self) -> None:
        """Note that files changed: what comes next is looked for from the beginning."""
        self._place = (None, 0, 0)

    def _count(self, part: segment.Segment, damaged: int) -> None:
        self.damaged_count += damaged
        part.damaged += damaged

    @property
    def damaged_gone(self) -> int:
        """Of `damaged_count`, what no segment shows any more, nor to the next start."""
        return self.damaged_count - sum([part.damaged for part in self.segments])

    def know(self, part: segment.Segment) -> None:
        """Read the heads of a segment that was not read since the start.

        Raises:
            OSError: the medium fails.
        """
        if part.ranks < 0:
            found = part.survey(self.path(part), None)
            if found.damaged:
                self._count(part, found.damaged)
                self.lost()

    def _find_due(
        self, part: segment.Segment, after_seq: int, offset: int = segment.HEAD_BYTES
    ) -> "Record | None":
        """Return the first record of `part` above `after_seq` that is still to be sent."""
        return part.find(self.path(part), lambda seq: seq > after_seq and self.is_due(seq), offset)

    def _find_oldest(self) -> int:
        if self._coverage.seq >= self.next_seq - 1:
            return self.next_seq
        found = self._next(self._coverage.seq)
        return found[1].seq if found else self.next_seq

    def _next(self, after_seq: int) -> "tuple[segment.Segment, Record] | None":
        """Return the first record above `after_seq` that is due, and its segment."""
        place, offset, seq = self._place
        for part in self.segments:
            if part.last_seq > after_seq:
                start = offset if part is place and seq <= after_seq else segment.HEAD_BYTES
                try:
                    self.know(part)
                    before = part.spoilt
                    record = self._find_due(part, after_seq, start)
                    self._count(part, int(part.spoilt != before))
                except OSError as error:  # not even opened
                    if error.errno not in FLASH_DAMAGED:
                        raise
                    self._count(part, int(not part.spoilt))
                    part.spoilt, record = error.errno, None
                self._tell_spoilt(part)
                if record is not None:
                    return part, record
        return None

    def _tell_spoilt(self, part: segment.Segment) -> None:
        """Tell once of a segment that the medium does not give as a whole."""
        if part.spoilt and part.first_seq not in self._told_spoilt:
            self._told_spoilt.append(part.first_seq)
            self.spoilt(part.spoilt)
            self.lost()

    def read_next(self, after_seq: int, buffer: bytearray) -> "tuple[int, int, int] | None":
        """Read the first sound record due above `after_seq`: (seq, kind, length), or None.

        Raises:
            OSError: the medium fails.
        """
        found = self._next(after_seq)
        while found is not None:
            part, record = found
            self._place = (part, record.end, record.seq)
            if self._read(part, record, buffer):
                return record.seq, record.kind, record.length
            found = self._next(record.seq)
        return None

    def read(self, seq: int, buffer: bytearray) -> "tuple[int, int] | None":
        """Read record `seq` into `buffer`: (kind, length in bytes); None when gone or receipted.

        Raises:
            OSError: the medium fails.
        """
        found = self._next(seq - 1)
        if found is None or found[1].seq != seq or not self._read(found[0], found[1], buffer):
            return None
        return found[1].kind, found[1].length

    def _read(self, part: segment.Segment, record: Record, buffer: bytearray) -> bool:
        with open(self.path(part), "rb") as file:
            sound = part.read(file, record, buffer)
        if not sound:
            # At most so many are remembered: more than that is a flash to be replaced.
            self._damaged_seqs = self._damaged_seqs[-limits.DAMAGED_SEQS_MAX + 1 :] + [record.seq]
            self._tell_spoilt(part)
            self._count(part, 1)
            self.oldest_seq = self._find_oldest()
            self.lost()
        return sound
