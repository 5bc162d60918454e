"""One file of the flash journal: a header, then records in ascending sequence.

Rules of the file
- It knows one file at a time and nothing of receipts, limits or time.
- A record is believed only when the checksum of its head and of its frame agree; what fails is
  stepped over by hunting for the next head that agrees.
- Only open, read, seek while reading, append, flush: what littlefs does well.

Layout, little-endian::

    segment head (28)  "HMJL" | version u8 | 3 zeros | journal_id 8 | first_seq u64 | crc32 of these
    record head  (22)  "Hr" | kind u8 | zero u8 | length u16 | seq u64 | frame's crc32 | crc32 of
    these frame        (length bytes)
"""

import os
import struct
from binascii import crc32

VERSION = 1
ENOSPC = 28  # MicroPython's errno module does not name it
HEAD_BYTES = 28
RECORD_BYTES = 22
_MAGIC = b"HMJL"
_RECORD_MAGIC = b"Hr"
_HEAD = "<4sB3x8sQ"
_RECORD = "<2sBBHQI"
_HUNT_BYTES = 256
DAMAGED_SEQS_MAX = 64  # remembered per segment; more than that is a flash to be replaced
# Between the bytes of two records stand at least a head and the fixed fields of a frame.
RECORD_BYTES_MIN = RECORD_BYTES + 40


class Record:
    """Where one record lies.

    Attributes:
        offset: of its head in the file, bytes.
        seq, kind, length: from the head; `length` is that of the frame, bytes.
        crc: CRC-32 the frame must have.
        end: offset after its last byte; beyond the file's end when the record is torn.
    """

    def __init__(self, offset: int, seq: int, kind: int, length: int, crc: int) -> None:
        self.offset = offset
        self.seq = seq
        self.kind = kind
        self.length = length
        self.crc = crc
        self.end = offset + RECORD_BYTES + length


def sync(file: object) -> None:
    """Put what was written on the medium: MicroPython's flush() does, CPython's does not."""
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())


def create(path: str, journal_id: bytes, first_seq: int) -> None:
    """Write a new, empty segment and sync it.

    Raises:
        OSError: the medium refuses.
    """
    head = bytearray(HEAD_BYTES)
    struct.pack_into(_HEAD, head, 0, _MAGIC, VERSION, journal_id, first_seq)
    struct.pack_into("<I", head, HEAD_BYTES - 4, crc32(memoryview(head)[: HEAD_BYTES - 4]))
    append(path, head, "wb")


def append(path: str, content: "bytes | memoryview", mode: str = "ab") -> None:
    """Write `content` at the end of the file and sync it.

    Raises:
        OSError: the medium refuses or takes only a part.
    """
    with open(path, mode) as file:
        if file.write(content) != len(content):
            raise OSError(ENOSPC)  # a short write is a full medium
        sync(file)


def read_head(path: str) -> "tuple[int, bytes, int] | None":
    """Return (version, journal_id, first_seq), or None when the head is torn or damaged."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES or head[:4] != _MAGIC:
        return None
    if struct.unpack("<I", head[HEAD_BYTES - 4 :])[0] != crc32(head[: HEAD_BYTES - 4]):
        return None
    _, version, journal_id, first_seq = struct.unpack(_HEAD, head[: HEAD_BYTES - 4])
    return version, journal_id, first_seq


def pack_record(buffer: bytearray, kind: int, seq: int, end: int) -> None:
    """Write the head for the frame at `buffer[RECORD_BYTES:end]` into the bytes before it."""
    view = memoryview(buffer)
    length = end - RECORD_BYTES
    crc = crc32(view[RECORD_BYTES:end])
    struct.pack_into(_RECORD, buffer, 0, _RECORD_MAGIC, kind, 0, length, seq, crc)
    struct.pack_into("<I", buffer, RECORD_BYTES - 4, crc32(view[: RECORD_BYTES - 4]))


def find_record(file: object, offset: int, size: int, head: bytearray) -> "Record | None":
    """Return the first record whose head is sound at or after `offset`.

    Args:
        file: open for reading.
        offset: where to begin, bytes.
        size: length of the file, bytes.
        head: RECORD_BYTES of scratch.
    Returns:
        The record (torn when its `end` is beyond `size`), or None when there is none.
    """
    view = memoryview(head)
    while offset + RECORD_BYTES <= size:
        file.seek(offset)
        if file.readinto(head) != RECORD_BYTES:
            return None
        if struct.unpack_from("<I", head, RECORD_BYTES - 4)[0] == crc32(view[: RECORD_BYTES - 4]):
            magic, kind, _, length, seq, crc = struct.unpack_from(_RECORD, head, 0)
            if magic == _RECORD_MAGIC:
                return Record(offset, seq, kind, length, crc)
        offset = _hunt(file, offset + 1, size)
    return None


def _hunt(file: object, offset: int, size: int) -> int:
    """Return the next offset at or after `offset` where a record head may begin."""
    while offset < size:
        file.seek(offset)
        chunk = file.read(_HUNT_BYTES)
        if len(chunk) < 2:
            break
        found = chunk.find(_RECORD_MAGIC)
        if found >= 0:
            return offset + found
        offset += len(chunk) - 1  # the magic may straddle two chunks
    return size


def read_frame(file: object, record: Record, buffer: bytearray) -> bool:
    """Read the record's frame into `buffer`; say whether its checksum agrees."""
    if record.length > len(buffer):
        return False
    view = memoryview(buffer)[: record.length]
    file.seek(record.offset + RECORD_BYTES)
    return file.readinto(view) == record.length and crc32(view) == record.crc


