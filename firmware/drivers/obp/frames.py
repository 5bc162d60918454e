"""Ocean Binary Protocol frames: bytes in, frames out. No port, no clock, no meaning.

Rules of the file
- A length is believed only below `payload_bytes_max`; a frame only when footer and MD5 agree.
- On failure one byte is dropped and the hunt for C1 C0 goes on, so noise may cost a frame, never
  the next one.
- Fed whole or byte by byte, the same bytes give the same frames.

Layout (little-endian; start and footer are byte sequences; offsets in bytes)::

    0 C1 C0 | 2 version u16 | 4 flags u16 | 6 error u16 | 8 type u32 | 12 regarding u32 | 16 zeros 6
    22 checksum type u8 | 23 immediate length u8 | 24 immediate data 16 | 40 bytes remaining u32
    44 payload | MD5 of all before, 16 | C5 C4 C3 C2

References: STS data sheet 030-00000-003-05-2016; Ventana data sheet 891-00000-200-05.
"""

import struct

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Bytes

try:
    from hashlib import md5  # type: ignore[attr-defined,unused-ignore]  # rp2 has none
except ImportError:  # rp2 and esp32
    from drivers.obp.md5 import md5  # type: ignore[assignment,unused-ignore]  # does the same

START = b"\xc1\xc0"
FOOTER = b"\xc5\xc4\xc3\xc2"
HEADER_BYTES = 44
TAIL_BYTES = 20  # checksum 16 and footer 4
FRAME_BYTES_MIN = HEADER_BYTES + TAIL_BYTES
IMMEDIATE_BYTES_MAX = 16
VERSION = 0x1100
VERSIONS_KNOWN = (0x1000, 0x1100, 0x2000)  # early, STS, later models
CHECKSUM_NONE, CHECKSUM_MD5 = 0, 1

RESPONSE, ACK, ACK_REQUESTED, NACK = 1, 2, 4, 8
HARDWARE_EXCEPTION, DEPRECATED = 16, 32

_HEADER = "<2sHHHII6sBB16sI"


def build(
    message_type: int,
    regarding: int,
    data: bytes = b"",
    flags: int = 0,
    checked: bool = True,
    version: int = VERSION,
) -> bytes:
    """Return one frame; up to 16 bytes of data travel in the header, more as payload.

    Args:
        message_type: number of the message.
        regarding: tag the instrument echoes, u32.
        data: argument of the message.
        flags: ACK_REQUESTED or 0.
        checked: with a checksum.
        version: of the protocol.
    """
    short = len(data) <= IMMEDIATE_BYTES_MAX
    payload = b"" if short else data
    head = struct.pack(
        _HEADER,
        START,
        version,
        flags,
        0,
        message_type,
        regarding,
        b"\0" * 6,
        CHECKSUM_MD5 if checked else CHECKSUM_NONE,
        len(data) if short else 0,
        data if short else b"",
        len(payload) + TAIL_BYTES,
    )
    body = head + payload
    return body + (md5(body).digest() if checked else b"\0" * 16) + FOOTER


class Frame:
    """One sound frame.

    Attributes:
        message_type, flags, error, regarding: as in the header.
        verified: it carried an MD5, and that agreed.
        data: memoryview of the argument, valid until the parser is fed again.
    """

    def __init__(self, fields: "tuple[Any, ...]", verified: bool, data: memoryview) -> None:
        self.flags = fields[2]
        self.error = fields[3]
        self.message_type = fields[4]
        self.regarding = fields[5]
        self.verified = verified
        self.data = data


class Parser:
    """Cuts a stream of bytes into frames.

    Args:
        payload_bytes_max: longest payload the instrument may send, bytes.
        chunk_bytes: longest piece given to `feed` at once, bytes.
    Attributes:
        dropped_bytes: bytes that belonged to no sound frame.
        rejected_frames: whole frames refused for their footer or checksum.
    """

    def __init__(self, payload_bytes_max: int, chunk_bytes: int) -> None:
        self._payload_bytes_max = payload_bytes_max
        self._buffer = bytearray(FRAME_BYTES_MIN + payload_bytes_max + chunk_bytes)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self.dropped_bytes = 0
        self.rejected_frames = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes held that are not yet a frame."""
        return self._end - self._start

    def reset(self) -> None:
        """Forget what is held: a new exchange begins."""
        self.dropped_bytes += self.pending_bytes
        self._start = self._end = 0

    def feed(self, piece: "Bytes", count: int) -> None:
        """Take the first `count` bytes of `piece`; call `next` until None before feeding again.

        Raises:
            ValueError: more than `chunk_bytes`, or frames were not taken out.
        """
        if self._start:
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]
            self._start, self._end = 0, held
        if self._end + count > len(self._buffer):
            raise ValueError("%d bytes do not fit" % count)
        self._view[self._end : self._end + count] = memoryview(piece)[:count]
        self._end += count

    def next(self) -> "Frame | None":
        """Return the next sound frame, or None when more bytes are needed."""
        while True:
            self._hunt()
            held = self._end - self._start
            if held < HEADER_BYTES:
                return None
            fields = struct.unpack_from(_HEADER, self._buffer, self._start)
            length = self._length(fields)
            if length > held:
                return None
            frame = self._cut(fields, length) if length else None
            if frame is not None:
                self._start += length
                return frame
            self._start += 1
            self.dropped_bytes += 1

    def _hunt(self) -> None:
        """Drop everything before the next place where a frame may begin."""
        found = self._buffer.find(START, self._start, self._end)
        if found < 0:
            found = self._end
            if found > self._start and self._buffer[found - 1] == START[0]:
                found -= 1  # the second byte of the start may come next
        self.dropped_bytes += found - self._start
        self._start = found

    def _length(self, fields: "tuple[Any, ...]") -> int:
        """Return the length the header states, 0 when the header cannot be one."""
        checksum_type, immediate_length, remaining = fields[7], fields[8], fields[10]
        if (
            fields[1] not in VERSIONS_KNOWN
            or checksum_type > CHECKSUM_MD5
            or immediate_length > IMMEDIATE_BYTES_MAX
            or not TAIL_BYTES <= remaining <= self._payload_bytes_max + TAIL_BYTES
        ):
            return 0
        return HEADER_BYTES + remaining  # type: ignore[no-any-return]  # of struct

    def _cut(self, fields: "tuple[Any, ...]", length: int) -> "Frame | None":
        """Return the frame of `length` bytes at the start, None when it is not sound."""
        end = self._start + length
        body_end = end - TAIL_BYTES
        verified = fields[7] == CHECKSUM_MD5
        sound = self._view[end - 4 : end] == FOOTER
        if sound and verified:
            digest = md5(self._view[self._start : body_end]).digest()
            sound = self._view[body_end : body_end + 16] == digest
        if not sound:
            self.rejected_frames += 1
            return None
        begin = self._start + HEADER_BYTES
        if body_end == begin:  # no payload: the argument is in the header
            begin = self._start + 24
            body_end = begin + fields[8]
        return Frame(fields, verified, self._view[begin:body_end])
