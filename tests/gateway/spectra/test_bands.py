"""Goal: bands are found where they are, with honest errors, and noise is not taken for bands.

Method: drawn bands of known place and height; pure noise of many seeds.
"""

import numpy as np
import pytest

from gateway.spectra.bands import SHARP_CM1_MAX, detection_limit, measure_bands
from gateway.spectra.prepare import prepare
from gateway.spectra.spectrum import Spectrum

AXIS = np.linspace(250.0, 2000.0, 1024)
PLACES = (417.3, 640.0, 1043.6, 1386.1, 1709.4)


def light(places, fwhm=11.0, height=1_000.0):
    total = np.zeros_like(AXIS)
    for place in places:
        total += height * np.exp(-4 * np.log(2) * ((AXIS - place) / fwhm) ** 2)
    return total


def test_finds_places_heights_and_widths():
    rng = np.random.default_rng(1)
    counts = 2_000.0 + light(PLACES) + rng.normal(0.0, 10.0, AXIS.size)
    found = measure_bands(prepare(Spectrum(AXIS, counts, resolution_cm1=8.0)))
    assert found.count == len(PLACES)
    for i, place in enumerate(PLACES):
        assert abs(found.shift_cm1[i] - place) < 3.0 * found.shift_error_cm1[i]
        assert found.height[i] == pytest.approx(1_000.0, rel=0.15)
        assert found.fwhm_cm1[i] == pytest.approx(11.0, rel=0.25)
    assert found.sharp.all()


def test_noise_is_not_a_spectrum():
    counts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        level = rng.poisson(3_000.0 * np.exp(-AXIS / 900.0) + 200.0)
        spectrum = Spectrum(AXIS, level, resolution_cm1=8.0, shot_noise_known=True)
        counts.append(measure_bands(prepare(spectrum)).count)
    # Crest to valley, one noise crest in some hundred spectra is let through; never a pattern.
    assert np.mean(counts) < 1.0
    assert max(counts) <= 3


def test_a_glass_hump_is_not_sharp():
    rng = np.random.default_rng(2)
    counts = 500.0 + light((1390.0,), fwhm=180.0) + rng.normal(0.0, 3.0, AXIS.size)
    found = measure_bands(prepare(Spectrum(AXIS, counts, resolution_cm1=8.0)))
    assert found.count >= 1
    assert not found.sharp[found.height > 300.0].any()
    assert found.fwhm_cm1[found.height > 300.0].min() > SHARP_CM1_MAX


def test_what_is_below_the_limit_is_not_found():
    rng = np.random.default_rng(3)
    counts = 2_000.0 + light((1043.0,)) + light((700.0,), height=6.0)
    prepared = prepare(Spectrum(AXIS, counts + rng.normal(0, 2.0, AXIS.size), resolution_cm1=8.0))
    found = measure_bands(prepared)
    assert [round(place / 10) for place in found.shift_cm1] == [104]
    assert detection_limit(prepared).max() > 6.0
