"""Turn the weighing of one substance into records a person can check, band by band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from gateway.spectra.bands import SHARE_MIN
from gateway.spectra.evidence import BandState, Evidence
from gateway.spectra.library import Library
from gateway.spectra.prepare import STEP_CM1
from gateway.spectra.scene import Scene
from gateway.spectra.spectrum import BoolArray, FloatArray

BLIND_SHARE = 0.5
"""Brightness, over the goods', of the listed substance that "clear" must be able to exclude."""

BLIND_EXCESS = 1.5
"""A covered band must be this much brighter than what covers it: heights are good to a factor of
two only."""

MERGED_WIDTHS = 0.75
MERGED_SNR_MAX = 80.0
"""Bands nearer than this to a higher one, in line widths, have no crest of their own; a shoulder is
seen only in a measurement better than this."""

BLIND_PRINCIPAL_REL = 0.8
LOOK_ALIKES_MAX = 5
"""The nearest ones are shown; the others are further from the measurement than these."""


STATE_NAMES = tuple(state.name.lower() for state in BandState)
"""Names of the states by their number."""


@dataclass(frozen=True, slots=True)
class BandEvidence:
    """One tabulated band and what became of it in the measurement.

    Attributes:
        shift_cm1: tabulated position.
        measured_cm1: position found, None when not found.
        rel_intensity: tabulated height.
        snr: height over noise of the band found, 0 when not found.
        state: found, missing, hidden, faint or outside.
        grade: A to D.
        nats: what the band adds to the evidence.
    """

    shift_cm1: float
    measured_cm1: float | None
    rel_intensity: float
    snr: float
    state: str
    grade: str
    nats: float


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A substance known to be mistaken for a hit, and how far the measurement is from it.

    Attributes:
        substance_id: the look-alike.
        deficit_nats: how much less evidence it has than the hit, in the same place.
        separating_cm1: bands of the listed one of the two that separate them.
        separating_found_cm1: those of them that were found.
    """

    substance_id: str
    deficit_nats: float
    separating_cm1: tuple[float, ...]
    separating_found_cm1: tuple[float, ...]


def band_evidence(
    scene: Scene, library: Library, evidence: Evidence, index: int
) -> tuple[BandEvidence, ...]:
    """All tabulated bands of one entry, by rising shift.

    Args:
        scene: the spectrum.
        library: the band tables.
        evidence: result of weighing.
        index: of the entry in `library.entries`.
    """
    rows, measured = scene.rows_of(index), scene.measured
    return tuple(
        BandEvidence(
            band.shift_cm1,
            float(measured.shift_cm1[peak]) if peak >= 0 else None,
            band.rel_intensity,
            float(measured.snr[peak]) if peak >= 0 else 0.0,
            STATE_NAMES[state],
            band.grade,
            nats,
        )
        for band, peak, state, nats in zip(
            library.entries[index].bands,
            evidence.match[rows].tolist(),
            evidence.state[rows].tolist(),
            evidence.term[rows].tolist(),
            strict=True,
        )
    )


def look_alikes(
    scene: Scene, library: Library, evidence: Evidence, index: int
) -> tuple[LookAlike, ...]:
    """Known look-alikes of one hit, the nearest first.

    The table of look-alikes is kept from the listed substance's side; a harmless hit looks up who
    it could be mistaken for.
    """
    name = library.entries[index].substance_id
    owners = dict.fromkeys(library.confounders.get(name, {}), name)
    owners |= {listed: listed for listed in library.mistaken.get(name, ())}
    nats = float(evidence.nats[index])
    deficits = {}
    for other in owners:
        place = nearest_entry(library, evidence, other)
        if place is not None:
            deficits[other] = nats - float(evidence.nats[place])
    found = []
    for other in sorted(deficits, key=deficits.__getitem__)[:LOOK_ALIKES_MAX]:
        owner = owners[other]
        separating = library.confounders[owner][other if owner == name else name]
        shown = index if owner == name else nearest_entry(library, evidence, owner)
        places = set() if shown is None else _found_places(scene, evidence, shown)
        found.append(
            LookAlike(
                substance_id=other,
                deficit_nats=deficits[other],
                separating_cm1=separating,
                separating_found_cm1=tuple(place for place in separating if place in places),
            )
        )
    return tuple(found)


def _found_places(scene: Scene, evidence: Evidence, index: int) -> set[float]:
    """Tabulated places of one entry's bands that were found."""
    rows = scene.rows_of(index)
    places: list[float] = scene.bands.shift_cm1[rows[evidence.match[rows] >= 0]].tolist()
    return set(places)


