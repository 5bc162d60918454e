"""Weigh how strongly the bands of a spectrum speak for each substance of the library.

Theory of operation
    Each tabulated band of a substance is looked for in the part of the spectrum that other
    accepted substances leave unexplained, and adds one term in nats (natural logarithm of a
    likelihood ratio) to the substance's evidence:

    found      ln [ (1 - m) * N(offset) * H(height) * W(width) / density ]
               `density` is how many unexplained bands of at least half this height there are per
               cm^-1: a match in a crowded spectrum is worth little, a match of the one dominating
               band much. This is the chance coincidence the substance has to beat.
    missing    ln m, where `m` is the chance that a band of this grade is absent or displaced
    hidden     beneath a band that something else explains: how much better the light there is
               explained with this substance on top, ln of a ratio of two log-normals, bounded
    faint      0: too weak to be seen here

    The intensities of the tables are good to a factor of two, so heights enter through a wide
    log-normal and never exclude. The number of looks (substances compared) is subtracted once.

    What the numbers mean: 0 = as likely as not after all looks; +2.3 = ten to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gateway.spectra.bands import MeasuredBands, detection_limit
from gateway.spectra.baseline import BROAD_CM1
from gateway.spectra.library import BandArrays, Library
from gateway.spectra.mixture import RenderedHeights
from gateway.spectra.prepare import Prepared
from gateway.spectra.spectrum import BoolArray, FloatArray, IntArray

HEIGHT_SPREAD = 0.7
"""Standard deviation of ln(measured height / tabulated height): a factor of two."""

HEIGHT_RANGE = 3.0
"""Width in ln(height) over which the height of a chance band is spread (a factor of 20)."""

WIDTH_SPREAD = 0.3
WIDTH_RANGE = 1.2
WIDTH_OUTLIER = 0.15
"""Widths agree to 30 % unless bands overlap, which happens to about one in seven."""

HEIGHT_FACTOR = 2.5
"""A measured band may be this many times higher or lower than the table says and still be the
substance's own; templates follow the measurement within it."""

EXPLAINED_FACTOR = 1.25
"""Light up to this many times the model's is explained by it (noise, line shape, overlap)."""

SHARED_SPREAD = 0.7
"""Spread of ln(height) at a place where two substances overlap; narrower than HEIGHT_SPREAD
because the amount of each is already fitted to its other bands."""

SHARED_NATS_MAX = 1.5
"""A shared band never says more than this: it was not found as a band of its own."""

MISSING_FACTOR = 0.3
"""Less than this share of the expected height at a band's place means: not there."""

CROWDING_CM1 = 12.0
"""Width over which the population of band positions is averaged."""

OVERLAP_WIDTHS = 0.7
"""Two bands closer than this share of their width run together into one crest."""

COMPLETE_BONUS = 3.0
"""Nats for explaining every strong band: an unknown substance shows several bands of its own, one
that shows only these has a chance of about 1 in 20."""

COMPLETE_SHARE = 0.12
"""Bands below this share of the strongest do not spoil completeness (tables omit weak bands)."""


class BandState(IntEnum):
    """What became of one tabulated band."""

    OUTSIDE = 0
    HIDDEN = 1
    FAINT = 2
    MISSING = 3
    FOUND = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """One spectrum, seen once: everything that does not depend on the accepted substances."""

    prepared: Prepared
    measured: MeasuredBands
    limit: FloatArray
    bands: BandArrays
    substance_count: int
    inside: BoolArray
    window_cm1: FloatArray
    spread_cm1: FloatArray
    width_cm1: FloatArray
    rel_visible: FloatArray
    rel_merged: FloatArray
    reachable: BoolArray
    offset_cm1: FloatArray
    crowding: FloatArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """Result for all substances; arrays over substances (s,) or over tabulated bands (b,).

    Attributes:
        nats: shape (s,), evidence after the number of looks.
        amount: shape (s,), height of the substance's strongest band, unit of the input.
        state: shape (b,), BandState of every tabulated band.
        match: shape (b,), index of the measured band, -1 when none.
        term: shape (b,), the band's share of `nats`.
    """

    nats: FloatArray
    amount: FloatArray
    state: IntArray
    match: IntArray
    term: FloatArray


