"""Read a Raman spectrum from JCAMP-DX 4.24 or 5.01 text, strictly.

The maintained `jcamp` package (1.3.2) was tried first. It reads the plain forms, but raises
IndexError for a DUP character after a SQZ one (`400ABCTB`), returns an empty axis when the XYDATA
line ends in a `$$` comment, and only prints a note when a Y-check fails or NPOINTS disagrees,
returning axis and intensities of different length. For a decision about people that is not enough.

What is read: AFFN, PAC, SQZ, DIF and DUP ordinates in (X++(Y..Y)), and (XY..XY). Of LINK files
the only block whose DATA TYPE is a Raman spectrum. Checks that fail raise, naming the line.

Reference: R. S. McDonald, P. A. Wilks, JCAMP-DX: A Standard Form for Exchange of Infrared Spectra
    in Computer Readable Form, Applied Spectroscopy 42 (1988) 151; IUPAC JCAMP-DX 5.01 (1999).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np

from gateway.spectra.errors import FormatError
from gateway.spectra.labels import light_named
from gateway.spectra.spectrum import POINTS_MAX, FloatArray

BLOCKS_MAX = 64
"""Compound files of laboratories hold a few blocks; more is not one measurement."""

DIGITS_MAX = 15
"""Compressed ordinates are integers; more digits are beyond the precision of any detector."""

SQZ = {letter: str(i) for i, letter in enumerate("@ABCDEFGHI")} | {
    letter: f"-{i}" for i, letter in enumerate("abcdefghi", start=1)
}
DIF = {letter: str(i) for i, letter in enumerate("%JKLMNOPQR")} | {
    letter: f"-{i}" for i, letter in enumerate("jklmnopqr", start=1)
}
DUP = {letter: str(i) for i, letter in enumerate("STUVWXYZs", start=1)}

# "E5" is also a SQZ digit: an exponent needs its sign, or a decimal point before it, which
# compressed ordinates never have. After an abscissa only the signed form is safe.
_ABSCISSA = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]\d{1,3})?)")
_VALUE = r"(?:\d+\.\d*|\.\d+)(?:[Ee][+-]?\d{1,3})?|\d+(?:[Ee][+-]\d{1,3})?"
_ORDINATE = re.compile(rf"[\s,]*(?:([+-]?(?:{_VALUE}))|([@A-Ia-i%J-Rj-rS-Zs])(\d*)|(\S))")
_PAIR_BREAK = re.compile(r"[;\s]+")

FIRST_Y_SHARE = 0.01
"""FIRSTY may be rounded; it may differ by 1 % of the largest intensity."""


@dataclass(slots=True)
class _Block:
    """Records of one block: normalised label -> (line number, value lines)."""

    records: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def text(self, label: str) -> str:
        """First line of a record, empty when it is absent."""
        return self.records[label][1][0].strip() if label in self.records else ""

    def number(self, label: str, default: float | None = None) -> float:
        """Value of a numeric record.

        Raises:
            FormatError: absent without a default, or not a finite number.
        """
        if label not in self.records and default is not None:
            return default
        try:
            value = float(self.text(label))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise FormatError(
                f"JCAMP-DX record ##{label}= is {self.text(label)!r}, a number is needed; "
                "export the spectrum again"
            )
        return value


def looks_like_jcamp(text: str) -> bool:
    """Whether the text starts like a JCAMP-DX file."""
    return text.lstrip("\ufeff \t\r\n").startswith("##")


def parse_jcamp(text: str) -> tuple[FloatArray, FloatArray]:
    """Read the only Raman spectrum of a JCAMP-DX text.

    Returns:
        Raman shift in cm^-1, shape (n,), strictly increasing, and intensity, shape (n,).

    Raises:
        FormatError: naming record or line, value and remedy.
    """
    block = _raman_block(_blocks(text))
    _check_units(block)
    for label in ("XYDATA", "XYPOINTS"):
        if label in block.records:
            line, lines = block.records[label]
            form = lines[0].replace(" ", "").upper()
            body = [(line + i, row) for i, row in enumerate(lines) if i > 0]
            break
    else:
        raise FormatError("JCAMP-DX file has no XYDATA or XYPOINTS; export the spectrum, not peaks")
    if form.startswith("(X++(Y..Y))"):
        axis, light = _evenly_spaced(block, body)
    elif form.startswith("(XY..XY)"):
        axis, light = _pairs(block, body)
    else:
        raise FormatError(f"JCAMP-DX data form {form!r} is unknown; export as (X++(Y..Y))")
    for name, column in (("Raman shift", axis), ("intensity", light)):
        if not np.isfinite(column).all():
            at = int(np.flatnonzero(~np.isfinite(column))[0])
            raise FormatError(f"JCAMP-DX {name} {at + 1} is {column[at]}; export it again")
    _check_first(block, light)
    if axis.size > 1 and axis[0] > axis[-1]:
        axis, light = axis[::-1].copy(), light[::-1].copy()
    bad = np.flatnonzero(np.diff(axis) <= 0.0)
    if bad.size:
        raise FormatError(
            f"JCAMP-DX Raman shift {axis[bad[0] + 1]:g} after {axis[bad[0]]:g} repeats or turns "
            "back; sort the axis and remove repeated points"
        )
    return axis, light


def _check_units(block: _Block) -> None:
    """Raise FormatError unless the units are those of a Raman spectrum."""
    units = block.text("XUNITS").upper().replace(" ", "")
    if units not in ("1/CM", "CM-1", "CM^-1"):
        raise FormatError(
            f"JCAMP-DX XUNITS are {units[:40]!r}, 1/CM is needed; convert to Raman shift"
        )
    light_unit = block.text("YUNITS")
    if light_named(light_unit):
        raise FormatError(
            f"JCAMP-DX YUNITS are {light_unit[:40]!r}, which is {light_named(light_unit)} and no "
            "Raman intensity; export a Raman spectrum"
        )


def _blocks(text: str) -> list[_Block]:
    """All blocks in the order they open; comments removed, labels normalised."""
    blocks: list[_Block] = []
    current: list[_Block] = []
    lines: list[str] | None = None
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        row = raw.split("$$", 1)[0].rstrip()
        if not row.lstrip().startswith("##"):
            if lines is not None:
                lines.append(row)
            elif row.strip():
                raise FormatError(f"line {number}: {row[:40]!r} stands before any ## record")
            continue
        label, value = _label(number, row.strip())
        if label == "TITLE":
            if len(blocks) >= BLOCKS_MAX:
                raise FormatError(
                    f"line {number}: more than {BLOCKS_MAX} blocks; export one spectrum"
                )
            current.append(_Block())
            blocks.append(current[-1])
        if not current:
            raise FormatError(f"line {number}: the first record must be ##TITLE=; repair the file")
        lines = [value]
        if label == "END":
            current.pop()
            lines = None
        else:
            current[-1].records.setdefault(label, (number, lines))
    if current:
        raise FormatError("JCAMP-DX file ends without ##END=; it is cut off, export it again")
    return blocks


def _label(number: int, row: str) -> tuple[str, str]:
    """Normalised label and first value of a line `##LABEL= value`."""
    label, equals, value = row[2:].partition("=")
    if not equals:
        raise FormatError(f"line {number}: record {row[:40]!r} has no '='; repair the file")
    return re.sub(r"[\s\-_/]", "", label).upper(), value


def _raman_block(blocks: list[_Block]) -> _Block:
    """The only block that is a Raman spectrum.

    Raises:
        FormatError: there is none, or several: which one is meant, nobody says.
    """
    kinds, found = [], []
    for block in blocks:
        if "JCAMPDX" not in block.records and "JCAMPDX" not in blocks[0].records:
            raise FormatError("no ##JCAMP-DX= record; export as JCAMP-DX 4.24 or 5.01")
        kind = block.text("DATATYPE").upper()
        if "RAMAN" in kind:
            found.append(block)
        kinds.append(kind or "none")
    if not found:
        raise FormatError(
            f"no Raman spectrum in the file, DATA TYPE is {kinds}; export a Raman spectrum"
        )
    if len(found) > 1:
        raise FormatError(
            f"holds {len(found)} Raman spectra; export the one to be used into a file of its own"
        )
    return found[0]


def _point_count(block: _Block) -> int:
    count = block.number("NPOINTS")
    if not (count == int(count) and 2 <= count <= POINTS_MAX):
        raise FormatError(f"JCAMP-DX NPOINTS is {count:g}, 2 to {POINTS_MAX} are accepted")
    return int(count)


def _evenly_spaced(block: _Block, body: list[tuple[int, str]]) -> tuple[FloatArray, FloatArray]:
    """Decode (X++(Y..Y)) with its X- and Y-checks."""
    count = _point_count(block)
    first, last = block.number("FIRSTX"), block.number("LASTX")
    step = (last - first) / (count - 1)
    x_factor = block.number("XFACTOR", 1.0)
    ordinates: list[float] = []
    ends_in_difference = False
    for number, row in body:
        if not row.strip():
            continue
        start = _ABSCISSA.match(row)
        if start is None:
            raise FormatError(f"line {number}: {row.strip()[:40]!r} does not begin with a number")
        values, difference = _decode(number, row[start.end() :], count + 1)
        at = len(ordinates)
        if ends_in_difference:
            if not values or values[0] != ordinates[-1]:
                raise FormatError(
                    f"line {number}: Y-check failed, {values[:1]} where {ordinates[-1]:g} was "
                    "expected; the file is damaged, export it again"
                )
            values, at = values[1:], at - 1
        expected = first + at * step
        found = float(start.group(1)) * x_factor
        if abs(found - expected) > 1.01 * abs(step) + 1e-6 * abs(expected):
            raise FormatError(
                f"line {number}: X-check failed, {found:g} where {expected:g} was expected; "
                "the file is damaged, export it again"
            )
        ordinates += values
        ends_in_difference = difference
        if len(ordinates) > count:
            raise FormatError(f"line {number}: more values than NPOINTS {count}; export it again")
    if len(ordinates) != count:
        raise FormatError(
            f"JCAMP-DX NPOINTS is {count} but {len(ordinates)} values follow; "
            "the file is cut off, export it again"
        )
    return np.linspace(first, last, count), _scaled(np.array(ordinates), block, "YFACTOR")


def _decode(number: int, row: str, count_max: int) -> tuple[list[float], bool]:
    """Ordinates of one line, and whether the last one was written as a difference."""
    values: list[float] = []
    step: float | None = None
    for token in _ORDINATE.finditer(row.rstrip()):
        plain, letter, digits, other = token.groups()
        if other is not None:
            raise FormatError(f"line {number}: {other!r} is no value; replace it or export again")
        if len(digits or "") > DIGITS_MAX:
            raise FormatError(f"line {number}: a number of {len(digits)} digits; export it again")
        if plain is not None or letter in SQZ:
            values.append(float(plain if plain is not None else SQZ[letter] + digits))
            step = None
        elif not values:
            raise FormatError(f"line {number}: the line begins with a difference or a repeat")
        elif letter in DIF:
            step = float(DIF[letter] + digits)
            values.append(values[-1] + step)
        else:
            again = int(DUP[letter] + digits) - 1
            if again < 0 or len(values) + again > count_max:
                raise FormatError(f"line {number}: repeat {letter}{digits} exceeds NPOINTS")
            for _ in range(again):
                values.append(values[-1] + (step or 0.0))
        if len(values) > count_max:
            raise FormatError(f"line {number}: more values than NPOINTS allows")
    return values, step is not None


def _pairs(block: _Block, body: list[tuple[int, str]]) -> tuple[FloatArray, FloatArray]:
    """Decode (XY..XY): pairs `x, y` or `x y`, separated by blanks or semicolons."""
    count = _point_count(block)
    numbers: list[float] = []
    for number, row in body:
        for word in _PAIR_BREAK.split(row.replace(",", " ").strip()):
            if not word:
                continue
            try:
                value = float(word)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise FormatError(f"line {number}: {word[:40]!r} is not a finite number")
            numbers.append(value)
        if len(numbers) > 2 * count:
            raise FormatError(f"line {number}: more pairs than NPOINTS {count}; export it again")
    if len(numbers) != 2 * count:
        raise FormatError(
            f"JCAMP-DX NPOINTS is {count} but {len(numbers)} numbers follow; export it again"
        )
    table = np.array(numbers).reshape(count, 2)
    return _scaled(table[:, 0], block, "XFACTOR"), _scaled(table[:, 1], block, "YFACTOR")


def _scaled(column: FloatArray, block: _Block, label: str) -> FloatArray:
    """Column times its factor; what grows beyond all numbers is found by the caller's check."""
    with np.errstate(over="ignore"):
        return column * block.number(label, 1.0)


def _check_first(block: _Block, light: FloatArray) -> None:
    """FIRSTY must be the first intensity, scaled as the standard says or unscaled as some write."""
    if "FIRSTY" not in block.records:
        return
    told = block.number("FIRSTY")
    factor = block.number("YFACTOR", 1.0)
    slack = FIRST_Y_SHARE * float(np.abs(light).max())
    scaled = abs(told - light[0]) <= slack
    unscaled = abs(told * factor - light[0]) <= slack
    if not (scaled or unscaled):
        raise FormatError(
            f"JCAMP-DX FIRSTY is {told:g} but the first intensity is {light[0]:g}; "
            "the file is damaged, export it again"
        )
