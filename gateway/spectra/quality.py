"""How good is a measurement: numbers from the raw arrays, and what each means for the verdict.

Rules of the file
- Nothing here decides about substances. A finding can take a "clear" away, because a bad
  measurement hides bands; only what is no Raman measurement at all can take an alarm away.
- Everything is measured inside the window in which bands are searched: what the detector does
  beneath the laser line or beyond the fingerprint region harms nobody.
- Findings come in the order of what to do first: a full detector is mended before noise is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, grey_opening

from gateway.spectra.despike import difference_noise
from gateway.spectra.detector import full_pixels, jump, outliers, runs
from gateway.spectra.kind import not_raman
from gateway.spectra.peaks import find_peaks, peak_widths
from gateway.spectra.spectrum import BoolArray, FloatArray

WINDOW_CM1 = (200.0, 2400.0)
"""Where bands are searched; below lies the laser filter's edge."""

STEP_CM1 = 2.0
"""Even spacing at which background, noise and bands are measured: a quarter of a line width."""

DARK_SHARE_MAX = 0.3
"""Dark level over full scale. Above it a third of the range is gone and the dark current's own
shot noise and warm pixels are as large as weak bands."""

SATURATED_SHARE_MAX = 0.01
"""Of the window's points that are full one by one, as warm pixels are. Three full neighbours are a
cut-off crest and count always."""

SPIKED_SHARE_MAX = 0.03
"""Of the window's points replaced as cosmic rays: a dozen hits per thousand points. Each hides a
line width, so beyond it a band is as likely lost as not in a tenth of the window."""

DEAD_PIXELS_MAX = 8
DEAD_SHARE_MAX = 0.01
"""Single points far below both neighbours, by number and of the window's points. A few leave every
band readable; more than both come from a damaged detector or a damaged transfer."""

SNR_MIN = 40.0
"""Strongest band over noise to exclude anything: the weakest band that must be seen is a quarter as
high (a listed substance beneath four times its light in other goods) and must stand ten times above
the noise to be recognised, the general limit of matching."""

WEAKEST_SHARE = 0.25
"""Height of the weakest band that must be seen over the strongest one."""

FLUORESCENCE_SHARE_MAX = 0.8
"""Background over all light. Above it, when the weakest band drowns, more light of the same laser
brings more noise: four parts of five of it come from the background."""

FLUORESCENCE_SNR_MIN = 50.0
"""Height of a background over noise for it to be light and not drift."""

RESOLUTION_MAX_CM1 = 16.0
"""Stated line width. Ammonium and sodium nitrate lie 24 cm^-1 apart (1043, 1067) and must leave a
dip between them, which takes 1.5 line widths. The hand-held classes reach 7 to 12."""

BROADEST_MAX_CM1 = 30.0
"""Narrowest clear bands when no line width is stated. Liquids have natural widths of 10 to 20, so
bands that are all broader than this speak of a defocused or wrongly scaled instrument."""

RESOLUTION_BANDS_MIN = 4
"""Fewer clear bands do not tell whether goods or instrument are broad."""

CLEAR_SNR_MIN = 20.0
CLEAR_SHARE_MIN = 0.012
"""Height over noise, and over the strongest band, of a band whose width can be read to a few per
cent; below lie etalon ripple and shoulders, which look narrower than the instrument can see."""

SHARP_CM1_MAX = 60.0
"""Broader features are glass or background."""

NEGATIVE_SHARE_MAX = 0.1
"""Of the points of a dark-subtracted reading that lie clearly below zero: the dark frame was taken
with another exposure or temperature. Noise about zero is not counted."""

NEGATIVE_SNR_MIN = 5.0
"""Depth below zero, over noise, of a point that is clearly negative."""

OPENING_CM1 = 150.0
"""Broader features count as background."""

FWHM_PER_SIGMA = 2.3548

