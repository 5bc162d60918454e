"""From raw counts to a clean spectrum on one common grid, with its noise.

Order matters and is fixed here: spikes first (they are seen only at native sampling), then the
grid, then the background, then the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.ndimage import correlate1d

from gateway.spectra.baseline import background
from gateway.spectra.despike import difference_noise, remove_spikes
from gateway.spectra.errors import SpectrumError
from gateway.spectra.fringes import Fringes, find_fringes
from gateway.spectra.spectrum import POINTS_MIN, BoolArray, FloatArray, Spectrum

STEP_CM1 = 2.0
"""Grid spacing: a quarter of a hand-held instrument's line width."""

WINDOW_CM1 = (200.0, 2400.0)
"""Fingerprint region and the C-N stretch; below lies the laser filter's edge, above C-H
stretches are too alike to separate anything and the tables call them indicative only."""

MARGIN_CM1 = 20.0
"""Measured range beyond the window that is used: a spike at the edge is seen by its neighbours."""

SPAN_CM1_MIN = 200.0
"""Less measured range than this holds no pattern of bands."""

GAP_CM1_MAX = 12.0
"""Wider gaps between neighbouring points would invent data when interpolated."""

GAP_SPACINGS_MAX = 3.5
COARSE_CM1_MAX = 6.0
"""Instruments that sample every 4 to 6 cm^-1 have lines of 12 and more; two bad pixels beside each
other leave such a line readable. Coarser sampling leaves none."""

LEVEL_CM1 = 10.0
"""Width of the average that gives the light for the shot noise; noise must not scale itself."""

FINE_CM1 = 1.5
"""Axes with closer points are averaged over each grid cell, others interpolated."""

RESOLUTION_DEFAULT_CM1 = 8.0
"""Line width of the hand-held class, assumed when neither stated nor measurable."""

RIPPLE_DEVIATION = 0.5
"""Of a ripple's amplitude. A band must stand six deviations high, three amplitudes: one more than
from the crest of a ripple to its valley."""

RIPPLE_SHARE_MAX = 0.1
"""Of the light; interference in windows and thinned detectors stays below it. Where even this would
drown in the noise none is looked for."""

FWHM_PER_SIGMA = 2.3548

KERNEL_SIGMAS = 4.0
"""Half-width of a Gaussian filter; beyond lie 6 parts in 100,000."""

KERNELS_KEPT = 32
"""Filters kept: three for each line width in use."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A spectrum ready to be searched for bands.

    Attributes:
        grid_cm1: shape (n,), evenly spaced by 2 cm^-1.
        signal: shape (n,), intensity without background, in the input's unit.
        smooth: shape (n,), `signal` filtered to the line width; band heights are read here.
        background: shape (n,), what was taken off.
        noise: shape (n,), standard deviation of `smooth`.
        lost: shape (n,), true where the detector was full.
        background_share: background area over total area, 0 to 1.
        saturated_share: share of the window's points that were full, 0 to 1.
        spike_count: points replaced as cosmic rays.
        resolution_cm1: line width in use (FWHM).
        fringes: interference ripple, which `noise` includes; None = none seen.
        fringed: over half of the range the ripple is larger than the noise.
    """

    grid_cm1: FloatArray
    signal: FloatArray
    smooth: FloatArray
    background: FloatArray
    noise: FloatArray
    lost: BoolArray
    background_share: float
    saturated_share: float
    spike_count: int
    resolution_cm1: float
    fringes: Fringes | None
    fringed: bool

    @property
    def span_cm1(self) -> float:
        """Width of the evaluated range in cm^-1."""
        return float(self.grid_cm1[-1] - self.grid_cm1[0])


