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

from collections.abc import Iterable
from typing import Any

from gateway.screening.claims import (
    REFER_CATEGORIES,
    Claim,
    claims,
    convincing,
)
from gateway.screening.signs import family_may_be_there, possible_on_top
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
from gateway.spectra.explain import BandEvidence, score
from gateway.spectra.identification import Candidate, Hit, Identification
from gateway.spectra.library import LANGUAGES, Library

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
    concern, alarms = _concern(identification, watchlists, library, limits)
    decision = (
        concern
        or _referred(identification, library)
        or _poor(identification, limits, interrupted=interrupted)
        or _unseen(identification, library, listed)
        or _clear(identification)
    )
    hits = identification.hits + tuple(_hit_on_top(claim) for claim in alarms if not claim.accepted)
    return _verdict(identification, hits, watchlists, library, decision, limits)


def _concern(
    identification: Identification,
    watchlists: Watchlists,
    library: Library,
    limits: Thresholds,
) -> tuple[Decision | None, tuple[Claim, ...]]:
    """Rules 1 to 3: what speaks for a listed substance; with the claims that raise an alarm."""
    listed = watchlists.substance_ids
    alarms: list[Claim] = []
    shared: list[Claim] = []
    doubtful: list[str] = []
    for claim in claims(identification, listed, library, limits):
        accepted = claim.accepted
        is_harmless = accepted is not None and accepted in claim.harmless
        if is_harmless:
            shared.append(claim)
        elif not convincing(claim, identification, limits):
            if accepted is not None and accepted in claim.listed:
                doubtful.append(accepted.substance_id)
            elif accepted is None and family_may_be_there(claim, limits):
                doubtful += _names(claim.listed)
        elif claim.is_shared(limits.margin_nats):
            shared.append(claim)
        else:
            alarms.append(claim)
    if alarms:
        return _alarm(alarms, watchlists), tuple(alarms)
    if shared:
        facts: dict[str, Parameter] = {
            "substance_ids": _names(entry for claim in shared for entry in claim.listed),
            "lookalike_ids": _names(entry for claim in shared for entry in claim.harmless),
        }
        return ("inconclusive", "not_separable", facts), ()
    possible = tuple(dict.fromkeys((*doubtful, *possible_on_top(identification, listed, limits))))
    if possible:
        return ("inconclusive", "listed_possible", {"substance_ids": possible}), ()
    return None, ()


def _alarm(alarms: list[Claim], watchlists: Watchlists) -> Decision:
    """The alarm names each claim's best and whatever of concern fits as well."""
    first = _names(claim.listed[0] for claim in alarms)
    family = _names(entry for claim in alarms for entry in (*claim.listed, *claim.referred))
    named = tuple(dict.fromkeys((*first, *family)))
    reason = "listed_found" if len(named) == len(first) else "listed_family"
    return "alarm", reason, {"substance_ids": named, **list_titles(watchlists, named)}


def _hit_on_top(claim: Claim) -> Hit:
    """The best listed substance of a claim that only its family makes."""
    best = claim.listed[0]
    rivals = tuple(entry for entry in (*claim.listed[1:], *claim.referred, *claim.harmless))
    return Hit(
        substance_id=best.substance_id,
        score=score(best.bands, best.nats, tuple(best.nats - entry.nats for entry in rivals)),
        nats=best.nats,
        share=best.share,
        need=0.0,
        bands=best.bands,
        look_alikes=(),
    )


def _names(entries: Iterable[Hit | Candidate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry.substance_id for entry in entries))


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


def _close(candidate: Candidate, limits: Thresholds) -> bool:
    return candidate.instead_of is not None and candidate.deficit_nats < limits.margin_nats


