"""Take the background (fluorescence, stray light, dark residue) off a spectrum.

The published algorithm, worked on averages over 4 cm^-1: the background has no finer detail, an
average says better than a single noisy point whether it lies above or below, and the system to
solve is half as large. Against pybaselines' arpls on every point it takes less than half of the
time, and the verdicts on measured spectra are the same.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.linalg import lapack
from scipy.special import expit

from gateway.spectra.spectrum import FloatArray

BLOCK_POINTS = 2
"""Points averaged into one, 4 cm^-1 on the common grid; with four of them the background of bright,
curved light begins to scatter more than the noise."""

STIFFNESS = 3e5 / BLOCK_POINTS**4
"""Smoothness of the background: features broader than about 2 * pi * STIFFNESS**(1/4) blocks =
290 cm^-1 count as background, narrower ones as bands."""

ITERATIONS_MAX = 8
"""Settles in five on noisy spectra. On almost noise-free ones, as vendors' software exports, more
rounds let the background sink below the data: every point then looks like a band."""

RATIO_MIN = 1e-2
"""Relative change of the weights at which the iteration stops; finer changes move the background
by less than the noise."""

WEIGHT_MIN = 1e-9
"""Keeps the system solvable where nothing but bands is; far below any weight that matters."""

PENALTIES_KEPT = 8
"""Lengths of spectra of which the penalty is kept; an instrument has one."""

SPREAD_MIN = 1e-12
"""Scatter below the background, over the whole range of the light, that is rounding."""

BROAD_CM1 = 50.0
"""Bands broader than this lose visible height to the background and are rendered through it."""


def background(intensity: FloatArray) -> FloatArray:
    """Estimate the smooth background under the bands.

    Args:
        intensity: shape (n,), evenly sampled at 2 cm^-1.

    Returns:
        shape (n,), background in the same unit.
    Reference: S.-J. Baek, A. Park, Y.-J. Ahn, J. Choo, Baseline correction using asymmetrically
        reweighted penalized least squares smoothing, Analyst 140 (2015) 250.
    """
    size = intensity.size
    low = float(intensity.min())
    scale = float(intensity.max()) - low or 1.0
    starts = np.arange(0, size, BLOCK_POINTS)
    count = np.minimum(starts + BLOCK_POINTS, size) - starts
    level = (np.add.reduceat(intensity, starts) / count - low) / scale
    found = _arpls(level)
    middle = starts + 0.5 * (count - 1.0)
    back: FloatArray = np.interp(np.arange(size), middle, found) * scale + low
    return back


def _arpls(level: FloatArray) -> FloatArray:
    """Background of the block averages, shape (k,)."""
    penalty = _penalty(level.size)
    weight = np.ones(level.size)
    found = level
    for _ in range(ITERATIONS_MAX):
        system = penalty.copy(order="F")
        system[0] += weight
        _, found, _ = lapack.dpbsv(system, weight * level, lower=1, overwrite_ab=1, overwrite_b=1)
        above = level - found
        below = np.minimum(above, 0.0)
        count = max(int(np.count_nonzero(below)), 1)
        mean = float(np.add.reduce(below)) / count
        spread = math.sqrt(max(float(below @ below) / count - mean * mean, 0.0))
        if spread <= SPREAD_MIN:
            break
        changed = expit((above + (mean - 2.0 * spread)) * (-2.0 / spread))
        np.maximum(changed, WEIGHT_MIN, out=changed)
        step = changed - weight
        is_settled = float(step @ step) < RATIO_MIN**2 * float(weight @ weight)
        weight = changed
        if is_settled:
            break
    return np.asarray(found, dtype=np.float64)


@lru_cache(maxsize=PENALTIES_KEPT)
def _penalty(size: int) -> FloatArray:
    """Lower bands of STIFFNESS * D'D, D the second differences, shape (3, size), not to be changed.

    In the order of columns; LAPACK solves the lower bands in two thirds of the time of the upper.
    """
    bands = np.empty((3, size), order="F")
    bands[0], bands[1], bands[2] = 6.0, -4.0, 1.0
    bands[0, 0] = bands[0, -1] = 1.0
    bands[0, 1] = bands[0, -2] = 5.0
    bands[1, 0] = bands[1, -2] = -2.0
    bands *= STIFFNESS
    bands.flags.writeable = False
    return bands
