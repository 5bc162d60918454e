"""Which calibration a reading stands on, and what a verdict may say without one.

Rules of the file
- In force is the newest valid calibration before the reading. A later one counts when there was
  none: the axis is the same, only nobody had looked yet.
- A failure that speaks of the instrument (its bands are not where they can be) ends what was in
  force. A failure of the measurement (no signal, saturated) says nothing about the axis and ends
  nothing.
- A verdict without a calibration in force is never more than inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from gateway.screening.verdict import CalibrationRecord, CalibrationState, Parameter, Verdict
from gateway.screening.watchlists import Watchlists
from gateway.spectra.calibrate import Calibration

DAY_S = 86_400.0

INSTRUMENT_FAULTS = frozenset(
    {"wrong_material", "offset_large", "stretch_large", "residual_large", "unreadable"}
)
"""Faults after which the axis is in doubt. Another material than the standard and an axis that is
far off look alike, so that one is here too."""

UNJUDGEABLE = frozenset(
    {"no_axis", "bad_axis", "wrong_pixel_count", "bad_reading", "judgement_failed"}
)
"""Reasons that a calibration would not change, and that have a remedy of their own."""

WHY = {"absent": "not_calibrated", "expired": "calibration_expired", "failed": "calibration_failed"}
"""State of a calibration -> reason id."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one measured standard, in the order of the readings.

    Attributes:
        order: place among all readings; grows with every record that is committed.
        received_ms: by the gateway's clock.
        standard_id: what it was taken for.
        fault: empty when it is valid.
        calibration: None when it failed.
    """

    order: int
    received_ms: int
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


def rely(calibration: Calibration) -> Standing:
    """The standing of files whose calibration somebody names; its age is their business."""
    return Standing(_record(calibration, "", None), calibration, {})


def choose(
    trials: Sequence[Trial],
    *,
    order: int,
    received_ms: int,
    days_max: int,
    axis_uncertainty_cm1: float,
    instrument: str,
    standard: str,
) -> Standing:
    """Choose the calibration of a reading.

    Args:
        trials: of the reading's node and axis, by rising `order`.
        order: the reading's place among all readings.
        received_ms: when the reading came.
        days_max: an older calibration counts no more.
        axis_uncertainty_cm1: how far an axis that nobody has looked at is searched for listed
            substances, to name them.
        instrument: of the reading, to name.
        standard: what to measure next, to name.
    """
    before = [trial for trial in trials if trial.order < order]
    spoken = [t for t in before if t.calibration is not None or t.fault in INSTRUMENT_FAULTS]
    last = spoken[-1] if spoken else None
    without = partial(_without, instrument, axis_uncertainty_cm1)
    if last is not None and last.calibration is None:
        return without("failed", {"fault": last.fault, "standard": last.standard_id})
    later = next((t for t in trials if t.order > order and t.calibration is not None), None)
    for trial in (last, later):
        if trial is not None and _age_s(trial, received_ms) <= days_max * DAY_S:
            return _with(trial, instrument, received_ms)
    if last is not None:
        age_s = _age_s(last, received_ms)
        days = {"age_days": round(age_s / DAY_S), "age_days_max": days_max}
        return without("expired", {**days, "standard": last.standard_id}, age_s)
    if before:  # tried, and never with success
        return without("failed", {"fault": before[-1].fault, "standard": standard})
    return without("absent", {"instrument": instrument, "standard": standard})


def _age_s(trial: Trial, received_ms: int) -> float:
    """How far apart the two came; a clock that was set in between must not make it young."""
    return abs(received_ms - trial.received_ms) / 1_000.0


def _with(trial: Trial, instrument: str, received_ms: int) -> Standing:
    found = trial.calibration
    if found is None:
        raise ValueError("a trial without a calibration cannot be stood on")
    return Standing(_record(found, instrument, _age_s(trial, received_ms)), found, {})


def _record(found: Calibration, instrument: str, age_s: float | None) -> CalibrationRecord:
    return CalibrationRecord(
        standard_id=found.standard_id,
        instrument=found.instrument or instrument,
        age_s=age_s,
        offset_cm1=found.offset_cm1,
        uncertainty_cm1=found.uncertainty_cm1,
        resolution_cm1=found.resolution_cm1,
        state="valid",
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
    if state in {"valid", "assumed"} or verdict.reason_id in UNJUDGEABLE:
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
