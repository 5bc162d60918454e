"""What the light at a weak band's place says, although no band stands out of the noise there.

A band three times the noise is no band anybody would mark, but at a place that is known beforehand
it is evidence, and so is its absence where it should have been five times the noise. Both are
bounded: background and ripple are never known to better than a part of the noise, and weak bands
of other substances lie everywhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from gateway.spectra.spectrum import FloatArray

HEIGHT_SPREAD = 0.64
"""Standard deviation of ln(height / table); measured, see docs/library-review.md."""

HEIGHT_CUT = 2.0
"""Half-width of the integral over it, in standard deviations."""

PLACES = 3.0
"""Independent places within the reach of a band's position, of which the brightest is taken."""

OTHER_CHANCE = 0.25
"""Chance that a weak band of something else lies there."""

OTHER_SNR = (1.0, 12.0)
"""Heights of such bands over noise, evenly spread in ln."""

ABSENT_CHANCE = 0.15
"""Chance that a tabulated weak band is absent or displaced."""

GAIN_NATS_MAX = 2.0
LOSS_NATS_MAX = 1.5
"""What one faint band may add or take: it was not seen as a band."""

EXPECTED_MAX = 20.0
SEEN_MIN = -4.0
SEEN_MAX = 12.0
STEP = 0.25


def faint_nats(expected_snr: FloatArray, seen_snr: FloatArray) -> FloatArray:
    """Evidence for a band from the brightest light within its reach.

    Args:
        expected_snr: shape (r,), height it should have, over noise; >= 0.
        seen_snr: shape (r,), most light within its reach, over noise.

    Returns:
        shape (r,), ln of the likelihood ratio of band and no band, bounded.
    """
    table, width = _flat_table()
    row = np.minimum(np.maximum(expected_snr / STEP, 0.0), table.size // width - 1.001)
    column = np.minimum(np.maximum((seen_snr - SEEN_MIN) / STEP, 0.0), width - 1.001)
    top, left = row.astype(np.int64), column.astype(np.int64)
    down, right = row - top, column - left
    at = top * width + left
    upper = table[at] * (1.0 - right) + table[at + 1] * right
    at += width
    lower = table[at] * (1.0 - right) + table[at + 1] * right
    nats: FloatArray = upper * (1.0 - down) + lower * down
    return np.minimum(np.maximum(nats, -LOSS_NATS_MAX), GAIN_NATS_MAX)


@lru_cache(maxsize=1)
def _flat_table() -> tuple[FloatArray, int]:
    """The table row after row, quicker to look up, and its width."""
    table = _table()
    return table.ravel(), table.shape[1]


def _table() -> FloatArray:
    """The ratio on a ladder of expected and seen heights, shape (expected, seen)."""
    seen = np.arange(SEEN_MIN, SEEN_MAX + STEP, STEP)
    expected = np.arange(0.0, EXPECTED_MAX + STEP, STEP)
    low, high = np.log(OTHER_SNR).tolist()
    other = np.exp(np.linspace(low, high, 60))
    nothing = (1.0 - OTHER_CHANCE) * _brightest(seen, np.zeros(1))
    nothing = nothing + OTHER_CHANCE * _brightest(seen, other)
    spread = np.linspace(-HEIGHT_CUT, HEIGHT_CUT, 41)
    weight = np.exp(-0.5 * spread**2)
    table = np.empty((expected.size, seen.size))
    for row, height in enumerate(expected):
        there = _brightest(seen, height * np.exp(HEIGHT_SPREAD * spread), weight)
        table[row] = np.log(((1.0 - ABSENT_CHANCE) * there + ABSENT_CHANCE * nothing) / nothing)
    return table


def _brightest(
    seen: FloatArray, height: FloatArray, weight: FloatArray | None = None
) -> FloatArray:
    """Density of the brightest of PLACES places when one holds a band, mean over its heights."""

    def normal(x: FloatArray) -> FloatArray:
        return np.asarray(np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi))

    away = seen[:, None] - height[None, :]
    dark = ndtr(seen)[:, None]
    one = normal(away) * dark ** (PLACES - 1.0)
    rest = ndtr(away) * (PLACES - 1.0) * normal(seen)[:, None] * dark ** (PLACES - 2.0)
    density: FloatArray = np.average(one + rest, axis=1, weights=weight)
    return np.maximum(density, 1e-12)
