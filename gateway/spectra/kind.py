"""Is it a Raman spectrum at all? What the numbers of two columns give away.

A header that says "transmittance" is refused where the file is read. Here are the cases without
one: an infrared spectrum, an axis in nanometres, a spectrum upside down. Each rule asks for several
things at once that no Raman instrument does together, because a wrong "not Raman" would stop goods.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from gateway.spectra.axis import CM1_NM
from gateway.spectra.despike import difference_noise
from gateway.spectra.peaks import find_peaks, peak_widths
from gateway.spectra.spectrum import FloatArray

WHYS = ("transmittance", "absorbance", "inverted", "wavelength", "wavenumber", "pixels")
"""What a spectrum may be instead; each has words in the officers' languages."""

INFRARED_FIRST_CM1 = (350.0, 900.0)
"""Where infrared spectra begin: windows of KBr 400, diamond 450 to 600, ZnSe 650."""

INFRARED_LAST_CM1 = (3500.0, 8000.0)
"""Where they end: 4000 as a rule. Hand-held Raman instruments end at 2000 to 3500."""

INFRARED_WHOLE_FIRST_CM1 = (390.0, 900.0)
INFRARED_WHOLE_LAST_CM1 = (3900.0, 4050.0)
"""The range infrared instruments export, whatever the values were scaled to."""

ABSORBANCE_RANGE = (-0.3, 6.0)
"""Absorbance in decades; detectors see no more than four. A Raman spectrum from 350 to beyond 3500
that somebody has scaled to so little cannot be told from one, unless the file says `Raman`."""

TRANSMITTANCE_MAX = (1.3, 130.0)
"""Highest transmittance as a fraction and in per cent, with room for a poor reference."""

LASERS_NM = (473.0, 488.0, 514.5, 532.0, 633.0, 638.0, 660.0, 785.0, 808.0, 830.0, 852.0, 1064.0)
"""Lasers of Raman instruments."""

WAVELENGTH_FROM_LASER_CM1 = (-300.0, 650.0)
"""Where an axis in nanometres begins, as a shift from its laser: before the filter's edge, or where
the instrument's range does. In nanometres that is 40 at 785 but 79 at 1064."""

AXIS_WHYS = ("wavelength", "wavenumber", "pixels")
"""What an axis may be; a file whose title gives its unit is asked no more."""

ROW_MAX = 2200
ROW_COUNTS = (3072, 3648, 3653, 3694, 4096)
"""Points of an axis 0, 1, 2, ... that is a detector's: line detectors have up to 2098 pixels, a few
have so many more. A shift axis of steps of one that begins at the laser line goes further."""

ABSOLUTE_FIRST_CM1 = 4500.0
"""No Raman shift begins here (hydrogen, the highest, is at 4155); an axis that does counts the
light's own wavenumber, 5800 (1064 nm) to 21000 (473 nm)."""


def not_raman(axis_cm1: FloatArray, intensity: FloatArray) -> str:
    """What the two columns look like when they are no Raman spectrum.

    Args:
        axis_cm1: shape (n,), strictly increasing, n >= 32.
        intensity: shape (n,), finite.

    Returns:
        One of WHYS, or "" when nothing speaks against Raman.
    """
    return axis_fault(axis_cm1) or light_fault(axis_cm1, intensity)


def light_fault(axis_cm1: FloatArray, intensity: FloatArray, *, is_raman: bool = False) -> str:
    """What the second column is when it is no Raman light: one of WHYS, or "".

    With `is_raman` file or person say that it is: only dips instead of bands speak against it.
    """
    if np.ptp(intensity) <= 0.0:
        return ""
    low, high = float(intensity.min()), float(intensity.max())
    if _points_down(axis_cm1, intensity):
        share = any(0.5 * top / 1.3 <= high <= top for top in TRANSMITTANCE_MAX)
        return "transmittance" if share and low >= -0.1 * high else "inverted"
    if is_raman:
        return ""
    first, last = float(axis_cm1[0]), float(axis_cm1[-1])
    scaled_so = low >= ABSORBANCE_RANGE[0] and high <= ABSORBANCE_RANGE[1]
    infrared = _within(first, INFRARED_FIRST_CM1) and _within(last, INFRARED_LAST_CM1)
    whole = _within(first, INFRARED_WHOLE_FIRST_CM1) and _within(last, INFRARED_WHOLE_LAST_CM1)
    return "absorbance" if whole or (infrared and scaled_so) else ""


def axis_fault(axis_cm1: FloatArray) -> str:
    """What the first column counts when it is no Raman shift: one of WHYS, or ""."""
    first = float(axis_cm1[0])
    if first > ABSOLUTE_FIRST_CM1:
        return "wavenumber"
    counts = first in (0.0, 1.0) and bool((np.diff(axis_cm1) == 1.0).all())
    if counts and (axis_cm1.size <= ROW_MAX or axis_cm1.size in ROW_COUNTS):
        return "pixels"
    return "wavelength" if _can_be_nanometres(axis_cm1) else ""


def _can_be_nanometres(axis: FloatArray) -> bool:
    """Whether an axis could count wavelengths in nanometres.

    It begins beside a laser and ends within Raman's range of it. Read as shifts such an axis would
    begin high and end soon, and hold no fingerprint; which it is only the unit says.
    """
    first, last = float(axis[0]), float(axis[-1])
    for laser_nm in LASERS_NM:
        longest_nm = 1.0 / (1.0 / laser_nm - 4000e-7)
        begins = first > 0.0 and _within(
            CM1_NM / laser_nm - CM1_NM / first, WAVELENGTH_FROM_LASER_CM1
        )
        if begins and laser_nm + 40.0 < last <= min(longest_nm, first + 0.75 * laser_nm):
            return True
    return False


def _within(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= value <= ends[1]


def _points_down(axis_cm1: FloatArray, intensity: FloatArray) -> bool:
    """Whether the bands are dips: several deep ones and no crest that comes near them."""
    spacing = float(np.median(np.diff(axis_cm1)))
    size = max(3, int(400.0 / spacing) | 1)
    step = max(1, intensity.size // 4000)
    thin, size = intensity[::step], max(3, (size // step) | 1)
    rest = thin - median_filter(thin, size=min(size, thin.size // 2 | 1), mode="nearest")
    edge = max(1, rest.size // 40)
    rest = rest[edge:-edge]  # the laser filter's edge is no dip
    noise = max(difference_noise(thin), 1e-9 * float(np.ptp(intensity)))
    deepest, highest = -float(rest.min()), float(rest.max())
    if deepest < 20.0 * noise or deepest < 2.0 * highest:
        return False
    dips, _ = find_peaks(-rest, prominence=max(8.0 * noise, 0.1 * deepest))
    wide = peak_widths(-rest, dips, rel_height=0.5)[0] >= 2.0
    count = int(np.count_nonzero(wide))
    # One dip may be a flaw; three, or one that nothing upward comes near, are the bands.
    return count >= 3 or (count >= 1 and deepest >= 5.0 * highest)
