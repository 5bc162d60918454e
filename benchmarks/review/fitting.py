"""Take bands out of one measured spectrum: places, heights, widths, each with its error.

Apart from the product's own code on purpose: what checks the tables must not share the peak finder
that later reads spectra with them. Slow and careful instead: crests and shoulders are sought in the
second derivative, then every group of bands that touch is fitted together, with its background.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pybaselines.utils import ParameterWarning
from pybaselines.whittaker import arpls
from scipy.optimize import least_squares
from scipy.signal import find_peaks, savgol_filter

FloatArray = NDArray[np.float64]

GRID_CM1 = 1.0
"""Step of the common grid; a quarter of the narrowest line any of the instruments shows."""

STIFFNESS = 1e7
"""Background stiffness on a 1 cm^-1 grid: what is broader than about 350 cm^-1 is background."""

DERIVATIVE_CM1 = 9
"""Window of the second derivative, just over one instrument line width."""

SNR_MIN = 6.0
"""Crests lower than this many noise widths are not called bands."""

SHARE_MIN = 0.012
"""Nor those lower than this share of the strongest; the tables list from 0.02 on."""

REACH_WIDTHS = 1.6
"""Bands closer than this many widths are fitted together."""

GROUP_MAX = 10
"""Most bands fitted at once; more are split at the deepest valley. Bounds the time."""

FWHM_CM1_MAX = 90.0

WIDER_MAX = 2.2
"""Most by which a fitted width may exceed the one its curvature tells."""

WING_SHARE = 0.2
WING_WIDTHS = 3.0
"""A shoulder lower than this share of a band so many widths away belongs to that band's foot."""


@dataclass(frozen=True, slots=True)
class Peak:
    """One fitted band.

    Attributes:
        shift_cm1: place of the component, cm^-1, as the axis reads.
        height: over the background, in the spectrum's unit.
        fwhm_cm1: full width at half maximum as measured, cm^-1.
        shift_error_cm1: standard error of the place from the fit, cm^-1.
        crest: the component has a crest of its own in the spectrum; else it is a shoulder.
    """

    shift_cm1: float
    height: float
    fwhm_cm1: float
    shift_error_cm1: float
    crest: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """A spectrum on the common grid, background off.

    Attributes:
        grid_cm1: shape (n,), 1 cm^-1 apart.
        signal: shape (n,), background removed.
        noise: standard deviation of neighbouring points, same unit.
    """

    grid_cm1: FloatArray
    signal: FloatArray
    noise: float

    def at(self, shift_cm1: float, half_width_cm1: float = 0.0) -> float:
        """Highest signal within a window; NaN outside the measured range."""
        near = np.abs(self.grid_cm1 - shift_cm1) <= max(half_width_cm1, GRID_CM1 / 2)
        return float(self.signal[near].max()) if near.any() else float("nan")


def trace(axis_cm1: FloatArray, light: FloatArray, low: float, high: float) -> Trace:
    """Put a spectrum on the grid between two limits and take its background off."""
    low, high = max(low, float(axis_cm1[0])), min(high, float(axis_cm1[-1]))
    grid = np.arange(np.ceil(low), np.floor(high) + 0.5, GRID_CM1)
    step = float(np.median(np.diff(axis_cm1)))
    if step < GRID_CM1 / 2:  # oversampled axes are averaged, not picked
        edges = np.append(grid - GRID_CM1 / 2, grid[-1] + GRID_CM1 / 2)
        bins = np.digitize(axis_cm1, edges) - 1
        inside = (bins >= 0) & (bins < grid.size)
        total = np.bincount(bins[inside], weights=light[inside], minlength=grid.size)
        count = np.bincount(bins[inside], minlength=grid.size)
        filled = count > 0
        values = np.interp(grid, grid[filled], total[filled] / count[filled])
    else:
        values = np.interp(grid, axis_cm1, light)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)
        base, _ = arpls(values - values.min(), lam=STIFFNESS, max_iter=12, tol=1e-3)
    signal = values - values.min() - base
    return Trace(grid, np.asarray(signal, dtype=np.float64), _noise(values))


def _noise(values: FloatArray) -> float:
    """Noise from third differences: straight lines and slow curves cancel; 1.48 MAD = sigma."""
    thirds = np.diff(values, 3) / np.sqrt(20.0)
    return float(1.4826 * np.median(np.abs(thirds - np.median(thirds)))) or 1e-9


def peaks(measured: Trace, snr_min: float = SNR_MIN, share_min: float = SHARE_MIN) -> list[Peak]:
    """Find and fit the bands of a spectrum, in order of place."""
    starts = _starts(measured, snr_min, share_min)
    found: list[Peak] = []
    for group in _groups(starts):
        found.extend(_fit(measured, group))
    top = max((peak.height for peak in found), default=0.0)
    low = max(share_min * top, snr_min * measured.noise)
    own = [p for p in found if p.height >= low and not _is_wing(p, found)]
    return sorted(own, key=lambda p: p.shift_cm1)


def _is_wing(peak: Peak, others: list[Peak]) -> bool:
    """Whether a component only mends the shape of something else, and is no band.

    A real line is no exact pseudo-Voigt: the fit fills the foot of a strong one with a shoulder.
    And a component as broad as the limit, or far broader than high, is what the background left.
    """
    if peak.fwhm_cm1 >= 0.95 * FWHM_CM1_MAX:
        return True
    if peak.crest:
        return False
    for other in others:
        apart = abs(peak.shift_cm1 - other.shift_cm1)
        near = other is not peak and apart < WING_WIDTHS * max(other.fwhm_cm1, 7.0)
        if near and peak.height < WING_SHARE * other.height:
            return True
    return False


