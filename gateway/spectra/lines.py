"""Find the lines of a standard or a lamp and measure them finely: place, error, width.

Works at native sampling and without a model of the background, because a calibration wants a tenth
of a pixel and must not hang on settings made for identification. Crests are looked for with a
filter that answers to narrow bumps and to no smooth background (the second derivative of a
Gaussian); each line is then fitted alone with a pseudo-Voigt on a sloping floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter
from scipy.optimize import least_squares

from gateway.spectra.despike import difference_noise
from gateway.spectra.peaks import find_peaks
from gateway.spectra.spectrum import FloatArray

SCALE_STEPS = 3.0
"""Scale of the filter in grid steps: answers best to bumps 7 steps wide, still to 3 and 20."""

CREST_SNR_MIN = 5.0
"""Height of an answer over its noise."""

CREST_SHARE_MIN = 0.008
"""Smallest answer over the largest; ripple of real instruments lies below."""

CRESTS_MAX = 80
"""More than any standard or lamp has in the range; the strongest are kept."""

UNREST_POINTS = 151
UNREST_MAX = 5.0
"""Points over which the local noise is told; and how much more than usual it may be: bands without
noise look like unrest too."""

FIT_REACH = 1.6
"""Half-width of the window of a fit in widths of the line: enough floor, few neighbours."""

FIT_POINTS_MIN = 6
"""A pseudo-Voigt has four numbers and its floor two."""


@dataclass(frozen=True, slots=True)
class Crests:
    """What stands out; arrays of shape (m,), by rising place.

    Attributes:
        place: unit of the axis.
        height: answer of the filter, unit of the counts.
        snr: height over its noise.
    """

    place: FloatArray
    height: FloatArray
    snr: FloatArray


@dataclass(frozen=True, slots=True)
class Line:
    """One line, fitted.

    Attributes:
        place: centre, unit of the axis.
        error: its standard error from the scatter about the fit.
        fwhm: full width at half height as measured.
        height: above the floor, unit of the counts.
    """

    place: float
    error: float
    fwhm: float
    height: float


def find_crests(axis: FloatArray, counts: FloatArray, step: float = 1.0) -> Crests:
    """Find what stands out of noise and background.

    Args:
        axis: shape (n,), strictly increasing, any unit.
        counts: shape (n,).
        step: grid spacing in the unit of the axis; lines are expected 3 to 20 steps wide.

    Returns:
        At most `CRESTS_MAX` crests; none when the range is shorter than the filter.
    """
    grid = np.arange(np.ceil(axis[0] / step) * step, axis[-1], step)
    reach = int(5 * SCALE_STEPS)
    if grid.size < 4 * reach:
        return Crests(np.zeros(0), np.zeros(0), np.zeros(0))
    x = np.arange(-reach, reach + 1) / SCALE_STEPS
    kernel = (1.0 - x * x) * np.exp(-0.5 * x * x)
    kernel -= kernel.mean()
    # Divided so that a Gaussian line of the filter's own scale answers with its height.
    kernel /= float(np.sum(kernel * np.exp(-0.5 * x * x)))
    on_grid = _average(axis, counts, grid, step)
    answer = np.convolve(on_grid, kernel, mode="valid")
    grid = grid[reach:-reach]
    # White noise of points this far apart, through the filter; that of the grid where it is
    # coarser than the axis.
    spacing = float(np.median(np.diff(axis))) / step
    level = difference_noise(counts) * float(np.sqrt(spacing))
    if spacing < 1.0:
        level = max(level, difference_noise(on_grid))
    tiny = max(1e-9 * float(np.ptp(counts)), 1e-12)
    noise = np.maximum(level * float(np.sqrt(np.sum(kernel**2))), tiny)
    noise = noise * np.interp(grid, axis, _unrest(counts))
    top = max(float(answer.max()), 0.0)
    limit = np.maximum(CREST_SNR_MIN * noise, CREST_SHARE_MIN * top)
    tops, _ = find_peaks(answer, height=limit, prominence=limit)
    if tops.size > CRESTS_MAX:
        tops = np.sort(tops[np.argsort(answer[tops])[-CRESTS_MAX:]])
    return Crests(grid[tops], answer[tops], answer[tops] / noise[tops])


def _unrest(counts: FloatArray) -> FloatArray:
    """How much noisier than usual each place is, shape (n,), at least 1.

    Photons are noisier where there are more of them, as on a hump of fluorescence. The median over
    many neighbours does not see the bands.
    """
    second = np.abs(counts[2:] - 2.0 * counts[1:-1] + counts[:-2])
    near = median_filter(second, size=min(UNREST_POINTS, second.size), mode="nearest")
    usual = float(np.median(second))
    if usual <= 0.0:
        return np.ones_like(counts)
    unrest: FloatArray = np.clip(np.pad(near, 1, mode="edge") / usual, 1.0, UNREST_MAX)
    return unrest


def _average(axis: FloatArray, counts: FloatArray, grid: FloatArray, step: float) -> FloatArray:
    """Mean of the straight lines between the points over each cell of the grid, shape (m,)."""
    area = np.concatenate(([0.0], np.cumsum(0.5 * (counts[1:] + counts[:-1]) * np.diff(axis))))
    edges = np.clip(np.append(grid, grid[-1] + step) - 0.5 * step, axis[0], axis[-1])
    # The integral is a parabola between points: within half a cell a straight line will do.
    cells: FloatArray = np.diff(np.interp(edges, axis, area)) / np.maximum(np.diff(edges), 1e-12)
    if float(np.median(np.diff(axis))) > 0.5 * step:
        return np.asarray(np.interp(grid, axis, counts), dtype=np.float64)
    return cells


def fit_line(axis: FloatArray, counts: FloatArray, near: float, width: float) -> Line | None:
    """Fit one line alone.

    Args:
        axis: shape (n,), strictly increasing.
        counts: shape (n,).
        near: where its crest was seen.
        width: what full width to expect, unit of the axis.

    Returns:
        The line; None when the window holds too few points or no line of any sense.
    """
    spacing = float(np.median(np.diff(axis)))
    reach = max(FIT_REACH * width, (FIT_POINTS_MIN / 2 + 0.5) * spacing)
    inside = np.abs(axis - near) <= reach
    x, y = axis[inside] - near, counts[inside]
    if x.size < FIT_POINTS_MIN:
        return None
    scale = float(np.ptp(y))
    if scale <= 0.0:
        return None
    y = (y - y.min()) / scale
    floor = float(np.sort(y)[: max(2, y.size // 4)].mean())
    start = [max(float(y.max()) - floor, 0.1), 0.0, width, 0.3, floor, 0.0]
    low = [0.01, -0.7 * width, 1.2 * spacing, 0.0, -2.0, -2.0]
    high = [4.0, 0.7 * width, max(3.0 * width, 6.0 * spacing), 1.0, 2.0, 2.0]
    start[2] = float(np.clip(start[2], 1.01 * low[2], 0.99 * high[2]))

    def misfit(p: FloatArray) -> FloatArray:
        return np.asarray(pseudo_voigt(x - p[1], p[2], p[3]) * p[0] + p[4] + p[5] * x / reach - y)

    found = least_squares(misfit, start, bounds=(low, high), max_nfev=60)
    height, centre, fwhm = (float(value) for value in found.x[:3])
    scatter = float(np.sqrt(2.0 * found.cost / max(x.size - 6, 1)))
    # Error of a line's centre: scatter over slope, points per width (Cramer-Rao for a Gaussian).
    error = 0.7 * fwhm * scatter / height * float(np.sqrt(spacing / fwhm))
    if height < 3.0 * scatter or abs(centre) > 0.69 * width:
        return None
    return Line(near + centre, max(error, 0.01 * spacing), fwhm, height * scale)


def pseudo_voigt(x: FloatArray, fwhm: float, lorentz_share: float) -> FloatArray:
    """Line of height 1 at 0: a Lorentzian and a Gaussian of the same width, shape of `x`."""
    z = 4.0 * (x / fwhm) ** 2
    lorentz = lorentz_share / (1.0 + z)
    line: FloatArray = lorentz + (1.0 - lorentz_share) * np.exp(-np.log(2.0) * z)
    return line
