"""The rules that turn an identification into a verdict.

In this order, the first that applies decides:

1. A listed substance with alarm evidence and no harmless rival: alarm (alone or as a family).
2. A listed substance that a harmless one explains as well: inconclusive, both named.
3. A listed substance with some but not enough evidence: inconclusive.
4. A drug or an unlisted relative of the precursors: inconclusive, refer.
5. A measurement that cannot support "clear" (full detector, no bands, too weak, too short a range,
   interrupted), only packaging seen, which metal powder in a bag shows too, or too noisy to exclude
   a listed substance beneath the goods' own bands: inconclusive.
6. Otherwise clear.

Alarms stand before the quality rules: a bad measurement can hide bands, it cannot invent a pattern
of them.
"""

from __future__ import annotations

import math

from gateway.screening.thresholds import Thresholds, load_thresholds
from gateway.screening.verdict import (
    BandRecord,
    HitRecord,
    ListRecord,
    LookAlikeRecord,
    Parameter,
    QualityRecord,
    Verdict,
    VerdictName,
)
from gateway.screening.watchlists import Watchlists
from gateway.spectra.explain import BandEvidence
from gateway.spectra.library import Library
from gateway.spectra.match import Candidate, Hit, Identification, Quality

ALARM_SEEN_BANDS_MIN = 3
"""So many satellites at their places prove a substance whose main band is covered."""

CERTAIN_NATS_MIN = 10.0
CERTAIN_SHARE_MIN = 0.02
"""With evidence of 20,000 to 1 a component may be this small: its whole pattern of bands stands
there, and what the tables leave out of a large component is no pattern."""

CONFIRMED_GRADES = ("A", "B")
SUPPORT_NATS_MIN = 1.0
UNCONFIRMED_NATS = 2.0
"""A single band decides if its place was measured or published as such. Of the others one in seven
is absent or displaced: then the light at the places of the faint bands must speak for it, or the
evidence be seven times stronger."""

PRINCIPAL_REL_MIN = 0.8
"""Bands of at least this tabulated height are the principal ones."""

NOISE_SNR_MAX = 8.0
"""What pure noise reaches, crest to valley, in one of some hundred spectra."""

UNKNOWN_BANDS_MIN = 3
"""Fewer bands are no fingerprint: nothing can be recognised or excluded by them."""

SATURATED_SHARE_MAX = 0.01
"""A full detector hides the strongest bands, which are the ones that matter."""

COVERAGE_MIN = 0.5
"""A listed substance counts as covered when half its tabulated intensity lies in the range."""

FOREIGN_SHARE_MAX = 0.25
"""Unexplained bands up to this share of the strongest one are ones the tables leave out."""

REFER_CATEGORIES = ("drug", "related")

Decision = tuple[VerdictName, str, dict[str, Parameter]]
"""Verdict, reason id and the facts its sentence names."""


def screen(
    identification: Identification,
    watchlists: Watchlists,
    library: Library,
    *,
    interrupted: bool = False,
    thresholds: Thresholds | None = None,
) -> Verdict:
    """Judge one identification.

    Args:
        identification: what the spectrum says.
        watchlists: lists in force.
        library: for names and categories.
        interrupted: the instrument reports that the measurement was cut short or damaged.
        thresholds: numbers to decide by; None = those of the package.
    """
    limits = thresholds or load_thresholds()
    listed = watchlists.substance_ids
    decision = (
        _concern(identification, watchlists, library, limits)
        or _referred(identification, library)
        or _poor(identification, limits, interrupted=interrupted)
        or _unseen(identification, library, listed)
        or _clear(identification)
    )
    return _verdict(identification, watchlists, library, decision, limits)


