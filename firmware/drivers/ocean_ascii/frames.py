"""Answers to one-letter commands: bytes in, values and pixels out. No port, no clock.

Rules of the file
- Only a spectrum has a checksum. A short answer is whatever follows the first ACK or NAK; noise can
  look like one, so whoever asks compares (exchange.py).
- A spectrum begins where every known word of its head fits; bytes before it are skipped one by one.
- Pixels are turned into u16, little-endian, while they come: there is one large buffer.
- Fed whole or byte by byte, the same bytes give the same answer.

A spectrum (words are big-endian)::

    STX | FFFF | size: 0 words, 1 double words | scans | integration ms | baseline, 2 words
    | pixel mode 0 | pixels: sums of all scans | FFFD | sum of the pixels, u16

The documents do not say how double words are summed; both ways are taken: the pixels modulo 2**16,
and their words.

References: Flame manual 225-00000-000-11-201604, chapter 8; SAD500 manual, technical note 3.
"""

import struct

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes

STX, ETX, ACK, NAK = 2, 3, 6, 21
TEXT = -1  # instead of a size: printable characters up to CR, LF or NUL
TEXT_BYTES_MAX = 15  # of one constant
TAIL_BYTES = 4
_HEAD = ">B7H"
HEAD_BYTES = 15
_START, _END = 0xFFFF, 0xFFFD
_ENDS = b"\r\n\0"


class Answer:
    """ACK or NAK, and the bytes or the text that follow an ACK.

    Attributes:
        word: ACK or NAK, 0: neither has come.
        is_whole: nothing more belongs to it.
        dropped_bytes: bytes that belonged to no answer.
    """

    def __init__(self) -> None:
        self._kept = bytearray(TEXT_BYTES_MAX)
        self.dropped_bytes = 0
        self.expect(0)

    def expect(self, size: int) -> None:
        """Wait for another answer: `size` bytes after its ACK, or TEXT."""
        self._size = size
        self._length = 0
        self.word = 0
        self.is_whole = False

    @property
    def data(self) -> bytes:
        """What followed the ACK."""
        return bytes(self._kept[: self._length])

    def feed(self, piece: "Bytes", count: int) -> None:
        """Take the first `count` bytes of `piece`; those behind the answer are dropped."""
        for index in range(count):
            self._take(piece[index])

    def _take(self, code: int) -> None:
        if self.is_whole:
            self.dropped_bytes += 1
        elif self.word == 0:
            if code not in (ACK, NAK):
                self.dropped_bytes += 1
                return
            self.word = code
            self.is_whole = code == NAK or self._size == 0
        elif self._size == TEXT and code in _ENDS:
            self.is_whole = self._length > 0
        elif self._size == TEXT and (self._length == TEXT_BYTES_MAX or not 32 <= code < 127):
            self.dropped_bytes += 1 + self._length  # that was no answer; this may begin one
            self._length = 0
            self.word = ACK if code == ACK else 0
        else:
            self._kept[self._length] = code
            self._length += 1
            self.is_whole = self._length == self._size


class Spectrum:
    """One spectrum, whose pixels are averaged over its scans.

    Args:
        pixels_max: most pixels of one spectrum.
        chunk_bytes: longest piece given to `feed` at once, bytes.

    Attributes:
        taken_bytes: bytes that have come since `expect`.
        is_whole: nothing more belongs to it.
        is_sound: end and checksum are right.
        is_refused: there will be none; ETX was the first that came.
    """

    def __init__(self, pixels_max: int, chunk_bytes: int) -> None:
        self._pixels = bytearray(2 * pixels_max)
        self._window = bytearray(HEAD_BYTES + chunk_bytes)
        self._view = memoryview(self._window)
        self.expect(0, 1)

    def expect(self, pixel_count: int, scans: int) -> None:
        """Wait for another spectrum.

        Args:
            pixel_count: its pixels, at most `pixels_max`.
            scans: that the instrument adds up.
        """
        self._pixel_count, self._scans = pixel_count, scans
        self._size = 0  # bytes of a pixel; 0: the head has not come
        self._held = self._done = self._sum = self._sum_words = 0
        self.taken_bytes = 0
        self.is_whole = self.is_sound = self.is_refused = False

    @property
    def pixels(self) -> memoryview:
        """Mean counts, little-endian u16 each, valid until the next `expect`."""
        return memoryview(self._pixels)[: 2 * self._done]

    def feed(self, piece: "Bytes", count: int) -> None:
        """Take the first `count` bytes of `piece`; those behind the spectrum are dropped.

        Raises:
            ValueError: more than `chunk_bytes`.
        """
        if count > len(self._window) - HEAD_BYTES:
            raise ValueError("%d bytes do not fit" % count)
        if self.taken_bytes == 0 and count:
            self.is_refused = piece[0] == ETX
        self.taken_bytes += count
        end = self._held + count
        self._view[self._held : end] = memoryview(piece)[:count]
        at = 0
        if not self._size:
            at = self._hunt(end)
        if self._size and self._done < self._pixel_count:
            at = self._convert(at, end)
        if self._size and self._done == self._pixel_count:
            at = self._conclude(at, end)
        self._held = end - at
        self._view[: self._held] = self._view[at:end]

    def _hunt(self, end: int) -> int:
        """Return where the pixels begin, or what is to be looked at again."""
        at = 0
        while True:
            at = self._window.find(b"\x02", at, end)
            if at < 0:
                return end
            if end - at < HEAD_BYTES:
                return at
            _, start, size, scans, _, _, _, mode = struct.unpack_from(_HEAD, self._window, at)
            if start == _START and size <= 1 and scans == self._scans and mode == 0:
                self._size = 4 if size else 2
                return at + HEAD_BYTES
            at += 1

    def _convert(self, at: int, end: int) -> int:
        """Turn whole pixels into counts; return where the rest begins."""
        count = min((end - at) // self._size, self._pixel_count - self._done)
        if not count:
            return at
        word = "I" if self._size == 4 else "H"
        values = struct.unpack_from(">%d%s" % (count, word), self._window, at)
        self._sum += sum(values)
        if self._size == 4:
            self._sum_words += sum(struct.unpack_from(">%dH" % (2 * count), self._window, at))
        half, scans = self._scans // 2, self._scans
        if scans > 1:
            values = tuple([min((value + half) // scans, 0xFFFF) for value in values])
        struct.pack_into("<%dH" % count, self._pixels, 2 * self._done, *values)
        self._done += count
        return at + count * self._size

    def _conclude(self, at: int, end: int) -> int:
        """Hold end and checksum against the pixels; return where the rest begins."""
        if not self.is_whole:
            if end - at < TAIL_BYTES:
                return at
            stop, check = struct.unpack_from(">HH", self._window, at)
            self.is_whole = True
            sums = (self._sum & 0xFFFF, (self._sum_words or self._sum) & 0xFFFF)
            self.is_sound = stop == _END and check in sums
        return end
