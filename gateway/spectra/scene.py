"""One spectrum beside the library, seen once: what does not depend on any accepted substance.

Tabulated and measured bands within reach of each other are paired here; everything that follows
works on these pairs, so that its cost grows with the bands that are near, not with the library.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gateway.spectra.bands import SHARE_MIN, MeasuredBands, detection_limit
from gateway.spectra.library import BandArrays, Library
from gateway.spectra.mixture import RenderedHeights
from gateway.spectra.prepare import STEP_CM1, Prepared
from gateway.spectra.spectrum import BoolArray, FloatArray, IntArray

STRONG_REL = 0.5
"""A tabulated band this high is a strong one."""

RIPPLE_SHARE = SHARE_MIN / 3.0
"""Ripple and residues of the background over the strongest band, as one standard deviation."""

AXIS_SHARE = 0.5
"""Standard deviation of the axis error over its stated half-width."""


AXIS_SD_CM1_MIN = 0.1
"""No axis is known better; below, an axis said to be exact could not be weighed."""

PRIOR_NATS = {"packaging": 1.6}
"""Before anything is measured, a bag or bottle around the goods is five times likelier than any
single kind of goods."""


LIBRARIES_MAX = 8
"""Libraries of which such figures are kept; a gateway has one or two."""

GRIDS_KEPT = 16
"""Grids of which the places of the tabulated bands are kept: an instrument's own and the twelve of
a search for a moved axis; 40 kB each with the shipped library."""


@dataclass(frozen=True, slots=True)
class AxisBelief:
    """What is known of the common offset of a spectrum's axis: normal, in cm^-1."""

    mean_cm1: float
    sd_cm1: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """Tabulated and measured bands within reach of each other, arrays of shape (p,).

    Attributes:
        band: index into the library's bands.
        peak: index into the measured bands.
        offset_cm1: measured minus tabulated position.
        variance: of the offset in cm^-2, without the axis.
    """

    band: IntArray
    peak: IntArray
    offset_cm1: FloatArray
    variance: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One spectrum, seen once: everything that does not depend on the accepted substances.

    Equal only to itself, so that it can be a key.

    Attributes:
        limit: shape (n,), smallest height that would be found.
        inside: shape (b,), tabulated bands in the measured range.
        cell, part: shape (b,), place of the tabulated bands on the grid: index and remainder.
        peak_cell, peak_part: shape (m,), the same of the measured bands.
        looks_nats: shape (e,), what an entry must make up for: the number of substances compared,
            less what is known of it beforehand.
        crowding: shape (m,), how populated the place is in the library.
        ripple: what is never known better about the background, unit of the input.
    """

    prepared: Prepared
    measured: MeasuredBands
    limit: FloatArray
    bands: BandArrays
    looks_nats: FloatArray
    entry_count: int
    inside: BoolArray
    cell: IntArray
    part: FloatArray
    window_cm1: FloatArray
    width_cm1: FloatArray
    rel_visible: FloatArray
    rel_merged: FloatArray
    pairs: Pairs
    peak_cell: IntArray
    peak_part: FloatArray
    peak_limit: FloatArray
    crowding: FloatArray
    ripple: float
    axis: AxisBelief

    def at_all_bands(self, values: FloatArray) -> FloatArray:
        """Values on the grid, shape (n,), at the tabulated bands, shape (b,)."""
        low: FloatArray = values[self.cell]
        return low + self.part * (values[self.cell + 1] - low)

    def at_peaks(self, values: FloatArray) -> FloatArray:
        """Values on the grid, shape (n,), at the measured bands, shape (m,)."""
        low: FloatArray = values[self.peak_cell]
        return low + self.peak_part * (values[self.peak_cell + 1] - low)

    def rows_of(self, index: int) -> IntArray:
        """The rows of one entry in the library's bands."""
        return np.arange(self.bands.starts[index], self.bands.starts[index + 1])


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
    inside, cell, part = _standing(
        library, float(grid[0]), grid.size, 0.5 * prepared.resolution_cm1
    )
    if prepared.lost.any():
        inside = inside & ~prepared.lost[cell]
    window = heights.reach_cm1 + axis_uncertainty_cm1
    limit = detection_limit(prepared)
    peak_cell, peak_part = _place(float(grid[0]), grid.size, measured.shift_cm1)
    return Scene(
        prepared=prepared,
        measured=measured,
        limit=limit,
        bands=bands,
        looks_nats=_looks(library),
        entry_count=len(library.entries),
        inside=inside,
        cell=cell,
        part=part,
        window_cm1=window,
        width_cm1=heights.width_cm1,
        rel_visible=heights.visible,
        rel_merged=heights.merged,
        pairs=_pair(measured, heights, window, inside, axis_uncertainty_cm1),
        peak_cell=peak_cell,
        peak_part=peak_part,
        peak_limit=np.interp(measured.shift_cm1, grid, limit),
        crowding=_crowding(heights, measured),
        ripple=RIPPLE_SHARE * float(max(prepared.smooth.max(), 0.0)),
        axis=AxisBelief(0.0, max(AXIS_SHARE * axis_uncertainty_cm1, AXIS_SD_CM1_MIN)),
    )


@lru_cache(maxsize=LIBRARIES_MAX)
def _looks(library: Library) -> FloatArray:
    """Ln of the number of substances, less the prior of each entry, shape (e,)."""
    prior = [PRIOR_NATS.get(library[entry.substance_id].category, 0.0) for entry in library.entries]
    looks: FloatArray = np.log(max(len(library.active_ids), 1)) - np.array(prior)
    return looks


