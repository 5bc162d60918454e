"""The verdict on one measurement: a value that can be stored, sent and explained."""

from __future__ import annotations

from typing import Literal

import msgspec

VerdictName = Literal["alarm", "inconclusive", "clear"]
Parameter = str | int | float | tuple[str, ...]
CalibrationState = Literal["valid", "expired", "failed", "absent", "foreign", "assumed"]

INSTRUMENT_FAULTS = frozenset(
    {"wrong_material", "offset_large", "stretch_large", "residual_large", "unreadable"}
)
"""Faults after which the axis is in doubt. Another material than the standard and an axis that is
far off look alike, so that one is here too."""


class BandRecord(msgspec.Struct, frozen=True):
    """One tabulated band of a hit.

    Attributes:
        shift_cm1: tabulated position.
        measured_cm1: position found, None when not found.
        state: found, missing, hidden (covered by a stronger one), faint (too weak to be seen
            here) or outside (not measured).
        snr: height over noise of the band found.
        grade: how well the tabulated position is known, A to D.
    """

    shift_cm1: float
    measured_cm1: float | None
    state: str
    snr: float
    grade: str


class LookAlikeRecord(msgspec.Struct, frozen=True):
    """A substance known to be mistaken for a hit.

    Attributes:
        substance_id: the look-alike.
        deficit_nats: how much less evidence it has than the hit (3 = twenty times less likely).
        separating_cm1: bands of the listed one of the two that tell them apart.
        separating_found_cm1: those of them that were found.
    """

    substance_id: str
    deficit_nats: float
    separating_cm1: tuple[float, ...]
    separating_found_cm1: tuple[float, ...]


class HitRecord(msgspec.Struct, frozen=True):
    """One identified substance.

    Attributes:
        substance_id: id in the library.
        cas: CAS registry number, empty when there is none.
        name: English name.
        score: 0 to 1: share of the visible tabulated band intensity found at its place, times
            the certainty that the match is no coincidence. No concentration.
        share: part of the explained signal height, 0 to 1. No concentration.
        lists: ids of the watchlists it stands on.
        rivals: substances that explain its bands as well.
        bands: the bands with what became of each.
        look_alikes: known look-alikes, nearest first, and why it is not they.
        next_id: the best other explanation of its bands; empty when there is none.
        margin_nats: how much more evidence it has than that one (3 = twenty times as likely);
            None when there is none.
    """

    substance_id: str
    cas: str
    name: str
    score: float
    share: float
    lists: tuple[str, ...]
    rivals: tuple[str, ...]
    bands: tuple[BandRecord, ...]
    look_alikes: tuple[LookAlikeRecord, ...]
    next_id: str = ""
    margin_nats: float | None = None


class QualityRecord(msgspec.Struct, frozen=True):
    """How good the measurement was; numbers as in `gateway.spectra.identification`.

    `axis_offset_cm1` is how far the whole axis was moved beyond what was stated of it; 0 = not.
    `fringe_share` is the amplitude of an interference ripple over the light; 0 = none seen.
    """

    snr: float
    low_cm1: float
    high_cm1: float
    resolution_cm1: float
    saturated_share: float
    fluorescence_share: float
    spike_count: int
    band_count: int
    axis_offset_cm1: float = 0.0
    fringe_share: float = 0.0


class ListRecord(msgspec.Struct, frozen=True):
    """A watchlist consulted for the verdict and its date (ISO 8601)."""

    list_id: str
    date: str


class CalibrationRecord(msgspec.Struct, frozen=True):
    """The calibration that a verdict rests on, or why there is none.

    Attributes:
        standard_id: material it was made with, or should have been; empty for a file taken as
            calibrated.
        instrument: model and serial number.
        age_s: from its measurement to the reading's, seconds; None without a calibration.
        offset_cm1: correction in the middle of its bands.
        uncertainty_cm1: half-width of the axis error that may remain.
        resolution_cm1: line width it found; None when nobody knows.
        state: valid; expired, failed, absent, or foreign (of another instrument or laser); assumed
            for a file that was said to be calibrated.
        measured_from: how its time is known: header, option, file or post; empty when it is not.
        response_id: certificate of the intensity correction that was applied; empty without.
        response_age_s: from its measurement to the reading's, seconds; None when nobody knows.
        notes: what is not known or not applied: keys of `gateway.screening.account.NOTES`.
    """

    standard_id: str
    instrument: str
    age_s: float | None
    offset_cm1: float
    uncertainty_cm1: float
    resolution_cm1: float | None
    state: CalibrationState
    measured_from: str = ""
    response_id: str = ""
    response_age_s: float | None = None
    notes: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """What one measurement means.

    Attributes:
        verdict: alarm, inconclusive or clear.
        reason_id: why; a key of `gateway.screening.explain.REASONS`.
        parameters: values for the sentence; names ending in `_ids` hold substance ids.
        hits: identified substances, best first, also the harmless ones.
        unexplained_cm1: bands nothing accounts for, strongest first.
        quality: of the measurement; None when it could not be evaluated.
        library_version: tables used.
        lists: watchlists consulted.
        calibration: of the instrument; None when the reading could not be evaluated at all.
    """

    verdict: VerdictName
    reason_id: str
    parameters: dict[str, Parameter]
    hits: tuple[HitRecord, ...]
    unexplained_cm1: tuple[float, ...]
    quality: QualityRecord | None
    library_version: str
    lists: tuple[ListRecord, ...]
    calibration: CalibrationRecord | None = None
