"""The library: band tables with source and grade, and their shapes at an instrument's resolution.

The tables are the product's knowledge. They are read once, checked completely, and named by a
version that every verdict carries; a table that contradicts itself stops the program.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from gateway.spectra.bands import measure_bands
from gateway.spectra.errors import LibraryError
from gateway.spectra.prepare import prepare
from gateway.spectra.specimen import Specimen
from gateway.spectra.spectrum import FloatArray, IntArray

TABLES = ("substances", "bands", "sources", "grades", "confounders")
EDITION = "2026.11"
"""Date of the tables' last revision by hand; the version adds a digest of their bytes."""

LANGUAGES = ("en", "fr", "ar", "es")


@dataclass(frozen=True, slots=True)
class Band:
    """One Raman band of one substance.

    Attributes:
        shift_cm1: position in cm^-1.
        rel_intensity: height over the strongest band between 200 and 2000 cm^-1, 0 to 1;
            good to a factor of two.
        fwhm_cm1: width without the instrument, good to 30 %.
        uncertainty_cm1: half-width of the window in which the true position lies.
        grade: A to D, how well the position is known.
        source_id: row of sources.csv.
    """

    shift_cm1: float
    rel_intensity: float
    fwhm_cm1: float
    uncertainty_cm1: float
    grade: str
    source_id: str


@dataclass(frozen=True, slots=True)
class Substance:
    """Facts about one substance; `bands` is empty when it gives no Raman signal."""

    substance_id: str
    names: dict[str, str]
    cas: str
    formula: str
    hs2022: str
    un_number: str
    state: str
    raman_active: str
    category: str
    source_id: str
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class BandArrays:
    """All bands of the library side by side; arrays of shape (b,), grouped by substance."""

    substance: IntArray
    shift_cm1: FloatArray
    rel_intensity: FloatArray
    fwhm_cm1: FloatArray
    uncertainty_cm1: FloatArray
    missing_chance: FloatArray


@dataclass(frozen=True, eq=False)
class Library:
    """The substances by id, the sources and the grades; equal only to itself, so it can be a key.

    Attributes:
        substances: every substance, also those without bands.
        sources: source_id -> text.
        missing_chance: grade -> chance that a tabulated band is absent or displaced.
        confounders: substance_id -> look-alikes by a strong band, with the bands that separate.
        version: edition and digest of the tables.
        active_ids: ids of the substances with bands, in the order of `arrays.substance`.
        arrays: all bands as arrays.
    """

    substances: dict[str, Substance]
    sources: dict[str, str]
    missing_chance: dict[str, float]
    confounders: dict[str, dict[str, tuple[float, ...]]]
    version: str
    active_ids: tuple[str, ...]
    arrays: BandArrays

    def __getitem__(self, substance_id: str) -> Substance:
        return self.substances[substance_id]


@lru_cache(maxsize=1)
def load_library() -> Library:
    """Read and check the package's own tables.

    Raises:
        LibraryError: a table is missing, a value is out of range, or an id is unknown.
    """
    folder = files("gateway.spectra").joinpath("tables")
    texts: dict[str, str] = {}
    for name in TABLES:
        path = folder.joinpath(f"{name}.csv")
        if not path.is_file():
            raise LibraryError(f"table {name}.csv is missing; install the package again")
        texts[name] = path.read_text(encoding="utf-8")
    return build_library(texts)


