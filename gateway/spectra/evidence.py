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
    faint      too weak to be seen as a band here: what the light at its place says, bounded

    The intensities of the tables are good to a factor of two, so heights enter through a wide
    log-normal and never exclude. What is left of the axis error is the same for all bands of a
    spectrum: their offsets are judged together, and what the accepted substances say of the axis
    holds for the next one. The number of looks (substances compared) is subtracted once.

Order of work
    First only the pairs of a tabulated and a measured band within reach; what a substance can gain
    at most follows from them, and only those that can come near acceptance are weighed in full.

    What the numbers mean: 0 = as likely as not after all looks; +2.3 = ten to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gateway.spectra.faint import faint_nats
from gateway.spectra.prepare import STEP_CM1
from gateway.spectra.scene import AxisBelief, Scene, crowd_density, sums
from gateway.spectra.spectrum import BoolArray, FloatArray, IntArray

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

FAINT_SNR_MIN = 1.5
"""A band expected to be weaker over noise says nothing."""

FAINT_TOLD_MAX = 1.0
"""Light explained by others at the place, over noise, whose error drowns a faint band."""

FAINT_STEPS = np.array([-1.5, -0.75, 0.0, 0.75, 1.5])
"""Where a faint band is looked for, in standard deviations of its place."""

SHARED_NATS_MAX = 1.5
"""A shared band never says more than this: it was not found as a band of its own."""

MISSING_FACTOR = 0.3
"""Less than this share of the expected height at a band's place means: not there."""

OVERLAP_WIDTHS = 0.7
"""Two bands closer than this share of their width run together into one crest."""

COMPLETE_BONUS = 3.0
"""Nats for explaining every strong band: an unknown substance shows several bands of its own, one
that shows only these has a chance of about 1 in 20."""

COMPLETE_SHARE = 0.12
"""Bands below this share of the strongest do not spoil completeness (tables omit weak bands)."""


KEPT_NATS_MIN = -3.0
"""Entries that cannot reach this are not weighed in full: nobody asks for them."""

HIDDEN_GAIN_NATS_MAX = 3.0
"""What shared bands may add to an entry before its states are known: two of them."""

FAINT_GAIN_NATS_MAX = 2.0
"""What faint bands may add to an entry before they are looked at: one of them."""

TOGETHER_NATS_MAX = 4.0
"""What the agreement of the offsets may add or take; a wrongly matched band must not decide."""

STRETCH_SD_CM1 = 0.6
"""What a known offset at other bands leaves open here: the axis may also be stretched."""


class BandState(IntEnum):
    """What became of one tabulated band."""

    OUTSIDE = 0
    HIDDEN = 1
    FAINT = 2
    MISSING = 3
    FOUND = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """Result for all entries; arrays over entries (e,) or over tabulated bands (b,).

    Attributes:
        nats: shape (e,), evidence after the number of looks; of entries that cannot reach
            KEPT_NATS_MIN the most they could have.
        amount: shape (e,), height of the entry's strongest band, unit of the input.
        state: shape (b,), BandState of every band of a weighed entry.
        match: shape (b,), index of the measured band, -1 when none.
        term: shape (b,), the band's share of `nats`.
        precision: shape (e,), sum of 1 / variance over the bands found, cm^2.
        pull: shape (e,), sum of offset / variance over the bands found, cm.
    """

    nats: FloatArray
    amount: FloatArray
    state: IntArray
    match: IntArray
    term: FloatArray
    precision: FloatArray
    pull: FloatArray


