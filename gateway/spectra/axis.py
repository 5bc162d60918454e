"""From pixel numbers to Raman shift, with the checks an instrument's own memory needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.spectra.errors import AxisError
from gateway.spectra.spectrum import FloatArray

CM1_NM = 1e7
"""Wavenumber in cm^-1 times wavelength in nm."""

COEFFICIENTS_MAX = 8
"""The wire carries at most eight; instruments store four."""

PIXELS_MIN = 32
PIXELS_MAX = 8192
EXCITATION_NM_MIN = 200.0
EXCITATION_NM_MAX = 2000.0
WAVELENGTH_NM_MIN = 150.0
WAVELENGTH_NM_MAX = 5000.0


@dataclass(frozen=True, slots=True)
class AxisRecord:
    """What a node says once about its instrument; its readings refer to it.

    Attributes:
        coefficients_nm: polynomial from pixel index (0, 1, ...) to wavelength in nm, constant
            first.
        pixel_count: pixels of one reading.
        excitation_nm: laser wavelength, same air or vacuum convention as the coefficients.
        resolution_cm1: line width (FWHM) in cm^-1; 0 = not stated.
        full_scale_counts: count at which a pixel is full.
        instrument: model and serial number, for people.
    """

    coefficients_nm: tuple[float, ...]
    pixel_count: int
    excitation_nm: float
    resolution_cm1: float
    full_scale_counts: int
    instrument: str


def raman_axis_cm1(
    coefficients_nm: Sequence[float], pixel_count: int, excitation_nm: float
) -> FloatArray:
    """Compute the Raman shift of every pixel.

    Args:
        coefficients_nm: one to eight numbers, constant first: wavelength in nm = sum(c[k] * i**k).
        pixel_count: 32 to 8192.
        excitation_nm: laser wavelength in nm, 200 to 2000.

    Returns:
        shape (pixel_count,), Raman shift in cm^-1, strictly increasing.

    Raises:
        AxisError: a number is not finite or out of range, or the axis does not increase.
    """
    if not PIXELS_MIN <= pixel_count <= PIXELS_MAX:
        raise AxisError(
            f"pixel count {pixel_count} is outside {PIXELS_MIN} to {PIXELS_MAX}; "
            "read the instrument's description again"
        )
    if not 2 <= len(coefficients_nm) <= COEFFICIENTS_MAX:
        raise AxisError(
            f"{len(coefficients_nm)} wavelength coefficients, 2 to {COEFFICIENTS_MAX} are needed; "
            "read the instrument's calibration again"
        )
    if not all(math.isfinite(value) for value in coefficients_nm):
        raise AxisError(
            f"wavelength coefficients {list(coefficients_nm)} are not all finite; "
            "calibrate the instrument"
        )
    if not EXCITATION_NM_MIN <= excitation_nm <= EXCITATION_NM_MAX:
        raise AxisError(
            f"laser wavelength {excitation_nm} nm is outside {EXCITATION_NM_MIN} to "
            f"{EXCITATION_NM_MAX}; enter the laser wavelength of the instrument"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        index = np.arange(pixel_count, dtype=np.float64)
        wavelength_nm = np.polynomial.polynomial.polyval(index, np.asarray(coefficients_nm, float))
    low, high = float(wavelength_nm.min()), float(wavelength_nm.max())
    if low < WAVELENGTH_NM_MIN or high > WAVELENGTH_NM_MAX:
        raise AxisError(
            f"wavelengths span {low:g} to {high:g} nm, accepted are {WAVELENGTH_NM_MIN} to "
            f"{WAVELENGTH_NM_MAX}; calibrate the instrument"
        )
    if (np.diff(wavelength_nm) <= 0.0).any():
        at = int(np.flatnonzero(np.diff(wavelength_nm) <= 0.0)[0])
        raise AxisError(
            f"the wavelength does not increase after pixel {at} ({wavelength_nm[at]:g} nm); "
            "calibrate the instrument"
        )
    shift: FloatArray = CM1_NM / excitation_nm - CM1_NM / wavelength_nm
    return shift
