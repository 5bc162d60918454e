"""Forward model: from what lies before the probe to the counts of each pixel.

Rules of this file
* No I/O, no clock, no global randomness: every random number comes from a `Generator` argument.
* Light is a *rate* in photo-electrons per second and pixel until `expose` turns it into counts.
* Magnitudes marked "chosen" are not from a data sheet. They put a strong organic solid at a few
  10^4 counts in 400 ms at 100 mW, as handheld instruments at 785 nm show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.uint32]  # as wide as the widest converter needs

# Width at which the heights of the band tables were measured, by the handheld-class
# instruments behind them. Another slit keeps a band's area, not its height.
TABLE_RESOLUTION_CM1 = 8.0
# e-/s/mW at the top of a unit band of a pure strong scatterer, perfectly focused; chosen.
UNIT_BAND_RATE = 2250.0
BAND_REACH_CM1 = 120.0  # bands this far outside the axis still reach in with their wings
INTENSITY_SIGMA = 0.25  # of ln(intensity): form, grain and orientation of one real sample; chosen
WIDTH_SPREAD = 0.15  # widths vary uniformly by this part
COUPLING_SIGMA = 0.12  # of ln(signal): how well the probe is held to the sample; chosen
EDGE_CM1 = 190.0  # half-height of the long-pass filter that keeps the laser line out
EDGE_WIDTH_CM1 = 12.0
RESPONSE_HALF_NM = 990.0  # silicon loses half its response here; chosen, falling above 950 nm
RESPONSE_WIDTH_NM = 22.0
TEMPERATURE_REFERENCE_C = 20.0
FULL_WELL = 1.5  # in units of the converter's full scale; chosen
SCANS_PER_DRAW = 64  # memory bound of one batch of random numbers: 64 scans x 1024 pixels
FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))


@dataclass(frozen=True, slots=True)
class Band:
    """One Raman band as a table states it; intensity relative to the substance's strongest."""

    shift_cm1: float
    rel_intensity: float
    fwhm_cm1: float
    uncertainty_cm1: float = 0.0


@dataclass(frozen=True, slots=True)
class Optics:
    """The truth about one instrument's optics, which its stored coefficients only approximate.

    Attributes:
        wavelength_nm: shape (n_pixel,), strictly increasing.
        excitation_nm: what the laser really emits.
        slit_nm: full width at half maximum of the instrument's line shape.
        pixel_gain: shape (n_pixel,), relative response of each pixel, about 1.
    """

    wavelength_nm: FloatArray
    excitation_nm: float
    slit_nm: float
    pixel_gain: FloatArray

    @property
    def axis_cm1(self) -> FloatArray:
        """Raman shift of each pixel, shape (n_pixel,), cm^-1."""
        return 1e7 / self.excitation_nm - 1e7 / self.wavelength_nm

    @property
    def resolution_cm1(self) -> FloatArray:
        """FWHM of the line shape at each pixel, shape (n_pixel,): a slit is constant in nm."""
        return 1e7 * self.slit_nm / self.wavelength_nm**2

    @property
    def throughput(self) -> FloatArray:
        """Relative response of each pixel to light of the sample, shape (n_pixel,).

        Filter edge, detector response, the part of the spectrum one pixel covers, pixel gain.
        """
        axis_cm1 = self.axis_cm1
        edge = 1.0 / (1.0 + np.exp(-(axis_cm1 - EDGE_CM1) / EDGE_WIDTH_CM1))
        silicon = 1.0 / (1.0 + np.exp((self.wavelength_nm - RESPONSE_HALF_NM) / RESPONSE_WIDTH_NM))
        coverage = np.gradient(axis_cm1)
        result: FloatArray = edge * silicon * coverage / coverage.mean() * self.pixel_gain
        return result


