"""Identify: which substances of the library one spectrum needs, and why.

Substances are accepted one by one, always the one with most evidence in what is still unexplained,
until none is left that is worth ten to one. Then each accepted substance is challenged: without it,
does another explain the same bands as well? What cannot be told apart is reported together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.spectra.bands import measure_bands
from gateway.spectra.evidence import (
    EXPLAINED_FACTOR,
    BandState,
    Evidence,
    Scene,
    free_heights,
    see,
    weigh,
)
from gateway.spectra.library import Library
from gateway.spectra.mixture import band_shape, fit_mixture, render_heights
from gateway.spectra.prepare import prepare
from gateway.spectra.spectrum import FloatArray, Spectrum

NATS_MIN = 2.3
"""Evidence to accept a substance: ten to one after counting all looks."""

NATS_MORE_MIN = 4.6
"""Evidence for each further one, 100 to 1: the tables list the fourteen strongest bands at most, so
a large component always leaves bands over that look like somebody."""

COMPONENTS_MAX = 6
"""More components than this cannot be told apart at hand-held resolution."""

MARGIN_NATS = 3.0
"""Two explanations closer than this (twenty to one) are reported as not separable."""

CANDIDATE_NATS_MIN = -3.0
"""Weaker candidates are not reported at all."""

SHARE_MIN = 0.03
"""Smallest component over the strongest band; the tables leave out weak bands of this size."""

NEED_MIN = 9.0
"""F of a component that the fit needs: three standard deviations."""


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
class Candidate:
    """A substance that explains the same bands as `instead_of`, or would come on top of all.

    Attributes:
        substance_id: the candidate.
        nats: its evidence.
        deficit_nats: how much less than the accepted one; 0 or negative = at least as good.
        instead_of: accepted substance it would replace, None = in addition.
        bands: its bands.
    """

    substance_id: str
    nats: float
    deficit_nats: float
    instead_of: str | None
    bands: tuple[BandEvidence, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An accepted substance.

    Attributes:
        substance_id: id in the library.
        score: 0 to 1, share of the substance's visible band intensity found at its place,
            times the certainty 1 - exp(-nats).
        nats: evidence after counting all looks.
        share: part of the explained signal height, 0 to 1; not a concentration.
        need: F statistic of leaving it out of the mixture fit.
        bands: its bands.
    """

    substance_id: str
    score: float
    nats: float
    share: float
    need: float
    bands: tuple[BandEvidence, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the measurement is.

    Attributes:
        snr: of the strongest band; 0 when there is none.
        range_cm1: evaluated range.
        resolution_cm1: line width in use.
        saturated_share: share of the range lost to a full detector.
        fluorescence_share: background area over all light.
        spike_count: points replaced as cosmic rays.
        band_count: bands found.
    """

    snr: float
    range_cm1: tuple[float, float]
    resolution_cm1: float
    saturated_share: float
    fluorescence_share: float
    spike_count: int
    band_count: int


@dataclass(frozen=True, slots=True)
class Identification:
    """All that one spectrum says.

    Attributes:
        hits: accepted substances, best first.
        candidates: rivals of the hits and further possible substances.
        unexplained_cm1: positions of bands nothing accounts for, strongest first.
        explained_share: share of the signal's area the hits explain.
        coverage: substance_id -> share of its tabulated intensity inside the usable range.
        quality: of the measurement.
        library_version: tables used.
    """

    hits: tuple[Hit, ...]
    candidates: tuple[Candidate, ...]
    unexplained_cm1: tuple[float, ...]
    explained_share: float
    coverage: dict[str, float]
    quality: Quality
    library_version: str


@dataclass(frozen=True, slots=True)
class _Accepted:
    index: int
    template: FloatArray


def identify(spectrum: Spectrum, library: Library) -> Identification:
    """Find the substances one spectrum needs.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    prepared = prepare(spectrum)
    measured = measure_bands(prepared)
    heights = render_heights(library, prepared.resolution_cm1)
    scene = see(
        prepared,
        measured,
        library,
        spectrum.axis_uncertainty_cm1,
        heights.visible,
        heights.merged,
    )
    accepted = _accept(scene)
    hits, candidates, explained = _challenge(scene, library, accepted)
    model = _total(scene, accepted)
    free = free_heights(scene, model)
    order = np.argsort(-free)
    bands = library.arrays
    weight = np.bincount(bands.substance, bands.rel_intensity, scene.substance_count)
    inside = np.bincount(bands.substance, bands.rel_intensity * scene.inside, scene.substance_count)
    return Identification(
        hits=hits,
        candidates=candidates,
        unexplained_cm1=tuple(float(measured.shift_cm1[i]) for i in order if free[i] > 0.0),
        explained_share=explained,
        coverage={
            key: float(inside[i] / weight[i]) for i, key in enumerate(library.active_ids)
        },
        quality=Quality(
            snr=float(measured.snr.max()) if measured.count else 0.0,
            range_cm1=(float(prepared.grid_cm1[0]), float(prepared.grid_cm1[-1])),
            resolution_cm1=prepared.resolution_cm1,
            saturated_share=prepared.saturated_share,
            fluorescence_share=prepared.background_share,
            spike_count=prepared.spike_count,
            band_count=measured.count,
        ),
        library_version=library.version,
    )


def _accept(scene: Scene) -> list[_Accepted]:
    """Accept the best substance again and again until none is worth it."""
    accepted: list[_Accepted] = []
    model = np.zeros_like(scene.prepared.grid_cm1)
    smallest = SHARE_MIN * float(max(scene.prepared.smooth.max(), 0.0))
    for _ in range(COMPONENTS_MAX):
        evidence = weigh(scene, model)
        evidence.nats[evidence.amount < smallest] = -np.inf
        for entry in accepted:
            evidence.nats[entry.index] = -np.inf
        best = int(np.argmax(evidence.nats))
        if evidence.nats[best] < (NATS_MORE_MIN if accepted else NATS_MIN):
            break
        template = _template(scene, evidence, best, free_heights(scene, model))
        accepted.append(_Accepted(best, template))
        model = model + template
    return accepted


def _template(scene: Scene, evidence: Evidence, index: int, free: FloatArray) -> FloatArray:
    """Render one substance with its bands moved to where they were found.

    Heights follow the measurement within the factor the tables are uncertain by.
    """
    bands, measured = scene.bands, scene.measured
    rows = np.flatnonzero(bands.substance == index)
    expected = evidence.amount[index] * scene.rel_visible[rows]
    match = evidence.match[rows]
    found = match >= 0
    shift = bands.shift_cm1[rows].copy()
    shift[found] = measured.shift_cm1[match[found]]
    height = expected.copy()
    merged = np.maximum(scene.rel_merged[rows], 1e-6)
    share = scene.rel_visible[rows] / merged
    height[found] = np.clip(
        free[match[found]] * share[found],
        expected[found] / EXPLAINED_FACTOR,
        expected[found] * EXPLAINED_FACTOR,
    )
    height[evidence.state[rows] == BandState.MISSING] = 0.0
    shapes = band_shape(
        scene.prepared.grid_cm1[None, :], shift[:, None], scene.width_cm1[rows, None]
    )
    template: FloatArray = height @ shapes
    return template


def _total(scene: Scene, accepted: list[_Accepted]) -> FloatArray:
    model = np.zeros_like(scene.prepared.grid_cm1)
    for entry in accepted:
        model = model + entry.template
    return model


def _challenge(
    scene: Scene, library: Library, accepted: list[_Accepted]
) -> tuple[tuple[Hit, ...], tuple[Candidate, ...], float]:
    """Weigh each accepted substance against its rivals, and all others on top."""
    if not accepted:
        evidence = weigh(scene, np.zeros_like(scene.prepared.grid_cm1))
        return (), _candidates(scene, library, evidence, None, set()), 0.0
    prepared = scene.prepared
    fit = fit_mixture(
        prepared.smooth,
        prepared.noise,
        np.array([entry.template for entry in accepted]),
        prepared.resolution_cm1,
    )
    peaks = np.array([entry.template.max() for entry in accepted]) * fit.amount
    taken = {entry.index for entry in accepted}
    total = _total(scene, accepted)
    hits: list[Hit] = []
    candidates: list[Candidate] = []
    for number, entry in enumerate(accepted):
        evidence = weigh(scene, total - entry.template)
        nats = float(evidence.nats[entry.index])
        bands = _band_evidence(scene, library, evidence, entry.index)
        hits.append(
            Hit(
                substance_id=library.active_ids[entry.index],
                score=_score(bands, nats),
                nats=nats,
                share=float(peaks[number] / max(peaks.sum(), 1e-300)),
                need=float(fit.need[number]),
                bands=bands,
            )
        )
        candidates += _candidates(scene, library, evidence, entry.index, taken)
    candidates += _candidates(scene, library, weigh(scene, total), None, taken)
    order = sorted(range(len(hits)), key=lambda i: -hits[i].nats)
    return tuple(hits[i] for i in order), tuple(candidates), fit.explained


def _candidates(
    scene: Scene, library: Library, evidence: Evidence, instead_of: int | None, taken: set[int]
) -> tuple[Candidate, ...]:
    """Substances not accepted that come near the accepted one, or near being accepted."""
    reference = NATS_MIN if instead_of is None else float(evidence.nats[instead_of])
    floor = CANDIDATE_NATS_MIN if instead_of is None else reference - 2.0 * MARGIN_NATS
    found = []
    for index in np.flatnonzero(evidence.nats >= floor):
        if int(index) in taken:
            continue
        found.append(
            Candidate(
                substance_id=library.active_ids[index],
                nats=float(evidence.nats[index]),
                deficit_nats=reference - float(evidence.nats[index]),
                instead_of=None if instead_of is None else library.active_ids[instead_of],
                bands=_band_evidence(scene, library, evidence, int(index)),
            )
        )
    return tuple(sorted(found, key=lambda entry: -entry.nats))


def _band_evidence(
    scene: Scene, library: Library, evidence: Evidence, index: int
) -> tuple[BandEvidence, ...]:
    rows = np.flatnonzero(scene.bands.substance == index)
    entries = []
    for row, band in zip(rows, library[library.active_ids[index]].bands, strict=True):
        peak = int(evidence.match[row])
        entries.append(
            BandEvidence(
                shift_cm1=band.shift_cm1,
                measured_cm1=float(scene.measured.shift_cm1[peak]) if peak >= 0 else None,
                rel_intensity=band.rel_intensity,
                snr=float(scene.measured.snr[peak]) if peak >= 0 else 0.0,
                state=BandState(int(evidence.state[row])).name.lower(),
                grade=band.grade,
                nats=float(evidence.term[row]),
            )
        )
    return tuple(entries)


def _score(bands: tuple[BandEvidence, ...], nats: float) -> float:
    """Share of the visible tabulated intensity that was found, times the certainty, 0 to 1."""
    found = sum(band.rel_intensity for band in bands if band.state == "found")
    missing = sum(band.rel_intensity for band in bands if band.state == "missing")
    if found <= 0.0:
        return 0.0
    return float(found / (found + missing) * (1.0 - np.exp(-max(nats, 0.0))))
