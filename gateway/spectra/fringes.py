"""Interference fringes: a regular ripple on the light that looks like a row of weak bands.

Light reflected twice in a window, a filter or a thinned detector interferes with itself and
modulates whatever light there is by some per cent, with a period of ten to fifty cm^-1. No
estimate of the noise between neighbouring points knows of it. On a bright background its crests are
higher than the bands of the goods, and pass for the bands of a substance with many of them.

A ripple is regular over the whole range and bands are not: its line stands out of the periodogram
at the same period in every stretch of the spectrum. Stretches are taken one by one, because the
refractive index changes along the range and with it the period by some per cent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gateway.spectra.spectrum import FloatArray

STEP_CM1 = 2.0
"""Spacing of the grid the light comes on."""

STRETCH_POINTS = 400
"""800 cm^-1: a line of 50 cm^-1 period is then a tenth of its period wide, and a period that
drifts by a tenth over the whole range still makes one line."""

PERIOD_CM1 = (11.0, 50.0)
"""Periods looked for. Shorter ones are filtered away, longer ones go with the background."""

SCANNED_CM1 = (8.0, 110.0)
SCANNED_COUNT = 132
"""Periods at which the periodogram is taken, 2 % apart; those outside are only compared with."""

NEAR_LINES, FAR_LINES = 4, 24
"""A line is compared with the periods 8 to 60 % away from it on both sides."""

DRIFT_LINES = 2
"""A line may move by this many periods from one stretch to the other."""

CLIP = 1.5
"""Robust standard deviations at which a stretch is cut off: bands stand higher."""

DIM_SHARE = 0.05
"""Light over the brightest below which a ripple's share of it is noise divided by nothing."""

RATIO_MIN = 10.0
"""Power of a line over that of its neighbours, in half of the stretches. Of the measured spectra
without a background 7 % reach it, with ripples of 0.1 % that do no harm. On a background as bright
as the bands a ripple of 2 % reaches it always for periods up to 25 cm^-1, in 19 of 20 at 40."""


@dataclass(frozen=True, slots=True)
class Fringes:
    """A ripple that was found.

    Attributes:
        share: amplitude over light, 0 to 1.
        period_cm1: distance of two crests.
    """

    share: float
    period_cm1: float


def find_fringes(signal: FloatArray, light: FloatArray) -> Fringes | None:
    """Look for a regular ripple that follows the light.

    Args:
        signal: shape (n,), without background, on the grid.
        light: shape (n,), all light that was measured, same unit, not negative.

    Returns:
        The ripple, None when there is none or the range is shorter than 800 cm^-1.
    """
    if signal.size < STRETCH_POINTS or not light.max() > 0.0:
        return None
    count = 1 + math.ceil((signal.size - STRETCH_POINTS) / (STRETCH_POINTS / 2))
    starts = np.linspace(0, signal.size - STRETCH_POINTS, count).astype(np.intp)
    stretch = sliding_window_view(signal, STRETCH_POINTS)[starts]
    bright = sliding_window_view(np.maximum(light, DIM_SHARE * light.max()), STRETCH_POINTS)[starts]
    stretch = stretch - np.median(stretch, axis=1, keepdims=True)
    most = CLIP * 1.4826 * np.median(np.abs(stretch), axis=1, keepdims=True)
    relative = np.clip(stretch, -most, most) / bright
    relative -= relative.mean(axis=1, keepdims=True)
    waves = relative @ _WAVES
    amplitude = np.hypot(waves[:, :SCANNED_COUNT], waves[:, SCANNED_COUNT:])
    level = 2.0 * np.log(amplitude + 1e-12)
    near, far = _sums(level, NEAR_LINES), _sums(level, FAR_LINES)
    around = (far - near) / (2 * (FAR_LINES - NEAR_LINES))
    reach = 2 * DRIFT_LINES + 1
    held = slice(DRIFT_LINES, SCANNED_COUNT - DRIFT_LINES)
    line = sliding_window_view(level - around, reach, axis=1).max(axis=2)
    typical = np.sort(line, axis=0)[(count - 1) // 2] + _UNSOUGHT[held]
    at = int(np.argmax(typical))
    if typical[at] < math.log(RATIO_MIN):
        return None
    share = float(np.median(amplitude[:, at : at + reach].max(axis=1)))
    return Fringes(share, float(_PERIODS_CM1[held][at]))


def _sums(level: FloatArray, reach: int) -> FloatArray:
    """Sums over each point and `reach` neighbours on both sides along axis 1; edges repeat."""
    total = np.cumsum(np.pad(level, ((0, 0), (reach + 1, reach)), mode="edge"), axis=1)
    return np.asarray(total[:, 2 * reach + 1 :] - total[:, : -2 * reach - 1], dtype=np.float64)


def _waves(periods_cm1: FloatArray) -> FloatArray:
    """Tapered waves of unit amplitude, shape (stretch, 2 periods): cosines, then sines."""
    taper = np.hanning(STRETCH_POINTS)
    along = STEP_CM1 * np.arange(STRETCH_POINTS)
    phase = 2.0 * np.pi * along[:, None] / periods_cm1
    waves = np.hstack([np.cos(phase), np.sin(phase)]) * taper[:, None]
    return np.asarray(2.0 / taper.sum() * waves, dtype=np.float64)


_PERIODS_CM1: Final = np.geomspace(*SCANNED_CM1, SCANNED_COUNT)
_WAVES: Final = _waves(_PERIODS_CM1)
_UNSOUGHT: Final = np.where(np.clip(_PERIODS_CM1, *PERIOD_CM1) == _PERIODS_CM1, 0.0, -np.inf)
