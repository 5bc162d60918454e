"""Goal: an average of exposures never clears away what one of them shows.

Method: verdicts of each kind put together by hand, in every order.
"""

import itertools

import msgspec
import pytest

from gateway.catalogue import LANGUAGES
from gateway.screening.explain import explain
from gateway.screening.judge import unjudged
from gateway.screening.standing import fail, hold_back
from gateway.screening.together import SIGNS, together
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library

LIBRARY, LISTS = load_library(), load_watchlists()


def verdict(name, reason_id, *substance_ids):
    base = unjudged(reason_id, LIBRARY, LISTS, substance_ids=substance_ids)
    return msgspec.structs.replace(base, verdict=name)


CLEAR = verdict("clear", "harmless_found", "sucrose")
WEAK = verdict("inconclusive", "weak_signal")
UREA = verdict("alarm", "listed_found", "urea")
SIGN = verdict("inconclusive", "listed_possible", "acetone")
DRUG = verdict("inconclusive", "drug_found", "cocaine")


def joined(average, *singles, alike=True):
    return together(average, singles, alike=alike, watchlists=LISTS)


def test_an_alarm_stays_and_so_does_what_no_exposure_exceeds():
    assert joined(UREA, CLEAR, SIGN, alike=False) is UREA
    assert joined(CLEAR) is CLEAR
    assert joined(CLEAR, CLEAR, WEAK) is CLEAR
    assert joined(CLEAR, CLEAR, DRUG) is CLEAR
    assert joined(WEAK, WEAK, alike=False) is WEAK
    assert joined(SIGN, SIGN, CLEAR) is SIGN


def test_exposures_of_several_samples_are_never_clear():
    found = joined(CLEAR, CLEAR, CLEAR, alike=False)
    assert (found.verdict, found.reason_id) == ("inconclusive", "exposures_differ")


@pytest.mark.parametrize("average", [CLEAR, WEAK, SIGN])
@pytest.mark.parametrize("alike", [True, False])
def test_what_one_exposure_shows_is_named_wherever_it_stands(average, alike):
    for singles in itertools.permutations((CLEAR, SIGN, UREA)):
        found = joined(average, *singles, alike=alike)
        assert (found.verdict, found.reason_id) == ("inconclusive", "exposure_listed")
        assert found.parameters["substance_ids"] == ("urea",)
        assert found.parameters["exposure_number"] == singles.index(UREA) + 1
        for language in LANGUAGES:
            text = explain(found, language, LIBRARY)
            assert LIBRARY["urea"].name_in(language) in text
            assert "{" not in text
    named = joined(CLEAR, SIGN).parameters
    assert named["substance_ids"] == ("acetone",)
    assert "2019/1148" in " ".join(named["lists"])


def test_a_calibration_that_failed_does_not_take_the_name_away():
    found = hold_back(joined(CLEAR, UREA), fail("no_signal", "polystyrene"), LISTS)
    assert (found.verdict, found.reason_id) == ("inconclusive", "exposure_listed")
    assert found.calibration.state == "failed"


def test_every_sign_names_substances():
    for reason_id in SIGNS:
        base = verdict("inconclusive", reason_id, "urea")
        assert joined(CLEAR, base).reason_id == "exposure_listed"
