"""Goal: the benchmark judges exactly as the product does, and leaving a substance out is complete.

Method: verdicts beside those of `harmattan identify`'s own function on the same file; libraries
with something removed, searched for what should be gone; made-up lists on known goods.
"""

import csv

import numpy as np
import pytest

from benchmarks.evaluation.cases import Case, Facts
from benchmarks.evaluation.judging import (
    Trials,
    drop_rows,
    judge_all,
    judge_case,
    library_without,
    set_up,
)
from benchmarks.evaluation.plan import Effort, Planner
from benchmarks.evaluation.specimens import read_index
from gateway.identify import identify_file
from gateway.screening.thresholds import load_thresholds
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library
from simulators.forward import AXIS_CM1, World, measure

LIBRARY, LISTS = load_library(), load_watchlists()
INDEX = ("file", "substance", "cas", "excitation_nm", "instrument", "source_repo", "notes")
GOODS = {
    "acetone": ("acetone", "67-64-1"),
    "sucrose": ("sucrose", "57-50-1"),
    "caffeine": ("caffeine", "58-08-2"),
    "hdpe": ("HDPE", "9002-88-4"),
    "pet": ("PET", "25038-59-9"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of spectra like the one outside the repository, drawn by the forward model."""
    root = tmp_path_factory.mktemp("raman")
    with (root / "INDEX.csv").open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(INDEX)
        for number, (key, (name, cas)) in enumerate(GOODS.items()):
            spectrum = measure(
                LIBRARY, {key: 1.0}, 150.0, np.random.default_rng([61, number]), World()
            )
            rows = zip(spectrum.axis_cm1, spectrum.intensity_counts, strict=True)
            lines = [f"{shift:.4f},{counts:.3f}" for shift, counts in rows]
            (root / f"{key}.csv").write_text("raman_shift_cm1,intensity\n" + "\n".join(lines))
            writer.writerow((f"{key}.csv", name, cas, "785", "made up", "tests/forward", ""))
    return root


def of_file(file, kind="clean", right=(), seed=(), second="", removed=()):
    return Case(
        case_id=f"{kind}/{file}",
        group="measured" if kind == "clean" else "degraded",
        kind=kind,
        side="reporting",
        target=file,
        right=frozenset(right),
        truth=frozenset(right),
        file=file,
        seed=seed,
        second=second,
        removed=frozenset(removed),
    )


def synthetic(mixture, target, snr=200.0):
    return Case(
        case_id="x",
        group="listed",
        kind="pure",
        side="reporting",
        target=target,
        right=frozenset({target}),
        truth=frozenset(key for key, _ in mixture),
        seed=(1, 2, 3),
        mixture=mixture,
        facts=Facts(snr=snr, axis_error_cm1=1.0, resolution_cm1=8.0),
    )


@pytest.mark.parametrize("key", GOODS)
def test_a_file_is_judged_as_the_command_judges_it(folder, key):
    desk = set_up(folder, Trials())
    mine = judge_case(of_file(f"{key}.csv", right=(key,)), desk)
    theirs = identify_file(folder / f"{key}.csv", LIBRARY, LISTS, 2.0).verdict
    assert (mine.verdict, mine.reason_id) == (theirs.verdict, theirs.reason_id)
    assert [(h.substance_id, h.score) for h in mine.hits] == [
        (h.substance_id, h.score) for h in theirs.hits
    ]
    assert mine.alarm == (key == "acetone")
    assert mine.detected == (key == "acetone")


def test_a_file_that_shows_something_else_than_its_index_says_never_counts(tmp_path):
    # Alanine is in the tables; the file of that name shows arginine (docs/library-review.md).
    rows = [INDEX, ("x.csv", "alanine", "56-41-7", "785", "made up", "tests/forward", "")]
    (tmp_path / "INDEX.csv").write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    assert LIBRARY["alanine"].cas == "56-41-7"
    (specimen,) = read_index(tmp_path, LIBRARY)
    assert specimen.right == frozenset()
    assert specimen.truth == {"arginine"}


def test_a_refused_spectrum_is_an_outcome(folder):
    desk = set_up(folder, Trials())
    full = desk.spectra["sucrose.csv"]
    part = (full.axis_cm1 > 900.0) & (full.axis_cm1 < 1050.0)
    desk.spectra["sucrose.csv"] = type(full)(full.axis_cm1[part], full.intensity_counts[part])
    outcome = judge_case(of_file("sucrose.csv", right=("sucrose",)), desk)
    assert outcome.verdict == "error"
    assert not outcome.alarm
    assert outcome.reason_id


def test_a_made_up_list_makes_harmless_goods_the_alarm_and_only_them(folder):
    desk = set_up(folder, Trials())
    assert frozenset().union(*(ids for _, ids in desk.pretend)) == {
        "acetone", "sucrose", "caffeine",
    }  # fmt: skip
    caffeine = judge_case(of_file("caffeine.csv", right=("caffeine",)), desk)
    assert caffeine.pretend_found is True
    assert caffeine.verdict != "alarm"
    assert caffeine.pretend_false == 0
    lists_without = sum("caffeine" not in ids for _, ids in desk.pretend)
    assert caffeine.pretend_asked == lists_without
    mistaken = judge_case(of_file("caffeine.csv", right=("sucrose",)), desk)
    assert mistaken.pretend_found is False
    packaging = judge_case(of_file("pet.csv", right=("pet",)), desk)
    assert packaging.pretend_found is None


def test_a_substance_left_out_is_not_named_any_more(folder):
    desk = set_up(folder, Trials())
    with_it = judge_case(of_file("caffeine.csv", right=("caffeine",)), desk)
    without = judge_case(of_file("caffeine.csv", right=("caffeine",), removed=("caffeine",)), desk)
    assert with_it.hits[0].substance_id == "caffeine"
    assert "caffeine" not in [hit.substance_id for hit in without.hits]


def test_leaving_out_removes_every_row_and_nothing_else():
    removed = frozenset({"urea", "citric_acid"})
    smaller = library_without(removed)
    assert set(LIBRARY.substances) - set(smaller.substances) == removed
    assert set(LIBRARY.active_ids) - set(smaller.active_ids) == removed
    for listed, known in smaller.confounders.items():
        assert listed not in removed
        assert not removed & set(known)
    for key in smaller.active_ids:
        assert smaller[key] == LIBRARY[key]


def test_rows_are_dropped_by_their_id_columns_only():
    text = "substance_id,note,confounder_id\na,b,c\nb,a,c\nc,x,a\nd,x,d\n"
    kept = drop_rows(text, frozenset({"a"}))
    assert kept == "substance_id,note,confounder_id\nb,a,c\nd,x,d\n"
    assert drop_rows("grade,text\na,b\n", frozenset({"a"})) == "grade,text\na,b\n"


def test_sets_of_thresholds_are_tried_without_changing_the_verdict():
    from msgspec.structs import replace  # noqa: PLC0415

    present = load_thresholds()
    strict = replace(present, alarm_nats_min=60.0, alarm_nats_hidden_min=60.0)
    unclear = replace(present, snr_clear_min=1000.0)
    desk = set_up(None, Trials(alarms=(present, strict), clears=(present, unclear)))
    urea = judge_case(synthetic((("urea", 1.0),), "urea"), desk)
    assert urea.detected
    assert (urea.tried_alarms, urea.tried_clears) == (b"\2\0", b"\0\0")
    sugar = judge_case(synthetic((("sucrose", 1.0),), "sucrose", 300.0), desk)
    assert sugar.verdict == "clear"
    assert (sugar.tried_alarms, sugar.tried_clears) == (b"\0\0", b"\1\0")
    wrong = judge_case(synthetic((("urea", 1.0),), "sucrose"), desk)
    assert wrong.tried_alarms == b"\0\0"  # the truth holds urea: neither found nor false
    in_force = set_up(None, Trials(in_force=strict))
    assert judge_case(synthetic((("urea", 1.0),), "urea"), in_force).verdict == "inconclusive"


def test_a_case_without_its_conditions_is_refused():
    desk = set_up(None, Trials())
    case = Case("x", "listed", "pure", "reporting", "urea", frozenset(), frozenset())
    with pytest.raises(ValueError, match="seed"):
        judge_case(case, desk)


def test_several_workers_give_what_one_gives():
    planner = Planner(LIBRARY, LISTS, Effort().scaled(0.01))
    cases = [*planner.world("reporting")][::31]
    assert len(cases) >= 10
    one = list(judge_all(cases, None, workers=1))
    two = list(judge_all(cases, None, workers=2))
    strip = [(o.case, o.verdict, o.reason_id, o.named, o.hits) for o in one]
    assert strip == [(o.case, o.verdict, o.reason_id, o.named, o.hits) for o in two]
    assert AXIS_CM1.flags.writeable is False