def _concern(
    identification: Identification,
    watchlists: Watchlists,
    library: Library,
    limits: Thresholds,
) -> Decision | None:
    """Rules 1 to 3: what speaks for a listed substance."""
    listed = watchlists.substance_ids
    alarms, shadows, doubtful = _split(identification, listed, library, limits)
    if alarms:
        family = _family(identification, alarms, library, listed, limits)
        reason = "listed_found" if len(family) == len(alarms) else "listed_family"
        return "alarm", reason, {"substance_ids": family, "lists": _lists(watchlists, family)}
    if shadows:
        return (
            "inconclusive",
            "not_separable",
            {
                "substance_ids": tuple(dict.fromkeys(pair[0] for pair in shadows)),
                "lookalike_ids": tuple(dict.fromkeys(pair[1] for pair in shadows)),
            },
        )
    possible = tuple(dict.fromkeys((*doubtful, *_possible(identification, listed, limits))))
    return ("inconclusive", "listed_possible", {"substance_ids": possible}) if possible else None


def _referred(identification: Identification, library: Library) -> Decision | None:
    """Rule 4: substances on no list that an officer must not wave through."""
    for category in REFER_CATEGORIES:
        found = tuple(
            hit.substance_id
            for hit in identification.hits
            if library[hit.substance_id].category == category
        )
        if found:
            return "inconclusive", f"{category}_found", {"substance_ids": found}
    return None


def _clear(identification: Identification) -> Decision:
    """Rule 6."""
    if identification.hits:
        found = tuple(hit.substance_id for hit in identification.hits)
        return "clear", "harmless_found", {"substance_ids": found}
    return "clear", "unknown_clear", {"band_count": identification.quality.band_count}


