"""Goal: a degradation does what its name says, and nothing it does not say.

Method: a spectrum made of two known bands on a known background is degraded, and the size of the
fault is measured back by other means than the code's: from repeated draws, by fitting a width, by
comparing areas between stated limits.
"""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evaluation.degrade import (
    KINDS,
    PHOTONS_AT_PEAK,
    add_background,
    add_second,
    add_shot_noise,
    area,
    background,
    bend_axis,
    blur,
    degrade,
    overlap,
    peak,
    signal,
)
from gateway.spectra.spectrum import Spectrum

AXIS = np.arange(200.0, 2001.0, 1.0)
HIGH, LOW = 900.0, 1500.0


def band(place, height, fwhm, axis=AXIS):
    return height * np.exp(-4.0 * np.log(2.0) * ((axis - place) / fwhm) ** 2)


def clean(height=1000.0, floor=200.0, axis=AXIS):
    slope = floor * (1.0 + 0.2 * (axis - axis[0]) / np.ptp(axis))
    light = slope + band(HIGH, height, 10.0, axis) + band(LOW, 0.4 * height, 10.0, axis)
    return Spectrum(axis, light)


def other(axis=AXIS):
    return Spectrum(axis, 50.0 + band(1100.0, 300.0, 14.0, axis) + band(600.0, 90.0, 9.0, axis))


def at(spectrum, place):
    return int(np.argmin(np.abs(spectrum.axis_cm1 - place)))


def width_cm1(spectrum, place):
    """Full width at half maximum, read off the flanks."""
    net = spectrum.intensity_counts - background(spectrum.axis_cm1, spectrum.intensity_counts)
    near = np.flatnonzero(np.abs(spectrum.axis_cm1 - place) < 40.0)
    half = near[net[near] >= 0.5 * net[near].max()]
    return float(np.ptp(spectrum.axis_cm1[half]))


@pytest.mark.parametrize("snr", [60.0, 20.0, 8.0])
def test_shot_noise_has_the_stated_peak_signal_to_noise(snr):
    spectrum, place = clean(), at(clean(), HIGH)
    rng = np.random.default_rng(1)
    counts = np.array([add_shot_noise(spectrum, snr, rng).intensity_counts for _ in range(300)])
    # The height above the background beneath, over the scatter at the top.
    beneath = counts[:, place - 60 : place - 40].mean()
    measured = (counts[:, place].mean() - beneath) / counts[:, place].std()
    assert measured == pytest.approx(snr, rel=0.15)


def test_shot_noise_grows_with_the_root_of_the_light():
    draws = np.array(
        [
            add_shot_noise(clean(), 20.0, np.random.default_rng(seed)).intensity_counts
            for seed in range(200)
        ]
    )
    assert draws.var(axis=0).mean() == pytest.approx(draws.mean(), rel=0.05)


@pytest.mark.parametrize("times", [1.0, 5.0, 20.0])
def test_background_is_so_many_times_the_strongest_band_and_brings_its_noise(times):
    spectrum = clean(floor=0.0)
    draws = np.array(
        [
            add_background(spectrum, times, np.random.default_rng(seed)).intensity_counts
            for seed in range(15)
        ]
    )
    bare = (np.abs(AXIS - HIGH) > 40.0) & (np.abs(AXIS - LOW) > 40.0)
    for row in draws:
        hump = np.polyval(np.polyfit(AXIS[bare] / 1000.0, row[bare], 8), AXIS / 1000.0)
        assert hump.max() == pytest.approx(times * PHOTONS_AT_PEAK, rel=0.03)
        # Where no band stands, the scatter is that of the light itself.
        part = slice(at(spectrum, 1700.0), at(spectrum, 1990.0))
        detrended = row[part] - np.polyval(np.polyfit(AXIS[part], row[part], 3), AXIS[part])
        assert detrended.std() == pytest.approx(np.sqrt(row[part].mean()), rel=0.25)