def weigh(scene: Scene, model: FloatArray, axis: AxisBelief | None = None) -> Evidence:
    """Weigh every entry against what `model` leaves unexplained.

    Args:
        scene: the spectrum.
        model: shape (n,), light already explained by accepted substances, on the grid.
        axis: what they say of the axis; None = only what was stated.
    """
    belief = axis or scene.axis
    bands = scene.bands
    free = free_heights(scene, model)
    density = crowd_density(scene, free) * scene.crowding
    match, chosen, again = _match(scene, free, density, belief)
    pairs = scene.pairs
    rows, peaks = pairs.band[chosen], pairs.peak[chosen]
    owner = bands.entry[rows]
    amount = _amounts(scene, free, rows, peaks)
    term = np.zeros(bands.shift_cm1.shape)
    own = _found_terms(scene, free[peaks], amount[owner] * scene.rel_merged[rows], rows, peaks)
    own -= np.log(density[peaks])
    precision, pull, place = _places(scene, chosen, owner, belief)
    term[rows] = own + place
    gain = sums(owner, own + place, scene.entry_count) - scene.looks_nats
    bonus = _completeness(scene, free)
    shared_max = HIDDEN_GAIN_NATS_MAX if model.any() else 0.0
    most = gain + bonus + shared_max + FAINT_GAIN_NATS_MAX
    kept = np.flatnonzero((most >= KEPT_NATS_MIN) & (amount > 0.0))
    state = np.full(bands.shift_cm1.shape, BandState.FAINT, dtype=np.int64)
    nats = most
    if kept.size:
        is_kept = np.zeros(scene.entry_count, dtype=np.bool_)
        is_kept[kept] = True
        judged = np.flatnonzero(is_kept[bands.entry])
        expected = amount[bands.entry[judged]] * scene.rel_merged[judged]
        told = scene.at_bands(model, judged)
        state[judged] = _states(scene, judged, match[judged] >= 0, expected, told)
        state[again] = BandState.HIDDEN
        now = state[judged]
        weak = np.flatnonzero(now == BandState.FAINT)
        term[judged[weak]] = _faint(scene, judged[weak], expected[weak], told[weak], belief)
        absent = judged[now == BandState.MISSING]
        term[absent] = np.log(bands.missing_chance[absent])
        hidden = (now == BandState.HIDDEN) & scene.inside[judged]
        hidden &= ~np.isin(judged, again)
        term[judged[hidden]] = _shared(scene, judged[hidden], told[hidden], expected[hidden])
        total = sums(bands.entry[judged], term[judged], scene.entry_count)
        nats[kept] = total[kept] - scene.looks_nats[kept] + bonus[kept]
    nats = np.where(amount > 0.0, nats, -scene.looks_nats)
    return Evidence(nats, amount, state, match, term, precision, pull)


def free_heights(scene: Scene, model: FloatArray) -> FloatArray:
    """Height of each measured band that the model does not explain, shape (m,); 0 = explained."""
    height = scene.measured.height
    told = scene.at_peaks(model)
    rest = height - told
    explained = (told * EXPLAINED_FACTOR >= height) | (rest < scene.peak_limit)
    heights: FloatArray = np.where(explained, 0.0, rest)
    return heights


def _match(
    scene: Scene, free: FloatArray, density: FloatArray, axis: AxisBelief
) -> tuple[IntArray, IntArray, IntArray]:
    """Choose for each tabulated band the best unexplained measured one.

    One measured band speaks only once for an entry whose bands run together there.

    Returns:
        Index of the measured band or -1, shape (b,); the chosen pairs; the bands that had to
        leave theirs to a stronger band of the same entry.
    """
    pairs, bands = scene.pairs, scene.bands
    match = np.full(bands.shift_cm1.shape, -1, dtype=np.int64)
    usable = np.flatnonzero(free[pairs.peak] > 0.0)
    if not usable.size:
        return match, usable, usable
    band, peak = pairs.band[usable], pairs.peak[usable]
    variance = pairs.variance[usable] + axis.sd_cm1**2
    worth = -0.5 * ((pairs.offset_cm1[usable] - axis.mean_cm1) ** 2 / variance + np.log(variance))
    worth -= np.log(density[peak])
    best = np.full(bands.shift_cm1.shape, -1, dtype=np.int64)
    order = np.argsort(worth, kind="stable")
    best[band[order]] = usable[order]  # the last one written, the best, stays
    rows = np.flatnonzero(best >= 0)
    chosen = best[rows]
    # Strongest first, so that it is the first of its measured band.
    rows = rows[np.argsort(-scene.rel_visible[rows], kind="stable")]
    chosen = best[rows]
    key = bands.entry[rows] * (scene.measured.count + 1) + pairs.peak[chosen]
    _, first = np.unique(key, return_index=True)
    alone = np.zeros(rows.size, dtype=np.bool_)
    alone[first] = True
    chosen, again = np.sort(chosen[alone]), rows[~alone]
    match[pairs.band[chosen]] = pairs.peak[chosen]
    return match, chosen, again


