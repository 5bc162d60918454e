"""Which calibration a reading stands on, and what a verdict may say without one.

Rules of the file
- In force is the newest valid calibration before the reading. A later one counts when there was
  none: the axis is the same, only nobody had looked yet. It does not count beyond a fault of the
  instrument: what was repaired in between is another axis.
- A failure that speaks of the instrument (its bands are not where they can be) ends what was in
  force. A failure of the measurement (no signal, saturated) says nothing about the axis and ends
  nothing.
- A verdict without a calibration in force is never more than inconclusive.
- An intensity correction that is too old, or of another laser, is left out and the verdict says so:
  heights are then as uncertain as they are without one, and places are what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from gateway.screening.verdict import (
    INSTRUMENT_FAULTS,
    CalibrationRecord,
    CalibrationState,
    Parameter,
    Verdict,
)
from gateway.screening.watchlists import Watchlists
from gateway.spectra.calibration import Calibration
from gateway.spectra.origin import Origin, is_same_instrument, is_same_laser
from gateway.spectra.response import ResponseCurve

DAY_S = 86_400.0

DAYS_MAX = 30
"""How long a calibration counts unless somebody says otherwise; for nodes and files alike."""

RESPONSE_DAYS_MAX = 365
"""The same of an intensity correction: optics and detectors change it slowly, repairs at once."""

UNCALIBRATED_CM1 = 4.0
"""How far an axis nobody can vouch for is searched for listed substances, only to name them."""

UNJUDGEABLE = frozenset(
    {"no_axis", "bad_axis", "wrong_pixel_count", "bad_reading", "judgement_failed"}
)
"""Reasons that a calibration would not change, and that have a remedy of their own."""

NO_SPECTRUM = frozenset({"not_raman", "constant"})
"""Reasons of files that no calibration would change either: there is nothing to calibrate."""

NAMED = frozenset({"exposure_listed"})
"""Reasons that are inconclusive already and name a listed substance that must not be lost."""

WHY = {
    "absent": "not_calibrated",
    "expired": "calibration_expired",
    "failed": "calibration_failed",
    "foreign": "calibration_foreign",
}
"""State of a calibration -> reason id."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one measured standard, in the order of the readings.

    Attributes:
        order: place among all readings; grows with every record that is committed.
        measured_ms: when it was measured; where nobody knows, when it came.
        standard_id: what it was taken for.
        fault: empty when it is valid.
        calibration: None when it failed.
    """

    order: int
    measured_ms: int
    standard_id: str
    fault: str
    calibration: Calibration | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reading stands on.

    Attributes:
        record: for the verdict.
        calibration: None unless the state is valid.
        parameters: for the sentence that says why not; empty when valid.
    """

    record: CalibrationRecord
    calibration: Calibration | None
    parameters: dict[str, Parameter]


def assume(axis_uncertainty_cm1: float) -> Standing:
    """The standing of what somebody says is calibrated to within so much."""
    record = CalibrationRecord("", "", None, 0.0, axis_uncertainty_cm1, None, "assumed")
    return Standing(record, None, {})


def rely(
    calibration: Calibration,
    goods: Origin | None = None,
    *,
    days_max: int = DAYS_MAX,
    response_days_max: int = RESPONSE_DAYS_MAX,
) -> Standing:
    """The standing of a file whose calibration somebody names.

    Args:
        calibration: of the instrument that measured the file, as they say.
        goods: what is known of the file's measurement; None = nothing.
        days_max: an older calibration counts no more.
        response_days_max: an older intensity correction is left out.
    """
    known = goods or Origin()
    notes = []
    for name, one, other in (
        ("instrument", calibration.instrument, known.instrument),
        ("laser", _laser_nm(calibration), known.excitation_nm),
    ):
        if not one or not other:
            notes.append(f"{name}_unstated")
    if "file" in {calibration.measured_from, known.measured_from}:
        notes.append("file_time")
    if known.unread_date or calibration.measured_ms is None:
        notes.append("date_unread")
    foreign = _foreign(calibration, known)
    if foreign:
        facts: dict[str, Parameter] = {**foreign, "standard": calibration.standard_id}
        return _without(calibration.instrument, UNCALIBRATED_CM1, "foreign", facts)
    age_s = _apart_s(calibration.measured_ms, known.measured_ms)
    if age_s is not None and age_s > days_max * DAY_S:
        return _expired(calibration.instrument, UNCALIBRATED_CM1, calibration, age_s, days_max)
    kept, response_age_s, more = _with_response(
        calibration, calibration.response_ms, known.measured_ms, response_days_max
    )
    return Standing(
        msgspec.structs.replace(
            _record(kept, "", age_s), response_age_s=response_age_s, notes=(*notes, *more)
        ),
        kept,
        {},
    )


