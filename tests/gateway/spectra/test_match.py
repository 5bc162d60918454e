"""Goal: identification names what is there, with its bands, and nothing that is not.

Method: spectra from the tests' own forward model (`forward.py`), whose bands deviate from the
tables as real ones do; seeds are fixed and are not those on which the thresholds were chosen.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gateway.spectra.bands import measure_bands
from gateway.spectra.errors import SpectrumError
from gateway.spectra.library import load_library
from gateway.spectra.match import NEED_MIN, _keep_needed, identify
from gateway.spectra.mixture import band_shape, render_heights
from gateway.spectra.prepare import prepare
from gateway.spectra.scene import see
from gateway.spectra.search import COMPONENTS_MAX, NATS_MIN, Accepted
from gateway.spectra.spectrum import Spectrum
from simulators.forward import World, measure

LIBRARY = load_library()


def identified(mixture, seed, snr=200.0, **kwargs):
    rng = np.random.default_rng([11, seed])
    return identify(measure(LIBRARY, mixture, snr, rng, **kwargs), LIBRARY)


def names(result):
    return [hit.substance_id for hit in result.hits]


@pytest.mark.parametrize(
    "substance", ["sucrose", "acetone", "urea", "ammonium_nitrate", "potassium_chlorate", "toluene"]
)
def test_names_a_pure_substance_by_its_bands(substance):
    for seed in range(4):
        result = identified({substance: 1.0}, seed)
        best = result.hits[0]
        assert best.substance_id == substance
        assert 0.8 < best.score <= 1.0
        assert best.share > 0.5
        strongest = max(
            (band for band in best.bands if band.state != "outside"),
            key=lambda band: band.rel_intensity,
        )
        assert strongest.state == "found"
        assert abs(strongest.measured_cm1 - strongest.shift_cm1) < 8.0
        assert strongest.snr > 50.0


def test_names_all_parts_of_a_mixture():
    found = [
        set(names(identified({"sucrose": 1.0, "urea": 0.7, "calcite": 0.8}, seed)))
        for seed in range(6)
    ]
    assert sum({"sucrose", "urea", "calcite"} <= entry for entry in found) >= 5


def test_an_unknown_substance_is_left_unexplained():
    rng = np.random.default_rng(5)
    axis = np.linspace(250.0, 2000.0, 1024)
    counts = 500.0 + rng.normal(0.0, 3.0, axis.size)
    for place in (333.0, 452.0, 571.0, 689.0, 1216.0, 1508.0, 1858.0):
        counts += 900.0 * np.exp(-4 * np.log(2) * ((axis - place) / 11.0) ** 2)
    result = identify(Spectrum(axis, counts, resolution_cm1=8.0), LIBRARY)
    assert names(result) == []
    assert sorted(round(shift) for shift in result.unexplained_cm1) == [
        333, 452, 571, 689, 1216, 1508, 1858,
    ]  # fmt: skip
    assert result.foreign_share == 1.0


def test_nothing_is_identified_in_nothing():
    for seed in range(20):
        result = identified({}, seed, snr=50.0)
        assert names(result) == []
        assert result.quality.clear_count == 0
    flat = identify(Spectrum(np.linspace(250.0, 2000.0, 1024), np.full(1024, 7.0)), LIBRARY)
    assert flat.hits == ()
    assert flat.quality.band_count == 0


def test_evidence_is_the_sum_of_its_bands():
    result = identified({"potassium_chlorate": 1.0}, 3)
    hit = result.hits[0]
    total = sum(band.nats for band in hit.bands)
    looks = float(np.log(len(LIBRARY.active_ids)))
    assert hit.nats - (total - looks) in (pytest.approx(0.0, abs=1e-9), pytest.approx(3.0))
    assert hit.nats > NATS_MIN


def test_rivals_that_cannot_be_told_apart_are_reported():
    pairs = set()
    for seed in range(8):
        result = identified({"calcium_nitrate": 1.0}, seed, snr=60.0)
        pairs |= {(c.instead_of, c.substance_id) for c in result.candidates if c.deficit_nats < 3.0}
    assert {("calcium_nitrate", "can_double_salt"), ("can_double_salt", "calcium_nitrate")} & pairs


def test_look_alikes_are_weighed_and_shown():
    result = identified({"ammonium_nitrate": 1.0}, 1)
    shown = {entry.substance_id: entry for entry in result.hits[0].look_alikes}
    soda = identified({"sodium_bicarbonate": 1.0}, 1).hits[0]
    assert soda.substance_id == "sodium_bicarbonate"
    listed = {entry.substance_id: entry for entry in soda.look_alikes}
    assert "calcium_nitrate" in shown or "nitric_acid" in shown
    assert listed
    assert all(entry.deficit_nats > 3.0 for entry in listed.values())
    assert all(not entry.separating_found_cm1 for entry in listed.values())


def test_quality_and_coverage_are_told():
    spectrum = measure(LIBRARY, {"sucrose": 1.0}, 200.0, np.random.default_rng(3))
    part = spectrum.axis_cm1 > 700.0
    cut = Spectrum(spectrum.axis_cm1[part], spectrum.intensity_counts[part], resolution_cm1=8.0)
    result = identify(cut, LIBRARY)
    assert result.quality.range_cm1[0] > 699.0
    assert result.coverage["acetic_anhydride"] < 0.5 < result.coverage["ammonium_nitrate"]
    assert 0.0 < result.quality.fluorescence_share < 1.0
    assert result.quality.snr > 100.0
    assert result.library_version == LIBRARY.version


def test_saturated_pixels_are_not_evidence():
    spectrum = measure(LIBRARY, {"ammonium_nitrate": 1.0}, 200.0, np.random.default_rng(4))
    full = np.abs(spectrum.axis_cm1 - 1043.0) < 10.0
    marked = Spectrum(
        spectrum.axis_cm1, spectrum.intensity_counts, saturated=full, resolution_cm1=8.0
    )
    result = identify(marked, LIBRARY)
    assert result.quality.saturated_share > 0.01
    for hit in result.hits:
        assert all(abs((band.measured_cm1 or 0.0) - 1043.0) > 8.0 for band in hit.bands)


def test_cosmic_rays_are_neither_bands_nor_lost_bands():
    spectrum = measure(LIBRARY, {"urea": 1.0}, 200.0, np.random.default_rng(8))
    struck = spectrum.intensity_counts.copy()
    hits = (120, 333, 480, 700, 950)
    struck[list(hits)] += 3.0 * np.ptp(struck)
    fields = {"resolution_cm1": 8.0, "shot_noise_known": True}
    clean = identify(Spectrum(spectrum.axis_cm1, spectrum.intensity_counts, **fields), LIBRARY)
    result = identify(Spectrum(spectrum.axis_cm1, struck, **fields), LIBRARY)
    assert result.quality.spike_count >= len(hits)
    assert clean.quality.spike_count == 0
    assert names(result) == names(clean) == ["urea"]
    for place in spectrum.axis_cm1[list(hits)]:
        assert all(abs(place - shift) > 4.0 for shift in result.unexplained_cm1)


def test_what_the_light_does_not_need_is_dropped():
    prepared = prepare(measure(LIBRARY, {"urea": 1.0}, 200.0, np.random.default_rng(9)))
    heights = render_heights(LIBRARY, 8.0)
    scene = see(prepared, measure_bands(prepared), LIBRARY, 2.0, heights)
    grid = prepared.grid_cm1
    needed = Accepted(LIBRARY.places["urea"][0], np.maximum(prepared.smooth, 0.0))
    offered = Accepted(LIBRARY.places["sulfur"][0], band_shape(grid, 1800.0, 9.0))
    kept, fit = _keep_needed(scene, [offered, needed])
    assert [entry.index for entry in kept] == [needed.index]
    assert fit is not None
    assert fit.need[0] > NEED_MIN
    assert _keep_needed(scene, [offered]) == ([], None)


def test_the_same_spectrum_gives_the_same_result_and_is_left_alone():
    spectrum = measure(LIBRARY, {"urea": 1.0, "sucrose": 0.5}, 100.0, np.random.default_rng(6))
    counts = spectrum.intensity_counts.copy()
    assert identify(spectrum, LIBRARY) == identify(spectrum, LIBRARY)
    assert np.array_equal(counts, spectrum.intensity_counts)


def test_scale_and_pedestal_do_not_matter():
    spectrum = measure(LIBRARY, {"potassium_nitrate": 1.0}, 150.0, np.random.default_rng(7))
    moved = Spectrum(
        spectrum.axis_cm1,
        1e-4 * spectrum.intensity_counts - 3.0,
        resolution_cm1=8.0,
    )
    same = Spectrum(spectrum.axis_cm1, spectrum.intensity_counts, resolution_cm1=8.0)
    assert names(identify(moved, LIBRARY)) == names(identify(same, LIBRARY))


@pytest.mark.parametrize("resolution", [4.0, 6.0, 11.0])
def test_other_instruments_see_the_same_substance(resolution):
    world = World(resolution_cm1=resolution)
    for seed in range(3):
        found = names(identified({"ammonium_nitrate": 1.0}, seed, world=world))
        assert "ammonium_nitrate" in found


def test_components_are_bounded():
    mixture = dict.fromkeys(
        ("urea", "toluene", "calcite", "quartz", "sulfur", "acetonitrile", "dmso", "benzene"), 1.0
    )
    assert len(identified(mixture, 1).hits) <= COMPONENTS_MAX


@settings(max_examples=60)
@given(
    counts=arrays(
        np.float64, st.integers(32, 300), elements=st.floats(-1e15, 1e15, allow_subnormal=False)
    ),
    ends=st.tuples(st.floats(-4000.0, 900.0), st.floats(1000.0, 19_000.0)),
    resolution=st.one_of(st.none(), st.floats(0.5, 40.0)),
    photons=st.booleans(),
)
def test_any_spectrum_is_identified_or_refused(counts, ends, resolution, photons):
    axis = np.linspace(*ends, counts.size)
    spectrum = Spectrum(axis, counts, resolution_cm1=resolution, shot_noise_known=photons)
    try:
        result = identify(spectrum, LIBRARY)
    except SpectrumError:
        return
    assert len(result.hits) <= COMPONENTS_MAX
    assert all(0.0 <= hit.score <= 1.0 and np.isfinite(hit.nats) for hit in result.hits)
    assert np.isfinite(result.quality.snr)


def test_too_short_a_range_is_an_error():
    with pytest.raises(SpectrumError, match="fingerprint"):
        identify(Spectrum(np.linspace(1700.0, 1850.0, 200), np.ones(200)), LIBRARY)
