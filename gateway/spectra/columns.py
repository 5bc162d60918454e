"""Read a spectrum from two columns of text: Raman shift in cm^-1 and intensity."""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

import numpy as np

from gateway.spectra.errors import FormatError
from gateway.spectra.labels import (
    PIXEL,
    SHIFT_MARKS,
    WAVELENGTH,
    axis_named,
    is_axis_key,
    is_light,
    is_shift,
    light_named,
    setting_fault,
    states_shift,
)
from gateway.spectra.spectrum import POINTS_MAX, POINTS_MIN, FloatArray

HEADER_LINES_MAX = 64
"""Vendor exports put up to some forty lines of settings before the numbers."""

CELL_CHARS_SHOWN = 40

AGAIN_SHARE = 0.05
"""How near to its beginning, in its span, an axis that turns back begins a second spectrum."""

_COMMA_PAIR = re.compile(r"[+-]?\d+,\d+\s+[+-]?\d+,\d+(?:[eE][+-]?\d+)?$")
"""Two numbers with decimal commas and blanks between them; cannot be three columns."""

COMMENT_MARKS = ("#", "%", "'")
"""Signs before a remark: Python and most programs, MATLAB, some vendors."""

SWAPPED_POINTS_MIN = 8
"""So many intensities in a row do not rise by chance."""

TITLE_WORDS_MAX = 6
"""A title line without separators has no more words; longer lines are remarks."""


IN_NANOMETRES = (
    "give --axis-unit nm --laser-nm WAVELENGTH, or convert the axis to Raman shift in cm^-1"
)
"""Remedy for an axis of wavelengths."""

AxisUnit = Literal["", "cm-1", "nm", "pixel"]
"""Of the first column: Raman shift, wavelength, pixel number, or nobody has said."""


class Columns(NamedTuple):
    """Two columns of a text.

    Attributes:
        axis: shape (n,), strictly increasing; Raman shift in cm^-1, or wavelength in nm.
        intensity: shape (n,).
        unit: of the axis as the title above it says; empty when there is none.
    """

    axis: FloatArray
    intensity: FloatArray
    unit: AxisUnit


def parse_columns(text: str) -> tuple[FloatArray, FloatArray]:
    """Read Raman shift and intensity, each of shape (n,); see `read_columns`.

    Raises:
        FormatError: naming line, value and remedy.
    """
    found = read_columns(text)
    return found.axis, found.intensity


def read_columns(text: str, unit: AxisUnit = "") -> Columns:
    """Read two columns separated by comma, semicolon, tab or spaces.

    Header lines before the first numbers and lines starting with `#` are read only for words that
    tell of other data than a Raman spectrum (`Wavelength (nm)`, `Absorbance`). With semicolons or
    tabs between the columns a decimal comma is understood. A falling axis is reversed.

    Args:
        text: the whole file.
        unit: what somebody says the first column is; a title that says otherwise is refused.

    Raises:
        FormatError: naming line, value and remedy.
    """
    shifts: list[float] = []
    counts: list[float] = []
    lines: list[int] = []
    skipped = 0
    title = (0, "")
    separated: list[str] = []
    separated_at: list[int] = []
    stated: AxisUnit = ""
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        row = line.strip()
        if not row:
            continue
        if row.startswith(COMMENT_MARKS):
            title = (number, row.lstrip("".join(COMMENT_MARKS)).strip()) if not shifts else title
            _check_words(*title, unit=unit)
            stated = _unit_set(title[1]) or stated
            continue
        pair = _pair(row)
        if pair is None:
            if shifts:
                raise FormatError(
                    f"line {number}: {_shown(row)} is not a pair of numbers; "
                    "remove the line or export two columns"
                )
            skipped += 1
            title = (number, row)
            _check_header(number, row, skipped, unit)
            stated = _unit_set(row) or stated
            continue
        if not shifts:
            _check_words(*title, above_numbers=True, unit=unit)
            stated = _unit_of(title[1]) or stated
            _check_unit(title[0], stated, unit)
        _check_finite(number, pair)
        if len(shifts) >= POINTS_MAX:
            raise FormatError(
                f"line {number}: more than {POINTS_MAX} points; export a single spectrum"
            )
        if ";" in row or "\t" in row:
            separated.append(row)
            separated_at.append(number)
        shifts.append(pair[0])
        counts.append(pair[1])
        lines.append(number)
    if not shifts:
        raise FormatError(
            "no line holds two numbers; give two columns, Raman shift in cm^-1 and intensity"
        )
    _check_commas(separated, separated_at)
    return Columns(*_rising(shifts, counts, lines), stated)


