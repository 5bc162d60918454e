"""Goal: each thing that can be wrong with a measurement is measured, named, and nothing else is.

Method: spectra whose fault is put in by the test, as much as is said, beside the same spectrum
without it; the numbers are compared with what was put in. Good spectra, those of the tests' forward
model and the measured collection, must stay without a finding.
"""

import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gateway.identify import read_spectrum
from gateway.spectra.detector import clipped
from gateway.spectra.exposures import HIT_SNR_MIN, against_average, are_alike
from gateway.spectra.library import load_library
from gateway.spectra.quality import (
    DARK_SHARE_MAX,
    DEAD_PIXELS_MAX,
    RESOLUTION_MAX_CM1,
    SNR_MIN,
    findings,
    measure_condition,
)
from gateway.spectra.spectrum import Spectrum
from simulators.forward import CONTAINERS, World, measure

LIBRARY = load_library()
AXIS = np.linspace(250.0, 2000.0, 1024)
BANDS = ((480.0, 0.5), (640.0, 0.3), (870.0, 1.0), (1010.0, 0.6), (1320.0, 0.8), (1605.0, 0.4))


def light(height=20_000.0, *, level=400.0, width=9.0, noise=12.0, glow=0.0, seed=1, axis=AXIS):
    """Counts of six bands on a level and a broad glow, with white noise."""
    rng = np.random.default_rng([41, seed])
    counts = np.full(axis.shape, level)
    for place, share in BANDS:
        counts += height * share * np.exp(-4.0 * np.log(2.0) * ((axis - place) / width) ** 2)
    counts += glow * np.exp(-0.5 * ((axis - 1000.0) / 600.0) ** 2)
    return counts + rng.normal(0.0, noise, axis.size)


def told(counts, axis=AXIS, **kwargs):
    """Reason ids and parameters of the findings on some counts."""
    condition = measure_condition(axis, np.asarray(counts, dtype=float), **kwargs)
    return {entry.reason_id: entry.parameters for entry in findings(condition)}


def forbidden(counts, **kwargs):
    """Reason ids of the findings that forbid to identify."""
    condition = measure_condition(AXIS, np.asarray(counts, dtype=float), **kwargs)
    return {entry.reason_id for entry in findings(condition) if entry.forbids}


def test_a_good_measurement_has_nothing_wrong_with_it():
    assert told(light()) == {}
    dark = np.full(AXIS.shape, 400.0)
    raw = {"dark_counts": dark, "full_scale_counts": 65_535, "raw": True, "resolution_cm1": 8.0}
    assert told(light(), **raw) == {}


# ------------------------------------------------------------------------------------------- dark


def test_the_dark_level_is_told_as_a_share_of_full_scale():
    counts = light(level=30_000.0, height=20_000.0)
    for level, wrong in ((0.9 * DARK_SHARE_MAX * 65_535, False), (30_000.0, True)):
        dark = np.full(AXIS.shape, level)
        condition = measure_condition(AXIS, counts, dark_counts=dark, full_scale_counts=65_535)
        assert condition.dark_share == pytest.approx(level / 65_535)
        assert ("dark_high" in {f.reason_id for f in findings(condition)}) == wrong
    found = told(counts, dark_counts=np.full(AXIS.shape, 30_000.0), full_scale_counts=65_535)
    assert found["dark_high"] == {"share_percent": 46}


def test_raw_counts_without_a_dark_frame_are_named_and_a_file_is_not():
    assert set(told(light(), raw=True)) == {"dark_missing"}
    assert told(light(), raw=False) == {}


def test_a_dark_frame_of_another_exposure_is_seen_by_negative_counts():
    found = told(light(height=3000.0), dark_counts=np.full(AXIS.shape, 700.0))
    assert found["negative"]["share_percent"] > 50
    noise = told(light(level=0.0), dark_counts=np.zeros(AXIS.shape))
    assert "negative" not in noise
    assert told(light() - 50_000.0)["negative"] == {"share_percent": 100}
    # A program that centres its spectra writes negative numbers, and bands that can be read.
    centred = light()
    assert told(centred - centred.mean()) == {}