@dataclass(frozen=True, slots=True)
class Detector:
    """What a detector adds to the light it is given.

    Attributes:
        full_scale_counts: largest output of the converter.
        electrons_per_count: inverse gain, e-.
        offset_counts: output without light or dark current.
        read_noise_e: standard deviation per scan and pixel, e-.
        dark_rate_e_s: dark current at 20 degC, e-/s and pixel.
        dark_doubling_k: warming that doubles the dark current.
        cosmic_rate_hz: charged particles per second over the whole detector.
        nonlinearity: polynomial N with true = measured / N(measured), counts above the offset.
    """

    full_scale_counts: int
    electrons_per_count: float
    offset_counts: float
    read_noise_e: float
    dark_rate_e_s: float
    dark_doubling_k: float
    cosmic_rate_hz: float
    nonlinearity: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How long and how often the detector looks, and how warm it is."""

    integration_s: float
    scans: int = 1
    temperature_c: float = TEMPERATURE_REFERENCE_C


def perturb_bands(bands: Sequence[Band], rng: np.random.Generator) -> tuple[Band, ...]:
    """One real sample's bands, which differ from the table as real samples do.

    Intensities are log-normal about the table, positions spread over half the row's window and
    never leave it, widths vary by 15 %. Without this, detection would be tested against the
    very table it searches.
    """
    count = len(bands)
    intensity = np.exp(rng.normal(0.0, INTENSITY_SIGMA, count))
    position = np.clip(rng.normal(0.0, 0.5, count), -1.0, 1.0)
    width = rng.uniform(1.0 - WIDTH_SPREAD, 1.0 + WIDTH_SPREAD, count)
    return tuple(
        Band(
            shift_cm1=band.shift_cm1 + position[i] * band.uncertainty_cm1,
            rel_intensity=band.rel_intensity * intensity[i],
            fwhm_cm1=band.fwhm_cm1 * width[i],
            uncertainty_cm1=band.uncertainty_cm1,
        )
        for i, band in enumerate(bands)
    )


def render_bands(
    bands: Sequence[Band], axis_cm1: FloatArray, resolution_cm1: FloatArray
) -> FloatArray:
    """Draw bands as pseudo-Voigt lines of width sqrt(fwhm^2 + resolution^2).

    A band narrower than the slit takes the slit's Gaussian shape, a broad one keeps up to half
    a Lorentzian's wings. Heights are the table's at the table's resolution; areas are kept.

    Args:
        bands: what to draw; those out of reach of the axis are left out.
        axis_cm1: shape (n_pixel,), strictly increasing, cm^-1.
        resolution_cm1: shape (n_pixel,), FWHM of the instrument, cm^-1.

    Returns:
        shape (n_pixel,), in units of the strongest band of the table.
    """
    curve = np.zeros_like(axis_cm1)
    low_cm1, high_cm1 = axis_cm1[0] - BAND_REACH_CM1, axis_cm1[-1] + BAND_REACH_CM1
    for band in bands:
        if not low_cm1 <= band.shift_cm1 <= high_cm1:
            continue
        slit_cm1 = float(np.interp(band.shift_cm1, axis_cm1, resolution_cm1))
        width_cm1 = float(np.hypot(band.fwhm_cm1, slit_cm1))
        height = band.rel_intensity * np.hypot(band.fwhm_cm1, TABLE_RESOLUTION_CM1) / width_cm1
        lorentzian_part = 0.5 * band.fwhm_cm1 / width_cm1
        half_widths = (axis_cm1 - band.shift_cm1) / (width_cm1 / 2.0)
        gaussian = np.exp(-np.log(2.0) * half_widths**2)
        lorentzian = 1.0 / (1.0 + half_widths**2)
        curve += height * (lorentzian_part * lorentzian + (1.0 - lorentzian_part) * gaussian)
    return curve


def gaussian_hump(axis_cm1: FloatArray, centre_cm1: float, fwhm_cm1: float) -> FloatArray:
    """A hump of unit height, shape (n_pixel,)."""
    result: FloatArray = np.exp(-0.5 * ((axis_cm1 - centre_cm1) * FWHM_PER_SIGMA / fwhm_cm1) ** 2)
    return result


def fluorescence_curve(axis_cm1: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Luminescence of a dirty or coloured sample: smooth, highest value 1, shape (n_pixel,).

    A broad maximum near or below the low end of the axis falling towards the infrared, with one
    weaker hump, the shape most fluorescing goods show at 785 nm.
    """
    main = gaussian_hump(axis_cm1, rng.uniform(-200.0, 900.0), rng.uniform(1500.0, 2800.0))
    side = gaussian_hump(axis_cm1, rng.uniform(600.0, 1800.0), rng.uniform(700.0, 1400.0))
    curve = main + rng.uniform(0.0, 0.3) * side
    result: FloatArray = curve / curve.max()
    return result