def _unit_of(row: str) -> AxisUnit:
    """Unit of the first column by the titles right above the numbers."""
    cells = [cell.strip(" \"'") for cell in _cells(row)[0]]
    if not any(separator in row for separator in (";", "\t", ",")):
        return _as_unit(row) if len(cells) <= TITLE_WORDS_MAX and not _has_numbers(row) else ""
    return _as_unit(cells[0]) if len(cells) == 2 else ""


def _unit_set(row: str) -> AxisUnit:
    """Unit of the first column by a setting such as `X units: cm-1`."""
    places = [place for mark in ":=,;\t" if (place := row.find(mark)) > 0]
    at = min(places, default=0)
    return _as_unit(row[at + 1 :]) if at and is_axis_key(row[:at]) else ""


def _as_unit(title: str) -> AxisUnit:
    if states_shift(title):
        return "cm-1"
    named: dict[str, AxisUnit] = {WAVELENGTH: "nm", PIXEL: "pixel"}
    return named.get(axis_named(title), "")


def _check_unit(number: int, stated: AxisUnit, unit: AxisUnit) -> None:
    """Raise FormatError when the file says another unit than the person."""
    if not unit or not stated or unit == stated:
        return
    if unit == "pixel":
        raise FormatError(
            f"line {number}: the file says that its first column is in {stated}; it must count "
            "pixels, 0, 1, 2, ...; export it so"
        )
    if unit != stated:
        raise FormatError(
            f"line {number}: the file says that its first column is in {stated}, --axis-unit says "
            f"{unit}; leave the option out, or mend the title if the file is wrong"
        )


def _check_commas(rows: list[str], lines: list[int]) -> None:
    """Raise FormatError where commas between digits may be signs of thousands.

    A file of decimal commas has no points, and writes them in nearly every number.
    """
    pointed = next((at for at, row in enumerate(rows) if "." in row), None)
    comma = next((at for at, row in enumerate(rows) if "," in row), None)
    # Other than three digits after a comma, or more than three before it: no sign of thousands.
    proven = any(re.search(r"\d,(?!\d{3}(?!\d))|\d{4,},", row) for row in rows)
    if comma is None or (proven and pointed is None):
        return
    groups = [cell for row in rows for cell in re.split(r"[;\t]", row)[1:]]
    by_threes = all(re.fullmatch(r'[\s"+-]*\d{1,3}(,\d{3})?[\s"]*', cell) for cell in groups)
    mixed = any("," in cell for cell in groups) and not all("," in cell for cell in groups)
    if pointed is not None or (by_threes and mixed):
        at = max(comma, pointed or 0)
        raise FormatError(
            f"line {lines[at]}: {_shown(rows[comma])} has a comma that may be a decimal comma or a "
            "sign of thousands; export without signs of thousands"
        )


def _check_finite(number: int, pair: tuple[float, float]) -> None:
    for name, value in zip(("Raman shift", "intensity"), pair, strict=True):
        if not math.isfinite(value):
            raise FormatError(
                f"line {number}: {name} is {value}; every value must be a finite number, "
                "measure or export again"
            )


def _cells(row: str) -> tuple[list[str], bool]:
    """Cells of a line and whether a comma in them is a decimal comma."""
    for separator in (";", "\t"):
        if separator in row:
            return [cell.strip() for cell in row.rstrip(separator).split(separator)], True
    if _COMMA_PAIR.match(row):
        return row.split(), True
    if "," in row:
        return [cell.strip() for cell in row.rstrip(",").split(",")], False
    return row.split(), False


def _pair(row: str) -> tuple[float, float] | None:
    """The two numbers of a line, or None when it is no such line."""
    cells, decimal_comma = _cells(row)
    cells = [cell.strip(' "') for cell in cells]  # spreadsheets put numbers in quotes
    if len(cells) != 2 or "_" in row:  # Python reads 1_000 as a number, no instrument writes it
        return None
    try:
        first, second = (float(cell.replace(",", ".") if decimal_comma else cell) for cell in cells)
    except ValueError:
        return None
    return first, second


def _check_header(number: int, row: str, skipped: int, unit: AxisUnit) -> None:
    """Raise FormatError for lines before the numbers that show this is no two-column spectrum."""
    cells, _ = _cells(row)
    try:
        values = [float(cell.replace(",", ".")) for cell in cells]
    except ValueError:
        values = []
    if len(values) > 2:
        decimal = " (decimal commas need semicolons or tabs between the columns)"
        raise FormatError(
            f"line {number}: {len(values)} columns, two are needed; export Raman shift and one "
            f"intensity column{decimal if len(values) == 4 and ',' in row else ''}"
        )
    _check_words(number, row, unit=unit)
    if skipped > HEADER_LINES_MAX:
        raise FormatError(
            f"line {number}: no numbers after {HEADER_LINES_MAX} lines; "
            "give two columns, Raman shift in cm^-1 and intensity"
        )


