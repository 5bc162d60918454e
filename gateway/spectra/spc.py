"""Read Raman spectra from Galactic SPC files, strictly. Pure.

What is read: the new format in both byte orders (0x4B, 0x4C) and the old one of the DOS programs
(0x4D); one or many traces; even X, one uneven X for all, or an X of each trace's own; Y as 32-bit
float or as 16- or 32-bit integers with an exponent. Every count and offset is held against the
length of the file before anything is allocated.

A file says what it holds (technique, X and Y units). What is not Raman is refused by name: an
infrared spectrum of the same substance looks plausible and is wrong.

Reference: Galactic Industries, A Brief Guide to SPC File Format and Using GSPCIO (1997).
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.spectra.errors import FormatError
from gateway.spectra.spectrum import POINTS_MAX, POINTS_MIN, FloatArray

NEW_LITTLE, NEW_BIG, OLD = 0x4B, 0x4C, 0x4D
"""Second byte of the file."""

TRACES_MAX = 256
"""Files of a measuring campaign hold tens of traces; a map of thousands is no reference."""

X_ABS_MAX = 1e6
"""Beyond any Raman shift or wavenumber; keeps arithmetic far from overflow."""

LOG_CHARS_MAX = 64 * 1024

Y_16_BIT, MANY, OWN_X, UNEVEN_X = 0x01, 0x04, 0x40, 0x80
"""Flag bits: 16-bit integers, several traces, every trace has its X, X values are in the file."""

FLOAT = -128
"""Exponent 0x80: Y are 32-bit floats."""

SUBHEADER_BYTES = 32
HEADER = "BBBbIddIBBBBI9s9sH32s130s30sIIBBHf48sfIfB187s"
OLD_HEADER = "<BBhfffBBHBBBB8sHH28s130s30s"
SUBHEADER = "BbHfffIIf4s"
LOG_HEADER = "IIIII44s"
DIRECTORY_ROW = "2If"

X_RAMAN, X_WAVENUMBER = 13, 1
X_UNITS = {
    0: "arbitrary",
    1: "wavenumber cm^-1",
    2: "micrometres",
    3: "nanometres",
    4: "seconds",
    5: "minutes",
    9: "mass m/z",
    10: "ppm",
    14: "electronvolts",
    16: "diode numbers",
    17: "channels",
    22: "data points",
}
LIGHT_UNITS = {0: "arbitrary", 4: "counts", 5: "volts", 9: "millivolts", 12: "intensity",
               13: "relative intensity", 14: "energy", 131: "emission"}  # fmt: skip
OTHER_Y_UNITS = {
    1: "an interferogram",
    2: "absorbance",
    3: "Kubelka-Munk",
    10: "log(1/R)",
    11: "percent",
    128: "transmission",
    129: "reflectance",
    130: "a single beam",
}
TECHNIQUE_RAMAN = 11
TECHNIQUES = {
    1: "gas chromatography",
    2: "chromatography",
    3: "liquid chromatography",
    5: "near infrared",
    7: "ultraviolet-visible",
    8: "X-ray diffraction",
    9: "mass spectrometry",
    10: "nuclear magnetic resonance",
    12: "fluorescence",
    13: "atomic spectroscopy",
    14: "diode-array chromatography",
}
"""General (0) and FT-IR, FT-NIR, FT-Raman (4) leave it to the units."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One spectrum of a file.

    Attributes:
        number: its place in the file, from 1.
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing.
        intensity: shape (n,), in the file's unit.
        measured_on: ISO date of the file, empty when it has none.
        comment: the file's memo, one line.
        source: instrument as the file names it.
        log: `key = value` lines of the file's log.
    """

    number: int
    axis_cm1: FloatArray
    intensity: FloatArray
    measured_on: str
    comment: str
    source: str
    log: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Head:
    """What both formats say at the beginning of the file; sizes and places in bytes."""

    order: str
    flags: int
    technique: int
    exponent: int
    point_count: int
    first: float
    last: float
    trace_count: int
    x_unit: int
    y_unit: int
    measured_on: str
    comment: str
    source: str
    log_at: int
    body_at: int


def looks_like_spc(content: bytes) -> bool:
    """Whether bytes start like an SPC file: a format byte, and no text."""
    return len(content) > 2 and content[1] in (NEW_LITTLE, NEW_BIG, OLD) and b"\0" in content[:64]


def parse_spc(content: bytes) -> tuple[Trace, ...]:
    """Read every trace of an SPC file.

    Args:
        content: the whole file, bounded by the caller.

    Raises:
        FormatError: it is cut off, contradicts itself, or does not hold Raman spectra; names the
            field or trace, its value and the remedy.
    """
    if not looks_like_spc(content):
        raise FormatError("not a Galactic SPC file; export as SPC, JCAMP-DX or two-column CSV")
    head = _old_head(content) if content[1] == OLD else _new_head(content)
    _check_raman(head)
    log = _log(content, head)
    traces, at, axis = [], head.body_at, None
    if not head.flags & OWN_X:
        axis, at = _common_axis(content, head)
    places = _directory(content, head)
    for number in range(1, head.trace_count + 1):
        if content[1] == OLD and number > 1 and at >= len(content):
            break  # the old header does not say how many there are
        at = places[number - 1] if places else at
        x, y, at = _trace(content, head, at, axis, number)
        x, y = _rising(x, y, number)
        traces.append(Trace(number, x, y, head.measured_on, head.comment, head.source, log))
    return tuple(traces)


def _new_head(content: bytes) -> _Head:
    order = "<" if content[1] == NEW_LITTLE else ">"
    values = _unpack(order + HEADER, content, 0, "header")
    flags, _, technique, exponent, count, first, last, traces, x_unit, y_unit = values[:10]
    date, source, comment, log_at = values[12], values[14], values[17], values[19]
    if not flags & MANY:
        traces = 1
    if not 1 <= traces <= TRACES_MAX:
        raise FormatError(
            f"SPC file has {traces} traces, 1 to {TRACES_MAX} are accepted; export single spectra"
        )
    if not flags & OWN_X:
        _check_count(count, "file")
    return _Head(
        order, flags, technique, exponent, count, first, last, traces, x_unit, y_unit,
        _date(date >> 20, date >> 16 & 15, date >> 11 & 31), _line(comment), _line(source),
        log_at, struct.calcsize(order + HEADER),
    )  # fmt: skip


def _old_head(content: bytes) -> _Head:
    values = _unpack(OLD_HEADER, content, 0, "header")
    flags, _, exponent, count, first, last, x_unit, y_unit, year, month, day = values[:11]
    if flags & (OWN_X | UNEVEN_X):
        raise FormatError("SPC file of the old format with uneven X; export in the new format")
    if not (math.isfinite(count) and count == int(count)):
        raise FormatError(f"SPC file says it has {count:g} points; it is damaged, export it again")
    _check_count(int(count), "file")
    return _Head(
        "<", flags, 0, FLOAT if exponent == 128 else exponent, int(count), first, last,
        TRACES_MAX if flags & MANY else 1, x_unit, y_unit,
        _date(year & 0x0FFF, month, day), _line(values[17]), "",
        0, struct.calcsize(OLD_HEADER),
    )  # fmt: skip


def _check_count(count: int, what: str) -> None:
    if not POINTS_MIN <= count <= POINTS_MAX:
        raise FormatError(
            f"SPC {what} has {count} points, {POINTS_MIN} to {POINTS_MAX} are accepted; "
            "export the full spectrum"
        )


def _check_raman(head: _Head) -> None:
    """Raise FormatError naming what the file holds instead of Raman spectra."""
    if head.technique in TECHNIQUES:
        raise FormatError(
            f"SPC file holds {TECHNIQUES[head.technique]}, not Raman; give a Raman spectrum"
        )
    if head.y_unit not in LIGHT_UNITS:
        what = OTHER_Y_UNITS.get(head.y_unit, f"unit number {head.y_unit}")
        raise FormatError(
            f"SPC file's Y is {what}, not light: not a Raman spectrum; give counts or intensity"
        )
    if head.x_unit == X_RAMAN:
        return
    is_named = head.technique == TECHNIQUE_RAMAN or head.y_unit == 4  # infrared is never in counts
    if head.x_unit != X_WAVENUMBER:
        unit = X_UNITS.get(head.x_unit, f"unit number {head.x_unit}")
        raise FormatError(f"SPC file's X is {unit}; export with Raman shift in cm^-1")
    if not is_named:
        raise FormatError(
            "SPC file's X is wavenumber, its Y has no unit and its technique is not stated: it may "
            "be infrared; export with Raman shift as the unit of X"
        )


def _common_axis(content: bytes, head: _Head) -> tuple[FloatArray, int]:
    """The X of all traces, shape (n,), and where the first trace begins."""
    if head.flags & UNEVEN_X:
        return _floats(content, head, head.body_at, head.point_count, "X")
    for name, value in (("first", head.first), ("last", head.last)):
        if not (math.isfinite(value) and abs(value) <= X_ABS_MAX):
            raise FormatError(f"SPC file's {name} X is {value:g}; it is damaged, export it again")
    return np.linspace(head.first, head.last, head.point_count), head.body_at


def _directory(content: bytes, head: _Head) -> list[int]:
    """Where each trace begins, from the directory that files with own X may have; else empty.

    In these files the header's point count is the place of the directory. Some programs write none,
    or one that leads nowhere; their traces follow each other.
    """
    size = struct.calcsize(head.order + DIRECTORY_ROW)
    last = len(content) - size * head.trace_count
    if not head.flags & OWN_X or not head.body_at < head.point_count <= last:
        return []
    rows = (
        struct.unpack_from(head.order + DIRECTORY_ROW, content, head.point_count + size * row)
        for row in range(head.trace_count)
    )
    places = [place for place, _, _ in rows]
    is_sound = all(head.body_at <= place <= len(content) - SUBHEADER_BYTES for place in places)
    return places if is_sound and len(set(places)) == len(places) else []


def _trace(
    content: bytes, head: _Head, at: int, axis: FloatArray | None, number: int
) -> tuple[FloatArray, FloatArray, int]:
    """X and Y of the trace whose subheader stands at `at`, and where the next one does."""
    values = _unpack(head.order + SUBHEADER, content, at, f"trace {number}")
    at += SUBHEADER_BYTES
    exponent, count = values[1], head.point_count
    # A file of one trace keeps its exponent in the header, and often zero here.
    if not head.flags & MANY or (head.exponent == FLOAT and exponent == 0):
        exponent = head.exponent
    if axis is None:
        count = values[6]
        _check_count(count, f"trace {number}")
        axis, at = _floats(content, head, at, count, f"trace {number}")
    if exponent == FLOAT:
        light, at = _floats(content, head, at, count, f"trace {number}")
    else:
        light, at = _integers(content, head, at, count, exponent, number)
    return axis, light, at


def _floats(content: bytes, head: _Head, at: int, count: int, what: str) -> tuple[FloatArray, int]:
    end = _end(content, at, 4 * count, what)
    return np.frombuffer(content[at:end], dtype=f"{head.order}f4").astype(np.float64), end


def _integers(
    content: bytes, head: _Head, at: int, count: int, exponent: int, number: int
) -> tuple[FloatArray, int]:
    """Y from integers: fractions of the full range of their width, times two to the exponent."""
    width = 16 if head.flags & Y_16_BIT else 32
    end = _end(content, at, count * width // 8, f"trace {number}")
    whole = np.frombuffer(content[at:end], dtype=f"{head.order}i{width // 8}")
    if content[1] == OLD and width == 32:  # its words stand in the order of the PDP-11
        words = np.frombuffer(content[at:end], dtype="<u2").reshape(count, 2)
        whole = (words[:, 0].astype(np.uint32) << 16 | words[:, 1]).view(np.int32)
    return np.ldexp(whole.astype(np.float64), exponent - width), end


def _end(content: bytes, at: int, size: int, what: str) -> int:
    if at + size > len(content):
        raise FormatError(
            f"SPC file is cut off: {what} needs {at + size} bytes, the file has {len(content)}; "
            "copy or export it again"
        )
    return at + size


def _unpack(form: str, content: bytes, at: int, what: str) -> tuple[Any, ...]:
    _end(content, at, struct.calcsize(form), what)
    return struct.unpack_from(form, content, at)


def _rising(x: FloatArray, y: FloatArray, number: int) -> tuple[FloatArray, FloatArray]:
    """Both columns with rising axis; FormatError names the trace that cannot be used."""
    for name, column in (("X", x), ("Y", y)):
        if not np.isfinite(column).all():
            raise FormatError(f"SPC trace {number} has a {name} that is no finite number")
    if x[0] > x[-1]:
        x, y = x[::-1].copy(), y[::-1].copy()
    bad = np.flatnonzero(np.diff(x) <= 0.0)
    if bad.size:
        raise FormatError(
            f"SPC trace {number}: X {x[bad[0] + 1]:g} after {x[bad[0]]:g} repeats or turns back; "
            "sort the axis and remove repeated points"
        )
    return x, y


def _log(content: bytes, head: _Head) -> dict[str, str]:
    """`key = value` lines of the log; empty when there is none or it lies outside the file."""
    size = struct.calcsize(head.order + LOG_HEADER)
    if not head.body_at <= head.log_at <= len(content) - size:
        return {}
    text_at = head.log_at + struct.unpack_from(head.order + LOG_HEADER, content, head.log_at)[2]
    text = content[text_at : text_at + LOG_CHARS_MAX].split(b"\0", 1)[0].decode("latin-1")
    pairs = [line.partition("=") for line in text.splitlines()]
    return {key.strip().lower(): _line(value.encode("latin-1")) for key, _, value in pairs if value}


def _date(year: int, month: int, day: int) -> str:
    try:
        return dt.date(year, month, day).isoformat()
    except ValueError:
        return ""


def _line(content: bytes) -> str:
    """Text of a fixed field: up to its NUL, what is not printable as a blank, without blanks."""
    text = content.split(b"\0", 1)[0].decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
