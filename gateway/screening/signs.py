"""Signs of a listed substance, too few for an alarm and too many to clear the goods.

What is asked grows the fainter the substance would be: tables leave weak bands out, and a large
component always leaves something over.
"""

from __future__ import annotations

from gateway.screening.claims import PRINCIPAL_REL_MIN, Claim, principal_found
from gateway.screening.thresholds import Thresholds
from gateway.spectra.explain import BandEvidence
from gateway.spectra.identification import Candidate, Identification
from gateway.spectra.match import BRIGHT_NATS_MIN, BRIGHT_SHARE_MIN

POSSIBLE_SHARE_MIN = 0.1
POSSIBLE_FAINT_SHARE_MIN = 0.05
POSSIBLE_FAINT_NATS_MIN = 1.5
"""Single bands smaller than a tenth of the strongest are left out of tables: of a listed substance
this faint more evidence must speak, and below a twentieth only evidence for an alarm."""

POSSIBLE_BRIGHT_SHARE_MIN = 0.3
POSSIBLE_BRIGHT_NATS = 2.0
POSSIBLE_PATTERN_NATS = 2.5
POSSIBLE_PATTERN_BANDS_MIN = 2
"""A strong unexplained band where a listed substance has its main one is not waved through, even
when seven to one speaks against it: in a crowd of bands nobody knows, that is little. When another
of its bands is there and none is missing, not even at twelve to one, and when it would be nearly as
bright as the goods themselves, not at 400 to 1. Measured on goods drawn by another hand, half of
them in no library: this makes 27 of 1,000 harmless ones inconclusive that were clear, and of 1,000
with a listed substance as bright as the rest 32 are cleared instead of 59."""


def possible_on_top(
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


def family_may_be_there(claim: Claim, limits: Thresholds) -> bool:
    """Whether one of several listed relatives is as likely as not where each is too weak alone."""
    best = claim.listed[0]
    return (
        not _principal_missing(best.bands)
        and best.share >= POSSIBLE_SHARE_MIN
        and claim.listed_nats >= limits.possible_nats_min
    )


def _may_be_there(candidate: Candidate, limits: Thresholds) -> bool:
    """Whether a listed substance on top of all others keeps a measurement from being clear."""
    if candidate.share < POSSIBLE_FAINT_SHARE_MIN:
        return candidate.nats >= limits.alarm_nats_min
    if candidate.share < POSSIBLE_SHARE_MIN:
        faint = min(POSSIBLE_FAINT_NATS_MIN, limits.alarm_nats_min)
        is_led = principal_found(candidate.bands)
        return candidate.nats >= (faint if is_led else limits.alarm_nats_min)
    if principal_found(candidate.bands):
        return candidate.nats >= limits.possible_nats_min - _leeway(candidate)
    # Two others at their places say as much as the main one, which something covers; one does where
    # the substance would be bright and nothing of it is missing.
    missing, found = (
        sum(band.state == state for band in candidate.bands) for state in ("missing", "found")
    )
    is_bright = candidate.share >= POSSIBLE_BRIGHT_SHARE_MIN and not missing
    is_pattern = found >= (1 if is_bright else POSSIBLE_PATTERN_BANDS_MIN)
    least = limits.possible_nats_min if is_pattern else limits.possible_nats_hidden_min
    return not _principal_missing(candidate.bands) and candidate.nats >= least


def _leeway(candidate: Candidate) -> float:
    """Nats by which a candidate whose main band was found may fall short."""
    if candidate.share < POSSIBLE_BRIGHT_SHARE_MIN:
        return 0.0
    missing, found = (
        sum(band.state == state for band in candidate.bands) for state in ("missing", "found")
    )
    whole = not missing and found >= POSSIBLE_PATTERN_BANDS_MIN
    if whole and candidate.share >= BRIGHT_SHARE_MIN:
        return -BRIGHT_NATS_MIN
    return POSSIBLE_PATTERN_NATS if whole else POSSIBLE_BRIGHT_NATS


def _principal_missing(bands: tuple[BandEvidence, ...]) -> bool:
    """Whether a principal band that must show does not."""
    return any(
        band.state == "missing" and band.rel_intensity >= PRINCIPAL_REL_MIN for band in bands
    )
