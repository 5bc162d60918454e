"""Table against measurement, band by band, and what that says about each grade.

A tabulated band is *found* when a measured band lies within its own uncertainty and what may remain
of the axis. It is *missing* when it should stand well above what the spectrum can show and nothing
is there. A measured band is *unlisted* when it is strong and no tabulated band is near.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.review.families import INDICATIVE_CM1
from benchmarks.review.fitting import Peak
from benchmarks.review.measured import Measured
from benchmarks.review.tables import Entry, Row, Tables

AXIS_REST_CM1 = 2.0
"""What may remain of an axis after its correction; between the best and the worst file."""

VISIBLE_FLOORS = 2.0
"""A band is expected to be seen when tabulated this many times above the file's floor."""

HEIGHT_RATIO_MIN = 0.2
"""A band five times lower than tabulated is not that band, or not at that height: missing."""

GRADED_MIN = 0.05
"""Lower bands do not count for a grade: whether one sees them depends on the instrument more than
on the table."""

UNLISTED_MIN = 0.1
"""Measured bands at least this high (of the strongest) are strong: the table must know them."""

FLOOR_MIN = 0.015
SILENT_CM1 = (1820.0, 2180.0)
"""Almost nothing has bands here: what is found shows how high the file's own ripples are."""

MARGIN_CM1 = 12.0
"""Bands this near an end of the measured range are not judged."""

NORMAL_CM1 = (200.0, 2000.0)
"""Range whose strongest band is height 1 in the tables."""

OTHER_FORMS = frozenset({("ibuprofen", "second_form")})
"""Measured forms that are not what an edition without states tabulated."""

COLLECTIONS = {
    "wasatch-enlighten": "enlighten",
    "arcadia": "arcadia",
    "arcadia-ramanalysis": "arcadia",
    "charisma": "charisma",
    "vamas": "charisma",
    "ramanlab": "ramanlab",
    "openspecy": "openspecy",
}
"""Group in a file's name -> the word that betrays the same collection in a band's source."""

WIDE_CM1 = 50.0
"""Broader bands than this lose their height to the background and are not judged."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One tabulated band against one measurement.

    Attributes:
        row: the tabulated band.
        name: of the measurement.
        peak: the measured band, None when missing.
        offset_cm1: measured minus tabulated place; NaN when missing.
        ratio: measured over tabulated height, both over their strongest; NaN when missing.
        fwhm_cm1: measured width with the instrument taken out; NaN when missing.
        independent: the row was not taken from the same collection.
        state: "found", "missing" or "not seen" (below the floor, out of range, or too broad).
    """

    row: Row
    name: str
    peak: Peak | None
    offset_cm1: float
    ratio: float
    fwhm_cm1: float
    independent: bool
    state: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One entry against one measurement; `unlisted` are (place, height, width)."""

    entry: tuple[str, str]
    name: str
    judged: tuple[Judged, ...]
    unlisted: tuple[tuple[float, float, float], ...]


def floor_of(measured: Measured) -> float:
    """Lowest height, as a share of the strongest band, that is a band and no ripple."""
    top = top_of(measured)
    silent = [
        peak.height / top
        for peak in measured.peaks
        if SILENT_CM1[0] < peak.shift_cm1 < SILENT_CM1[1]
    ]
    grid = measured.trace.grid_cm1
    inside = (grid > SILENT_CM1[0]) & (grid < SILENT_CM1[1])
    ripple = float(np.std(measured.trace.signal[inside])) * 4.0 / top if inside.any() else 0.0
    return max(FLOOR_MIN, 1.3 * max(silent, default=0.0), ripple)


def top_of(measured: Measured) -> float:
    """Height of the strongest band inside the range that sets the tables' scale."""
    inner = [
        peak.height for peak in measured.peaks if NORMAL_CM1[0] <= peak.shift_cm1 <= NORMAL_CM1[1]
    ]
    return max(inner, default=1e-12)


def true_width_cm1(peak: Peak, resolution_cm1: float) -> float:
    """Width with the instrument taken out in quadrature; at least 3, as little as can be told."""
    return float(max(np.sqrt(max(peak.fwhm_cm1**2 - resolution_cm1**2, 0.0)), 3.0))


def entry_for(measured: Measured, tables: Tables) -> Entry | None:
    """The entry a measurement is of, in an edition that may not know states yet.

    A measurement of another form than the tabulated one says nothing about the table.
    """
    entry = measured.entry
    if entry is None or entry in tables.bands:
        return entry
    plain = (entry[0], "")
    return plain if plain in tables.bands and entry not in OTHER_FORMS else None


def compare_all(spectra: tuple[Measured, ...], tables: Tables) -> list[Comparison]:
    """Every measurement against the entry it is of."""
    pairs = ((measured, entry_for(measured, tables)) for measured in spectra)
    return [
        compare(tables.bands[entry], measured, tables)
        for measured, entry in pairs
        if entry is not None
    ]


