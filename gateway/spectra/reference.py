"""Is a measured spectrum fit to be a reference? Signal, range, axis, and the substance's own table.

A bad reading is measured again; a bad reference misleads every reading that follows. What cannot
serve is refused. What may be wrong without our being able to tell is a doubt: the specimen is kept,
and used only once a person has confirmed it. What only makes it less useful is a warning. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.spectra.bands import SHARP_CM1_MAX, MeasuredBands, measure_bands
from gateway.spectra.errors import SpecimenError
from gateway.spectra.fitted import fit_bands
from gateway.spectra.library import Band, Library
from gateway.spectra.prepare import Prepared, prepare
from gateway.spectra.specimen import Specimen
from gateway.spectra.spectrum import FloatArray

SNR_MIN = 20.0
"""Below it the place of the strongest band is uncertain by more than the axis."""

SNR_GOOD = 100.0
"""From here on bands of 5 % of the strongest are seen, which is what tables list."""

RANGE_GOOD_CM1 = (400.0, 1_700.0)
"""Most principal bands lie within; less makes a reference that others cannot be compared with."""

STEP_GOOD_CM1 = 4.0
"""Wider sampling does not resolve the 6 cm^-1 of salts."""

FLAT_POINTS_MIN = 4
"""So many equal points at the very top are a full detector, not a band."""

REL_INTENSITY_MIN = 0.2
"""Tabulated bands below may be missing for want of signal or of agreement on heights."""

AXIS_ERROR_CM1_MAX = 4.0
"""What an uncalibrated but sound instrument is off; beyond the band's own window."""

FOUND_SHARE_MIN = 0.5
"""Less of the tabulated intensity at its place: another substance, another technique or axis."""

DISPLACED_CM1_MAX = 2.5
DISPLACED_BANDS_MIN = 3
SAME_CORRELATION_MIN = 0.99999
"""Two measurements differ by their noise; a copy in another unit or format does not."""

STRONG_SHARE_MIN = 0.3
"""A band of this share of the strongest stands in every table: one that does not is foreign."""

STRONG_RANGE_CM1 = (250.0, 2_000.0)
"""Below lies the edge of the laser's filter; above, tables need not go and axes are off by more."""

STRONG_NAMED_MAX = 3

COARSE_CM1 = 12.0
MOVE_CM1_MAX = 15.0
"""Larger errors of an axis are not recognised; an infrared spectrum would fit by chance."""