def _split(
    identification: Identification,
    listed: frozenset[str],
    library: Library,
    limits: Thresholds,
) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Sort out the listed substances.

    Returns:
        Those with alarm evidence; pairs (listed, harmless look-alike) that explain the same bands;
        those accepted with less than alarm evidence.
    """
    alarms: list[str] = []
    shadows: list[tuple[str, str]] = []
    doubtful: list[str] = []
    for hit in identification.hits:
        rivals = [
            entry
            for entry in identification.candidates
            if entry.instead_of == hit.substance_id and entry.deficit_nats < limits.margin_nats
        ]
        if hit.substance_id not in listed:
            if hit.share >= limits.alarm_share_min:
                shadows += [
                    (entry.substance_id, hit.substance_id)
                    for entry in rivals
                    if entry.substance_id in listed and principal_found(entry.bands)
                ]
            continue
        harmless = [
            entry.substance_id
            for entry in rivals
            if entry.substance_id not in listed
            and library[entry.substance_id].category not in REFER_CATEGORIES
        ]
        family = [entry.nats for entry in rivals if entry.substance_id in listed]
        if not _convincing(hit, _any_of(hit.nats, family), identification.quality, limits):
            doubtful.append(hit.substance_id)
        elif harmless:
            shadows += [(hit.substance_id, name) for name in harmless]
        else:
            alarms.append(hit.substance_id)
    return alarms, shadows, doubtful


def _any_of(nats: float, others: list[float]) -> float:
    """Evidence that one of several listed explanations of the same bands is right."""
    return nats + math.log1p(sum(math.exp(other - nats) for other in others))


def _convincing(hit: Hit, nats: float, quality: Quality, limits: Thresholds) -> bool:
    """Whether the evidence for a listed hit, or for its family, is enough for an alarm."""
    seen = principal_found(hit.bands, limits.snr_alarm_min)
    enough = limits.alarm_nats_min if seen else limits.alarm_nats_hidden_min
    found, missing, hidden = (
        sum(band.rel_intensity for band in hit.bands if band.state == state)
        for state in ("found", "missing", "hidden")
    )
    grades = [band.grade for band in hit.bands if band.state == "found"]
    if len(grades) == 1 and grades[0] not in CONFIRMED_GRADES:
        faint = sum(band.nats for band in hit.bands if band.state == "faint")
        if faint < SUPPORT_NATS_MIN and nats < enough + UNCONFIRMED_NATS:
            return False
    certain = hit.nats >= CERTAIN_NATS_MIN and len(grades) >= ALARM_SEEN_BANDS_MIN
    least = min(CERTAIN_SHARE_MIN, limits.alarm_share_min) if certain else limits.alarm_share_min
    return (
        nats >= enough
        and hit.share >= least
        and quality.snr >= limits.snr_alarm_min
        and found >= limits.alarm_found_share_min * (found + missing)
        and (
            found >= limits.alarm_seen_share_min * (found + missing + hidden)
            or len(grades) >= ALARM_SEEN_BANDS_MIN
        )
    )


def principal_found(bands: tuple[BandEvidence, ...], snr_min: float = 0.0) -> bool:
    """Whether a principal band stands at its place by itself, this far above the noise."""
    return any(
        band.state == "found" and band.rel_intensity >= PRINCIPAL_REL_MIN and band.snr >= snr_min
        for band in bands
    )


def _close(candidate: Candidate, limits: Thresholds) -> bool:
    return candidate.instead_of is not None and candidate.deficit_nats < limits.margin_nats


def _family(
    identification: Identification,
    alarms: list[str],
    library: Library,
    listed: frozenset[str],
    limits: Thresholds,
) -> tuple[str, ...]:
    """The alarm hits and every substance of concern that could stand in their place."""
    rivals = [
        entry.substance_id
        for entry in identification.candidates
        if _close(entry, limits)
        and entry.instead_of in alarms
        and (
            entry.substance_id in listed or library[entry.substance_id].category in REFER_CATEGORIES
        )
    ]
    return tuple(dict.fromkeys(alarms + rivals))


def _possible(
    identification: Identification, listed: frozenset[str], limits: Thresholds
) -> tuple[str, ...]:
    """Listed substances that would come on top, as likely as not."""
    return tuple(
        entry.substance_id
        for entry in identification.candidates
        if entry.instead_of is None
        and entry.substance_id in listed
        and _may_be_there(entry, limits)
    )


def _may_be_there(candidate: Candidate, limits: Thresholds) -> bool:
    """Whether a listed substance on top of all others keeps a measurement from being clear."""
    if candidate.share < limits.alarm_share_min:
        # Bands this small are left out of every table; only a whole pattern of them speaks.
        return candidate.nats >= limits.alarm_nats_min
    if principal_found(candidate.bands):
        return candidate.nats >= limits.possible_nats_min
    absent = any(
        band.state == "missing" and band.rel_intensity >= PRINCIPAL_REL_MIN
        for band in candidate.bands
    )
    return not absent and candidate.nats >= limits.possible_nats_hidden_min


def _poor(
    identification: Identification, limits: Thresholds, *, interrupted: bool
) -> Decision | None:
    """Rule 5, first part: a measurement too poor to support "clear"."""
    quality = identification.quality
    reason: str | None = None
    facts: dict[str, Parameter] = {}
    if quality.saturated_share > SATURATED_SHARE_MAX:
        reason, facts = "saturated", {"share_percent": round(100.0 * quality.saturated_share)}
    elif not identification.hits and (quality.sharp_count == 0 or quality.snr < NOISE_SNR_MAX):
        reason = "no_signal"
    elif quality.snr < limits.snr_clear_min:
        reason = "weak_signal"
        facts = {"snr": round(quality.snr, 1), "snr_min": round(limits.snr_clear_min)}
    elif interrupted:
        reason = "interrupted"
    elif not identification.hits and quality.clear_count < UNKNOWN_BANDS_MIN:
        reason, facts = "few_bands", {"band_count": quality.clear_count}
    elif identification.axis_offset_cm1:
        reason, facts = "axis_off", {"offset_cm1": round(identification.axis_offset_cm1)}
    return ("inconclusive", reason, facts) if reason else None


def _unseen(
    identification: Identification, library: Library, listed: frozenset[str]
) -> Decision | None:
    """Rule 5, second part: a good measurement in which a listed substance could be missed."""
    short = tuple(
        key
        for key in library.active_ids
        if key in listed and identification.coverage[key] < COVERAGE_MIN
    )
    if short:
        low, high = (round(end) for end in identification.quality.range_cm1)
        facts: dict[str, Parameter] = {"low_cm1": low, "high_cm1": high, "substance_ids": short}
        return "inconclusive", "range_short", facts
    packaging = _packaging_only(identification, library)
    if packaging:
        return "inconclusive", "packaging_only", {"substance_ids": packaging}
    hiding = tuple(name for name in identification.blind if name in listed)
    return ("inconclusive", "could_hide", {"substance_ids": hiding}) if hiding else None


def _packaging_only(identification: Identification, library: Library) -> tuple[str, ...]:
    """The hits when all of them are packaging and nothing else shows: the goods were not seen."""
    names = tuple(hit.substance_id for hit in identification.hits)
    if identification.foreign_share > FOREIGN_SHARE_MAX:
        return ()
    return names if all(library[name].category == "packaging" for name in names) else ()


def _lists(watchlists: Watchlists, substance_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Titles and dates of the lists these substances stand on."""
    wanted = {name for key in substance_ids for name in watchlists.lists_of(key)}
    return tuple(
        f"{entry.title} ({entry.date.isoformat()})"
        for entry in watchlists.lists
        if entry.list_id in wanted
    )


