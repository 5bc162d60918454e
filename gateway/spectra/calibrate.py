"""Set an instrument's axis by a measured standard.

1. The crests of the spectrum are laid over the standard's bands at every offset and stretch that
   could be; the best likeness says where the bands are and whether it is the standard at all.
2. Each band to fit is measured finely and weighed by the standard's own uncertainty and its own.
3. Offset and, where marks and span support it, stretch follow by least squares without outliers.
4. The covariance says how wrong the axis may still be anywhere in the fingerprint range.

Whatever is not as it must be is a `CalibrationError` with a named fault: a calibration that was
accepted by chance would move every band of every later reading.

References: ASTM E1840, Standard Guide for Raman Shift Standards; ASTM E2529, Standard Guide for
Testing the Resolution of a Raman Spectrometer; European Pharmacopoeia 2.2.48.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.spectra.calibration import (
    BETWEEN_CM1,
    RESIDUAL_CM1_MAX,
    UNCERTAINTY_CM1_MAX,
    Calibration,
)
from gateway.spectra.errors import CalibrationError, FormatError
from gateway.spectra.marks import (
    MARKS_MIN,
    METHOD_CM1,
    OFFSET_CM1_MAX,
    STRETCH_MAX,
    Mark,
    find_marks,
)
from gateway.spectra.origin import Origin
from gateway.spectra.spectrum import RESOLUTION_CM1_MIN, FloatArray, Spectrum
from gateway.spectra.standards import Standard

__all__ = [
    "FAULTS",
    "RESIDUAL_CM1_MAX",
    "UNCERTAINTY_CM1_MAX",
    "Calibration",
    "calibrate",
    "check_fit",
]

FAULTS = (
    "no_signal",  # nothing stands out of the noise
    "saturated",  # the detector was full at a band of the standard
    "too_few_bands",  # the range, or the noise, leaves too few marks
    "wrong_material",  # the bands are not those of the standard
    "offset_large",  # further off than an instrument in order can be
    "stretch_large",
    "residual_large",  # no offset and stretch bring the bands to their places
)

FINGERPRINT_CM1 = (200.0, 2000.0)
"""Where the axis has to be right."""

STRETCH_MARKS_MIN = 4
STRETCH_SPAN_CM1_MIN = 500.0
"""Fewer marks, or closer together, say nothing about a stretch."""

STRETCH_USUAL = 0.0015
"""Stretch that may remain where none was fitted; instruments in use are this good."""

OUTLIER_SIGMAS = 3.5
OUTLIER_SHARE_MAX = 0.25
"""A mark beyond this is a neighbour or an impurity; of more than a quarter nobody knows which."""

COVERAGE_FACTOR = 2.0
"""The uncertainty stated is a half-width that holds 95 of 100 (GUM, k = 2)."""

EXPERIENCE = 4.0
"""How many residuals of the expected size the experience with a dozen instruments is worth."""

CALCITE_NATURAL_CM1 = 0.684
CALCITE_SLOPE = 1.0209
"""Resolution = (width of the band at 1085.9 - 0.684) / 1.0209, European Pharmacopoeia 2.2.48."""

RESOLUTION_FWHM_MAX = 9.0
"""Natural width of a band that can still show the instrument's."""


ROUNDING = {
    "offset_cm1": 1e-3,
    "stretch": 1e-7,
    "pivot_cm1": 1e-2,
    "uncertainty_cm1": 1e-2,
    "residual_cm1_rms": 1e-3,
}
"""Last decimal of what is stated of a fit."""

