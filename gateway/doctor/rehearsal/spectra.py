"""What the rehearsal's node measures: a standard, something listed, and the dark."""

from functools import cache
from typing import Final

import numpy as np

from gateway.spectra.library import load_library
from gateway.spectra.standards import load_standards

PIXELS: Final = 1_024
LASER_NM: Final = 785.0
FIRST_NM: Final = 800.71  # 250 cm^-1 behind that laser
LAST_NM: Final = 931.2  # 2000 cm^-1
COEFFICIENTS: Final = (FIRST_NM, (LAST_NM - FIRST_NM) / (PIXELS - 1))
STANDARD: Final = "polystyrene"
LISTED: Final = "urea"
_RESOLUTION_CM1: Final = 7.0
_PEAK_COUNTS: Final = 20_000.0
_SEED: Final = 1


@cache
def standard() -> bytes:
    """Return the counts of the standard, as they stand in a reading."""
    bands = load_standards()[STANDARD].bands
    return _counts([(each.shift_cm1, each.rel_height, each.fwhm_cm1) for each in bands])


@cache
def listed() -> bytes:
    """Return the counts of a listed substance by the library's own bands."""
    bands = load_library().substances[LISTED].bands
    return _counts([(each.shift_cm1, each.rel_intensity, each.fwhm_cm1) for each in bands])


@cache
def dark() -> bytes:
    """Return the counts of a measurement without light."""
    return np.full(PIXELS, 500, dtype="<u2").tobytes()


def _counts(bands: list[tuple[float, float, float]]) -> bytes:
    """Draw bands (place cm^-1, height, width cm^-1) on the instrument's axis, with shot noise."""
    axis_cm1 = 1e7 / LASER_NM - 1e7 / np.linspace(FIRST_NM, LAST_NM, PIXELS)
    light = np.full(PIXELS, 0.02)
    for shift_cm1, height, fwhm_cm1 in bands:
        place = (axis_cm1 - shift_cm1) / np.hypot(_RESOLUTION_CM1, fwhm_cm1)
        light += height * np.exp(-4.0 * np.log(2.0) * place**2)
    counts = np.random.default_rng(_SEED).poisson(_PEAK_COUNTS * light)
    return np.clip(counts, 0, 65_535).astype("<u2").tobytes()
