"""Goal: the procedure takes the set of thresholds its criterion says, and writes a valid file.

Method: made-up outcomes under a few made-up sets, where the right choice can be read off; score
maps fitted to hits whose chance of being right is known; the written text is read by the product.
"""

import dataclasses
import itertools

import msgspec
import numpy as np
import pytest

from benchmarks.evaluation.cases import Case, HitRow, Outcome
from benchmarks.evaluation.choose import (
    ALARM_GRID,
    Mark,
    as_toml,
    combine,
    mark_sets,
    pick,
    pick_clear,
    score_map,
    trials,
)
from benchmarks.evaluation.judging import Trials
from gateway.screening.thresholds import Record, load_thresholds, parse_thresholds

BARE = msgspec.structs.replace(load_thresholds(), score_knots=())
SETS = tuple(
    msgspec.structs.replace(BARE, alarm_nats_min=nats, alarm_nats_hidden_min=20.0)
    for nats in (3.0, 5.0, 7.0)
)
LISTED = frozenset({"urea"})


def case(group, kind, number, target="sugar"):
    return Case(
        case_id=f"{group}/{kind}/{number}",
        group=group,
        kind=kind,
        side="tuning",
        target=target,
        right=frozenset({target}),
        truth=frozenset({target}),
    )


def outcomes(group, kind, total, alarms, bit, target="sugar", clears=(0, 0)):
    """`alarms[i]` of the cases carry the bit under set i, `clears[i]` are cleared under set i."""
    return [
        Outcome(
            case(group, kind, number, target), "clear", "reason", (), (),
            tried_alarms=bytes(bit if number < count else 0 for count in alarms),
            tried_clears=bytes(int(number < count) for count in clears),
        )
        for number in range(total)
    ]  # fmt: skip


def tuning(found=(99, 98, 80), false=(4, 0, 0), left=(0, 0, 0)):
    return [
        *outcomes("listed", "pure", 100, found, 2, "urea"),
        *outcomes("benign", "goods", 7000, false, 1),
        *outcomes("world_left_out", "harmless", 200, left, 1),
    ]


def chosen(rows):
    return pick(mark_sets(rows, LISTED), SETS).place


def test_the_highest_detection_among_those_with_few_enough_false_alarms_is_taken():
    assert chosen(tuning()) == 1
    assert chosen(tuning(false=(0, 0, 0))) == 0
    assert chosen(tuning(false=(900, 4, 0))) == 2


def test_left_out_substances_that_alarm_bar_a_set():
    assert chosen(tuning(left=(0, 3, 0))) == 2
    assert chosen(tuning(false=(0, 0, 0), left=(3, 2, 0))) == 1


def test_a_difference_smaller_than_chance_goes_to_the_strictest():
    rows = [
        *outcomes("listed", "pure", 2000, (1990, 1989, 1988), 2, "urea"),
        *outcomes("benign", "goods", 7000, (0, 0, 0), 1),
    ]
    assert chosen(rows) == 2
    rows[2000:] = outcomes("benign", "goods", 30_000, (0, 0, 1), 1)
    assert chosen(rows) == 1


def test_strata_weigh_the_same_whatever_their_size():
    rows = [
        *outcomes("listed", "pure", 1000, (900, 1000, 1000), 2, "urea"),
        *outcomes("listed", "bag", 10, (10, 5, 0), 2, "urea"),
        *outcomes("benign", "goods", 7000, (0, 0, 0), 1),
    ]
    assert chosen(rows) == 0


def test_too_few_benign_goods_make_no_set_admissible_and_the_record_says_so():
    marks = mark_sets(tuning()[:100] + outcomes("benign", "goods", 100, (2, 0, 0), 1), LISTED)
    mark = pick(marks, SETS)
    assert (mark.place, mark.admissible) == (1, False)


def test_poor_conditions_do_not_count_as_detection():
    rows = [*tuning(), *outcomes("listed", "snr_12", 50, (50, 0, 0), 2, "urea")]
    assert mark_sets(rows, LISTED) == mark_sets(tuning(), LISTED)


def test_clearing_takes_the_most_generous_set_within_its_limits():
    sets = tuple(msgspec.structs.replace(BARE, snr_clear_min=snr) for snr in (20.0, 40.0))

    def place(wrong, faint):
        return pick_clear(
            [
                *outcomes("listed", "pure", 2000, (), 0, "urea", clears=(wrong, 0)),
                *outcomes("listed", "mixture_30", 1000, (), 0, "urea", clears=(faint, 0)),
                *outcomes("benign", "goods", 1000, (), 0, clears=(900, 700)),
            ],
            sets,
        )

    assert place(0, 0) == (0, True)
    assert place(9, 0) == (1, True)
    assert place(0, 60) == (1, True)
    nothing = [*outcomes("listed", "pure", 100, (), 0, "urea", clears=(50, 40))]
    assert pick_clear([*nothing, *outcomes("benign", "goods", 9, (), 0, clears=(9, 9))], sets) == (
        1,
        False,
    )


def test_the_score_map_recovers_the_chance_of_being_right():
    rng = np.random.default_rng(8)
    raw = rng.uniform(0.0, 1.0, 20_000)
    hits = [HitRow("x", float(r), float(r), bool(rng.uniform() < r**3)) for r in raw]
    found = msgspec.structs.replace(BARE, score_knots=score_map(hits))
    for score in (0.2, 0.5, 0.8, 0.95):
        assert found.calibrated(score) == pytest.approx(score**3, abs=0.04)


def test_the_score_map_rises_promises_no_certainty_and_needs_hits():
    hits = [HitRow("x", 0.5 + 0.001 * n, 0.0, n % 7 != 0) for n in range(400)]
    knots = score_map([*hits, *(HitRow("x", 1.0, 1.0, right=True) for _ in range(500))])
    assert all(low[0] < high[0] and low[1] <= high[1] for low, high in itertools.pairwise(knots))
    assert knots[-1][1] < 1.0
    assert score_map(hits[:10]) == ()


def test_the_written_file_is_what_was_chosen_and_the_product_reads_it():
    tried = Trials(alarms=SETS, clears=(BARE,))
    record = Record(
        procedure="p", chosen_on="2026-11-21", seed=3, library_version="v", criterion="c"
    )
    rows = [dataclasses.replace(row, tried_clears=b"\0") for row in tuning()]
    found = combine(rows, tried, LISTED, record)
    assert found.alarm_nats_min == 5.0
    assert found.record.figures["tuning_false_alarms"] == 0.0
    assert found.record.figures["tuning_admissible"] == 1.0
    assert parse_thresholds(as_toml(found)) == found


def test_the_first_set_tried_is_the_loosest():
    sets = trials(load_thresholds()).alarms
    assert len(sets) == np.prod([len(values) for values in ALARM_GRID.values()])
    for name in ALARM_GRID:
        assert getattr(sets[0], name) == min(getattr(entry, name) for entry in sets)
    for entry in sets:
        parse_thresholds(as_toml(entry))


def test_a_limit_that_no_set_keeps_does_not_drive_the_choice_to_the_extreme():
    """Two per cent of false alarms that no threshold removes are no reason to find nothing."""
    made_up = (0.0212, 0.0206, 0.0200)
    marks = [Mark(n, 0.9 - 0.1 * n, 0, 9000, 0.3e-3, 0.0, made_up[n]) for n in range(3)]
    assert pick(marks, SETS).place == 0
    marks = [Mark(n, 0.9 - 0.1 * n, 0, 9000, 0.3e-3, 0.0, 0.05 / (n + 1)) for n in range(3)]
    assert pick(marks, SETS).place == 2
