"""Goal: cosmic rays go, bands stay, however narrow an instrument can show them.

Method: hits of one and two pixels on noise, on slopes and beside bands; real line widths (calcite
1086, potassium nitrate at 4 cm^-1) at the sampling of hand-held and of laboratory instruments.
"""

import numpy as np
import pytest

from gateway.spectra.despike import difference_noise, remove_spikes


def scene(spacing_cm1, rng, noise=3.0):
    axis = np.arange(250.0, 2000.0, spacing_cm1)
    return axis, 500.0 + 0.2 * axis + rng.normal(0.0, noise, axis.size)


def band(axis, place, fwhm, height):
    return height * np.exp(-4 * np.log(2) * ((axis - place) / fwhm) ** 2)


@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("height", [200.0, 20_000.0])
def test_removes_hits_of_one_and_two_pixels(pixels, height):
    rng = np.random.default_rng(1)
    axis, counts = scene(1.7, rng)
    struck = counts.copy()
    struck[400 : 400 + pixels] += height
    clean, mask = remove_spikes(axis, struck, 8.0)
    assert mask[400 : 400 + pixels].all()
    assert np.abs(clean - counts)[390:410].max() < 30.0
    assert mask.sum() <= 4


@pytest.mark.parametrize("spacing,fwhm,resolution", [
    (1.7, np.hypot(4.7, 8.0), 8.0), (1.7, np.hypot(4.0, 5.0), 5.0), (1.0, 4.0, None),
    (0.5, 4.0, None), (0.3, 3.0, None), (3.0, 8.0, None),
])  # fmt: skip
def test_keeps_the_narrowest_real_bands(spacing, fwhm, resolution):
    rng = np.random.default_rng(2)
    axis, counts = scene(spacing, rng)
    for place in np.linspace(1050.0, 1050.0 + spacing, 7):  # anywhere between two pixels
        light = counts + band(axis, place, fwhm, 5_000.0)
        clean, mask = remove_spikes(axis, light, resolution)
        near = np.abs(axis - 1050.0) < 30.0
        assert not mask[near].any()
        assert np.array_equal(clean[near], light[near])


def test_removes_a_hit_next_to_a_band_and_keeps_the_band():
    rng = np.random.default_rng(3)
    axis, counts = scene(1.7, rng)
    light = counts + band(axis, 1086.0, 9.0, 4_000.0)
    struck = light.copy()
    at = int(np.searchsorted(axis, 1130.0))
    struck[at] += 3_000.0
    clean, mask = remove_spikes(axis, struck, 8.0)
    assert mask[at]
    assert np.abs(clean - light).max() < 40.0


def test_changes_nothing_without_hits():
    rng = np.random.default_rng(4)
    axis, counts = scene(1.7, rng)
    clean, mask = remove_spikes(axis, counts, 8.0)
    assert not mask.any()
    assert np.array_equal(clean, counts)


def test_noise_estimate_ignores_bands_and_slope():
    rng = np.random.default_rng(5)
    axis, counts = scene(1.7, rng, noise=7.0)
    light = counts + band(axis, 600.0, 12.0, 2_000.0) + band(axis, 1400.0, 12.0, 2_000.0)
    assert difference_noise(light) == pytest.approx(7.0, rel=0.15)
