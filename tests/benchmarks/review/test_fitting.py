"""Goal: places, heights and widths read off a spectrum are right; what is not there is not read.

Method: spectra made of known bands, background and seeded noise; the fitted bands are compared with
what went in.
"""

import numpy as np
import pytest

from benchmarks.review.compare import true_width_cm1
from benchmarks.review.fitting import peaks, shape, trace

AXIS = np.arange(300.0, 2300.0, 1.3)
BANDS = ((480.0, 0.3, 9.0), (790.0, 1.0, 8.0), (942.0, 0.6, 12.0), (1200.0, 0.15, 14.0))


def light(bands, mix=0.4, seed=1):
    """Bands on a falling background, top 10 000 counts, noise 15."""
    rng = np.random.default_rng(seed)
    total = sum(height * shape(AXIS, place, width, mix) for place, height, width in bands)
    return 1e4 * total + 4e3 * np.exp(-AXIS / 900.0) + rng.normal(0.0, 15.0, AXIS.size)


def test_known_bands_are_recovered():
    found = peaks(trace(AXIS, light(BANDS), 300.0, 2300.0))
    assert len(found) == len(BANDS)
    for peak, (place, height, width) in zip(found, BANDS, strict=True):
        assert peak.shift_cm1 == pytest.approx(place, abs=0.3)
        assert peak.height == pytest.approx(1e4 * height, rel=0.1)
        assert peak.fwhm_cm1 == pytest.approx(width, rel=0.15)
        assert peak.crest


def test_bands_that_overlap_are_told_apart():
    found = peaks(trace(AXIS, light([(1000.0, 1.0, 10.0), (1013.0, 0.6, 10.0)]), 300.0, 2300.0))
    assert [peak.shift_cm1 for peak in found] == pytest.approx([1000.0, 1013.0], abs=0.7)


def test_the_foot_of_a_strong_band_is_no_band():
    found = peaks(trace(AXIS, light([(1001.0, 1.0, 7.0)], mix=0.95), 300.0, 2300.0))
    assert [round(peak.shift_cm1) for peak in found] == [1001]


def test_noise_and_background_are_no_bands():
    flat = trace(AXIS, light([(1001.0, 0.002, 7.0)]), 300.0, 2300.0)
    assert all(peak.height < 12 * flat.noise for peak in peaks(flat))


def test_the_instruments_width_is_taken_out():
    (peak,) = peaks(trace(AXIS, light([(900.0, 1.0, 13.0)]), 300.0, 2300.0))
    assert true_width_cm1(peak, 5.0) == pytest.approx(12.0, rel=0.1)
    assert true_width_cm1(peak, 13.5) == 3.0