def prepare(spectrum: Spectrum) -> Prepared:
    """Clean one spectrum and put it on the common grid.

    Raises:
        SpectrumError: less than 200 cm^-1 lie in the window, or the sampling has a gap in it.
    """
    spectrum = _near_window(spectrum)
    axis, counts = spectrum.axis_cm1, spectrum.intensity_counts
    clean, spikes = remove_spikes(axis, counts, spectrum.resolution_cm1)
    grid = _grid(axis)
    spacing = _median(np.diff(axis))
    on_grid = _rebin(axis, clean, grid, spacing)
    base = background(on_grid)
    signal = on_grid - base
    resolution = spectrum.resolution_cm1 or RESOLUTION_DEFAULT_CM1
    filter_cm1 = 0.5 * max(resolution, 4.0) / FWHM_PER_SIGMA
    smooth = smoothed(signal, filter_cm1 / STEP_CM1, mode="nearest")
    noise = _noise(spectrum, clean, on_grid, filter_cm1, spacing)
    lost = np.zeros(grid.shape, dtype=np.bool_)
    if spectrum.saturated is not None and spectrum.saturated.any():
        full = axis[spectrum.saturated]
        at = np.searchsorted(full, grid)
        near = np.minimum(
            np.abs(grid - full[np.minimum(at, full.size - 1)]),
            np.abs(grid - full[np.maximum(at - 1, 0)]),
        )
        lost = near <= max(resolution, 2.0 * STEP_CM1)
    floor = float(min(on_grid.min(), 0.0))
    beneath = base - floor
    ripples = RIPPLE_DEVIATION * RIPPLE_SHARE_MAX * float(beneath.max()) > float(noise.min())
    fringes = find_fringes(signal, beneath + np.maximum(smooth, 0.0)) if ripples else None
    ripple = _ripple(fringes, beneath)
    total = float((on_grid - floor).sum())
    share = min(max(float(beneath.sum()) / total, 0.0), 1.0) if total > 0.0 else 1.0
    return Prepared(
        grid_cm1=grid,
        signal=signal,
        smooth=smooth,
        background=base,
        noise=noise if fringes is None else np.hypot(noise, ripple),
        lost=lost,
        background_share=share,
        saturated_share=float(np.count_nonzero(lost) / lost.size),
        spike_count=int(np.count_nonzero(spikes)),
        resolution_cm1=resolution,
        fringes=fringes,
        fringed=fringes is not None and bool(np.median(ripple - noise) > 0.0),
    )


def _ripple(fringes: Fringes | None, background: FloatArray) -> FloatArray | float:
    """Standard deviation that keeps the crests of a ripple from counting as bands, shape (n,).

    Beneath a band the ripple only changes its height, so that the light of the background counts.
    """
    return 0.0 if fringes is None else RIPPLE_DEVIATION * fringes.share * background


def _near_window(spectrum: Spectrum) -> Spectrum:
    """The points in the window and a margin; beyond it the noise may be another, or none."""
    axis = spectrum.axis_cm1
    low, high = WINDOW_CM1[0] - MARGIN_CM1, WINDOW_CM1[1] + MARGIN_CM1
    start, stop = (int(end) for end in np.searchsorted(axis, (low, high)))
    if stop - start in (axis.size, *range(POINTS_MIN)):
        return spectrum
    return replace(
        spectrum,
        axis_cm1=axis[start:stop],
        intensity_counts=spectrum.intensity_counts[start:stop],
        saturated=None if spectrum.saturated is None else spectrum.saturated[start:stop],
    )


def _grid(axis_cm1: FloatArray) -> FloatArray:
    """Even grid over the measured part of the window."""
    low = max(WINDOW_CM1[0], float(axis_cm1[0]))
    high = min(WINDOW_CM1[1], float(axis_cm1[-1]))
    if high - low < SPAN_CM1_MIN:
        raise SpectrumError(
            f"the axis covers {axis_cm1[0]:g} to {axis_cm1[-1]:g} cm^-1, less than "
            f"{SPAN_CM1_MIN:g} of them within {WINDOW_CM1[0]:g} to {WINDOW_CM1[1]:g}; "
            "use an instrument that measures the fingerprint range"
        )
    inside = axis_cm1[(axis_cm1 >= low) & (axis_cm1 <= high)]
    gap = np.diff(inside)
    usual = float(np.median(gap)) if gap.size else 0.0
    most = max(GAP_CM1_MAX, GAP_SPACINGS_MAX * usual) if usual <= COARSE_CM1_MAX else GAP_CM1_MAX
    if inside.size < 2 or gap.max() > most:
        at = float(inside[int(gap.argmax())]) if inside.size >= 2 else low
        raise SpectrumError(
            f"the axis has a gap of more than {most:g} cm^-1 after {at:g}; "
            "export the spectrum at its native sampling"
        )
    first = STEP_CM1 * np.ceil(low / STEP_CM1)
    grid: FloatArray = np.arange(first, high + 1e-9, STEP_CM1)
    return grid


