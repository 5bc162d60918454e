"""Goal: a reading stands on the right calibration, or on none and then says so and nothing more.

Method: every way in which trials can lie around a reading, by hand and by Hypothesis against the
rules as they are written down; and every verdict held against every state.
"""

import re
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

import gateway.screening.standing as standing_module
from gateway.screening.account import NOTES
from gateway.screening.explain import REASONS, explain
from gateway.screening.judge import unjudged
from gateway.screening.standing import (
    INSTRUMENT_FAULTS,
    NO_SPECTRUM,
    UNJUDGEABLE,
    Trial,
    assume,
    choose,
    correct_intensity,
    hold_back,
    rely,
)
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.calibrate import FAULTS, Calibration
from gateway.spectra.library import load_library
from gateway.spectra.origin import Origin
from gateway.spectra.response import ResponseCurve

DAY_MS = 86_400_000
LIBRARY, LISTS = load_library(), load_watchlists()


def calibration(offset_cm1=3.0):
    return Calibration(
        standard_id="polystyrene",
        offset_cm1=offset_cm1,
        stretch=0.0,
        pivot_cm1=1100.0,
        uncertainty_cm1=1.4,
        resolution_cm1=7.5,
        residual_cm1_rms=0.3,
        bands=(),
    )


def trial(order, fault="", *, day=0.0):
    found = None if fault else calibration(float(order))
    return Trial(order, int(day * DAY_MS), "polystyrene", fault, found)


def stand(trials, *, order=100, day=1.0, days_max=30):
    return choose(
        trials,
        order=order,
        measured_ms=int(day * DAY_MS),
        days_max=days_max,
        axis_uncertainty_cm1=4.0,
        instrument="VEN1",
        standard="polystyrene",
    )


def test_the_newest_valid_one_before_the_reading_counts():
    found = stand([trial(1), trial(5), trial(200)])
    assert found.record.state == "valid"
    assert found.calibration.offset_cm1 == 5.0
    assert found.record.age_s == 86_400.0
    assert found.record.instrument == "VEN1"


def test_a_later_one_counts_when_there_was_none():
    assert stand([trial(200)]).calibration.offset_cm1 == 200.0
    assert stand([trial(3, day=-40.0), trial(200)]).calibration.offset_cm1 == 200.0
    assert stand([trial(3, "no_signal"), trial(200)]).calibration.offset_cm1 == 200.0
    assert stand([trial(200, day=32.0)]).record.state == "absent"


@pytest.mark.parametrize("fault", [*FAULTS, "no_axis", "evaluation_failed", "unreadable"])
def test_a_failure_ends_what_was_in_force_when_it_speaks_of_the_instrument(fault):
    found = stand([trial(1), trial(2, fault), trial(200)])
    if fault in INSTRUMENT_FAULTS:
        assert (found.record.state, found.parameters["fault"]) == ("failed", fault)
    else:
        assert found.calibration.offset_cm1 == 1.0
    assert stand([trial(1), trial(2, fault), trial(3)]).calibration.offset_cm1 == 3.0


@pytest.mark.parametrize("fault", [*FAULTS, "no_axis", "evaluation_failed", "unreadable"])
@pytest.mark.parametrize("before", [(), (trial(1, day=-40.0),)])
def test_a_calibration_after_a_repair_says_nothing_of_readings_before_the_fault(before, fault):
    found = stand([*before, trial(200, fault), trial(201)])
    if fault in INSTRUMENT_FAULTS:
        assert (found.record.state, found.calibration) == ("failed", None)
        assert found.parameters["fault"] == fault
    else:
        assert found.calibration.offset_cm1 == 201.0
    # What came before the fault and was young vouches still.
    assert stand([trial(3), trial(200, fault), trial(201)]).calibration.offset_cm1 == 3.0


def test_age_is_by_how_far_apart_they_came_whatever_the_clock_did():
    old = stand([trial(1, day=0.0)], day=31.0)
    assert old.record.state == "expired"
    assert old.parameters == {"age_days": 31, "age_days_max": 30, "standard": "polystyrene"}
    back = stand([trial(1, day=400.0)], day=0.0)  # the clock was set back by a year
    assert back.record.state == "expired"
    assert stand([trial(1, day=0.0)], day=30.0).record.state == "valid"


