"""One record in a segment: a head with two checksums, then the frame as it is sent.

A record is believed only when the checksum of its head and of its frame agree. What fails is
stepped over by hunting for the next head that agrees.

Layout, little-endian::

    head (22)  "Hr" | kind u8 | rank u8 | length u16 | seq u64 | frame's crc32 | crc32 of these
    frame      (length bytes)

A rank of 0, as firmware before 0.2 wrote it, is that of the record's kind.
"""

import struct
from binascii import crc32

if False:  # for the type checker: nothing of it is compiled
    from node.typed import File, Message

try:
    from node import frame
except (ImportError, SyntaxError, ValueError):
    frame = None  # type: ignore[assignment]  # an interpreter that compiles no machine code, or for another processor

RECORD_BYTES = 22
_MAGIC = b"Hr"
_HEAD = "<2sBBHQI"
_HUNT_BYTES = 256
# What ranks lowest goes first when there is no room. Health messages are not kept on the flash.
RANK_HEALTH, RANK_SPECTRUM, RANK_SCAN, RANK_ALARM = range(4)
_KIND_READING, _KIND_EVENT = 3, 4  # of protocol.messages; what is kept else is a spectrum, too


class Record:
    """Where one record lies.

    Attributes:
        offset: of its head in the file, bytes.
        seq, kind, rank, length: from the head; `length` is that of the frame, bytes.
        crc: CRC-32 the frame must have.
        end: offset after its last byte; beyond the file's end when the record is torn.
    """

    def __init__(self, offset: int, seq: int, kind: int, rank: int, length: int, crc: int) -> None:
        self.offset = offset
        self.seq = seq
        self.kind = kind
        self.rank = min(rank, RANK_ALARM) or rank_of(kind)
        self.length = length
        self.crc = crc
        self.end = offset + RECORD_BYTES + length


def rank_of(kind: int) -> int:
    """Return the rank of a record of this kind that no alarm concerns."""
    return RANK_SCAN if kind == _KIND_EVENT else RANK_SPECTRUM


def pack_frame(message: "Message", buffer: bytearray) -> "tuple[int, int]":
    """Pack a message where a record can be made of it; return where its frame begins and ends.

    Raises:
        PackingError: as the message's `pack_into`.
    """
    if message.KIND == _KIND_READING and frame is not None:
        try:
            begin = frame.pack_reading(message, buffer)  # type: ignore[arg-type]  # by KIND
        except frame.UNUSUAL:
            begin = 0  # the message itself says what is wrong with it
        if begin:
            return begin, frame.PIXELS_AT + len(message.pixels_u16le)  # type: ignore[attr-defined]  # by KIND
    return RECORD_BYTES, message.pack_into(buffer, RECORD_BYTES)


def pack_record(
    buffer: bytearray, begin: int, end: int, kind: int, seq: int, rank: int = 0
) -> memoryview:
    """Write the head for the frame at `buffer[begin:end]` before it; return the whole record.

    Args:
        buffer: with RECORD_BYTES of room before the frame.
        begin: index of the frame's first byte.
        end: index after its last.
        kind: of the message.
        seq: its number.
        rank: of the record, 0: that of its kind.
    """
    view = memoryview(buffer)
    crc = crc32(view[begin:end])
    whole = view[begin - RECORD_BYTES : end]
    pack_record_head(whole, Record(0, seq, kind, rank, end - begin, crc))
    return whole


def pack_record_head(buffer: "bytearray | memoryview", record: Record) -> None:
    """Write the head of `record` into the first RECORD_BYTES of `buffer`."""
    struct.pack_into(
        _HEAD,
        buffer,
        0,
        _MAGIC,
        record.kind,
        record.rank,
        record.length,
        record.seq,
        record.crc,
    )
    struct.pack_into("<I", buffer, RECORD_BYTES - 4, crc32(memoryview(buffer)[: RECORD_BYTES - 4]))


def find_record(file: "File", offset: int, size: int, head: bytearray) -> "Record | None":
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
            magic, kind, rank, length, seq, crc = struct.unpack_from(_HEAD, head, 0)
            if magic == _MAGIC:
                return Record(offset, seq, kind, rank, length, crc)
        offset = _hunt(file, offset + 1, size)
    return None


def _hunt(file: "File", offset: int, size: int) -> int:
    """Return the next offset at or after `offset` where a record head may begin."""
    while offset < size:
        file.seek(offset)
        chunk = file.read(_HUNT_BYTES)
        if len(chunk) < 2:
            break
        found = chunk.find(_MAGIC)
        if found >= 0:
            return offset + found
        offset += len(chunk) - 1  # the magic may straddle two chunks
    return size


def read_frame(file: "File", record: Record, buffer: bytearray) -> bool:
    """Read the record's frame into `buffer`; say whether its checksum agrees."""
    if record.length > len(buffer):
        return False
    view = memoryview(buffer)[: record.length]
    file.seek(record.offset + RECORD_BYTES)
    return file.readinto(view) == record.length and crc32(view) == record.crc
