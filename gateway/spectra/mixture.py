"""Render substances as spectra and find how much of each the measured light needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import nnls

from gateway.spectra.baseline import BROAD_CM1, background
from gateway.spectra.library import Library
from gateway.spectra.prepare import STEP_CM1, WINDOW_CM1, smoothed
from gateway.spectra.spectrum import FloatArray, IntArray

LORENTZ_PART = 0.5
"""Share of Lorentzian in a rendered band: molecular bands are Lorentzian, the instrument's line
is Gaussian, and at hand-held resolution both are about equally wide."""

LN_TWO = math.log(2.0)
REACH_WIDTHS = 6.0
"""Half of the length over which a band is drawn, in its widths."""

SHAPES_CACHED_MAX = 16
"""Libraries kept as rendered heights, one per tenth of a wavenumber of resolution in use."""

CREST_CM1 = 12.0
"""Bands further apart than this do not run together at hand-held resolution."""

PLACE_FLOOR_CM1 = 0.5
"""Error of any place, tabulated or measured: the grid and what is read off it."""

NEAR_CM1 = 6.0
"""Most bands are looked for no further than this from their place."""

CROWDING_CM1 = 12.0
"""Width over which the population of band positions is averaged."""

FINGERPRINT_CM1 = (250.0, 1850.0)
"""Where that population is compared with its mean."""

RENDERED_MAX = 1_000_000
"""Numbers rendered at once: 8 MB."""

MODEL_ERROR_SHARE = 0.1
"""Error of a rendered band over the light around it (position, width and line shape), so that a
strong band's flanks are not taken for another substance."""

WING_ERROR_SHARE = 0.01
"""Error far from a band over the strongest band: wings of the line shape, rest of background."""

ENVELOPE_CM1 = 8.0
"""Distance over which that error spreads."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Some of the bands by rising crest, arrays of shape (k,).

    Attributes:
        band: index into the library's bands.
        crest_cm1: rising.
        reach_cm1: how far from its crest any of them is looked for, without the axis error.
    """

    band: IntArray
    crest_cm1: FloatArray
    reach_cm1: float


@dataclass(frozen=True, slots=True)
class RenderedHeights:
    """Heights of all tabulated bands at one resolution, arrays of shape (b,).

    Attributes:
        visible: tabulated height times what the background estimate leaves of a broad band.
        crest_cm1: where the band's crest is when its neighbours run into it.
        merged: height of the whole rendered substance there.
        width_cm1: full width at half height as the instrument shows it.
        reach_cm1: how far from its place each band is looked for, without the axis error.
        variance: of the tabulated places, in cm^-2.
        lookups: the bands by rising crest, for finding those near a place; those that are looked
            for far from it apart from the others.
        crowd_cm1, crowd: places, shape (k,), and how much more populated than on average the
            library is there.
    """

    visible: FloatArray
    crest_cm1: FloatArray
    merged: FloatArray
    width_cm1: FloatArray
    reach_cm1: FloatArray
    variance: FloatArray
    lookups: tuple[Lookup, ...]
    crowd_cm1: FloatArray
    crowd: FloatArray


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """Non-negative least squares of the accepted substances; arrays over components (k,).

    Attributes:
        amount: factor of each component's template.
        need: F statistic: rise of the misfit when the component is left out and the others are
            fitted again, over the misfit that remains.
        explained: share of the signal's area that the sum explains, 0 to 1.
    """

    amount: FloatArray
    need: FloatArray
    explained: float


def band_shape(
    grid_cm1: FloatArray, shift_cm1: FloatArray | float, width_cm1: FloatArray | float
) -> FloatArray:
    """Band of height 1 and full width at half height `width_cm1`; arguments broadcast."""
    x = (grid_cm1 - shift_cm1) * (2.0 / width_cm1)
    square = x * x
    shape: FloatArray = np.asarray(
        LORENTZ_PART / (1.0 + square) + (1.0 - LORENTZ_PART) * np.exp(-LN_TWO * square)
    )
    return shape


