"""A node's raw frame as a spectrum, for judging and for calibrating alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.screening.verdict import Parameter
from gateway.spectra.axis import AxisRecord, raman_axis_cm1
from gateway.spectra.errors import AxisError, SpectrumError
from gateway.spectra.spectrum import (
    RESOLUTION_CM1_MAX,
    RESOLUTION_CM1_MIN,
    BoolArray,
    FloatArray,
    Spectrum,
)

Counts = NDArray[np.integer[Any]]


class FrameError(ValueError):
    """A frame is no spectrum.

    Args:
        reason_id: as in gateway.screening.explain.
        parameters: for its sentence.
    """

    def __init__(self, reason_id: str, **parameters: Parameter) -> None:
        super().__init__(reason_id)
        self.reason_id = reason_id
        self.parameters = parameters


@dataclass(frozen=True, slots=True)
class Frame:
    """What a node sent.

    Attributes:
        pixels_counts: shape (n_pixel,), raw detector counts.
        axis: what the node said about its instrument; None = it has not said anything yet.
        dark_counts: shape (n_pixel,), the same exposure without laser; None = none taken.
        full_scale_counts: count at which a pixel is full; 0 = as the axis record says.
    """

    pixels_counts: Counts
    axis: AxisRecord | None
    dark_counts: Counts | None
    full_scale_counts: int

    def as_spectrum(self, axis_uncertainty_cm1: float) -> Spectrum:
        """Return the dark-subtracted spectrum on the axis that the instrument states.

        Raises:
            FrameError: no_axis, wrong_pixel_count, bad_axis or bad_reading.
        """
        axis = self.axis
        if axis is None:
            raise FrameError("no_axis")
        pixels = np.atleast_1d(np.asarray(self.pixels_counts))
        for frame in (pixels, self.dark_counts):
            if frame is not None and np.shape(frame) != (axis.pixel_count,):
                raise FrameError(
                    "wrong_pixel_count",
                    pixel_count=int(np.size(frame)),
                    expected_count=axis.pixel_count,
                )
        try:
            shift = raman_axis_cm1(axis.coefficients_nm, axis.pixel_count, axis.excitation_nm)
        except AxisError as error:
            raise FrameError("bad_axis") from error
        counts: FloatArray = pixels.astype(np.float64)
        if self.dark_counts is not None:
            counts = counts - np.asarray(self.dark_counts, dtype=np.float64)
        known = RESOLUTION_CM1_MIN <= axis.resolution_cm1 <= RESOLUTION_CM1_MAX
        try:
            return Spectrum(
                axis_cm1=shift,
                intensity_counts=counts,
                saturated=self._saturated(pixels),
                resolution_cm1=axis.resolution_cm1 if known else None,
                axis_uncertainty_cm1=axis_uncertainty_cm1,
                shot_noise_known=True,
            )
        except SpectrumError as error:
            raise FrameError("bad_reading") from error

    @property
    def full_scale_counts_in_use(self) -> int:
        """Count at which a pixel is full; 0 = nobody knows."""
        return self.full_scale_counts or (self.axis.full_scale_counts if self.axis else 0)

    def _saturated(self, pixels: Counts) -> BoolArray:
        """Pixels that were full in the reading or in its dark frame, shape (n_pixel,)."""
        full_scale = self.full_scale_counts_in_use
        if full_scale <= 0:
            return np.zeros(pixels.shape, dtype=np.bool_)
        full: BoolArray = pixels >= full_scale
        if self.dark_counts is not None:
            full = full | (np.asarray(self.dark_counts) >= full_scale)
        return full
