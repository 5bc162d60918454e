"""Goal: the noise on the grid is the true noise, at any sampling, and bad coverage is refused.

Method: the same background drawn many times with known noise; the spread of the filtered spectra
over the draws is the truth that the estimate from one draw is held against.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from gateway.spectra.baseline import background
from gateway.spectra.errors import SpectrumError
from gateway.spectra.prepare import STEP_CM1, prepare, smoothed
from gateway.spectra.spectrum import Spectrum

DRAWS = 24


@pytest.mark.parametrize("spacing", [0.3, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("resolution", [5.0, 8.0])
def test_noise_is_the_spread_over_repetitions(spacing, resolution):
    rng = np.random.default_rng(7)
    axis = np.arange(250.0, 2000.0, spacing)
    level = 800.0 - 0.2 * axis
    smooth, told = [], []
    for _ in range(DRAWS):
        counts = level + rng.normal(0.0, 5.0, axis.size)
        prepared = prepare(Spectrum(axis, counts, resolution_cm1=resolution))
        smooth.append(prepared.smooth)
        told.append(float(prepared.noise.mean()))
    truth = float(np.median(np.std(smooth, axis=0)))
    assert np.mean(told) == pytest.approx(truth, rel=0.25)


def test_shot_noise_grows_where_there_is_light():
    rng = np.random.default_rng(8)
    axis = np.linspace(250.0, 2000.0, 1024)
    level = 2_000.0 + 40_000.0 * np.exp(-0.5 * ((axis - 700.0) / 350.0) ** 2)
    draws = [
        prepare(Spectrum(axis, rng.poisson(level), resolution_cm1=8.0, shot_noise_known=True))
        for _ in range(DRAWS)
    ]
    truth = np.std([one.smooth for one in draws], axis=0)
    told = np.mean([one.noise for one in draws], axis=0)
    bright = np.abs(draws[0].grid_cm1 - 700.0) < 60.0
    dark = draws[0].grid_cm1 > 1750.0
    # Too much noise is allowed where the electrons per count are unknown, too little is not.
    assert 0.8 * truth[dark].mean() < told[dark].mean() < 3.0 * truth[dark].mean()
    assert 0.7 * truth[bright].mean() < told[bright].mean() < 3.0 * truth[bright].mean()
    assert told[bright].mean() > 1.4 * told[dark].mean()


def test_background_is_taken_and_bands_are_left():
    axis = np.arange(250.0, 2000.0, STEP_CM1)
    slow = 3_000.0 * np.exp(-0.5 * ((axis - 300.0) / 700.0) ** 2) + 0.4 * axis
    band = 900.0 * np.exp(-4 * np.log(2) * ((axis - 1000.0) / 14.0) ** 2)
    rest = slow + band - background(slow + band)
    assert rest[np.abs(axis - 1000.0) < 1.1].max() == pytest.approx(900.0, rel=0.06)
    assert np.abs(rest[np.abs(axis - 1000.0) > 60.0]).max() < 45.0


def test_full_pixels_are_marked_with_their_neighbourhood():
    axis = np.linspace(250.0, 2000.0, 1024)
    full = np.abs(axis - 1043.0) < 4.0
    prepared = prepare(Spectrum(axis, np.ones(1024), saturated=full, resolution_cm1=8.0))
    lost = prepared.grid_cm1[prepared.lost]
    assert lost.min() == pytest.approx(1031.0, abs=3.0)
    assert lost.max() == pytest.approx(1055.0, abs=3.0)
    assert prepared.saturated_share == pytest.approx(24.0 / 1750.0, rel=0.3)


@pytest.mark.parametrize(
    "axis,words",
    [
        (np.linspace(2500.0, 3500.0, 500), "covers 2500 to 3500"),
        (np.linspace(250.0, 400.0, 500), "covers 250 to 400"),
        (np.concatenate((np.arange(250.0, 900.0), np.arange(950.0, 2000.0))), "gap"),
    ],
)
def test_refuses_too_little_of_the_fingerprint(axis, words):
    with pytest.raises(SpectrumError, match=words):
        prepare(Spectrum(axis, np.ones_like(axis)))


def test_nothing_at_all_is_prepared_without_complaint():
    prepared = prepare(Spectrum(np.linspace(250.0, 2000.0, 1024), np.zeros(1024)))
    assert np.isfinite(prepared.smooth).all()
    assert (prepared.noise > 0.0).all()


@pytest.mark.parametrize("mode", ["reflect", "nearest"])
@pytest.mark.parametrize("sigma", [0.4, 0.85, 5.0])
def test_the_kept_filters_are_scipys(sigma, mode):
    values = np.random.default_rng(8).normal(10.0, 3.0, 300)
    expected = gaussian_filter1d(values, sigma, mode=mode)
    assert np.allclose(smoothed(values, sigma, mode), expected, rtol=1e-13)


@pytest.mark.parametrize("spacing,is_read", [(2.0, False), (4.0, True), (5.8, True)])
def test_two_missing_points_are_no_hole_for_a_coarse_instrument(spacing, is_read):
    axis = np.arange(300.0, 2000.0, spacing)
    missing = {2.0: 8, 4.0: 2, 5.8: 2}[spacing]
    kept = np.delete(axis, np.arange(100, 100 + missing))
    spectrum = Spectrum(kept, 100.0 + np.random.default_rng(1).normal(0.0, 1.0, kept.size))
    if is_read:
        assert prepare(spectrum).grid_cm1.size > 800
    else:
        with pytest.raises(SpectrumError, match="gap of more than 12"):
            prepare(spectrum)
