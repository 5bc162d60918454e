"""Identify: which substances of the library one spectrum needs, and why.

Substances are accepted one by one, always the one with most evidence in what is still unexplained,
until none is left that is worth ten to one. Then each accepted substance is challenged: without it,
does another explain the same bands as well? What cannot be told apart is reported together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from gateway.spectra.bands import MeasuredBands, measure_bands
from gateway.spectra.evidence import (
    HEIGHT_FACTOR,
    AxisBelief,
    BandState,
    Evidence,
    Scene,
    believe,
    free_heights,
    narrow,
    see,
    shortlist,
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
from gateway.spectra.mixture import MixtureFit, fit_mixture, render, render_heights
from gateway.spectra.prepare import Prepared, prepare
from gateway.spectra.spectrum import FloatArray, Spectrum, without_padding

NATS_MIN = 2.3
"""Evidence to accept a substance: ten to one after counting all looks."""

NATS_MORE_MIN = 2.3
"""The same for each further one. What is named only to explain what a large component leaves over
gets a low score, and the rules ask more of it than of the first."""

COMPONENTS_MAX = 6
"""More components than this cannot be told apart at hand-held resolution."""

MARGIN_NATS = 3.0
"""Two explanations closer than this (twenty to one) are reported as not separable."""

CANDIDATE_NATS_MIN = -1.0
"""Weaker candidates are not reported at all."""

SHARE_MIN = 0.03
"""Smallest component over the strongest band; the tables leave out weak bands of this size."""

WAYS_MAX = 3
"""Ways followed at a time, and entries tried next on each."""

WAYS_REFINED_MAX = 2
"""Of the finished ways, those that are refined and compared to the end."""

WAY_NATS = 6.0
"""An entry with so much less evidence than the best is not tried in its place."""

REFINE_ROUNDS = 2
"""Choices settle in one round, the second confirms; each costs one weighing per substance."""

REFINE_GAIN_NATS = 0.5
"""A rival must be this much better to take a place, or two equals would swap for ever."""

CLEAR_SNR_MIN = 10.0
"""Height over noise of a band that nobody would call noise, etalon ripple or a bad pixel."""

NEED_MIN = 9.0
"""F of a component that the fit needs: three standard deviations."""


SHORTLIST_MAX = 400
"""Entries of a large library that are weighed again and again; the others have fewer bands in their
places than these. Twice the shipped tables, so that these are always weighed whole."""

MOVED_FREE_SHARE = 0.4
"""An unexplained band this high, over the strongest, asks whether the axis is off."""

MOVED_DOUBT_NATS_MAX = 6.0
"""A best explanation with less evidence than 400 to 1 asks the same."""

MOVED_CM1_MAX = 12.0
"""Largest error of the axis looked for beyond the stated one; a laser 0.7 nm off its wavelength."""

MOVED_STEP_CM1 = 2.0
"""Steps of that search, and what each leaves open."""

MOVED_NATS_MIN = 9.2
"""Evidence for a moved axis: 10,000 to 1, for a dozen offsets are tried."""

MOVED_GAIN_NATS = 6.0
"""It must be so much better than the axis as stated."""

MOVED_BANDS_MIN = 3
"""One or two bands meet somewhere by moving; three move together only when the axis did."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A substance that explains the same bands as `instead_of`, or would come on top of all.

    Attributes:
        substance_id: the candidate.
        nats: its evidence.
        deficit_nats: how much less than the accepted one; 0 or negative = at least as good.
        instead_of: accepted substance it would replace, None = in addition.
        share: height of its strongest band over the strongest of the spectrum.
        bands: its bands.
    """

    substance_id: str
    nats: float
    deficit_nats: float
    instead_of: str | None
    share: float
    bands: tuple[BandEvidence, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An accepted substance.

    Attributes:
        substance_id: id in the library.
        score: 0 to 1, share of the substance's visible band intensity found at its place, times
            the chance to be the right one of those weighed; see `explain.score`.
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
        axis_offset_cm1: how far the whole axis had to be moved, against what was stated of it,
            before anything fitted; 0 = not at all.
        coverage: substance_id -> share of its tabulated intensity inside the usable range.
        blind: substances that could hide because of noise; see `explain.blind_spots`.
        covered: substances that could hide whatever the noise.
        quality: of the measurement.
        library_version: tables used.
        trace: for a picture.
    """

    hits: tuple[Hit, ...]
    candidates: tuple[Candidate, ...]
    unexplained_cm1: tuple[float, ...]
    foreign_share: float
    explained_share: float
    axis_offset_cm1: float
    coverage: dict[str, float]
    blind: tuple[str, ...]
    covered: tuple[str, ...]
    quality: Quality
    library_version: str
    trace: Trace = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Accepted:
    """An accepted entry: its light, and what its bands say of the axis (precision, pull)."""

    index: int
    template: FloatArray
    nats: float = 0.0
    axis: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Search:
    """The search in one spectrum; what was weighed is kept, the same question comes again.

    Attributes:
        scene, library: with the shortlist of entries that bands at their places speak for.
        whole_scene, whole_library: with all of them.
    """

    scene: Scene
    library: Library
    whole_scene: Scene
    whole_library: Library
    weighed: dict[frozenset[_Accepted], Evidence] = field(default_factory=dict)

    def weigh(self, others: list[_Accepted]) -> Evidence:
        """Weigh all entries on top of these accepted ones."""
        key = frozenset(others)
        if key not in self.weighed:
            model = self.total(others)
            self.weighed[key] = weigh(self.scene, model, self.axis(others))
        return self.weighed[key]

    def axis(self, others: list[_Accepted]) -> AxisBelief:
        """What these accepted ones say of the axis."""
        return believe(self.scene.axis, tuple(entry.axis for entry in others))

    def total(self, accepted: list[_Accepted]) -> FloatArray:
        """Their light, shape (n,)."""
        model = np.zeros_like(self.scene.prepared.grid_cm1)
        for entry in accepted:
            model = model + entry.template
        return model

    def open(self, evidence: Evidence, others: list[_Accepted]) -> FloatArray:
        """Nats of the entries that may come on top: no second state of an accepted substance."""
        nats = evidence.nats.copy()
        for entry in others:
            nats[
                list(self.library.places[self.library.entries[entry.index].substance_id])
            ] = -np.inf
        return nats

    def accept(self, evidence: Evidence, index: int, others: list[_Accepted]) -> _Accepted:
        """Render one entry where it was found."""
        free = free_heights(self.scene, self.total(others))
        told = float(evidence.precision[index]), float(evidence.pull[index])
        light = _template(self.scene, evidence, index, free)
        return _Accepted(index, light, float(evidence.nats[index]), told)


