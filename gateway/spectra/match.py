"""Identify: which substances of the library one spectrum needs, and why.

Substances are accepted one by one, always the one with most evidence in what is still unexplained,
until none is left that is worth ten to one. Then each accepted substance is challenged: without it,
does another explain the same bands as well? What cannot be told apart is reported together.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from gateway.spectra.bands import measure_bands
from gateway.spectra.evidence import Evidence, free_heights, weigh
from gateway.spectra.explain import (
    band_evidence,
    blind_spots,
    look_alikes,
    score,
)
from gateway.spectra.identification import Candidate, Hit, Identification, Quality, Trace
from gateway.spectra.library import Library
from gateway.spectra.mixture import MixtureFit, fit_mixture
from gateway.spectra.prepare import Prepared, prepare
from gateway.spectra.scene import Scene
from gateway.spectra.search import NATS_MIN, Accepted, Search, accept, search_in
from gateway.spectra.spectrum import Spectrum, without_padding

MARGIN_NATS = 3.0
"""Two explanations closer than this (twenty to one) are reported as not separable."""

CANDIDATE_NATS_MIN = -3.0
"""Weaker candidates are not reported at all, but for bright ones."""

BRIGHT_NATS_MIN = -6.0
BRIGHT_SHARE_MIN = 0.7
"""One this bright, over the strongest band, is reported down to here: among many bands of goods
nobody knows chance speaks against every pattern. Below `evidence.KEPT_NATS_MIN` the most it could
have is told, which errs towards not clearing."""

CLEAR_SNR_MIN = 10.0
"""Height over noise of a band that nobody would call noise, etalon ripple or a bad pixel."""

NEED_MIN = 9.0
"""F of a component that the fit needs: three standard deviations."""


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

RANGES_KEPT = 16
"""Measured ranges of which the coverage of the library is kept; an instrument has one."""

MOVED_BANDS_MIN = 3
"""One or two bands meet somewhere by moving; three move together only when the axis did."""


def identify(spectrum: Spectrum, library: Library) -> Identification:
    """Find the substances one spectrum needs.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    spectrum = without_padding(spectrum)
    prepared = prepare(spectrum)
    measured = measure_bands(prepared)
    search = search_in(prepared, measured, library, spectrum.axis_uncertainty_cm1)
    search, accepted, axis_offset_cm1 = _with_axis(search, accept(search), spectrum)
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
        coverage=dict(_coverage(library, search.whole_scene.inside.tobytes())),
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
            fringe_share=prepared.fringes.share if prepared.fringes else 0.0,
            fringed=prepared.fringed,
        ),
        library_version=library.version,
        trace=_trace(prepared, search.library, accepted, fit),
    )


def _trace(
    prepared: Prepared, library: Library, accepted: list[Accepted], fit: MixtureFit | None
) -> Trace:
    """The curves of a picture."""
    amounts = fit.amount if fit is not None else np.zeros(0)
    components = {
        library.entries[entry.index].substance_id: amount * entry.template
        for entry, amount in zip(accepted, amounts, strict=True)
    }
    fit_light = np.zeros_like(prepared.grid_cm1)
    for light in components.values():
        fit_light += light
    return Trace(
        axis_cm1=prepared.grid_cm1,
        intensity=prepared.background + prepared.signal,
        background=prepared.background,
        fit=fit_light,
        components=components,
    )


def _with_axis(
    search: Search, accepted: list[Accepted], spectrum: Spectrum
) -> tuple[Search, list[Accepted], float]:
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
    best: tuple[float, float, Search] | None = None
    least = max(MOVED_NATS_MIN, before + MOVED_GAIN_NATS)
    nothing = np.zeros_like(scene.prepared.grid_cm1)
    for step in range(1, round(MOVED_CM1_MAX / MOVED_STEP_CM1) + 1):
        for offset in (stated + step * MOVED_STEP_CM1, -stated - step * MOVED_STEP_CM1):
            moved = search_in(
                replace(scene.prepared, grid_cm1=scene.prepared.grid_cm1 - offset),
                replace(scene.measured, shift_cm1=scene.measured.shift_cm1 - offset),
                search.whole_library,
                MOVED_STEP_CM1,
            )
            # Most offsets explain nothing, and are not looked at more closely.
            evidence = weigh(moved.scene, nothing, nats_min=least)
            index = int(np.argmax(evidence.nats))
            nats = float(evidence.nats[index])
            count = int((evidence.match[moved.scene.rows_of(index)] >= 0).sum())
            if count >= MOVED_BANDS_MIN and (best is None or nats > best[0]):
                best = nats, offset, moved
    if best is None or best[0] < least:
        return search, accepted, 0.0
    return best[2], accept(best[2]), best[1]


@lru_cache(maxsize=RANGES_KEPT)
def _coverage(library: Library, seen: bytes) -> dict[str, float]:
    """Share of each substance's tabulated intensity in the usable range, of its best state.

    Args:
        library: the band tables.
        seen: one byte for each tabulated band, 1 = inside the range.
    """
    bands = library.arrays
    weight = bands.by_entry(bands.rel_intensity)
    inside = bands.by_entry(bands.rel_intensity * np.frombuffer(seen, dtype=np.bool_))
    share = library.best_of(inside / weight)
    return dict(zip(library.active_ids, share.tolist(), strict=True))


def _keep_needed(
    scene: Scene, accepted: list[Accepted]
) -> tuple[list[Accepted], MixtureFit | None]:
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
    search: Search, accepted: list[Accepted], fit: MixtureFit | None
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
    search: Search, evidence: Evidence, instead_of: int | None, taken: list[Accepted]
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
        bright = evidence.amount >= BRIGHT_SHARE_MIN * strongest
        near = np.flatnonzero(nats >= np.where(bright, BRIGHT_NATS_MIN, CANDIDATE_NATS_MIN))
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