def test_background_keeps_the_bands():
    spectrum = clean(floor=0.0)
    added = add_background(spectrum, 5.0, np.random.default_rng(3))
    height, place = peak(added)
    assert abs(AXIS[place] - HIGH) <= 4.0
    assert height == pytest.approx(PHOTONS_AT_PEAK, rel=0.15)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_blur_makes_a_sharp_line_as_wide_as_stated_and_keeps_its_area(step):
    axis = np.arange(200.0, 2000.0, step)
    sharp = Spectrum(axis, 10.0 + band(HIGH, 1000.0, 1.5, axis))
    seen = blur(sharp, 10.0)
    assert width_cm1(seen, HIGH) == pytest.approx(np.hypot(10.0, 1.5), abs=2.0 * step)
    before, after = (np.trapezoid(s.intensity_counts - 10.0, axis) for s in (sharp, seen))
    assert after == pytest.approx(before, rel=0.05)


def test_the_axis_is_bent_by_the_stated_shift_and_stretch_each_way():
    seen = set()
    for seed in range(40):
        bent = bend_axis(clean(), np.random.default_rng(seed)).axis_cm1
        stretch, shift = np.polyfit(AXIS, bent, 1)
        assert abs(stretch - 1.0) == pytest.approx(0.0015)
        assert abs(shift) == pytest.approx(2.0)
        seen.add((stretch > 1.0, shift > 0.0))
    assert len(seen) == 4


def test_cosmic_rays_strike_few_points_upwards_only():
    struck = degrade(clean(), "cosmic_rays", np.random.default_rng(2))
    change = struck.intensity_counts - clean().intensity_counts
    assert change.min() == 0.0
    points = np.flatnonzero(change)
    assert 3 <= points.size <= 40
    assert change[points].min() >= 0.25 * 1000.0


@pytest.mark.parametrize("kept", [0.5, 0.3, 0.2, 0.1])
@pytest.mark.parametrize("step", [0.7, 1.0, 3.0])
def test_a_second_spectrum_leaves_the_first_its_share_of_the_area(kept, step):
    second = other(np.arange(150.0, 2100.0, step))
    mixed = add_second(clean(), second, kept)
    net = mixed.intensity_counts - clean(height=0.0).intensity_counts
    own = band(HIGH, 1000.0, 10.0) + band(LOW, 400.0, 10.0)
    share = np.trapezoid(own, AXIS) / np.trapezoid(net, AXIS)
    assert share == pytest.approx(kept, abs=0.03)


@pytest.mark.parametrize("kind", ["hdpe", "pet"])
def test_a_container_comes_at_equal_area(kind):
    mixed = degrade(clean(), kind, np.random.default_rng(1), other())
    own, both = (area(AXIS, signal(entry)) for entry in (clean(), mixed))
    assert both == pytest.approx(2.0 * own, rel=0.06)


def test_outside_the_second_spectrum_nothing_is_added():
    mixed = add_second(clean(), other(np.arange(500.0, 1300.0, 1.0)), 0.3)
    outside = (AXIS < 500.0) | (AXIS > 1300.0)
    assert np.array_equal(mixed.intensity_counts[outside], clean().intensity_counts[outside])
    assert overlap(clean(), other(np.arange(500.0, 1300.0, 1.0))) == pytest.approx(799.0 / 1800.0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_seeded_and_changes_something(kind):
    first, again, different = (
        degrade(clean(), kind, np.random.default_rng(seed), other()) for seed in (5, 5, 6)
    )
    assert np.array_equal(first.intensity_counts, again.intensity_counts)
    assert np.array_equal(first.axis_cm1, again.axis_cm1)
    assert not (
        np.array_equal(first.intensity_counts, clean().intensity_counts)
        and np.array_equal(first.axis_cm1, AXIS)
    )
    if kind.startswith(("shot", "background", "cosmic")):
        assert not np.array_equal(first.intensity_counts, different.intensity_counts)


def test_dark_subtracted_spectra_below_zero_can_be_degraded():
    low = replace(clean(), intensity_counts=clean().intensity_counts - 260.0)
    for kind in KINDS:
        result = degrade(low, kind, np.random.default_rng(5), other())
        assert np.isfinite(result.intensity_counts).all()


@pytest.mark.parametrize("kind", ["mixture_30", "hdpe", "shot", "fog_3"])
def test_an_unknown_kind_or_a_missing_second_spectrum_is_named(kind):
    with pytest.raises(ValueError, match=kind):
        degrade(clean(), kind, np.random.default_rng(1))