# ------------------------------------------------------------------------------------- saturation


def test_full_pixels_are_counted_where_full_scale_is_known():
    counts = np.minimum(light(level=50_000.0), 65_535.0)
    found = told(counts, full_scale_counts=65_535)
    share = np.mean(counts >= 65_535.0)
    assert found["saturated"]["share_percent"] == max(1, round(100.0 * share))
    # One warm pixel is full in every frame and hides nothing.
    warm = light()
    warm[300] = 65_535.0
    assert "saturated" not in told(warm, full_scale_counts=65_535)
    marks = np.zeros(AXIS.shape, dtype=bool)
    marks[100:130] = True
    assert told(light(), saturated=marks)["saturated"] == {"share_percent": 3}


@pytest.mark.parametrize("width", [9.0, 14.0, 20.0])
@pytest.mark.parametrize("cut", [0.5, 0.8])
def test_a_cut_off_band_is_seen_without_knowing_full_scale(cut, width):
    counts = light(width=width)
    full = counts.min() + cut * np.ptp(counts)
    condition = measure_condition(AXIS, np.minimum(counts, full))
    assert condition.plateau_count >= 1
    assert condition.saturated_share == pytest.approx(np.mean(counts >= full), abs=0.01)
    assert "saturated" in {entry.reason_id for entry in findings(condition)}


@pytest.mark.parametrize("axis", [AXIS, np.arange(200.0, 2000.0, 0.2)])
@pytest.mark.parametrize("width", [6.0, 25.0, 120.0])
def test_no_round_top_is_taken_for_a_plateau(width, axis):
    smooth = light(width=width, noise=0.0, axis=axis)
    assert not clipped(axis, smooth).any()
    assert not clipped(axis, np.round(smooth / 100.0)).any()
    hump = np.exp(-0.5 * ((axis - 900.0) / 500.0) ** 2)
    assert not clipped(axis, hump).any()


# -------------------------------------------------------------------------------- spikes and steps


def test_cosmic_rays_are_counted_and_many_of_them_named():
    rng = np.random.default_rng(3)
    few, many = light(), light()
    few[[120, 400, 801]] += 30_000.0
    struck = rng.choice(np.arange(20, 1000, 6), 45, replace=False)
    many[struck] += 30_000.0
    condition = measure_condition(AXIS, few, resolution_cm1=8.0)
    assert condition.spike_count == 3
    assert findings(condition) == ()
    found = told(many, resolution_cm1=8.0)
    assert found["cosmic_rays"]["spike_count"] == pytest.approx(45, abs=4)


@pytest.mark.parametrize("axis", [AXIS, np.arange(250.0, 2000.0, 0.8)])
@pytest.mark.parametrize("photons", [64, 400, 3600])
def test_the_noise_of_few_photons_is_no_hit_and_no_fault(photons, axis):
    """A dark part without any photon has no noise to compare the bands' own noise with."""
    for seed in range(10):
        rng = np.random.default_rng([44, seed])
        counts = rng.poisson(light(height=photons, level=0.02, noise=0.0, axis=axis)).astype(float)
        for stated in (None, 8.0):
            found = told(counts, axis, resolution_cm1=stated)
            assert set(found) <= {"weak_signal"}, found


def test_dead_pixels_are_counted_and_many_of_them_named():
    counts = light(level=5000.0)
    places = np.arange(25, 1000, 40)
    counts[places[:5]] = 0.0
    condition = measure_condition(AXIS, counts, resolution_cm1=8.0)
    assert condition.dead_count == 5
    assert findings(condition) == ()
    counts[places] = 0.0
    found = told(counts, resolution_cm1=8.0)
    assert found["dead_pixels"]["pixel_count"] > DEAD_PIXELS_MAX
    assert found["dead_pixels"]["pixel_count"] == pytest.approx(places.size, abs=3)


