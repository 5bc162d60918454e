"""Bytes of a document reader to zones, and back to lines; no port, no clock, nothing grows.

Rules of the file
- A line ends at CR, LF or ETX; empty lines are none. Two or three lines of one width, or one line
  as long as all of them, are a zone. STX begins anew.
- What came before within the same reading and fits nowhere is passed over: only whole lines count.
- What the reader is set to send around its lines is taken off first, see `around.py`.
- Text that became no zone when the reader stops speaking (ETX, a suffix that no zone can hold, or a
  pause the driver sees) is a misread. Bytes that no reader sends are skipped and counted.
- What was read is overwritten as soon as it has been given.
"""

from drivers.document.around import CR, ETX, LF, STX, Around
from protocol.mrz import WIDTHS

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes

LINE_BYTES_MAX = 112  # a zone in one line, and a prefix and suffix of 8 characters each
LINES_MAX = 3
TEXT_BYTES_MIN = 7  # readers send no shorter lines; less is what stands beside a frame, or noise
READING_BYTES_MAX = 1_024  # without a zone: whoever sends so much without a pause is no reader
NOISE_BYTES_MIN = 16  # a plug that is put in gives fewer
_BLANK = bytes(LINES_MAX * LINE_BYTES_MAX)


class Parser:
    """Finds zones in what a reader sends.

    Args:
        prefix, suffix: what the reader is set to send around its lines; may be empty.
    Attributes:
        dropped_bytes: skipped so far, as noise or as parts of no zone.
        line_count, character_count: of the newest misread.
        is_noise: most of it were bytes that no reader sends, or it did not end.
    """

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        self._around = Around(prefix, suffix, LINE_BYTES_MAX)
        self._line = bytearray(LINE_BYTES_MAX)
        self._zone = bytearray(LINES_MAX * LINE_BYTES_MAX)  # whole lines, at their places
        self._chunk: Bytes = b""
        self._end = self._at = 0
        self.dropped_bytes = 0
        self.line_count = self.character_count = 0
        self.is_noise = False
        self.reset()

    def reset(self) -> None:
        """Forget what has not become a zone, and overwrite it."""
        self._clear()
        self._end = self._at = 0

    def _clear(self) -> None:
        self._line[:] = _BLANK[:LINE_BYTES_MAX]
        self._zone[:] = _BLANK
        self._count = 0  # of the line under way; beyond LINE_BYTES_MAX it is only counted
        self._widths: list[int] = []  # of the newest whole lines
        self._lines = self._characters = self._noise = 0  # of this reading

    @property
    def is_pending(self) -> bool:
        """Say whether something came that is no zone yet."""
        return bool(self._characters or self._noise)

    def feed(self, chunk: "Bytes", count: int) -> None:
        """Take `count` bytes; `next` reads them where they are, so call it until it gives None."""
        self._chunk, self._end, self._at = chunk, count, 0

    def next(self) -> "bytes | None":
        """Return the next zone, b"" for a misread; None when more bytes are needed."""
        while self._at < self._end:
            code = self._chunk[self._at]
            self._at += 1
            found: bytes | None = None
            if code == STX:
                self._begin()
            elif code == ETX:
                found = self.finish()
            elif code in (CR, LF):
                found = self._end_line()
            elif 0x20 <= code < 0x7F:
                if self._count < LINE_BYTES_MAX:
                    self._line[self._count] = code
                self._count += 1
                self._characters += 1
                if self._around.ends_at(self._line, self._count):
                    found = self._end_suffix()
            else:
                self._noise += 1
                self.dropped_bytes += 1
            if self._characters + self._noise >= READING_BYTES_MAX:
                found = self.finish()
            if found is not None:
                return found
        return None

    def finish(self) -> "bytes | None":
        """Take what is there as all that comes: a zone, b"" for a misread, None for nothing."""
        zone = self._end_line()
        if zone is not None:
            return zone
        text = self._characters >= TEXT_BYTES_MIN
        is_misread = text or self._noise >= NOISE_BYTES_MIN
        self.line_count, self.character_count = self._lines, self._characters
        is_endless = self._characters + self._noise >= READING_BYTES_MAX
        self.is_noise = is_endless or self._noise > self._characters
        self._drop()
        return b"" if is_misread else None

    def _begin(self) -> None:
        """Begin anew; that something came before is not forgotten: it may be all that comes."""
        before = self._characters, self._noise
        self._clear()
        self._characters, self._noise = before

    def _drop(self) -> None:
        if self.is_pending:
            self.dropped_bytes += self._characters
            self._clear()

    def _end_line(self) -> "bytes | None":
        """Take the line under way as whole; return the zone if it is the last of one."""
        width, self._count = self._count, 0
        if not width:
            return None
        if self._around.is_alone(self._line, width):
            self._characters -= width
            self.dropped_bytes += width
            return None
        self._lines += 1
        if width > LINE_BYTES_MAX:
            self._widths = []
            return None
        self._keep(width)
        zone = self._around.find(self._zone, self._widths)
        if not zone:
            return None
        self.dropped_bytes += max(self._characters - len(zone), 0)
        self._clear()
        return zone

    def _end_suffix(self) -> "bytes | None":
        """Take the line that the suffix ended as whole, and as the last unless more may come."""
        zone = self._end_line()
        if zone is None and not self._around.is_begun(self._zone, self._widths):
            zone = self.finish()
        return zone

    def _keep(self, width: int) -> None:
        """Put a line behind the others; the oldest of LINES_MAX makes room."""
        size = LINE_BYTES_MAX
        if len(self._widths) == LINES_MAX:
            self._zone[: 2 * size] = self._zone[size:]
            self._widths.pop(0)
        at = len(self._widths) * size
        self._zone[at : at + width] = self._line[:width]
        self._widths.append(width)


def lines_of(zone: bytes) -> bytes:
    """Return a zone as its lines with one LF between."""
    width = WIDTHS[len(zone)]
    return b"\n".join([zone[at : at + width] for at in range(0, len(zone), width)])