def identify(spectrum: Spectrum, library: Library) -> Identification:
    """Find the substances one spectrum needs.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    spectrum = without_padding(spectrum)
    prepared = prepare(spectrum)
    measured = measure_bands(prepared)
    search = _searched(prepared, measured, library, spectrum.axis_uncertainty_cm1)
    search, accepted, axis_offset_cm1 = _with_axis(search, _accept(search), spectrum)
    prepared, measured, scene = search.scene.prepared, search.scene.measured, search.scene
    accepted, fit = _keep_needed(scene, accepted)
    hits, candidates = _challenge(search, accepted, fit)
    model = search.total(accepted)
    free = free_heights(scene, model)
    order = np.argsort(-free)
    strongest = float(measured.height.max(initial=1e-300))
    foreign = float(free[measured.sharp].max(initial=0.0)) / strongest
    blind, covered = blind_spots(search.whole_scene, library, model)
    return Identification(
        hits=hits,
        candidates=candidates,
        unexplained_cm1=tuple(float(measured.shift_cm1[i]) for i in order if free[i] > 0.0),
        foreign_share=foreign,
        explained_share=fit.explained if fit else 0.0,
        axis_offset_cm1=axis_offset_cm1,
        coverage=_coverage(search.whole_scene, library),
        blind=blind,
        covered=covered,
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
        trace=_trace(prepared, search.library, accepted, fit),
    )


def _trace(
    prepared: Prepared, library: Library, accepted: list[_Accepted], fit: MixtureFit | None
) -> Trace:
    """The curves of a picture."""
    amounts = fit.amount if fit is not None else np.zeros(0)
    components = {
        library.entries[entry.index].substance_id: amount * entry.template
        for entry, amount in zip(accepted, amounts, strict=True)
    }
    return Trace(
        axis_cm1=prepared.grid_cm1,
        intensity=prepared.background + prepared.signal,
        background=prepared.background,
        fit=np.sum([np.zeros_like(prepared.grid_cm1), *components.values()], axis=0),
        components=components,
    )


def _searched(
    prepared: Prepared, measured: MeasuredBands, library: Library, axis_uncertainty_cm1: float
) -> _Search:
    """Open the search in one spectrum."""
    heights = render_heights(library, prepared.resolution_cm1)
    scene = see(prepared, measured, library, axis_uncertainty_cm1, heights)
    if len(library.entries) <= SHORTLIST_MAX:
        return _Search(scene, library, scene, library)
    keep = shortlist(scene, SHORTLIST_MAX)
    return _Search(narrow(scene, keep), library.subset(keep), scene, library)


def _with_axis(
    search: _Search, accepted: list[_Accepted], spectrum: Spectrum
) -> tuple[_Search, list[_Accepted], float]:
    """Where the strong bands stay unexplained, see whether the axis is further off than stated.

    The same where little speaks for the best explanation, or where it only fits by moving the axis.

    An instrument out of calibration shows all bands of the goods moved alike. Such a fit counts
    only with overwhelming evidence from several bands, because it has been looked for so often.
    """
    scene = search.scene
    free = free_heights(scene, search.total(accepted)) * scene.measured.sharp
    most = MOVED_FREE_SHARE * float(scene.measured.height.max(initial=0.0))
    before = max((entry.nats for entry in accepted), default=NATS_MIN)
    stated = spectrum.axis_uncertainty_cm1
    told = bool(accepted) and before >= MOVED_DOUBT_NATS_MAX
    told = told and abs(search.axis(accepted).mean_cm1) <= stated
    if told and float(free.max(initial=0.0)) <= most:
        return search, accepted, 0.0
    best: tuple[float, float, _Search] | None = None
    for step in range(1, round(MOVED_CM1_MAX / MOVED_STEP_CM1) + 1):
        for offset in (stated + step * MOVED_STEP_CM1, -stated - step * MOVED_STEP_CM1):
            moved = _searched(
                replace(scene.prepared, grid_cm1=scene.prepared.grid_cm1 - offset),
                replace(scene.measured, shift_cm1=scene.measured.shift_cm1 - offset),
                search.whole_library,
                MOVED_STEP_CM1,
            )
            evidence = moved.weigh([])
            index = int(np.argmax(evidence.nats))
            nats = float(evidence.nats[index])
            count = int((evidence.match[moved.scene.rows_of(index)] >= 0).sum())
            if count >= MOVED_BANDS_MIN and (best is None or nats > best[0]):
                best = nats, offset, moved
    if best is None or best[0] < max(MOVED_NATS_MIN, before + MOVED_GAIN_NATS):
        return search, accepted, 0.0
    return best[2], _accept(best[2]), best[1]


def _coverage(scene: Scene, library: Library) -> dict[str, float]:
    """Share of each substance's tabulated intensity in the usable range, of its best state."""
    bands = scene.bands
    weight = np.bincount(bands.entry, bands.rel_intensity, scene.entry_count)
    inside = np.bincount(bands.entry, bands.rel_intensity * scene.inside, scene.entry_count)
    share = library.best_of(inside / weight)
    return dict(zip(library.active_ids, share.tolist(), strict=True))


