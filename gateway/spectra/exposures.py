"""Several exposures of one sample: what is in one of them only is a cosmic ray.

That holds while the files are of one sample. Where one of them shows bands that the others do not,
leaving them out would wipe a substance out, so whether they can be of one sample is told too.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from gateway.spectra.despike import (
    RESOLUTION_DEFAULT_CM1,
    WIDTH_SHARE_MAX,
    difference_noise,
    half_width_cm1,
)
from gateway.spectra.spectrum import BoolArray, FloatArray

HIT_SNR_MIN = 8.0
"""Height of a hit over the noise of the comparison; as for a single frame."""

DRIFT_SHARE = 0.1
"""Bands of two exposures of one sample may differ by this much after bringing them together."""

RAY_PIXELS_MAX = 2.5
"""Width at half height that a ray can have whatever the line width: two pixels, and noise on them.
Detectors are laid out for three and more pixels per line."""

STRUCK_SHARE_MAX = 0.03
"""Of the points of one exposure; more rays than a detector meets. As for a single frame."""

BROAD_CM1 = 150.0
"""What is this broad is background, which bleaches from one exposure to the next."""


def against_average(
    frames: FloatArray, noise_counts: float | None = None
) -> tuple[FloatArray, BoolArray]:
    """Find cosmic rays by comparing each exposure with the median of the others.

    A hit is in one frame only, a band in all of them; so a hit may even be as wide as a band. The
    frames may differ in brightness (the sample moved, the laser drifted): each is brought to the
    others by a factor and a level first.

    Args:
        frames: shape (k, n), k >= 2 exposures of the same sample on the same axis.
        noise_counts: noise of one frame; None = measured from neighbouring points.

    Returns:
        Mean of the frames without the struck points, shape (n,), and the hits, shape (k, n).

    Raises:
        ValueError: fewer than two frames.
    """
    stack = np.asarray(frames, dtype=np.float64)
    if stack.ndim != 2 or stack.shape[0] < 2:
        raise ValueError(f"frames have shape {stack.shape}; give at least two exposures")
    hits = np.zeros(stack.shape, dtype=np.bool_)
    for number in range(stack.shape[0]):
        rest, limit = _beside_others(stack, number, noise_counts)
        hits[number] = rest > limit
    weight = (~hits).astype(np.float64)
    weight[:, ~weight.any(axis=0)] = 1.0
    return np.sum(stack * weight, axis=0) / np.sum(weight, axis=0), hits


def are_alike(
    frames: FloatArray, axis_cm1: FloatArray, resolution_cm1: float | None = None
) -> bool:
    """Whether exposures can be of one sample: they differ by no more than rays can.

    They are not when one has, or lacks, something as wide as a band, or when more of it stands out
    than rays could have struck.

    Args:
        frames: shape (k, n), k >= 2 exposures on the same axis.
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing.
        resolution_cm1: line width (FWHM) in cm^-1; None = assume a fine one.
    """
    stack = np.asarray(frames, dtype=np.float64)
    spacing = float(np.median(np.diff(axis_cm1)))
    width_max = max(
        WIDTH_SHARE_MAX * (resolution_cm1 or RESOLUTION_DEFAULT_CM1), RAY_PIXELS_MAX * spacing
    )
    size = min(max(int(BROAD_CM1 / spacing), 3), axis_cm1.size)
    stack = stack - median_filter(stack, size=(1, size), mode="nearest")
    for number in range(stack.shape[0]):
        rest, limit = _beside_others(stack, number, None)
        # What the median left of a bent background is broad, too.
        rest = rest - median_filter(rest, size=size, mode="nearest")
        if float(np.mean(rest > limit)) > STRUCK_SHARE_MAX:
            return False
        if max(_widest_cm1(axis_cm1, side, limit) for side in (rest, -rest)) > width_max:
            return False
    return True


def _widest_cm1(axis_cm1: FloatArray, side: FloatArray, limit: FloatArray) -> float:
    """Width at half height of the widest of what stands above the limit, in cm^-1."""
    above = np.flatnonzero(side > limit)
    if not above.size:
        return 0.0
    runs = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1)
    tops = [int(run[np.argmax(side[run])]) for run in runs]
    return max(half_width_cm1(axis_cm1, side, top, 0.5 * float(side[top])) for top in tops)


def _beside_others(
    stack: FloatArray, number: int, noise_counts: float | None
) -> tuple[FloatArray, FloatArray]:
    """One frame less the median of the others, and the height of a hit, each shape (n,)."""
    frame, others = stack[number], np.delete(stack, number, axis=0)
    # Of two frames the other one may be the struck one; only what rises above it is a hit.
    expected = _brought_to(np.median(others, axis=0), frame)
    noise = difference_noise(frame) if noise_counts is None else noise_counts
    spread = noise * np.sqrt(1.0 + 1.6 / others.shape[0])  # a median is 1.25 times as noisy
    # Where there is more light there is more shot noise, and drift shows as a few per cent.
    drift = DRIFT_SHARE * np.abs(expected - float(np.median(expected)))
    limit: FloatArray = np.maximum(HIT_SNR_MIN * spread, 1e-12) + drift
    return frame - expected, limit


def _brought_to(typical: FloatArray, frame: FloatArray) -> FloatArray:
    """`typical` with the level and brightness of `frame`, by medians that hits do not move."""
    level, other = float(np.median(frame)), float(np.median(typical))
    rise = typical - other
    # The tops of noise are not bright: they would be taken for light that the frame has lost.
    bright = rise >= max(float(np.quantile(rise, 0.9)), HIT_SNR_MIN * difference_noise(typical))
    bright &= rise > 0.0
    ratio = (frame[bright] - level) / rise[bright]
    factor = float(np.median(ratio)) if ratio.size else 1.0
    return level + float(np.clip(factor, 0.2, 5.0)) * rise
