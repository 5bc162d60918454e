"""Goal: the forward model measures what it is told: signal to noise, shares, line width, faults.

Method: the stated quantity is measured back from the spectra, from repeated draws where it is
chance; old seeds give old spectra.
"""

from dataclasses import replace

import numpy as np
import pytest

from gateway.spectra.library import load_library
from simulators.forward import (
    AXIS_CM1,
    CONTAINERS,
    World,
    expose,
    measure,
    mix,
    pure,
    unknown,
    voigt,
)

LIBRARY = load_library()
QUIET = World(height_spread=0.0, width_spread=0.0, position_share=0.0, axis_error_cm1=0.0)


def rng(seed=1):
    return np.random.default_rng([71, seed])


@pytest.mark.parametrize("fluorescence", [0.0, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("snr", [12.0, 50.0])
def test_signal_to_noise_is_that_of_the_strongest_band_with_its_background(snr, fluorescence):
    light = voigt(AXIS_CM1, 1000.0, 6.0, 8.0)
    world = replace(QUIET, fluorescence=fluorescence, fluorescence_low=1.0, share="area")
    top, side = int(light.argmax()), 60
    ratios = []
    for seed in range(40):
        counts = expose(light, snr, rng(seed), world).intensity_counts
        beneath = 0.5 * (counts[top - side - 9 : top - side + 9].mean())
        beneath += 0.5 * (counts[top + side - 9 : top + side + 9].mean())
        # Shot noise is the root of the counts; `test_noise_...` shows that it is.
        ratios.append((counts[top] - beneath) / np.sqrt(max(counts[top], 1.0)))
    # The light beneath is taken as the mean of the background, give or take the hump's shape.
    assert np.median(ratios) == pytest.approx(snr, rel=0.25)


def test_noise_is_shot_noise_and_a_little_read_noise():
    light = voigt(AXIS_CM1, 1000.0, 200.0, 8.0)
    world = replace(QUIET, fluorescence=0.0)
    draws = np.array([expose(light, 40.0, rng(n), world).intensity_counts for n in range(300)])
    assert draws.var(axis=0).mean() == pytest.approx(draws.mean() + 9.0, rel=0.05)


@pytest.mark.parametrize("share", [0.5, 0.3, 0.1])
def test_shares_of_the_area_are_shares_of_the_area(share):
    world = replace(QUIET, share="area")
    both = mix(LIBRARY, {"urea": share, "sucrose": 1.0 - share}, AXIS_CM1, world, rng())
    other = mix(LIBRARY, {"sucrose": 1.0 - share}, AXIS_CM1, world, rng())
    areas = [np.trapezoid(light, AXIS_CM1) for light in (both - other, both)]
    assert areas[0] / areas[1] == pytest.approx(share, rel=1e-6)


def test_heights_are_heights_of_the_strongest_band():
    light = mix(LIBRARY, {"urea": 0.4}, AXIS_CM1, QUIET, rng())
    alone = pure(LIBRARY, "urea", AXIS_CM1, QUIET, rng())
    assert light == pytest.approx(0.4 * alone)


@pytest.mark.parametrize("resolution", [4.0, 8.0, 12.0])
def test_a_sharp_line_is_as_wide_as_the_instrument(resolution):
    axis = np.arange(900.0, 1100.0, 0.1)
    line = voigt(axis, 1000.0, 0.5, resolution)
    assert np.ptp(axis[line >= 0.5]) == pytest.approx(np.hypot(0.5, resolution), abs=0.3)


def test_axis_errors_stay_within_their_bounds_and_reach_them():
    plain = [measure(LIBRARY, {"urea": 1.0}, 50.0, rng(n), World()).axis_cm1[0] for n in range(80)]
    error = np.array(plain) - AXIS_CM1[0]
    assert np.abs(error).max() <= 2.0
    assert np.ptp(error) > 3.0
    world = World(axis_error_cm1=0.0, stretch=0.002)
    stretched = [measure(LIBRARY, {"urea": 1.0}, 50.0, rng(n), world).axis_cm1 for n in range(80)]
    slope = np.array([np.polyfit(AXIS_CM1, axis, 1)[0] - 1.0 for axis in stretched])
    assert np.abs(slope).max() <= 0.002
    assert np.ptp(slope) > 0.003


def test_cosmic_rays_are_as_many_as_stated_on_average():
    light = voigt(AXIS_CM1, 1000.0, 6.0, 8.0)
    counts = []
    for seed in range(60):
        with_rays, without = (
            expose(light, 100.0, rng(seed), replace(QUIET, cosmic_rays=rays)).intensity_counts
            for rays in (6.0, 0.0)
        )
        counts.append(int((with_rays != without).sum()))
    assert np.mean(counts) == pytest.approx(6.0, abs=1.0)


@pytest.mark.parametrize("container", CONTAINERS[1:])
def test_containers_add_their_strongest_band_at_15_to_50_percent(container):
    wall = max(
        LIBRARY[container].bands, key=lambda band: band.rel_intensity * (band.shift_cm1 < 2e3)
    )
    at = int(np.argmin(np.abs(AXIS_CM1 - wall.shift_cm1)))
    clear = replace(QUIET, fluorescence=0.0)
    with_wall, alone = (
        measure(LIBRARY, {"silicon": 1.0}, 300.0, rng(), clear, name).intensity_counts
        for name in (container, "none")
    )
    added = (with_wall[at] - alone[at]) / alone.max()
    assert 0.1 <= added <= 0.6


def test_unknown_patterns_are_bands_of_height_one_at_most_and_differ():
    first, second = (unknown(rng(seed), World()) for seed in (1, 2))
    assert first.max() == second.max() == 1.0
    assert first.min() >= 0.0
    assert not np.array_equal(first, second)


def test_an_instrument_that_does_not_know_its_line_width_does_not_state_it():
    assert measure(LIBRARY, {}, 50.0, rng(), World(resolution_known=False)).resolution_cm1 is None
    assert measure(LIBRARY, {}, 50.0, rng(), World()).resolution_cm1 == 8.0


def test_old_seeds_give_old_spectra():
    """What a world does not have is not drawn: thresholds and tests rest on these numbers."""
    source = np.random.default_rng(5)
    spectrum = expose(unknown(source, World()), 200.0, source, World())
    assert spectrum.axis_cm1[0] == pytest.approx(OLD[0], abs=1e-6)
    assert spectrum.intensity_counts[[100, 500, 900]] == pytest.approx(OLD[1:], abs=1e-3)


OLD = (249.274343, 42135.607358, 64557.252648, 84199.943306)
