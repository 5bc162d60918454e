"""Goal: amounts come out right, and a substance the light does not need is recognised as such.

Method: sums of rendered substances with known amounts and noise; a third substance offered in vain.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import nnls

from gateway.spectra.library import load_library
from gateway.spectra.mixture import band_shape, fit_mixture, render_heights

LIBRARY = load_library()
GRID = np.arange(250.0, 2000.0, 2.0)


def rendered(substance_id):
    return sum(
        band.rel_intensity * band_shape(GRID, band.shift_cm1, float(np.hypot(band.fwhm_cm1, 8.0)))
        for band in LIBRARY[substance_id].bands
    )


def test_amounts_of_a_mixture_come_back():
    rng = np.random.default_rng(1)
    templates = np.array([rendered("sucrose"), rendered("urea"), rendered("calcite")])
    signal = 900.0 * templates[0] + 300.0 * templates[1] + rng.normal(0.0, 5.0, GRID.size)
    fit = fit_mixture(signal, np.full(GRID.size, 5.0), templates, 8.0)
    assert fit.amount[0] == pytest.approx(900.0, rel=0.03)
    assert fit.amount[1] == pytest.approx(300.0, rel=0.03)
    assert fit.amount[2] < 10.0
    assert fit.explained > 0.9


def test_need_tells_the_needed_from_the_offered():
    rng = np.random.default_rng(2)
    templates = np.array([rendered("sucrose"), rendered("urea"), rendered("calcite")])
    signal = 900.0 * templates[0] + 300.0 * templates[1] + rng.normal(0.0, 5.0, GRID.size)
    fit = fit_mixture(signal, np.full(GRID.size, 5.0), templates, 8.0)
    assert fit.need[0] > 100.0
    assert fit.need[1] > 100.0
    assert fit.need[2] < 9.0


def test_noise_alone_needs_nobody():
    rng = np.random.default_rng(3)
    needs = [
        fit_mixture(
            rng.normal(0.0, 5.0, GRID.size), np.full(GRID.size, 5.0), rendered("urea")[None], 8.0
        ).need[0]
        for _ in range(50)
    ]
    assert np.quantile(needs, 0.9) < 9.0


def test_band_shape_has_its_width_and_height():
    shape = band_shape(GRID, 1000.0, 20.0)
    assert shape.max() == pytest.approx(1.0)
    assert shape[np.searchsorted(GRID, 1010.0)] == pytest.approx(0.5, abs=0.01)


def test_broad_bands_lose_height_to_the_background_and_narrow_ones_do_not():
    heights = render_heights(LIBRARY, 8.0)
    table = LIBRARY.arrays.rel_intensity
    narrow = LIBRARY.arrays.fwhm_cm1 < 40.0
    assert np.array_equal(heights.visible[narrow], table[narrow])
    broad = LIBRARY.arrays.fwhm_cm1 > 180.0
    assert (heights.visible[broad] < 0.9 * table[broad]).all()
    assert (heights.merged >= 0.99 * heights.visible).all()


def test_bands_that_run_together_share_a_crest():
    bands = LIBRARY.arrays
    pair = np.flatnonzero(
        (bands.entry == LIBRARY.places["potassium_chlorate"][0]) & (bands.shift_cm1 > 970.0)
    )
    heights = render_heights(LIBRARY, 8.0)
    assert bands.shift_cm1[pair].tolist() == [978.0, 984.0]
    assert heights.crest_cm1[pair] == pytest.approx(979.0, abs=1.1)
    assert (heights.merged[pair] > 1.2 * heights.visible[pair]).all()


def test_a_lone_band_keeps_its_tabulated_place():
    urea = LIBRARY.arrays.entry == LIBRARY.places["urea"][0]
    heights = render_heights(LIBRARY, 8.0)
    assert heights.crest_cm1[urea].tolist() == LIBRARY.arrays.shift_cm1[urea].tolist()


def test_rendering_is_kept_per_resolution():
    assert render_heights(LIBRARY, 8.0) is render_heights(LIBRARY, 8.04)
    assert render_heights(LIBRARY, 8.0) is not render_heights(LIBRARY, 9.0)


@pytest.mark.parametrize("seed", range(6))
def test_amounts_are_those_of_non_negative_least_squares(seed):
    rng = np.random.default_rng([9, seed])
    grid = np.arange(200.0, 2000.0, 2.0)
    templates = np.array(
        [
            sum(band_shape(grid, place, 12.0) for place in rng.uniform(300.0, 1900.0, 6))
            for _ in range(4)
        ]
    )
    # The last two amounts are below nothing, so that some are bound to end at zero.
    signal = np.array([1.0, 0.4, -0.3, -0.1]) @ templates + rng.normal(0.0, 0.02, grid.size)
    noise = np.full(grid.size, 0.02)
    fit = fit_mixture(signal, noise, templates, 8.0)
    spread = 0.1 * gaussian_filter1d(np.maximum(signal, 0.0), 4.0)
    weight = 1.0 / np.sqrt(noise**2 + spread**2 + (0.01 * signal.max()) ** 2)
    expected, _ = nnls((templates * weight).T, signal * weight)
    assert np.allclose(fit.amount, expected, atol=1e-9)
    assert (fit.amount >= 0.0).all()


def test_the_same_template_twice_is_fitted():
    grid = np.arange(200.0, 2000.0, 2.0)
    one = band_shape(grid, 900.0, 12.0)
    fit = fit_mixture(2.0 * one, np.full(grid.size, 0.01), np.array([one, one]), 8.0)
    assert fit.amount.sum() == pytest.approx(2.0, rel=1e-6)
    assert (fit.need < 1.0).all()
