"""What a detector does to light: full pixels, cut-off tops, jumps between pixels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from gateway.spectra.despike import difference_noise, remove_spikes
from gateway.spectra.spectrum import BoolArray, FloatArray

PLATEAU_POINTS_MIN = 3
"""Two equal neighbours happen by rounding, two full ones by a warm pixel."""

PLATEAU_FLATNESS = 0.005
"""Height over the strongest light within which a plateau is flat; dark subtraction and vendors'
interpolation disturb a clipped top by no more."""

PLATEAU_LEVEL = 0.15
PLATEAU_WIDTH_SHARE = 0.45
"""Plateau over the width of the top where the light has fallen by PLATEAU_LEVEL of the strongest.
Any smooth top is a parabola there, and flat to half a percent over less than a fifth of it. Lower
down a clipped crowd of bands runs together."""

STEP_SHARE_MIN = 0.2
"""Height of a jump over the strongest band. Smaller ones look like a weak shoulder, not a band."""

STEP_REACH_CM1 = 16.0
"""Stretch on both sides whose level is compared: longer than a band is wide, or its flank would be
a jump."""

STEP_SNR_MIN = 12.0
"""Height of a jump over noise; chance reaches five."""


LOCAL_POINTS = 41
"""Points around a place whose noise counts there: several line widths, so that most of them are not
on the flank of the same band."""

QUANTUM_SHARE = 0.7
"""Least noise of counted photons, in counts: that of half a photon per point."""

OUTLIER_SNR_MIN = 8.0
"""Height of a single point over the noise around it; chance reaches five in a thousand points."""


def local_noise(counts: FloatArray) -> FloatArray:
    """Standard deviation of white noise around each point, shape (n,), n >= 3.

    The noise of photons is larger on a band than beside it. A spectrum of few photons has bands
    whose noise would pass for hits against the noise of its dark part.
    """
    second = np.abs(counts[2:] - 2.0 * counts[1:-1] + counts[:-2])
    around = median_filter(second, size=min(LOCAL_POINTS, second.size), mode="nearest")
    local = np.pad(around, 1, mode="edge") / (0.6745 * np.sqrt(6.0))
    steps = np.abs(np.diff(counts))
    # Where most points hold no photon at all the median is zero; one count is noise all the same.
    quantum = QUANTUM_SHARE * float(steps[steps > 0.0].min(initial=np.inf)) if steps.any() else 0.0
    floor: FloatArray = np.maximum(local, max(difference_noise(counts), quantum))
    return floor


def outliers(
    axis_cm1: FloatArray, counts: FloatArray, resolution_cm1: float | None
) -> tuple[FloatArray, BoolArray]:
    """Single points far above both neighbours and above the noise around them.

    Returns:
        The counts without them, shape (n,), and where they are, shape (n,).
    """
    clean, marks = remove_spikes(axis_cm1, counts, resolution_cm1)
    sure: BoolArray = counts - clean > OUTLIER_SNR_MIN * local_noise(counts)
    # A hit of two pixels counts whole when one of them is sure.
    marks = marks & np.convolve(sure, np.ones(3), mode="same").astype(np.bool_)
    return np.where(marks, clean, counts), marks


def full_pixels(
    axis_cm1: FloatArray, counts: FloatArray, full_scale_counts: float
) -> tuple[BoolArray, int]:
    """Points at full scale or on a clipped top, shape (n,), and the number of tops cut off."""
    known = full_scale_counts > 0.0
    full = counts >= full_scale_counts if known else clipped(axis_cm1, counts)
    wide = np.convolve(full, np.ones(PLATEAU_POINTS_MIN), mode="valid") == PLATEAU_POINTS_MIN
    return full, runs(wide)


def clipped(axis_cm1: FloatArray, counts: FloatArray) -> BoolArray:
    """Find tops that are flat where a band cannot be: a detector or converter was full.

    Args:
        axis_cm1: shape (n,), strictly increasing.
        counts: shape (n,), before any background is taken off.

    Returns:
        shape (n,), true on the flat tops of the strongest light.
    """
    marks: BoolArray = np.zeros(counts.shape, dtype=np.bool_)
    height = float(np.ptp(counts))
    if height <= 0.0:
        return marks
    near = counts >= counts.max() - PLATEAU_FLATNESS * height
    high = counts >= counts.max() - PLATEAU_LEVEL * height
    edges = np.flatnonzero(np.diff(np.concatenate(([False], near, [False])).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if stop - start < PLATEAU_POINTS_MIN:
            continue
        left, right = start, stop - 1
        while left > 0 and high[left - 1]:
            left -= 1
        while right < high.size - 1 and high[right + 1]:
            right += 1
        whole = axis_cm1[right] - axis_cm1[left]
        if axis_cm1[stop - 1] - axis_cm1[start] >= PLATEAU_WIDTH_SHARE * whole:
            marks[start:stop] = True
    return marks


def jump(axis_cm1: FloatArray, clean: FloatArray, strongest: float) -> float | None:
    """Place of the highest jump of the level between two neighbouring points, None = none."""
    spacing = float(np.median(np.diff(axis_cm1)))
    reach = max(8, int(np.ceil(STEP_REACH_CM1 / spacing)))
    if clean.size < 4 * reach:
        return None
    rise = np.diff(clean)
    noise = local_noise(clean)
    least = max(STEP_SHARE_MIN * strongest, 1e-12)
    for at in np.argsort(-np.abs(rise))[:5]:
        if abs(rise[at]) < max(least, STEP_SNR_MIN * noise[at]):
            continue
        if not reach <= at < rise.size - reach:
            continue
        around = np.abs(np.concatenate((rise[at - 3 : at], rise[at + 1 : at + 4])))
        before, after = clean[at + 1 - reach : at + 1], clean[at + 1 : at + 1 + reach]
        level = float(np.median(after) - np.median(before))
        uneven = max(float(np.ptp(np.quantile(side, (0.2, 0.8)))) for side in (before, after))
        # A band rises over several points; a spike comes back; a jump does neither, and the
        # levels on both its sides are level.
        lasting = level * np.sign(rise[at]) > 0.7 * abs(rise[at]) > 2.0 * uneven
        if lasting and around.max() < 0.25 * abs(rise[at]):
            return float(0.5 * (axis_cm1[at] + axis_cm1[at + 1]))
    return None


def runs(mask: BoolArray) -> int:
    """Number of connected stretches of true."""
    edges = np.diff(np.concatenate(([False], mask)).astype(np.int8))
    return int(np.count_nonzero(edges == 1))