def _rebin(
    axis_cm1: FloatArray, counts: FloatArray, grid_cm1: FloatArray, spacing_cm1: float
) -> FloatArray:
    """Average over each grid cell when the axis is finer than the grid, else interpolate."""
    if spacing_cm1 > FINE_CM1:
        return np.asarray(np.interp(grid_cm1, axis_cm1, counts), dtype=np.float64)
    area = np.concatenate(([0.0], np.cumsum(0.5 * (counts[1:] + counts[:-1]) * np.diff(axis_cm1))))
    edges = np.concatenate((grid_cm1 - 0.5 * STEP_CM1, [grid_cm1[-1] + 0.5 * STEP_CM1]))
    edges = np.minimum(np.maximum(edges, axis_cm1[0]), axis_cm1[-1])
    cells: FloatArray = np.diff(np.interp(edges, axis_cm1, area)) / np.diff(edges)
    return cells


def _noise(
    spectrum: Spectrum,
    clean: FloatArray,
    on_grid: FloatArray,
    filter_cm1: float,
    spacing: float,
) -> FloatArray:
    """Standard deviation of the filtered spectrum, shape (n,).

    Its level is taken from neighbouring points as measured, and again on the grid where the axis is
    finer, because vendors interpolate; the larger counts. It holds where most points are, at the
    median light. Photon counts are noisier where there is more light: from there on the noise grows
    with the root of the light above the darkest place. Electrons per count, read noise and pedestal
    are not on the wire; where they matter this errs towards more noise, not less.
    """
    blur = spacing / np.sqrt(6.0) if spacing > FINE_CM1 else STEP_CM1 / np.sqrt(12.0)
    level = difference_noise(clean)
    noise = level * _filter_gain(spacing, float(np.hypot(filter_cm1, blur)))
    if spacing <= FINE_CM1:
        noise = max(noise, difference_noise(on_grid) * _filter_gain(STEP_CM1, filter_cm1))
    growth = np.ones_like(on_grid)
    if spectrum.shot_noise_known:
        light = smoothed(on_grid, LEVEL_CM1 / STEP_CM1)
        light = light - light.min()
        growth = np.sqrt(np.maximum(light / max(_median(light), level**2, 1e-12), 1.0))
    tiny = 1e-9 * float(on_grid.max() - on_grid.min()) + 1e-12
    return np.maximum(noise * growth, tiny)


def smoothed(values: FloatArray, sigma: float, mode: str = "reflect") -> FloatArray:
    """Filter with a Gaussian; as SciPy's `gaussian_filter1d`, whose kernels are not kept.

    Args:
        values: shape (n,).
        sigma: standard deviation, in points.
        mode: how the values go on beyond the ends.
    """
    filtered: FloatArray = correlate1d(values, _kernel(sigma), mode=mode)
    return filtered


@lru_cache(maxsize=KERNELS_KEPT)
def _kernel(sigma: float) -> FloatArray:
    reach = int(KERNEL_SIGMAS * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-reach, reach + 1) ** 2)
    kernel: FloatArray = weights / weights.sum()
    return kernel


def _median(values: FloatArray) -> float:
    """Median of finite values; NumPy's own takes several times as long for a thousand."""
    middle = values.size // 2
    if values.size % 2:
        return float(np.partition(values, middle)[middle])
    parted = np.partition(values, (middle - 1, middle))
    return 0.5 * float(parted[middle - 1] + parted[middle])


def _filter_gain(spacing_cm1: float, sigma_cm1: float) -> float:
    """Factor by which a Gaussian of this width lowers white noise of points this far apart."""
    return float(min(1.0, np.sqrt(spacing_cm1 / (2.0 * np.sqrt(np.pi) * sigma_cm1))))