def test_a_jump_of_the_level_is_named_with_its_place():
    counts = light()
    counts[AXIS > 1200.0] += 9000.0
    assert told(counts)["step"]["shift_cm1"] == pytest.approx(1200, abs=2)
    for fine in (light(width=6.0), light(noise=2000.0), light(glow=50_000.0)):
        assert "step" not in told(fine)


# ---------------------------------------------------------------------------- noise, fluorescence


@pytest.mark.parametrize("snr", [10.0, 25.0, 200.0])
def test_signal_to_noise_is_that_of_the_filtered_light(snr):
    condition = measure_condition(AXIS, light(height=snr * 100.0, noise=100.0), resolution_cm1=8.0)
    # Filtering to half a line width gains a factor of about two.
    assert 1.2 * snr < condition.snr < 3.5 * snr
    weak = "weak_signal" in {entry.reason_id for entry in findings(condition)}
    assert weak == (condition.snr < SNR_MIN)


def test_too_weak_a_signal_is_told_with_what_is_needed():
    found = told(light(height=900.0, noise=100.0), resolution_cm1=8.0)
    assert found["weak_signal"]["snr_min"] == SNR_MIN
    assert found["weak_signal"]["snr"] < SNR_MIN
    condition = measure_condition(AXIS, light(height=900.0, noise=100.0), resolution_cm1=8.0)
    assert findings(condition, snr_min=condition.snr - 0.1) == ()


@pytest.mark.parametrize("load", [1.0, 5.0, 20.0])
def test_the_load_of_fluorescence_is_measured(load):
    base = light(noise=0.1)
    area = np.sum(base - 400.0)
    hump = np.exp(-0.5 * ((AXIS - 1000.0) / 350.0) ** 2)
    counts = base + hump * load * area / hump.sum()
    condition = measure_condition(AXIS, counts)
    assert condition.fluorescence_load == pytest.approx(load, rel=0.35)
    assert condition.fluorescence_share == pytest.approx(load / (1.0 + load), abs=0.12)


def test_fluorescence_is_named_where_its_shot_noise_drowns_the_weakest_band():
    rng = np.random.default_rng(9)
    raman = light(height=4000.0, level=0.0, noise=0.0)
    glow = 1e6 * np.exp(-0.5 * ((AXIS - 1000.0) / 500.0) ** 2)
    drowned = rng.poisson(raman + glow).astype(float)
    found = told(drowned, resolution_cm1=8.0)
    assert found["fluorescence"]["share_percent"] > 90
    assert "weak_signal" not in found
    # A thousand exposures: as much background for the signal, and the bands can be read.
    longer = rng.poisson(1000.0 * (raman + glow)).astype(float)
    assert told(longer, resolution_cm1=8.0) == {}
    # As weak without background: not fluorescence.
    dim = told(raman + rng.normal(0.0, 300.0, AXIS.size), resolution_cm1=8.0)
    assert "fluorescence" not in dim
    assert "weak_signal" in dim


# -------------------------------------------------------------------------------------- resolution


@pytest.mark.parametrize("width", [6.0, 9.0, 14.0])
def test_resolution_is_estimated_from_the_narrowest_bands(width):
    condition = measure_condition(AXIS, light(width=width))
    assert condition.resolution_cm1 == pytest.approx(width, rel=0.3)
    assert not condition.resolution_stated
    assert findings(condition) == ()


def test_poor_resolution_is_named_stated_or_seen():
    assert told(light(), resolution_cm1=RESOLUTION_MAX_CM1) == {}
    found = told(light(), resolution_cm1=20.0)
    assert found["resolution_poor"] == {"resolution_cm1": 20, "resolution_max_cm1": 16}
    assert "resolution_poor" in told(light(width=40.0))
    # Two broad bands may be the goods' own.
    two = np.exp(-(((AXIS - 600.0) / 25.0) ** 2)) + np.exp(-(((AXIS - 1500.0) / 25.0) ** 2))
    noise = np.random.default_rng(2).normal(0.0, 10.0, AXIS.size)
    assert "resolution_poor" not in told(2e4 * two + 400.0 + noise)


