"""Goal: nothing that is not a usable spectrum gets past its constructor, and the message helps.

Method: every kind of unusable input, each must be refused with its own words.
"""

import numpy as np
import pytest

from gateway.spectra.errors import SpectraError, SpectrumError
from gateway.spectra.spectrum import (
    PADDING_POINTS_MIN,
    POINTS_MAX,
    POINTS_MIN,
    Spectrum,
    without_padding,
)

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
        (np.roll(AXIS, 1), COUNTS, "does not increase at point 2"),
        (AXIS[::-1], COUNTS[:-1], "equal length"),
        (AXIS + 8000.0, COUNTS, "absolute wavenumbers"),
        (AXIS / 1000.0, COUNTS, "micrometres, terahertz"),
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


def test_a_falling_axis_is_turned_round_with_all_that_belongs_to_it():
    marks = COUNTS > 4.5
    spectrum = Spectrum(AXIS[::-1], COUNTS[::-1], saturated=marks[::-1])
    assert spectrum.axis_cm1.tolist() == AXIS.tolist()
    assert spectrum.intensity_counts.tolist() == COUNTS.tolist()
    assert spectrum.saturated is not None
    assert spectrum.saturated.tolist() == marks.tolist()
    with pytest.raises(SpectrumError, match="saturation marks"):
        Spectrum(AXIS[::-1], COUNTS[::-1], saturated=marks[:5])


def test_filling_at_the_ends_is_taken_off():
    filled = COUNTS.copy()
    filled[:PADDING_POINTS_MIN] = 0.0
    filled[-20:] = 0.0
    marks = np.arange(100) == 50
    kept = without_padding(Spectrum(AXIS, filled, saturated=marks, resolution_cm1=7.0))
    assert kept.axis_cm1.tolist() == AXIS[PADDING_POINTS_MIN:-20].tolist()
    assert kept.intensity_counts.tolist() == COUNTS[PADDING_POINTS_MIN:-20].tolist()
    assert kept.saturated is not None
    assert np.flatnonzero(kept.saturated).tolist() == [50 - PADDING_POINTS_MIN]
    assert kept.resolution_cm1 == 7.0


@pytest.mark.parametrize(
    "counts",
    [
        COUNTS,
        np.full(100, 7.0),
        with_value(COUNTS, slice(0, PADDING_POINTS_MIN - 1), 0.0),
        with_value(COUNTS, slice(80, 100), 9.0),  # a full detector is no filling
        with_value(np.zeros(100), slice(40, 60), 5.0),  # nothing would remain
    ],
)
def test_what_is_no_filling_stays(counts):
    spectrum = Spectrum(AXIS, counts)
    assert without_padding(spectrum) is spectrum
