"""Goal: the thresholds of the package are valid, decide the verdict, and nonsense is refused.

Method: the shipped file is read through the loader; changed copies of its text must be refused with
the number named; one identification is screened under two thresholds.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.screening.rules import screen
from gateway.screening.thresholds import (
    RANGES,
    Thresholds,
    ThresholdsError,
    load_thresholds,
    parse_thresholds,
)
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library
from gateway.spectra.match import identify
from simulators.forward import measure

TEXT = "\n".join(
    [f"{name} = {getattr(load_thresholds(), name)}" for name in RANGES]
    + ["score_knots = [[0.2, 0.1], [0.6, 0.5], [1.0, 0.9]]", "[record]", 'procedure = "test"']
)


def test_the_shipped_file_is_valid_and_names_its_procedure():
    found = load_thresholds()
    assert set(RANGES) | {"score_knots", "record"} == set(Thresholds.__struct_fields__)
    assert found.record.procedure


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", ["nan", "1e9", "-1e9", '"much"'])
def test_a_number_outside_its_range_is_named(name, value):
    lines = [
        f"{name} = {value}" if row.startswith(f"{name} =") else row for row in TEXT.split("\n")
    ]
    with pytest.raises(ThresholdsError, match=name):
        parse_thresholds("\n".join(lines))


@pytest.mark.parametrize(
    "old,new",
    [
        ("[0.6, 0.5]", "[0.1, 0.5]"),
        ("[0.6, 0.5]", "[0.6, 0.05]"),
        ("[1.0, 0.9]", "[1.5, 0.9]"),
        ("[record]", "surprise = 1\n[record]"),
        ("snr_clear_min", "snr_clear_least"),
    ],
)
def test_contradictions_and_unknown_names_are_refused(old, new):
    assert old in TEXT
    with pytest.raises(ThresholdsError):
        parse_thresholds(TEXT.replace(old, new))


def test_an_alarm_limit_below_the_possible_limit_is_refused():
    with pytest.raises(ThresholdsError, match="possible_nats_min"):
        parse_thresholds(
            TEXT.replace("alarm_nats_min = ", "alarm_nats_min = 0.0 # ").replace(
                "possible_nats_min = ", "possible_nats_min = 1.0 # "
            )
        )


def test_a_huge_file_is_refused_unread():
    with pytest.raises(ThresholdsError, match="larger"):
        parse_thresholds("#" * 100_000)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_calibrated_scores_rise_and_stay_between_the_knots(first, second):
    found = parse_thresholds(TEXT)
    low, high = sorted((first, second))
    assert 0.1 <= found.calibrated(low) <= found.calibrated(high) <= 0.9


def test_calibrated_scores_pass_through_the_knots_and_are_the_identity_without():
    found = parse_thresholds(TEXT)
    assert [found.calibrated(score) for score in (0.2, 0.4, 0.6, 0.8, 1.0)] == pytest.approx(
        [0.1, 0.3, 0.5, 0.7, 0.9]
    )
    bare = parse_thresholds(TEXT.replace("[[0.2, 0.1], [0.6, 0.5], [1.0, 0.9]]", "[]"))
    assert bare.calibrated(0.37) == 0.37


def test_the_verdict_follows_the_thresholds_it_is_given():
    library, lists = load_library(), load_watchlists()
    spectrum = measure(library, {"urea": 1.0}, 200.0, np.random.default_rng(5))
    found = identify(spectrum, library)
    strict = parse_thresholds(
        TEXT.replace("alarm_nats_min = ", "alarm_nats_min = 60.0 # ").replace(
            "alarm_nats_hidden_min = ", "alarm_nats_hidden_min = 60.0 # "
        )
    )
    assert screen(found, lists, library).verdict == "alarm"
    doubtful = screen(found, lists, library, thresholds=strict)
    assert (doubtful.verdict, doubtful.reason_id) == ("inconclusive", "listed_possible")
    assert doubtful.hits[0].score == pytest.approx(strict.calibrated(found.hits[0].score), abs=1e-3)