def fail(fault: str, standard: str) -> Standing:
    """The standing of files whose calibration was tried and failed."""
    return _without("", UNCALIBRATED_CM1, "failed", {"fault": fault, "standard": standard})


def correct_intensity(
    standing: Standing,
    curve: ResponseCurve | None,
    *,
    excitation_nm: float,
    age_s: float,
    days_max: int,
) -> Standing:
    """Add a node's intensity correction to what its reading stands on.

    Args:
        standing: of the reading; without a valid calibration nothing is added.
        curve: the newest correction of the node's axis; None = never measured.
        excitation_nm: laser of the axis.
        age_s: of the curve at the reading.
        days_max: an older one is left out.
    """
    found = standing.calibration
    if found is None or curve is None:
        return standing
    note = ""
    if not is_same_laser(curve.excitation_nm, excitation_nm):
        note = "response_foreign"
    elif age_s > days_max * DAY_S:
        note = "response_expired"
    if note:
        notes = (*standing.record.notes, note)
        return Standing(
            msgspec.structs.replace(standing.record, notes=notes), found, standing.parameters
        )
    record = msgspec.structs.replace(
        standing.record, response_id=curve.response_id, response_age_s=age_s
    )
    kept = msgspec.structs.replace(found, response=curve, response_id=curve.response_id)
    return Standing(record, kept, standing.parameters)


def _foreign(calibration: Calibration, goods: Origin) -> dict[str, Parameter]:
    """What calibration and file say that cannot be of one instrument; empty when nothing does."""
    one, other = calibration.instrument, goods.instrument
    if one and other and not is_same_instrument(one, other):
        return {"calibrated": one, "measured": other}
    ours, theirs = _laser_nm(calibration), goods.excitation_nm
    if ours and theirs and not is_same_laser(ours, theirs):
        return {"calibrated": f"{ours:g} nm", "measured": f"{theirs:g} nm"}
    return {}


def _laser_nm(calibration: Calibration) -> float | None:
    """Laser of a calibration: as stated, else that of the certificate in it."""
    if calibration.excitation_nm or calibration.response is None:
        return calibration.excitation_nm
    return calibration.response.excitation_nm


def _with_response(
    calibration: Calibration, response_ms: int | None, goods_ms: int | None, days_max: int
) -> tuple[Calibration, float | None, tuple[str, ...]]:
    """The calibration as far as its intensity correction is in force, its age, and what to note."""
    if calibration.response is None:
        return calibration, None, ()
    age_s = _apart_s(response_ms, goods_ms)
    if age_s is not None and age_s > days_max * DAY_S:
        plain = msgspec.structs.replace(calibration, response=None, response_id=None)
        return plain, None, ("response_expired",)
    return calibration, age_s, ()


def _apart_s(one_ms: int | None, other_ms: int | None) -> float | None:
    """How far apart two moments are; None when one is not known."""
    if one_ms is None or other_ms is None:
        return None
    return abs(one_ms - other_ms) / 1_000.0


def choose(
    trials: Sequence[Trial],
    *,
    order: int,
    measured_ms: int,
    days_max: int,
    axis_uncertainty_cm1: float,
    instrument: str,
    standard: str,
) -> Standing:
    """Choose the calibration of a reading.

    Args:
        trials: of the reading's node and axis, by rising `order`.
        order: the reading's place among all readings.
        measured_ms: when the reading was measured; where nobody knows, when it came.
        days_max: an older calibration counts no more.
        axis_uncertainty_cm1: how far an axis that nobody has looked at is searched for listed
            substances, to name them.
        instrument: of the reading, to name.
        standard: what to measure next, to name.
    """
    before = [trial for trial in trials if trial.order < order]
    spoken = [trial for trial in before if _speaks(trial)]
    last = spoken[-1] if spoken else None
    without = partial(_without, instrument, axis_uncertainty_cm1)
    if last is not None and last.calibration is None:
        return without("failed", {"fault": last.fault, "standard": last.standard_id})
    later = next((t for t in trials if t.order > order and _speaks(t)), None)
    for trial in (last, later):
        if (
            trial is not None
            and trial.calibration is not None
            and _age_s(trial, measured_ms) <= days_max * DAY_S
        ):
            return _with(trial, instrument, measured_ms)
    if later is not None and later.calibration is None:
        return without("failed", {"fault": later.fault, "standard": later.standard_id})
    if last is not None:
        age_s = _age_s(last, measured_ms)
        return _expired(instrument, axis_uncertainty_cm1, last, age_s, days_max)
    if before:  # tried, and never with success
        return without("failed", {"fault": before[-1].fault, "standard": standard})
    return without("absent", {"instrument": instrument, "standard": standard})