SIGMA_CM1_MIN = METHOD_CM1
"""No mark is known better than the method."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """Offset and stretch with their variances; independent at the pivot."""

    offset_cm1: float
    stretch: float
    pivot_cm1: float
    offset_variance: float
    stretch_variance: float
    residuals_cm1: FloatArray
    excess: float
    is_stretched: bool


def calibrate(
    spectrum: Spectrum,
    standard: Standard,
    *,
    instrument: str = "",
    measured_ms: int | None = None,
    origin: Origin | None = None,
) -> Calibration:
    """Fit the axis of an instrument to a standard it has measured.

    Args:
        spectrum: of the standard, as the instrument gives it.
        standard: what was measured.
        instrument: model and serial number, kept with the result.
        measured_ms: when, Unix milliseconds, kept with the result.
        origin: instead of the two: what is known of the measurement.

    Returns:
        The calibration; its limits are met.

    Raises:
        CalibrationError: with the fault's name and a sentence: thing, value, remedy.
    """
    known = origin or Origin(instrument=instrument, measured_ms=measured_ms)
    axis, marks = find_marks(spectrum, standard)
    marks, fit = _fit_robustly(marks)
    bands = tuple((mark.band.shift_cm1, round(mark.line.place, 2)) for mark in marks)
    sigmas_cm1 = tuple(round(mark.sigma_cm1, 4) for mark in marks)
    range_cm1 = (round(float(axis[0]), 1), round(float(axis[-1]), 1))
    # Once more with what is kept, so that whoever reads it can do it again.
    fit = _fit(np.array(bands), np.array(sigmas_cm1))
    uncertainty_cm1 = _uncertainty_cm1(fit, *range_cm1)
    _check_limits(fit, uncertainty_cm1, standard)
    stated = _rounded(fit, uncertainty_cm1)
    return Calibration(
        standard_id=standard.standard_id,
        instrument=known.instrument,
        measured_ms=known.measured_ms,
        measured_from=known.measured_from,
        excitation_nm=known.excitation_nm,
        offset_cm1=stated["offset_cm1"],
        stretch=stated["stretch"],
        pivot_cm1=stated["pivot_cm1"],
        uncertainty_cm1=stated["uncertainty_cm1"],
        residual_cm1_rms=stated["residual_cm1_rms"],
        resolution_cm1=round(max(_resolution_cm1(marks, standard), RESOLUTION_CM1_MIN), 2),
        bands=bands,
        sigmas_cm1=sigmas_cm1,
        range_cm1=range_cm1,
    )


def check_fit(found: Calibration) -> None:
    """Insist that a calibration from a file says what its own bands say.

    Raises:
        FormatError: names the value that does not follow from the bands.
    """
    sigmas, places = np.array(found.sigmas_cm1), np.array(found.range_cm1)
    if sigmas.size != len(found.bands) or not np.all((sigmas >= SIGMA_CM1_MIN) & (sigmas < 100.0)):
        raise FormatError(
            f"calibration: sigmas_cm1 = {list(found.sigmas_cm1)[:4]}...: one for each of "
            f"{len(found.bands)} bands, {SIGMA_CM1_MIN:g} to 100, is needed; calibrate again"
        )
    measured = [pair[1] for pair in found.bands]
    if places.size != 2 or not places[0] <= min(measured) <= max(measured) <= places[1]:
        raise FormatError(
            f"calibration: range_cm1 = {list(found.range_cm1)[:4]} does not hold the bands; "
            "calibrate again"
        )
    fit = _fit(np.array(found.bands), sigmas)
    expected = _rounded(fit, _uncertainty_cm1(fit, float(places[0]), float(places[1])))
    for name, value in expected.items():
        stated = getattr(found, name)
        if not abs(stated - value) <= 1.01 * ROUNDING[name]:
            raise FormatError(
                f"calibration: {name} = {stated} does not follow from its bands, which give "
                f"{value}; calibrate again instead of editing it"
            )


def _rounded(fit: _Fit, uncertainty_cm1: float) -> dict[str, float]:
    """What is stated of a fit."""
    return {
        "offset_cm1": round(fit.offset_cm1, 3),
        "stretch": round(fit.stretch, 7),
        "pivot_cm1": round(fit.pivot_cm1, 2),
        "uncertainty_cm1": round(uncertainty_cm1, 2),
        "residual_cm1_rms": round(_rms(fit.residuals_cm1), 3),
    }


def _fit_robustly(marks: list[Mark]) -> tuple[list[Mark], _Fit]:
    """Fit, leaving out the worst mark as long as it is an outlier and enough remain."""
    kept = list(marks)
    fewest = max(len(marks) - int(OUTLIER_SHARE_MAX * len(marks)), min(MARKS_MIN, len(marks)))
    while True:
        pairs = np.array([(mark.band.shift_cm1, mark.line.place) for mark in kept])
        fit = _fit(pairs, np.array([mark.sigma_cm1 for mark in kept]))
        if len(kept) <= fewest:
            return kept, fit
        scaled = np.abs(fit.residuals_cm1) / [mark.sigma_cm1 for mark in kept]
        worst = int(np.argmax(scaled))
        usual = max(1.0, 1.4826 * float(np.median(scaled)))
        if scaled[worst] <= OUTLIER_SIGMAS * usual:
            return kept, fit
        del kept[worst]


def _fit(pairs: FloatArray, sigmas_cm1: FloatArray) -> _Fit:
    """Weighted least squares of the differences on the tabulated places.

    Args:
        pairs: shape (k, 2), tabulated and measured places in cm^-1.
        sigmas_cm1: shape (k,), standard deviations of their differences.
    """
    true, off = pairs[:, 0], pairs[:, 1] - pairs[:, 0]
    weight = 1.0 / sigmas_cm1**2
    pivot = float(np.average(true, weights=weight))
    arm = true - pivot
    offset = float(np.average(off, weights=weight))
    stretch, stretch_variance = 0.0, STRETCH_USUAL**2 / COVERAGE_FACTOR**2
    free = 1
    if true.size >= STRETCH_MARKS_MIN and float(np.ptp(true)) >= STRETCH_SPAN_CM1_MIN:
        lever = float(np.sum(weight * arm**2))
        stretch = float(np.sum(weight * arm * off)) / lever
        stretch_variance = 1.0 / lever
        free = 2
    residuals = off - offset - stretch * arm
    spare = true.size - free
    # Three residuals say little about their own size: experience counts as some more of them.
    excess = (float(np.sum(weight * residuals**2)) + EXPERIENCE) / (spare + EXPERIENCE)
    return _Fit(
        offset_cm1=offset,
        stretch=stretch,
        pivot_cm1=pivot,
        offset_variance=1.0 / float(np.sum(weight)),
        stretch_variance=stretch_variance,
        residuals_cm1=residuals,
        excess=max(1.0, excess),
        is_stretched=free == 2,
    )


def _check_limits(fit: _Fit, uncertainty_cm1: float, standard: Standard) -> None:
    """Insist on an error that an instrument in order can have.

    Raises:
        CalibrationError: with the limit that is not met.
    """
    rms = _rms(fit.residuals_cm1)
    if rms > RESIDUAL_CM1_MAX:
        raise CalibrationError(
            "residual_large",
            f"the bands of {standard.standard_id} lie {rms:.1f} cm^-1 r.m.s. from their places "
            f"whatever offset is taken, {RESIDUAL_CM1_MAX:g} are allowed; check that it is "
            f"{standard.standard_id}, then have the instrument's wavelength axis calibrated",
        )
    if abs(fit.offset_cm1) > OFFSET_CM1_MAX:
        raise CalibrationError(
            "offset_large",
            f"the axis is off by {fit.offset_cm1:+.1f} cm^-1, at most {OFFSET_CM1_MAX:g} are "
            f"corrected; check that it is {standard.standard_id}, then the laser",
        )
    if abs(fit.stretch) > STRETCH_MAX:
        raise CalibrationError(
            "stretch_large",
            f"the axis is stretched by {100 * fit.stretch:+.2f} %, at most "
            f"{100 * STRETCH_MAX:g} % are corrected; have the instrument's wavelength axis "
            "calibrated",
        )
    if uncertainty_cm1 > UNCERTAINTY_CM1_MAX:
        raise CalibrationError(
            "too_few_bands",
            f"the bands of {standard.standard_id} leave the axis uncertain by "
            f"{uncertainty_cm1:.1f} cm^-1, {UNCERTAINTY_CM1_MAX:g} are allowed; expose longer, or "
            "use a standard with more bands in this range",
        )


def _uncertainty_cm1(fit: _Fit, low_cm1: float, high_cm1: float) -> float:
    """Half-width of the error that may remain at the worse end of the fingerprint range."""
    low = min(max(low_cm1, FINGERPRINT_CM1[0]), fit.pivot_cm1)
    high = max(min(high_cm1, FINGERPRINT_CM1[1]), fit.pivot_cm1)
    arm = max(fit.pivot_cm1 - low, high - fit.pivot_cm1)
    # A stretch that was not fitted has its variance from experience, which no misfit can raise.
    growth = fit.excess if fit.is_stretched else 1.0
    variance = fit.excess * fit.offset_variance + growth * fit.stretch_variance * arm**2
    return COVERAGE_FACTOR * float(np.sqrt(variance + BETWEEN_CM1**2))


def _resolution_cm1(marks: Sequence[Mark], standard: Standard) -> float:
    """Line width of the instrument from the widths of sharp bands."""
    if standard.standard_id == "calcite":
        widest = max(marks, key=lambda mark: mark.band.rel_height)
        return max((widest.line.fwhm - CALCITE_NATURAL_CM1) / CALCITE_SLOPE, 0.5)
    sharp = [mark for mark in marks if mark.band.fwhm_cm1 <= RESOLUTION_FWHM_MAX]
    found = [
        (mark.band.rel_height, width)
        for mark in sharp or marks
        if (width := _instrument_width(mark.line.fwhm, mark.band.fwhm_cm1)) is not None
    ]
    if not found:
        return min(mark.line.fwhm for mark in marks)
    # Strong bands are the sharp and the undisturbed ones: weigh by their heights.
    heights, widths = np.array(found).T
    return float(np.average(widths, weights=heights))


def _instrument_width(measured_cm1: float, natural_cm1: float) -> float | None:
    """Gaussian that widens a Lorentzian of the natural width to the measured one; None: no such.

    Reference: J. J. Olivero, R. L. Longbothum, Empirical fits to the Voigt line width, JQSRT 17
        (1977) 233.
    """
    square = (measured_cm1 - 0.5346 * natural_cm1) ** 2 - 0.2166 * natural_cm1**2
    if measured_cm1 <= natural_cm1 or square <= 0.0:
        return None
    return float(np.sqrt(square))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
