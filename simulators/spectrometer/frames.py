"""Ocean Binary Protocol frames as the instrument sees them: bytes in, frames out, no I/O.

Rules of this file
* It knows the shape of a frame and nothing of what a message means; that is `device.py`.
* Bytes are never trusted: a length is believed only below `request_payload_max`, a frame only
  when its footer and its checksum agree. What fails costs one byte and the hunt goes on, so
  garbage can delay a good frame but never hide it.
* Time is an argument. Half a frame is given up `FRAME_DEADLINE_S` after its last byte.

Layout (little-endian, start and footer as byte sequences; offsets in bytes)::

    0  C1 C0 | 2 version u16 | 4 flags u16 | 6 error u16 | 8 type u32 | 12 regarding u32
    16 six zeros | 22 checksum type u8 | 23 immediate length u8 | 24 immediate data, 16 bytes
    40 bytes remaining u32 | 44 payload | checksum 16 | C5 C4 C3 C2

Reference: STS data sheet 030-00000-003-05 (protocol 0x1100), Ventana data sheet
891-00000-200-05.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

START = b"\xc1\xc0"
FOOTER = b"\xc5\xc4\xc3\xc2"
HEADER_BYTES = 44
CHECKSUM_BYTES = 16
TRAILER_BYTES = CHECKSUM_BYTES + len(FOOTER)
IMMEDIATE_BYTES_MAX = 16
REMAINING_MAX = 65556  # bytes; the largest "bytes remaining" any model of the family sends
REQUEST_PAYLOAD_MAX = 256  # bytes; the longest request of these models is an alias of 16 characters
FRAME_DEADLINE_S = 1.0  # s since the last byte; a whole request at 2400 baud takes 0.27 s
VERSIONS_KNOWN = frozenset({0x1000, 0x1100})  # 0x2000 belongs to later families: `obp2_device.py`

_HEADER = struct.Struct("<2sHHHII6sBB16sI")
_RESERVED = bytes(6)


class _Header(NamedTuple):
    """The 44 bytes before the payload, field by field."""

    start: bytes
    version: int
    flags: int
    error: int
    message_type: int
    regarding: int
    reserved: bytes
    checksum_type: int
    immediate_length: int
    immediate: bytes
    remaining: int

    def frame(self, data: bytes = b"") -> "Frame":
        """The message this header announces."""
        return Frame(
            message_type=self.message_type,
            data=data,
            flags=self.flags,
            error=self.error,
            regarding=self.regarding,
            checksum_type=self.checksum_type,
            version=self.version,
        )


class Flag(IntFlag):
    """Bits of the flags field."""

    RESPONSE = 0x0001
    ACK = 0x0002
    ACK_REQUESTED = 0x0004
    NACK = 0x0008
    HARDWARE_EXCEPTION = 0x0010
    PROTOCOL_DEPRECATED = 0x0020


class Error(IntEnum):
    """Error numbers of a reply."""

    NONE = 0
    BAD_PROTOCOL = 1
    UNKNOWN_TYPE = 2
    BAD_CHECKSUM = 3
    TOO_LARGE = 4
    LENGTH_MISMATCH = 5
    INVALID_PAYLOAD = 6
    NOT_READY = 7
    UNKNOWN_CHECKSUM = 8
    RESET_UNEXPECTEDLY = 9
    DOES_NOT_EXIST = 12
    INTERNAL = 13


class Checksum(IntEnum):
    """Kinds of checksum a frame may carry."""

    NONE = 0
    MD5 = 1


@dataclass(frozen=True, slots=True)
class Frame:
    """One message in either direction.

    `data` is the immediate data or the payload, whichever the frame used: up to 16 bytes travel
    immediate, more as payload.
    """

    message_type: int
    data: bytes = b""
    flags: int = 0
    error: int = 0
    regarding: int = 0
    checksum_type: int = Checksum.NONE
    version: int = 0x1100


@dataclass(frozen=True, slots=True)
class Rejection:
    """A frame that was understood well enough to be refused: its header fields and the reason."""

    frame: Frame
    error: Error


def encode(frame: Frame) -> bytes:
    """Pack one frame.

    Raises:
        ValueError: the payload is longer than a frame of this protocol can announce.
    """
    if len(frame.data) > REMAINING_MAX - TRAILER_BYTES:
        raise ValueError(f"payload of {len(frame.data)} bytes exceeds an OBP frame")
    immediate = frame.data if len(frame.data) <= IMMEDIATE_BYTES_MAX else b""
    payload = b"" if immediate else frame.data
    body = (
        _HEADER.pack(
            START,
            frame.version,
            frame.flags,
            frame.error,
            frame.message_type,
            frame.regarding,
            _RESERVED,
            frame.checksum_type,
            len(immediate),
            immediate,
            len(payload) + TRAILER_BYTES,
        )
        + payload
    )
    return body + _checksum(frame.checksum_type, body) + FOOTER


def _checksum(checksum_type: int, body: bytes) -> bytes:
    """Checksum field of a frame: MD5 of header and payload, or zeros."""
    if checksum_type == Checksum.MD5:
        return hashlib.md5(body, usedforsecurity=False).digest()
    return bytes(CHECKSUM_BYTES)


class FrameReader:
    """Finds frames in a stream of bytes that may hold anything.

    Args:
        request_payload_max: longest payload believed, in bytes. It bounds the buffer and with it
            how long noise that looks like a header can hold up the frame behind it.
        versions: of the protocol that the instrument speaks.
    """

    def __init__(
        self,
        request_payload_max: int = REQUEST_PAYLOAD_MAX,
        versions: frozenset[int] = VERSIONS_KNOWN,
    ) -> None:
        self.versions = versions
        self._buffer = bytearray()
        self._remaining_max = request_payload_max + TRAILER_BYTES
        self._last_byte_s = 0.0
        self.discarded_bytes = 0

    def feed(self, data: bytes, now_s: float) -> list[Frame | Rejection]:
        """Take bytes as they arrive; return what they complete, in order."""
        found = self.expire(now_s)
        self._last_byte_s = now_s
        self._buffer += data
        found += self._scan()
        return found

    def expire(self, now_s: float) -> list[Frame | Rejection]:
        """Give up a half frame whose deadline is past; what it had swallowed is looked at again."""
        found: list[Frame | Rejection] = []
        if (deadline_s := self.deadline_s) is not None and now_s >= deadline_s:
            while self._buffer:
                self._drop(1)
                found += self._scan()
        return found

    @property
    def deadline_s(self) -> float | None:
        """When `expire` has something to do; None while no frame is half read."""
        return self._last_byte_s + FRAME_DEADLINE_S if self._buffer else None

    def clear(self) -> None:
        """Forget everything, as a reset does."""
        self._drop(len(self._buffer))

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self.discarded_bytes += count

    def _scan(self) -> list[Frame | Rejection]:
        """Take every complete frame off the front of the buffer."""
        found: list[Frame | Rejection] = []
        while self._hunt() and len(self._buffer) >= HEADER_BYTES:
            header = _Header._make(_HEADER.unpack_from(self._buffer))
            if (error := self._refuse(header)) is not None:
                if error is not Error.NONE:
                    found.append(Rejection(header.frame(), error))
                self._drop(1)
                continue
            size = HEADER_BYTES + header.remaining
            if len(self._buffer) < size:
                break
            whole = bytes(self._buffer[:size])
            if whole[-len(FOOTER) :] != FOOTER:
                self._drop(1)
                continue
            item = _accept(header, whole)
            found.append(item)
            # After a bad checksum the length itself is in doubt: look inside the frame again.
            if isinstance(item, Rejection) and item.error is Error.BAD_CHECKSUM:
                self._drop(1)
            else:
                del self._buffer[:size]
        return found

    def _hunt(self) -> bool:
        """Drop bytes until the buffer is empty or may begin a frame; say whether any are left."""
        start = self._buffer.find(START)
        if start < 0:
            # A last C1 may be the first half of a start.
            start = len(self._buffer) - (1 if self._buffer.endswith(START[:1]) else 0)
        if start:
            self._drop(start)
        return len(self._buffer) > 0

    def _refuse(self, header: _Header) -> Error | None:
        """Judge a header before believing its length; None = good.

        A header whose reserved bytes or length make no sense is noise and gets no answer
        (`Error.NONE`); a sane one of another protocol or beyond the limit deserves one.
        """
        if header.reserved != _RESERVED or not TRAILER_BYTES <= header.remaining <= REMAINING_MAX:
            return Error.NONE
        if header.version not in self.versions:
            return Error.BAD_PROTOCOL
        if header.remaining > self._remaining_max:
            return Error.TOO_LARGE
        return None


def _accept(header: _Header, whole: bytes) -> Frame | Rejection:
    """Turn a complete frame into a message, or say what is wrong with it."""
    if header.checksum_type not in (Checksum.NONE, Checksum.MD5):
        return Rejection(header.frame(), Error.UNKNOWN_CHECKSUM)
    expected = _checksum(header.checksum_type, whole[:-TRAILER_BYTES])
    if header.checksum_type == Checksum.MD5 and whole[-TRAILER_BYTES : -len(FOOTER)] != expected:
        return Rejection(header.frame(), Error.BAD_CHECKSUM)
    payload = whole[HEADER_BYTES:-TRAILER_BYTES]
    if header.immediate_length > IMMEDIATE_BYTES_MAX or (header.immediate_length and payload):
        return Rejection(header.frame(), Error.LENGTH_MISMATCH)
    return header.frame(payload or header.immediate[: header.immediate_length])