# ------------------------------------------------------------------------------------- no light


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 65_535.0])
def test_a_constant_signal_is_named(value):
    assert "constant" in told(np.full(AXIS.shape, value))
    assert "constant" not in told(light())


def test_only_what_holds_no_light_forbids_to_identify():
    assert "constant" in forbidden(np.full(AXIS.shape, 9.0))
    assert forbidden(light() - 50_000.0) == {"negative"}
    assert forbidden(60_000.0 - light()) == {"not_raman"}
    dark = np.full(AXIS.shape, 700.0)
    assert forbidden(light(), dark_counts=dark) == forbidden(light(), raw=True) == set()
    assert forbidden(np.minimum(light(), 5000.0)) == set()


# ----------------------------------------------------------------------------- several exposures


def exposures(count, *, drift=0.0, seed=5):
    rng = np.random.default_rng([43, seed])
    base = light(noise=0.0)
    frames = [base * (1.0 + drift * k) + 30.0 * k for k in range(count)]
    return np.array(frames) + rng.normal(0.0, 12.0, (count, AXIS.size))


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_a_ray_as_wide_as_a_band_is_seen_against_the_other_exposures(count, drift):
    frames = exposures(count, drift=drift)
    clean = frames.mean(axis=0)
    wide = 5000.0 * np.exp(-4.0 * np.log(2.0) * ((AXIS - 1150.0) / 9.0) ** 2)
    frames[1] += wide
    average, hits = against_average(frames)
    struck = np.abs(AXIS - 1150.0) < 5.0
    assert hits[1, struck].all()
    assert not hits[:, np.abs(AXIS - 1150.0) > 20.0].any()
    assert not np.delete(hits, 1, axis=0)[:, struck].any()
    # A single frame cannot tell it from a band; the average of the others can do without it.
    single = measure_condition(AXIS, frames[1], resolution_cm1=8.0)
    assert single.spike_count == 0
    # The frames differ by drift, so leaving one out moves the level by its share of it.
    apart = np.median((average - clean)[struck])
    assert abs(apart) < 0.1 * 5000.0
    # What is not high enough over the noise of the comparison is left where it is.
    faint = exposures(count)
    faint[0, 300] += 0.4 * HIT_SNR_MIN * 12.0
    assert not against_average(faint)[1][0, 300]


def struck_by(count, *, wide_cm1, height, places, frame=1):
    frames = exposures(count)
    for place in places:
        sigma_cm1 = wide_cm1 / 2.3548
        frames[frame] += height * np.exp(-0.5 * ((AXIS - place) / sigma_cm1) ** 2)
    return frames


@pytest.mark.parametrize("count", [2, 3, 8])
def test_exposures_are_alike_when_they_differ_by_rays_drift_and_bleaching(count):
    spacing = float(np.median(np.diff(AXIS)))
    assert are_alike(exposures(count), AXIS, 8.0)
    assert are_alike(exposures(count, drift=0.05), AXIS, 8.0)
    rays = struck_by(count, wide_cm1=1.5 * spacing, height=9000.0, places=(600.0, 1150.0, 1700.0))
    assert against_average(rays)[1].any()
    assert are_alike(rays, AXIS, 8.0)
    bleached = exposures(count)
    bleached[0] += 2000.0 * np.exp(-(((AXIS - 1300.0) / 700.0) ** 2))
    assert are_alike(bleached, AXIS, 8.0)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_noisy_exposures_of_few_bands_are_alike(count):
    """Where most points are noise their tops say nothing of how bright a frame is."""
    band = 800.0 * np.exp(-4.0 * np.log(2.0) * ((AXIS - 1086.0) / 9.0) ** 2)
    for seed in range(10):
        noise = np.random.default_rng([44, seed]).normal(0.0, 20.0, (count, AXIS.size))
        frames = band * np.linspace(0.9, 1.1, count)[:, None] + noise
        assert are_alike(frames, AXIS, 8.0)
        _, hits = against_average(frames)
        assert not hits[:, np.abs(AXIS - 1086.0) < 10.0].any()


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("height", [5000.0, -800.0])
def test_exposures_with_a_band_of_their_own_are_not_alike(count, height):
    """What one has, or lacks, and is as wide as a band: no ray does that."""
    one = struck_by(count, wide_cm1=9.0, height=height, places=(1150.0,))
    assert not are_alike(one, AXIS, 8.0)


