"""Find a standard in a spectrum and measure its bands, or say what is there instead.

The crests of the spectrum are laid over the standard's bands at every offset and stretch that could
be. The best likeness says where the bands lie and whether it is this material at all: by chance, or
by another material, nothing that is as like has been seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.spectra.despike import remove_spikes
from gateway.spectra.errors import CalibrationError
from gateway.spectra.lines import Crests, Line, find_crests, fit_line
from gateway.spectra.spectrum import FloatArray, Spectrum
from gateway.spectra.standards import Standard, StandardBand

OFFSET_CM1_MAX = 12.0
"""A laser 0.7 nm off at 785 nm. Whoever is further off needs a service, not a correction."""

STRETCH_MAX = 0.005
"""Relative; more is a wrong wavelength polynomial."""

SEARCH_CM1 = 18.0
"""Offsets looked at: beyond the limit, so that an axis that is too far off can be told from another
material."""

SEARCH_STEP_CM1 = 1.0
SEARCH_STRETCH_STEP = 0.001
SEARCH_PIVOT_CM1 = 1000.0

LIKENESS_MIN = 0.86
"""Cosine between the roots of the heights of measured crests and of the standard's bands. Over the
open measured spectra standards reach 0.88 to 0.98; the nearest other material, benzyl alcohol
against polystyrene, 0.84."""

HIDDEN_SNR = 10.0
"""Bands expected lower than this over the noise need not be seen: their heights differ by a factor
of two between instruments, and a crest takes 5."""

HIDDEN_SLACK = 0.4
"""How much less likeness is asked, by the share of the standard's light that noise hides, before it
is said to be another material: noise falsifies the heights that it leaves. Nothing is accepted by
it."""

NEAR_CM1 = 2.5
"""Distance at which a crest counts 0.6 for a band when the material is looked for."""

WINDOW_CM1 = (120.0, 2420.0)
"""Where identification works, and a little on both sides; beyond, C-H stretches would pull on an
axis that bends."""

EDGE_CM1 = 18.0
"""Bands nearer to the end of the range are not seen whole: the filter itself reaches 15 cm^-1."""

SIGNAL_SNR_MIN = 12.0
"""Strongest crest over noise."""

MARKS_MIN = 3
"""Of the bands to fit, where the standard has as many; two agree too easily."""

STRONG_SHARE = 0.3
"""Crests of at least this part of the highest are looked at for a full detector before the material
is looked for: a cut-off top is another pattern."""

FLAT_REACH_CM1 = 15.0
FLAT_SHARE = 0.01
FLAT_POINTS_MIN = 4
FLAT_WIDTH_MIN = 0.4
"""A line within 15 cm^-1 that is 0.4 of its half-height width wide at 99 % of its height has been
cut off: a Gaussian is 0.12 wide there, a Lorentzian 0.10. It takes four points to say so."""

METHOD_CM1 = 0.2
"""What fits of overlapped bands on a few pixels per width are wrong by, beside their scatter."""

POSITION_SHARE = 0.5
"""Uncertainty of an accepted position over the standard deviation of a single laboratory: the mean
of seven that share some errors."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the standard's bands lie on the axis, roughly."""

    likeness: float
    offset_cm1: float
    stretch: float

    def of(self, shift_cm1: FloatArray) -> FloatArray:
        """Where bands at these true places lie, shape as given."""
        placed: FloatArray = (
            shift_cm1 + self.offset_cm1 + self.stretch * (shift_cm1 - SEARCH_PIVOT_CM1)
        )
        return placed


@dataclass(frozen=True, slots=True)
class Mark:
    """A band to fit and the line that was measured for it."""

    band: StandardBand
    line: Line

    @property
    def sigma_cm1(self) -> float:
        """Standard deviation of the difference of both places."""
        position = POSITION_SHARE * self.band.sd_cm1
        return float(np.sqrt(position**2 + self.line.error**2 + METHOD_CM1**2))