def _accept(search: _Search) -> list[_Accepted]:
    """Accept entry after entry until none is worth it, following the best few ways at a time.

    Two substances together can look like a third that is neither; whoever takes only the best one
    at each step never finds them again. A way is as good as the sum of its entries' evidence.
    """
    smallest = SHARE_MIN * float(max(search.scene.prepared.smooth.max(), 0.0))
    ways: list[list[_Accepted]] = [[]]
    ended: list[list[_Accepted]] = []
    for _ in range(COMPONENTS_MAX):
        longer: dict[frozenset[int], list[_Accepted]] = {}
        for way in ways:
            following = _following(search, way, smallest)
            if not following:
                ended.append(way)
            for entry in following:
                longer.setdefault(frozenset(one.index for one in [*way, entry]), [*way, entry])
        ways = sorted(longer.values(), key=_worth, reverse=True)[:WAYS_MAX]
    finished = sorted([*ended, *ways], key=_worth, reverse=True)[:WAYS_REFINED_MAX]
    return max((_refine(search, way) for way in finished), key=_worth, default=[])


def _following(search: _Search, way: list[_Accepted], smallest: float) -> list[_Accepted]:
    """The entries worth accepting next: the best and those that come near it."""
    evidence = search.weigh(way)
    nats = search.open(evidence, way)
    nats[evidence.amount < smallest] = -np.inf
    best = float(nats.max(initial=-np.inf))
    if best < (NATS_MORE_MIN if way else NATS_MIN):
        return []
    near = np.flatnonzero(nats >= max(best - WAY_NATS, NATS_MORE_MIN if way else NATS_MIN))
    near = near[np.argsort(-nats[near], kind="stable")]
    return [search.accept(evidence, int(index), way) for index in near[:WAYS_MAX]]


