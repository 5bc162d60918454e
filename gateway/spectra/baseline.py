"""Take the background (fluorescence, stray light, dark residue) off a spectrum."""

from __future__ import annotations

import warnings

import numpy as np
from pybaselines.utils import ParameterWarning
from pybaselines.whittaker import arpls

from gateway.spectra.spectrum import FloatArray

STIFFNESS = 3e5
"""Smoothness of the background on a 2 cm^-1 grid: features broader than about
2 * pi * STIFFNESS**(1/4) points = 290 cm^-1 count as background, narrower ones as bands."""

ITERATIONS_MAX = 8
"""Settles in five on noisy spectra. On almost noise-free ones, as vendors' software exports, more
rounds let the background sink below the data: every point then looks like a band."""

RATIO_MIN = 1e-2
"""Relative change of the weights at which the iteration stops; finer changes move the background
by less than the noise."""

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
    scale = float(np.ptp(intensity)) or 1.0
    # The algorithm's weights lose precision for very large counts; scaling keeps it the same.
    with warnings.catch_warnings():
        # Data without noise leave no point below the background; the result then is the last good.
        warnings.simplefilter("ignore", ParameterWarning)
        result, _ = arpls(
            (intensity - intensity.min()) / scale,
            lam=STIFFNESS,
            max_iter=ITERATIONS_MAX,
            tol=RATIO_MIN,
        )
    found: FloatArray = np.asarray(result, dtype=np.float64) * scale + intensity.min()
    return found