def test_without_any_the_next_step_is_named():
    found = stand([])
    assert found.record.state == "absent"
    assert found.parameters == {"instrument": "VEN1", "standard": "polystyrene"}
    assert stand([trial(1, "no_signal")]).parameters["fault"] == "no_signal"


TRIALS = st.lists(
    st.tuples(st.sampled_from(["", *FAULTS]), st.floats(-60.0, 60.0)), max_size=8
).map(lambda rows: [trial(2 * i, fault, day=day) for i, (fault, day) in enumerate(rows)])


@given(trials=TRIALS, order=st.integers(-1, 16).map(lambda n: 2 * n + 1), day=st.floats(-60, 60))
def test_what_counts_is_valid_young_and_not_overtaken(trials, order, day):
    found = stand(trials, order=order, day=day)
    if found.calibration is None:
        assert found.record.state in ("absent", "expired", "failed")
        return
    used = next(t for t in trials if t.calibration == found.calibration)
    assert not used.fault
    assert abs(used.measured_ms - int(day * DAY_MS)) <= 30 * DAY_MS
    low, high = sorted((used.order, order))
    between = [t for t in trials if low < t.order < high]
    assert not any(t.calibration or t.fault in INSTRUMENT_FAULTS for t in between)
    if used.order > order:
        young = [
            t
            for t in trials
            if t.order < order
            and t.calibration
            and abs(t.measured_ms - int(day * DAY_MS)) <= 30 * DAY_MS
        ]
        spoken = [t for t in trials if t.order < order and t.fault in INSTRUMENT_FAULTS]
        assert (
            not young
            or spoken
            or young[-1].order < max(t.order for t in trials if t.order < order and t.calibration)
        )


KNOWN = Origin(
    instrument="VEN 7", measured_ms=100 * DAY_MS, measured_from="header", excitation_nm=785.0
)


def of_file(**changes):
    values = {
        "instrument": "VEN 7",
        "measured_ms": 90 * DAY_MS,
        "measured_from": "header",
        "excitation_nm": 785.0,
    }
    return msgspec.structs.replace(calibration(), **(values | changes))


@pytest.mark.parametrize(
    "changes,state,notes",
    [
        ({}, "valid", ()),
        ({"measured_ms": 69 * DAY_MS}, "expired", ()),
        ({"measured_ms": 131 * DAY_MS}, "expired", ()),
        ({"measured_ms": 70 * DAY_MS}, "valid", ()),
        ({"measured_ms": None, "measured_from": ""}, "valid", ("date_unread",)),
        ({"measured_from": "file"}, "valid", ("file_time",)),
        ({"instrument": "VEN 8"}, "foreign", ()),
        ({"instrument": ""}, "valid", ("instrument_unstated",)),
        ({"excitation_nm": 1064.0}, "foreign", ()),
        ({"excitation_nm": 784.0}, "valid", ()),
        ({"excitation_nm": None}, "valid", ("laser_unstated",)),
    ],
)
def test_a_file_stands_on_a_calibration_that_can_be_its_own(changes, state, notes):
    found = rely(of_file(**changes), KNOWN)
    assert found.record.state == state
    assert (found.calibration is not None) == (state == "valid")
    if state == "valid":
        assert found.record.notes == notes
    if state == "expired":
        assert found.parameters == {
            "age_days": 31,
            "age_days_max": 30,
            "standard": "polystyrene",
        }
    # A limit that is not met by half an hour is not shown as met.
    late = rely(of_file(measured_ms=70 * DAY_MS - 1_800_000), KNOWN)
    assert (late.record.state, late.parameters["age_days"]) == ("expired", 31)


def test_what_nobody_says_of_a_file_is_noted_and_not_guessed():
    found = rely(of_file(), Origin())
    assert (found.record.state, found.record.age_s) == ("valid", None)
    assert found.record.notes == ("instrument_unstated", "laser_unstated")


CURVE = ResponseCurve(
    response_id="SRM 2241 7", excitation_nm=785.0, low_cm1=200.0, factors=(1.0, 2.0)
)


