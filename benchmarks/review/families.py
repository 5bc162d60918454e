"""Checks that need no measurement: what related salts have in common, and what no table may hold.

An anion's symmetric stretch lies in a narrow range whatever the cation; in isostructural salts it
moves with the cation in one direction; water of crystallisation lowers it, and a solution has lost
the cation altogether. A band typed or remembered wrongly breaks one of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.review.tables import Entry, Row, Tables

CAPPED_BANDS = 14
"""The first edition stopped here; an entry of exactly so many bands was cut."""

HEIGHT_TOP = (0.99, 1.0)
SHIFT_CM1 = (50.0, 4000.0)
FWHM_CM1 = (2.0, 250.0)
UNCERTAINTY_CM1 = (0.5, 30.0)
NORMAL_CM1 = (200.0, 2000.0)
INDICATIVE_CM1 = 2400.0
"""Bands above are C-H, O-H and N-H stretches: their heights depend on the instrument more than on
the substance, and identification does not use them."""

SAME_COSINE = 0.995
"""Two entries whose bands, drawn at 8 cm^-1, are as similar as this cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Family:
    """An anion: ranges for its modes and its entries.

    Attributes:
        name: of the anion.
        stretch_cm1: range of the symmetric stretch, the strongest band.
        modes_cm1: ranges of its other modes; at least one tabulated band must lie in each.
        members: entries of this anion.
    """

    name: str
    stretch_cm1: tuple[float, float]
    modes_cm1: tuple[tuple[float, float], ...]
    members: tuple[Entry, ...]


def _entries(words: str) -> tuple[Entry, ...]:
    """`substance` or `substance/state`, separated by spaces."""
    pairs = (word.partition("/") for word in words.split())
    return tuple((name, state) for name, _, state in pairs)


FAMILIES = (
    Family(
        "nitrate",
        (1040.0, 1070.0),
        ((705.0, 750.0), (1335.0, 1480.0)),
        _entries(
            "ammonium_nitrate ammonium_nitrate/solution potassium_nitrate "
            "potassium_nitrate/solution sodium_nitrate sodium_nitrate/solution "
            "calcium_nitrate/tetrahydrate calcium_nitrate/anhydrous calcium_nitrate/solution "
            "magnesium_nitrate/hexahydrate magnesium_nitrate/solution barium_nitrate "
            "strontium_nitrate can_double_salt calcium_ammonium_nitrate nitric_acid/dilute"
        ),
    ),
    Family(
        "chlorate",
        (925.0, 945.0),
        ((475.0, 495.0), (610.0, 630.0), (960.0, 1000.0)),
        _entries("potassium_chlorate sodium_chlorate sodium_chlorate/solution"),
    ),
    Family(
        "perchlorate",
        (928.0, 960.0),
        ((455.0, 470.0), (620.0, 635.0), (1050.0, 1150.0)),
        _entries(
            "potassium_perchlorate ammonium_perchlorate sodium_perchlorate/anhydrous "
            "sodium_perchlorate/monohydrate sodium_perchlorate/solution"
        ),
    ),
    Family(
        "carbonate",
        (1050.0, 1105.0),
        ((675.0, 745.0),),
        _entries(
            "sodium_carbonate/anhydrous sodium_carbonate/decahydrate sodium_carbonate/solution "
            "sodium_carbonate_monohydrate potassium_carbonate calcite aragonite dolomite magnesite "
            "lithium_carbonate strontium_carbonate barium_carbonate cerussite smithsonite"
        ),
    ),
    Family(
        "hydrogencarbonate",
        (1010.0, 1050.0),
        ((630.0, 710.0),),
        _entries("sodium_bicarbonate potassium_bicarbonate ammonium_bicarbonate"),
    ),
    Family(
        "sulphate",
        (970.0, 1050.0),
        ((400.0, 505.0), (590.0, 690.0), (1060.0, 1220.0)),
        _entries(
            "ammonium_sulfate ammonium_sulfate/solution potassium_sulfate "
            "sodium_sulfate/anhydrous sodium_sulfate/decahydrate sodium_sulfate/solution "
            "epsomite/heptahydrate epsomite/solution kieserite gypsum bassanite anhydrite barite "
            "celestine copper_sulfate iron_sulfate iron_sulfate/monohydrate zinc_sulfate "
            "zinc_sulfate/monohydrate alum aluminium_sulfate manganese_sulfate anglesite "
            "glauberite polyhalite jarosite alunite"
        ),
    ),
    Family(
        "phosphate",
        (910.0, 995.0),
        ((340.0, 460.0), (470.0, 620.0)),
        _entries(
            "map dap kdp dipotassium_phosphate struvite brushite hydroxyapatite fluorapatite "
            "tricalcium_phosphate dicalcium_phosphate"
        ),
    ),
    Family(
        "nitrite",
        (1318.0, 1332.0),
        ((800.0, 832.0), (1220.0, 1250.0)),
        _entries("sodium_nitrite potassium_nitrite"),
    ),
)