@lru_cache(maxsize=GRIDS_KEPT)
def _standing(
    library: Library, low_cm1: float, size: int, edge_cm1: float
) -> tuple[BoolArray, IntArray, FloatArray]:
    """Where the tabulated bands stand on a grid, which an instrument has for ever.

    Args:
        library: the band tables.
        low_cm1: first point of the grid.
        size: its number of points.
        edge_cm1: bands nearer to its ends are not wholly seen.

    Returns:
        Whether each band is inside, its cell and the remainder; shape (b,).
    """
    shift = library.arrays.shift_cm1
    high_cm1 = low_cm1 + STEP_CM1 * (size - 1)
    inside = (shift >= low_cm1 + edge_cm1) & (shift <= high_cm1 - edge_cm1)
    return inside, *_place(low_cm1, size, shift)


def _place(low_cm1: float, size: int, shift_cm1: FloatArray) -> tuple[IntArray, FloatArray]:
    """Index of the grid point below each place, and the remainder, 0 to 1; clipped to the grid."""
    along = (shift_cm1 - low_cm1) / STEP_CM1
    along = np.minimum(np.maximum(along, 0.0), size - 1.001)
    cell = along.astype(np.int64)
    return cell, along - cell


def _pair(
    measured: MeasuredBands,
    heights: RenderedHeights,
    window_cm1: FloatArray,
    inside: BoolArray,
    axis_uncertainty_cm1: float,
) -> Pairs:
    """Find all pairs within reach."""
    error = measured.shift_error_cm1
    found: list[tuple[IntArray, IntArray]] = []
    for lookup in heights.lookups:
        reach = lookup.reach_cm1 + axis_uncertainty_cm1 + 2.0 * error
        first = np.searchsorted(lookup.crest_cm1, measured.shift_cm1 - reach)
        stop = np.searchsorted(lookup.crest_cm1, measured.shift_cm1 + reach, side="right")
        count = stop - first
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        band = lookup.band[np.repeat(first, count) + within]
        found.append((band, np.repeat(np.arange(measured.count), count)))
    band = np.concatenate([pair[0] for pair in found])
    peak = np.concatenate([pair[1] for pair in found])
    offset = measured.shift_cm1[peak] - heights.crest_cm1[band]
    near = (np.abs(offset) <= window_cm1[band] + 2.0 * error[peak]) & inside[band]
    band, peak = band[near], peak[near]
    return Pairs(band, peak, offset[near], heights.variance[band] + error[peak] ** 2)


def _crowding(heights: RenderedHeights, measured: MeasuredBands) -> FloatArray:
    """How much likelier than on average any substance has a band at each place, shape (m,).

    Molecules share their bonds: 880, 1000, 1300 and 1450 cm^-1 are populated by many substances,
    so a match there is worth less than one at a rare place. Estimated from the library itself.
    """
    local = np.interp(measured.shift_cm1, heights.crowd_cm1, heights.crowd)
    relative: FloatArray = np.minimum(np.maximum(local, 0.5), 3.0)
    return relative


def crowd_density(scene: Scene, free: FloatArray) -> FloatArray:
    """Unexplained sharp bands of at least half the height of each, per cm^-1, shape (m,)."""
    rivals = (free > 0.0) & scene.measured.sharp
    counts = (free[None, :] >= 0.5 * free[:, None]) & rivals[None, :]
    density: FloatArray = (
        np.maximum(np.count_nonzero(counts, axis=1), 1.0) / scene.prepared.span_cm1
    )
    return density


def sums(owner: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Sum of the values of each owner, shape (count,)."""
    return np.bincount(owner, values, count).astype(np.float64, copy=False)


def shortlist(scene: Scene, count: int) -> IntArray:
    """The entries for which most bands stand at their places, rising indices.

    Cheap, for large libraries: heights and widths are not looked at, and a strong band without any
    measured one near it counts against an entry.
    """
    pairs, bands = scene.pairs, scene.bands
    density = crowd_density(scene, scene.measured.height) * scene.crowding
    variance = pairs.variance + scene.axis.sd_cm1**2
    worth = -0.5 * (pairs.offset_cm1**2 / variance + np.log(2.0 * np.pi * variance))
    worth -= np.log(density[pairs.peak])
    near = np.zeros(bands.entry.size, dtype=np.bool_)
    near[pairs.band] = True
    lacking = scene.inside & (scene.rel_visible >= STRONG_REL) & ~near
    total = sums(bands.entry[pairs.band], np.maximum(worth, 0.0), scene.entry_count)
    total += sums(bands.entry[lacking], bands.log_missing[lacking], scene.entry_count)
    total -= scene.looks_nats
    return np.sort(np.argpartition(-total, count)[:count])


def narrow(scene: Scene, keep: IntArray, bands: BandArrays) -> Scene:
    """The same scene with only these entries, rising indices; `bands` are theirs alone."""
    place = np.full(scene.entry_count, -1, dtype=np.int64)
    place[keep] = np.arange(keep.size)
    rows = np.flatnonzero(place[scene.bands.entry] >= 0)
    row = np.full(scene.bands.entry.size, -1, dtype=np.int64)
    row[rows] = np.arange(rows.size)
    pairs = scene.pairs
    near = row[pairs.band] >= 0
    return replace(
        scene,
        bands=bands,
        looks_nats=scene.looks_nats[keep],
        entry_count=keep.size,
        inside=scene.inside[rows],
        cell=scene.cell[rows],
        part=scene.part[rows],
        window_cm1=scene.window_cm1[rows],
        width_cm1=scene.width_cm1[rows],
        rel_visible=scene.rel_visible[rows],
        rel_merged=scene.rel_merged[rows],
        pairs=Pairs(
            row[pairs.band[near]],
            pairs.peak[near],
            pairs.offset_cm1[near],
            pairs.variance[near],
        ),
    )
