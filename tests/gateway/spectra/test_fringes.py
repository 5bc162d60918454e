"""Goal: interference fringes are measured, never taken for bands, and told to the officer.

Method: goods of the library on a bright background with a ripple of known share and period, drawn
with photon noise; noise alone and goods alone show that nothing is seen where nothing is.
"""

import numpy as np
import pytest

from gateway.screening.explain import explain
from gateway.screening.rules import screen
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.fringes import find_fringes
from gateway.spectra.library import load_library
from gateway.spectra.match import identify
from gateway.spectra.prepare import prepare
from gateway.spectra.spectrum import Spectrum
from simulators.forward import World, pure

AXIS_CM1 = np.arange(200.0, 2350.0, 1.5)
PHOTONS = 1e5
LIBRARY, LISTS = load_library(), load_watchlists()


def rippled(substance, share, period_cm1, seed=1, background=1.0):
    rng = np.random.default_rng(seed)
    bands = pure(LIBRARY, substance, AXIS_CM1, World(), rng)
    ripple = 1.0 + share * np.sin(2.0 * np.pi * AXIS_CM1 / period_cm1 + rng.uniform(0.0, 6.0))
    light = (bands / bands.max() + background) * ripple
    return Spectrum(AXIS_CM1, rng.poisson(PHOTONS * light).astype(float), axis_uncertainty_cm1=2.0)


@pytest.mark.parametrize("period_cm1", [14.0, 25.0, 38.0])
@pytest.mark.parametrize("share", [0.02, 0.05])
@pytest.mark.parametrize("substance", ["calcite", "sucrose"])
def test_size_and_period_of_a_ripple_are_measured(substance, share, period_cm1):
    found = prepare(rippled(substance, share, period_cm1)).fringes
    assert found is not None
    assert found.period_cm1 == pytest.approx(period_cm1, rel=0.06)
    assert found.share == pytest.approx(share, rel=0.35)


def test_noise_is_no_ripple():
    rng = np.random.default_rng(5)
    seen = [
        find_fringes(rng.normal(0.0, 1.0, 1000), np.full(1000, 100.0)) is not None
        for _ in range(300)
    ]
    assert sum(seen) <= 6


def test_a_range_shorter_than_a_stretch_and_darkness_are_left_alone():
    assert find_fringes(np.zeros(399), np.ones(399)) is None
    assert find_fringes(np.zeros(800), np.zeros(800)) is None


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_ripples_on_harmless_goods_raise_no_alarm(share):
    goods = ("calcite", "sucrose", "glycerol", "polystyrene", "talc", "citric_acid")
    verdicts = [
        screen(identify(rippled(name, share, period, seed), LIBRARY), LISTS, LIBRARY)
        for seed, name in enumerate(goods)
        for period in (15.0, 25.0, 33.0, 40.0)
    ]
    assert "alarm" not in {verdict.verdict for verdict in verdicts}


def test_a_ripple_that_hides_bands_takes_clear_away_and_says_what_to_do():
    spectrum = rippled("calcite", 0.05, 25.0, background=5.0)
    verdict = screen(identify(spectrum, LIBRARY), LISTS, LIBRARY)
    assert (verdict.verdict, verdict.reason_id) == ("inconclusive", "fringes")
    assert verdict.parameters["share_percent"] == pytest.approx(5.0, rel=0.35)
    assert verdict.quality.fringe_share == pytest.approx(0.05, rel=0.35)
    sentences = {explain(verdict, language, LIBRARY) for language in ("en", "fr", "ar", "es")}
    assert len(sentences) == 4
    assert all(str(verdict.parameters["share_percent"]) in text for text in sentences)


@pytest.mark.parametrize("name", ["ammonium_nitrate", "potassium_chlorate", "urea"])
def test_a_precursor_is_found_all_the_same(name):
    for seed in range(4):
        spectrum = rippled(name, 0.02, 25.0, seed)
        verdict = screen(identify(spectrum, LIBRARY), LISTS, LIBRARY)
        assert verdict.verdict == "alarm"
        assert name in verdict.parameters["substance_ids"]