class Segment:
    """What the journal remembers of one file.

    Attributes:
        path: of the file.
        first_seq: no record in it is below.
        last_seq: highest sequence number a sound head shows; `first_seq - 1` while empty.
        size: bytes.
        damaged: how many records were found damaged.
        damaged_seqs: numbers of those whose head is sound, at most DAMAGED_SEQS_MAX.
        tail_clean: the file ends where its last record ends, so it can be appended to.
    """

    def __init__(self, path: str, first_seq: int, size: int = HEAD_BYTES) -> None:
        self.path = path
        self.first_seq = first_seq
        self.last_seq = first_seq - 1
        self.size = size
        self.damaged = 0
        self.damaged_seqs: list[int] = []
        self.tail_clean = True

    def note_damaged(self, seq: int) -> None:
        """Remember that the frame of record `seq` is lost."""
        if seq not in self.damaged_seqs:
            self.damaged += 1
            if len(self.damaged_seqs) < DAMAGED_SEQS_MAX:
                self.damaged_seqs.append(seq)

    def find(self, is_wanted: object, offset: int = HEAD_BYTES) -> Record | None:
        """Return the first whole record from `offset` on that is wanted, or None.

        No generator: MicroPython leaves the file of an abandoned one open for long.

        Args:
            is_wanted: function of a sequence number.
            offset: where to begin, bytes.

        Raises:
            OSError: the file cannot be read.
        """
        head = bytearray(RECORD_BYTES)
        with open(self.path, "rb") as file:
            while True:
                record = find_record(file, offset, self.size, head)
                if record is None or record.end > self.size:
                    return None
                if is_wanted(record.seq):
                    return record
                offset = record.end

    def read(self, record: Record, buffer: bytearray) -> bool:
        """Read the frame of `record` into `buffer`; say whether it is sound.

        Raises:
            OSError: the file cannot be read.
        """
        with open(self.path, "rb") as file:
            return read_frame(file, record, buffer)

    def survey(self, buffer: bytearray) -> int:
        """Read the whole file, check every record, set the attributes.

        Returns:
            The lowest sequence number that surely was never given to a record of this file.
        """
        head = bytearray(RECORD_BYTES)
        offset = HEAD_BYTES
        torn = False
        with open(self.path, "rb") as file:
            while not torn:
                record = find_record(file, offset, self.size, head)
                if record is None:
                    break
                self.damaged += record.offset > offset
                self.last_seq = max(self.last_seq, record.seq)
                torn = record.end > self.size
                if torn:
                    offset = record.offset
                else:
                    if not read_frame(file, record, buffer):
                        self.note_damaged(record.seq)
                    offset = record.end
        tail_bytes = self.size - offset
        self.tail_clean = tail_bytes == 0
        if self.tail_clean or torn:
            return self.last_seq + 1
        if tail_bytes < RECORD_BYTES:
            return self.last_seq + 2  # a power cut inside the head of one record
        # No power cut in order leaves this. More than one number may have been given, and even
        # sent: skip as many as could fit, for a number used twice would lose the second record.
        self.damaged += 1
        return self.last_seq + 2 + tail_bytes // RECORD_BYTES_MIN
