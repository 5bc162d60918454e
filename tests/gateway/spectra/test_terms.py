"""Goal: what is worked out once per spectrum says the same as working it out each time would.

Method: every short cut beside the plain computation it stands for, on a spectrum with noise, a
crowd of bands and several accepted substances.
"""

import numpy as np
import pytest

from gateway.spectra.bands import measure_bands
from gateway.spectra.evidence import (
    KEPT_NATS_MIN,
    STRETCH_SD_CM1,
    BandState,
    believe,
    weigh,
)
from gateway.spectra.library import load_library
from gateway.spectra.mixture import render_heights
from gateway.spectra.prepare import prepare
from gateway.spectra.scene import see
from gateway.spectra.spectrum import Spectrum
from gateway.spectra.terms import (
    MISSING_FACTOR,
    OVERLAP_FACTOR,
    OVERLAP_WIDTHS,
    band_terms,
    pair_terms,
)

AXIS = np.linspace(220.0, 2300.0, 1200)
LIBRARY = load_library()
GOODS = ("calcite", "ammonium_nitrate", "sucrose")


def scene_of(names=GOODS, noise=6.0, axis_uncertainty_cm1=2.0):
    rng = np.random.default_rng(5)
    light = 200.0 + rng.normal(0.0, noise, AXIS.size)
    for name in names:
        for band in LIBRARY[name].bands:
            width = np.hypot(band.fwhm_cm1, 8.0)
            shape = np.exp(-4.0 * np.log(2.0) * ((AXIS - band.shift_cm1) / width) ** 2)
            light += 1_000.0 * band.rel_intensity * shape
    prepared = prepare(Spectrum(AXIS, light, resolution_cm1=8.0))
    heights = render_heights(LIBRARY, prepared.resolution_cm1)
    measured = measure_bands(prepared)
    return see(prepared, measured, LIBRARY, axis_uncertainty_cm1, heights)


SCENE = scene_of()


def test_pairs_keep_what_they_were_and_end_with_the_strongest():
    pairs, terms = SCENE.pairs, pair_terms(SCENE)
    before = sorted(zip(pairs.band.tolist(), pairs.peak.tolist(), pairs.offset_cm1, strict=True))
    after = sorted(zip(terms.band.tolist(), terms.peak.tolist(), terms.offset_cm1, strict=True))
    assert before == after
    height = SCENE.rel_visible[terms.band]
    assert (np.diff(height) >= 0.0).all()
    equal = np.diff(height) == 0.0
    assert (np.diff(terms.band)[equal] <= 0).all()
    assert np.array_equal(terms.owner, SCENE.bands.entry[terms.band])
    near = {(peak, owner) for peak, owner in zip(terms.peak, terms.owner, strict=True)}
    assert {tuple(place) for place in np.argwhere(terms.near)} == near


def test_neighbours_are_the_measured_bands_that_run_into_a_tabulated_one():
    measured, terms = SCENE.measured, band_terms(SCENE)
    for row in range(0, SCENE.inside.size, 7):
        width = np.maximum(SCENE.width_cm1[row], measured.fwhm_cm1)
        reach = SCENE.window_cm1[row] + OVERLAP_WIDTHS * width
        near = np.abs(measured.shift_cm1 - SCENE.bands.shift_cm1[row]) <= reach
        highest = measured.height[near].max() if near.any() else -np.inf
        assert terms.swallowed_max[row] == pytest.approx(OVERLAP_FACTOR * highest)


def test_states_follow_from_what_was_expected_and_what_is_there():
    evidence, terms = weigh(SCENE, np.zeros_like(SCENE.limit)), band_terms(SCENE)
    expected = evidence.amount[SCENE.bands.entry] * SCENE.rel_merged
    limit = SCENE.at_all_bands(SCENE.limit)
    seen = set()
    for row in range(SCENE.inside.size):
        state = BandState(int(evidence.state[row]))
        seen.add(state)
        if not SCENE.inside[row]:
            assert state == BandState.OUTSIDE
        elif evidence.match[row] >= 0:
            assert state == BandState.FOUND
        elif state == BandState.MISSING:
            assert MISSING_FACTOR * expected[row] >= limit[row]
            assert expected[row] > terms.covered_max[row]
            assert evidence.term[row] == np.log(SCENE.bands.missing_chance[row])
        elif state == BandState.FAINT:
            assert MISSING_FACTOR * expected[row] < limit[row]
    assert seen == set(BandState)


def test_what_is_not_looked_at_closely_could_not_have_mattered():
    nothing = np.zeros_like(SCENE.limit)
    usual = weigh(SCENE, nothing)
    whole = weigh(SCENE, nothing, nats_min=-1e9)
    asked = weigh(SCENE, nothing, nats_min=6.0)
    kept = whole.nats >= KEPT_NATS_MIN
    assert 0 < kept.sum() < kept.size
    assert np.allclose(usual.nats[kept], whole.nats[kept], rtol=0.0, atol=1e-12)
    assert (usual.nats[~kept] < KEPT_NATS_MIN).all()
    assert (usual.nats >= whole.nats - 1e-9).all()
    strong = whole.nats >= 6.0
    assert strong.any()
    assert np.allclose(asked.nats[strong], whole.nats[strong], rtol=0.0, atol=1e-12)
    assert (asked.nats[~strong] < 6.0).all()


def test_where_everything_is_explained_nothing_speaks_for_anything():
    evidence = weigh(SCENE, 2.0 * np.maximum(SCENE.prepared.smooth, 0.0) + 1e6)
    assert np.array_equal(evidence.nats, -SCENE.looks_nats)
    assert not evidence.amount.any()
    assert (evidence.match == -1).all()
    assert set(evidence.state.tolist()) == {int(BandState.FAINT), int(BandState.OUTSIDE)}


def test_an_instrument_that_sees_no_band_at_all_is_weighed():
    scene = scene_of(names=(), noise=0.0)
    assert scene.measured.count == 0
    evidence = weigh(scene, np.zeros_like(scene.limit))
    assert np.array_equal(evidence.nats, -scene.looks_nats)


def test_the_belief_in_the_axis_comes_from_what_was_found():
    evidence = weigh(SCENE, np.zeros_like(SCENE.limit))
    index = LIBRARY.places["calcite"][0]
    rows = SCENE.rows_of(index)
    found = evidence.match[rows] >= 0
    assert found.any()
    told = (float(evidence.precision[index]), float(evidence.pull[index]))
    belief = believe(SCENE.axis, (told,))
    assert STRETCH_SD_CM1 < belief.sd_cm1 < SCENE.axis.sd_cm1 + STRETCH_SD_CM1
    assert abs(belief.mean_cm1) < 2.0
