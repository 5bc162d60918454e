"""`harmattan calibrate-lamp`: a wavelength axis by a neon lamp, the laser's by a standard.

Both spectra come as the detector counts them, pixel by pixel: the lamp gives each pixel its
wavelength, and a standard on that axis then tells how far the laser is from its nominal wavelength.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.text import Text

from gateway.calibration import STATUS_FAILED, STATUS_UNREADABLE, STATUS_VALID, show_fault
from gateway.sample import read_bounded, reason_of
from gateway.spectra.axis import COEFFICIENTS_MAX, raman_axis_cm1
from gateway.spectra.calibrate import calibrate
from gateway.spectra.columns import read_columns
from gateway.spectra.errors import AxisError, CalibrationError, FormatError, SpectraError
from gateway.spectra.lamp import LampFit, fit_lamp, true_excitation_nm
from gateway.spectra.spectrum import FloatArray, Spectrum
from gateway.spectra.standards import find_standard


def run_lamp(
    file: Path,
    stored: str,
    *,
    standard: str = "",
    laser_nm: float = 785.0,
    as_json: bool,
    console: Console,
) -> int:
    """Fit an instrument's wavelength axis to the spectrum of a neon lamp and print it.

    Args:
        file: two columns, pixel number and dark-subtracted counts.
        stored: the instrument's own coefficients, comma-separated, constant first.
        standard: `STANDARD=FILE`, pixels and counts of a standard, to find the laser's wavelength
            by; empty = leave it.
        laser_nm: the laser's nominal wavelength, for the standard.
        as_json: one JSON object instead of text.
        console: where to print.

    Returns:
        0 fitted, 1 the lamp gives no axis or the standard no laser, 2 a file cannot be read.
    """
    name = str(file)
    try:
        coefficients = _coefficients(stored)
        found = fit_lamp(_read_pixels(file), coefficients)
        record: dict[str, Any] = {"state": "valid", **dataclasses.asdict(found)}
        if standard:
            name = standard
            record["excitation_nm"] = _laser_nm(found, standard, laser_nm)
    except AxisError as error:
        show_fault("neon", "lamp_refused", f"{name}: {error}", console, as_json=as_json)
        return STATUS_FAILED
    except CalibrationError as error:
        show_fault("neon", error.fault, f"{name}: {error}", console, as_json=as_json)
        return STATUS_FAILED
    except (SpectraError, OSError) as error:
        text = f"{name}: {reason_of(error)}"
        show_fault("neon", "unreadable", text, console, as_json=as_json)
        return STATUS_UNREADABLE
    if as_json:
        console.out(msgspec.json.encode(record).decode(), highlight=False)
    else:
        _show(found, record.get("excitation_nm"), laser_nm, console)
    return STATUS_VALID


def _show(found: LampFit, true_nm: float | None, laser_nm: float, console: Console) -> None:
    """Print the axis, and the laser's wavelength where a standard gave it."""
    console.print(Text("neon: valid", style="bold green"))
    console.print(
        Text(
            f"{len(found.lines)} lines, {found.residual_nm_rms:.4f} nm r.m.s. from the polynomial; "
            "coefficients, nm in air, constant first:"
        )
    )
    for value in found.coefficients_nm:
        console.print(Text(f"  {value!r}"))
    if true_nm is not None:
        off_nm = true_nm - laser_nm
        console.print(
            Text(f"the laser has {true_nm:.3f} nm in air, {off_nm:+.3f} nm from {laser_nm:g}")
        )


def _laser_nm(found: LampFit, standard: str, laser_nm: float) -> float:
    """Wavelength of the laser by a standard measured on the lamp's axis.

    Raises:
        OSError: its file cannot be opened.
        SpectraError: it is none, or does not set the axis.
    """
    name, mark, file = standard.partition("=")
    if not mark or not name or not file:
        raise FormatError("--standard: write STANDARD=FILE, for example cyclohexane=pixels.csv")
    chosen = find_standard(name)
    counts = _read_pixels(Path(file))
    try:
        axis = raman_axis_cm1(found.coefficients_nm, counts.size, laser_nm)
    except AxisError as error:  # the lamp's fit is sound, so it is the number of pixels
        raise FormatError(str(error)) from error
    return true_excitation_nm(calibrate(Spectrum(axis, counts), chosen), laser_nm)


def _coefficients(stored: str) -> list[float]:
    """The instrument's own polynomial.

    Raises:
        FormatError: a word of it is no number.
    """
    words = stored.split(",")
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if not 2 <= len(values) <= COEFFICIENTS_MAX or not all(map(math.isfinite, values)):
        raise FormatError(
            f"--stored {stored[:60]!r}: give 2 to {COEFFICIENTS_MAX} numbers, constant first, with "
            "commas between them and points in them, such as 800.3,0.142,-1.2e-5"
        )
    return values


def _read_pixels(file: Path) -> FloatArray:
    """Counts of every pixel, shape (n,).

    Raises:
        OSError: the file cannot be opened.
        FormatError: it is no file, is too large, or its first column does not count pixels.
    """
    text = read_bounded(file).decode("utf-8", errors="replace")
    pixel, counts, _ = read_columns(text, "pixel")
    if pixel[0] not in {0.0, 1.0} or not (pixel == pixel[0] + np.arange(pixel.size)).all():
        raise FormatError(
            f"the first column begins {pixel[0]:g}, {pixel[1 % pixel.size]:g}; it must count "
            "pixels, 0, 1, 2, ...; export it so"
        )
    return counts
