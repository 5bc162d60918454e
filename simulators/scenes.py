"""What stands before the probes of simulated nodes: pixel blocks as a reading carries them.

One 785 nm instrument, 250 to 2000 cm^-1, with as many pixels as are asked for; its axis is exact
and its spectra are clean, because what is tried with them is how a post carries readings, not how
well it identifies. A dark frame of such an instrument is all zeros.
"""

import struct
from functools import cache

import numpy as np

from gateway.spectra.library import load_library
from gateway.spectra.spectrum import FloatArray
from gateway.spectra.standards import STANDARD_DEFAULT, load_standards
from simulators.forward import World, pure

EXCITATION_PM = 785_000
RESOLUTION_MCM1 = 8_000
RESOLUTION_CM1 = RESOLUTION_MCM1 / 1_000
FIRST_NM, LAST_NM = 800.71, 931.2  # 250 to 2000 cm^-1 at 785 nm
CREST_COUNTS = 20_000.0  # of the strongest band: a third of a 16-bit detector
GROUND = 0.02  # of the crest, beneath everything
_EXACT = World(height_spread=0.0, width_spread=0.0, position_share=0.0, axis_error_cm1=0.0)


def coefficients(pixel_count: int) -> bytes:
    """Return the wavelength axis as a birth has it: two float32, nanometres."""
    return struct.pack("<2f", FIRST_NM, (LAST_NM - FIRST_NM) / (pixel_count - 1))


def _axis_cm1(pixel_count: int) -> FloatArray:
    axis: FloatArray = 1e7 / 785.0 - 1e7 / np.linspace(FIRST_NM, LAST_NM, pixel_count)
    return axis


def _counts(light: FloatArray, seed: int) -> bytes:
    drawn = np.random.default_rng(seed).poisson(CREST_COUNTS * (light + GROUND))
    return np.clip(drawn, 0, 65_535).astype("<u2").tobytes()


@cache
def substance(substance_id: str, pixel_count: int, seed: int = 1) -> bytes:
    """Return counts of a pure substance of the library."""
    rng = np.random.default_rng(seed)
    light = pure(load_library(), substance_id, _axis_cm1(pixel_count), _EXACT, rng)
    return _counts(light, seed)


@cache
def standard(pixel_count: int, seed: int = 1) -> bytes:
    """Return counts of polystyrene, by which a node's axis is calibrated."""
    axis_cm1 = _axis_cm1(pixel_count)
    light = np.zeros(pixel_count)
    for band in load_standards()[STANDARD_DEFAULT].bands:
        fwhm_cm1 = np.hypot(RESOLUTION_CM1, band.fwhm_cm1)
        place = (axis_cm1 - band.shift_cm1) / fwhm_cm1
        light += band.rel_height * np.exp(-4.0 * np.log(2.0) * place**2)
    return _counts(light, seed)


@cache
def dark(pixel_count: int) -> bytes:
    """Return counts of a closed shutter."""
    return bytes(2 * pixel_count)
