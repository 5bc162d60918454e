"""The one type every spectrum has before anything is computed from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.spectra.errors import SpectrumError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

POINTS_MIN = 32
"""Fewer points cannot hold even one band and its background on both sides."""

POINTS_MAX = 200_000
"""Ten times the finest laboratory file seen; bounds memory and time."""

SHIFT_CM1_MIN = -5_000.0
SHIFT_CM1_MAX = 20_000.0
"""Outside these limits the column is not a Raman shift (nanometres, picometres, row numbers)."""

SHIFT_CM1_FIRST_MAX = 4_500.0
"""No Raman shift begins above hydrogen's 4155: such an axis counts the light's own wavenumber."""

SHIFT_CM1_LAST_MIN = 150.0
"""An axis that ends below the first Raman bands is in another unit (micrometres, terahertz)."""

PADDING_JUMP_MAX = 5.0
"""Step from padding to measurement, over the usual one between neighbours, that is no edge."""

PADDING_POINTS_MIN = 16
"""So many equal values at an end are filling: noise never repeats itself like this."""

INTENSITY_ABS_MAX = 1e15
"""Larger numbers are corrupt; the bound keeps squares and sums far from overflow."""

RESOLUTION_CM1_MIN = 0.5
RESOLUTION_CM1_MAX = 40.0
AXIS_UNCERTAINTY_CM1_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One measured spectrum, checked on construction.

    Attributes:
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing; given strictly falling, all
            arrays are turned round.
        intensity_counts: shape (n,), finite; counts or any unit linear in light.
        saturated: shape (n,), true where the detector was full; None = nowhere known.
        resolution_cm1: instrument line width (FWHM), 0.5 to 40 cm^-1; None = estimate it.
        axis_uncertainty_cm1: half-width of the axis error that may remain, 0 to 20 cm^-1.
        shot_noise_known: counts are raw photon counts, so noise grows with their square root.

    Raises:
        SpectrumError: naming what is wrong, its value and the remedy.
    """

    axis_cm1: FloatArray
    intensity_counts: FloatArray
    saturated: BoolArray | None = None
    resolution_cm1: float | None = None
    axis_uncertainty_cm1: float = 2.0
    shot_noise_known: bool = False

    def __post_init__(self) -> None:
        axis = np.asarray(self.axis_cm1, dtype=np.float64)
        counts = np.asarray(self.intensity_counts, dtype=np.float64)
        falling = axis.ndim == 1 and axis.size > 1 and bool((np.diff(axis) < 0.0).all())
        if falling and counts.shape == axis.shape:
            axis, counts = axis[::-1].copy(), counts[::-1].copy()
        object.__setattr__(self, "axis_cm1", axis)
        object.__setattr__(self, "intensity_counts", counts)
        _check_columns(axis, counts)
        if self.saturated is not None:
            saturated = np.asarray(self.saturated, dtype=np.bool_)
            saturated = saturated[::-1].copy() if falling else saturated
            if saturated.shape != axis.shape:
                raise SpectrumError(
                    f"saturation marks have shape {saturated.shape}, the axis {axis.shape}; "
                    "give one mark per point or none"
                )
            object.__setattr__(self, "saturated", saturated)
        if self.resolution_cm1 is not None and not (
            RESOLUTION_CM1_MIN <= self.resolution_cm1 <= RESOLUTION_CM1_MAX
        ):
            raise SpectrumError(
                f"resolution {self.resolution_cm1} cm^-1 is outside {RESOLUTION_CM1_MIN} to "
                f"{RESOLUTION_CM1_MAX}; give the instrument's line width or leave it out"
            )
        if not 0.0 <= self.axis_uncertainty_cm1 <= AXIS_UNCERTAINTY_CM1_MAX:
            raise SpectrumError(
                f"axis uncertainty {self.axis_uncertainty_cm1} cm^-1 is outside 0 to "
                f"{AXIS_UNCERTAINTY_CM1_MAX}; calibrate the instrument with polystyrene"
            )

    @property
    def point_count(self) -> int:
        """Number of points of the spectrum."""
        return int(self.axis_cm1.shape[0])


