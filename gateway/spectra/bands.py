"""Find the bands of a prepared spectrum: position, height, width, each with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.spectra.peaks import find_peaks, peak_widths
from gateway.spectra.prepare import STEP_CM1, Prepared
from gateway.spectra.spectrum import BoolArray, FloatArray

SNR_MIN = 6.0
"""Height over noise for a band to count: chance alone gives less than one in a thousand spectra."""

SHARE_MIN = 0.012
"""Smallest band over the strongest one. Below it real instruments show etalon ripple and
residues of the background that no noise estimate knows of."""

SHARP_CM1_MAX = 60.0
"""Broader features may be glass, fluorescence or a rest of the background: they are kept, but do
not count as bands that somebody has to explain."""

BANDS_MAX = 60
"""More bands than any library substance shows; the strongest are kept."""


@dataclass(frozen=True, slots=True)
class MeasuredBands:
    """Bands found in one spectrum, by rising position; all arrays of shape (m,).

    Attributes:
        shift_cm1: position.
        shift_error_cm1: its standard error from noise and overlap.
        height: height above the background, unit of the input.
        snr: prominence over noise.
        fwhm_cm1: full width at half height as measured.
    """

    shift_cm1: FloatArray
    shift_error_cm1: FloatArray
    height: FloatArray
    snr: FloatArray
    fwhm_cm1: FloatArray

    @property
    def count(self) -> int:
        """Number of bands."""
        return int(self.shift_cm1.shape[0])

    @property
    def sharp(self) -> BoolArray:
        """Bands too narrow to be background, shape (m,)."""
        narrow: BoolArray = self.fwhm_cm1 <= SHARP_CM1_MAX
        return narrow


def detection_limit(prepared: Prepared) -> FloatArray:
    """Smallest band height that would be found, shape (n,) on the grid."""
    strongest = float(max(prepared.smooth.max(), 0.0))
    limit: FloatArray = np.maximum(SNR_MIN * prepared.noise, SHARE_MIN * strongest)
    return limit


def measure_bands(prepared: Prepared) -> MeasuredBands:
    """Find all bands that stand out of noise and ripple."""
    smooth = prepared.smooth
    limit = detection_limit(prepared)
    least = float(limit.min())
    # What is lower cannot stand out; most crests of noise need no look at their surroundings.
    tops, found = find_peaks(smooth, height=least + float(smooth.min()), prominence=least)
    kept = np.flatnonzero((found["prominences"] >= limit[tops]) & ~prepared.lost[tops])
    if kept.size > BANDS_MAX:
        kept = np.sort(kept[np.argsort(found["prominences"][kept])[-BANDS_MAX:]])
    tops = tops[kept]
    around = tuple(found[name][kept] for name in ("prominences", "left_bases", "right_bases"))
    prominence = around[0]
    if not tops.size:
        empty = np.zeros(0)
        return MeasuredBands(empty, empty, empty, empty, empty)
    left, mid, right = smooth[tops - 1], smooth[tops], smooth[tops + 1]
    bend = left - 2.0 * mid + right
    offset = np.where(bend < 0.0, 0.5 * (left - right) / np.where(bend < 0.0, bend, -1.0), 0.0)
    width = peak_widths(smooth, tops, rel_height=0.5, prominence_data=around)[0] * STEP_CM1
    snr = prominence / prepared.noise[tops]
    return MeasuredBands(
        shift_cm1=prepared.grid_cm1[tops] + STEP_CM1 * np.minimum(np.maximum(offset, -1.0), 1.0),
        shift_error_cm1=0.3 + width / (2.3548 * snr),
        height=mid,
        snr=snr,
        fwhm_cm1=width,
    )