Number = int | float | str


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """One thing that is wrong with a measurement.

    Attributes:
        reason_id: of its sentence.
        parameters: the facts in it.
        forbids: the numbers are no measurement of Raman light at all; to identify would be a guess.
    """

    reason_id: str
    parameters: dict[str, Number]
    forbids: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of one measurement in numbers.

    Attributes:
        point_count: points inside the window.
        constant: there is no light, or nothing but full pixels: all values are the same.
        why_not_raman: what else the numbers look like, a key of `kind.WHYS`; empty = Raman.
        dark_missing: raw counts without a dark frame.
        dark_share: dark level over full scale, 0 to 1; None = unknown.
        saturated_share: share of the window's points that were full, 0 to 1.
        plateau_count: tops cut off over three or more points.
        spike_count: hits of cosmic rays.
        spiked_share: share of the window's points they spoilt, 0 to 1.
        dead_count: single points far below both their neighbours.
        step_cm1: place of the highest jump, None = none.
        noise: standard deviation of the light filtered to the line width, unit of the input.
        snr: strongest sharp band over `noise`, 0 = no band.
        weakest_snr: height of a band `WEAKEST_SHARE` as high as the strongest, over the noise where
            the background is highest.
        fluorescence_share: background over all light, 0 to 1; without a dark frame only what rises
            above the lowest background, since a pedestal is no light.
        fluorescence_load: background over Raman signal, by area.
        background_snr: height of the background over noise.
        resolution_cm1: line width (FWHM): stated, else the median of the three narrowest clear
            bands, an upper bound; None = neither.
        resolution_stated: whether it was stated.
        clear_count: bands that stand `CLEAR_SNR_MIN` above the noise.
        negative_share: share of points clearly below zero, 0 to 1.
        negative_matters: zero is known (dark subtracted), or everything is negative.
    """

    point_count: int
    constant: bool
    why_not_raman: str
    dark_missing: bool
    dark_share: float | None
    saturated_share: float
    plateau_count: int
    spike_count: int
    spiked_share: float
    dead_count: int
    step_cm1: float | None
    noise: float
    snr: float
    weakest_snr: float
    fluorescence_share: float
    fluorescence_load: float
    background_snr: float
    resolution_cm1: float | None
    resolution_stated: bool
    clear_count: int
    negative_share: float
    negative_matters: bool


def measure_condition(
    axis_cm1: FloatArray,
    counts: FloatArray,
    *,
    dark_counts: NDArray[np.integer[Any]] | FloatArray | None = None,
    saturated: BoolArray | None = None,
    full_scale_counts: float = 0.0,
    resolution_cm1: float | None = None,
    raw: bool = False,
) -> Condition:
    """Measure everything that can be wrong with one spectrum.

    Args:
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing.
        counts: shape (n,), finite; raw counts *with* the dark level when `dark_counts` is given.
        dark_counts: shape (n,), the same exposure without laser; None = none taken.
        saturated: shape (n,), true where the instrument says the detector was full; None = unknown.
        full_scale_counts: count at which a pixel is full; 0 = unknown.
        resolution_cm1: stated line width (FWHM); None = estimate it.
        raw: `counts` are the detector's own (a node's reading), not the export of a program.
    """
    why = not_raman(axis_cm1, counts)
    window = (axis_cm1 >= WINDOW_CM1[0]) & (axis_cm1 <= WINDOW_CM1[1])
    inside = window if np.count_nonzero(window) >= 8 else np.ones(axis_cm1.shape, dtype=np.bool_)
    axis, level = axis_cm1[inside], counts[inside]
    dark = None if dark_counts is None else np.asarray(dark_counts, dtype=np.float64)[inside]
    light = level if dark is None else level - dark
    marks, plateau_count = full_pixels(axis, level, full_scale_counts)
    if saturated is not None:
        marks = marks | saturated[inside]
    clean, spikes = outliers(axis, light, resolution_cm1)
    dead = outliers(axis, -clean, resolution_cm1)[1]
    scene = _scene(axis, clean, resolution_cm1, zero_known=dark is not None)
    negative = light < -NEGATIVE_SNR_MIN * max(scene.noise, 1e-12)
    all_negative = bool((light <= 0.0).all() and light.min() < 0.0)
    return Condition(
        point_count=int(axis.size),
        constant=bool(np.ptp(level) <= 1e-9 * float(np.abs(level).max())),
        why_not_raman=why,
        dark_missing=raw and dark is None,
        dark_share=float(np.median(dark)) / full_scale_counts
        if dark is not None and full_scale_counts > 0.0
        else None,
        saturated_share=float(marks.mean()),
        plateau_count=plateau_count,
        spike_count=runs(spikes),
        spiked_share=float(spikes.mean()),
        dead_count=runs(dead),
        step_cm1=jump(axis, clean, scene.strongest),
        noise=scene.noise,
        snr=scene.snr,
        weakest_snr=WEAKEST_SHARE * scene.strongest / scene.noise_bright,
        fluorescence_share=scene.background_share,
        fluorescence_load=scene.background_load,
        background_snr=scene.background_snr,
        resolution_cm1=resolution_cm1 if resolution_cm1 is not None else scene.narrowest_cm1,
        resolution_stated=resolution_cm1 is not None,
        clear_count=scene.clear_count,
        negative_share=1.0 if all_negative else float(negative.mean()),
        negative_matters=dark is not None or all_negative,
    )


def findings(condition: Condition, snr_min: float = SNR_MIN) -> tuple[QualityFinding, ...]:
    """What is wrong with the measurement.

    Args:
        condition: the measurement in numbers.
        snr_min: strongest band over noise that it takes to clear.

    Returns:
        Findings, what to mend first at the front; empty = nothing is wrong.
    """
    light_faults = _light_faults(condition, snr_min)
    return (*_unusable(condition), *_detector_faults(condition), *light_faults)


def _unusable(condition: Condition) -> list[QualityFinding]:
    """What makes the numbers no measurement of light, or a wrong one."""
    found = []
    if condition.why_not_raman:
        facts: dict[str, Number] = {"why": condition.why_not_raman}
        found.append(QualityFinding("not_raman", facts, forbids=True))
    if condition.constant:
        found.append(QualityFinding("constant", {}, forbids=True))
    if condition.saturated_share > SATURATED_SHARE_MAX or condition.plateau_count:
        share = max(1, round(100.0 * condition.saturated_share))
        found.append(QualityFinding("saturated", {"share_percent": share}))
    if condition.negative_matters and condition.negative_share > NEGATIVE_SHARE_MAX:
        share = round(100.0 * condition.negative_share)
        nothing = condition.negative_share >= 1.0  # there is no light at all, only differences
        found.append(QualityFinding("negative", {"share_percent": share}, forbids=nothing))
    return found


def _detector_faults(condition: Condition) -> list[QualityFinding]:
    """What the detector and its dark frame did."""
    found = []
    if condition.dark_missing:
        found.append(QualityFinding("dark_missing", {}))
    if condition.dark_share is not None and condition.dark_share > DARK_SHARE_MAX:
        share = round(100.0 * condition.dark_share)
        found.append(QualityFinding("dark_high", {"share_percent": share}))
    if condition.step_cm1 is not None:
        found.append(QualityFinding("step", {"shift_cm1": round(condition.step_cm1)}))
    if condition.dead_count > max(DEAD_PIXELS_MAX, DEAD_SHARE_MAX * condition.point_count):
        found.append(QualityFinding("dead_pixels", {"pixel_count": condition.dead_count}))
    if condition.spiked_share > SPIKED_SHARE_MAX:
        found.append(QualityFinding("cosmic_rays", {"spike_count": condition.spike_count}))
    return found


def _light_faults(condition: Condition, snr_min: float) -> list[QualityFinding]:
    """Too little Raman light for the noise, too much of another light, or smeared light."""
    found = []
    if (
        condition.fluorescence_share > FLUORESCENCE_SHARE_MAX
        and condition.background_snr >= FLUORESCENCE_SNR_MIN
        and condition.weakest_snr < WEAKEST_SHARE * snr_min
    ):
        share = round(100.0 * condition.fluorescence_share)
        found.append(QualityFinding("fluorescence", {"share_percent": share}))
    elif condition.snr < snr_min:
        facts: dict[str, Number] = {"snr": round(condition.snr, 1), "snr_min": round(snr_min)}
        found.append(QualityFinding("weak_signal", facts))
    limit = RESOLUTION_MAX_CM1 if condition.resolution_stated else BROADEST_MAX_CM1
    readable = condition.resolution_stated or condition.clear_count >= RESOLUTION_BANDS_MIN
    width = condition.resolution_cm1
    if readable and width is not None and width > limit:
        facts = {"resolution_cm1": round(width), "resolution_max_cm1": round(limit)}
        found.append(QualityFinding("resolution_poor", facts))
    return found


@dataclass(frozen=True, slots=True)
class _Scene:
    """Bands, background and noise of a cleaned spectrum; see Condition."""

    noise: float
    noise_bright: float
    snr: float
    strongest: float
    background_share: float
    background_load: float
    background_snr: float
    narrowest_cm1: float | None
    clear_count: int


def _scene(
    axis_cm1: FloatArray, clean: FloatArray, resolution_cm1: float | None, *, zero_known: bool
) -> _Scene:
    """Measure bands, background and noise on an even grid.

    Reference: R. Perez-Pueyo, M. J. Soneira, S. Ruiz-Moreno, Morphology-based automated baseline
        removal for Raman spectra of artistic pigments, Applied Spectroscopy 64 (2010) 595.
    """
    grid, even = _evenly(axis_cm1, clean)
    sigma = 0.5 * max(resolution_cm1 or 8.0, 4.0) / FWHM_PER_SIGMA / STEP_CM1
    smooth = gaussian_filter1d(even, sigma, mode="nearest")
    gain = min(1.0, float(np.sqrt(1.0 / (2.0 * np.sqrt(np.pi) * sigma))))
    noise = max(difference_noise(even) * gain, 1e-9 * float(np.ptp(even)) + 1e-12)
    size = min(int(OPENING_CM1 / STEP_CM1), max(smooth.size // 4, 3))
    opened = grey_opening(smooth, size=size, mode="nearest")
    base = gaussian_filter1d(opened, size / 4.0, mode="nearest")
    bright = even[base >= np.quantile(base, 0.75)]
    noise_bright = max(noise, difference_noise(bright) * gain) if bright.size >= 16 else noise
    signal = float(np.sum(np.maximum(smooth - base - noise, 0.0)))
    floor = min(0.0, float(base.min())) if zero_known else float(base.min())
    broad = float(np.sum(base - floor))
    rest = smooth - base  # on a steep background a band has no crest of its own
    tops, known = find_peaks(rest, prominence=6.0 * noise)
    widths = peak_widths(rest, tops, rel_height=0.5)[0] * (grid[1] - grid[0])
    heights = known["prominences"]
    sharp = widths <= SHARP_CM1_MAX
    strongest = float(heights[sharp].max(initial=0.0))
    least = max(CLEAR_SNR_MIN * noise, CLEAR_SHARE_MIN * strongest)
    clear = np.sort(widths[sharp & (heights >= least)])
    return _Scene(
        noise=noise,
        noise_bright=noise_bright,
        snr=strongest / noise,
        strongest=strongest,
        background_share=broad / (broad + signal) if broad + signal > 0.0 else 0.0,
        background_load=broad / signal if signal > 0.0 else 0.0,
        background_snr=float(base.max() - floor) / noise,
        narrowest_cm1=float(np.median(clear[:3])) if clear.size else None,
        clear_count=int(clear.size),
    )


def _evenly(axis_cm1: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Axis and counts at even spacing: averaged where the axis is finer, else interpolated."""
    count = max(int((axis_cm1[-1] - axis_cm1[0]) / STEP_CM1), 8)
    grid = np.linspace(axis_cm1[0], axis_cm1[-1], count)
    if axis_cm1.size < 1.3 * count:
        return grid, np.interp(grid, axis_cm1, counts)
    rise = 0.5 * (counts[1:] + counts[:-1]) * np.diff(axis_cm1)
    area = np.concatenate(([0.0], np.cumsum(rise)))
    half = 0.5 * (grid[1] - grid[0])
    edges = np.clip(np.append(grid - half, grid[-1] + half), axis_cm1[0], axis_cm1[-1])
    return grid, np.diff(np.interp(edges, axis_cm1, area)) / np.diff(edges)
