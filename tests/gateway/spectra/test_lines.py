"""Goal: lines are found where they are and measured to a fraction of a pixel, with an honest error.

Method: lines drawn at known places, widths and shapes on sloping, noisy floors.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.lines import CRESTS_MAX, find_crests, fit_line, pseudo_voigt


@given(
    centre=st.floats(990.0, 1010.0),
    fwhm=st.floats(4.0, 18.0),
    shape=st.floats(0.0, 1.0),
    spacing=st.sampled_from([0.3, 1.0, 1.7, 2.6]),
    slope=st.floats(-2.0, 2.0),
    seed=st.integers(0, 999),
)
def test_a_line_is_where_it_was_drawn(centre, fwhm, shape, spacing, slope, seed):
    fwhm = max(fwhm, 2.2 * spacing)
    axis = np.arange(900.0, 1100.0, spacing)
    rng = np.random.default_rng(seed)
    light = 5_000.0 * pseudo_voigt(axis - centre, fwhm, shape) + slope * (axis - 900.0) + 3_000.0
    counts = light + rng.normal(0.0, 25.0, axis.size)
    crests = find_crests(axis, counts)
    strongest = float(crests.place[int(np.argmax(crests.height))])
    assert strongest == pytest.approx(centre, abs=max(1.0, spacing))
    line = fit_line(axis, counts, strongest, fwhm)
    assert line is not None
    assert abs(line.place - centre) < max(6.0 * line.error, 0.02 * spacing, 0.02)
    assert line.error < 0.25
    assert line.fwhm == pytest.approx(fwhm, rel=0.3)


def test_the_error_is_as_large_as_the_scatter():
    axis = np.arange(900.0, 1100.0, 1.7)
    rng = np.random.default_rng(1)
    places, errors = [], []
    for _ in range(200):
        counts = 1_000.0 * pseudo_voigt(axis - 1000.3, 8.0, 0.3) + rng.normal(0.0, 30.0, axis.size)
        line = fit_line(axis, counts, 1000.0, 8.0)
        places.append(line.place)
        errors.append(line.error)
    assert np.std(places) / np.median(errors) == pytest.approx(1.0, abs=0.5)


def test_a_smooth_background_and_noise_have_no_crests():
    axis = np.arange(200.0, 2000.0, 1.7)
    rng = np.random.default_rng(2)
    hump = 1e5 * np.exp(-0.5 * ((axis - 900.0) / 300.0) ** 2)
    # Data without any noise have none to stand out of; what remains is far below any band.
    assert find_crests(axis, hump + axis).height.max(initial=0.0) < 1e-3 * hump.max()
    noisy = [find_crests(axis, rng.poisson(hump + 100.0).astype(float)) for _ in range(20)]
    assert np.mean([crests.place.size for crests in noisy]) < 1.0
    assert all(crests.snr.max(initial=0.0) < 12.0 for crests in noisy)


def test_there_is_a_bound_and_a_least_length():
    axis = np.arange(200.0, 5200.0, 1.0)
    comb = sum(pseudo_voigt(axis - at, 6.0, 0.0) for at in range(220, 5180, 25))
    found = find_crests(axis, 100.0 * np.asarray(comb))
    assert found.place.size == CRESTS_MAX
    assert (np.diff(found.place) > 0).all()
    short = np.arange(40.0)
    assert find_crests(short, short**2).place.size == 0


def test_what_is_no_line_is_none():
    axis = np.arange(900.0, 1100.0, 1.0)
    assert fit_line(axis, np.full(axis.size, 7.0), 1000.0, 8.0) is None
    assert fit_line(axis[::40], axis[::40] ** 2, 1000.0, 2.0) is None
    noise = np.random.default_rng(3).normal(0.0, 1.0, axis.size)
    found = [fit_line(axis, noise, float(at), 8.0) for at in range(920, 1080, 4)]
    assert sum(line is not None for line in found) < 0.4 * len(found)
