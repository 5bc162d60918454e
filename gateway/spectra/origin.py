"""What a file says of itself: which instrument measured it, when, and with which laser.

Exporters write this as `key: value`, `key,value` or `##LABEL= value` above the numbers. What is not
said, or can be read in two ways (05/06/07), stays unknown: a guessed date would make an old
calibration young.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.spectra.axis import EXCITATION_NM_MAX, EXCITATION_NM_MIN

TEXT_CHARS_MAX = 96
"""Longest model with serial number that is kept."""

DATE_CHARS_MAX = 40
"""Of a date that cannot be read, to show."""

HEAD_LINES_MAX = 256
"""Lines read for what a file says of itself; exporters write some forty."""

YEAR_MIN, YEAR_MAX = 1990, 2099
"""Outside of these a date is a clock that was never set."""

MEASURED_MS_MIN = 631_152_000_000
MEASURED_MS_MAX = 4_102_444_800_000
"""The same in Unix milliseconds."""

LASER_APART_NM = 2.0
"""Two statements of one laser (785, 784.9) differ by less; the lasers in use lie 5 nm apart and
more."""

FIELDS = {
    "instrument": "instrument|model|spectrometer|device|instrument model|spectrometer model"
    "|spectrometer data system|instrument name",
    "serial": "serial|serial number|serial no|serialnumber|s n|instrument serial",
    "laser": "laser|laser wavelength|laserwavelength|excitation|excitation wavelength"
    "|excitationwavelength|laser nm|laser wavelength nm|excitation nm|excitation wavelength nm",
    "date": "date|longdate|measured|measured on|measured at|measurement date|acquisition date"
    "|acquired|timestamp|time stamp|datetime|date time|date and time",
    "time": "time",
}
"""Meaning -> the keys that have it, as `_normal` writes them."""

_MEANING = {key: field for field, keys in FIELDS.items() for key in keys.split("|")}
_LASER = re.compile(r"(\d{3,4}(?:\.\d{1,6})?)\s*(?:nm)?$")
_DATE = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?\s*(Z|[+-]\d{2}:?\d{2})?$")

MeasuredFrom = Literal["", "header", "option", "file", "post"]
"""How the time of a measurement is known: not at all, from the file's own words, from the command
line, from the file's time of change, or from the post's clock."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a spectrum comes from, as far as anybody says.

    Attributes:
        instrument: model and serial number; empty when nobody says.
        measured_ms: Unix milliseconds; None when nobody says.
        measured_from: who says when.
        unread_date: what the file says of when, where that cannot be read; empty otherwise.
        excitation_nm: of the laser; None when nobody says.
    """

    instrument: str = ""
    measured_ms: int | None = None
    measured_from: MeasuredFrom = ""
    excitation_nm: float | None = None
    unread_date: str = ""


def read_origin(text: str) -> Origin:
    """What the lines above the numbers of a text say; two columns or JCAMP-DX."""
    return origin_of(_pairs(text))


def origin_of(pairs: Iterable[tuple[str, str]]) -> Origin:
    """What pairs of key and value say; the first of each meaning counts."""
    found: dict[str, str] = {}
    for key, value in pairs:
        meaning = _MEANING.get(_normal(key))
        text = " ".join(value.split(" $$")[0].strip(" \"'\t").split())
        if meaning and text and text.isprintable():
            found.setdefault(meaning, text)
    model, serial = found.get("instrument", ""), found.get("serial", "")
    named = model if serial in model else f"{model} {serial}".strip()
    measured_ms = parse_time(f"{found.get('date', '')} {found.get('time', '')}")
    if measured_ms is None:
        measured_ms = parse_time(found.get("date", ""))
    return Origin(
        instrument=named[:TEXT_CHARS_MAX],
        measured_ms=measured_ms,
        measured_from="" if measured_ms is None else "header",
        excitation_nm=_laser_nm(found.get("laser", "")),
        unread_date=found.get("date", "")[:DATE_CHARS_MAX] if measured_ms is None else "",
    )


def parse_time(text: str) -> int | None:
    """Read a date, with or without a time of day, year first; None when it is none.

    A time without a zone is taken as UTC: half a day does not matter to an age counted in days.
    """
    date = _DATE.match(text.strip())
    if date is None:
        return None
    rest = text.strip()[date.end() :].lstrip("T ,")
    clock = _CLOCK.match(rest)
    if rest and clock is None:
        return None
    hour, minute, second, zone = clock.groups() if clock else ("0", "0", "0", None)
    try:
        moment = dt.datetime(
            *(int(date[1]), int(date[3]), int(date[4]), int(hour), int(minute), int(second or 0)),
            tzinfo=_zone(zone),
        )
    except ValueError:
        return None
    if not YEAR_MIN <= moment.year <= YEAR_MAX:
        return None
    return int(moment.timestamp() * 1_000)


def is_same_instrument(one: str, other: str) -> bool:
    """Whether two names can be of one instrument: the words of the shorter are in the longer."""
    first, second = set(_normal(one).split()), set(_normal(other).split())
    return first <= second or second <= first


def is_same_laser(one_nm: float, other_nm: float) -> bool:
    """Whether two stated wavelengths are of one laser."""
    return math.isclose(one_nm, other_nm, rel_tol=0.0, abs_tol=LASER_APART_NM)


def _zone(text: str | None) -> dt.timezone:
    if text in {None, "Z"} or text is None:
        return dt.UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return dt.timezone(sign * dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def _laser_nm(text: str) -> float | None:
    """Wavelength of a laser from words such as `785 nm`; None when it says something else."""
    match = _LASER.match(text.lower())
    value = float(match[1]) if match else 0.0
    return value if EXCITATION_NM_MIN <= value <= EXCITATION_NM_MAX else None


def _normal(key: str) -> str:
    """A key in small letters, everything but letters and digits as single blanks."""
    return " ".join(re.sub(r"[\W_]+", " ", key.lower()).split())


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    """Key and value of each line above the numbers that has both."""
    for line in text.lstrip("\ufeff").splitlines()[:HEAD_LINES_MAX]:
        row = line.strip()
        if row.upper().startswith(("##XYDATA", "##XYPOINTS", "##PEAK")):
            return
        row = row.lstrip("#%'$ ")
        places = [place for mark in ":=,;\t" if (place := row.find(mark)) > 0]
        if places:
            at = min(places)
            yield row[:at], row[at + 1 :]