def see(
    prepared: Prepared,
    measured: MeasuredBands,
    library: Library,
    axis_uncertainty_cm1: float,
    heights: RenderedHeights,
) -> Scene:
    """Prepare the comparison of one spectrum with all tabulated bands.

    Args:
        prepared: the spectrum on the grid.
        measured: its bands.
        library: the band tables.
        axis_uncertainty_cm1: half-width of the axis error that may remain.
        heights: the tables rendered at the spectrum's resolution.
    """
    bands = library.arrays
    grid = prepared.grid_cm1
    edge = 0.5 * prepared.resolution_cm1
    inside = (bands.shift_cm1 >= grid[0] + edge) & (bands.shift_cm1 <= grid[-1] - edge)
    at = np.clip(np.rint((bands.shift_cm1 - grid[0]) / (grid[1] - grid[0])), 0, grid.size - 1)
    inside &= ~prepared.lost[at.astype(np.int64)]
    width = np.hypot(bands.fwhm_cm1, prepared.resolution_cm1)
    # Broad bands are located only to a tenth of their width, whatever the table says.
    loose = 0.1 * bands.fwhm_cm1 * (bands.fwhm_cm1 > 0.5 * BROAD_CM1)
    window = bands.uncertainty_cm1 + axis_uncertainty_cm1 + loose + 0.5
    spread = np.sqrt(
        (0.5 * bands.uncertainty_cm1) ** 2 + (0.5 * axis_uncertainty_cm1) ** 2 + loose**2 + 0.25
    )
    offset = measured.shift_cm1[None, :] - heights.crest_cm1[:, None]
    error = measured.shift_error_cm1[None, :]
    return Scene(
        prepared=prepared,
        measured=measured,
        limit=detection_limit(prepared),
        bands=bands,
        substance_count=len(library.active_ids),
        inside=inside,
        window_cm1=window,
        spread_cm1=spread,
        width_cm1=width,
        rel_visible=heights.visible,
        rel_merged=heights.merged,
        reachable=(np.abs(offset) <= window[:, None] + 2.0 * error) & inside[:, None],
        offset_cm1=offset,
        crowding=_crowding(bands, measured),
    )


def weigh(scene: Scene, model: FloatArray) -> Evidence:
    """Weigh every substance against what `model` leaves unexplained.

    Args:
        scene: the spectrum.
        model: shape (n,), light already explained by accepted substances, on the grid.
    """
    measured, bands = scene.measured, scene.bands
    free = free_heights(scene, model)
    density = _density(scene, free) * scene.crowding
    match, place = _match(scene, free, density)
    found = match >= 0
    amount = _amounts(scene, free, match)
    expected = amount[bands.substance] * scene.rel_merged
    term = np.zeros(bands.shift_cm1.shape)
    if found.any():
        peak = match[found]
        ratio = np.log(np.maximum(free[peak], 1e-300) / np.maximum(expected[found], 1e-300))
        height = HEIGHT_RANGE * np.exp(-0.5 * (ratio / HEIGHT_SPREAD) ** 2)
        height /= HEIGHT_SPREAD * np.sqrt(2.0 * np.pi)
        wide = np.log(np.maximum(measured.fwhm_cm1[peak], 0.1) / scene.width_cm1[found])
        width = WIDTH_RANGE * np.exp(-0.5 * (wide / WIDTH_SPREAD) ** 2)
        width = (1.0 - WIDTH_OUTLIER) * width / (WIDTH_SPREAD * np.sqrt(2.0 * np.pi))
        miss = bands.missing_chance[found]
        good = (1.0 - miss) * np.exp(place[found]) * np.maximum(height, 0.02)
        term[found] = np.log(good * (width + WIDTH_OUTLIER) / density[peak])
    state = _states(scene, model, expected, found)
    term[state == BandState.MISSING] = np.log(bands.missing_chance[state == BandState.MISSING])
    hidden = state == BandState.HIDDEN
    term[hidden] = _shared(scene, model, expected)[hidden]
    _count_peaks_once(scene, match, term, state)
    nats = np.bincount(bands.substance, weights=term, minlength=scene.substance_count)
    nats = nats - np.log(scene.substance_count) + _completeness(scene, free)
    return Evidence(nats, amount, state, match, term)