def render(
    grid_cm1: FloatArray, shift_cm1: FloatArray, height: FloatArray, width_cm1: FloatArray
) -> FloatArray:
    """Sum of bands on an even grid, shape (n,); bands of shape (b,).

    Each band is drawn REACH_WIDTHS wide to either side; beyond, less than 0.4 % of it is left.
    """
    size = grid_cm1.size
    total = np.zeros(size)
    reach = round(REACH_WIDTHS * float(width_cm1.max(initial=STEP_CM1)) / STEP_CM1)
    reach = min(reach, size)
    middle = np.rint((shift_cm1 - grid_cm1[0]) / STEP_CM1)
    away = (
        STEP_CM1 * np.arange(-reach, reach + 1)
        + (grid_cm1[0] + STEP_CM1 * middle - shift_cm1)[:, None]
    )
    light = height[:, None] * band_shape(away, 0.0, width_cm1[:, None])
    for row, cell in zip(light, middle.astype(np.int64).tolist(), strict=True):
        low, high = max(cell - reach, 0), min(cell + reach + 1, size)
        if low < high:
            total[low:high] += row[low - cell + reach : high - cell + reach]
    return total


@lru_cache(maxsize=1)
def _visibility() -> tuple[FloatArray, FloatArray]:
    """Height that the background estimate leaves of a lone band, for a ladder of widths."""
    grid = np.arange(WINDOW_CM1[0], WINDOW_CM1[1], STEP_CM1)
    widths = np.array([BROAD_CM1, 80.0, 120.0, 160.0, 200.0, 250.0, 300.0])
    kept = []
    for width in widths:
        band = band_shape(grid, float(grid[grid.size // 2]), float(width))
        kept.append(float(np.clip((band - background(band)).max(), 0.0, 1.0)))
    return widths, np.array(kept)


def render_heights(library: Library, resolution_cm1: float) -> RenderedHeights:
    """Heights of all bands at the instrument's resolution (cached).

    Args:
        library: the band tables.
        resolution_cm1: instrument line width (FWHM) in cm^-1.
    """
    return _render_heights(library, round(resolution_cm1, 1))


@lru_cache(maxsize=SHAPES_CACHED_MAX)
def _render_heights(library: Library, resolution_cm1: float) -> RenderedHeights:
    bands = library.arrays
    width = np.hypot(bands.fwhm_cm1, resolution_cm1)
    ladder, kept = _visibility()
    seen = np.where(width > BROAD_CM1, np.interp(width, ladder, kept), 1.0)
    visible = bands.rel_intensity * seen
    crest = bands.shift_cm1.copy()
    merged = np.zeros_like(visible)
    count = np.bincount(bands.entry, minlength=len(library.entries))
    start = np.cumsum(count) - count
    for size in np.unique(count[count > 0]):
        for part in _portions(np.flatnonzero(count == size), int(size)):
            rows = start[part][:, None] + np.arange(size)[None, :]
            crest[rows], merged[rows] = _crests(bands.shift_cm1[rows], visible[rows], width[rows])
    crowd_cm1, crowd = _crowd(bands.shift_cm1)
    return RenderedHeights(
        visible=visible,
        crest_cm1=crest,
        merged=merged,
        width_cm1=width,
        reach_cm1=reach_cm1(library),
        variance=bands.position_sd_cm1**2 + loose_cm1(library) ** 2 + PLACE_FLOOR_CM1**2,
        lookups=_lookups(library, crest),
        crowd_cm1=crowd_cm1,
        crowd=crowd,
    )


def reach_cm1(library: Library) -> FloatArray:
    """How far from its place each band is looked for, without the axis error, shape (b,)."""
    bands = library.arrays
    return 2.0 * bands.position_sd_cm1 + loose_cm1(library) + PLACE_FLOOR_CM1


def loose_cm1(library: Library) -> FloatArray:
    """Broad bands are located only to a tenth of their width, whatever the table says."""
    fwhm = library.arrays.fwhm_cm1
    loose: FloatArray = 0.1 * fwhm * (fwhm > 0.5 * BROAD_CM1)
    return loose


def _lookups(library: Library, crest_cm1: FloatArray) -> tuple[Lookup, ...]:
    reach = reach_cm1(library)
    found = []
    for part in (reach <= NEAR_CM1, reach > NEAR_CM1):
        rows = np.flatnonzero(part)
        rows = rows[np.argsort(crest_cm1[rows], kind="stable")]
        found.append(Lookup(rows, crest_cm1[rows], float(reach[rows].max(initial=0.0))))
    return tuple(found)


def _portions(entries: IntArray, size: int) -> list[IntArray]:
    """Cut a list of entries of `size` bands each so that rendering one part stays small."""
    each = max(1, RENDERED_MAX // (size * size * round(2.0 * CREST_CM1 + 1.0)))
    return [entries[at : at + each] for at in range(0, entries.size, each)]


def _crests(
    shift_cm1: FloatArray, height: FloatArray, width_cm1: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Climb from each band to the crest it is part of; arrays of shape (entries, bands).

    Returns:
        Position and height of the crest; a shoulder without one keeps its own place.
    """
    steps = np.arange(-CREST_CM1, CREST_CM1 + 0.5)
    places = shift_cm1[:, :, None] + steps[None, None, :]
    shapes = band_shape(
        places[:, :, :, None], shift_cm1[:, None, None, :], width_cm1[:, None, None, :]
    )
    hills = np.einsum("ebsc,ec->ebs", shapes, height)
    middle = steps.size // 2
    at = np.full(shift_cm1.shape, middle)
    for _ in range(middle):
        around = np.stack(
            [np.take_along_axis(hills, (at + d)[..., None], 2)[..., 0] for d in (-1, 0, 1)]
        )
        at = np.clip(at + np.argmax(around, axis=0) - 1, 1, steps.size - 2)
    at = np.where((at <= 1) | (at >= steps.size - 2), middle, at)
    # A lone band keeps its tabulated place to the digit; the climb has steps of 1 cm^-1.
    crest = np.where(np.abs(steps[at]) <= 1.0, shift_cm1, shift_cm1 + steps[at])
    return crest, np.take_along_axis(hills, at[..., None], 2)[..., 0]


def _crowd(shift_cm1: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Density of tabulated bands along the axis over its mean in the fingerprint region."""
    places = np.arange(WINDOW_CM1[0], WINDOW_CM1[1] + CROWDING_CM1, CROWDING_CM1 / 3.0)
    cell = places[1] - places[0]
    count = np.histogram(shift_cm1, np.append(places - 0.5 * cell, places[-1] + 0.5 * cell))[0]
    low, high = FINGERPRINT_CM1
    inside = (shift_cm1 > low) & (shift_cm1 < high)
    mean = max(float(inside.sum()), 1.0) * cell / (high - low)
    return places, smoothed(count / mean, CROWDING_CM1 / cell, mode="constant")


def fit_mixture(
    signal: FloatArray, noise: FloatArray, templates: FloatArray, resolution_cm1: float
) -> MixtureFit:
    """Fit the accepted substances together and ask of each whether the light needs it.

    Args:
        signal: shape (n,), background removed.
        noise: shape (n,), its standard deviation.
        templates: shape (k, n), one rendered substance each, k >= 1.
        resolution_cm1: instrument line width; neighbouring points within it are one measurement.
    Reference: C. L. Lawson, R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23.
    """
    bright = np.maximum(signal, 0.0)
    spread = MODEL_ERROR_SHARE * smoothed(bright, ENVELOPE_CM1 / STEP_CM1)
    wing = WING_ERROR_SHARE * float(signal.max())
    weight = 1.0 / np.sqrt(noise**2 + spread**2 + wing**2)
    target = signal * weight
    design = templates * weight
    amount, rest = _least_squares(design, target)
    count = templates.shape[0]
    points = max(signal.size * STEP_CM1 / max(resolution_cm1, STEP_CM1), count + 2.0)
    misfit = max(rest**2 * points / signal.size, 1e-12) / (points - count)
    need = np.zeros(count)
    for index in range(count):
        others = [number for number in range(count) if number != index]
        without = _least_squares(design[others], target)[1]
        need[index] = (without**2 - rest**2) * points / signal.size / max(misfit, 1.0)
    model = amount @ templates
    area = float(bright.sum())
    told = float(np.minimum(bright, model).sum())
    return MixtureFit(amount, need, told / area if area > 0.0 else 0.0)


def _least_squares(design: FloatArray, target: FloatArray) -> tuple[FloatArray, float]:
    """Non-negative least squares: the amounts, shape (k,), and the root of the misfit.

    Where the normal equations give no negative amount their solution is the one sought.

    Args:
        design: shape (k, n), templates that are nowhere negative.
        target: shape (n,).
    """
    if not design.shape[0]:
        return np.zeros(0), math.sqrt(float(target @ target))
    _, amount, info = lapack.dposv(design @ design.T, design @ target)
    if info or float(amount.min()) < 0.0:
        amount, rest = nnls(design.T, target)
        return amount, float(rest)
    left = target - amount @ design
    return amount, math.sqrt(float(left @ left))
