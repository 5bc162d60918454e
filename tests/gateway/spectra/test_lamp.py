"""Goal: a neon lamp straightens an axis that bends, and a standard then gives the laser.

Method: lamp spectra drawn from the lines of the table on gratings with a known polynomial, seen by
instruments whose stored polynomial is wrong, with noise and lines of any strength; and lamps that
are none.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from gateway.spectra.axis import raman_axis_cm1
from gateway.spectra.calibrate import calibrate
from gateway.spectra.errors import AxisError, CalibrationError
from gateway.spectra.lamp import fit_lamp, load_neon_nm, true_excitation_nm
from gateway.spectra.spectrum import Spectrum
from gateway.spectra.standards import find_standard
from tests.gateway.spectra.test_calibrate import drawn

PIXELS = np.arange(1024.0)
TRUE = (800.3, 0.1420, -1.2e-5, -1.0e-9)


def lamp(coefficients, rng, *, slit_nm=0.55, lines=None, pixels=PIXELS):
    """Counts of a lamp, shape of `pixels`."""
    wavelength = Polynomial(coefficients)(pixels)
    light = np.full(pixels.size, 20.0)
    for line in lines if lines is not None else load_neon_nm():
        height = 10.0 ** rng.uniform(2.7, 4.5)
        light += height * np.exp(-4.0 * np.log(2.0) * ((wavelength - line) / slit_nm) ** 2)
    return rng.poisson(light).astype(float) - 20.0


def test_the_table_has_the_usable_lines():
    lines = load_neon_nm()
    assert len(lines) >= 30
    assert lines[0] > 790.0
    assert 966.0 < lines[-1] < 967.0


@settings(max_examples=25)
@given(
    seed=st.integers(0, 9999),
    offset_nm=st.floats(-1.2, 1.2),
    slope=st.floats(-2e-4, 2e-4),
    bend=st.floats(-4e-7, 4e-7),
)
def test_the_axis_becomes_that_of_the_grating(seed, offset_nm, slope, bend):
    counts = lamp(TRUE, np.random.default_rng(seed))
    stored = (TRUE[0] + offset_nm, TRUE[1] + slope, TRUE[2] + bend, TRUE[3])
    found = fit_lamp(counts, stored)
    inside = slice(int(found.lines[0][0]), int(found.lines[-1][0]))
    error = Polynomial(found.coefficients_nm)(PIXELS) - Polynomial(TRUE)(PIXELS)
    assert np.abs(error[inside]).max() < 0.06  # 1 cm^-1
    assert np.sqrt(np.mean(error[inside] ** 2)) < 0.02
    assert found.residual_nm_rms < 0.03


def test_lines_that_run_together_are_left_out():
    counts = lamp(TRUE, np.random.default_rng(3), slit_nm=1.3)
    found = fit_lamp(counts, TRUE)
    used = {wavelength for _, wavelength in found.lines}
    assert not used & {837.7607, 836.57464, 953.4164, 954.74052}
    assert len(used) >= 8


def test_what_is_no_neon_lamp_is_refused():
    rng = np.random.default_rng(4)
    for lines in ([], [811.0, 850.0], list(rng.uniform(801.0, 930.0, 25))):
        with pytest.raises(AxisError, match="lamp"):
            fit_lamp(lamp(TRUE, rng, lines=lines), TRUE)
    with pytest.raises(AxisError, match="finite"):
        fit_lamp(np.full(1024, np.nan), TRUE)
    with pytest.raises(AxisError, match="does not increase"):
        fit_lamp(lamp(TRUE, rng), (930.0, -0.1))
    with pytest.raises(AxisError, match="lamp"):
        fit_lamp(lamp(TRUE, rng), (TRUE[0] + 30.0, *TRUE[1:]))


def test_lamp_and_standard_together_give_a_right_axis():
    """The grating bends by 8 cm^-1 and the laser is 0.3 nm off: a standard alone cannot mend it."""
    rng = np.random.default_rng(5)
    bent = (TRUE[0] + 0.2, TRUE[1] - 0.004, TRUE[2] + 4.0e-6, TRUE[3])
    laser_nm = 785.3
    true_shift = 1e7 / laser_nm - 1e7 / Polynomial(TRUE)(PIXELS)
    counts = drawn("paracetamol", rng, axis=true_shift)
    first = fit_lamp(lamp(TRUE, rng), bent)
    assumed = raman_axis_cm1(first.coefficients_nm, 1024, 785.0)
    found = calibrate(Spectrum(assumed, counts), find_standard("paracetamol"))
    excitation = true_excitation_nm(found, 785.0)
    assert excitation == pytest.approx(laser_nm, abs=0.03)
    final = raman_axis_cm1(first.coefficients_nm, 1024, excitation)
    assert np.abs(final - true_shift)[100:-50].max() < 1.5
    with pytest.raises(CalibrationError):
        calibrate(Spectrum(raman_axis_cm1(bent, 1024, 785.0), counts), find_standard("paracetamol"))
