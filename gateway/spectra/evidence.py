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
    First only the pairs of a tabulated and a measured band within reach, then what is missing,
    which needs no more than comparisons. What a substance can gain at most follows from them, and
    only for those that can come near acceptance the light is asked for hidden and faint bands.

    What the numbers mean: 0 = as likely as not after all looks; +2.3 = ten to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from gateway.spectra.faint import GAIN_NATS_MAX, faint_nats
from gateway.spectra.prepare import STEP_CM1
from gateway.spectra.scene import AxisBelief, Scene, crowd_density, sums
from gateway.spectra.spectrum import BoolArray, FloatArray, IntArray
from gateway.spectra.terms import MISSING_FACTOR, PairTerms, band_terms, pair_terms

HEIGHT_FACTOR = 2.5
"""A measured band may be this many times higher or lower than the table says and still be the
substance's own; templates follow the measurement within it."""

EXPLAINED_FACTOR = 1.25
"""Light up to this many times the model's is explained by it (noise, line shape, overlap)."""

SHARED_SPREAD = 0.7
"""Spread of ln(height) at a place where two substances overlap; narrower than HEIGHT_SPREAD
because the amount of each is already fitted to its other bands."""

FAINT_TOLD_MAX = 1.0
"""Light explained by others at the place, over noise, whose error drowns a faint band."""

FAINT_STEPS = np.array([-1.5, -0.75, 0.0, 0.75, 1.5])
"""Where a faint band is looked for, in standard deviations of its place."""

DARK_SHARE = 1e-9
"""Light over the strongest band that is none; keeps ratios to it finite."""

SHARED_NATS_MAX = 1.5
"""A shared band never says more than this: it was not found as a band of its own."""

COMPLETE_BONUS = 3.0
"""Nats for explaining every strong band: an unknown substance shows several bands of its own, one
that shows only these has a chance of about 1 in 20."""

COMPLETE_SHARE = 0.12
"""Bands below this share of the strongest do not spoil completeness (tables omit weak bands)."""


KEPT_NATS_MIN = -3.0
"""Entries that cannot reach this are not weighed in full: the most they could have is told. Where
the next explanation of a hit is further off than this its margin is therefore a lower bound."""

HIDDEN_GAIN_NATS_MAX = 3.0
"""What shared bands may add to an entry before its states are known: two of them."""

FAINT_GAIN_NATS_MAX = 2.0
"""What faint bands may add to an entry before they are looked at: one of them."""

FAINT_MORE_NATS = 6.0
"""What further faint bands may add where nothing else is to decide: three of them."""

TOGETHER_NATS_MAX = 4.0
"""What the agreement of the offsets may add or take; a wrongly matched band must not decide."""

STRETCH_SD_CM1 = 0.6
"""What a known offset at other bands leaves open here: the axis may also be stretched."""

LOG_HEIGHT_MIN = math.log(0.02)
"""A height that does not fit at all costs no more than this: every table has its outliers."""

LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class BandState(IntEnum):
    """What became of one tabulated band."""

    OUTSIDE = 0
    HIDDEN = 1
    FAINT = 2
    MISSING = 3
    FOUND = 4


