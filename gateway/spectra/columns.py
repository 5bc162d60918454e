"""Read a spectrum from two columns of text: Raman shift in cm^-1 and intensity."""

from __future__ import annotations

import math

import numpy as np

from gateway.spectra.errors import FormatError
from gateway.spectra.spectrum import POINTS_MAX, FloatArray

HEADER_LINES_MAX = 64
"""Vendor exports put up to some forty lines of settings before the numbers."""

CELL_CHARS_SHOWN = 40

NOT_SHIFT_WORDS = ("nm", "wavelength", "pixel", "longueur", "longitud")
"""Column names that tell of an axis that is not a Raman shift."""


def parse_columns(text: str) -> tuple[FloatArray, FloatArray]:
    """Read two columns separated by comma, semicolon, tab or spaces.

    Header lines before the first numbers and lines starting with `#` are skipped. With semicolons
    or tabs between the columns a decimal comma is understood. A falling axis is reversed.

    Returns:
        Raman shift in cm^-1, shape (n,), strictly increasing, and intensity, shape (n,).

    Raises:
        FormatError: naming line, value and remedy.
    """
    shifts: list[float] = []
    counts: list[float] = []
    lines: list[int] = []
    skipped = 0
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        row = line.strip()
        if not row or row.startswith("#"):
            continue
        pair = _pair(row)
        if pair is None:
            if shifts:
                raise FormatError(
                    f"line {number}: {_shown(row)} is not a pair of numbers; "
                    "remove the line or export two columns"
                )
            skipped += 1
            _check_header(number, row, skipped)
            continue
        for name, value in zip(("Raman shift", "intensity"), pair, strict=True):
            if not math.isfinite(value):
                raise FormatError(
                    f"line {number}: {name} is {value}; every value must be a finite number, "
                    "measure or export again"
                )
        if len(shifts) >= POINTS_MAX:
            raise FormatError(
                f"line {number}: more than {POINTS_MAX} points; export a single spectrum"
            )
        shifts.append(pair[0])
        counts.append(pair[1])
        lines.append(number)
    if not shifts:
        raise FormatError(
            "no line holds two numbers; give two columns, Raman shift in cm^-1 and intensity"
        )
    return _rising(shifts, counts, lines)


def _cells(row: str) -> tuple[list[str], bool]:
    """Cells of a line and whether a comma in them is a decimal comma."""
    for separator in (";", "\t"):
        if separator in row:
            return [cell.strip() for cell in row.rstrip(separator).split(separator)], True
    if "," in row:
        return [cell.strip() for cell in row.rstrip(",").split(",")], False
    return row.split(), False


def _pair(row: str) -> tuple[float, float] | None:
    """The two numbers of a line, or None when it is no such line."""
    cells, decimal_comma = _cells(row)
    if len(cells) != 2 or "_" in row:  # Python reads 1_000 as a number, no instrument writes it
        return None
    try:
        first, second = (float(cell.replace(",", ".") if decimal_comma else cell) for cell in cells)
    except ValueError:
        return None
    return first, second


def _check_header(number: int, row: str, skipped: int) -> None:
    """Raise FormatError for lines before the numbers that show this is no two-column spectrum."""
    cells, _ = _cells(row)
    try:
        values = [float(cell.replace(",", ".")) for cell in cells]
    except ValueError:
        values = []
    if len(values) > 2:
        raise FormatError(
            f"line {number}: {len(values)} columns, two are needed; "
            "export Raman shift and one intensity column"
        )
    words = cells[0].lower().replace("(", " ").replace(")", " ").replace("_", " ").split()
    if len(cells) == 2 and any(word in NOT_SHIFT_WORDS for word in words):
        raise FormatError(
            f"line {number}: the first column is {_shown(cells[0])}; "
            "convert the axis to Raman shift in cm^-1"
        )
    if skipped > HEADER_LINES_MAX:
        raise FormatError(
            f"line {number}: no numbers after {HEADER_LINES_MAX} lines; "
            "give two columns, Raman shift in cm^-1 and intensity"
        )


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
        raise FormatError(
            f"line {lines[at]}: Raman shift {axis[at]:g} after {axis[at - 1]:g} repeats or turns "
            "back; sort the axis and remove repeated points"
        )
    return (axis[::-1].copy(), light[::-1].copy()) if falling else (axis, light)
