"""A measured specimen: one spectrum of a known substance, with where it comes from. Pure.

A specimen is kept as text that people and spreadsheets can read: comment lines with its provenance,
then two columns. The text has exactly one form, so its digest names it:

    # harmattan specimen 1
    # substance_id: calcite
    # ...
    raman_shift_cm1,intensity
    102.5,1834.2

Numbers are rounded to 0.001 cm^-1 and seven digits when a specimen is made, far below what any
instrument resolves: what is in memory is what stands in the file.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec
import numpy as np

from gateway.spectra.errors import SpecimenError
from gateway.spectra.spectrum import (
    RESOLUTION_CM1_MAX,
    RESOLUTION_CM1_MIN,
    FloatArray,
    Spectrum,
)

FIRST_LINE = "# harmattan specimen 1"
COLUMN_LINE = "raman_shift_cm1,intensity"

TEXT_BYTES_MAX = 8 * 1024 * 1024
"""200,000 points, the most a spectrum may have, take about 4 MB."""

DIGITS = 7
INTENSITY_MIN = 1e-12
"""Smaller numbers are written as 0: no unit in use makes a signal of them."""

FIELD_CHARS_MAX = 300
"""A line of provenance is a sentence, not a report."""

EXCITATION_NM_RANGE = (200.0, 1_100.0)
"""Deep ultraviolet to 1064 nm; no Raman laser in use lies outside."""

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
DIGEST_CHARS = 12
"""48 bits: two of ten thousand specimens share it with a chance of one in five million."""

NUMBER_FIELDS = ("resolution_cm1", "excitation_nm")
REQUIRED = ("instrument", "licence", "source", "measured_by", "measured_on")
"""Without these nobody can judge later whether a specimen may be trusted, or be handed on."""


@dataclass(frozen=True, slots=True, eq=False)
class Specimen:
    """One measured spectrum of a known substance.

    Attributes:
        specimen_id: substance and digest of the numbers; empty when made, then filled in.
        substance_id: row of the substances table.
        state: form of the substance (`tetrahydrate`, `solution`), empty for the usual one.
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing.
        intensity: shape (n,), any unit linear in light.
        resolution_cm1: line width of the instrument (FWHM), 0.5 to 40; None = not known.
        excitation_nm: laser wavelength, 200 to 1100; None = not known.
        instrument: model and serial number.
        licence: under which it may be handed on.
        source: where the sample or the file comes from.
        measured_by: person or laboratory.
        measured_on: ISO date.
        imported_on: ISO date.
        doubt: what the checks at import found; empty = nothing. A specimen in doubt is kept, and
            used only once somebody has confirmed it.
        confirmed: who confirmed it against the doubt, and why.

    Raises:
        SpecimenError: a field is missing, too long or not of its form.
        SpectrumError: the numbers are no usable spectrum.
    """

    specimen_id: str
    substance_id: str
    state: str
    axis_cm1: FloatArray
    intensity: FloatArray
    resolution_cm1: float | None
    excitation_nm: float | None
    instrument: str
    licence: str
    source: str
    measured_by: str
    measured_on: str
    imported_on: str
    doubt: str = ""
    confirmed: str = ""

    def __post_init__(self) -> None:
        axis = np.asarray(self.axis_cm1, dtype=np.float64)
        light = np.asarray(self.intensity, dtype=np.float64)
        Spectrum(axis, light)  # refuses what is no spectrum before it is rounded
        _check_fields(self)
        axis, light = np.rint(axis * 1_000.0) / 1_000.0 + 0.0, _seven_digits(light)
        Spectrum(axis, light)  # rounding may have made points of a very fine axis coincide
        object.__setattr__(self, "axis_cm1", axis)
        object.__setattr__(self, "intensity", light)
        for column in (axis, light):
            column.setflags(write=False)
        wanted = f"{self.substance_id}-{self.digest}"
        if self.specimen_id not in ("", wanted):
            raise SpecimenError(
                f"specimen {self.specimen_id!r} holds the numbers of {wanted!r}; "
                "it was changed after its import, import the spectrum again"
            )
        object.__setattr__(self, "specimen_id", wanted)

    @property
    def digest(self) -> str:
        """Name of the numbers alone: the same measurement has the same whatever is said of it."""
        numbers = self.axis_cm1.astype("<f8").tobytes() + self.intensity.astype("<f8").tobytes()
        return hashlib.sha256(numbers).hexdigest()[:DIGEST_CHARS]

    @property
    def is_usable(self) -> bool:
        """Whether identification may use it: no doubt, or a confirmed one."""
        return not self.doubt or bool(self.confirmed)

    def spectrum(self, axis_uncertainty_cm1: float = 2.0) -> Spectrum:
        """The specimen as a spectrum to be prepared or identified."""
        return Spectrum(
            self.axis_cm1,
            self.intensity,
            resolution_cm1=self.resolution_cm1,
            axis_uncertainty_cm1=axis_uncertainty_cm1,
        )

    def confirm(self, who_and_why: str) -> Specimen:
        """The same specimen, confirmed against its doubt."""
        return replace(self, confirmed=who_and_why)


TEXT_FIELDS = tuple(
    field.name for field in fields(Specimen) if field.name not in ("axis_cm1", "intensity")
)


def write_specimen(specimen: Specimen) -> str:
    """The specimen as text; `read_specimen` gives it back, number for number."""
    lines = [FIRST_LINE]
    for name in TEXT_FIELDS:
        value = getattr(specimen, name)
        shown = "" if value is None else f"{value:g}" if isinstance(value, float) else value
        lines.append(f"# {name}: {shown}".rstrip())
    lines.append(COLUMN_LINE)
    columns = np.column_stack([specimen.axis_cm1, specimen.intensity])
    rows = "%.3f,%.7g\n" * len(columns) % tuple(columns.ravel().tolist())
    return "\n".join(lines) + "\n" + rows


def read_specimen(name: str, text: str, *, is_known: bool = False) -> Specimen:
    """Read a specimen's own text, strictly: it must be the very text that would be written.

    Args:
        name: of the file, for messages.
        text: as `write_specimen` gives it.
        is_known: these very bytes were read before and found to be so; saves half of the time.

    Raises:
        SpecimenError: it is not; names file, line and remedy.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise SpecimenError(f"specimen {name} is longer than {TEXT_BYTES_MAX} characters")
    if not looks_like_specimen(text):
        raise SpecimenError(
            f"specimen {name} does not begin with {FIRST_LINE!r}; "
            "import the spectrum with `harmattan library import`"
        )
    head, marker, body = text.partition(f"\n{COLUMN_LINE}\n")
    if not marker:
        raise SpecimenError(f"specimen {name} has no line {COLUMN_LINE!r}; import it again")
    values = _header(name, head)
    try:
        numbers = _numbers(body)
        known: dict[str, Any] = {**values}
        known |= {key: _number(key, values[key]) for key in NUMBER_FIELDS}
        specimen = Specimen(axis_cm1=numbers[0::2], intensity=numbers[1::2], **known)
    except SpecimenError as error:
        raise SpecimenError(f"specimen {name}: {error}") from None
    except ValueError as error:  # also what numpy and Spectrum say of the numbers
        raise SpecimenError(f"specimen {name}: {error}; import it again") from None
    if not is_known and write_specimen(specimen) != text:
        raise SpecimenError(
            f"specimen {name} is not in the form it was written in; "
            "it was edited by hand, import the spectrum again"
        )
    return specimen