def _poor(
    identification: Identification, limits: Thresholds, *, interrupted: bool
) -> Decision | None:
    """Rule 5, first part: a measurement too poor to support "clear"."""
    quality = identification.quality
    reason: str | None = None
    facts: dict[str, Parameter] = {}
    if quality.saturated_share > SATURATED_SHARE_MAX:
        reason, facts = "saturated", {"share_percent": round(100.0 * quality.saturated_share)}
    elif quality.fringed and quality.snr < limits.snr_clear_min:
        reason, facts = "fringes", _ripple(identification)
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
    coverage = identification.coverage
    unseen = (key for key in listed if coverage.get(key, 1.0) < COVERAGE_MIN)
    short = tuple(sorted(unseen, key=library.places.__getitem__))
    if short:
        low, high = (round(end) for end in identification.quality.range_cm1)
        facts: dict[str, Parameter] = {"low_cm1": low, "high_cm1": high, "substance_ids": short}
        return "inconclusive", "range_short", facts
    packaging = _packaging_only(identification, library)
    if packaging:
        return "inconclusive", "packaging_only", {"substance_ids": packaging}
    hiding = tuple(name for name in identification.blind if name in listed)
    if hiding and identification.quality.fringed:
        return "inconclusive", "fringes", _ripple(identification)
    if hiding:
        return "inconclusive", "could_hide", {"substance_ids": hiding}
    covered = tuple(name for name in identification.covered if name in listed)
    return ("inconclusive", "covered", {"substance_ids": covered}) if covered else None


def _ripple(identification: Identification) -> dict[str, Parameter]:
    """Size of the interference ripple in per cent of the light, to a tenth."""
    return {"share_percent": round(100.0 * identification.quality.fringe_share, 1)}


def _packaging_only(identification: Identification, library: Library) -> tuple[str, ...]:
    """The hits when all of them are packaging and nothing else shows: the goods were not seen."""
    names = tuple(hit.substance_id for hit in identification.hits)
    if identification.foreign_share > FOREIGN_SHARE_MAX:
        return ()
    return names if all(library[name].category == "packaging" for name in names) else ()


def list_titles(watchlists: Watchlists, substance_ids: tuple[str, ...]) -> dict[str, Parameter]:
    """Titles and dates of the lists these substances stand on, in every language."""
    wanted = {name for key in substance_ids for name in watchlists.lists_of(key)}
    entries = [entry for entry in watchlists.lists if entry.list_id in wanted]
    return {
        "lists" if language == "en" else f"lists_{language}": tuple(
            f"{entry.titles[language]} ({entry.date.isoformat()})" for entry in entries
        )
        for language in LANGUAGES
    }


def _verdict(
    identification: Identification,
    hits: tuple[Hit, ...],
    watchlists: Watchlists,
    library: Library,
    decision: Decision,
    limits: Thresholds,
) -> Verdict:
    """The whole record of a decision."""
    verdict, reason_id, parameters = decision
    rivals: dict[str, list[str]] = {}
    nearest: dict[str, Candidate] = {}
    for entry in identification.candidates:
        if entry.instead_of is not None:
            best = nearest.setdefault(entry.instead_of, entry)
            if entry.deficit_nats < best.deficit_nats:
                nearest[entry.instead_of] = entry
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
                name=library[hit.substance_id].name_in("en"),
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
                **_margin(nearest.get(hit.substance_id)),
            )
            for hit in hits
        ),
        unexplained_cm1=_unexplained(identification, hits),
        quality=QualityRecord(
            snr=round(quality.snr, 1),
            low_cm1=round(quality.range_cm1[0], 1),
            high_cm1=round(quality.range_cm1[1], 1),
            resolution_cm1=round(quality.resolution_cm1, 1),
            saturated_share=round(quality.saturated_share, 4),
            fluorescence_share=round(quality.fluorescence_share, 4),
            spike_count=quality.spike_count,
            band_count=quality.band_count,
            axis_offset_cm1=round(identification.axis_offset_cm1, 1),
            fringe_share=round(quality.fringe_share, 4),
        ),
        library_version=identification.library_version,
        lists=tuple(
            ListRecord(entry.list_id, entry.date.isoformat()) for entry in watchlists.lists
        ),
    )


def _unexplained(identification: Identification, hits: tuple[Hit, ...]) -> tuple[float, ...]:
    """Bands no hit has at its place, strongest first; one higher than tabulated is no stranger."""
    places = {band.measured_cm1 for hit in hits for band in hit.bands if band.state == "found"}
    return tuple(round(shift, 1) for shift in identification.unexplained_cm1 if shift not in places)


def _margin(rival: Candidate | None) -> dict[str, Any]:
    """Who comes next to a hit and by how much, as fields of its record."""
    if rival is None:
        return {}
    return {"next_id": rival.substance_id, "margin_nats": round(rival.deficit_nats, 1)}


def _band(band: BandEvidence) -> BandRecord:
    return BandRecord(
        shift_cm1=band.shift_cm1,
        measured_cm1=None if band.measured_cm1 is None else round(band.measured_cm1, 1),
        state=band.state,
        snr=round(band.snr, 1),
        grade=band.grade,
    )