MOVED_CM1_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the checks say of one specimen.

    Attributes:
        snr: of the strongest band.
        band_count: bands found.
        doubt: why it is not used before somebody confirms it; empty = no doubt.
        warnings: what makes it less useful.
    """

    snr: float
    band_count: int
    doubt: str
    warnings: tuple[str, ...]


def check_reference(specimen: Specimen, library: Library) -> Finding:
    """Judge a specimen before it becomes part of a library.

    Args:
        specimen: as measured.
        library: with the band table of its substance, if there is one.

    Raises:
        SpectrumError: its range or sampling cannot be used at all.
        SpecimenError: it has no signal, was cut off by the detector, or its substance is unknown.
        LibraryError: it has no band that a library can use.
    """
    if specimen.substance_id not in library.substances:
        raise SpecimenError(
            f"no substance is named {specimen.substance_id!r}; `harmattan library list` shows them,"
            " new ones go into the library folder's substances.csv"
        )
    flat = _flat_count(specimen.intensity)
    if flat >= FLAT_POINTS_MIN:
        raise SpecimenError(
            f"the {flat} highest points are equal: the detector was full; measure for a shorter"
            " time"
        )
    prepared = prepare(specimen.spectrum())
    bands = measure_bands(prepared)
    tables = _tables(specimen, library)
    # Glass and the like have broad bands only; for others they may be a rest of the background.
    is_broad = any(max(table, key=_height).fwhm_cm1 > SHARP_CM1_MAX for table in tables)
    snr = float(bands.snr[bands.sharp | is_broad].max(initial=0.0))
    if snr < SNR_MIN:
        raise SpecimenError(
            f"no band stands {SNR_MIN:g} times above the noise (best {snr:.0f}); measure longer,"
            " or another specimen"
        )
    fit_bands(specimen)  # what it will be compared by
    # Of several states the one that fits best: which it is may not have been said.
    fits = [_compare(table, bands, prepared) for table in tables]
    best = max(fits, key=lambda fit: fit.share, default=_Fit(1.0, "", ()))
    warnings = (*best.warnings, *_warnings(specimen, prepared, snr))
    doubt = best.doubt or _foreign_bands(specimen, library, bands, prepared)
    return Finding(snr, bands.count, doubt, warnings)


def same_measurement(first: Specimen, second: Specimen) -> bool:
    """Whether two specimens are one measurement, perhaps in another unit, format or range."""
    low = max(first.axis_cm1[0], second.axis_cm1[0])
    high = min(first.axis_cm1[-1], second.axis_cm1[-1])
    inside = (first.axis_cm1 >= low) & (first.axis_cm1 <= high)
    if int(inside.sum()) < 32:
        return False
    axis = first.axis_cm1[inside]
    one, other = first.intensity[inside], np.interp(axis, second.axis_cm1, second.intensity)
    # Of the differences, because a common background alone would correlate.
    one, other = np.diff(one), np.diff(other)
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return scale > 0.0 and float(one @ other) / scale > SAME_CORRELATION_MIN


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a specimen agrees with one band table."""

    share: float
    doubt: str
    warnings: tuple[str, ...]


def _tables(specimen: Specimen, library: Library) -> list[tuple[Band, ...]]:
    """The band tables to compare with: of the stated state if there is one, else of all."""
    known = [
        entry
        for entry in library.entries
        if entry.substance_id == specimen.substance_id and entry.specimen_id is None
    ]
    stated = [entry for entry in known if specimen.state and entry.state == specimen.state]
    return [entry.bands for entry in stated or known]


def _height(band: Band) -> float:
    return band.rel_intensity


def _flat_count(intensity: FloatArray) -> int:
    """Longest run of neighbouring points that all equal the maximum."""
    top = np.concatenate(([False], intensity == intensity.max(), [False]))
    edges = np.flatnonzero(np.diff(top.astype(np.int8)))
    return int((edges[1::2] - edges[0::2]).max())


def _compare(table: tuple[Band, ...], bands: MeasuredBands, prepared: Prepared) -> _Fit:
    """The doubt and the warnings that one band table gives rise to."""
    low, high = float(prepared.grid_cm1[0]) + 10.0, float(prepared.grid_cm1[-1]) - 10.0
    wanted = [
        band
        for band in table
        if low <= band.shift_cm1 <= high and band.rel_intensity >= REL_INTENSITY_MIN
    ]
    if not wanted or not bands.count:
        return _Fit(0.0, "", ())
    place = np.array([band.shift_cm1 for band in wanted])
    weight = np.array([band.rel_intensity for band in wanted])
    window = np.array([band.uncertainty_cm1 for band in wanted]) + AXIS_ERROR_CM1_MAX
    off = bands.shift_cm1[np.abs(bands.shift_cm1[:, None] - place).argmin(axis=0)] - place
    # Neighbours closer than the instrument separates appear as one band between them.
    found = np.abs(off) <= np.maximum(window, 0.5 * prepared.resolution_cm1)
    share = float(weight[found].sum() / weight.sum())
    if share < FOUND_SHARE_MIN:
        strongest = float(bands.shift_cm1[int(bands.height.argmax())])
        listed = ", ".join(f"{p:.0f}" for p in place[np.argsort(-weight)][:3])
        moved = _fitting_move(place, weight, bands.shift_cm1)
        cause = (
            f"the axis may be off by {moved:+.1f} cm^-1, calibrate the instrument"
            if moved
            else "another substance or form, an infrared spectrum, or a wrong axis"
        )
        doubt = (
            f"only {100 * share:.0f} % of the tabulated intensity is at its place (table {listed};"
            f" strongest measured {strongest:.0f} cm^-1): {cause}"
        )
        return _Fit(share, doubt, ())
    median = float(np.median(off[found]))
    if int(found.sum()) >= DISPLACED_BANDS_MIN and abs(median) > DISPLACED_CM1_MAX:
        wrong = f"its bands lie {median:+.1f} cm^-1 from the table's; calibrate and measure again"
        return _Fit(share, "", (wrong,))
    return _Fit(share, "", ())