_OUTSIDE, _HIDDEN, _FAINT, _MISSING, _FOUND = (int(state) for state in BandState)
"""As plain numbers, which arrays take faster."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Result for all entries; arrays over entries (e,) or over tabulated bands (b,).

    Attributes:
        nats: shape (e,), evidence after the number of looks; of entries that cannot reach
            KEPT_NATS_MIN, or what was asked for, the most they could have.
        amount: shape (e,), height of the entry's strongest band, unit of the input.
        state: shape (b,), BandState of every band.
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


def weigh(
    scene: Scene,
    model: FloatArray,
    axis: AxisBelief | None = None,
    nats_min: float = KEPT_NATS_MIN,
) -> Evidence:
    """Weigh every entry against what `model` leaves unexplained.

    Args:
        scene: the spectrum.
        model: shape (n,), light already explained by accepted substances, on the grid.
        axis: what they say of the axis; None = only what was stated.
        nats_min: nobody asks for entries with less.
    """
    belief = axis or scene.axis
    bands, pairs = scene.bands, pair_terms(scene)
    free = free_heights(scene, model)
    if not pairs.band.size or not free.any():
        return _nothing(scene)
    log_density = np.log(crowd_density(scene, free) * scene.crowding)
    chosen, again, place = _match(pairs, free, log_density, belief)
    rows, peaks, owner = pairs.band[chosen], pairs.peak[chosen], pairs.owner[chosen]
    log_free = np.log(np.maximum(free, 1e-300))[peaks]
    amount, log_amount = _amounts(scene, pairs, chosen, log_free)
    own = _found_terms(pairs, chosen, log_free - log_amount[owner]) - log_density[peaks]
    precision, pull, together = _places(scene, pairs, chosen, place, belief)
    own += place + together[owner]
    gain = sums(owner, own, scene.entry_count) - scene.looks_nats + _completeness(scene, free)
    shared_max = HIDDEN_GAIN_NATS_MAX if model.any() else 0.0
    most = gain + shared_max + FAINT_GAIN_NATS_MAX
    if float(most.max()) + FAINT_MORE_NATS < nats_min:
        return replace(_nothing(scene), nats=most, amount=amount)
    told = scene.at_all_bands(model) if shared_max else None
    weighed = _weigh_absent(scene, amount, told, rows, again)
    gain += weighed.lost
    np.minimum(most, gain + weighed.open_nats, out=most)
    kept = (most >= nats_min) & (amount > 0.0)
    term = weighed.term
    term[rows] = own
    nats = np.where(amount > 0.0, most, -scene.looks_nats)
    if kept.any():
        nats[kept] = (gain + _weigh_open(scene, weighed, kept, told, belief))[kept]
    match = np.full(bands.shift_cm1.shape, -1, dtype=np.int64)
    match[rows] = peaks
    return Evidence(nats, amount, weighed.state, match, term, precision, pull)


def _nothing(scene: Scene) -> Evidence:
    """The evidence where no unexplained band is within reach of any tabulated one."""
    none, size = np.zeros(scene.entry_count), scene.inside.size
    state = np.where(scene.inside, _FAINT, _OUTSIDE)
    match = np.full(size, -1, dtype=np.int64)
    return Evidence(-scene.looks_nats, none, state, match, np.zeros(size), none, none)


@dataclass(frozen=True, slots=True)
class Absent:
    """The bands without a measured one; arrays over tabulated bands (b,) or entries (e,).

    Attributes:
        state: shape (b,), of all bands.
        term: shape (b,), what missing ones take; the others 0.
        lost: shape (e,), its sum.
        expected: shape (b,), height expected.
        is_shared: shape (b,), hidden beneath what something else explains.
        is_faint: shape (b,), to be looked for in the light.
        open_nats: shape (e,), the most that these two kinds may add.
    """

    state: IntArray
    term: FloatArray
    lost: FloatArray
    expected: FloatArray
    is_shared: BoolArray
    is_faint: BoolArray
    open_nats: FloatArray


def _weigh_absent(
    scene: Scene, amount: FloatArray, told: FloatArray | None, rows: IntArray, again: IntArray
) -> Absent:
    """Weigh what was not found, all but what the light has to tell."""
    bands, terms = scene.bands, band_terms(scene)
    expected = amount[bands.entry] * scene.rel_merged
    visible = expected >= terms.visible_min
    faint = (expected >= terms.faint_min) & (expected > terms.swallowed_max) & ~visible
    covered = expected <= terms.covered_max
    if told is None:
        shared = np.zeros(expected.shape, dtype=np.bool_)
    else:
        faint &= told < FAINT_TOLD_MAX * terms.noise
        covered |= MISSING_FACTOR * expected <= told
        shared = visible & covered
    missing = visible & ~covered
    for seen in (rows, again):
        missing[seen] = shared[seen] = faint[seen] = False
    state = np.where(scene.inside, _FAINT, _OUTSIDE)
    np.putmask(state, visible, _HIDDEN)
    np.putmask(state, missing, _MISSING)
    state[again] = _HIDDEN
    state[rows] = _FOUND
    term = bands.log_missing * missing
    open_nats = SHARED_NATS_MAX * shared + GAIN_NATS_MAX * faint
    return Absent(
        state=state,
        term=term,
        lost=bands.by_entry(term),
        expected=expected,
        is_shared=shared,
        is_faint=faint,
        open_nats=bands.by_entry(open_nats),
    )


def _weigh_open(
    scene: Scene, absent: Absent, kept: BoolArray, told: FloatArray | None, belief: AxisBelief
) -> FloatArray:
    """Ask the light at faint and shared bands of the entries kept; what it adds, shape (e,)."""
    owner = scene.bands.entry
    wanted = kept[owner]
    rows = (absent.is_faint & wanted).nonzero()[0]
    added = np.zeros(scene.entry_count)
    if rows.size:
        absent.term[rows] = nats = _faint(scene, rows, absent.expected[rows], told, belief)
        added += sums(owner[rows], nats, scene.entry_count)
    if told is not None:
        rows = (absent.is_shared & wanted).nonzero()[0]
        absent.term[rows] = nats = _shared(scene, rows, told[rows], absent.expected[rows])
        added += sums(owner[rows], nats, scene.entry_count)
    return added


def free_heights(scene: Scene, model: FloatArray) -> FloatArray:
    """Height of each measured band that the model does not explain, shape (m,); 0 = explained."""
    height = scene.measured.height
    told = scene.at_peaks(model)
    rest = height - told
    explained = (told * EXPLAINED_FACTOR >= height) | (rest < scene.peak_limit)
    heights: FloatArray = np.where(explained, 0.0, rest)
    return heights


def _match(
    pairs: PairTerms, free: FloatArray, log_density: FloatArray, axis: AxisBelief
) -> tuple[IntArray, IntArray, FloatArray]:
    """Choose for each tabulated band the best unexplained measured one.

    One measured band speaks only once for an entry whose bands run together there: for the
    strongest of them.

    Returns:
        The chosen pairs, by entry; the bands that had to leave theirs to a stronger band of the
        same entry; ln N(offset) of each chosen pair by itself, shape (c,).
    """
    variance = pairs.variance + axis.sd_cm1**2
    place = -0.5 * ((pairs.offset_cm1 - axis.mean_cm1) ** 2 / variance + np.log(variance))
    usable = (free > 0.0)[pairs.peak].nonzero()[0]
    worth = (place - log_density[pairs.peak])[usable]
    # Of what is written to one place the last stays: the best pair of a band, the strongest band
    # of an entry.
    order = usable[np.argsort(worth, kind="stable")]
    best = np.full(pairs.rows, -1, dtype=np.int64)
    best[pairs.band[order]] = order
    each = best[best >= 0]
    each.sort()
    strongest = np.full(pairs.near.size, -1, dtype=np.int64)
    strongest[pairs.key[each]] = each
    chosen = strongest[strongest >= 0]
    again = each[strongest[pairs.key[each]] != each]
    return chosen, pairs.band[again], place[chosen] - LOG_ROOT_TWO_PI


def _places(
    scene: Scene, pairs: PairTerms, chosen: IntArray, place: FloatArray, axis: AxisBelief
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How well the places of all bands of an entry agree.

    The offset of the axis is one unknown with a normal prior; integrating over it gives the joint
    density of an entry's offsets in closed form.

    Returns:
        Precision and pull of each entry; what its offsets say together beyond what they say alone,
        for each of its bands found; all of shape (e,).
    """
    size, owner = scene.entry_count, pairs.owner[chosen]
    weight = pairs.precision[chosen]
    offset = pairs.offset_cm1[chosen] - axis.mean_cm1
    prior = axis.sd_cm1**2
    precision = sums(owner, weight, size)
    pull = sums(owner, offset * weight, size)
    fixed = -0.5 * (offset**2 * weight + pairs.log_fixed[chosen])
    together = sums(owner, fixed - place, size)
    loose = 1.0 + prior * precision
    together += 0.5 * (pull**2 * prior / loose - np.log(loose))
    np.minimum(np.maximum(together, -TOGETHER_NATS_MAX), TOGETHER_NATS_MAX, out=together)
    together /= np.maximum(np.bincount(owner, minlength=size), 1)
    return precision, pull + axis.mean_cm1 * precision, together


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