def _worth(way: list[_Accepted]) -> float:
    return sum(entry.nats for entry in way)


def _template(scene: Scene, evidence: Evidence, index: int, free: FloatArray) -> FloatArray:
    """Render one entry with its bands moved to where they were found.

    Heights follow the measurement within the factor the tables are uncertain by.
    """
    bands, measured = scene.bands, scene.measured
    rows = scene.rows_of(index)
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
    shown = height > 0.0
    width = scene.width_cm1[rows]
    return render(scene.prepared.grid_cm1, shift[shown], height[shown], width[shown])


def _refine(search: _Search, accepted: list[_Accepted]) -> list[_Accepted]:
    """Let each accepted entry be chosen again, now that the others are known.

    The first choice was made in the whole light: a mixture from the tables may have taken the place
    of its parts, and an amount may contain another substance's band.
    """
    chosen = list(accepted)
    for _ in range(REFINE_ROUNDS if len(accepted) > 1 else 0):
        before = [entry.index for entry in chosen]
        for place in range(len(chosen)):
            others = [entry for number, entry in enumerate(chosen) if number != place]
            evidence = search.weigh(others)
            nats = search.open(evidence, others)
            best = int(np.argmax(nats))
            if nats[best] < nats[chosen[place].index] + REFINE_GAIN_NATS:
                best = chosen[place].index
            chosen[place] = search.accept(evidence, best, others)
        if [entry.index for entry in chosen] == before:
            break
    return chosen


def _keep_needed(
    scene: Scene, accepted: list[_Accepted]
) -> tuple[list[_Accepted], MixtureFit | None]:
    """Fit the accepted entries together and drop those the light does not need."""
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
    search: _Search, accepted: list[_Accepted], fit: MixtureFit | None
) -> tuple[tuple[Hit, ...], tuple[Candidate, ...]]:
    """Weigh each accepted entry against its rivals, and all others on top."""
    if fit is None:
        return (), _candidates(search, search.weigh([]), None, [])
    library = search.library
    peaks = np.array([entry.template.max() for entry in accepted]) * fit.amount
    hits: list[Hit] = []
    candidates: list[Candidate] = []
    for number, entry in enumerate(accepted):
        others = [one for one in accepted if one is not entry]
        evidence = search.weigh(others)
        nats = float(evidence.nats[entry.index])
        bands = band_evidence(search.scene, library, evidence, entry.index)
        rivals = _candidates(search, evidence, entry.index, accepted)
        hits.append(
            Hit(
                substance_id=library.entries[entry.index].substance_id,
                score=score(bands, nats, tuple(rival.deficit_nats for rival in rivals)),
                nats=nats,
                share=float(peaks[number] / max(peaks.sum(), 1e-300)),
                need=float(fit.need[number]),
                bands=bands,
                look_alikes=look_alikes(search.scene, library, evidence, entry.index),
            )
        )
        candidates += rivals
    candidates += _candidates(search, search.weigh(accepted), None, accepted)
    order = sorted(range(len(hits)), key=lambda i: -hits[i].nats)
    return tuple(hits[i] for i in order), tuple(candidates)


def _candidates(
    search: _Search, evidence: Evidence, instead_of: int | None, taken: list[_Accepted]
) -> tuple[Candidate, ...]:
    """Substances not accepted that come near the accepted one, or near being accepted.

    Of one that was accepted only the next is told, however far, for the margin; of a substance's
    states the best.
    """
    library = search.library
    strongest = float(search.scene.measured.height.max(initial=1e-300))
    nats = search.open(evidence, taken)
    if instead_of is None:
        reference, name = NATS_MIN, None
        near = np.flatnonzero(nats >= CANDIDATE_NATS_MIN)
    else:
        reference = float(evidence.nats[instead_of])
        name = library.entries[instead_of].substance_id
        near = np.flatnonzero(nats >= reference - MARGIN_NATS)
        if not near.size and np.isfinite(nats).any():
            near = np.array([int(np.argmax(nats))])
    found: dict[str, Candidate] = {}
    for index in near[np.argsort(-nats[near], kind="stable")].tolist():
        substance_id = library.entries[index].substance_id
        if substance_id in found:
            continue
        found[substance_id] = Candidate(
            substance_id=substance_id,
            nats=float(nats[index]),
            deficit_nats=reference - float(nats[index]),
            instead_of=name,
            share=float(evidence.amount[index]) / strongest,
            bands=band_evidence(search.scene, library, evidence, index),
        )
    return tuple(found.values())
