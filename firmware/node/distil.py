"""Making room by rank: what is left of a segment when its least important records go.

Rules of the file
- A segment is never changed in place. What stays is copied, synced and renamed over the old file,
  so a power cut leaves the old one or the new one.
- What stays of a segment joins the one before it where it fits: many small files would each take
  a whole block of the flash. A cut between that rename and the removal leaves records twice;
  they are read once, because numbers are read upwards.
"""

import os
from binascii import crc32

from node import record as records
from node import segment
from node.shelf import NEW_SUFFIX
from protocol.errors import ProtocolError
from protocol.limits import INTEGER_MAX
from protocol.packing import Unpacker

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes, Call, File, IsSeq, Sift

_CHUNK_BYTES = 256
_PREFIX_BYTES = 80  # of a frame: more than its fields up to inspection_id can take


def read_inspection_id(frame: "Bytes") -> "bytes | None":
    """Return the inspection of a record's frame, or of its first 80 bytes; None if unreadable.

    Its place is fixed by SPEC 3.6 and 3.7.
    """
    unpacker = Unpacker(frame)
    try:
        unpacker.array()
        unpacker.integer(0, INTEGER_MAX)  # kind
        unpacker.binary(0, 16)  # journal_id
        unpacker.integer(0, INTEGER_MAX)  # seq
        unpacker.binary(0, 16)  # boot_id
        unpacker.integer(0, INTEGER_MAX)  # uptime_ms
        if not unpacker.is_nil():
            unpacker.integer(0, INTEGER_MAX)  # time_ms
        unpacker.integer(0, INTEGER_MAX)  # time_quality
        return bytes(unpacker.binary(0, 16))
    except ProtocolError:
        return None


class Sieve:
    """Decides record by record what stays.

    Args:
        is_due: function of a sequence number: not receipted, not known as damaged.
        alarm_ids: inspections whose records have the highest rank.
        rank: records of this rank and below go; -1: none does.
        tick: called after each record; it feeds the watchdog.
    Attributes:
        evicted: due records that go, by rank.
        damaged_seqs: numbers of due records whose frame is damaged.
        ranks, bytes, last_seq: of what stays.
    """

    def __init__(self, is_due: "IsSeq", alarm_ids: "list[bytes]", rank: int, tick: "Call") -> None:
        self._is_due = is_due
        self._tick = tick
        self._alarm_ids = alarm_ids
        self._rank = rank
        self._chunk = bytearray(_CHUNK_BYTES)
        self.evicted = [0, 0, 0, 0]
        self.damaged_seqs: list[int] = []
        self.ranks = 0
        self.bytes = 0
        self.last_seq = 0

    def sift(
        self, path: str, part: segment.Segment, above_seq: int, into: "File | None" = None
    ) -> None:
        """Go through a segment, and write what stays to the file `into`, if there is one.

        Args:
            path: of the segment.
            part: the segment.
            above_seq: records up to it are in another segment, too.
            into: open for writing; None: nothing is written.

        Raises:
            OSError: the medium fails or is full.
        """
        head = bytearray(records.RECORD_BYTES)
        offset = segment.HEAD_BYTES
        with open(path, "rb") as file:
            while True:
                record = records.find_record(file, offset, part.size, head)
                if record is None or record.end > part.size:
                    return
                offset = record.end
                if record.seq > above_seq and self._is_due(record.seq):
                    self._sort(file, record, head, into)
                    self._tick()

    def _sort(
        self, file: "File", record: records.Record, head: bytearray, into: "File | None"
    ) -> None:
        if self._alarm_ids and record.rank < records.RANK_ALARM:
            file.seek(record.offset + records.RECORD_BYTES)
            prefix = file.read(min(_PREFIX_BYTES, record.length))
            if read_inspection_id(prefix) in self._alarm_ids:
                record.rank = records.RANK_ALARM
        if record.rank <= self._rank:
            self.evicted[record.rank] += 1
        elif not self._copy(file, record, None):
            self.damaged_seqs.append(record.seq)
        else:
            self.ranks |= 1 << record.rank
            self.bytes += records.RECORD_BYTES + record.length
            self.last_seq = record.seq
            if into is not None:
                records.pack_record_head(head, record)
                write_all(into, head)
                self._copy(file, record, into)

    def _copy(self, file: "File", record: records.Record, into: "File | None") -> bool:
        """Read the frame, write it where asked, and say whether it is sound."""
        view = memoryview(self._chunk)
        file.seek(record.offset + records.RECORD_BYTES)
        left, crc = record.length, 0
        while left:
            part = view[: min(left, _CHUNK_BYTES)]
            if file.readinto(part) != len(part):
                return False
            crc = crc32(part, crc)
            left -= len(part)
            if into is not None:
                write_all(into, part)
        return crc == record.crc


def write_all(file: "File", content: "Bytes") -> None:
    """Write all of it.

    Raises:
        OSError: the medium fails or is full.
    """
    if file.write(content) != len(content):
        raise OSError(segment.ENOSPC)


def rewrite(path: str, journal_id: bytes, first_seq: int, sift_into: "Sift") -> int:
    """Replace the file of a segment by what `sift_into` writes; return its bytes.

    Args:
        path: of the segment, which keeps its name and number.
        journal_id: for its head.
        first_seq: for its head.
        sift_into: function of an open file.

    Raises:
        OSError: the medium fails or is full; the old file is as it was.
    """
    new_path = path + NEW_SUFFIX
    try:
        segment.create(new_path, journal_id, first_seq)
        with open(new_path, "ab") as file:
            sift_into(file)
            segment.sync(file)
        size = os.stat(new_path)[6]
        os.rename(new_path, path)
    except OSError:
        try:
            os.remove(new_path)
        except OSError:
            pass
        raise
    return size
