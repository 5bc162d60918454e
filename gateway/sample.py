"""Read measured spectra from files, with what the files say of themselves.

Used by `harmattan identify` and `harmattan calibrate`. A title that gives the unit of the axis
decides; where there is none the numbers must not allow two readings, or the person says which.
"""

from __future__ import annotations

import codecs
import datetime as dt
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from gateway.screening.standing import DAYS_MAX, Standing, fail, rely
from gateway.spectra.axis import CM1_NM
from gateway.spectra.calibration import Calibration
from gateway.spectra.columns import AxisUnit, read_columns
from gateway.spectra.detector import clipped
from gateway.spectra.errors import FormatError
from gateway.spectra.exposures import against_average, are_alike
from gateway.spectra.jcamp import looks_like_jcamp, parse_jcamp
from gateway.spectra.origin import (
    MEASURED_MS_MAX,
    MEASURED_MS_MIN,
    Origin,
    is_same_instrument,
    is_same_laser,
    origin_of,
    read_origin,
)
from gateway.spectra.quality import measure_condition
from gateway.spectra.spc import looks_like_spc, parse_spc
from gateway.spectra.spectrum import FloatArray, Spectrum

FILE_BYTES_MAX = 16 * 1024 * 1024
"""A hundred times the largest laboratory file seen; bounds memory before anything is parsed."""

EXPOSURES_MAX = 64
"""Exposures averaged at once; more than a few tens improve nothing that drift does not spoil."""

DAY_MS = 86_400_000
"""A clock may be in another zone; the day after tomorrow is none."""

SAME_AXIS_CM1 = 0.05
"""Axes of exposures of one instrument differ by rounding only."""