def _numbers(body: str) -> FloatArray:
    """The numbers of both columns in turn.

    Raises:
        ValueError: one is none.
    """
    try:  # as JSON is read five times faster than word by word
        found = msgspec.json.decode(f"[{body.strip().replace(chr(10), ',')}]", type=list[float])
    except msgspec.DecodeError:  # says where in its own words; numpy names the word
        return np.array(body.replace(",", " ").split(), dtype=np.float64)
    return np.array(found)


def looks_like_specimen(text: str) -> bool:
    """Whether the text starts like a specimen's own file."""
    return text.startswith(FIRST_LINE + "\n")


def read_provenance(name: str, text: str) -> dict[str, str]:
    """What a specimen's own text says of itself, for an import that takes it over.

    Raises:
        SpecimenError: its head is not as written.
    """
    return _header(name, text.partition(f"\n{COLUMN_LINE}\n")[0])


def _header(name: str, head: str) -> dict[str, str]:
    """The fields of the comment lines, each exactly once and in order."""
    lines = head.split("\n")[1:]
    values: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.removeprefix("# ").partition(":")
        if not line.startswith("# ") or not colon:
            raise SpecimenError(f"specimen {name}: {line[:60]!r} is no line of provenance")
        values[key] = value.strip()
    if tuple(values) != TEXT_FIELDS:
        odd = sorted(set(values) ^ set(TEXT_FIELDS)) or ["their order"]
        raise SpecimenError(
            f"specimen {name}: provenance differs in {', '.join(odd)[:120]}; import it again"
        )
    return values