def _found_terms(pairs: PairTerms, chosen: IntArray, log_height: FloatArray) -> FloatArray:
    """Height, width and presence of found bands as nats, shape (c,).

    Args:
        pairs: of the scene.
        chosen: those found.
        log_height: shape (c,), ln of the height found over the entry's amount.
    """
    ratio = (log_height - pairs.log_rel[chosen]) / pairs.height_spread[chosen]
    height = pairs.log_height[chosen] - 0.5 * ratio**2
    nats: FloatArray = pairs.log_found[chosen] + np.maximum(height, LOG_HEIGHT_MIN)
    return nats


def _amounts(
    scene: Scene, pairs: PairTerms, chosen: IntArray, log_free: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Amount of each entry and its ln, shape (e,): weighted median over its matched bands.

    The strong bands count most; a band that another substance lies on is an outlier and must not
    raise the amount, or it would hide that other substance.
    """
    ratio = log_free - pairs.log_amount_rel[chosen]
    order = np.argsort(ratio + pairs.apart[chosen])
    owner = pairs.owner[chosen][order]
    weight = pairs.amount_weight[chosen][order]
    total = sums(owner, weight, scene.entry_count)
    inner = np.cumsum(weight) - (np.cumsum(total) - total)[owner]
    # The first band at which half of the entry's weight is reached.
    reached = inner >= 0.5 * total[owner] - 1e-12
    middle = order[reached][::-1]
    log_amount = np.full(scene.entry_count, -np.inf)
    log_amount[pairs.owner[chosen[middle]]] = ratio[middle]
    return np.exp(log_amount), log_amount


def _shared(scene: Scene, rows: IntArray, told: FloatArray, expected: FloatArray) -> FloatArray:
    """What the height of the light at these bands says for the entry on top of the model."""
    strongest = float(scene.measured.height.max(initial=0.0))
    light = np.maximum(band_terms(scene).light[rows], max(DARK_SHARE * strongest, 1e-300))
    least = np.maximum(told, 0.1 * light)
    without = np.log(light / least)
    together = without - np.log1p(expected / least)
    gain = (0.5 / SHARED_SPREAD**2) * (without + together) * (without - together)
    gain = np.minimum(np.maximum(gain, -SHARED_NATS_MAX), SHARED_NATS_MAX)
    return np.where(told > 0.1 * light, gain, 0.0)


def _faint(
    scene: Scene, rows: IntArray, expected: FloatArray, told: FloatArray | None, axis: AxisBelief
) -> FloatArray:
    """What the light at the places of these faint bands says, shape (r,)."""
    smooth, terms = scene.prepared.smooth, band_terms(scene)
    sd = np.sqrt(scene.bands.position_sd_cm1[rows] ** 2 + axis.sd_cm1**2)
    along = terms.along[rows] + axis.mean_cm1 / STEP_CM1
    cells = np.rint(along + FAINT_STEPS[:, None] / STEP_CM1 * sd).astype(np.int64)
    light = smooth.take(cells, mode="clip").max(axis=0)
    if told is not None:
        light -= told[rows]
    noise = terms.noise[rows]
    return faint_nats(expected / noise, light / noise)


def _completeness(scene: Scene, free: FloatArray) -> FloatArray:
    """Bonus for entries that leave no strong band unexplained, shape (e,)."""
    least = COMPLETE_SHARE * float(scene.measured.height.max(initial=0.0))
    strong = (free > 0.0) & (free >= least) & scene.measured.sharp
    if not strong.any():
        return np.zeros(scene.entry_count)
    bonus: FloatArray = np.where(pair_terms(scene).near[strong].all(axis=0), COMPLETE_BONUS, 0.0)
    return bonus