def compare(rows: list[Row], measured: Measured, tables: Tables) -> Comparison:
    """Judge every tabulated band of an entry by one measurement of it."""
    top, floor = top_of(measured), floor_of(measured)
    grid = measured.trace.grid_cm1
    low, high = float(grid[0]) + MARGIN_CM1, float(grid[-1]) - MARGIN_CM1
    judged = [_judge(row, measured, top, floor, low, high, tables) for row in rows]
    unlisted = []
    for peak in measured.peaks:
        if not (low < peak.shift_cm1 < min(high, NORMAL_CM1[1])) or peak.height < max(
            UNLISTED_MIN * top, 2.0 * floor * top
        ):
            continue
        near = 4.0 + peak.fwhm_cm1 / 2
        if peak.crest and all(
            abs(row.shift_cm1 - peak.shift_cm1) > max(near, row.fwhm_cm1 / 2) for row in rows
        ):
            width = true_width_cm1(peak, measured.resolution_cm1)
            unlisted.append((peak.shift_cm1, peak.height / top, width))
    return Comparison(rows[0].entry, measured.name, tuple(judged), tuple(unlisted))


def _judge(
    row: Row,
    measured: Measured,
    top: float,
    floor: float,
    low: float,
    high: float,
    tables: Tables,
) -> Judged:
    source = tables.sources.get(row.source_id, "")
    own = COLLECTIONS[measured.group] in source.lower()
    nothing = (None, math.nan, math.nan, math.nan, not own)
    indicative = row.shift_cm1 > INDICATIVE_CM1
    if indicative or not low < row.shift_cm1 < high or row.fwhm_cm1 > WIDE_CM1:
        return Judged(row, measured.name, *nothing, "not seen")
    window = row.uncertainty_cm1 + AXIS_REST_CM1
    near = [p for p in measured.peaks if abs(p.shift_cm1 - row.shift_cm1) <= window]
    best = max(near, key=lambda p: p.height, default=None)
    scale = 1.0 if row.shift_cm1 > NORMAL_CM1[1] else row.height
    if best is not None and best.height / top >= HEIGHT_RATIO_MIN * scale:
        return Judged(
            row,
            measured.name,
            best,
            best.shift_cm1 - row.shift_cm1,
            best.height / top / row.height,
            true_width_cm1(best, measured.resolution_cm1),
            not own,
            "found",
        )
    expected = row.height >= VISIBLE_FLOORS * floor
    return Judged(row, measured.name, *nothing, "missing" if expected else "not seen")


@dataclass(frozen=True, slots=True)
class GradeFigure:
    """How bands of one grade fared; chances 0 to 1 with a 95 % interval."""

    grade: str
    checked: int
    missing: int
    missing_chance: float
    low: float
    high: float
    found: int
    offset_cm1_rms: float
    offset_cm1_p95: float
    ln_height_spread: float
    ln_width_spread: float


def best_comparisons(comparisons: list[Comparison], *, independent: bool) -> list[list[Judged]]:
    """For each entry the bands judged by the measurement that shows most of them.

    Several spectra of one substance would count its bands several times over.
    """
    best: dict[Entry, list[Judged]] = {}
    for item in comparisons:
        seen = [
            judged
            for judged in item.judged
            if judged.state != "not seen"
            and judged.row.height >= GRADED_MIN
            and (judged.independent or not independent)
        ]
        if len(seen) > len(best.get(item.entry, [])):
            best[item.entry] = seen
    return list(best.values())


def grade_figures(comparisons: list[Comparison], *, independent: bool) -> list[GradeFigure]:
    """Missing share, place error and height spread of each grade, one spectrum for each entry.

    Args:
        comparisons: of all entries.
        independent: leave out bands taken from the very collection they are compared with.
    """
    chosen = best_comparisons(comparisons, independent=independent)
    judged = [j for item in chosen for j in item]
    figures = []
    for grade in "ABCD":
        mine = [j for j in judged if j.row.grade == grade]
        found = [j for j in mine if j.state == "found"]
        missing = len(mine) - len(found)
        low, high = interval(missing, len(mine))
        offsets = np.array([j.offset_cm1 for j in found])
        # The strongest band is 1 on both sides by definition and says nothing about heights.
        ratios = np.log([j.ratio for j in found if j.row.height < 0.999 and j.ratio > 0])
        widths = np.log([j.fwhm_cm1 / j.row.fwhm_cm1 for j in found])
        figures.append(
            GradeFigure(
                grade,
                len(mine),
                missing,
                missing / len(mine) if mine else math.nan,
                low,
                high,
                len(found),
                float(np.sqrt(np.mean(offsets**2))) if offsets.size else math.nan,
                float(np.percentile(np.abs(offsets), 95)) if offsets.size else math.nan,
                float(np.sqrt(np.mean(ratios**2))) if ratios.size else math.nan,
                float(np.sqrt(np.mean(widths**2))) if widths.size else math.nan,
            )
        )
    return figures


def interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share, (0, 1) when nothing was counted.

    Reference: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
        J. Am. Stat. Assoc. 22 (1927) 209.
    """
    if count == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    half /= 1 + z * z / count
    return max(middle - half, 0.0), min(middle + half, 1.0)