def build_library(  # noqa: C901 - one table after the other
    texts: dict[str, str], specimens: Iterable[Specimen] = ()
) -> Library:
    """Make a library from the text of its five tables and measured specimens, checked.

    Args:
        texts: table name -> CSV text, keys as in TABLES.
        specimens: measured; they give bands to substances whose table has none.

    Raises:
        LibraryError: a value is out of range or an id is unknown or repeated.
    """
    sources = {row["source_id"]: row["text"] for row in _rows("sources", texts["sources"])}
    chance = {
        row["grade"]: _number("grades", row, "missing_chance", 0.0, 1.0)
        for row in _rows("grades", texts["grades"])
    }
    bands: dict[str, list[Band]] = {}
    for row in _rows("bands", texts["bands"]):
        band = _band(row)
        if band.grade not in chance or band.source_id not in sources:
            raise LibraryError(
                f"bands.csv: {row['substance_id']} {band.shift_cm1:g} has unknown grade or source "
                f"{band.grade!r} {band.source_id!r}; add the row to grades.csv or sources.csv"
            )
        bands.setdefault(row["substance_id"], []).append(band)
    for specimen in specimens:
        if specimen.substance_id not in bands:
            bands[specimen.substance_id] = _measured(specimen)
            sources[specimen.specimen_id] = specimen.source
    substances: dict[str, Substance] = {}
    for row in _rows("substances", texts["substances"]):
        substance_id = row["substance_id"]
        if substance_id in substances:
            raise LibraryError(f"substances.csv: {substance_id} appears twice; remove one row")
        substances[substance_id] = _substance(row, tuple(bands.pop(substance_id, ())))
    if bands:
        raise LibraryError(
            f"bands.csv: no substance named {sorted(bands)}; add it to substances.csv"
        )
    confounders: dict[str, dict[str, tuple[float, ...]]] = {}
    for row in _rows("confounders", texts["confounders"]):
        for key in ("substance_id", "confounder_id"):
            if row[key] not in substances:
                raise LibraryError(f"confounders.csv: no substance named {row[key]!r}")
        separating = tuple(float(word) for word in row["separating_bands_cm1"].split())
        known = confounders.setdefault(row["substance_id"], {})
        known.setdefault(row["confounder_id"], separating)
    digest = hashlib.sha256("\0".join(texts[name] for name in TABLES).encode()).hexdigest()
    active = tuple(key for key, value in substances.items() if value.bands)
    return Library(
        substances=substances,
        sources=sources,
        missing_chance=chance,
        confounders=confounders,
        version=f"{EDITION}-{digest[:8]}",
        active_ids=active,
        arrays=_arrays([substances[key] for key in active], chance),
    )


def _rows(name: str, text: str) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(text.splitlines())
    for row in reader:
        if None in row or None in row.values():
            raise LibraryError(f"{name}.csv line {reader.line_num}: wrong number of columns")
        yield row


def _number(table: str, row: dict[str, str], key: str, low: float, high: float) -> float:
    try:
        value = float(row[key])
    except (KeyError, ValueError):
        raise LibraryError(f"{table}.csv: {key} of {row} is not a number") from None
    if not (math.isfinite(value) and low <= value <= high):
        raise LibraryError(f"{table}.csv: {key} {value} of {row} is outside {low} to {high}")
    return value


def _band(row: dict[str, str]) -> Band:
    return Band(
        shift_cm1=_number("bands", row, "shift_cm1", 50.0, 4000.0),
        rel_intensity=_number("bands", row, "rel_intensity", 0.001, 1.0),
        fwhm_cm1=_number("bands", row, "fwhm_cm1", 1.0, 300.0),
        uncertainty_cm1=_number("bands", row, "uncertainty_cm1", 0.1, 30.0),
        grade=row["grade"],
        source_id=row["source_id"],
    )


def _measured(specimen: Specimen) -> list[Band]:
    """The bands of a specimen as measured, the strongest first."""
    found = measure_bands(prepare(specimen.spectrum()))
    top = float(found.height.max(initial=0.0))
    return [
        Band(
            shift_cm1=float(found.shift_cm1[i]),
            rel_intensity=float(np.clip(found.height[i] / top, 0.001, 1.0)),
            fwhm_cm1=float(np.clip(found.fwhm_cm1[i], 1.0, 300.0)),
            uncertainty_cm1=2.0,
            grade="A",
            source_id=specimen.specimen_id,
        )
        for i in np.argsort(-found.height)[:14]
    ]


def _substance(row: dict[str, str], bands: tuple[Band, ...]) -> Substance:
    names = {language: row[f"name_{language}"] for language in LANGUAGES}
    if not all(names.values()):
        raise LibraryError(f"substances.csv: {row['substance_id']} lacks a name in {LANGUAGES}")
    return Substance(
        substance_id=row["substance_id"],
        names=names,
        cas=row["cas"],
        formula=row["formula"],
        hs2022=row["hs2022"],
        un_number=row["un_number"],
        state=row["state"],
        raman_active=row["raman_active"],
        category=row["category"],
        source_id=row["source_id"],
        bands=bands,
    )


def _arrays(active: list[Substance], chance: dict[str, float]) -> BandArrays:
    pairs = [(index, band) for index, entry in enumerate(active) for band in entry.bands]
    return BandArrays(
        substance=np.array([index for index, _ in pairs], dtype=np.int64),
        shift_cm1=np.array([band.shift_cm1 for _, band in pairs]),
        rel_intensity=np.array([band.rel_intensity for _, band in pairs]),
        fwhm_cm1=np.array([band.fwhm_cm1 for _, band in pairs]),
        uncertainty_cm1=np.array([band.uncertainty_cm1 for _, band in pairs]),
        missing_chance=np.array([chance[band.grade] for _, band in pairs]),
    )
