"""Goal: evidence behaves as evidence: position, presence and chance count, heights hardly.

Method: spectra of chosen bands, each pair differing in one thing; the evidence must move the way
that one thing demands.
"""

import numpy as np
import pytest

from gateway.spectra.bands import measure_bands
from gateway.spectra.evidence import BandState, weigh
from gateway.spectra.library import load_library
from gateway.spectra.mixture import render_heights
from gateway.spectra.prepare import prepare
from gateway.spectra.scene import see
from gateway.spectra.spectrum import Spectrum

AXIS = np.linspace(250.0, 2000.0, 1024)
CHLORATE = {940.0: 1.0, 489.0: 0.3, 620.0: 0.25, 978.0: 0.25}
LIBRARY = load_library()


def spectrum(bands, seed=1, noise=4.0):
    rng = np.random.default_rng(seed)
    total = 300.0 + rng.normal(0.0, noise, AXIS.size)
    for place, height in bands.items():
        total += 2_000.0 * height * np.exp(-4 * np.log(2) * ((AXIS - place) / 10.0) ** 2)
    return Spectrum(AXIS, total, resolution_cm1=8.0)


def weighed(bands, substance="potassium_chlorate", axis_uncertainty_cm1=2.0, **kwargs):
    prepared = prepare(spectrum(bands, **kwargs))
    heights = render_heights(LIBRARY, prepared.resolution_cm1)
    scene = see(prepared, measure_bands(prepared), LIBRARY, axis_uncertainty_cm1, heights)
    evidence = weigh(scene, np.zeros_like(prepared.grid_cm1))
    index = LIBRARY.places[substance][0]
    rows = np.flatnonzero(LIBRARY.arrays.entry == index)
    states = {
        float(LIBRARY.arrays.shift_cm1[row]): BandState(int(evidence.state[row])) for row in rows
    }
    return float(evidence.nats[index]), states


def test_all_bands_at_their_places_convince():
    nats, states = weighed(CHLORATE)
    assert nats > 8.0
    assert [states[place] for place in CHLORATE] == [BandState.FOUND] * 4


@pytest.mark.parametrize("place", [489.0, 620.0, 978.0, 940.0])
def test_a_missing_strong_band_speaks_against(place):
    whole, _ = weighed(CHLORATE)
    rest, states = weighed({p: h for p, h in CHLORATE.items() if p != place})
    assert states[place] in (BandState.MISSING, BandState.HIDDEN)
    assert rest < whole - 3.0


def test_a_band_too_weak_to_be_seen_says_nothing():
    strong, states = weighed({940.0: 1.0}, noise=400.0)
    assert states[620.0] == BandState.FAINT
    assert states[144.0 if 144.0 in states else 940.0] in (BandState.OUTSIDE, BandState.FOUND)
    quiet, _ = weighed({940.0: 1.0}, noise=4.0)
    assert quiet < strong


def test_heights_off_by_a_factor_of_two_cost_little():
    true, _ = weighed(CHLORATE)
    crooked, states = weighed({940.0: 1.0, 489.0: 0.6, 620.0: 0.13, 978.0: 0.5})
    assert BandState.MISSING not in states.values()
    assert crooked > true - 4.0


def test_places_count_down_to_the_uncertainty():
    at = {}
    for shift in (0.0, 3.0, 12.0):
        at[shift], _ = weighed({place + shift: height for place, height in CHLORATE.items()})
    assert at[0.0] > at[3.0] > at[12.0]
    assert at[3.0] > 4.6
    assert at[12.0] < 0.0


def test_a_wider_axis_uncertainty_lowers_certainty_but_reaches_further():
    near, _ = weighed(CHLORATE, axis_uncertainty_cm1=1.0)
    wide, _ = weighed(CHLORATE, axis_uncertainty_cm1=5.0)
    assert wide < near
    moved = {place + 4.5: height for place, height in CHLORATE.items()}
    assert weighed(moved, axis_uncertainty_cm1=5.0)[0] > weighed(moved, axis_uncertainty_cm1=1.0)[0]


def test_the_same_match_is_worth_less_in_a_crowd():
    rng = np.random.default_rng(5)
    crowd = {float(place): 0.9 for place in rng.uniform(1050.0, 1950.0, 25)}
    alone, _ = weighed(CHLORATE)
    crowded, _ = weighed(CHLORATE | crowd)
    assert crowded < alone - 5.0


def test_what_a_model_explains_is_no_evidence():
    prepared = prepare(spectrum(CHLORATE))
    heights = render_heights(LIBRARY, 8.0)
    measured = measure_bands(prepared)
    scene = see(prepared, measured, LIBRARY, 2.0, heights)
    index = LIBRARY.places["potassium_chlorate"][0]
    free = weigh(scene, np.zeros_like(prepared.grid_cm1))
    told = weigh(scene, prepared.smooth)
    assert told.nats[index] < 0.0 < free.nats[index]
    assert (told.match < 0).all()


def test_one_crest_speaks_once_for_bands_that_run_together():
    _, states = weighed({940.0: 1.0, 489.0: 0.3, 620.0: 0.25, 980.0: 0.35})
    assert sorted(states[place] for place in (978.0, 984.0)) == [
        BandState.HIDDEN,
        BandState.FOUND,
    ]