def find_marks(spectrum: Spectrum, standard: Standard) -> tuple[FloatArray, list[Mark]]:
    """Find the bands of a standard and measure them.

    Args:
        spectrum: of the standard, as the instrument gives it.
        standard: what was measured.

    Returns:
        The part of the axis that was looked at, shape (n,), and the marks by rising position.

    Raises:
        CalibrationError: no_signal, saturated, too_few_bands or wrong_material.
    """
    window = (spectrum.axis_cm1 >= WINDOW_CM1[0]) & (spectrum.axis_cm1 <= WINDOW_CM1[1])
    axis, raw = spectrum.axis_cm1[window], spectrum.intensity_counts[window]
    marks_in_range = _check_range(axis, standard)
    counts, _ = remove_spikes(axis, raw, spectrum.resolution_cm1)
    crests = find_crests(axis, counts)
    if not crests.place.size or float(crests.snr.max()) < SIGNAL_SNR_MIN:
        best = float(crests.snr.max()) if crests.place.size else 0.0
        raise CalibrationError(
            "no_signal",
            f"no band of {standard.standard_id} stands out of the noise ({best:.0f} times it, "
            f"{SIGNAL_SNR_MIN:g} are needed); hold the standard to the probe, expose longer",
        )
    for place in crests.place[crests.height >= STRONG_SHARE * crests.height.max()]:
        _check_saturation(spectrum, axis, raw, float(place))
    placement = _place(crests, standard, float(axis[0]), float(axis[-1]))
    if placement.likeness < LIKENESS_MIN:
        if _is_hidden_by_noise(crests, standard, float(axis[0]), float(axis[-1])):
            raise CalibrationError(
                "too_few_bands",
                f"noise hides the weaker bands of {standard.standard_id}, so that it cannot be "
                f"recognised (likeness {placement.likeness:.2f}, {LIKENESS_MIN:g} is needed); "
                "expose longer, out of the sun and without packaging",
            )
        raise _wrong_material(standard, placement.likeness)
    marks = _measure_marks(axis, counts, crests, placement, marks_in_range)
    for mark in marks:
        _check_saturation(spectrum, axis, raw, mark.line.place)
    needed = min(MARKS_MIN, len([band for band in standard.bands if band.use == "fit"]))
    if len(marks) < needed:
        raise CalibrationError(
            "too_few_bands",
            f"{len(marks)} bands of {standard.standard_id} could be measured, {needed} are needed; "
            "expose longer, or use another standard",
        )
    return axis, marks


def _check_range(axis_cm1: FloatArray, standard: Standard) -> tuple[StandardBand, ...]:
    """The bands to fit within the measured range.

    Raises:
        CalibrationError: too few of them.
    """
    low, high = (float(axis_cm1[0]), float(axis_cm1[-1])) if axis_cm1.size else (0.0, 0.0)
    inside = standard.marks(low + EDGE_CM1, high - EDGE_CM1)
    strongest = any(band.rel_height == 1.0 for band in inside)
    needed = min(MARKS_MIN, len([band for band in standard.bands if band.use == "fit"]))
    if len(inside) < needed or not strongest:
        raise CalibrationError(
            "too_few_bands",
            f"the axis covers {low:.0f} to {high:.0f} cm^-1, where {standard.standard_id} has "
            f"{len(inside)} bands to fit; use a standard with at least {needed} and its strongest "
            "one in this range",
        )
    return inside


def _is_hidden_by_noise(
    crests: Crests, standard: Standard, low_cm1: float, high_cm1: float
) -> bool:
    """Whether what is seen would do for the standard, were its bands beneath the noise not asked.

    It takes a band of the standard that noise hides: where all should be seen it is not here.
    """
    top = int(np.argmax(crests.height))
    hidden = HIDDEN_SNR * float(np.median(crests.height / crests.snr))
    floor = hidden / float(crests.height[top])
    inside = [b for b in standard.bands if low_cm1 + EDGE_CM1 <= b.shift_cm1 <= high_cm1 - EDGE_CM1]
    light = sum(band.rel_height for band in inside)
    hidden_share = sum(band.rel_height for band in inside if band.rel_height < floor) / light
    if hidden_share <= 0.0:
        return False
    seen = crests.height >= hidden
    bright = Crests(crests.place[seen], crests.height[seen], crests.snr[seen])
    found = _place(bright, standard, low_cm1, high_cm1, floor=floor)
    enough = LIKENESS_MIN - HIDDEN_SLACK * hidden_share
    return found.likeness >= enough and abs(found.offset_cm1) <= OFFSET_CM1_MAX


