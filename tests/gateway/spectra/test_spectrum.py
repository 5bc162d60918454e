"""Goal: nothing that is not a usable spectrum gets past its constructor, and the message helps.

Method: every kind of unusable input, each must be refused with its own words.
"""

import numpy as np
import pytest

from gateway.spectra.errors import SpectraError, SpectrumError
from gateway.spectra.spectrum import POINTS_MAX, POINTS_MIN, Spectrum

AXIS = np.linspace(200.0, 2000.0, 100)
COUNTS = np.linspace(1.0, 5.0, 100)


def with_value(column, place, value):
    changed = column.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    "axis,counts,words",
    [
        (AXIS, COUNTS[:-1], "equal length"),
        (AXIS.reshape(10, 10), COUNTS.reshape(10, 10), "two columns"),
        (AXIS[: POINTS_MIN - 1], COUNTS[: POINTS_MIN - 1], f"{POINTS_MIN - 1} points"),
        (np.arange(POINTS_MAX + 1.0), np.ones(POINTS_MAX + 1), f"{POINTS_MAX + 1} points"),
        (AXIS, with_value(COUNTS, 7, np.nan), "intensity at point 8 is nan"),
        (AXIS, with_value(COUNTS, 3, -np.inf), "intensity at point 4 is -inf"),
        (with_value(AXIS, 3, np.nan), COUNTS, "Raman shift at point 4 is nan"),
        (AXIS * 1e3, COUNTS, "convert the axis"),
        (AXIS, with_value(COUNTS, 0, 1e16), "damaged"),
        (AXIS[::-1], COUNTS, "does not increase at point 2"),
        (with_value(AXIS, 5, AXIS[4]), COUNTS, "does not increase at point 6"),
    ],
)
def test_refuses_what_is_no_spectrum(axis, counts, words):
    with pytest.raises(SpectrumError, match=words):
        Spectrum(axis, counts)


@pytest.mark.parametrize(
    "fields,words",
    [
        ({"resolution_cm1": 0.0}, "resolution 0.0"),
        ({"resolution_cm1": 80.0}, "resolution 80.0"),
        ({"resolution_cm1": float("nan")}, "resolution nan"),
        ({"axis_uncertainty_cm1": -1.0}, "axis uncertainty -1.0"),
        ({"axis_uncertainty_cm1": 50.0}, "polystyrene"),
        ({"saturated": np.zeros(5, dtype=bool)}, "saturation marks"),
    ],
)
def test_refuses_what_is_no_instrument(fields, words):
    with pytest.raises(SpectrumError, match=words):
        Spectrum(AXIS, COUNTS, **fields)


def test_takes_lists_and_leaves_them_alone():
    spectrum = Spectrum(AXIS.tolist(), COUNTS.astype(np.int64).tolist())
    assert spectrum.axis_cm1.dtype == np.float64
    assert spectrum.point_count == 100
    assert isinstance(SpectrumError("x"), SpectraError)
