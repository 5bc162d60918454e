"""One file of the flash journal: a header, then records in ascending sequence.

Rules of the file
- It knows one file at a time and nothing of receipts, limits or time.
- A record is believed only when the checksum of its head and of its frame agree; what fails is
  stepped over by hunting for the next head that agrees.
- Only open, read, seek while reading, append, flush: what littlefs does well.
- What the medium does not give is stepped over as well, and noted in `spoilt`: a file may be
  readable again behind it.

Layout, little-endian::

    segment head (28)  "HMJL" | version u8 | 3 zeros | journal_id 8 | first_seq u64 | crc32 of these
    records            see record.py
"""

import os
import struct
from binascii import crc32

from node.errors import FLASH_DAMAGED
from node.record import RECORD_BYTES, Record, find_record, read_frame

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes, File, IsSeq, Synced

VERSION = 1
ENOSPC = 28  # MicroPython's errno module does not name it
HEAD_BYTES = 28
_MAGIC = b"HMJL"
_HEAD = "<4sB3x8sQ"
_SKIP_BYTES = 512  # at once, of what cannot be read: a part of any flash's block
# Between the bytes of two records stand at least a head and the fixed fields of a frame.
RECORD_BYTES_MIN = RECORD_BYTES + 40


def sync(file: "Synced") -> None:
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


def append(path: str, content: "Bytes", mode: str = "ab") -> None:
    """Write `content` at the end of the file and sync it.

    Raises:
        OSError: the medium refuses or takes only a part.
    """
    with open(path, mode) as file:
        if file.write(content) != len(content):
            raise OSError(ENOSPC)  # a short write is a full medium
        sync(file)


def read_head(path: str) -> "tuple[int, tuple[int, bytes] | None]":
    """Return the file's bytes and (version, journal_id), or None when the head is damaged.

    In one opening: looking a name up is what takes littlefs longest.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            head = file.read(HEAD_BYTES)
        except OSError as error:
            if error.errno not in FLASH_DAMAGED:
                raise
            head = b""
    if len(head) < HEAD_BYTES or head[:4] != _MAGIC:
        return size, None
    if struct.unpack("<I", head[HEAD_BYTES - 4 :])[0] != crc32(head[: HEAD_BYTES - 4]):
        return size, None
    _, version, journal_id, _ = struct.unpack(_HEAD, head[: HEAD_BYTES - 4])
    return size, (version, journal_id)


class Survey:
    """What reading through a segment showed.

    Attributes:
        next_seq: the lowest number that surely was never given to a record of it.
        damaged: records and heads found damaged.
        damaged_seqs: numbers of the records whose head is sound.
        tail_clean: the file ends where its last record ends, so it can be appended to.
    """

    def __init__(self) -> None:
        self.next_seq = 0
        self.damaged = 0
        self.damaged_seqs: list[int] = []
        self.tail_clean = True


class Segment:
    """What the journal remembers of one file; few attributes, for there may be many files.

    Attributes:
        first_seq: no record in it is below; the file is named by it.
        last_seq: highest sequence number a sound head shows; `first_seq - 1` while empty. While
            the file was not read, the number before the next file's first.
        size: bytes.
        ranks: bit r is set when a record of rank r may be in it; below 0: not read yet.
        damaged: what was found damaged in it, and counted.
        spoilt: number of the error by which a part of it could not be read, 0: none was met.
    """

    def __init__(self, first_seq: int, size: int = HEAD_BYTES) -> None:
        self.first_seq = first_seq
        self.last_seq = first_seq - 1
        self.size = size
        self.ranks = 0
        self.damaged = 0
        self.spoilt = 0

    def _find(self, file: "File", offset: int, head: bytearray) -> "Record | None":
        """Find a record as `find_record` does, behind what cannot be read."""
        while offset < self.size:
            try:
                return find_record(file, offset, self.size, head)
            except OSError as error:
                if error.errno not in FLASH_DAMAGED:
                    raise
                self.spoilt = error.errno
                offset += _SKIP_BYTES
        return None

    def read(self, file: "File", record: Record, buffer: bytearray) -> bool:
        """Read a record's frame; False when it is damaged or cannot be read."""
        try:
            return read_frame(file, record, buffer)
        except OSError as error:
            if error.errno not in FLASH_DAMAGED:
                raise
            self.spoilt = error.errno
            return False

    def find(self, path: str, is_wanted: "IsSeq", offset: int = HEAD_BYTES) -> "Record | None":
        """Return the first whole record from `offset` on that is wanted, or None.

        No generator: MicroPython leaves the file of an abandoned one open for long.

        Args:
            path: of the file.
            is_wanted: function of a sequence number.
            offset: where to begin, bytes.

        Raises:
            OSError: the file cannot be read.
        """
        head = bytearray(RECORD_BYTES)
        with open(path, "rb") as file:
            while True:
                record = self._find(file, offset, head)
                if record is None or record.end > self.size:
                    return None
                if is_wanted(record.seq):
                    return record
                offset = record.end

    def survey(self, path: str, buffer: "bytearray | None") -> Survey:
        """Read the head of every record and set the attributes.

        Args:
            path: of the file.
            buffer: for the largest frame, when the frames are to be checked, too. Without it they
                are not read, and damage within one is found when it is read.

        Raises:
            OSError: the file cannot be read.
        """
        head = bytearray(RECORD_BYTES)
        found = Survey()
        offset = HEAD_BYTES
        torn = False
        self.ranks = 0
        with open(path, "rb") as file:
            while not torn:
                record = self._find(file, offset, head)
                if record is None:
                    break
                found.damaged += record.offset > offset
                self.last_seq = max(self.last_seq, record.seq)
                torn = record.end > self.size
                if torn:
                    offset = record.offset
                else:
                    self.ranks |= 1 << record.rank
                    if buffer is not None and not self.read(file, record, buffer):
                        found.damaged += 1
                        found.damaged_seqs.append(record.seq)
                    offset = record.end
        tail_bytes = self.size - offset
        found.tail_clean = tail_bytes == 0
        if found.tail_clean or torn:
            found.next_seq = self.last_seq + 1
        elif tail_bytes < RECORD_BYTES:
            found.next_seq = self.last_seq + 2  # a power cut inside the head of one record
        else:
            # No power cut in order leaves this. More than one number may have been given, and even
            # sent: skip as many as could fit, for a number used twice would lose the second record.
            found.damaged += 1
            found.next_seq = self.last_seq + 2 + tail_bytes // RECORD_BYTES_MIN
        return found