def _speaks(trial: Trial) -> bool:
    """Whether it says where the axis is, or that the instrument is not in order."""
    return trial.calibration is not None or trial.fault in INSTRUMENT_FAULTS


def _age_s(trial: Trial, measured_ms: int) -> float:
    """How far apart the two came; a clock that was set in between must not make it young."""
    return abs(measured_ms - trial.measured_ms) / 1_000.0


def _with(trial: Trial, instrument: str, measured_ms: int) -> Standing:
    found = trial.calibration
    if found is None:
        raise ValueError("a trial without a calibration cannot be stood on")
    return Standing(_record(found, instrument, _age_s(trial, measured_ms)), found, {})


def _expired(
    instrument: str,
    axis_uncertainty_cm1: float,
    old: Trial | Calibration,
    age_s: float,
    days_max: int,
) -> Standing:
    """The standing on something that was valid once; its age is never shown as still allowed."""
    days = max(round(age_s / DAY_S), days_max + 1)
    facts: dict[str, Parameter] = {"age_days": days, "age_days_max": days_max}
    facts["standard"] = old.standard_id
    return _without(instrument, axis_uncertainty_cm1, "expired", facts, age_s)


def _record(found: Calibration, instrument: str, age_s: float | None) -> CalibrationRecord:
    return CalibrationRecord(
        standard_id=found.standard_id,
        instrument=found.instrument or instrument,
        age_s=age_s,
        offset_cm1=found.offset_cm1,
        uncertainty_cm1=found.uncertainty_cm1,
        resolution_cm1=found.resolution_cm1,
        state="valid",
        measured_from=found.measured_from,
        response_id=found.response_id or "",
    )


def _without(
    instrument: str,
    axis_uncertainty_cm1: float,
    state: CalibrationState,
    parameters: dict[str, Parameter],
    age_s: float | None = None,
) -> Standing:
    record = CalibrationRecord(
        standard_id=str(parameters["standard"]),
        instrument=instrument,
        age_s=age_s,
        offset_cm1=0.0,
        uncertainty_cm1=axis_uncertainty_cm1,
        resolution_cm1=None,
        state=state,
    )
    return Standing(record, None, parameters)


def hold_back(verdict: Verdict, standing: Standing, watchlists: Watchlists) -> Verdict:
    """Return the verdict as far as the calibration allows it, with the calibration in it.

    An alarm on an axis nobody can vouch for becomes *inconclusive* and names the substances, a
    clear becomes *inconclusive*; reasons with a remedy of their own stay.
    """
    state = standing.record.state
    carried = msgspec.structs.replace(verdict, calibration=standing.record)
    if state in {"valid", "assumed"} or verdict.reason_id in UNJUDGEABLE | NO_SPECTRUM | NAMED:
        return carried
    why = WHY[state]
    if verdict.verdict != "alarm":
        return msgspec.structs.replace(
            carried, verdict="inconclusive", reason_id=why, parameters=standing.parameters
        )
    named = verdict.parameters.get("substance_ids", ())
    names = named if isinstance(named, tuple) else (str(named),)
    listed = tuple(name for name in names if name in watchlists.substance_ids)
    return msgspec.structs.replace(
        carried,
        verdict="inconclusive",
        reason_id="uncalibrated_listed",
        parameters={
            "substance_ids": listed or names,
            **{key: value for key, value in verdict.parameters.items() if key.startswith("lists")},
            "why": why,
            **standing.parameters,
        },
    )
