"""On which line of a TOML file each key stands: tomllib tells what a file says, not where.

Rules of the file
- The text is one that tomllib has read; only enough of the grammar is followed to find the keys.
- A path is a key's names from the top, with the index in an array: ("nodes", 3, "window").
"""

import contextlib
import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"[ \t]*")
_GAP: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # blanks, comments, ends of lines
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
# Up to two quotes may stand directly before the three that close.
_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)


def find_lines(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every key, table and element that `text` holds.

    Args:
        text: valid TOML; of anything else what can be found.
    """
    scanner = _Scanner(text)
    with contextlib.suppress(RecursionError, _LostError):  # then what was found until there
        scanner.scan()
    return scanner.lines


def line_of(text: str, path: Path) -> int:
    """Return the line of a key; of what encloses it when it is not there; 1 when that is the file.

    Args:
        text: as for `find_lines`.
        path: of the key.
    """
    lines = find_lines(text)
    for count in range(len(path), 0, -1):
        if path[:count] in lines:
            return lines[path[:count]]
    return 1


class _LostError(Exception):
    """The text is no TOML here."""


class _Scanner:
    """Goes through the text once; `lines` fills."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._counted = 0  # up to where line ends are counted
        self._line = 1
        self._sizes: dict[Path, int] = {}  # arrays of tables, by their path

    def scan(self) -> None:
        """Go through the text.

        Raises:
            _LostError: it is no TOML.
        """
        table: Path = ()
        self._skip(_GAP)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP)

    def _header(self) -> Path:
        """Take [a.b] or [[a.b]]; return the path of the table it begins."""
        line, is_array = self._here(), self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path: Path = ()
        names = self._names()
        for index, name in enumerate(names):
            path += (name,)
            if is_array and index == len(names) - 1:
                self._sizes[path] = self._sizes.get(path, 0) + 1
            self.lines.setdefault(path, line)
            if path in self._sizes:  # the newest table of an array
                path += (self._sizes[path] - 1,)
                self.lines.setdefault(path, line)
        self._take("]]" if is_array else "]")
        return path

    def _pair(self, table: Path) -> None:
        line = self._here()
        path = table
        for name in self._names():
            path += (name,)
            self.lines.setdefault(path, line)
        self._take("=")
        self._value(path)

    def _names(self) -> list[str]:
        """Take a dotted key."""
        names = []
        while True:
            self._skip(_BLANK)
            quoted = _STRING.match(self._text, self._at)
            found = quoted or _BARE.match(self._text, self._at)
            if found is None:
                raise _LostError
            self._at = found.end()
            names.append(_unquoted(found[0]) if quoted else found[0])
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        start = self._text[self._at : self._at + 1]
        if start == "[":
            self._array(path)
        elif start == "{":
            self._inline(path)
        else:
            string = _STRING.match(self._text, self._at)
            if string is None and start in {'"', "'"}:
                raise _LostError
            if string is not None:
                self._at = string.end()
            else:
                self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        self._skip(_GAP)
        while not self._text.startswith("]", self._at):
            self.lines[*path, index] = self._here()
            self._value((*path, index))
            index += 1
            self._skip(_GAP)
            if not self._text.startswith("]", self._at):
                self._take(",")
                self._skip(_GAP)
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip(_GAP)
        while not self._text.startswith("}", self._at):
            self._pair(path)
            self._skip(_GAP)
            if not self._text.startswith("}", self._at):
                self._take(",")
                self._skip(_GAP)
        self._at += 1

    def _take(self, sign: str) -> None:
        self._skip(_BLANK)
        if not self._text.startswith(sign, self._at):
            raise _LostError
        self._at += len(sign)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _here(self) -> int:
        """Return the line we are on."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _unquoted(text: str) -> str:
    """Return what a quoted key says; tomllib knows the escapes."""
    try:
        return str(tomllib.loads(f"k={text}")["k"])
    except tomllib.TOMLDecodeError as error:
        raise _LostError from error
