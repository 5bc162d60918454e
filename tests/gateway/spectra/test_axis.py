"""Goal: pixels become Raman shifts exactly, and a damaged calibration is refused, not used.

Method: published pairs of wavelength and shift; coefficients broken one way each.
"""

import numpy as np
import pytest

from gateway.spectra.axis import raman_axis_cm1
from gateway.spectra.errors import AxisError


@pytest.mark.parametrize(
    "wavelength_nm,excitation_nm,shift_cm1",
    [(800.71, 785.0, 250.0), (851.97, 785.0, 1001.4), (897.94, 785.0, 1602.3),
     (1190.89, 1064.0, 1001.4)],
)  # fmt: skip
def test_agrees_with_published_pairs(wavelength_nm, excitation_nm, shift_cm1):
    axis = raman_axis_cm1((wavelength_nm, 0.1), 32, excitation_nm)
    assert axis[0] == pytest.approx(shift_cm1, abs=0.1)


def test_follows_a_cubic_polynomial():
    coefficients = (800.3, 0.142, -1.2e-5, -1.0e-9)
    axis = raman_axis_cm1(coefficients, 1024, 785.0)
    i = 777
    wavelength = sum(c * i**k for k, c in enumerate(coefficients))
    assert axis[i] == pytest.approx(1e7 / 785.0 - 1e7 / wavelength)
    assert axis.shape == (1024,)
    assert (np.diff(axis) > 0).all()


@pytest.mark.parametrize(
    "coefficients,pixels,excitation,words",
    [
        ((800.0, 0.14), 8, 785.0, "pixel count 8"),
        ((800.0, 0.14), 100_000, 785.0, "pixel count 100000"),
        ((), 1024, 785.0, "0 wavelength coefficients"),
        ((800.0,), 1024, 785.0, "1 wavelength coefficients"),
        ((800.0, float("nan")), 1024, 785.0, "not all finite"),
        ((800.0, float("inf")), 1024, 785.0, "not all finite"),
        ((800.0, 0.14), 1024, 0.0, "laser wavelength 0.0"),
        ((800.0, 0.14), 1024, float("nan"), "laser wavelength nan"),
        ((0.0, 0.14), 1024, 785.0, "wavelengths span"),
        ((800.0, 3e38, 3e38), 1024, 785.0, "wavelengths span"),
        ((932.0, -0.14), 800, 785.0, "does not increase after pixel 0"),
        ((800.0, 0.2, -1.5e-4), 1024, 785.0, "does not increase after pixel 66[67]"),
    ],
)
def test_refuses_a_damaged_calibration(coefficients, pixels, excitation, words):
    with pytest.raises(AxisError, match=words):
        raman_axis_cm1(coefficients, pixels, excitation)
