"""The flash journal: records kept until the gateway's receipt covers them.

Rules of the file
- A record is stored when `append` returns, not before: its bytes are synced then.
- A sequence number is given once within a journal_id, whatever became of its record. Gaps are
  therefore normal after a power cut and mean nothing.
- Memory does not grow with the records: per segment its first and last number, and one place to
  read on from.
- Bytes are bounded. When something must go it is the oldest segment, counted in `evicted_count`.
- Whatever lies in the folder, `open` ends with a usable journal or FlashRefused.
"""

import os

from node import limits, segment, shelf
from node.coverage import Coverage
from node.errors import FlashRefused, JournalOutdated, JournalUnusable
from protocol.limits import ID_BYTES


class Journal:
    """Append-only records in segment files.

    Args:
        folder: path of the journal, created when missing.
        budget: of the board: journal_bytes_max (at least two segments), segment_bytes (a segment
            that reached it gets no further record), record_bytes_max (frame of one record).
        random_bytes: function of a count, for a new journal_id.
        sync_folder: function of a path that makes new names in it durable.
    Attributes:
        journal_id, next_seq: identity, and the number the next record gets.
        oldest_seq: lowest number that is kept and not receipted; `next_seq` when there is none.
        evicted_count, damaged_count: unreceipted records lost to the byte limit, to damage.
        notice: what `open` had to set aside, one sentence, else empty.
        lost: called without arguments when one of the counts has grown.
    """

    def __init__(
        self, folder: str, budget: dict, random_bytes: object, sync_folder: object
    ) -> None:
        self._folder = folder
        self._segment_bytes = budget["segment_bytes"]
        self._bytes_max = max(budget["journal_bytes_max"], 2 * self._segment_bytes)
        self._random_bytes = random_bytes
        self._sync_folder = sync_folder
        self._buffer = bytearray(segment.RECORD_BYTES + budget["record_bytes_max"])
        self._segments: list[segment.Segment] = []
        self._appendable = False
        self._coverage = Coverage()
        self._place = (None, 0, 0)  # segment, offset after the record last read, its number
        self.journal_id = b""
        self.next_seq = 1
        self.oldest_seq = 1
        self.evicted_count = 0
        self.damaged_count = 0
        self.notice = ""
        self.lost = lambda: None

    @property
    def bytes(self) -> int:
        """Bytes on the medium, heads and torn tails included."""
        return sum([part.size for part in self._segments])

    def open(self) -> None:
        """Read what is there, or begin anew.

        Raises:
            FlashRefused: the medium fails, or has no room for an empty segment.
        """
        try:
            try:
                contents = shelf.load(self._folder, self._buffer)
            except (JournalUnusable, OSError) as error:
                self.notice = "%s; set aside as %s" % (error, shelf.set_aside(self._folder))
                contents = shelf.load(self._folder, self._buffer)
            self._segments = contents.segments
            self._appendable = contents.appendable
            self.journal_id = contents.journal_id or self._random_bytes(ID_BYTES)
            self.next_seq = contents.next_seq
            self.damaged_count += contents.damaged
            if not self._appendable:
                self._begin_segment(self.next_seq)
        except OSError as error:
            raise FlashRefused("journal %s: %s; check the flash" % (self._folder, error))
        self.oldest_seq = self._find_oldest()

    def append(self, message: object) -> int:
        """Store one record and return its number; its bytes are synced when this returns.

        Args:
            message: with `journal_id` and `seq` of this journal's next record.
        Raises:
            FlashRefused: no room even after the oldest segments went, or the medium fails.
            ProtocolError: the message cannot be packed; nothing was stored.
        """
        seq = message.seq
        if seq != self.next_seq or message.journal_id != self.journal_id:
            raise ValueError("record %d is not the next of this journal" % seq)
        end = message.pack_into(self._buffer, segment.RECORD_BYTES)
        segment.pack_record(self._buffer, message.KIND, seq, end)
        self.next_seq = seq + 1  # from here on the number is used, whatever becomes of the write
        record = memoryview(self._buffer)[:end]
        retried = False
        while True:
            try:
                self._write(record, seq)
                break
            except OSError as error:
                # What was written is a torn tail now: this segment takes no further record.
                self._appendable = False
                full = error.errno == segment.ENOSPC
                if (full and not self._evict_oldest()) or (retried and not full):
                    raise FlashRefused("journal %s: %s; check the flash" % (self._folder, error))
                retried = True
        self.oldest_seq = min(self.oldest_seq, seq)
        return seq

    def _write(self, record: memoryview, seq: int) -> None:
        last = self._segments[-1]
        if not self._appendable or last.size >= self._segment_bytes:
            last = self._begin_segment(seq)
        while self.bytes + len(record) > self._bytes_max and self._evict_oldest():
            pass
        segment.append(last.path, record)
        last.size += len(record)
        last.last_seq = seq

    def _begin_segment(self, first_seq: int) -> segment.Segment:
        path = shelf.segment_path(self._folder, first_seq)
        if self._segments and self._segments[-1].path == path:
            self._segments.pop()  # begun for this very record, which did not get in
        segment.create(path, self.journal_id, first_seq)
        self._sync_folder(self._folder)
        self._segments.append(segment.Segment(path, first_seq))
        self._appendable = True
        self._remove_receipted()
        return self._segments[-1]

    def _evict_oldest(self) -> bool:
        """Remove the oldest segment, counting what no receipt covers; False when one is left."""
        if len(self._segments) < 2:
            return False
        part = self._segments[0]
        before = self.evicted_count
        record = self._find_due(part, 0)
        while record is not None:
            self.evicted_count += 1
            record = self._find_due(part, record.seq, record.end)
        self._remove(part)
        self.oldest_seq = self._find_oldest()
        if self.evicted_count > before:
            self.lost()
        return True

    def _remove(self, part: segment.Segment) -> None:
        os.remove(part.path)
        self._segments.remove(part)
        if self._place[0] is part:
            self._place = (None, 0, 0)

    def free(self, seq: int, beyond: "tuple[int, ...]" = ()) -> None:
        """Note a receipt of this journal: everything up to `seq`, and the ranges in `beyond`.

        Raises:
            JournalOutdated: it covers numbers this journal has not given; nothing was freed.
            OSError: a segment that is not needed any more cannot be removed.
        """
        highest = beyond[-1] if beyond else seq
        if highest >= self.next_seq:
            self._skip_to(highest + 1)
        if self._coverage.take(seq, beyond):
            self._remove_receipted()
            self.oldest_seq = self._find_oldest()

    def _skip_to(self, next_seq: int) -> None:
        """Give no number below `next_seq`: the gateway has records of these numbers already."""
        newest = self.next_seq - 1
        if next_seq - newest < limits.SKIP_SEQ_MAX:
            self.next_seq = next_seq
            self._begin_segment(next_seq)
        raise JournalOutdated(
            "gateway has record %d, this journal only %d: the flash was restored from an old copy; "
            "what was measured since may be missing" % (next_seq - 1, newest)
        )

    def _remove_receipted(self) -> None:
        while len(self._segments) > 1 and self._segments[0].last_seq <= self._coverage.seq:
            self._remove(self._segments[0])

    def _find_due(
        self, part: segment.Segment, after_seq: int, offset: int = segment.HEAD_BYTES
    ) -> segment.Record | None:
        """Return the first record of `part` above `after_seq` that is still to be sent."""
        covers, damaged = self._coverage.covers, part.damaged_seqs
        return part.find(
            lambda seq: seq > after_seq and not covers(seq) and seq not in damaged, offset
        )

    def _find_oldest(self) -> int:
        if self._coverage.seq >= self.next_seq - 1:
            return self.next_seq
        found = self._next(self._coverage.seq)
        return found[1].seq if found else self.next_seq

    def _next(self, after_seq: int) -> "tuple[segment.Segment, segment.Record] | None":
        """Return the first record above `after_seq` that is due, and its segment."""
        place, offset, seq = self._place
        for part in self._segments:
            if part.last_seq > after_seq:
                start = offset if part is place and seq <= after_seq else segment.HEAD_BYTES
                record = self._find_due(part, after_seq, start)
                if record is not None:
                    return part, record
        return None

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

    def _read(self, part: segment.Segment, record: segment.Record, buffer: bytearray) -> bool:
        sound = part.read(record, buffer)
        if not sound:
            part.note_damaged(record.seq)
            self.damaged_count += 1
            self.oldest_seq = self._find_oldest()
            self.lost()
        return sound