RAMAN_WORD = "raman"
"""In a title, a comment or a note: numbers do not spell it."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What the person says of the first column.

    Attributes:
        unit: empty = the file says, or nobody.
        laser_nm: for wavelengths; 0 = the file says.
    """

    unit: AxisUnit = ""
    laser_nm: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured spectrum and what is known of it.

    Attributes:
        spectrum: on an axis of Raman shift.
        origin: instrument, time and laser, as far as anybody says.
        axis_stated: file or person say that the axis is a Raman shift; its numbers are believed.
        is_raman: file or person say that it is a Raman spectrum; infrared ones have such axes too.
        ray_count: cosmic rays found against the average of several exposures.
        exposures: the single ones of an average, as measured; empty for a file alone.
        exposures_alike: they can be of one sample.
    """

    spectrum: Spectrum
    origin: Origin
    axis_stated: bool
    is_raman: bool
    ray_count: int = 0
    exposures: tuple[Spectrum, ...] = ()
    exposures_alike: bool = True


@dataclass(frozen=True, slots=True)
class Basis:
    """The calibration that files are judged with, or what came of trying one.

    Attributes:
        calibration: None when it failed.
        fault: why it failed; empty when it did not.
        standard_id: what was measured.
        text: one sentence for the technician; empty when it did not fail.
        days_max: an older calibration counts no more.
    """

    calibration: Calibration | None
    fault: str = ""
    standard_id: str = ""
    text: str = ""
    days_max: int = DAYS_MAX

    def standing(self, goods: Origin) -> Standing:
        """What a file of this origin stands on."""
        if self.calibration is None:
            return fail(self.fault, self.standard_id)
        return rely(self.calibration, goods, days_max=self.days_max)


def read_spectrum(file: Path, axis_uncertainty_cm1: float = 2.0) -> Spectrum:
    """Read a spectrum alone; see `read_sample`."""
    return read_sample(file, axis_uncertainty_cm1).spectrum


def read_sample(file: Path, axis_uncertainty_cm1: float = 2.0, axis: Axis | None = None) -> Sample:
    """Read a spectrum from a two-column text, a JCAMP-DX or a Galactic SPC file.

    Raises:
        OSError: the file cannot be opened.
        FormatError: it is no readable spectrum; names line, value and remedy.
        SpectrumError: its numbers cannot be used.
    """
    said = axis or Axis()
    content = read_bounded(file)
    column, counts, unit, origin, is_raman = _columns(content, said.unit)
    if said.laser_nm:
        if origin.excitation_nm and not is_same_laser(origin.excitation_nm, said.laser_nm):
            raise FormatError(
                f"the file says that its laser has {origin.excitation_nm:g} nm, --laser-nm says "
                f"{said.laser_nm:g}; leave the option out, or give the file's own"
            )
        origin = msgspec.structs.replace(origin, excitation_nm=said.laser_nm)
    if (unit or said.unit) == "nm":
        column = _shift_cm1(column, said.laser_nm or origin.excitation_nm)
    spectrum = Spectrum(
        column,
        counts,
        saturated=clipped(column, counts),
        axis_uncertainty_cm1=axis_uncertainty_cm1,
    )
    return Sample(
        spectrum,
        dated(origin, file),
        axis_stated=bool(unit or said.unit),
        is_raman=is_raman or bool(said.unit),
    )


def read_average(
    files: list[Path], axis_uncertainty_cm1: float = 2.0, axis: Axis | None = None
) -> Sample:
    """Read several exposures of one sample and average them without their cosmic rays.

    Raises:
        OSError: a file cannot be opened.
        FormatError: one is no readable spectrum, or not of the same measurement; names the file.
        SpectrumError: its numbers cannot be used.
    """
    if not 2 <= len(files) <= EXPOSURES_MAX:
        raise FormatError(
            f"--average is given {len(files)} files; give 2 to {EXPOSURES_MAX} exposures of one "
            "sample"
        )
    samples = [_named(file, axis_uncertainty_cm1, axis) for file in files]
    first = samples[0]
    for file, sample in zip(files[1:], samples[1:], strict=True):
        _check_together(files[0], first, file, sample)
    frames = np.stack([one.spectrum.intensity_counts for one in samples])
    mean, hits = against_average(frames)
    full = [one.spectrum.saturated for one in samples if one.spectrum.saturated is not None]
    struck = hits.astype(np.int8)
    starts = (np.diff(struck, axis=1, prepend=0) > 0).sum()
    spectrum = replace(
        first.spectrum,
        intensity_counts=mean,
        saturated=np.logical_or.reduce(full) if full else None,
    )
    width_cm1 = measure_condition(spectrum.axis_cm1, mean).resolution_cm1
    return replace(
        first,
        spectrum=spectrum,
        ray_count=int(starts),
        exposures=tuple(one.spectrum for one in samples),
        exposures_alike=are_alike(frames, spectrum.axis_cm1, width_cm1),
    )


def dated(origin: Origin, file: Path) -> Origin:
    """The origin with the file's time of change where the file does not say when it was measured.

    A file that says it in words nobody can read has an unknown time: its time of change would
    contradict them unseen.

    Raises:
        OSError: the file is gone.
        FormatError: it says that it was measured in the future.
    """
    if origin.measured_ms is not None and is_future(origin.measured_ms):
        day = dt.datetime.fromtimestamp(origin.measured_ms / 1_000, dt.UTC).date()
        raise FormatError(
            f"the file says that it was measured on {day}, which lies in the future; set the "
            "instrument's clock and correct the date in the file"
        )
    if origin.unread_date:
        return origin
    changed_ms = int(file.stat().st_mtime * 1_000)
    if origin.measured_ms is not None or not MEASURED_MS_MIN <= changed_ms <= MEASURED_MS_MAX:
        return origin
    return msgspec.structs.replace(origin, measured_ms=changed_ms, measured_from="file")


def is_future(measured_ms: int) -> bool:
    """Whether a time, Unix milliseconds, lies beyond tomorrow."""
    return measured_ms > time.time_ns() // 1_000_000 + DAY_MS


def _named(file: Path, axis_uncertainty_cm1: float, axis: Axis | None) -> Sample:
    """Read one of several; what is wrong with it names it."""
    try:
        return read_sample(file, axis_uncertainty_cm1, axis)
    except ValueError as error:
        raise FormatError(f"{file.name}: {error}") from error


def _check_together(first_file: Path, first: Sample, file: Path, sample: Sample) -> None:
    """Raise FormatError unless two files can be exposures of one measurement."""
    one, other = first.spectrum.axis_cm1, sample.spectrum.axis_cm1
    remedy = "give exposures of one sample by one instrument, or identify them one by one"
    if one.shape != other.shape:
        raise FormatError(
            f"{file.name} has {other.size} points, {first_file.name} has {one.size}; {remedy}"
        )
    apart = float(np.abs(one - other).max())
    if apart > SAME_AXIS_CM1:
        raise FormatError(
            f"the axis of {file.name} lies up to {apart:.2g} cm^-1 from that of {first_file.name}; "
            f"{remedy}"
        )
    names = (first.origin.instrument, sample.origin.instrument)
    if all(names) and not is_same_instrument(*names):
        raise FormatError(
            f"{file.name} is of instrument {names[1]!r}, {first_file.name} of {names[0]!r}; "
            f"{remedy}"
        )


def reason_of(error: Exception) -> str:
    """What is wrong with a file, in words with a remedy; the file is named by who tells it."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}; check the file and its permissions"
    return str(error)