@pytest.mark.parametrize(
    "laser_nm,days,note", [(785.0, 10.0, ""), (785.0, 366.0, "response_expired"),
                           (1064.0, 10.0, "response_foreign")],
)  # fmt: skip
def test_an_intensity_correction_is_used_while_it_is_young_and_of_this_laser(laser_nm, days, note):
    valid = stand([trial(1)])
    found = correct_intensity(
        valid, CURVE, excitation_nm=laser_nm, age_s=days * 86_400.0, days_max=365
    )
    assert found.calibration is not None
    assert found.record.notes == ((note,) if note else ())
    assert (found.calibration.response is CURVE) == (not note)
    assert found.record.response_id == ("" if note else "SRM 2241 7")
    assert found.record.response_age_s == (None if note else days * 86_400.0)
    for base in (stand([]), valid):  # without a calibration, or without a curve: nothing
        curve = None if base is valid else CURVE
        assert correct_intensity(base, curve, excitation_nm=785.0, age_s=0.0, days_max=1) is base


def test_a_certificate_tells_the_laser_where_nothing_else_does():
    corrected = of_file(excitation_nm=None, response=CURVE, response_id="SRM 2241 7")
    assert "laser_unstated" not in rely(corrected, KNOWN).record.notes
    other = msgspec.structs.replace(KNOWN, excitation_nm=532.0)
    found = rely(corrected, other)
    assert (found.record.state, found.parameters["calibrated"]) == ("foreign", "785 nm")


def test_the_correction_in_a_file_has_its_own_age():
    corrected = of_file(response=CURVE, response_id="SRM 2241 7", response_ms=50 * DAY_MS)
    found = rely(corrected, KNOWN)
    assert (found.record.response_id, found.record.response_age_s) == ("SRM 2241 7", 50 * 86_400.0)
    old = rely(corrected, KNOWN, response_days_max=40)
    assert old.calibration is not None
    assert (old.calibration.response, old.record.response_id) == (None, "")
    assert old.record.notes == ("response_expired",)


def test_every_note_is_explained():
    source = Path(standing_module.__file__).read_text("utf-8")
    given = set(re.findall(r'"(response_(?:expired|foreign)|file_time|date_unread)"', source))
    assert given | {"instrument_unstated", "laser_unstated"} == set(NOTES)


def verdict(name, reason_id="listed_found", **parameters):
    base = unjudged(reason_id, LIBRARY, LISTS, **parameters)
    return msgspec.structs.replace(base, verdict=name)


ALARM = verdict("alarm", substance_ids=("urea", "sucrose"), lists=("PGS (2026)",))
CLEAR = verdict("clear", "harmless_found", substance_ids=("sucrose",))
STANDINGS = {
    "foreign": rely(of_file(instrument="VEN 8"), KNOWN),
    "absent": stand([]),
    "expired": stand([trial(1, day=-90.0)]),
    "failed": stand([trial(1, "offset_large")]),
}
REASON = {
    "foreign": "calibration_foreign",
    "absent": "not_calibrated",
    "expired": "calibration_expired",
    "failed": "calibration_failed",
}


@pytest.mark.parametrize("state", STANDINGS)
@pytest.mark.parametrize("language", ["en", "fr", "ar", "es"])
def test_without_a_calibration_nothing_is_more_than_inconclusive(state, language):
    lacking = STANDINGS[state]
    for before in (ALARM, CLEAR, verdict("inconclusive", "weak_signal", snr=3, snr_min=40)):
        after = hold_back(before, lacking, LISTS)
        assert after.verdict == "inconclusive"
        assert after.calibration.state == state
        assert explain(after, language, LIBRARY)
        if before is ALARM:
            assert after.reason_id == "uncalibrated_listed"
            assert after.parameters["substance_ids"] == ("urea",)
            assert after.parameters["why"] == REASON[state]
            assert "{" not in explain(after, language, LIBRARY)
        else:
            assert after.reason_id == REASON[state]
    assert set(REASON.values()) < set(REASONS)


@pytest.mark.parametrize("standing", [assume(2.0), rely(calibration()), stand([trial(1)])])
def test_with_one_the_verdict_stays_and_says_what_it_rests_on(standing):
    for before in (ALARM, CLEAR):
        after = hold_back(before, standing, LISTS)
        assert (after.verdict, after.reason_id) == (before.verdict, before.reason_id)
        assert after.calibration == standing.record


@pytest.mark.parametrize("reason_id", sorted(UNJUDGEABLE | NO_SPECTRUM))
def test_what_a_calibration_would_not_change_keeps_its_own_remedy(reason_id):
    after = hold_back(verdict("inconclusive", reason_id), STANDINGS["absent"], LISTS)
    assert after.reason_id == reason_id
