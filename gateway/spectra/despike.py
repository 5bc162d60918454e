"""Remove cosmic rays without eating narrow bands.

A cosmic ray fills one or two pixels. A real band is spread by the instrument over its whole line
width, so it can never be narrower than that; this is the only thing that tells the two apart in a
single exposure, and it works only where the line width covers at least two pixels.
"""

from __future__ import annotations

import numpy as np

from gateway.spectra.spectrum import BoolArray, FloatArray

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
    return float(np.median(np.abs(second)) / (0.6745 * np.sqrt(6.0)))


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
    clean = counts.copy()
    mask = np.zeros(counts.shape, dtype=np.bool_)
    width_max = WIDTH_SHARE_MAX * (resolution_cm1 or RESOLUTION_DEFAULT_CM1)
    noise = difference_noise(counts)
    inner = counts[1:-1]
    # A hit stands clearly above both its neighbours, or above the pair around it.
    tops = 1 + np.flatnonzero((inner >= counts[:-2]) & (inner > counts[2:]))
    reach = REACH_PIXELS
    rising = counts[tops - 1] < counts[tops + 1]
    before, after = np.maximum(tops - 2, 0), np.minimum(tops + 2, counts.size - 1)
    feet = np.maximum(
        np.where(rising, counts[tops - 1], counts[before]),
        np.where(rising, counts[after], counts[tops + 1]),
    )
    # Most crests are noise; only those high above their feet are worth a closer look.
    steep = counts[tops] - feet >= (1.0 - FOOT_SHARE_MAX) * SPIKE_SNR_MIN * noise
    for top in tops[steep]:
        left, right = _feet(counts, int(top))
        around = np.concatenate(
            (counts[max(left - reach, 0) : left], counts[right : right + reach])
        )
        level = float(np.median(around))
        height = counts[top] - level
        if height < max(SPIKE_SNR_MIN * noise, 1e-12):
            continue
        # The feet of a hit lie at the level of its surroundings; those of a band's crest do not.
        if max(counts[left], counts[right]) > level + FOOT_SHARE_MAX * height:
            continue
        if _half_width_cm1(axis_cm1, counts, int(top), level + 0.5 * height) > width_max:
            continue
        inside = np.arange(left + 1, right)
        clean[inside] = np.interp(
            axis_cm1[inside], [axis_cm1[left], axis_cm1[right]], [counts[left], counts[right]]
        )
        mask[inside] = True
    return clean, mask


def _feet(counts: FloatArray, top: int) -> tuple[int, int]:
    """Indices of the unhit points left and right of a hit of at most two pixels."""
    last = counts.shape[0] - 1
    left, right = max(top - 2, 0), min(top + 2, last)
    if counts[top - 1] < counts[top + 1]:
        left = top - 1
    else:
        right = top + 1
    return left, right


def _half_width_cm1(axis_cm1: FloatArray, counts: FloatArray, top: int, half: float) -> float:
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