def read_bounded(file: Path) -> bytes:
    """The bytes of a file of bounded length.

    Raises:
        OSError: it cannot be opened.
        FormatError: it is no file, is empty, or too large.
    """
    if not file.is_file():
        kind = "is not a file" if file.exists() else "does not exist"
        raise FormatError(f"{kind}; give the path of a spectrum file")
    with file.open("rb") as source:
        content = source.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise FormatError(
            f"larger than {FILE_BYTES_MAX} bytes; export a single spectrum as two columns"
        )
    if not content.removeprefix(b"\xef\xbb\xbf").strip():
        raise FormatError("is empty; export the spectrum again")
    return content


def _columns(
    content: bytes, said: AxisUnit
) -> tuple[FloatArray, FloatArray, AxisUnit, Origin, bool]:
    """Axis and intensity, shape (n,), the axis' unit as the file states it, and its origin.

    Last, whether the file says that it is a Raman spectrum.

    Raises:
        FormatError: it is none of the forms, or holds several spectra.
    """
    if looks_like_spc(content):
        traces = parse_spc(content)
        if len(traces) > 1:
            raise FormatError(f"holds {len(traces)} spectra; export the one to be identified")
        _check_said("the SPC file", said)
        trace = traces[0]
        words = {"instrument": trace.source, "date": trace.measured_on, **trace.log}
        is_raman = any(RAMAN_WORD in str(value).lower() for value in words.values())
        return trace.axis_cm1, trace.intensity, "cm-1", origin_of(words.items()), is_raman
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", errors="replace")  # "Unicode text" of spreadsheets
    elif b"\0" in content:
        raise FormatError("is binary, not text; export as two-column CSV, JCAMP-DX or SPC")
    else:
        # Numbers are ASCII; comments of old instruments may be in any 8-bit code.
        text = content.decode("utf-8", errors="replace")
    if looks_like_jcamp(text):
        _check_said("the JCAMP-DX file", said)
        return *parse_jcamp(text), "cm-1", read_origin(text), True
    found = read_columns(text, said)
    is_raman = RAMAN_WORD in text.lower()
    return found.axis, found.intensity, found.unit, read_origin(text), is_raman


def _check_said(what: str, said: AxisUnit) -> None:
    if said == "nm":
        raise FormatError(f"{what} says that its axis is in cm-1; leave --axis-unit nm out")


def _shift_cm1(wavelength_nm: FloatArray, laser_nm: float | None) -> FloatArray:
    """Raman shift from wavelengths, shape (n,)."""
    if not laser_nm:
        raise FormatError(
            "the axis is in nm and nobody says which laser; give --laser-nm, for example 785"
        )
    if wavelength_nm[0] <= 0.0:
        raise FormatError(
            f"the first wavelength is {wavelength_nm[0]:g} nm; wavelengths are above zero, export "
            "the axis again"
        )
    shift: FloatArray = CM1_NM / laser_nm - CM1_NM / wavelength_nm
    return shift
