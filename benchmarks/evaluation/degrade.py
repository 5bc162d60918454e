"""Faults laid on measured spectra, one kind at a time, each with a stated size and a seed.

Everything here works on the spectrum as measured: native axis, background and noise stay where the
kind does not speak of them. The background that tells signal from background is estimated by
sensitive nonlinear iterative clipping (Ryan et al., Nucl. Instr. Meth. B 34, 1988), on purpose by
another method than the product's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from gateway.spectra.spectrum import FloatArray, Spectrum

CLIP_CM1 = 60.0
"""Half-width of the widest clip: wider than any band of a fingerprint, narrower than humps."""

TOP_SMOOTH_CM1 = 4.0
"""A peak's height is read after this average, so that one noisy point is not the peak."""

PHOTONS_AT_PEAK = 10_000.0
"""Light of the strongest band where a background is added: a peak signal to noise of 100 before."""

RESOLUTION_CM1 = 10.0
AXIS_SHIFT_CM1 = 2.0
AXIS_STRETCH = 0.0015
FRINGE_CM1 = (12.0, 45.0)
"""Periods of interference in windows, filters and thinned detectors."""

FRINGE_DRIFT = 0.1
"""Change of the period over the whole range: the refractive index depends on the wavelength."""

RAYS_MEAN = 5.0
RAYS_MIN = 3
RAY_HEIGHT = (0.3, 2.0)
"""Cosmic rays over the strongest band, one or two points wide."""

OVERLAP_MIN = 0.8
"""Two spectra are added only where they share so much of the first one's fingerprint range."""

FINGERPRINT_CM1 = (200.0, 2400.0)

KINDS: tuple[str, ...] = (
    "shot_60",
    "shot_20",
    "shot_8",
    "background_1",
    "background_5",
    "background_20",
    "fringes_2",
    "resolution_10",
    "cosmic_rays",
    "axis",
    "hdpe",
    "pet",
    "mixture_50",
    "mixture_30",
    "mixture_20",
    "mixture_10",
)
"""Every kind; the number is its size."""