def free_heights(scene: Scene, model: FloatArray) -> FloatArray:
    """Height of each measured band that the model does not explain, shape (m,); 0 = explained."""
    measured = scene.measured
    told = np.interp(measured.shift_cm1, scene.prepared.grid_cm1, model)
    rest = measured.height - told
    explained = told * EXPLAINED_FACTOR >= measured.height
    limit = np.interp(measured.shift_cm1, scene.prepared.grid_cm1, scene.limit)
    heights: FloatArray = np.where(explained | (rest < limit), 0.0, rest)
    return heights


def _density(scene: Scene, free: FloatArray) -> FloatArray:
    """Unexplained sharp bands of at least half the height of each, per cm^-1, shape (m,)."""
    rivals = (free > 0.0) & scene.measured.sharp
    counts = (free[None, :] >= 0.5 * free[:, None]) & rivals[None, :]
    density: FloatArray = np.maximum(counts.sum(axis=1), 1.0) / scene.prepared.span_cm1
    return density


def _crowding(bands: BandArrays, measured: MeasuredBands) -> FloatArray:
    """How much likelier than on average any substance has a band at each place, shape (m,).

    Molecules share their bonds: 880, 1000, 1300 and 1450 cm^-1 are populated by many substances,
    so a match there is worth less than one at a rare place. Estimated from the library itself.
    """
    inside = (bands.shift_cm1 > 250.0) & (bands.shift_cm1 < 1850.0)
    places = bands.shift_cm1[inside]
    apart = (measured.shift_cm1[:, None] - places[None, :]) / CROWDING_CM1
    local = np.exp(-0.5 * apart**2).sum(axis=1) / (CROWDING_CM1 * np.sqrt(2.0 * np.pi))
    relative: FloatArray = np.clip(local * 1600.0 / places.size, 0.5, 3.0)
    return relative


def _match(scene: Scene, free: FloatArray, density: FloatArray) -> tuple[IntArray, FloatArray]:
    """Best unexplained measured band for each tabulated one, and its ln N(offset)."""
    if not free.size:
        nothing = np.full(scene.inside.shape, -1, dtype=np.int64)
        return nothing, np.zeros(scene.inside.shape)
    sigma = np.hypot(scene.spread_cm1[:, None], scene.measured.shift_error_cm1[None, :])
    place = -0.5 * (scene.offset_cm1 / sigma) ** 2 - np.log(sigma * np.sqrt(2.0 * np.pi))
    usable = scene.reachable & (free[None, :] > 0.0)
    worth = np.where(usable, place - np.log(density)[None, :], -np.inf)
    best = np.argmax(worth, axis=1)
    rows = np.arange(best.size)
    match = np.where(usable[rows, best], best, -1)
    return match.astype(np.int64), place[rows, best]


def _amounts(scene: Scene, free: FloatArray, match: IntArray) -> FloatArray:
    """Amount of each substance, shape (s,): weighted median over its matched bands.

    The strong bands count most; a band that another substance lies on is an outlier and must not
    raise the amount, or it would hide that other substance.
    """
    found = np.flatnonzero(match >= 0)
    ratio = np.log(free[match[found]] / np.maximum(scene.rel_merged[found], 1e-3))
    order = np.lexsort((ratio, scene.bands.substance[found]))
    substance = scene.bands.substance[found][order]
    ratio = ratio[order]
    weight = np.sqrt(scene.rel_visible[found][order])
    total = np.bincount(substance, weights=weight, minlength=scene.substance_count)
    running = np.cumsum(weight)
    before = np.cumsum(total) - total
    inner = running - before[substance]
    # The first band at which half of the substance's weight is reached.
    reached = inner >= 0.5 * total[substance] - 1e-12
    amount = np.zeros(scene.substance_count)
    amount[substance[reached][::-1]] = np.exp(ratio[reached][::-1])
    return amount


