"""What a measured standard says about an axis, and the limits within which it can be true."""

from __future__ import annotations

import msgspec

from gateway.spectra.axis import EXCITATION_NM_MAX, EXCITATION_NM_MIN
from gateway.spectra.errors import FormatError
from gateway.spectra.marks import OFFSET_CM1_MAX, STRETCH_MAX, WINDOW_CM1
from gateway.spectra.origin import (
    MEASURED_MS_MAX,
    MEASURED_MS_MIN,
    TEXT_CHARS_MAX,
    MeasuredFrom,
)
from gateway.spectra.response import ResponseCurve
from gateway.spectra.spectrum import RESOLUTION_CM1_MAX, RESOLUTION_CM1_MIN, FloatArray, Spectrum
from gateway.spectra.standards import Standard, find_standard

RESIDUAL_CM1_MAX = 3.0
"""Tolerance of hand-held instruments, European Pharmacopoeia 2.2.48."""

UNCERTAINTY_CM1_MAX = 4.0
"""An axis this uncertain tells no two nitrates apart: it might as well not be calibrated."""

BETWEEN_CM1 = 0.5
"""Standard deviation of an axis between a calibration and the readings after it: temperature of
laser and sample. Measured: how standards of one instrument disagree, 1 cm^-1 at most."""

LEAST = {"uncertainty_cm1": 2.0 * BETWEEN_CM1, "resolution_cm1": RESOLUTION_CM1_MIN}
"""Least values of a calibration: drift alone gives the one, no instrument here beats the other."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What a measured standard says about an axis: measured = true + offset + stretch * distance.

    Attributes:
        standard_id: row of standards.csv.
        instrument: model and serial number; empty when nobody knows.
        measured_ms: wall time of the measurement, Unix milliseconds; None when nobody knows.
        measured_from: how that is known.
        excitation_nm: laser of the axis; None when nobody says.
        offset_cm1: by how much the axis reads too high at the pivot.
        stretch: by how much more per cm^-1 away from the pivot, relative.
        pivot_cm1: true place where offset and stretch are independent.
        uncertainty_cm1: half-width of the error that may remain in the fingerprint range (k = 2).
        resolution_cm1: line width of the instrument (FWHM).
        residual_cm1_rms: of the marks about the fit.
        bands: (tabulated, measured) places of the marks that were used.
        sigmas_cm1: standard deviation of the difference of each pair; empty when it was not kept.
        range_cm1: lowest and highest place that was looked at; empty when it was not kept.
        response_id: certificate of the intensity correction; None without.
        response: the correction itself; None without.
        response_ms: wall time of its measurement, Unix milliseconds; None when nobody knows.
    """

    standard_id: str
    instrument: str = ""
    measured_ms: int | None = None
    measured_from: MeasuredFrom = ""
    excitation_nm: float | None = None
    offset_cm1: float
    stretch: float
    pivot_cm1: float
    uncertainty_cm1: float
    resolution_cm1: float
    residual_cm1_rms: float
    bands: tuple[tuple[float, float], ...]
    sigmas_cm1: tuple[float, ...] = ()
    range_cm1: tuple[float, ...] = ()
    response_id: str | None = None
    response: ResponseCurve | None = None
    response_ms: int | None = None

    def check(self) -> None:
        """Insist on the limits, for a calibration that comes from a file.

        Raises:
            LibraryError: there is no such standard.
            FormatError: names the value that no calibration has.
            ResponseError: the intensity correction cannot be.
        """
        standard = find_standard(self.standard_id)
        self._check_origin()
        limits = (
            ("offset_cm1", abs(self.offset_cm1), OFFSET_CM1_MAX),
            ("stretch", abs(self.stretch), STRETCH_MAX),
            ("pivot_cm1", abs(self.pivot_cm1), WINDOW_CM1[1]),
            ("uncertainty_cm1", self.uncertainty_cm1, UNCERTAINTY_CM1_MAX),
            ("resolution_cm1", self.resolution_cm1, RESOLUTION_CM1_MAX),
            ("residual_cm1_rms", self.residual_cm1_rms, RESIDUAL_CM1_MAX),
        )
        for name, value, high in limits:
            low = LEAST.get(name, 0.0)
            if not low <= value <= high:
                raise FormatError(
                    f"calibration: {name} = {getattr(self, name)} is not within {low:g} to "
                    f"{high:g}; calibrate again"
                )
        self._check_bands(standard)
        if self.response is not None:
            self.response.check()
        if self.response_id != (self.response.response_id if self.response else None):
            raise FormatError(
                f"calibration: response_id = {self.response_id!r} is not that of the intensity "
                "correction in it; calibrate again with --response"
            )

    def _check_origin(self) -> None:
        """Raise FormatError for an instrument, a time or a laser that cannot be."""
        if len(self.instrument) > TEXT_CHARS_MAX or not self.instrument.isprintable():
            raise FormatError(
                f"calibration: instrument = {self.instrument[:40]!r}...: use at most "
                f"{TEXT_CHARS_MAX} printable characters"
            )
        for name in ("measured_ms", "response_ms"):
            value = getattr(self, name)
            if value is not None and not MEASURED_MS_MIN <= value <= MEASURED_MS_MAX:
                raise FormatError(
                    f"calibration: {name} = {value} is no time between 1990 and 2100; calibrate "
                    "again, with --measured if the file does not say when"
                )
        laser = self.excitation_nm
        if laser is not None and not EXCITATION_NM_MIN <= laser <= EXCITATION_NM_MAX:
            raise FormatError(
                f"calibration: excitation_nm = {laser} is not within {EXCITATION_NM_MIN:g} to "
                f"{EXCITATION_NM_MAX:g}; give the laser with --laser-nm"
            )

    def _check_bands(self, standard: Standard) -> None:
        """Raise FormatError unless the bands are the standard's, near their places."""
        marks = [band.shift_cm1 for band in standard.bands if band.use == "fit"]
        if not 1 <= len(self.bands) <= len(marks):
            raise FormatError(
                f"calibration: bands = {len(self.bands)} pairs, 1 to {len(marks)} are those of "
                f"{standard.standard_id}; calibrate again"
            )
        reach = OFFSET_CM1_MAX + STRETCH_MAX * WINDOW_CM1[1] + RESIDUAL_CM1_MAX
        for true, measured in self.bands:
            if true not in marks or not abs(measured - true) <= reach:
                raise FormatError(
                    f"calibration: bands: {true} measured at {measured} is none of "
                    f"{standard.standard_id}; calibrate again"
                )

    def apply(self, axis_cm1: FloatArray) -> FloatArray:
        """Return the corrected axis, shape and unit as given."""
        moved = axis_cm1 - self.offset_cm1 - self.pivot_cm1
        corrected: FloatArray = self.pivot_cm1 + moved / (1.0 + self.stretch)
        return corrected

    def correct(self, spectrum: Spectrum) -> Spectrum:
        """Return the spectrum on the corrected axis, with what is now known of it."""
        axis = self.apply(spectrum.axis_cm1)
        counts = spectrum.intensity_counts
        if self.response is not None:
            counts = self.response.correct(axis, counts)
        return Spectrum(
            axis_cm1=axis,
            intensity_counts=counts,
            saturated=spectrum.saturated,
            resolution_cm1=spectrum.resolution_cm1 or self.resolution_cm1,
            axis_uncertainty_cm1=self.uncertainty_cm1,
            # Corrected counts are light, no longer counts.
            shot_noise_known=spectrum.shot_noise_known and self.response is None,
        )
