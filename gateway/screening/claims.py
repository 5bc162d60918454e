"""What speaks for listed substances, and what else explains the same bands.

A claim is one place in the spectrum that wants a substance: an accepted hit with everything that
would fit in its stead, or a group of candidates that would come on top and share their principal
band. Nitrates, chlorates and perchlorates differ by a few wavenumbers: what matters first is
whether one of them is there, so the evidence of all listed ones of a claim is added up, and set
against the sum of the harmless ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.screening.thresholds import Thresholds
from gateway.spectra.explain import BandEvidence
from gateway.spectra.identification import Candidate, Hit, Identification
from gateway.spectra.library import Library
from gateway.spectra.match import MARGIN_NATS

ALARM_SEEN_BANDS_MIN = 3
"""So many satellites at their places prove a substance whose main band is covered."""

CERTAIN_NATS_MIN = 10.0
CERTAIN_SHARE_MIN = 0.02
"""With evidence of 20,000 to 1 a component may be this small: its whole pattern of bands stands
there, and what the tables leave out of a large component is no pattern."""

CONFIRMED_GRADES = ("A", "B")
SUPPORT_NATS_MIN = 1.0
UNCONFIRMED_NATS = 2.0
SINGLE_SHARE_MIN = 0.5
SINGLE_FOREIGN_MAX = 0.5
"""A single band decides only for a substance that has half of its intensity in it, beside no
unexplained band half as high as the strongest (an unknown substance shares a band with somebody),
and if its place was measured or published as such and nothing else is in the sample. Else, for of
the other places one in seven is wrong, and a large component always leaves something over, the
light at the places of the faint bands must speak for it, or the evidence be seven times stronger.
"""

STRANGE_SHARE_MIN = 0.5
"""Beside an unexplained band half as high as the strongest one the goods are mostly unknown, and
two or three bands of what nobody tabulated meet those of a listed substance more often than chance
has it: molecules are built of the same groups. As much is asked as when the main band is hidden."""

PRINCIPAL_REL_MIN = 0.8
"""Bands of at least this tabulated height are the principal ones."""

PRINCIPAL_SHARE_MIN = 0.4
"""Height of the principal band over the highest one found. Heights are good to a factor of two, so
a band tabulated at a third is at most this much higher than it, but for one case in a hundred.
A whole pattern with CERTAIN_NATS_MIN need not ask."""

REFER_CATEGORIES = ("drug", "related")
"""On no list, but not to be waved through either: neither listed nor harmless."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One place that wants a substance; each list best first.

    Attributes:
        listed: listed explanations.
        referred: drugs and unlisted relatives.
        harmless: the others.
        accepted: the hit, None when all would come on top.
        is_among_others: other goods than bag or bottle were found as well.
    """

    listed: tuple[Hit | Candidate, ...]
    referred: tuple[Hit | Candidate, ...]
    harmless: tuple[Hit | Candidate, ...]
    accepted: Hit | None
    is_among_others: bool

    @property
    def listed_nats(self) -> float:
        """Evidence that one of the listed ones is there."""
        return any_of(self.listed)

    def is_shared(self, margin_nats: float) -> bool:
        """Whether the harmless ones explain it as well, to within the margin."""
        return any_of(self.harmless) > self.listed_nats - margin_nats


def any_of(entries: tuple[Hit | Candidate, ...]) -> float:
    """Evidence that one of several explanations of the same bands is right."""
    if not entries:
        return -math.inf
    best = max(entry.nats for entry in entries)
    return best + math.log(sum(math.exp(entry.nats - best) for entry in entries))


def claims(
    identification: Identification, listed: frozenset[str], library: Library, limits: Thresholds
) -> tuple[Claim, ...]:
    """All claims in which a listed substance has a part.

    Args:
        identification: what the spectrum says.
        listed: ids of the listed substances.
        library: for the categories.
        limits: how near a rival must come, and how large a component must be.
    """
    found = []
    for hit in identification.hits:
        rivals = [
            entry
            for entry in identification.candidates
            if entry.instead_of == hit.substance_id and entry.deficit_nats < MARGIN_NATS
        ]
        if hit.substance_id not in listed:
            if hit.share < limits.alarm_share_min:
                continue
            rivals = [
                entry
                for entry in rivals
                if entry.substance_id not in listed or _is_near(entry, identification, limits)
            ]
        found.append(_claim((hit, *rivals), hit, identification.hits, listed, library))
    found += [
        _claim(tuple(group), None, identification.hits, listed, library)
        for group in _on_top(identification, limits.alarm_share_min)
    ]
    return tuple(claim for claim in found if claim.listed)


def _is_near(rival: Candidate, identification: Identification, limits: Thresholds) -> bool:
    """Whether a listed rival of a harmless hit must be named beside it.

    One that also explains a band nobody else does is given the whole margin.
    """
    places = {band.measured_cm1 for band in rival.bands if band.state == "found"}
    explains_more = not places.isdisjoint(identification.unexplained_cm1)
    margin = MARGIN_NATS if explains_more else limits.margin_nats
    return rival.deficit_nats < margin and principal_found(rival.bands)


def _claim(
    entries: tuple[Hit | Candidate, ...],
    accepted: Hit | None,
    hits: tuple[Hit, ...],
    listed: frozenset[str],
    library: Library,
) -> Claim:
    ordered = sorted(entries, key=lambda entry: -entry.nats)

    def kind(entry: Hit | Candidate) -> str:
        if entry.substance_id in listed:
            return "listed"
        is_referred = library[entry.substance_id].category in REFER_CATEGORIES
        return "referred" if is_referred else "harmless"

    parts = {
        name: tuple(entry for entry in ordered if kind(entry) == name)
        for name in ("listed", "referred", "harmless")
    }
    others = any(
        library[hit.substance_id].category != "packaging" for hit in hits if hit is not accepted
    )
    return Claim(**parts, accepted=accepted, is_among_others=others)


def _on_top(identification: Identification, share_min: float) -> list[list[Candidate]]:
    """Candidates on top of all hits, by the measured band that is their principal one."""
    groups: dict[float, list[Candidate]] = {}
    for entry in identification.candidates:
        if entry.instead_of is not None or entry.share < share_min:
            continue
        for place in _principal_places(entry.bands):
            groups.setdefault(place, []).append(entry)
    return list(groups.values())


def _principal_places(bands: tuple[BandEvidence, ...]) -> set[float]:
    return {
        band.measured_cm1
        for band in bands
        if band.measured_cm1 is not None and band.rel_intensity >= PRINCIPAL_REL_MIN
    }


def convincing(claim: Claim, identification: Identification, limits: Thresholds) -> bool:
    """Whether the evidence for the best listed substance of a claim, or its family, is enough."""
    best, nats = claim.listed[0], claim.listed_nats
    if best.nats < CERTAIN_NATS_MIN and not _principal_leads(best.bands):
        return False
    seen = principal_found(best.bands, limits.snr_alarm_min)
    strange = identification.foreign_share >= STRANGE_SHARE_MIN
    enough = limits.alarm_nats_min if seen and not strange else limits.alarm_nats_hidden_min
    found, missing, hidden = (
        sum(band.rel_intensity for band in best.bands if band.state == state)
        for state in ("found", "missing", "hidden")
    )
    grades = [band.grade for band in best.bands if band.state == "found"]
    if len(grades) == 1:
        whole = sum(band.rel_intensity for band in best.bands if band.state != "outside")
        if found < SINGLE_SHARE_MIN * whole:
            return False
        if identification.foreign_share > SINGLE_FOREIGN_MAX:
            return False
        faint = sum(band.nats for band in best.bands if band.state == "faint")
        is_sure = grades[0] in CONFIRMED_GRADES and not claim.is_among_others
        if not is_sure and faint < SUPPORT_NATS_MIN and nats < enough + UNCONFIRMED_NATS:
            return False
    certain = best.nats >= CERTAIN_NATS_MIN and len(grades) >= ALARM_SEEN_BANDS_MIN
    least = min(CERTAIN_SHARE_MIN, limits.alarm_share_min) if certain else limits.alarm_share_min
    return (
        nats >= enough
        and best.share >= least
        and identification.quality.snr >= limits.snr_alarm_min
        and found >= limits.alarm_found_share_min * (found + missing)
        and (
            found >= limits.alarm_seen_share_min * (found + missing + hidden)
            or len(grades) >= ALARM_SEEN_BANDS_MIN
        )
    )


def _principal_leads(bands: tuple[BandEvidence, ...]) -> bool:
    """Whether no weak tabulated band of the substance towers over its principal ones."""
    found = [band for band in bands if band.state == "found"]
    principal = [band.snr for band in found if band.rel_intensity >= PRINCIPAL_REL_MIN]
    if not principal:
        return True
    return max(principal) >= PRINCIPAL_SHARE_MIN * max(band.snr for band in found)


def principal_found(bands: tuple[BandEvidence, ...], snr_min: float = 0.0) -> bool:
    """Whether a principal band stands at its place by itself, this far above the noise."""
    return any(
        band.state == "found" and band.rel_intensity >= PRINCIPAL_REL_MIN and band.snr >= snr_min
        for band in bands
    )