def test_more_rays_than_a_detector_meets_are_none():
    spacing = float(np.median(np.diff(AXIS)))
    places = AXIS[5:-5:20]
    many = struck_by(3, wide_cm1=1.2 * spacing, height=6000.0, places=places)
    assert not are_alike(many, AXIS, 8.0)
    assert are_alike(
        struck_by(3, wide_cm1=1.2 * spacing, height=6000.0, places=places[::8]), AXIS, 8.0
    )


def test_equal_frames_have_no_hits_and_one_frame_is_refused():
    frames = np.repeat(light()[None, :], 4, axis=0)
    average, hits = against_average(frames)
    assert not hits.any()
    assert average == pytest.approx(frames[0])
    with pytest.raises(ValueError, match="at least two"):
        against_average(frames[:1])


# ------------------------------------------------------------------------------------ good spectra


def test_good_spectra_of_the_forward_model_stay_without_a_finding():
    """At 100 and more times the noise and little background, at every resolution in use."""
    outcome = Counter()
    for number, name in enumerate(LIBRARY.active_ids):
        rng = np.random.default_rng([47, number])
        world = World(
            fluorescence=float(rng.choice([0.2, 1.0])),
            resolution_cm1=float(rng.choice([4.0, 8.0, 12.0])),
        )
        made = measure(LIBRARY, {name: 1.0}, 150.0, rng, world, CONTAINERS[number % 5])
        for stated in (None, world.resolution_cm1):
            found = told(made.intensity_counts, made.axis_cm1, resolution_cm1=stated)
            outcome[tuple(found)] += 1
    wrong = {key: number for key, number in outcome.items() if key}
    # Broad substances (glass, carbon black) have no sharp band at all.
    assert sum(wrong.values()) <= 0.02 * outcome.total(), wrong


def test_measured_spectra_stay_without_a_finding_but_two(raman_path):
    """One is clipped at 64 055 counts over 10 cm^-1, one is bare glass: both are told rightly."""
    found = {}
    with (raman_path / "INDEX.csv").open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            spectrum = read_spectrum(raman_path / row["file"])
            names = list(told(spectrum.intensity_counts, spectrum.axis_cm1))
            if names:
                found[row["file"]] = names
    assert found == {
        "acetonitrile__arcadia-ramanalysis__2.csv": ["saturated"],
        "glass__arcadia__1.csv": ["fluorescence"],
    }


@given(
    counts=arrays(
        np.float64, st.integers(32, 300), elements=st.floats(-1e15, 1e15, allow_subnormal=False)
    ),
    ends=st.tuples(st.floats(-4000.0, 900.0), st.floats(1000.0, 19_000.0)),
    dark=st.one_of(st.none(), st.floats(0.0, 1e5)),
    resolution=st.one_of(st.none(), st.floats(0.5, 40.0)),
)
def test_any_numbers_are_measured(counts, ends, dark, resolution):
    spectrum = Spectrum(np.linspace(*ends, counts.size), counts)
    condition = measure_condition(
        spectrum.axis_cm1,
        counts,
        dark_counts=None if dark is None else np.full(counts.shape, dark),
        full_scale_counts=65_535.0,
        resolution_cm1=resolution,
        raw=dark is None,
    )
    for share in (condition.saturated_share, condition.spiked_share, condition.negative_share):
        assert 0.0 <= share <= 1.0
    assert 0.0 <= condition.fluorescence_share <= 1.0
    assert np.isfinite([condition.snr, condition.noise, condition.fluorescence_load]).all()
    assert all(isinstance(entry.reason_id, str) for entry in findings(condition))