def _places(
    scene: Scene, chosen: IntArray, owner: IntArray, axis: AxisBelief
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How well the places agree: each by itself, and all bands of an entry together.

    The offset of the axis is one unknown with a normal prior; integrating over it gives the joint
    density of an entry's offsets in closed form.

    Returns:
        Precision and pull of each entry, shape (e,); ln N(offset) of each chosen pair, shape (c,),
        with its part of what the offsets of an entry say together.
    """
    variance = scene.pairs.variance[chosen]
    offset = scene.pairs.offset_cm1[chosen] - axis.mean_cm1
    prior = axis.sd_cm1**2
    wide = variance + prior
    place = -0.5 * (offset**2 / wide + np.log(2.0 * np.pi * wide))
    precision = sums(owner, 1.0 / variance, scene.entry_count)
    pull = sums(owner, offset / variance, scene.entry_count)
    alone = sums(owner, place, scene.entry_count)
    fixed = -0.5 * (offset**2 / variance + np.log(2.0 * np.pi * variance))
    joint = sums(owner, fixed, scene.entry_count)
    joint += 0.5 * (pull**2 * prior / (1.0 + prior * precision) - np.log1p(prior * precision))
    together = np.clip(joint - alone, -TOGETHER_NATS_MAX, TOGETHER_NATS_MAX)
    count = np.maximum(sums(owner, np.ones(owner.size), scene.entry_count), 1.0)
    place += (together / count)[owner]
    return precision, pull + axis.mean_cm1 * precision, place


def believe(stated: AxisBelief, evidence: tuple[tuple[float, float], ...]) -> AxisBelief:
    """What accepted entries tell about the axis.

    Args:
        stated: before any was accepted.
        evidence: precision and pull of each accepted entry.
    """
    if not evidence:
        return stated
    precision = 1.0 / stated.sd_cm1**2 + sum(entry[0] for entry in evidence)
    mean = sum(entry[1] for entry in evidence) / precision
    return AxisBelief(mean, float(np.hypot(precision**-0.5, STRETCH_SD_CM1)))


def _found_terms(
    scene: Scene, free: FloatArray, expected: FloatArray, rows: IntArray, peaks: IntArray
) -> FloatArray:
    """Height, width and presence of found bands as nats, shape (c,)."""
    ratio = np.log(np.maximum(free, 1e-300) / np.maximum(expected, 1e-300))
    spread = scene.bands.height_spread[rows]
    height = HEIGHT_RANGE * np.exp(-0.5 * (ratio / spread) ** 2) / (spread * np.sqrt(2.0 * np.pi))
    fwhm = scene.measured.fwhm_cm1[peaks]
    wide = np.log(np.maximum(fwhm, 0.1) / scene.width_cm1[rows])
    width = WIDTH_RANGE * np.exp(-0.5 * (wide / WIDTH_SPREAD) ** 2)
    width *= (1.0 - WIDTH_OUTLIER) / (WIDTH_SPREAD * np.sqrt(2.0 * np.pi))
    present = 1.0 - scene.bands.missing_chance[rows]
    nats: FloatArray = np.log(present * np.maximum(height, 0.02) * (width + WIDTH_OUTLIER))
    return nats


def _amounts(scene: Scene, free: FloatArray, rows: IntArray, peaks: IntArray) -> FloatArray:
    """Amount of each entry, shape (e,): weighted median over its matched bands.

    The strong bands count most; a band that another substance lies on is an outlier and must not
    raise the amount, or it would hide that other substance.
    """
    ratio = np.log(free[peaks] / np.maximum(scene.rel_merged[rows], 1e-3))
    order = np.lexsort((ratio, scene.bands.entry[rows]))
    owner = scene.bands.entry[rows][order]
    ratio = ratio[order]
    weight = np.sqrt(scene.rel_visible[rows][order])
    total = sums(owner, weight, scene.entry_count)
    running = np.cumsum(weight)
    before = np.cumsum(total) - total
    inner = running - before[owner]
    # The first band at which half of the entry's weight is reached.
    reached = inner >= 0.5 * total[owner] - 1e-12
    amount = np.zeros(scene.entry_count)
    amount[owner[reached][::-1]] = np.exp(ratio[reached][::-1])
    return amount


def _states(
    scene: Scene, rows: IntArray, found: BoolArray, expected: FloatArray, told: FloatArray
) -> IntArray:
    """State of these tabulated bands, shape (r,)."""
    least = MISSING_FACTOR * expected
    state = np.full(rows.shape, BandState.MISSING, dtype=np.int64)
    state[told >= least] = BandState.HIDDEN
    state[least < scene.at_bands(scene.limit, rows)] = BandState.FAINT
    state[~scene.inside[rows]] = BandState.OUTSIDE
    state[found] = BandState.FOUND
    # The costly question only where it decides: is there light enough, but in another's flank?
    open_ = np.flatnonzero(state == BandState.MISSING)
    open_ = open_[_brightest(scene, rows[open_]) >= least[open_]]
    state[open_[_overlapped(scene, rows[open_], expected[open_])]] = BandState.HIDDEN
    return state


def _shared(scene: Scene, rows: IntArray, told: FloatArray, expected: FloatArray) -> FloatArray:
    """What the height of the light at these bands says for the entry on top of the model."""
    light = np.maximum(scene.at_bands(scene.prepared.smooth, rows), 1e-300)
    known = told > 0.1 * light
    without = np.log(light / np.where(known, told, light)) / SHARED_SPREAD
    together = np.log(light / np.where(known, told + expected, light)) / SHARED_SPREAD
    gain = 0.5 * (without**2 - together**2)
    return np.where(known & (expected > 0.0), np.clip(gain, -SHARED_NATS_MAX, SHARED_NATS_MAX), 0.0)


def _faint(
    scene: Scene, rows: IntArray, expected: FloatArray, told: FloatArray, axis: AxisBelief
) -> FloatArray:
    """What the light at the places of faint bands says, shape (r,); 0 in the flanks of others."""
    prepared = scene.prepared
    noise = np.maximum(scene.at_bands(prepared.noise, rows), scene.ripple)
    asked = np.flatnonzero((expected >= FAINT_SNR_MIN * noise) & (told < FAINT_TOLD_MAX * noise))
    nats = np.zeros(rows.size)
    if not asked.size:
        return nats
    chosen, high = rows[asked], expected[asked]
    clear = ~_overlapped(scene, chosen, high)
    asked, chosen, high = asked[clear], chosen[clear], high[clear]
    sd = np.sqrt(scene.bands.position_sd_cm1[chosen] ** 2 + axis.sd_cm1**2)
    along = scene.cell[chosen] + scene.part[chosen] + axis.mean_cm1 / STEP_CM1
    places = np.rint(along[:, None] + sd[:, None] * FAINT_STEPS[None, :] / STEP_CM1)
    cells = np.clip(places, 0, prepared.smooth.size - 1).astype(np.int64)
    light = prepared.smooth[cells].max(axis=1) - told[asked]
    nats[asked] = faint_nats(high / noise[asked], light / noise[asked])
    return nats


def _overlapped(scene: Scene, rows: IntArray, expected: FloatArray) -> BoolArray:
    """Where a neighbouring measured band is high and near enough to swallow it, shape (r,)."""
    measured = scene.measured
    width = np.maximum(scene.width_cm1[rows, None], measured.fwhm_cm1[None, :])
    reach = scene.window_cm1[rows, None] + OVERLAP_WIDTHS * width
    near = np.abs(measured.shift_cm1[None, :] - scene.bands.shift_cm1[rows, None]) <= reach
    high = measured.height[None, :] >= 0.5 * expected[:, None]
    return np.asarray((near & high).any(axis=1), dtype=np.bool_)


def _brightest(scene: Scene, rows: IntArray) -> FloatArray:
    """Most light within each tabulated band's window, shape (r,)."""
    smooth = scene.prepared.smooth
    along = scene.cell[rows] + scene.part[rows]
    steps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / STEP_CM1
    places = np.rint(along[:, None] + scene.window_cm1[rows, None] * steps[None, :])
    cells = np.clip(places, 0, smooth.size - 1).astype(np.int64)
    return np.asarray(smooth[cells].max(axis=1), dtype=np.float64)


def _completeness(scene: Scene, free: FloatArray) -> FloatArray:
    """Bonus for entries that leave no strong band unexplained, shape (e,)."""
    least = COMPLETE_SHARE * float(scene.measured.height.max(initial=0.0))
    strong = (free > 0.0) & (free >= least) & scene.measured.sharp
    wanted = int(strong.sum())
    if not wanted:
        return np.zeros(scene.entry_count)
    near = strong[scene.pairs.peak]
    owner = scene.bands.entry[scene.pairs.band[near]]
    told = np.unique(owner * scene.measured.count + scene.pairs.peak[near])
    count = np.bincount(told // scene.measured.count, minlength=scene.entry_count)
    return np.where(count == wanted, COMPLETE_BONUS, 0.0)
