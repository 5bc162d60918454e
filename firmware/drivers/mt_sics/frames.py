"""MT-SICS: bytes to lines, lines to answers, weights to whole milligrams. No port, no clock.

Rules of the file
- A line ends with CR, LF or both, is printable ASCII and at most LINE_BYTES_MAX long; anything else
  is passed over up to the next end of a line, and counted.
- An answer is split at blanks, never by column: widths differ between models.
- A weight is computed in whole numbers. No float is exact, and a board's has 24 bits.
- The protocol has no checksum: a spoilt digit looks like another weight. Whoever uses a weight asks
  twice (`settling.py`).

References: Mettler Toledo, MT-SICS Interface Commands, 11780711; operating manual of the NewClassic
balances, appendix; units by NIST SP 811 (2008), appendix B.
"""

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes

LINE_BYTES_MAX = 80  # a weight has about 18, a name in quotes at most 40
DIGITS_MAX = 12  # of a value; no scale has more than 9
STEP_DIGITS = 5  # scales count by 1, 2 or 5 of their last digit (OIML R 76-1, 3.4.2)
_MASS_MG_MAX = (1 << 53) - 1
ERRORS = ("ES", "ET", "EL")  # syntax or unknown command, transmission, cannot be done
UNIT_UNKNOWN = "?"

# Milligrams of a unit as a fraction. One text, because each of the pairs would be an object.
_UNITS = """
g 1000/1
kg 1000000/1
mg 1/1
t 1000000000/1
lb 45359237/100
oz 28349523125/1000000
ozt 311034768/10000
dwt 155517384/100000
GN 6479891/100000
ct 200/1
ug 1/1000
"""


class Parser:
    """Cuts a stream of bytes into lines.

    Args:
        chunk_bytes: longest piece given to `feed` at once, bytes.
    Attributes:
        dropped_bytes: bytes that belonged to no line.
    """

    def __init__(self, chunk_bytes: int) -> None:
        self._buffer = bytearray(LINE_BYTES_MAX + chunk_bytes)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._is_cut = False  # the beginning of the line under way was dropped
        self.dropped_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes held that are not yet a line."""
        return self._end - self._start

    def reset(self) -> None:
        """Forget what is held."""
        self.dropped_bytes += self.pending_bytes
        self._start = self._end = 0
        self._is_cut = False

    def feed(self, piece: "Bytes", count: int) -> None:
        """Take the first `count` bytes of `piece`; call `next` until None before feeding again.

        Raises:
            ValueError: more than `chunk_bytes`, or lines were not taken out.
        """
        if self._start:
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]
            self._start, self._end = 0, held
        if self._end + count > len(self._buffer):
            raise ValueError("%d bytes do not fit" % count)
        self._view[self._end : self._end + count] = memoryview(piece)[:count]
        self._end += count

    def next(self) -> "str | None":
        """Return the next line without blanks around it, None when more bytes are needed."""
        while True:
            end = self._find_end()
            if end < 0:
                if self.pending_bytes > LINE_BYTES_MAX:
                    self.reset()
                    self._is_cut = True
                return None
            line = self._view[self._start : end]
            self._start = end + 1
            is_cut, self._is_cut = self._is_cut, False
            if is_cut or len(line) > LINE_BYTES_MAX or not _is_printable(line):
                self.dropped_bytes += len(line)
                continue
            text = str(line, "ascii").strip()
            if text:
                return text

    def _find_end(self) -> int:
        """Return where the first line ends, -1 when it does not yet."""
        returned = self._buffer.find(b"\r", self._start, self._end)
        fed = self._buffer.find(b"\n", self._start, self._end if returned < 0 else returned)
        return fed if fed >= 0 else returned


def _is_printable(line: memoryview) -> bool:
    for code in line:  # noqa: SIM110 - a generator would be an object for each line
        if not 0x20 <= code <= 0x7E:
            return False
    return True


class Answer:
    """What one line says.

    Attributes:
        command: that it answers, as the scale echoes it; one of ERRORS: it is that error.
        status: S stable or done, D dynamic, A done, I not now, + overload, - underload;
            UNIT_UNKNOWN: a weight in a unit that is not known here, `text` being the unit.
        text: what stands in quotes.
        mass_mg: of a weight, milligrams, rounded half away from zero; else None.
        step_mg: difference of mass that the scale cannot be trusted to show, milligrams.
        line: as it came.
    """

    def __init__(self, command: str, status: str, line: str) -> None:
        self.command = command
        self.status = status
        self.line = line
        self.text = ""
        self.mass_mg: int | None = None
        self.step_mg = 1


def read(line: str) -> "Answer | None":
    """Return what a line says, None when it is no answer: an echo, or noise."""
    parts = line.split()
    if len(parts) == 1 and line in ERRORS:
        return Answer(line, "", line)
    if len(parts) < 2 or parts[1] not in ("S", "D", "A", "B", "I", "+", "-", "L"):
        return None
    answer = Answer(parts[0], parts[1], line)
    if '"' in line:
        answer.text = line.split('"')[1].strip()
    elif len(parts) > 2 and not _read_weight(answer, parts[2:]):
        return None
    return answer


def _read_weight(answer: Answer, parts: "list[str]") -> bool:
    """Add mass and step to an answer; False when it is no weight."""
    if parts[0] in ("+", "-") and len(parts) > 1:  # the sign stands apart
        parts = [parts[0] + parts[1]] + parts[2:]
    value, unit = parts[0], " ".join(parts[1:])
    whole, _, decimals = value.lstrip("+-").partition(".")
    digits = whole + decimals
    if not digits.isdigit() or len(digits) > DIGITS_MAX or len(value) - len(digits) > 2:
        return False
    lead = "\n%s " % unit
    at = _UNITS.find(lead)
    if at < 0:
        answer.status, answer.text = UNIT_UNKNOWN, unit
        return True
    numerator, denominator = _UNITS[at + len(lead) :].split("\n", 1)[0].split("/")
    milligrams, parts_of_one = int(numerator), int(denominator) * 10 ** len(decimals)
    mass_mg = (2 * int(digits) * milligrams + parts_of_one) // (2 * parts_of_one)
    if mass_mg > _MASS_MG_MAX:
        return False
    answer.mass_mg = -mass_mg if value[0] == "-" else mass_mg
    answer.step_mg = (STEP_DIGITS * milligrams + parts_of_one - 1) // parts_of_one
    return True
