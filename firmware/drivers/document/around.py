"""What a document reader sends around its lines, and which lines are a zone without it. Pure.

Rules of the file
- Prefix and suffix are taken off before anything is made of a line's width: with them a line of TD1
  may be as long as one of TD2, and a zone in one line as long as another.
- Readers send them around the whole, around each line, on lines of their own, or not at all. What
  is taken off must be there. Of several ways to read the same lines the first holds whose check
  digits are right, else the first.
- The end of one zone and the beginning of the next are no zone, though they be as wide: otherwise a
  reader that stopped in the middle once would be out of step for as long as it makes no pause.
- Lines lie in places of `size` bytes, one behind the other.
"""

from protocol.mrz import WIDTHS, is_alphabet, kind_of, wrong_fields

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes, Iterator

    Span = tuple[int, int]  # begin and end of a line in the buffer

STX, ETX, CR, LF = 2, 3, 13, 10


class Around:
    """Prefix and suffix of one reader.

    Args:
        prefix, suffix: as they are set; may be empty.
        size: of a line's place.
    Attributes:
        ends: the suffix cannot stand in a zone, so it ends a line wherever it comes but in the
            prefix: that may hold the same characters.
    """

    def __init__(self, prefix: bytes, suffix: bytes, size: int) -> None:
        self._prefix = _printed(prefix, -1)
        self._suffix = _printed(suffix, 0)
        self._size = size
        self.ends = not is_alphabet(self._suffix)

    def ends_at(self, line: "Bytes", end: int) -> bool:
        """Say whether the suffix ends at `end`."""
        size = len(self._suffix)
        if not self.ends or not size <= end <= self._size or line[end - 1] != self._suffix[-1]:
            return False
        if line[end - size : end] != self._suffix:
            return False
        begun = min(end, len(self._prefix))
        return end - size >= begun or line[:begun] != self._prefix[:begun]

    def is_alone(self, line: "Bytes", width: int) -> bool:
        """Say whether a line is nothing but prefix or suffix."""
        for affix in (self._prefix, self._suffix):
            if len(affix) == width and line[:width] == affix:
                return True
        return False

    def find(self, lines: "Bytes", widths: "list[int]") -> bytes:
        """Return the zone that ends with the last line, empty while there is none.

        Args:
            lines: in their places.
            widths: of the lines, as they came.
        """
        first = b""
        for spans in self._readings(lines, widths):
            if _is_zone(spans):
                zone = b"".join([bytes(lines[begin:end]) for begin, end in spans])
                if not wrong_fields(kind_of(zone), zone):
                    return zone
                if not first and _is_in_order(zone, len(spans)):
                    first = zone
        if _widths(self._each(lines, widths, 2)) == [30, 30]:
            return b""  # of TD1; with what is around them they may look like TD2
        return first

    def _readings(self, lines: "Bytes", widths: "list[int]") -> "Iterator[list[Span]]":
        """Yield what the last lines may be, the likeliest first."""
        counts = range(1, len(widths) + 1)
        for count in counts:
            yield self._each(lines, widths, count)
        for count in counts:
            spans = [
                (i * self._size, i * self._size + widths[i])
                for i in range(len(widths) - count, len(widths))
            ]
            begin, end = spans[0][0], spans[-1][1]
            heads = (len(self._prefix), 0) if self._has_prefix(lines, begin) else (0,)
            tails = (len(self._suffix), 0) if self._has_suffix(lines, end) else (0,)
            for head in heads:
                for tail in tails:
                    found = spans[:]
                    found[0] = (begin + head, found[0][1])
                    found[-1] = (found[-1][0], end - tail)
                    yield found

    def is_begun(self, lines: "Bytes", widths: "list[int]") -> bool:
        """Say whether the last line, with prefix and suffix around it, may be one of several."""
        found = _widths(self._each(lines, widths, 1))
        return bool(found) and found[0] in WIDTHS.values()

    def _each(self, lines: "Bytes", widths: "list[int]", count: int) -> "list[Span]":
        """Return the last `count` lines where prefix and suffix are around each of them."""
        found: list[Span] = []
        if count > len(widths) or not self._prefix + self._suffix:
            return found
        for index in range(len(widths) - count, len(widths)):
            begin = index * self._size
            end = begin + widths[index]
            if not self._has_prefix(lines, begin) or not self._has_suffix(lines, end):
                return []
            found.append((begin + len(self._prefix), end - len(self._suffix)))
        return found

    def _has_prefix(self, lines: "Bytes", begin: int) -> bool:
        return lines[begin : begin + len(self._prefix)] == self._prefix

    def _has_suffix(self, lines: "Bytes", end: int) -> bool:
        size = len(self._suffix)
        return end >= size and lines[end - size : end] == self._suffix


def _widths(spans: "list[Span]") -> "list[int]":
    return [end - begin for begin, end in spans]


def _is_zone(spans: "list[Span]") -> bool:
    """Say whether lines are as wide, and as many, as those of a zone; or one is a whole zone."""
    widths = _widths(spans)
    width = WIDTHS.get(sum(widths))
    return width is not None and (len(widths) == 1 or widths == [width] * len(widths))


def _is_in_order(zone: bytes, count: int) -> bool:
    """Say whether the line of the names is in its place: the one with the fewest digits."""
    width = len(zone) // count
    digits = [
        sum([48 <= code <= 57 for code in zone[at : at + width]])
        for at in range(0, len(zone), width)
    ]
    return count == 1 or digits.pop(0 if count == 2 else -1) <= min(digits)


def _printed(affix: bytes, index: int) -> bytes:
    """Return of a prefix or suffix what stands on the line of the zone; the rest frames it."""
    kept = b""
    for code in affix:
        if 0x20 <= code < 0x7F:
            kept += bytes([code])
        elif code in (STX, ETX, CR, LF):
            kept += b"\r"
    parts = [part for part in kept.split(b"\r") if part]
    return parts[index] if parts else b""