# The stretch must rise along each of these, by at least a cm^-1 between neighbours.
RISING: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    ("cubic nitrates, smaller cation", _entries("barium_nitrate strontium_nitrate")),
    (
        "cubic nitrates, calcium next",
        _entries("strontium_nitrate calcium_nitrate/anhydrous"),
    ),
    (
        "nitrates by cation",
        _entries(
            "ammonium_nitrate barium_nitrate potassium_nitrate strontium_nitrate "
            "magnesium_nitrate/hexahydrate sodium_nitrate"
        ),
    ),
    (
        "calcium nitrate loses water",
        _entries("calcium_nitrate/tetrahydrate calcium_nitrate/anhydrous"),
    ),
    ("aragonite group", _entries("cerussite barium_carbonate strontium_carbonate aragonite")),
    ("barite group", _entries("anglesite barite celestine")),
    ("rhombohedral carbonates", _entries("calcite smithsonite magnesite")),
    ("apatites", _entries("hydroxyapatite fluorapatite")),
    (
        "soda loses water",
        _entries(
            "sodium_carbonate/solution sodium_carbonate_monohydrate sodium_carbonate/anhydrous"
        ),
    ),
    ("calcium sulphate loses water", _entries("gypsum bassanite anhydrite")),
    (
        "magnesium sulphate loses water",
        _entries("epsomite/solution epsomite/heptahydrate kieserite"),
    ),
    ("iron sulphate loses water", _entries("iron_sulfate iron_sulfate/monohydrate")),
    ("zinc sulphate loses water", _entries("zinc_sulfate zinc_sulfate/monohydrate")),
    (
        "sodium sulphate loses water",
        _entries("sodium_sulfate/solution sodium_sulfate/decahydrate sodium_sulfate/anhydrous"),
    ),
    (
        "sodium perchlorate loses water",
        _entries(
            "sodium_perchlorate/solution sodium_perchlorate/monohydrate "
            "sodium_perchlorate/anhydrous"
        ),
    ),
    ("sodium chlorate crystallises", _entries("sodium_chlorate/solution sodium_chlorate")),
    (
        "perchlorates by cation",
        _entries("ammonium_perchlorate potassium_perchlorate sodium_perchlorate/anhydrous"),
    ),
    (
        "peroxide by concentration",
        _entries("hydrogen_peroxide/to_35_percent hydrogen_peroxide/concentrated"),
    ),
    ("urea crystallises", _entries("urea/solution urea")),
)