def _starts(measured: Trace, snr_min: float, share_min: float) -> list[tuple[int, float, bool]]:
    """Index, first guess of the width and whether there is a crest, for each band sought."""
    signal, window = measured.signal, DERIVATIVE_CM1
    curve = -savgol_filter(signal, window, 3, deriv=2, delta=GRID_CM1)
    curve_noise = float(1.4826 * np.median(np.abs(np.diff(curve, 2)))) / np.sqrt(6.0)
    smooth = savgol_filter(signal, 7, 2)
    top = float(smooth.max())
    least = max(share_min * top, snr_min * measured.noise)
    sharp = find_peaks(curve, prominence=max(8.0 * curve_noise, 1e-12))[0]
    crests = set(find_peaks(smooth, prominence=0.35 * least)[0].tolist())
    starts = []
    for index in sharp:
        height = float(smooth[index])
        if height < least:
            continue
        crest = any(abs(index - other) <= 4 for other in crests)
        # A Gaussian of height h and width w has curvature 5.545 h / w^2 at its crest.
        width = float(np.clip(np.sqrt(5.545 * height / max(curve[index], 1e-12)), 4.0, 60.0))
        if not crest and curve[index] * 60.0 < 0.15 * height:
            continue  # a shoulder must bend clearly; the flank of a broad band does not
        starts.append((int(index), width, crest))
    taken = [index for index, _, _ in starts]
    starts += [  # broad crests are too flat for the second derivative
        (int(index), 25.0, True)
        for index in sorted(crests)
        if signal[index] >= least and all(abs(index - other) > 8 for other in taken)
    ]
    return sorted(starts)


def _groups(starts: list[tuple[int, float, bool]]) -> list[list[tuple[int, float, bool]]]:
    groups: list[list[tuple[int, float, bool]]] = []
    for start in starts:
        if groups:
            last = groups[-1][-1]
            gap = (start[0] - last[0]) * GRID_CM1
            reach = REACH_WIDTHS * (start[1] + last[1]) / 2
            if gap < max(reach, 12.0) and len(groups[-1]) < GROUP_MAX:
                groups[-1].append(start)
                continue
        groups.append([start])
    return groups


def shape(grid_cm1: FloatArray, place: float, fwhm: float, mix: float) -> FloatArray:
    """Pseudo-Voigt of height 1; `mix` is the Lorentzian share, 0 to 1."""
    x = 2.0 * (grid_cm1 - place) / fwhm
    lorentz: FloatArray = 1.0 / (1.0 + x * x)
    gauss: FloatArray = np.exp(-np.log(2.0) * x * x)
    return mix * lorentz + (1.0 - mix) * gauss


def _fit(measured: Trace, group: list[tuple[int, float, bool]]) -> list[Peak]:
    """Fit one group of touching bands together with a straight background."""
    grid, signal = measured.grid_cm1, measured.signal
    first, last = group[0], group[-1]
    low = max(int(first[0] - max(1.2 * first[1], 8)), 0)
    high = min(int(last[0] + max(1.2 * last[1], 8)) + 1, grid.size)
    x, y = grid[low:high], signal[low:high]
    unit = float(max(np.ptp(y), 1e-12))
    guess, lower, upper = [], [], []
    for index, width, _ in group:
        height = max(float(signal[index]) / unit, 0.02)
        guess += [grid[index], 0.8 * height, width, 0.4]
        lower += [grid[index] - 5.0, 0.0, 2.5, 0.0]
        # A weak band on the foot of a strong one must not widen until it becomes that foot.
        widest = float(np.clip(WIDER_MAX * width, 15.0, FWHM_CM1_MAX))
        upper += [grid[index] + 5.0, 2.0 * height + 0.05, widest, 1.0]
    # Line at both ends of the window: what arPLS left there, at most a third of the group.
    guess += [0.0, 0.0]
    lower += [-0.35, -0.35]
    upper += [0.35, 0.35]
    ramp = (x - x[0]) / max(x[-1] - x[0], 1.0)

    def residual(values: FloatArray) -> FloatArray:
        model = values[-2] * (1.0 - ramp) + values[-1] * ramp
        for place, height, width, mix in values[:-2].reshape(-1, 4):
            model = model + height * shape(x, place, width, mix)
        gap: FloatArray = model - y / unit
        return gap

    start = np.clip(guess, np.array(lower) + 1e-9, np.array(upper) - 1e-9)
    fitted = least_squares(residual, start, bounds=(lower, upper), max_nfev=200)
    errors = _errors(fitted.jac, fitted.fun)
    return [
        Peak(float(place), float(height) * unit, float(width), float(errors[4 * n]), start[2])
        for n, (start, (place, height, width, _)) in enumerate(
            zip(group, fitted.x[:-2].reshape(-1, 4), strict=True)
        )
    ]


def _errors(jacobian: FloatArray, residual: FloatArray) -> FloatArray:
    """Standard errors of the fitted values, shape (p,)."""
    freedom = max(residual.size - jacobian.shape[1], 1)
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * float(residual @ residual) / freedom
    errors: FloatArray = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return errors
