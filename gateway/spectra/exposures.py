"""Several exposures of one sample: what is in one of them only is a cosmic ray."""

from __future__ import annotations

import numpy as np

from gateway.spectra.despike import difference_noise
from gateway.spectra.spectrum import BoolArray, FloatArray

HIT_SNR_MIN = 8.0
"""Height of a hit over the noise of the comparison; as for a single frame."""

DRIFT_SHARE = 0.1
"""Bands of two exposures of one sample may differ by this much after bringing them together."""


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
        others = np.delete(stack, number, axis=0)
        # Of two frames the other one may be the struck one; only what rises above it is a hit.
        typical = np.median(others, axis=0)
        expected = _brought_to(typical, stack[number])
        noise = difference_noise(stack[number]) if noise_counts is None else noise_counts
        spread = noise * np.sqrt(1.0 + 1.6 / others.shape[0])  # a median is 1.25 times as noisy
        # Where there is more light there is more shot noise, and drift shows as a few per cent.
        drift = DRIFT_SHARE * np.abs(expected - float(np.median(expected)))
        hits[number] = stack[number] - expected > np.maximum(HIT_SNR_MIN * spread, 1e-12) + drift
    weight = (~hits).astype(np.float64)
    weight[:, ~weight.any(axis=0)] = 1.0
    return np.sum(stack * weight, axis=0) / np.sum(weight, axis=0), hits


def _brought_to(typical: FloatArray, frame: FloatArray) -> FloatArray:
    """`typical` with the level and brightness of `frame`, by medians that hits do not move."""
    level, other = float(np.median(frame)), float(np.median(typical))
    rise = typical - other
    bright = rise >= np.quantile(rise, 0.9)
    ratio = (frame[bright] - level) / np.maximum(rise[bright], 1e-300)
    factor = float(np.median(ratio)) if float(np.max(rise, initial=0.0)) > 0.0 else 1.0
    return level + float(np.clip(factor, 0.2, 5.0)) * rise
