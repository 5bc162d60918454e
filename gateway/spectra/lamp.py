"""Pixel to wavelength from the lines of a neon lamp, and the laser's wavelength from a standard.

A standard corrects an axis by a straight line; one that bends needs a lamp, which has lines all
along it. The instrument's own polynomial says roughly where each line must be; lines that stand too
close for the instrument are left out, because their sum lies nowhere in the table.

Wavelengths are those in air. Laser and lamp must use the same convention: air and vacuum differ by
0.21 nm at 785 nm, which is 3.4 cm^-1.

Reference: NIST Atomic Spectra Database, neon I.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.polynomial import Polynomial

from gateway.spectra.axis import CM1_NM, PIXELS_MIN, raman_axis_cm1
from gateway.spectra.calibration import Calibration
from gateway.spectra.errors import AxisError, LibraryError
from gateway.spectra.lines import Line, find_crests, fit_line
from gateway.spectra.spectrum import FloatArray

ORDERS = (3, 4, 5)
"""Degrees tried: spectrometers store four coefficients, five or six follow a grating to 0.01 nm."""

SPARE_LINES_MIN = 3
"""Lines beyond the number of coefficients: fewer let a polynomial go through its errors."""

SPAN_SHARE_MIN = 0.6
"""Part of the pixels that the lines must span: a polynomial means nothing outside."""

SEARCH_NM = 2.0
SEARCH_STEP_NM = 0.05
"""How far the stored polynomial may be off as a whole, and the steps of the search."""

NEAR_NM = 0.25
"""Distance at which a line counts 0.6 for one of the table."""

APART_WIDTHS = 1.3
"""Lines of the table closer than this, in measured widths, are one line to the instrument."""

RESIDUAL_NM_MAX = 0.1
"""1.6 cm^-1 at 785 nm; a good fit has a tenth of it."""

OUTLIER_SIGMAS = 4.0
LINE_PIXELS = 4.5
"""Width of a line of the hand-held class, to begin with."""


@dataclass(frozen=True, slots=True)
class LampFit:
    """An axis by a lamp.

    Attributes:
        coefficients_nm: pixel index to wavelength in nm (air), constant first.
        residual_nm_rms: of the lines about the polynomial, each predicted without itself.
        lines: (pixel, wavelength in nm) of those used.
    """

    coefficients_nm: tuple[float, ...]
    residual_nm_rms: float
    lines: tuple[tuple[float, float], ...]


@lru_cache(maxsize=1)
def load_neon_nm() -> tuple[float, ...]:
    """Wavelengths of the neon lines in air, nm, rising.

    Raises:
        LibraryError: the table is missing or not in order.
    """
    path = files("gateway.spectra").joinpath("tables/neon.csv")
    if not path.is_file():
        raise LibraryError("table neon.csv is missing; install the package again")
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    lines = tuple(float(row["wavelength_air_nm"]) for row in rows)
    if any(high <= low for low, high in pairwise(lines)):
        raise LibraryError("neon.csv: wavelengths must rise; install the package again")
    return lines


def fit_lamp(
    counts: FloatArray, stored_nm: Sequence[float], lamp_nm: Sequence[float] | None = None
) -> LampFit:
    """Fit the wavelength axis to a lamp's spectrum.

    Args:
        counts: shape (n_pixel,), dark-subtracted.
        stored_nm: the instrument's own coefficients, constant first; right to within 2 nm.
        lamp_nm: wavelengths of the lamp; None = neon.

    Raises:
        AxisError: too few lines, or they cannot be brought to their places; says how many.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 1 or counts.size < PIXELS_MIN or not np.isfinite(counts).all():
        raise AxisError(
            f"lamp spectrum of shape {counts.shape}: give one finite count for each pixel"
        )
    pixel = np.arange(counts.size, dtype=np.float64)
    # Checks the stored polynomial as well; the laser does not matter for that.
    raman_axis_cm1(stored_nm, counts.size, 785.0)
    stored = Polynomial(list(stored_nm))
    lines = _measure_lines(pixel, counts)
    width_nm = _width_nm(lines, stored)
    table = _resolved(np.array(lamp_nm if lamp_nm is not None else load_neon_nm()), width_nm)
    place = np.array([line.place for line in lines])
    weight = np.sqrt([line.height for line in lines]) if lines else np.zeros(0)
    pairs = _pair(place, weight, table, stored)
    best: LampFit | None = None
    for order in ORDERS:
        found = _fit(pairs, order, counts.size)
        if found is not None and (best is None or found.residual_nm_rms < best.residual_nm_rms):
            best = found
    if best is None:
        raise AxisError(
            f"{len(pairs)} lines of the lamp were recognised, {ORDERS[0] + 1 + SPARE_LINES_MIN} "
            f"over {100 * SPAN_SHARE_MIN:.0f} % of the pixels are needed; expose longer, check "
            "that it is a neon lamp and that the stored coefficients are those of this instrument"
        )
    if best.residual_nm_rms > RESIDUAL_NM_MAX:
        raise AxisError(
            f"the lamp's lines lie {best.residual_nm_rms:.3f} nm r.m.s. from the polynomial, at "
            f"most {RESIDUAL_NM_MAX:g} are allowed; check that it is a neon lamp"
        )
    raman_axis_cm1(best.coefficients_nm, counts.size, 785.0)  # still rising everywhere
    return best