def _foreign_bands(
    specimen: Specimen, library: Library, bands: MeasuredBands, prepared: Prepared
) -> str:
    """The doubt that strong bands give rise to which no table of the substance has, else empty."""
    table = [
        band
        for entry in library.entries
        if entry.substance_id == specimen.substance_id and entry.specimen_id is None
        for band in entry.bands
    ]
    if not table or not bands.sharp.any():
        return ""
    place = np.array([band.shift_cm1 for band in table])
    window = np.array([band.uncertainty_cm1 for band in table]) + AXIS_ERROR_CM1_MAX
    window = np.maximum(window, 0.5 * prepared.resolution_cm1)
    known = (np.abs(bands.shift_cm1[:, None] - place) <= window).any(axis=1)
    low, high = STRONG_RANGE_CM1
    inside = (bands.shift_cm1 >= low) & (bands.shift_cm1 <= high)
    least = STRONG_SHARE_MIN * float(bands.height[bands.sharp].max())
    odd = np.flatnonzero(bands.sharp & inside & ~known & (bands.height >= least))
    if not odd.size:
        return ""
    odd = odd[np.argsort(-bands.height[odd])][:STRONG_NAMED_MAX]
    told = ", ".join(f"{bands.shift_cm1[index]:.0f}" for index in odd)
    return (
        f"strong bands that its table does not have, at {told} cm^-1: contaminated, another form,"
        " or a wrong axis"
    )


def _fitting_move(place: FloatArray, weight: FloatArray, measured_cm1: FloatArray) -> float:
    """The smallest shift of the axis that would bring several bands to their places, else 0."""
    for size in np.arange(1.0, MOVE_CM1_MAX, 0.5):
        for move in (size, -size):
            off = np.abs(measured_cm1[:, None] - (place + move)).min(axis=0)
            good = off <= MOVED_CM1_MAX
            if good.sum() >= DISPLACED_BANDS_MIN and weight[good].sum() >= 0.8 * weight.sum():
                return float(move)
    return 0.0


def _warnings(specimen: Specimen, prepared: Prepared, snr: float) -> tuple[str, ...]:
    """What makes a specimen less useful than it could be."""
    low, high = float(specimen.axis_cm1[0]), float(specimen.axis_cm1[-1])
    step = float(np.median(np.diff(specimen.axis_cm1)))
    found = []
    if snr < SNR_GOOD:
        found.append(f"signal to noise is {snr:.0f}; a reference should have {SNR_GOOD:g}")
    if low > RANGE_GOOD_CM1[0] or high < RANGE_GOOD_CM1[1]:
        found.append(
            f"covers {low:.0f} to {high:.0f} cm^-1; a reference should cover"
            f" {RANGE_GOOD_CM1[0]:g} to {RANGE_GOOD_CM1[1]:g}"
        )
    if step > STEP_GOOD_CM1:
        found.append(f"a point only every {step:.1f} cm^-1; narrow bands are not resolved")
    if prepared.resolution_cm1 > COARSE_CM1:
        found.append(f"resolution {prepared.resolution_cm1:g} cm^-1 is coarse for a reference")
    return tuple(found)
