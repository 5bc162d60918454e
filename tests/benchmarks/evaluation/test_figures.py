"""Goal: figures say what was counted, and a goal is met exactly when it is.

Method: made-up outcomes whose figures are known by hand; intervals against published values;
scores drawn with a known probability of being right.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.evaluation.cases import Case, Facts, HitRow, Outcome
from benchmarks.evaluation.figures import (
    goal,
    rate,
    reliability,
    score_all,
    share,
    upper_bound,
)

LISTED = frozenset({"urea", "acetone"})


def outcome(group="measured", kind="clean", verdict="clear", right=("sugar",), **fields):
    case = {"truth": frozenset(right), "removed": frozenset(), "facts": Facts(), "file": "f.csv"}
    case |= {key: fields.pop(key) for key in list(fields) if key in case or key == "target"}
    number = fields.pop("number", 0)
    return Outcome(
        case=Case(
            case_id=f"{group}/{kind}/{number}",
            group=group,
            kind=kind,
            side=fields.pop("side", "reporting"),
            target=case.pop("target", right[0] if right else ""),
            right=frozenset(right),
            **case,
        ),
        verdict=verdict,
        reason_id="reason",
        named=tuple(fields.pop("named", ())),
        hits=tuple(fields.pop("hits", ())),
        **fields,
    )


def figure(outcomes, name):
    scored = score_all(outcomes, LISTED, frozenset({"urea", "acetone"}))
    return next(entry for entry in scored.goals if entry.name == name)


def hit(substance_id="sugar", score=0.9, *, right=True):
    return HitRow(substance_id, score, score, right)


def test_intervals_agree_with_published_ones():
    # Clopper and Pearson: 0 of 10 and 7 of 10 at 95 %.
    none, seven = share(0, 10), share(7, 10)
    assert (none.low, none.high) == (0.0, pytest.approx(0.3085, abs=1e-4))
    assert (seven.low, seven.high) == pytest.approx((0.3475, 0.9333), abs=1e-4)
    # The rule of three: none in n leaves at most about 3 in n.
    assert upper_bound(0, 6000) == pytest.approx(3.0 / 6000, rel=0.01)
    assert upper_bound(0, 0) == 1.0


@given(st.integers(0, 400), st.integers(1, 400))
def test_intervals_hold_the_share(count, total):
    entry = share(min(count, total), total)
    assert entry.low <= entry.value + 1e-5
    assert entry.value - 1e-5 <= entry.high


def test_a_share_of_nothing_has_no_value():
    assert rate([]).value is None
    assert goal("g", rate([]).value, 0.9, "min", 0).met is None


@pytest.mark.parametrize(
    "value,sense,met",
    [(0.9, "min", True), (0.89, "min", False), (0.9, "max", True), (0.91, "max", False)],
)
def test_a_goal_is_met_at_its_limit(value, sense, met):
    assert goal("g", value, 0.9, sense, 10).met is met


def test_a_listed_substance_counts_as_found_only_when_the_alarm_names_it():
    right = outcome(verdict="alarm", right=("urea",), named=("urea", "tnt"))
    other = outcome(verdict="alarm", right=("urea",), named=("tnt",))
    doubt = outcome(verdict="inconclusive", right=("urea",), named=())
    assert figure([right], "measured_listed_found").met is True
    assert figure([right, other, doubt, right], "measured_listed_found").value == 0.5
    assert figure([other], "measured_false_alarms").of == 0


def test_false_alarms_are_alarms_on_goods_without_anything_listed():
    clean = [outcome(number=n) for n in range(5)]
    wrong = outcome(verdict="alarm", named=("urea",))
    assert figure([*clean, wrong], "measured_false_alarms").met is True
    assert figure([*clean, wrong, wrong], "measured_false_alarms").met is False
    with_listed = outcome(verdict="alarm", truth=frozenset({"sugar", "urea"}), named=("urea",))
    assert figure([*clean, with_listed], "measured_false_alarms").value == 0.0


def test_top1_counts_substances_of_the_library_only():
    outcomes = [
        outcome(hits=[hit(), hit("salt")]),
        outcome(hits=[hit("salt"), hit()]),
        outcome(hits=[]),
        outcome(right=(), hits=[hit("salt")]),
    ]
    entry = figure(outcomes, "measured_top1")
    assert (entry.value, entry.of) == (pytest.approx(1 / 3, abs=1e-4), 3)


def test_left_out_alarms_count_listed_ones_too_on_measured_spectra():
    outcomes = [outcome("left_out", "left_out", number=n) for n in range(99)]
    alarm = outcome("left_out", "left_out", "alarm", ("urea",), removed=frozenset({"urea"}))
    assert figure([*outcomes, alarm], "measured_left_out_alarms").value == pytest.approx(0.01)
    assert figure([*outcomes, alarm], "measured_left_out_alarms").met is True
    assert figure([*outcomes, alarm, alarm], "measured_left_out_alarms").met is False


def test_the_worst_substance_decides_the_synthetic_goals():
    def found(target, good, total):
        return [
            outcome(
                "listed", "pure", "alarm" if n < good else "clear", (target,),
                named=(target,) if n < good else (), number=n,
            )
            for n in range(total)
        ]  # fmt: skip

    outcomes = found("urea", 100, 100) + found("acetone", 98, 100)
    assert figure(outcomes, "world_pure_worst_substance").value == 0.98
    assert figure(outcomes, "world_pure_worst_substance").met is False
    assert figure(outcomes, "world_pure_all").met is True


def test_made_up_lists_count_every_list_asked():
    outcomes = [
        outcome("degraded", "shot_8", pretend_found=True, pretend_asked=2, pretend_false=1),
        outcome("degraded", "shot_8", pretend_found=False, pretend_asked=2, pretend_false=0),
        outcome("degraded", "axis", pretend_asked=3, right=()),
    ]
    assert figure(outcomes, "degraded_detection_made_up_lists").value == 0.5
    assert figure(outcomes, "degraded_false_alarms_made_up_lists").value == pytest.approx(
        1 / 7, abs=1e-4
    )


def test_false_alarms_per_thousand_leave_out_what_was_not_promised():
    def benign(kind, alarms, total):
        return [
            outcome("benign", kind, "alarm" if n < alarms else "clear", number=n)
            for n in range(total)
        ]

    outcomes = benign("goods", 1, 1000) + benign("snr_12", 50, 50)
    assert figure(outcomes, "world_false_alarms_per_1000").value == 1.0
    assert figure(outcomes, "world_false_alarms_per_1000").met is True
    worse = outcomes + benign("look_alike", 2, 2)
    assert figure(worse, "world_false_alarms_per_1000").met is False


def test_calibrated_scores_have_no_error_and_boastful_ones_do():
    rng = np.random.default_rng(4)
    true = rng.uniform(0.0, 1.0, 20_000)
    honest = [hit(score=p, right=bool(rng.uniform() < p)) for p in true]
    boastful = [hit(score=1.0, right=bool(rng.uniform() < p)) for p in true]
    bins, error = reliability(honest)
    assert error < 0.02
    assert len(bins) == 10
    assert sum(entry.count for entry in bins) == 20_000
    assert reliability(boastful)[1] == pytest.approx(0.5, abs=0.02)
    assert reliability([]) == ((), None)


def test_scores_of_the_tuning_side_do_not_count_and_left_out_substances_do():
    outcomes = [
        outcome(hits=[hit()], side="tuning"),
        outcome("left_out", "left_out", hits=[hit()], removed=frozenset({"sugar"})),
        outcome(hits=[hit()]),
    ]
    assert figure(outcomes, "calibration_error_of_scores").of == 2


def test_nothing_measured_is_said_so():
    scored = score_all([outcome("benign", "goods")], LISTED, LISTED)
    missing = {entry.name for entry in scored.goals if entry.met is None}
    assert {"measured_top1", "degraded_detection", "world_pure_all"} <= missing
