"""What of the evidence does not depend on the accepted substances, worked out once per spectrum.

Weighing is repeated for every set of accepted substances. Logarithms of widths and grades, the
light at the tabulated bands and the measured bands near them stay the same all the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gateway.spectra.prepare import STEP_CM1
from gateway.spectra.scene import Scene
from gateway.spectra.spectrum import BoolArray, FloatArray, IntArray

HEIGHT_RANGE = 3.0
"""Width in ln(height) over which the height of a chance band is spread (a factor of 20)."""

WIDTH_SPREAD = 0.3
WIDTH_RANGE = 1.2
WIDTH_OUTLIER = 0.15
"""Widths agree to 30 % unless bands overlap, which happens to about one in seven."""

MISSING_FACTOR = 0.3
"""Less than this share of the expected height at a band's place means: not there."""

OVERLAP_WIDTHS = 0.7
"""Two bands closer than this share of their width run together into one crest."""

OVERLAP_FACTOR = 2.0
"""A measured band half as high as the expected one is high enough to swallow it."""

FAINT_SNR_MIN = 1.5
"""A band expected to be weaker over noise says nothing."""

AMOUNT_REL_MIN = 1e-3
"""No amount is read from a band that its background or its neighbours leave less of."""

LOG_APART = 2048.0
"""More than logarithms of heights can differ by, little enough for ten decimals to remain."""

BRIGHT_STEPS: FloatArray = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / STEP_CM1
"""Where in a band's window the light is looked at, in windows, times cells per cm^-1."""

SCENES_KEPT = 2
"""The spectrum at hand and the same on a moved axis."""


@dataclass(frozen=True, slots=True)
class PairTerms:
    """The scene's pairs by rising tabulated height; arrays of shape (p,) where not said otherwise.

    Attributes:
        band, peak, offset_cm1, variance: as in `scene.Pairs`.
        owner: entry of the band.
        key: one number for each entry and measured band, below entries times measured bands.
        precision: 1 / variance.
        log_fixed: ln(2 * pi * variance).
        log_found: ln of presence and width of a band found.
        log_height: ln of the density of its height where it is as tabulated.
        height_spread: standard deviation of ln(height).
        log_rel: ln of the tabulated height where bands run together.
        log_amount_rel: the same, bounded, for reading amounts.
        amount_weight: weight of the band for the amount.
        apart: what sets the logarithms of one entry's heights apart from those of the next.
        rows: number of tabulated bands up to the last one.
        near: shape (m, e), true where an entry has a band within reach of a measured one.
    """

    band: IntArray
    peak: IntArray
    offset_cm1: FloatArray
    variance: FloatArray
    owner: IntArray
    key: IntArray
    precision: FloatArray
    log_fixed: FloatArray
    log_found: FloatArray
    log_height: FloatArray
    height_spread: FloatArray
    log_rel: FloatArray
    log_amount_rel: FloatArray
    amount_weight: FloatArray
    apart: FloatArray
    rows: int
    near: BoolArray


@dataclass(frozen=True, slots=True)
class BandTerms:
    """What stands at the tabulated bands, arrays of shape (b,).

    Attributes:
        visible_min: expected height from which the band's absence would be noticed; infinite
            outside the measured range.
        covered_max: expected height up to which there is light enough in another band's flank.
        swallowed_max: expected height up to which a neighbouring measured band may hold it.
        noise: noise at the place, ripple included.
        faint_min: expected height from which the light at the place says something; infinite
            outside the measured range.
        light: filtered light at the place.
        along: place on the grid, in cells.
    """

    visible_min: FloatArray
    covered_max: FloatArray
    swallowed_max: FloatArray
    noise: FloatArray
    faint_min: FloatArray
    light: FloatArray
    along: FloatArray