def true_excitation_nm(found: Calibration, excitation_nm: float) -> float:
    """Return the laser's wavelength by a standard measured on a good wavelength axis.

    Args:
        found: by a standard, on an axis computed with `excitation_nm`.
        excitation_nm: the wavelength that was assumed, same convention as the axis.
    """
    return CM1_NM / (CM1_NM / excitation_nm - found.offset_cm1)


def _measure_lines(pixel: FloatArray, counts: FloatArray) -> list[Line]:
    """Every line that stands out, fitted alone."""
    crests = find_crests(pixel, counts)
    found = (fit_line(pixel, counts, float(place), LINE_PIXELS) for place in crests.place)
    return [line for line in found if line is not None]


def _width_nm(lines: Sequence[Line], stored: Polynomial) -> float:
    """Median width of the lines in nm."""
    slope = stored.deriv()
    widths = [line.fwhm * float(slope(line.place)) for line in lines]
    return float(np.median(widths)) if widths else 0.0


def _resolved(lamp_nm: FloatArray, width_nm: float) -> FloatArray:
    """The lines of the table that have no neighbour within the instrument's width."""
    gap = np.diff(lamp_nm, prepend=-np.inf, append=np.inf)
    alone: FloatArray = lamp_nm[np.minimum(gap[:-1], gap[1:]) > APART_WIDTHS * width_nm]
    return alone


def _pair(
    place: FloatArray, weight: FloatArray, lamp_nm: FloatArray, stored: Polynomial
) -> list[tuple[float, float]]:
    """Find the shift at which most light lies on lines of the table, then pair what is near."""
    if not place.size or not lamp_nm.size:
        return []
    guess = np.asarray(stored(place), dtype=np.float64)
    shifts = np.arange(-SEARCH_NM, SEARCH_NM + 0.5 * SEARCH_STEP_NM, SEARCH_STEP_NM)
    distance = np.abs(guess[None, :, None] + shifts[:, None, None] - lamp_nm).min(axis=2)
    score = (weight * np.exp(-0.5 * (distance / NEAR_NM) ** 2)).sum(axis=1)
    moved = guess + shifts[int(np.argmax(score - 1e-6 * np.abs(shifts)))]
    pairs: dict[int, tuple[float, float]] = {}
    for at, wavelength in zip(place, moved, strict=True):
        nearest = int(np.argmin(np.abs(lamp_nm - wavelength)))
        apart = abs(float(lamp_nm[nearest] - wavelength))
        if apart <= 2.0 * NEAR_NM and (nearest not in pairs or apart < pairs[nearest][0]):
            pairs[nearest] = (apart, float(at))
    return [(pairs[key][1], float(lamp_nm[key])) for key in sorted(pairs)]


def _fit(pairs: Sequence[tuple[float, float]], order: int, pixel_count: int) -> LampFit | None:
    """Polynomial through the pairs without outliers; None with too few of them left."""
    kept = list(pairs)
    while len(kept) >= order + 1 + SPARE_LINES_MIN:
        at, wavelength = np.array(kept).T
        if np.ptp(at) < SPAN_SHARE_MIN * pixel_count:
            return None
        # Scaled to -1..1, where powers up to the fifth are far from each other.
        scaled = 2.0 * at / pixel_count - 1.0
        powers = np.polynomial.chebyshev.chebvander(scaled, order)
        weights, *_ = np.linalg.lstsq(powers, wavelength, rcond=None)
        left = wavelength - powers @ weights
        influence = np.einsum("ij,ji->i", powers, np.linalg.pinv(powers))
        alone = left / np.maximum(1.0 - influence, 0.05)  # predicted without the line itself
        usual = 1.4826 * float(np.median(np.abs(alone))) + 1e-6
        worst = int(np.argmax(np.abs(alone)))
        if abs(float(alone[worst])) > OUTLIER_SIGMAS * usual and len(kept) > 0.75 * len(pairs):
            del kept[worst]
            continue
        found = np.polynomial.Chebyshev(weights, domain=[0.0, float(pixel_count)])
        powers_of_pixel = found.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef
        return LampFit(
            coefficients_nm=tuple(float(value) for value in powers_of_pixel),
            residual_nm_rms=float(np.sqrt(np.mean(alone**2))),
            lines=tuple(kept),
        )
    return None
