"""Goal: the cases ask what was promised, each once, with seeds that the two sides never share.

Method: the full plan is drawn up (nothing is judged) and counted; synthetic cases are measured and
their conditions found again in the spectra.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from benchmarks.evaluation.judging import Trials, set_up, spectrum_of
from benchmarks.evaluation.plan import QUICK_SHARE, REFERRED, Effort, Planner, draw_up
from benchmarks.evaluation.specimens import load_spectra, read_index
from benchmarks.evaluation.split import SIDES
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library

LIBRARY, LISTS = load_library(), load_watchlists()
FULL = Planner(LIBRARY, LISTS, Effort())
PROMISED = {"look_alike", "goods", "mixture_of_2", "mixture_of_3", "unknown"}


@cache
def world():
    """Return the cases of one side; they take a second, which collecting tests should not."""
    return list(FULL.world("reporting"))


def test_every_case_has_its_own_name_and_seed():
    assert len({case.case_id for case in world()}) == len(world())
    assert len({case.seed for case in world()}) == len(world())


def test_the_sides_share_no_seed():
    tuning = {case.seed for case in FULL.world("tuning")}
    assert len(tuning) == len(world())
    assert not tuning & {case.seed for case in world()}


def test_the_same_plan_is_drawn_up_twice():
    assert list(FULL.world("reporting")) == world()


def test_every_raman_active_listed_chemical_gets_a_hundred_draws_of_each_promise():
    counts = Counter((case.kind, case.target) for case in world() if case.group == "listed")
    wanted = {
        row.substance_id
        for entry in LISTS.lists
        if entry.list_id in ("pgs", "eu-2019-1148")
        for row in entry.entries
    } & set(LIBRARY.active_ids)
    assert len(wanted) >= 19
    for target in wanted:
        for kind in ("pure", "bag", "mixture_30"):
            assert counts[kind, target] >= 100, (kind, target)
        for kind in ("mixture_50", "mixture_20", "mixture_10", "snr_12", "axis_4"):
            assert counts[kind, target] >= 20, (kind, target)


def test_the_benign_samples_include_every_look_alike_and_exceed_a_thousand():
    benign = [case for case in world() if case.group == "benign"]
    assert sum(case.kind in PROMISED for case in benign) >= 1000
    seen = {case.target for case in benign if case.kind.startswith("look_alike")}
    for listed, known in LIBRARY.confounders.items():
        for other in {listed, *known}:
            if other in LIBRARY.active_ids and other not in LISTS.substance_ids:
                assert other in seen
    for case in benign:
        assert not case.truth & LISTS.substance_ids
        if case.kind in PROMISED:
            assert all(LIBRARY[key].category not in REFERRED for key, _ in case.mixture)


def test_conditions_cover_what_was_promised():
    listed = [case.facts for case in world() if case.group == "listed"]
    assert {facts.snr for facts in listed} == {12.0, 20.0, 50.0, 100.0, 300.0}
    assert {facts.fluorescence for facts in listed} == {0.0, 1.0, 5.0, 20.0}
    assert {facts.resolution_cm1 for facts in listed} == {4.0, 6.0, 8.0, 10.0, 12.0}
    assert {facts.container for facts in listed} == {
        "none", "ldpe", "pp", "pet", "glass_borosilicate",
    }  # fmt: skip
    poor = [case for case in world() if case.kind == "axis_4"]
    assert {case.facts.axis_error_cm1 for case in poor} == {4.0}


def test_mixtures_keep_the_stated_share_and_never_mix_a_substance_with_itself():
    for case in world():
        if len(case.mixture) > 1:
            assert sum(amount for _, amount in case.mixture) == pytest.approx(1.0)
            assert dict(case.mixture)[case.target] == pytest.approx(case.facts.fraction)
            assert not case.right & {key for key, _ in case.mixture[1:]}


def test_left_out_cases_take_the_substance_and_its_kin_out_of_the_library():
    cases = [case for case in world() if case.group == "world_left_out"]
    assert all(case.removed == case.right >= {case.target} for case in cases)
    assert {case.target for case in cases} >= set(FULL.goods) | FULL.listed
    nitrate = next(case for case in cases if case.target == "ammonium_nitrate")
    assert "calcium_ammonium_nitrate" in nitrate.removed


def test_a_thin_plan_keeps_every_kind_and_every_listed_case():
    thin = draw_up(Planner(LIBRARY, LISTS, Effort().scaled(0.01)), (), {}, None)
    assert {(c.group, c.kind) for c in thin} == {(c.group, c.kind) for c in world()}
    assert {c.target for c in thin if c.group == "listed"} == FULL.listed
    assert len(thin) < 0.04 * len(world())


def test_a_quick_plan_has_every_kind():
    quick = list(Planner(LIBRARY, LISTS, Effort().scaled(QUICK_SHARE)).world("reporting"))
    assert {(c.group, c.kind) for c in quick} == {(c.group, c.kind) for c in world()}
    assert len(quick) < 0.4 * len(world())


def test_synthetic_spectra_have_the_conditions_of_their_case():
    desk = set_up(None, Trials())
    for case in world()[::997]:
        spectrum = spectrum_of(case, desk)
        assert spectrum.resolution_cm1 == case.facts.resolution_cm1
        again = spectrum_of(case, desk)
        assert np.array_equal(spectrum.intensity_counts, again.intensity_counts)


def test_measured_mixtures_stay_on_their_side_and_name_what_is_in_them(raman_path):
    specimens = read_index(raman_path, LIBRARY)
    spectra = load_spectra(raman_path, specimens)
    side = {entry.file: entry.side for entry in specimens}
    truth = {entry.file: entry.truth for entry in specimens}
    cases = list(FULL.measured(specimens, spectra, SIDES))
    assert {case.file for case in cases if case.kind == "clean"} == set(side)
    mixed = [case for case in cases if case.kind.startswith("mixture_") and case.second]
    measured = [case for case in mixed if case.group == "degraded"]
    assert len(measured) > 300
    for case in measured:
        assert side[case.second] == case.side
        assert case.truth >= truth[case.second] | case.right
        assert not truth[case.second] & LISTS.substance_ids


def test_choosing_sees_no_spectrum_of_the_reporting_side(raman_path):
    specimens = read_index(raman_path, LIBRARY)
    spectra = load_spectra(raman_path, specimens)
    side = {entry.file: entry.side for entry in specimens}
    few = Planner(LIBRARY, LISTS, Effort().scaled(0.01))
    tuning = draw_up(few, specimens, spectra, "tuning")
    assert {side[case.file] for case in tuning if case.file} == {"tuning"}
    assert {case.side for case in tuning} == {"tuning"}