@lru_cache(maxsize=SCENES_KEPT)
def pair_terms(scene: Scene) -> PairTerms:
    """The terms of the scene's pairs."""
    pairs, bands = scene.pairs, scene.bands
    # The strongest band of an entry comes last, of equal ones the first in the table.
    order = np.lexsort((-pairs.band, scene.rel_visible[pairs.band]))
    band, peak, variance = pairs.band[order], pairs.peak[order], pairs.variance[order]
    owner = bands.entry[band]
    wide = np.log(np.maximum(scene.measured.fwhm_cm1, 0.1))[peak] - np.log(scene.width_cm1[band])
    width = WIDTH_RANGE * np.exp(-0.5 * (wide / WIDTH_SPREAD) ** 2)
    width *= (1.0 - WIDTH_OUTLIER) / (WIDTH_SPREAD * np.sqrt(2.0 * np.pi))
    spread, rel = bands.height_spread[band], scene.rel_merged[band]
    near = np.zeros((scene.measured.count, scene.entry_count), dtype=np.bool_)
    near[peak, owner] = True
    return PairTerms(
        band=band,
        peak=peak,
        offset_cm1=pairs.offset_cm1[order],
        variance=variance,
        owner=owner,
        key=owner * scene.measured.count + peak,
        precision=1.0 / variance,
        log_fixed=np.log(2.0 * np.pi * variance),
        log_found=np.log((1.0 - bands.missing_chance[band]) * (width + WIDTH_OUTLIER)),
        log_height=np.log(HEIGHT_RANGE / (spread * np.sqrt(2.0 * np.pi))),
        height_spread=spread,
        log_rel=np.log(np.maximum(rel, 1e-300)),
        log_amount_rel=np.log(np.maximum(rel, AMOUNT_REL_MIN)),
        amount_weight=np.sqrt(scene.rel_visible[band]),
        apart=owner * np.float64(LOG_APART),
        rows=int(band.max(initial=0)) + 1,
        near=near,
    )


@lru_cache(maxsize=SCENES_KEPT)
def band_terms(scene: Scene) -> BandTerms:
    """The terms of the tabulated bands."""
    prepared = scene.prepared
    everywhere = np.where(scene.inside, 1.0, np.inf)
    along = scene.cell + scene.part
    places = along + BRIGHT_STEPS[:, None] * scene.window_cm1
    cells = np.rint(places).astype(np.int64)
    brightest = prepared.smooth.take(cells, mode="clip").max(axis=0)
    swallowed = OVERLAP_FACTOR * _highest_near(scene)
    noise = np.maximum(scene.at_all_bands(prepared.noise), scene.ripple)
    return BandTerms(
        visible_min=scene.at_all_bands(scene.limit) / MISSING_FACTOR * everywhere,
        covered_max=np.minimum(brightest / MISSING_FACTOR, swallowed),
        swallowed_max=swallowed,
        noise=noise,
        faint_min=FAINT_SNR_MIN * noise * everywhere,
        light=scene.at_all_bands(prepared.smooth),
        along=along,
    )


def _highest_near(scene: Scene) -> FloatArray:
    """Height of the highest measured band that runs into each tabulated one, shape (b,).

    -inf = none does.
    """
    measured = scene.measured
    shift_cm1, own = scene.bands.shift_cm1, OVERLAP_WIDTHS * scene.width_cm1
    highest, reach = np.full(own.shape, -np.inf), np.empty_like(own)
    away = np.empty_like(own)
    lowest_first = np.argsort(measured.height)
    for shift, fwhm, height in zip(
        measured.shift_cm1[lowest_first].tolist(),
        measured.fwhm_cm1[lowest_first].tolist(),
        measured.height[lowest_first].tolist(),
        strict=True,
    ):
        np.maximum(own, OVERLAP_WIDTHS * fwhm, out=reach)
        reach += scene.window_cm1
        np.abs(np.subtract(shift_cm1, shift, out=away), out=away)
        np.putmask(highest, away <= reach, height)
    return highest