def background(axis_cm1: FloatArray, counts: FloatArray) -> FloatArray:
    """What lies beneath the bands, shape (n,)."""
    step = float(np.median(np.diff(axis_cm1)))
    base = uniform_filter1d(counts, max(1, round(TOP_SMOOTH_CM1 / step)), mode="nearest")
    reach = max(1, round(CLIP_CM1 / step))
    for wide in range(reach, 0, -1 if reach < 200 else -(reach // 100)):
        padded = np.pad(base, wide, mode="edge")
        base = np.minimum(base, 0.5 * (padded[: -2 * wide] + padded[2 * wide :]))
    return np.asarray(gaussian_filter1d(base, reach / 4.0, mode="nearest"), dtype=np.float64)


def signal(spectrum: Spectrum) -> FloatArray:
    """Bands without background, shape (n,), in the unit of the counts; zero outside 200 to 2400."""
    axis, counts = spectrum.axis_cm1, spectrum.intensity_counts
    net = counts - background(axis, counts)
    inside = (axis >= FINGERPRINT_CM1[0]) & (axis <= FINGERPRINT_CM1[1])
    return np.asarray(np.where(inside, net, 0.0), dtype=np.float64)


def peak(spectrum: Spectrum) -> tuple[float, int]:
    """Height of the strongest band above its background and the point it stands at."""
    step = float(np.median(np.diff(spectrum.axis_cm1)))
    net = uniform_filter1d(signal(spectrum), max(1, round(TOP_SMOOTH_CM1 / step)), mode="nearest")
    at = int(np.argmax(net))
    return max(float(net[at]), 1e-300), at


def _photons(spectrum: Spectrum, snr: float) -> FloatArray:
    """Expected photons per point such that the peak stands `snr` above its own shot noise."""
    counts = spectrum.intensity_counts
    light: FloatArray = counts - min(float(counts.min()), 0.0)
    height, at = peak(spectrum)
    return light * (snr**2 * max(float(light[at]), height) / height**2)


def add_shot_noise(spectrum: Spectrum, snr: float, rng: np.random.Generator) -> Spectrum:
    """Weaken the light until its strongest band stands `snr` above the shot noise at its top."""
    return _with(spectrum, rng.poisson(_photons(spectrum, snr)).astype(np.float64))


def add_background(spectrum: Spectrum, times: float, rng: np.random.Generator) -> Spectrum:
    """Add broad light `times` as high as the strongest band, with the shot noise of the sum."""
    height, _ = peak(spectrum)
    counts = spectrum.intensity_counts
    light = (counts - min(float(counts.min()), 0.0)) * (PHOTONS_AT_PEAK / height)
    axis = spectrum.axis_cm1
    x = (axis - FINGERPRINT_CM1[0]) / (FINGERPRINT_CM1[1] - FINGERPRINT_CM1[0])
    hump = np.exp(-0.5 * ((x - rng.uniform(-0.2, 1.0)) / rng.uniform(0.4, 0.8)) ** 2)
    broad = hump + rng.uniform(0.0, 0.3) * np.clip(x, 0.0, 1.0)
    light = light + times * PHOTONS_AT_PEAK * broad / float(broad.max())
    return _with(spectrum, rng.poisson(light).astype(np.float64))


def add_fringes(spectrum: Spectrum, share: float, rng: np.random.Generator) -> Spectrum:
    """Ripple the light by this share of it, on a background as high as the strongest band.

    Chance draws the period, its drift along the range and the phase.
    """
    bright = add_background(spectrum, 1.0, rng)
    axis = bright.axis_cm1
    along = (axis - axis[0]) / float(np.ptp(axis))
    drift = rng.uniform(-FRINGE_DRIFT, FRINGE_DRIFT)
    cycles = float(np.ptp(axis)) / rng.uniform(*FRINGE_CM1)
    phase = cycles * (along + 0.5 * drift * (along * along - along)) + rng.uniform()
    return _with(bright, bright.intensity_counts * (1.0 + share * np.sin(2.0 * np.pi * phase)))


def blur(spectrum: Spectrum, fwhm_cm1: float) -> Spectrum:
    """Look at the spectrum through a Gaussian line of this width, on top of its own."""
    axis, counts = spectrum.axis_cm1, spectrum.intensity_counts
    fine = np.arange(axis[0], axis[-1] + 0.25, 0.5)
    smooth = gaussian_filter1d(
        np.interp(fine, axis, counts), fwhm_cm1 / 2.3548 / 0.5, mode="nearest"
    )
    return _with(spectrum, np.interp(axis, fine, smooth))


def add_cosmic_rays(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Strike one or two neighbouring points, several times."""
    counts = spectrum.intensity_counts.copy()
    height, _ = peak(spectrum)
    for _ in range(max(RAYS_MIN, int(rng.poisson(RAYS_MEAN)))):
        first = int(rng.integers(counts.size))
        counts[first : first + int(rng.integers(1, 3))] += height * rng.uniform(*RAY_HEIGHT)
    return _with(spectrum, counts)


def bend_axis(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Shift the axis by 2 cm^-1 and stretch it by 0.15 %, each either way."""
    shift, stretch = rng.choice((-1.0, 1.0), 2) * (AXIS_SHIFT_CM1, AXIS_STRETCH)
    axis: FloatArray = spectrum.axis_cm1 * (1.0 + float(stretch)) + float(shift)
    return replace(spectrum, axis_cm1=axis)


def overlap(first: Spectrum, second: Spectrum) -> float:
    """Share of the first one's fingerprint range that the second covers, 0 to 1."""
    low = max(float(first.axis_cm1[0]), FINGERPRINT_CM1[0])
    high = min(float(first.axis_cm1[-1]), FINGERPRINT_CM1[1])
    both = min(high, float(second.axis_cm1[-1])) - max(low, float(second.axis_cm1[0]))
    return max(both, 0.0) / max(high - low, 1e-9)


def add_second(spectrum: Spectrum, second: Spectrum, kept: float) -> Spectrum:
    """Add the bands of another measured spectrum so that the first keeps a share of the area.

    Both areas are counted in the range both cover, without background. The first keeps its own
    background, axis and noise; the second brings the noise it was measured with.

    Args:
        spectrum: the first.
        second: the other; outside its range nothing is added.
        kept: area of the first over the area of both, 0 to 1 exclusive.
    """
    axis = spectrum.axis_cm1
    bands = signal(second)
    added = np.interp(axis, second.axis_cm1, bands, left=0.0, right=0.0)
    covered = (axis >= second.axis_cm1[0]) & (axis <= second.axis_cm1[-1])
    own = area(axis, np.where(covered, signal(spectrum), 0.0))
    other = area(axis, added)
    factor = own / max(other, 1e-300) * (1.0 - kept) / kept
    return _with(spectrum, spectrum.intensity_counts + factor * added)


def area(axis_cm1: FloatArray, net: FloatArray) -> float:
    """Area under the bands; noise below zero cancels noise above."""
    return max(float(np.trapezoid(net, axis_cm1)), 1e-300)


def degrade(
    spectrum: Spectrum, kind: str, rng: np.random.Generator, second: Spectrum | None = None
) -> Spectrum:
    """Lay one kind of fault on a spectrum.

    Args:
        spectrum: as measured.
        kind: of KINDS.
        rng: source of all chance.
        second: what is added by "hdpe", "pet" and "mixture_*".

    Raises:
        ValueError: an unknown kind, or one that needs a second spectrum and got none.
    """
    name, _, size = kind.rpartition("_")
    if name == "shot":
        return add_shot_noise(spectrum, float(size), rng)
    if name == "background":
        return add_background(spectrum, float(size), rng)
    if name == "fringes":
        return add_fringes(spectrum, float(size) / 100.0, rng)
    if kind == "resolution_10":
        return blur(spectrum, RESOLUTION_CM1)
    if kind == "cosmic_rays":
        return add_cosmic_rays(spectrum, rng)
    if kind == "axis":
        return bend_axis(spectrum, rng)
    if second is None or kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {KINDS}, or lacks its second spectrum")
    return add_second(spectrum, second, 0.5 if kind in ("hdpe", "pet") else float(size) / 100.0)


def _with(spectrum: Spectrum, counts: FloatArray) -> Spectrum:
    return replace(spectrum, intensity_counts=counts, saturated=None)
