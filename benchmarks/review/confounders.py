"""The table of look-alikes, computed from the bands: nothing in it is written by hand.

Two entries look alike when a strong band of one lies where a strong band of the other does. What
tells them apart is each one's bands that the other lacks; both directions are listed, because a
harmless salt must be able to say why it is not the listed one, and the other way round.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from benchmarks.review.tables import Entry, Row, Tables

STRONG_MIN = 0.35
"""Bands at least this high (of the strongest) make two substances look alike."""

NEAR_CM1 = 6.0
"""Strong bands within this distance are confused: axis error of both measurements and width."""

SEPARATING_MIN = 0.03
"""Lower bands are too often below the noise to separate anything."""

APART_CM1 = 9.0
"""A band separates when the other has none this near: 6 and half a narrow band's width."""

SHARE_OF_OTHER = 0.25
"""... or none at least this high relative to it: a tiny neighbour does not explain a big band."""

SEPARATING_MOST = 5
RANGE_CM1 = (200.0, 2000.0)
"""Only bands every instrument measures decide."""

COLUMNS = (
    "substance_id",
    "band_cm1",
    "confounder_id",
    "confounder_band_cm1",
    "separating_bands_cm1",
    "state",
    "confounder_state",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """`own` could be taken for `other` by the pair of strong bands nearest to each other."""

    own: Entry
    other: Entry
    own_cm1: float
    other_cm1: float
    separating_cm1: tuple[float, ...]


def pairs(tables: Tables, listed: frozenset[str]) -> list[Pair]:
    """All look-alikes of listed substances, both directions.

    Args:
        tables: the edition.
        listed: substance ids on a watchlist.
    """
    order = {name: place for place, name in enumerate(tables.substances)}
    entries = sorted(tables.bands, key=lambda entry: order[entry[0]])
    strong = {entry: _strong(tables.bands[entry]) for entry in entries}
    result = []
    for own in entries:
        for other in entries:
            if own[0] == other[0] or not ({own[0], other[0]} & listed):
                continue
            near = [
                (abs(a.shift_cm1 - b.shift_cm1), -a.height, a.shift_cm1, b.shift_cm1)
                for a in strong[own]
                for b in strong[other]
                if abs(a.shift_cm1 - b.shift_cm1) <= NEAR_CM1
            ]
            if near:
                # The strongest common band is what deceives; nearness decides between equals.
                _, _, own_cm1, other_cm1 = min(near, key=lambda pair: (pair[1], pair[0]))
                told = separating(tables.bands[own], tables.bands[other])
                result.append(Pair(own, other, own_cm1, other_cm1, told))
    return result


def separating(own: list[Row], other: list[Row]) -> tuple[float, ...]:
    """Places of the strongest bands of `own` that `other` does not have, strongest first."""
    found = []
    for band in own:
        if band.height < SEPARATING_MIN or not RANGE_CM1[0] <= band.shift_cm1 <= RANGE_CM1[1]:
            continue
        # A band whose own place is uncertain separates only from what lies farther away.
        reach = max(APART_CM1, band.fwhm_cm1 / 2) + band.uncertainty_cm1
        if not any(
            abs(rival.shift_cm1 - band.shift_cm1) <= reach
            and rival.height >= SHARE_OF_OTHER * band.height
            for rival in other
        ):
            found.append(band)
    found.sort(key=lambda band: (-band.height, band.shift_cm1))
    return tuple(band.shift_cm1 for band in found[:SEPARATING_MOST])


def _strong(rows: list[Row]) -> list[Row]:
    return [
        row
        for row in rows
        if row.height >= STRONG_MIN and RANGE_CM1[0] <= row.shift_cm1 <= RANGE_CM1[1]
    ]


def text(found: list[Pair]) -> str:
    """The table as CSV, one pair of entries on a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in found:
        writer.writerow(
            [
                pair.own[0],
                f"{pair.own_cm1:g}",
                pair.other[0],
                f"{pair.other_cm1:g}",
                " ".join(f"{shift:g}" for shift in pair.separating_cm1),
                pair.own[1],
                pair.other[1],
            ]
        )
    return out.getvalue()