def _number(key: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise SpecimenError(f"{key} {text[:40]!r} is not a number") from None


def _seven_digits(light: FloatArray) -> FloatArray:
    """Intensities rounded to seven digits, shape (n,).

    Each is a whole number below 2**53 times or over a power of ten that is exact, so the result is
    the very number that its seven digits are read as.
    """
    size = np.abs(light)
    there = size >= INTENSITY_MIN
    tens = np.zeros(light.shape, dtype=np.int64)
    tens[there] = DIGITS - 1 - np.floor(np.log10(size[there])).astype(np.int64)
    up, down = 10.0 ** np.maximum(tens, 0), 10.0 ** np.maximum(-tens, 0)
    return np.where(there, np.rint(light * up / down) / up * down, 0.0) + 0.0


def _check_fields(specimen: Specimen) -> None:
    """Raise SpecimenError for a field that is missing or not of its form."""
    for key in TEXT_FIELDS:
        value = getattr(specimen, key)
        if isinstance(value, str) and (
            len(value) > FIELD_CHARS_MAX or value != value.strip() or not value.isprintable()
        ):
            raise SpecimenError(
                f"{key} {value[:60]!r} is not one line of at most {FIELD_CHARS_MAX} characters "
                "without blanks at its ends; shorten it"
            )
    if not ID.fullmatch(specimen.substance_id):
        raise SpecimenError(
            f"substance_id {specimen.substance_id!r} is not an id (a-z, 0-9, _ and -); "
            "`harmattan library list` shows them"
        )
    if specimen.state and not ID.fullmatch(specimen.state):
        raise SpecimenError(f"state {specimen.state!r} is not a word of a-z, 0-9, _ and -")
    missing = [key for key in REQUIRED if not getattr(specimen, key)]
    if missing:
        raise SpecimenError(
            f"provenance lacks {', '.join(missing)}; a specimen nobody can trace is of no use"
        )
    for key in ("measured_on", "imported_on"):
        check_date(key, getattr(specimen, key))
    _check_range("resolution_cm1", specimen.resolution_cm1, RESOLUTION_CM1_MIN, RESOLUTION_CM1_MAX)
    _check_range("excitation_nm", specimen.excitation_nm, *EXCITATION_NM_RANGE)


def check_date(key: str, text: str) -> None:
    """Raise SpecimenError unless `text` is an ISO date."""
    try:
        good = dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        good = False
    if not good:
        raise SpecimenError(f"{key} {text!r} is not a date; write it like 2026-11-21")


def _check_range(key: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise SpecimenError(f"{key} {value:g} is outside {low:g} to {high:g}; correct it")
    if value is not None and float(f"{value:g}") != value:
        raise SpecimenError(f"{key} {value!r} has more than six digits; round it")