def _check_words(
    number: int, row: str, *, above_numbers: bool = False, unit: AxisUnit = ""
) -> None:
    """Raise FormatError when a line before the numbers says they are no Raman spectrum.

    Args:
        number: of the line.
        row: the line.
        above_numbers: it stands right above the numbers, where the titles are.
        unit: what somebody says the first column is; nanometres then are no fault.
    """
    cells = [cell.strip(" \"'") for cell in _cells(row)[0]]
    if not any(separator in row for separator in (";", "\t", ",")):
        key, colon, value = row.partition(":" if ":" in row else "=")
        if colon:
            _check_setting(number, key, value, unit)
        elif len(cells) <= TITLE_WORDS_MAX and _is_title(row):
            _check_titles(number, row, row, above_numbers=above_numbers, unit=unit)
    elif len(cells) == 2 and not (_is_number(cells[0]) or _is_number(cells[1])):
        _check_setting(number, cells[0].rstrip(":="), cells[1], unit)
        _check_titles(number, cells[0], cells[1], above_numbers=above_numbers, unit=unit)


def _check_setting(number: int, key: str, value: str, unit: AxisUnit) -> None:
    """Raise FormatError when a setting says the data are something else."""
    fault = setting_fault(key, value)
    if fault == WAVELENGTH and unit == "nm":
        return
    if fault == WAVELENGTH:
        raise FormatError(
            f"line {number}: {_shown(key.strip())} is {_shown(value.strip())}: this is {fault}; "
            f"{IN_NANOMETRES}"
        )
    if fault:
        raise FormatError(
            f"line {number}: {_shown(key.strip())} is {_shown(value.strip())}: this is {fault}; "
            "export a Raman spectrum with its Raman shift"
        )


def _is_title(row: str) -> bool:
    """Whether a line without separators can be the titles of two columns."""
    named = is_light(row) or bool(light_named(row))
    return named and not _has_numbers(row)


def _has_numbers(row: str) -> bool:
    """Whether a line has digits besides those of a unit."""
    text = row.lower()
    for mark in SHIFT_MARKS:
        text = text.replace(mark, "")
    return any(letter.isdigit() for letter in text)


def _check_titles(
    number: int, first: str, second: str, *, above_numbers: bool, unit: AxisUnit
) -> None:
    """Raise FormatError when two column titles name other things than shift and light."""
    if first != second and is_light(first) and is_shift(second):
        raise FormatError(
            f"line {number}: the columns {_shown(first)} and {_shown(second)} are swapped; "
            "put Raman shift first and intensity second"
        )
    axis = axis_named(first)
    light = light_named(second)
    if light and (above_numbers or is_shift(first) or axis):
        raise FormatError(
            f"line {number}: the second column is {_shown(second)}, {light} and no Raman "
            "intensity; export a Raman spectrum"
        )
    known = (axis, unit) in {(WAVELENGTH, "nm"), (PIXEL, "pixel")}
    if axis and not known and (above_numbers or is_light(second)):
        remedy = IN_NANOMETRES if axis == WAVELENGTH else "convert the axis to Raman shift in cm^-1"
        raise FormatError(f"line {number}: the first column is {_shown(first)}, {axis}; {remedy}")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    """Text for a message: bounded and with control characters made visible."""
    return repr(text[:CELL_CHARS_SHOWN] + ("..." if len(text) > CELL_CHARS_SHOWN else ""))


def _rising(
    shifts: list[float], counts: list[float], lines: list[int]
) -> tuple[FloatArray, FloatArray]:
    """Both columns with rising axis; FormatError names the line where it turns or repeats."""
    axis, light = np.array(shifts), np.array(counts)
    step = np.diff(axis)
    falling = step.size > 0 and float(np.median(step)) < 0.0
    bad = np.flatnonzero(step >= 0.0 if falling else step <= 0.0)
    if bad.size:
        at = int(bad[0]) + 1
        other = np.diff(light)
        if light.size >= SWAPPED_POINTS_MIN and ((other > 0.0).all() or (other < 0.0).all()):
            raise FormatError(
                f"line {lines[at]}: the first column goes up and down, the second runs evenly from "
                f"{light[0]:g} to {light[-1]:g}: the columns are swapped; "
                "put Raman shift first and intensity second"
            )
        if at >= POINTS_MIN and abs(axis[at] - axis[0]) <= AGAIN_SHARE * float(np.ptp(axis)):
            raise FormatError(
                f"line {lines[at]}: the axis begins again at {axis[at]:g} after {axis[at - 1]:g}: "
                "a second spectrum; export one spectrum per file"
            )
        raise FormatError(
            f"line {lines[at]}: Raman shift {axis[at]:g} after {axis[at - 1]:g} repeats or turns "
            "back; sort the axis and remove repeated points"
        )
    return (axis[::-1].copy(), light[::-1].copy()) if falling else (axis, light)
