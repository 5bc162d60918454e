"""Identify: which substances of the library one spectrum needs, and why.

Substances are accepted one by one, always the one with most evidence in what is still unexplained,
until none is left that is worth ten to one. Then each accepted substance is challenged: without it,
does another explain the same bands as well? What cannot be told apart is reported together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gateway.spectra.bands import measure_bands
from gateway.spectra.evidence import (
    HEIGHT_FACTOR,
    BandState,
    Evidence,
    Scene,
    free_heights,
    see,
    weigh,
)
from gateway.spectra.explain import (
    BandEvidence,
    LookAlike,
    band_evidence,
    blind_spots,
    look_alikes,
    score,
)
from gateway.spectra.library import Library
from gateway.spectra.mixture import MixtureFit, band_shape, fit_mixture, render_heights
from gateway.spectra.prepare import Prepared, prepare
from gateway.spectra.spectrum import FloatArray, Spectrum, without_padding

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

REFINE_ROUNDS = 2
"""Choices settle in one round, the second confirms; each costs one weighing per substance."""

REFINE_GAIN_NATS = 0.5
"""A rival must be this much better to take a place, or two equals would swap for ever."""

CLEAR_SNR_MIN = 10.0
"""Height over noise of a band that nobody would call noise, etalon ripple or a bad pixel."""

NEED_MIN = 9.0
"""F of a component that the fit needs: three standard deviations."""


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
        look_alikes: substances known to be mistaken for it, and how far the measurement is off.
    """

    substance_id: str
    score: float
    nats: float
    share: float
    need: float
    bands: tuple[BandEvidence, ...]
    look_alikes: tuple[LookAlike, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the measurement is.

    Attributes:
        snr: of the strongest sharp band; 0 when there is none.
        range_cm1: evaluated range.
        resolution_cm1: line width in use.
        saturated_share: share of the range lost to a full detector.
        fluorescence_share: background area over all light.
        spike_count: points replaced as cosmic rays.
        band_count: bands found.
        sharp_count: those too narrow to be background.
        clear_count: sharp ones that stand ten times above the noise.
    """

    snr: float
    range_cm1: tuple[float, float]
    resolution_cm1: float
    saturated_share: float
    fluorescence_share: float
    spike_count: int
    band_count: int
    sharp_count: int
    clear_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a picture of the identification draws; all arrays of shape (n,), unit of the input.

    Attributes:
        axis_cm1: Raman shift.
        intensity: the cleaned spectrum with its background.
        background: what was taken off; `intensity - background` is what bands are sought in.
        fit: sum of the components, without background.
        components: substance_id -> its light, without background.
    """

    axis_cm1: FloatArray
    intensity: FloatArray
    background: FloatArray
    fit: FloatArray
    components: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Identification:
    """All that one spectrum says.

    Attributes:
        hits: accepted substances, best first.
        candidates: rivals of the hits and further possible substances.
        unexplained_cm1: positions of bands nothing accounts for, strongest first.
        foreign_share: height of the strongest of them over the strongest band, 0 to 1.
        explained_share: share of the signal's area the hits explain.
        coverage: substance_id -> share of its tabulated intensity inside the usable range.
        blind: substances that could hide because of noise; see `explain.blind_spots`.
        quality: of the measurement.
        library_version: tables used.
        trace: for a picture.
    """

    hits: tuple[Hit, ...]
    candidates: tuple[Candidate, ...]
    unexplained_cm1: tuple[float, ...]
    foreign_share: float
    explained_share: float
    coverage: dict[str, float]
    blind: tuple[str, ...]
    quality: Quality
    library_version: str
    trace: Trace = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Accepted:
    index: int
    template: FloatArray


def identify(spectrum: Spectrum, library: Library) -> Identification:
    """Find the substances one spectrum needs.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    spectrum = without_padding(spectrum)
    prepared = prepare(spectrum)
    measured = measure_bands(prepared)
    heights = render_heights(library, prepared.resolution_cm1)
    scene = see(prepared, measured, library, spectrum.axis_uncertainty_cm1, heights)
    accepted, fit = _keep_needed(scene, _refine(scene, _accept(scene)))
    hits, candidates = _challenge(scene, library, accepted, fit)
    model = _total(scene, accepted)
    free = free_heights(scene, model)
    order = np.argsort(-free)
    strongest = float(measured.height.max(initial=1e-300))
    foreign = float(free[measured.sharp].max(initial=0.0)) / strongest
    bands = library.arrays
    weight = np.bincount(bands.substance, bands.rel_intensity, scene.substance_count)
    inside = np.bincount(bands.substance, bands.rel_intensity * scene.inside, scene.substance_count)
    return Identification(
        hits=hits,
        candidates=candidates,
        unexplained_cm1=tuple(float(measured.shift_cm1[i]) for i in order if free[i] > 0.0),
        foreign_share=foreign,
        explained_share=fit.explained if fit else 0.0,
        coverage={key: float(inside[i] / weight[i]) for i, key in enumerate(library.active_ids)},
        blind=blind_spots(scene, library, model),
        quality=Quality(
            snr=float(measured.snr[measured.sharp].max(initial=0.0)),
            range_cm1=(float(prepared.grid_cm1[0]), float(prepared.grid_cm1[-1])),
            resolution_cm1=prepared.resolution_cm1,
            saturated_share=prepared.saturated_share,
            fluorescence_share=prepared.background_share,
            spike_count=prepared.spike_count,
            band_count=measured.count,
            sharp_count=int(measured.sharp.sum()),
            clear_count=int((measured.sharp & (measured.snr >= CLEAR_SNR_MIN)).sum()),
        ),
        library_version=library.version,
        trace=_trace(prepared, library, accepted, fit),
    )


def _trace(
    prepared: Prepared, library: Library, accepted: list[_Accepted], fit: MixtureFit | None
) -> Trace:
    """The curves of a picture."""
    amounts = fit.amount if fit is not None else np.zeros(0)
    components = {
        library.active_ids[entry.index]: amount * entry.template
        for entry, amount in zip(accepted, amounts, strict=True)
    }
    return Trace(
        axis_cm1=prepared.grid_cm1,
        intensity=prepared.background + prepared.signal,
        background=prepared.background,
        fit=np.sum([np.zeros_like(prepared.grid_cm1), *components.values()], axis=0),
        components=components,
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
        expected[found] / HEIGHT_FACTOR,
        expected[found] * HEIGHT_FACTOR,
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


def _refine(scene: Scene, accepted: list[_Accepted]) -> list[_Accepted]:
    """Let each accepted substance be chosen again, now that the others are known.

    The first choice was made in the whole light: a mixture from the tables may have taken the place
    of its parts, and an amount may contain another substance's band.
    """
    chosen = list(accepted)
    for _ in range(REFINE_ROUNDS if len(accepted) > 1 else 0):
        for place in range(len(chosen)):
            others = [entry for number, entry in enumerate(chosen) if number != place]
            model = _total(scene, others)
            evidence = weigh(scene, model)
            for entry in others:
                evidence.nats[entry.index] = -np.inf
            best = int(np.argmax(evidence.nats))
            if evidence.nats[best] < evidence.nats[chosen[place].index] + REFINE_GAIN_NATS:
                best = chosen[place].index
            template = _template(scene, evidence, best, free_heights(scene, model))
            chosen[place] = _Accepted(best, template)
    return chosen


def _keep_needed(
    scene: Scene, accepted: list[_Accepted]
) -> tuple[list[_Accepted], MixtureFit | None]:
    """Fit the accepted substances together and drop those the light does not need."""
    prepared = scene.prepared
    while accepted:
        fit = fit_mixture(
            prepared.smooth,
            prepared.noise,
            np.array([entry.template for entry in accepted]),
            prepared.resolution_cm1,
        )
        least = int(np.argmin(fit.need))
        if fit.need[least] >= NEED_MIN:
            return accepted, fit
        accepted = accepted[:least] + accepted[least + 1 :]
    return [], None


def _challenge(
    scene: Scene, library: Library, accepted: list[_Accepted], fit: MixtureFit | None
) -> tuple[tuple[Hit, ...], tuple[Candidate, ...]]:
    """Weigh each accepted substance against its rivals, and all others on top."""
    if fit is None:
        evidence = weigh(scene, np.zeros_like(scene.prepared.grid_cm1))
        return (), _candidates(scene, library, evidence, None, set())
    peaks = np.array([entry.template.max() for entry in accepted]) * fit.amount
    taken = {entry.index for entry in accepted}
    total = _total(scene, accepted)
    hits: list[Hit] = []
    candidates: list[Candidate] = []
    for number, entry in enumerate(accepted):
        evidence = weigh(scene, total - entry.template)
        nats = float(evidence.nats[entry.index])
        bands = band_evidence(scene, library, evidence, entry.index)
        hits.append(
            Hit(
                substance_id=library.active_ids[entry.index],
                score=score(bands, nats),
                nats=nats,
                share=float(peaks[number] / max(peaks.sum(), 1e-300)),
                need=float(fit.need[number]),
                bands=bands,
                look_alikes=look_alikes(scene, library, evidence, entry.index),
            )
        )
        candidates += _candidates(scene, library, evidence, entry.index, taken)
    candidates += _candidates(scene, library, weigh(scene, total), None, taken)
    order = sorted(range(len(hits)), key=lambda i: -hits[i].nats)
    return tuple(hits[i] for i in order), tuple(candidates)


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
                bands=band_evidence(scene, library, evidence, int(index)),
            )
        )
    return tuple(sorted(found, key=lambda entry: -entry.nats))