def _states(scene: Scene, model: FloatArray, expected: FloatArray, found: BoolArray) -> IntArray:
    """State of every tabulated band, shape (b,)."""
    grid, bands = scene.prepared.grid_cm1, scene.bands
    limit = np.interp(bands.shift_cm1, grid, scene.limit)
    light = _brightest(scene)
    told = np.interp(bands.shift_cm1, grid, model)
    state = np.full(bands.shift_cm1.shape, BandState.MISSING, dtype=np.int64)
    state[(light >= MISSING_FACTOR * expected) & _overlapped(scene, expected)] = BandState.HIDDEN
    state[told >= MISSING_FACTOR * expected] = BandState.HIDDEN
    state[MISSING_FACTOR * expected < limit] = BandState.FAINT
    state[found] = BandState.FOUND
    state[~scene.inside] = BandState.OUTSIDE
    return state


def _shared(scene: Scene, model: FloatArray, expected: FloatArray) -> FloatArray:
    """What the height of the light at each band says for the substance on top of the model."""
    grid, bands = scene.prepared.grid_cm1, scene.bands
    light = np.maximum(np.interp(bands.shift_cm1, grid, scene.prepared.smooth), 1e-300)
    told = np.interp(bands.shift_cm1, grid, model)
    known = told > 0.1 * light
    without = np.log(light / np.where(known, told, light)) / SHARED_SPREAD
    together = np.log(light / np.where(known, told + expected, light)) / SHARED_SPREAD
    gain = 0.5 * (without**2 - together**2)
    return np.where(known & (expected > 0.0), np.clip(gain, -SHARED_NATS_MAX, SHARED_NATS_MAX), 0.0)


def _overlapped(scene: Scene, expected: FloatArray) -> BoolArray:
    """Where a neighbouring measured band is high and near enough to swallow it, shape (b,)."""
    measured = scene.measured
    width = np.maximum(scene.width_cm1[:, None], measured.fwhm_cm1[None, :])
    reach = scene.window_cm1[:, None] + OVERLAP_WIDTHS * width
    near = np.abs(scene.offset_cm1) <= reach
    high = measured.height[None, :] >= 0.5 * expected[:, None]
    return np.asarray((near & high).any(axis=1), dtype=np.bool_)


def _brightest(scene: Scene) -> FloatArray:
    """Most light within each tabulated band's window, shape (b,)."""
    grid, smooth = scene.prepared.grid_cm1, scene.prepared.smooth
    steps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    places = scene.bands.shift_cm1[:, None] + scene.window_cm1[:, None] * steps[None, :]
    return np.asarray(np.interp(places, grid, smooth).max(axis=1), dtype=np.float64)


def _count_peaks_once(scene: Scene, match: IntArray, term: FloatArray, state: IntArray) -> None:
    """Let one measured band speak only once for a substance whose bands run together there."""
    found = np.flatnonzero(match >= 0)
    order = found[np.argsort(-scene.rel_visible[found], kind="stable")]
    width = scene.measured.count + 1
    key = scene.bands.substance[order] * width + match[order]
    _, first = np.unique(key, return_index=True)
    again = np.ones(order.size, dtype=np.bool_)
    again[first] = False
    term[order[again]] = 0.0
    state[order[again]] = BandState.HIDDEN
    match[order[again]] = -1


def _completeness(scene: Scene, free: FloatArray) -> FloatArray:
    """Bonus for substances that leave no strong band unexplained, shape (s,)."""
    bonus = np.zeros(scene.substance_count)
    if not free.size or not (free > 0.0).any():
        return bonus
    least = COMPLETE_SHARE * float(scene.measured.height.max())
    strong = np.flatnonzero((free >= least) & scene.measured.sharp)
    if not strong.size:
        return bonus
    told = np.zeros((scene.substance_count, scene.measured.count), dtype=np.bool_)
    rows = np.flatnonzero(scene.reachable.any(axis=1))
    band, peak = np.nonzero(scene.reachable[rows])
    told[scene.bands.substance[rows[band]], peak] = True
    bonus[told[:, strong].all(axis=1)] = COMPLETE_BONUS
    return bonus