def nearest_entry(library: Library, evidence: Evidence, substance_id: str) -> int | None:
    """The entry of a substance with most evidence; None when it has no bands."""
    places = library.places.get(substance_id, ())
    if len(places) < 2:
        return places[0] if places else None
    return max(places, key=lambda index: float(evidence.nats[index]))


def blind_spots(
    scene: Scene, library: Library, model: FloatArray
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Substances that could be here unseen.

    A substance shows by a principal band, or two others, besides the light already explained. One
    half as bright as the strongest band that would show with less noise but does not now is hidden
    by noise, and so is one that would be a shoulder, where the measurement is not good enough for
    shoulders: a longer exposure helps. One as bright as the strongest band that would not show at
    all is covered by what was found: no exposure helps.

    Args:
        scene: the spectrum.
        library: the band tables.
        model: shape (n,), light explained by the accepted substances.

    Returns:
        Those hidden by noise, and those covered.
    """
    bands = scene.bands
    strongest = float(scene.measured.height.max(initial=0.0))
    told = BLIND_EXCESS * scene.at_all_bands(model)
    told_beside = told
    if float(scene.measured.snr.max(initial=0.0)) < MERGED_SNR_MAX:
        beside = round(MERGED_WIDTHS * scene.prepared.resolution_cm1 / STEP_CM1)
        told_beside = BLIND_EXCESS * scene.at_all_bands(maximum_filter1d(model, 2 * beside + 1))
    now = scene.at_all_bands(scene.limit)
    weight = np.where(bands.rel_intensity >= BLIND_PRINCIPAL_REL, 2.0, 1.0) * scene.inside
    height = strongest * scene.rel_merged

    def shows(expected: FloatArray, least: FloatArray, limit: FloatArray | float) -> BoolArray:
        seen = (expected > least) & (expected >= limit)
        return np.asarray(bands.by_entry(weight * seen) >= 2.0, dtype=np.bool_)

    ripple = SHARE_MIN * strongest
    half = BLIND_SHARE * height
    noisy = shows(half, told, ripple) & ~shows(half, told_beside, now)
    covered = ~shows(height, told, ripple)

    def whole(unseen: BoolArray) -> tuple[str, ...]:
        # A substance is hidden when all its states are.
        hidden = library.best_of((~unseen).astype(np.float64)) == 0.0
        return tuple(library.active_ids[index] for index in np.flatnonzero(hidden))

    return whole(noisy), whole(covered)


def score(bands: tuple[BandEvidence, ...], nats: float, deficits: tuple[float, ...]) -> float:
    """Share of the visible tabulated intensity that was found, times the chance to be right.

    The chance is that of this explanation among those that were weighed in its place and that of
    nobody being there (0 nats): a normalised likelihood. `gateway/screening/thresholds.toml` maps
    the score to the share of such hits that were right.

    Args:
        bands: of the hit.
        nats: its evidence.
        deficits: of its rivals.
    """
    found = sum(band.rel_intensity for band in bands if band.state == "found")
    missing = sum(band.rel_intensity for band in bands if band.state == "missing")
    if found <= 0.0:
        return 0.0
    against = float(np.exp(-min(max(nats, -50.0), 50.0)))
    against += sum(float(np.exp(-min(max(deficit, -50.0), 50.0))) for deficit in deficits)
    return found / (found + missing) / (1.0 + against)
