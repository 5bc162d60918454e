"""Rows for bands.csv measured from the data folder: places, heights and widths, never a spectrum.

What is proposed is a fact read off a spectrum with its axis set right, its instrument's width taken
out and its own ripples left out. A person decides what goes into the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.review.compare import floor_of, top_of, true_width_cm1
from benchmarks.review.measured import Measured

CREST_MIN = 0.025
"""Crests from this share of the strongest on go into the table."""

SHOULDER_MIN = 0.08
"""Shoulders must be clearer: how the fit splits a flank is partly a matter of taste."""

EDGE_CM1 = 4.0
"""Bands nearer to an end of the measured range have no background on both sides."""

PAIR_CM1 = 5.0
"""Bands of two spectra of one substance within this distance are the same."""

LONE_MIN = 0.06
"""A band seen in one of two spectra only must be at least this high to be believed."""

BROAD_CM1 = 25.0

MERGE_CM1 = 4.0
"""Components nearer than this make one crest on every instrument: one band."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """One measured band as a row of bands.csv; `crest` is false for a shoulder."""

    shift_cm1: float
    height: float
    fwhm_cm1: float
    uncertainty_cm1: float
    crest: bool


def propose(spectra: list[Measured]) -> list[Proposed]:
    """Bands of one entry from one or more measurements of it, in order of place.

    Args:
        spectra: at least one; heights are averaged, places too.
    """
    lists = [_of(measured) for measured in spectra]
    if len(lists) == 1:
        return lists[0]
    result = []
    taken: list[set[int]] = [set() for _ in lists]
    for number, bands in enumerate(lists):
        for place, band in enumerate(bands):
            if place in taken[number]:
                continue
            same = [band]
            for other in range(number + 1, len(lists)):
                near = [
                    (abs(b.shift_cm1 - band.shift_cm1), k)
                    for k, b in enumerate(lists[other])
                    if k not in taken[other] and abs(b.shift_cm1 - band.shift_cm1) <= PAIR_CM1
                ]
                if near:
                    index = min(near)[1]
                    taken[other].add(index)
                    same.append(lists[other][index])
            if len(same) > 1 or (band.crest and band.height >= LONE_MIN):
                result.append(_mean(same))
    top = max(band.height for band in result)
    return sorted(
        (
            Proposed(b.shift_cm1, b.height / top, b.fwhm_cm1, b.uncertainty_cm1, b.crest)
            for b in result
        ),
        key=lambda band: band.shift_cm1,
    )


def _mean(bands: list[Proposed]) -> Proposed:
    return Proposed(
        float(np.mean([b.shift_cm1 for b in bands])),
        float(np.mean([b.height for b in bands])),
        float(np.mean([b.fwhm_cm1 for b in bands])),
        max(b.uncertainty_cm1 for b in bands),
        any(b.crest for b in bands),
    )


def _of(measured: Measured) -> list[Proposed]:
    top, floor = top_of(measured), floor_of(measured)
    grid = measured.trace.grid_cm1
    low, high = float(grid[0]) + EDGE_CM1, float(grid[-1]) - EDGE_CM1
    result = []
    for peak in measured.peaks:
        share = peak.height / top
        least = max(CREST_MIN, 1.5 * floor) if peak.crest else max(SHOULDER_MIN, 2.5 * floor)
        if share < least or not low < peak.shift_cm1 < high:
            continue
        width = true_width_cm1(peak, measured.resolution_cm1)
        sure = peak.crest and width < BROAD_CM1
        result.append(
            Proposed(peak.shift_cm1, min(share, 1.0), width, 2.0 if sure else 3.0, peak.crest)
        )
    return _merged(result)


def _merged(bands: list[Proposed]) -> list[Proposed]:
    """Components that make one crest, joined."""
    result: list[Proposed] = []
    for band in bands:
        if result and band.shift_cm1 - result[-1].shift_cm1 < MERGE_CM1:
            last = result.pop()
            total = last.height + band.height
            share = band.height / total
            band = Proposed(  # noqa: PLW2901 - the joined band takes the place of both
                last.shift_cm1 + share * (band.shift_cm1 - last.shift_cm1),
                min(total, 1.0),
                (1 - share) * last.fwhm_cm1 + share * band.fwhm_cm1,
                max(last.uncertainty_cm1, band.uncertainty_cm1),
                last.crest or band.crest,
            )
        result.append(band)
    return result


def rows_text(entry: tuple[str, str], bands: list[Proposed], source_id: str) -> str:
    """The bands as lines of bands.csv, grade A."""
    return "".join(
        f"{entry[0]},{entry[1]},{b.shift_cm1:.1f},{b.height:.2f},{b.fwhm_cm1:.1f},"
        f"{b.uncertainty_cm1:.0f},A,{source_id}\n"
        for b in bands
    )
