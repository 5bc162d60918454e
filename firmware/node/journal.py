"""The flash journal: records kept until the gateway's receipt covers them.

Rules of the file
- A record is stored when `append` returns, not before: its bytes are synced then.
- A sequence number is given once within a journal_id, whatever became of its record. Gaps are
  therefore normal after a power cut and mean nothing.
- Memory does not grow with the records: per segment its first and last number, and one place to
  read on from.
- Bytes are bounded. What goes when something must is `room`'s choice, counted by rank.
- Whatever lies in the folder, `open` ends with a usable journal or FlashRefused.
"""

import os

from node import limits, record, segment, shelf
from node.alarms import Alarms
from node.errors import FLASH_DAMAGED, FlashRefused, JournalOutdated, JournalUnusable
from node.kept import Kept
from node.room import Room
from protocol.limits import ID_BYTES

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Budget, Call, RandomBytes, Record, SyncFolder


class Journal(Kept):
    """Append-only records in segment files.

    Args:
        folder: path of the journal, created when missing.
        budget: of the board: journal_bytes_max (at least two segments), segment_bytes (a segment
            that reached it gets no further record), record_bytes_max (frame of one record).
        random_bytes: function of a count, for a new journal_id.
        sync_folder: function of a path that makes new names in it durable.
        tick: called between long steps; it feeds the watchdog.
    Attributes:
        journal_id: identity.
        segment_records_max: no segment holds more.
        alarms: inspections whose records go last.
        notice: what `open` had to set aside, one sentence, else empty.
        rolled: called without arguments when a segment was begun.
    """

    def __init__(
        self,
        folder: str,
        budget: "Budget",
        random_bytes: "RandomBytes",
        sync_folder: "SyncFolder",
        tick: "Call | None" = None,
    ) -> None:
        super().__init__(folder)
        self._segment_bytes = budget["segment_bytes"]
        self._random_bytes = random_bytes
        self._sync_folder = sync_folder
        self.segment_records_max = self._segment_bytes // segment.RECORD_BYTES_MIN + 1
        self.tick = tick or (lambda: None)
        self._buffer = bytearray(record.RECORD_BYTES + budget["record_bytes_max"])
        self._room = Room(
            self, max(budget["journal_bytes_max"], 2 * self._segment_bytes), self._segment_bytes
        )
        self.alarms = Alarms(folder + "/alarms")
        self._appendable = False
        self.journal_id = b""
        self.notice = ""
        self.rolled: Call = lambda: None

    def limit(self, bytes_max: int) -> None:
        """Have the segments take at most so many bytes, two of them at least."""
        self._room.bytes_max = max(min(self._room.bytes_max, bytes_max), 2 * self._segment_bytes)

    def open(self) -> None:
        """Read what is there, or begin anew.

        Raises:
            FlashRefused: the medium fails, or has no room for an empty segment.
        """
        try:
            try:
                contents = shelf.load(self._folder, self._buffer, self.tick)
            except (JournalUnusable, OSError) as error:
                if getattr(error, "errno", 0) in FLASH_DAMAGED:
                    raise  # setting aside would write to what must be examined
                self.notice = "%s; set aside as %s" % (error, shelf.set_aside(self._folder))
                contents = shelf.load(self._folder, self._buffer, self.tick)
            self.segments = contents.segments
            self._appendable = contents.appendable
            self.journal_id = contents.journal_id or self._random_bytes(ID_BYTES)
            self.next_seq = contents.next_seq
            self.damaged_count += contents.damaged
            self._damaged_seqs = contents.damaged_seqs
            self.alarms.load()
            if not self._appendable:
                self._begin_segment(self.next_seq)
        except OSError as error:
            raise self._refused(error)
        self.oldest_seq = self._find_oldest()

    def append(self, message: "Record") -> int:
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
        begin, end = record.pack_frame(message, self._buffer)
        rank = record.rank_of(message.KIND)
        if message.inspection_id in self.alarms.ids:
            rank = record.RANK_ALARM
        whole = record.pack_record(self._buffer, begin, end, message.KIND, seq, rank)
        self.next_seq = seq + 1  # from here on the number is used, whatever becomes of the write
        retried = False
        while True:
            try:
                self._write(whole, seq, rank)
                break
            except OSError as error:
                # What was written is a torn tail now: this segment takes no further record.
                self._appendable = False
                full = error.errno == segment.ENOSPC
                if (full and not self._room.evict(rank)) or (retried and not full):
                    raise self._refused(error)
                retried = True
        self.oldest_seq = min(self.oldest_seq, seq)
        return seq

    def _write(self, whole: memoryview, seq: int, rank: int) -> None:
        last = self.segments[-1]
        if not self._appendable or last.size >= self._segment_bytes:
            last = self._begin_segment(seq)
        if not self._room.make(len(whole), rank):
            raise FlashRefused(
                "journal %s is full of records that matter more; restore the link to the gateway"
                % self._folder
            )
        segment.append(self.path(last), whole)
        last.size += len(whole)
        last.last_seq = seq
        last.ranks |= 1 << rank

    def _begin_segment(self, first_seq: int) -> segment.Segment:
        part = segment.Segment(first_seq)
        if self.segments and self.segments[-1].first_seq == first_seq:
            self.segments.pop()  # begun for this very record, which did not get in
        segment.create(self.path(part), self.journal_id, first_seq)
        self.sync_names()
        self.segments.append(part)
        self._appendable = True
        self.rolled()
        self._remove_receipted()
        return part

    def sync_names(self) -> None:
        """Make new names in the folder durable."""
        self._sync_folder(self._folder)
        self.tick()

    def remove(self, part: segment.Segment) -> None:
        """Remove a segment's file.

        Raises:
            OSError: the medium fails.
        """
        try:
            os.remove(self.path(part))
        except OSError as error:
            self.spoilt(error.errno or 0)
            raise
        self.segments.remove(part)
        self.forget_place()
        if part.damaged:
            self.rolled()  # what was lost with it shows nowhere else

    def thinned(self, evicted: int, damaged_seqs: "list[int]") -> None:
        """Take note that `room` took records away, and met damaged ones."""
        self.damaged_count += len(damaged_seqs)
        self.oldest_seq = self._find_oldest()
        if evicted or damaged_seqs:
            self.lost()

    def report(self) -> str:
        """Return how the journal is, one line of at most 400 ASCII characters."""
        held = (self.journal_id.hex(), self.oldest_seq, self.next_seq - 1, self.bytes)
        lost = tuple(self.evicted_by_rank[1:]) + (self.damaged_count,)
        return (
            "journal %s: records %d to %d, %d bytes in %d segments; evicted %d spectra, %d scans, "
            "%d of alarms; %d damaged" % (held + (len(self.segments),) + lost)  # type: ignore[str-format]  # text first
        )

    def _refused(self, error: OSError) -> FlashRefused:
        text = "journal %s: %s; check the flash" % (self._folder, error)
        return FlashRefused(text, error.errno or 0)

    def protect(self, inspection_id: bytes) -> None:
        """Have every record of this inspection go last, stored already or not: it is an alarm.

        Raises:
            OSError: that cannot be kept over a restart.
        """
        self.alarms.add(inspection_id)

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
            self.oldest_seq = self._find_oldest()
            # Evicted numbers leave gaps; the gateway learns of them by `oldest_seq` only.
            self._coverage.settle(self.oldest_seq - 1)
            self._remove_receipted()

    def advance(self, next_seq: int) -> None:
        """Go on above numbers that were given already.

        Raises:
            OSError: the medium fails.
        """
        self.next_seq = next_seq
        self._begin_segment(next_seq)

    def _skip_to(self, next_seq: int) -> None:
        """Give no number below `next_seq`: the gateway has records of these numbers already."""
        newest = self.next_seq - 1
        if next_seq - newest < limits.SKIP_SEQ_MAX:
            self.advance(next_seq)
        raise JournalOutdated(
            "gateway has record %d, this journal only %d: the flash was restored from an old copy; "
            "what was measured since may be missing" % (next_seq - 1, newest)
        )

    def _remove_receipted(self) -> None:
        while len(self.segments) > 1 and self.segments[0].last_seq <= self._coverage.seq:
            self.remove(self.segments[0])