def optics_background(axis_cm1: FloatArray) -> FloatArray:
    """What the probe's own glass returns with nothing before it: silica, shape (n_pixel,).

    The broad humps of fused silica near 440 and 800 cm^-1 over a slope; largest value about 1.
    """
    slope = 0.35 * np.exp(-(axis_cm1 - axis_cm1[0]) / 900.0)
    result: FloatArray = (
        0.7 * gaussian_hump(axis_cm1, 430.0, 220.0)
        + 0.15 * gaussian_hump(axis_cm1, 805.0, 80.0)
        + slope
    )
    return result


def apply_nonlinearity(true_counts: FloatArray, coefficients: Sequence[float]) -> FloatArray:
    """Counts the converter shows for a true signal above the offset; inverse of the correction.

    Solves measured = true * N(measured) by iteration; N departs from 1 by a few per cent, so
    four rounds agree to far below one count.
    """
    measured = true_counts
    for _ in range(4):
        measured = true_counts * np.polynomial.polynomial.polyval(measured, coefficients)
    return measured


def correct_nonlinearity(measured_counts: FloatArray, coefficients: Sequence[float]) -> FloatArray:
    """True signal above the offset: measured / N(measured), the maker's convention."""
    result: FloatArray = measured_counts / np.polynomial.polynomial.polyval(
        measured_counts, coefficients
    )
    return result


def expose(
    signal_e: FloatArray,
    dark_pattern: FloatArray,
    detector: Detector,
    exposure: Exposure,
    rng: np.random.Generator,
) -> FloatArray:
    """Expose the detector and read it, `exposure.scans` times, averaged.

    Shot noise, read noise, cosmic particles, nonlinearity, saturation and quantisation act on
    every scan before the average, as they do in the instrument.

    Args:
        signal_e: shape (n_pixel,), photo-electrons expected in one scan, >= 0.
        dark_pattern: shape (n_pixel,), dark current of each pixel relative to the mean.
        detector: what the detector adds.
        exposure: time, number of scans and temperature.
        rng: all the noise.

    Returns:
        shape (n_pixel,), mean counts in 0..full_scale_counts, not yet rounded.
    """
    warmth = (exposure.temperature_c - TEMPERATURE_REFERENCE_C) / detector.dark_doubling_k
    dark_e = detector.dark_rate_e_s * 2.0**warmth * exposure.integration_s * dark_pattern
    expected_e = np.maximum(signal_e, 0.0) + dark_e
    # A pixel's well is full soon after the converter is; no polynomial holds beyond.
    well_counts = FULL_WELL * detector.full_scale_counts
    total = np.zeros_like(expected_e)
    done = 0
    while done < exposure.scans:
        batch = min(SCANS_PER_DRAW, exposure.scans - done)
        electrons = rng.poisson(expected_e, (batch, expected_e.size)).astype(np.float64)
        electrons += rng.normal(0.0, detector.read_noise_e, electrons.shape)
        for scan in electrons:
            add_cosmic_rays(scan, detector.cosmic_rate_hz * exposure.integration_s, rng)
        filled = np.minimum(electrons / detector.electrons_per_count, well_counts)
        above = apply_nonlinearity(filled, detector.nonlinearity)
        counts = np.rint(above + detector.offset_counts)
        total += np.clip(counts, 0.0, detector.full_scale_counts).sum(axis=0)
        done += batch
    result: FloatArray = total / exposure.scans
    return result


def add_cosmic_rays(scan_e: FloatArray, hits_expected: float, rng: np.random.Generator) -> None:
    """Strike one scan in place with charged particles: one to three pixels, 10^3 to 10^5 e-."""
    for _ in range(int(rng.poisson(hits_expected))):
        first = int(rng.integers(scan_e.size))
        length = int(rng.integers(1, 4))
        energy_e = 10.0 ** rng.uniform(3.0, 5.0)
        share = rng.dirichlet(np.ones(length))[: scan_e.size - first]
        scan_e[first : first + length] += energy_e * share