def _verdict(
    identification: Identification,
    watchlists: Watchlists,
    library: Library,
    decision: Decision,
    limits: Thresholds,
) -> Verdict:
    """The whole record of a decision."""
    verdict, reason_id, parameters = decision
    rivals: dict[str, list[str]] = {}
    for entry in identification.candidates:
        if _close(entry, limits) and entry.instead_of is not None:
            rivals.setdefault(entry.instead_of, []).append(entry.substance_id)
    quality = identification.quality
    return Verdict(
        verdict=verdict,
        reason_id=reason_id,
        parameters=parameters,
        hits=tuple(
            HitRecord(
                substance_id=hit.substance_id,
                cas=library[hit.substance_id].cas,
                name=library[hit.substance_id].names["en"],
                score=round(limits.calibrated(hit.score), 3),
                share=round(hit.share, 3),
                lists=watchlists.lists_of(hit.substance_id),
                rivals=tuple(rivals.get(hit.substance_id, ())),
                bands=tuple(_band(band) for band in hit.bands),
                look_alikes=tuple(
                    LookAlikeRecord(
                        substance_id=entry.substance_id,
                        deficit_nats=round(entry.deficit_nats, 1),
                        separating_cm1=entry.separating_cm1,
                        separating_found_cm1=entry.separating_found_cm1,
                    )
                    for entry in hit.look_alikes
                ),
            )
            for hit in identification.hits
        ),
        unexplained_cm1=tuple(round(shift, 1) for shift in identification.unexplained_cm1),
        quality=QualityRecord(
            snr=round(quality.snr, 1),
            low_cm1=round(quality.range_cm1[0], 1),
            high_cm1=round(quality.range_cm1[1], 1),
            resolution_cm1=round(quality.resolution_cm1, 1),
            saturated_share=round(quality.saturated_share, 4),
            fluorescence_share=round(quality.fluorescence_share, 4),
            spike_count=quality.spike_count,
            band_count=quality.band_count,
        ),
        library_version=identification.library_version,
        lists=tuple(
            ListRecord(entry.list_id, entry.date.isoformat()) for entry in watchlists.lists
        ),
    )


def _band(band: BandEvidence) -> BandRecord:
    return BandRecord(
        shift_cm1=band.shift_cm1,
        measured_cm1=None if band.measured_cm1 is None else round(band.measured_cm1, 1),
        state=band.state,
        snr=round(band.snr, 1),
        grade=band.grade,
    )