def _place(
    crests: Crests, standard: Standard, low_cm1: float, high_cm1: float, *, floor: float = 0.0
) -> Placement:
    """Lay the crests over the standard's bands at every offset and stretch; return the best.

    Bands lower than `floor`, a share of the highest, are not looked for.
    """
    bands = [b for b in standard.bands if low_cm1 + EDGE_CM1 <= b.shift_cm1 <= high_cm1 - EDGE_CM1]
    shift = np.array([band.shift_cm1 for band in bands])
    height = np.array([band.rel_height for band in bands])
    wanted = np.sqrt(np.where(height >= floor, height, 0.0))
    # What noise alone can reach is no crest to be explained.
    noise = crests.height / crests.snr
    seen = np.sqrt(np.maximum(crests.height - 4.0 * noise, 0.0))
    offsets = np.arange(-SEARCH_CM1, SEARCH_CM1 + 0.5 * SEARCH_STEP_CM1, SEARCH_STEP_CM1)
    stretches = np.arange(-STRETCH_MAX, STRETCH_MAX + 1e-9, SEARCH_STRETCH_STEP)
    grid_offset, grid_stretch = (part.ravel() for part in np.meshgrid(offsets, stretches))
    placed = shift + grid_offset[:, None] + grid_stretch[:, None] * (shift - SEARCH_PIVOT_CM1)
    distance = np.abs(placed[:, :, None] - crests.place)
    worth = seen * np.exp(-0.5 * (distance / NEAR_CM1) ** 2)
    scale = float(np.linalg.norm(wanted) * np.linalg.norm(seen))
    likeness = (wanted * worth.max(axis=2)).sum(axis=1) / max(scale, 1e-12)
    # Of equals the least moved: the search must not invent an error.
    moved = 1e-4 * np.abs(grid_offset) + 2.0 * np.abs(grid_stretch)
    best = int(np.argmax(likeness - moved))
    return Placement(float(likeness[best]), float(grid_offset[best]), float(grid_stretch[best]))


def _measure_marks(
    axis_cm1: FloatArray,
    counts: FloatArray,
    crests: Crests,
    placement: Placement,
    bands: Sequence[StandardBand],
) -> list[Mark]:
    """Fit a line at every band whose crest is there; each crest serves one band."""
    marks: list[Mark] = []
    taken: set[int] = set()
    for band in sorted(bands, key=lambda band: -band.rel_height):
        expected = float(placement.of(np.array([band.shift_cm1]))[0])
        nearest = int(np.argmin(np.abs(crests.place - expected)))
        if nearest in taken or abs(float(crests.place[nearest]) - expected) > 2.0 * NEAR_CM1:
            continue
        width = float(np.hypot(band.fwhm_cm1, 5.0))
        line = fit_line(axis_cm1, counts, float(crests.place[nearest]), width)
        if line is not None:
            taken.add(nearest)
            marks.append(Mark(band, line))
    return sorted(marks, key=lambda mark: mark.band.shift_cm1)


def _check_saturation(
    spectrum: Spectrum, axis_cm1: FloatArray, raw: FloatArray, place_cm1: float
) -> None:
    """Insist on a line whose top was counted.

    Raises:
        CalibrationError: the detector was full there, or the top is as flat as no line's is.
    """
    near = np.abs(axis_cm1 - place_cm1) <= FLAT_REACH_CM1
    x, y = axis_cm1[near], raw[near]
    full = False
    if spectrum.saturated is not None:
        window = (spectrum.axis_cm1 >= WINDOW_CM1[0]) & (spectrum.axis_cm1 <= WINDOW_CM1[1])
        full = bool(spectrum.saturated[window][near].any())
    floor, top = float(y.min()), float(y.max())
    at_top = x[y >= top - FLAT_SHARE * (top - floor)]
    at_half = x[y >= 0.5 * (top + floor)]
    if at_top.size >= FLAT_POINTS_MIN and np.ptp(at_top) > FLAT_WIDTH_MIN * np.ptp(at_half):
        full = True
    if full:
        raise CalibrationError(
            "saturated",
            f"the detector was full at the band near {place_cm1:.0f} cm^-1; expose shorter",
        )


def _wrong_material(standard: Standard, likeness: float) -> CalibrationError:
    return CalibrationError(
        "wrong_material",
        f"this is not {standard.standard_id} (likeness {likeness:.2f}, {LIKENESS_MIN:g} is needed),"
        f" or the axis is off by more than {OFFSET_CM1_MAX:g} cm^-1; measure {standard.standard_id}"
        " without packaging; if it stays so, have the instrument checked",
    )
