"""Remove cosmic rays without eating narrow bands.

A cosmic ray fills one or two pixels. A real band is spread by the instrument over its whole line
width, so it can never be narrower than that; this is the only thing that tells the two apart in a
single exposure, and it works only where the line width covers at least two pixels.
"""

from __future__ import annotations

import math

import numpy as np

from gateway.spectra.spectrum import BoolArray, FloatArray, IntArray

WIDTH_SHARE_MAX = 0.6
"""A peak narrower than this share of the line width cannot be a band (a two-pixel hit spreads
over 2 pixels; detectors are laid out for 3 to 6 pixels per line width)."""

SPIKE_SNR_MIN = 8.0
"""Height over noise; smaller hits do not survive the rebinning as a band."""

FOOT_SHARE_MAX = 0.35
"""Height of the points beside a hit over the hit's own; one pixel off the crest of a band that is
three pixels wide the light is still at 0.73."""

REACH_PIXELS = 4
"""Points on each side that show the level a hit stands on."""

RESOLUTION_DEFAULT_CM1 = 4.0
"""Line width assumed when nobody knows it: small, so that no band of a good instrument is taken."""


def difference_noise(values: FloatArray) -> float:
    """Estimate white noise from second differences, insensitive to bands and background.

    Args:
        values: shape (n,), n >= 3, evenly or almost evenly sampled.

    Returns:
        Standard deviation in the unit of `values`; the median absolute deviation is used because
        bands touch only a minority of the differences.
    """
    second = values[2:] - 2.0 * values[1:-1] + values[:-2]
    middle = second.size // 2
    return float(np.partition(np.abs(second), middle)[middle] / (0.6745 * math.sqrt(6.0)))


def remove_spikes(
    axis_cm1: FloatArray, counts: FloatArray, resolution_cm1: float | None
) -> tuple[FloatArray, BoolArray]:
    """Replace cosmic-ray hits by the straight line between their neighbours.

    Args:
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing.
        counts: shape (n,), intensity.
        resolution_cm1: instrument line width (FWHM) in cm^-1; None = assume a fine one.

    Returns:
        The cleaned copy, shape (n,), and the mask of replaced points, shape (n,).
    """
    noise = difference_noise(counts)
    tops = _steep_tops(counts, (1.0 - FOOT_SHARE_MAX) * SPIKE_SNR_MIN * noise)
    clean = counts.copy()
    mask = np.zeros(counts.shape, dtype=np.bool_)
    if not tops.size:
        return clean, mask
    last = counts.size - 1
    rising = counts[tops - 1] < counts[tops + 1]
    left = np.where(rising, tops - 1, np.maximum(tops - 2, 0))
    right = np.where(rising, np.minimum(tops + 2, last), tops + 1)
    level = _level(counts, left, right)
    height = counts[tops] - level
    # The feet of a hit lie at the level of its surroundings; those of a band's crest do not.
    hit = height >= max(SPIKE_SNR_MIN * noise, 1e-12)
    hit &= np.maximum(counts[left], counts[right]) <= level + FOOT_SHARE_MAX * height
    width_max = WIDTH_SHARE_MAX * (resolution_cm1 or RESOLUTION_DEFAULT_CM1)
    for at in np.flatnonzero(hit):
        first, end = int(left[at]), int(right[at])
        half = float(level[at] + 0.5 * height[at])
        if half_width_cm1(axis_cm1, counts, int(tops[at]), half) > width_max:
            continue
        inside = np.arange(first + 1, end)
        clean[inside] = np.interp(
            axis_cm1[inside], [axis_cm1[first], axis_cm1[end]], [counts[first], counts[end]]
        )
        mask[inside] = True
    return clean, mask


def _steep_tops(counts: FloatArray, rise_min: float) -> IntArray:
    """Indices of maxima that stand this far above their feet, a pixel or two away.

    A hit stands clearly above both its neighbours, or above the pair around it. Most maxima are
    noise; only the few steep ones are worth a closer look.
    """
    inner = counts[1:-1]
    tops = 1 + np.flatnonzero((inner >= counts[:-2]) & (inner > counts[2:]))
    rising = counts[tops - 1] < counts[tops + 1]
    before, after = np.maximum(tops - 2, 0), np.minimum(tops + 2, counts.size - 1)
    feet = np.maximum(
        np.where(rising, counts[tops - 1], counts[before]),
        np.where(rising, counts[after], counts[tops + 1]),
    )
    steep: IntArray = tops[counts[tops] - feet >= rise_min]
    return steep


def _level(counts: FloatArray, left: IntArray, right: IntArray) -> FloatArray:
    """Median of the 2 * REACH_PIXELS points around each hit, between whose feet it stands, (k,)."""
    reach = np.arange(REACH_PIXELS)
    places = np.concatenate((left[:, None] - 1 - reach, right[:, None] + reach), axis=1)
    around = np.sort(counts.take(places, mode="clip"), axis=1)
    level: FloatArray = 0.5 * (around[:, REACH_PIXELS - 1] + around[:, REACH_PIXELS])
    return level


def half_width_cm1(axis_cm1: FloatArray, counts: FloatArray, top: int, half: float) -> float:
    """Width of the peak at `half`, by straight lines between the points, in cm^-1."""
    last = counts.shape[0] - 1
    left = top
    while left > 0 and counts[left] > half:
        left -= 1
    right = top
    while right < last and counts[right] > half:
        right += 1
    edges = []
    for outer, inner in ((left, left + 1), (right, right - 1)):
        rise = counts[inner] - counts[outer]
        share = 0.0 if rise <= 0.0 else (half - counts[outer]) / rise
        edges.append(axis_cm1[outer] + share * (axis_cm1[inner] - axis_cm1[outer]))
    return float(edges[1] - edges[0])