ALIKE: tuple[tuple[str, tuple[Entry, ...], float], ...] = (
    (
        "dissolved nitrates share one stretch",
        _entries(
            "ammonium_nitrate/solution sodium_nitrate/solution potassium_nitrate/solution "
            "magnesium_nitrate/solution calcium_nitrate/solution nitric_acid/dilute"
        ),
        2.0,
    ),
    (
        "dissolved sulphates share one stretch",
        _entries("ammonium_sulfate/solution sodium_sulfate/solution epsomite/solution"),
        1.0,
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a table says that cannot be, or that a person should look at."""

    kind: str
    entry: Entry
    text: str


def stretch(rows: list[Row]) -> float:
    """Place of the strongest band between 200 and 2000 cm^-1."""
    inner = [row for row in rows if NORMAL_CM1[0] <= row.shift_cm1 <= NORMAL_CM1[1]]
    return max(inner, key=lambda row: row.height).shift_cm1


def check(tables: Tables) -> list[Finding]:
    """All findings of this module; empty when the tables are consistent."""
    return [*_families(tables), *_orders(tables), *_ranges(tables)]


def _families(tables: Tables) -> Iterator[Finding]:
    for family in FAMILIES:
        for entry in family.members:
            rows = tables.bands.get(entry)
            if rows is None:
                yield Finding("absent", entry, f"of the {family.name}s has no bands")
                continue
            place = stretch(rows)
            if not family.stretch_cm1[0] <= place <= family.stretch_cm1[1]:
                yield Finding("family", entry, f"{family.name} stretch at {place:g}")
            for low, high in family.modes_cm1:
                if not any(low <= row.shift_cm1 <= high for row in rows):
                    yield Finding("family", entry, f"no {family.name} band {low:g} to {high:g}")


def _orders(tables: Tables) -> Iterator[Finding]:
    for name, entries in RISING:
        known = [entry for entry in entries if entry in tables.bands]
        places = [stretch(tables.bands[entry]) for entry in known]
        for entry, low, high in zip(known[1:], places, places[1:], strict=False):
            if high - low < 1.0:
                yield Finding("order", entry, f"{name}: {high:g} after {low:g}")
    for name, entries, most in ALIKE:
        known = [entry for entry in entries if entry in tables.bands]
        places = [stretch(tables.bands[entry]) for entry in known]
        if places and max(places) - min(places) > most:
            yield Finding("order", known[0], f"{name}: {min(places):g} to {max(places):g}")


def _ranges(tables: Tables) -> Iterator[Finding]:
    for entry, rows in tables.bands.items():
        for row in rows:
            for name, value, (low, high) in (
                ("shift", row.shift_cm1, SHIFT_CM1),
                ("width", row.fwhm_cm1, FWHM_CM1),
                ("uncertainty", row.uncertainty_cm1, UNCERTAINTY_CM1),
                ("height", row.height, (0.01, 1.0)),
            ):
                if not low <= value <= high:
                    yield Finding("range", entry, f"{row.shift_cm1:g}: {name} {value:g}")
        inner = [row.height for row in rows if NORMAL_CM1[0] <= row.shift_cm1 <= NORMAL_CM1[1]]
        if inner and not HEIGHT_TOP[0] <= max(inner) <= HEIGHT_TOP[1]:
            yield Finding("height", entry, f"strongest band is {max(inner):g}, not 1")
        places = [row.shift_cm1 for row in rows]
        for low_cm1, high_cm1 in pairwise(places):
            if high_cm1 - low_cm1 < 1.0:
                yield Finding("double", entry, f"{low_cm1:g} and {high_cm1:g} are one band")


def capped(tables: Tables) -> list[Entry]:
    """Entries of exactly as many bands as the first edition allowed."""
    return [entry for entry, rows in tables.bands.items() if len(rows) == CAPPED_BANDS]


def doubles(tables: Tables, resolution_cm1: float = 8.0) -> list[tuple[Entry, Entry, float]]:
    """Pairs of entries that no instrument of this resolution tells apart, and their cosine."""
    grid = np.arange(NORMAL_CM1[0], NORMAL_CM1[1], 2.0)
    entries = list(tables.bands)
    drawn = np.zeros((len(entries), grid.size))
    for place, entry in enumerate(entries):
        for row in tables.bands[entry]:
            width = np.hypot(row.fwhm_cm1, resolution_cm1)
            drawn[place] += row.height * np.exp(
                -4.0 * np.log(2.0) * ((grid - row.shift_cm1) / width) ** 2
            )
    drawn /= np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-12)
    alike = drawn @ drawn.T
    return [
        (entries[a], entries[b], float(alike[a, b]))
        for a, b in zip(*np.nonzero(np.triu(alike, 1) >= SAME_COSINE), strict=True)
    ]