def without_padding(spectrum: Spectrum) -> Spectrum:
    """The part of a spectrum that was measured.

    Programs fill the range an instrument does not see with one value; the jump to it would be taken
    for a background, and the empty range for one without bands.

    Returns:
        The spectrum without runs of 16 or more equal values at its ends; itself when there are
        none or nothing would remain. A run of the highest value is a full detector and stays.
    """
    counts = spectrum.intensity_counts
    if counts[0] != counts[1] and counts[-1] != counts[-2]:
        return spectrum
    changes = np.flatnonzero(np.diff(counts))
    if not changes.size:
        return spectrum
    start, stop = int(changes[0]) + 1, int(changes[-1]) + 1
    highest = counts.max()
    if start < PADDING_POINTS_MIN or counts[0] == highest:
        start = 0
    if counts.size - stop < PADDING_POINTS_MIN or counts[-1] == highest:
        stop = counts.size
    if stop - start < POINTS_MIN:
        return spectrum
    # Filled with the first measured value, that one belongs to the measurement.
    usual = PADDING_JUMP_MAX * float(np.median(np.abs(np.diff(counts[start:stop]))))
    start -= int(start > 0 and abs(counts[start] - counts[0]) <= usual)
    stop += int(stop < counts.size and abs(counts[stop - 1] - counts[-1]) <= usual)
    if stop - start == counts.size:
        return spectrum
    return Spectrum(
        axis_cm1=spectrum.axis_cm1[start:stop],
        intensity_counts=counts[start:stop],
        saturated=None if spectrum.saturated is None else spectrum.saturated[start:stop],
        resolution_cm1=spectrum.resolution_cm1,
        axis_uncertainty_cm1=spectrum.axis_uncertainty_cm1,
        shot_noise_known=spectrum.shot_noise_known,
    )


def _check_columns(axis_cm1: FloatArray, counts: FloatArray) -> None:
    """Raise SpectrumError unless both columns can be used."""
    if axis_cm1.ndim != 1 or counts.shape != axis_cm1.shape:
        raise SpectrumError(
            f"axis has shape {axis_cm1.shape} and intensity {counts.shape}; "
            "give two columns of equal length"
        )
    count = int(axis_cm1.shape[0])
    if not POINTS_MIN <= count <= POINTS_MAX:
        raise SpectrumError(
            f"spectrum has {count} points, accepted are {POINTS_MIN} to {POINTS_MAX}; "
            "export the full spectrum at its native sampling"
        )
    for name, column in (("Raman shift", axis_cm1), ("intensity", counts)):
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise SpectrumError(
                f"{name} at point {bad[0] + 1} is {column[bad[0]]}; every value must be a finite "
                "number, measure again"
            )
    _check_range(axis_cm1)
    if np.abs(counts).max() > INTENSITY_ABS_MAX:
        raise SpectrumError(
            f"intensity reaches {np.abs(counts).max():g}, more than {INTENSITY_ABS_MAX:g}; "
            "the file is damaged, measure again"
        )
    step = np.diff(axis_cm1)
    if (step <= 0.0).any():
        at = int(np.flatnonzero(step <= 0.0)[0]) + 1
        raise SpectrumError(
            f"Raman shift does not increase at point {at + 1}: {axis_cm1[at - 1]:g} is followed by "
            f"{axis_cm1[at]:g} cm^-1; sort the axis and remove repeated points"
        )


def _check_range(axis_cm1: FloatArray) -> None:
    """Raise SpectrumError when the axis spans what no Raman shift does."""
    if axis_cm1.min() < SHIFT_CM1_MIN or axis_cm1.max() > SHIFT_CM1_MAX:
        raise SpectrumError(
            f"axis spans {axis_cm1.min():g} to {axis_cm1.max():g}, a Raman shift lies within "
            f"{SHIFT_CM1_MIN:g} to {SHIFT_CM1_MAX:g} cm^-1; convert the axis to Raman shift"
        )
    if axis_cm1.min() > SHIFT_CM1_FIRST_MAX:
        raise SpectrumError(
            f"axis spans {axis_cm1.min():g} to {axis_cm1.max():g} cm^-1: these are absolute "
            "wavenumbers; subtract them from the laser's (10^7 over its wavelength in nm)"
        )
    if axis_cm1.max() <= 0.0:
        raise SpectrumError(
            f"axis spans {axis_cm1.min():g} to {axis_cm1.max():g}, all below zero: the anti-Stokes "
            "side, or a shift with its sign reversed; export Raman shift above zero"
        )
    if axis_cm1.max() < SHIFT_CM1_LAST_MIN:
        raise SpectrumError(
            f"axis spans {axis_cm1.min():g} to {axis_cm1.max():g}: micrometres, terahertz or "
            "electronvolts, no Raman shift in cm^-1; convert the axis to Raman shift"
        )
