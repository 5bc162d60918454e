"""The library: band tables with source and grade, and their shapes at an instrument's resolution.

The tables are the product's knowledge. They are read once, checked completely, and named by a
version that every verdict carries; a table that contradicts itself stops the program.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from importlib.resources import files

import numpy as np

from gateway.spectra.errors import LibraryError
from gateway.spectra.fitted import Fit, fit_bands
from gateway.spectra.specimen import Specimen
from gateway.spectra.spectrum import FloatArray, IntArray

TABLES = ("substances", "bands", "sources", "grades", "confounders")
EDITION = "2026.11"
"""Date of the tables' last revision by hand; the version adds a digest of their bytes."""

LANGUAGES = ("en", "fr", "ar", "es")

MEASURED_GRADE = "A"
MEASURED_UNCERTAINTY_CM1 = 2.0
"""What the axis of a calibrated instrument may be off."""


@dataclass(frozen=True, slots=True)
class Band:
    """One Raman band of one entry.

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
class Grade:
    """What the grade of a band is worth; estimated in docs/library-review.md.

    Attributes:
        missing_chance: chance that a tabulated band is absent or displaced, 0 to 1.
        position_error_cm1: standard deviation of the position.
        ln_height_spread: standard deviation of ln(measured height / tabulated height).
    """

    missing_chance: float
    position_error_cm1: float
    ln_height_spread: float


@dataclass(frozen=True, slots=True)
class Substance:
    """Facts about one substance; `bands` is empty when it gives no Raman signal.

    `bands` are those of its first state; other states and specimens are entries of their own.
    `names` has every language; of a substance that a package or a post adds they may be empty.
    """

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

    def name_in(self, language: str) -> str:
        """Its name in a language, else in English, else its id."""
        return self.names[language] or self.names["en"] or self.substance_id


@dataclass(frozen=True, slots=True)
class Entry:
    """What is compared with a spectrum: one state or one measured specimen of a substance.

    Attributes:
        entry_id: the substance's id, with "/" and the state or specimen when there are several.
        substance_id: whose bands they are.
        state: form in which it has these bands (a hydrate, a solution); may be empty.
        specimen_id: of the measured spectrum the bands were read from, None for a band table.
        bands: by rising shift.
    """

    entry_id: str
    substance_id: str
    state: str
    specimen_id: str | None
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two forms of substances that share a strong band; a row of the table of confounders.

    Attributes:
        substance_id, state: whose bands separate the two; the state is empty for the usual one.
        other_id, other_state: what it may be taken for.
        separating_cm1: bands of the first that the second does not have; may be empty.
    """

    substance_id: str
    state: str
    other_id: str
    other_state: str
    separating_cm1: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class BandArrays:
    """All bands of the library side by side; arrays of shape (b,), grouped by entry.

    Attributes:
        entry: index into `Library.entries`.
        missing_chance: chance that the band is absent or displaced, by its grade.
        position_sd_cm1: standard deviation of the position, the larger of half its stated window
            and of what its grade was found to be worth.
        height_spread: standard deviation of ln(measured height / tabulated height), by its grade.
    """

    entry: IntArray
    shift_cm1: FloatArray
    rel_intensity: FloatArray
    fwhm_cm1: FloatArray
    uncertainty_cm1: FloatArray
    missing_chance: FloatArray
    position_sd_cm1: FloatArray
    height_spread: FloatArray

    @cached_property
    def log_missing(self) -> FloatArray:
        """Ln of `missing_chance`, shape (b,)."""
        return np.asarray(np.log(self.missing_chance))

    @cached_property
    def starts(self) -> IntArray:
        """First row of each entry, and the number of rows, shape (e + 1,)."""
        edges = np.flatnonzero(np.diff(self.entry, prepend=-1, append=-1))
        return edges.astype(np.int64, copy=False)

    def by_entry(self, values: FloatArray) -> FloatArray:
        """Sum of the values, shape (b,), over each entry's bands, shape (e,)."""
        sums: FloatArray = np.add.reduceat(values, self.starts[:-1])
        return sums


@dataclass(frozen=True, eq=False)
class Library:
    """The substances by id, the sources and the grades; equal only to itself, so it can be a key.

    Attributes:
        substances: every substance, also those without bands.
        sources: source_id -> text.
        grades: grade -> what it is worth.
        confounders: substance_id -> look-alikes by a strong band, with the bands that separate.
        pairs: the same by the states of the two, every pair of them.
        version: edition and digest of the tables.
        entries: every state and specimen with bands, in the order of `arrays.entry`.
        active_ids: ids of the substances with bands, in the order of their first entries.
        arrays: all bands as arrays.
    """

    substances: dict[str, Substance]
    sources: dict[str, str]
    grades: dict[str, Grade]
    confounders: dict[str, dict[str, tuple[float, ...]]]
    pairs: tuple[Pair, ...]
    version: str
    entries: tuple[Entry, ...]
    active_ids: tuple[str, ...]
    arrays: BandArrays

    def __getitem__(self, substance_id: str) -> Substance:
        return self.substances[substance_id]

    @cached_property
    def places(self) -> dict[str, tuple[int, ...]]:
        """Substance -> its entries' indices."""
        found: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            found.setdefault(entry.substance_id, []).append(index)
        return {key: tuple(value) for key, value in found.items()}

    @cached_property
    def mistaken(self) -> dict[str, tuple[str, ...]]:
        """Substance -> those that list it as their look-alike: `confounders` the other way."""
        found: dict[str, list[str]] = {}
        for listed, known in self.confounders.items():
            for name in known:
                found.setdefault(name, []).append(listed)
        return {key: tuple(value) for key, value in found.items()}

    def subset(self, keep: IntArray) -> Library:
        """The same library with only these entries, rising indices; all substances stay known."""
        entries = tuple(self.entries[index] for index in keep.tolist())
        place = np.full(len(self.entries), -1, dtype=np.int64)
        place[keep] = np.arange(keep.size)
        entry = place[self.arrays.entry]
        rows = np.flatnonzero(entry >= 0)
        taken = {
            column.name: getattr(self.arrays, column.name)[rows] for column in fields(self.arrays)
        }
        smaller = replace(
            self,
            entries=entries,
            active_ids=tuple(dict.fromkeys(entry.substance_id for entry in entries)),
            arrays=BandArrays(**taken | {"entry": entry[rows]}),
        )
        smaller.__dict__["mistaken"] = self.mistaken  # costly, and the same
        return smaller

    def best_of(self, values: FloatArray) -> FloatArray:
        """The largest of the values of each substance's entries, in the order of `active_ids`.

        Args:
            values: shape (entries,).
        """
        order, starts = self._by_substance
        return np.maximum.reduceat(values[order], starts) if starts.size else np.zeros(0)

    @cached_property
    def _by_substance(self) -> tuple[IntArray, IntArray]:
        """Entries ordered by substance, and where each substance begins."""
        place = {name: index for index, name in enumerate(self.active_ids)}
        owner = np.array([place[entry.substance_id] for entry in self.entries], dtype=np.int64)
        order = np.argsort(owner, kind="stable")
        return order, np.searchsorted(owner[order], np.arange(len(self.active_ids)))


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
    library = build_library(texts)
    check_names(library)
    return library


def check_names(library: Library) -> None:
    """Insist on a name in every language, as the shipped tables have it.

    Raises:
        LibraryError: one is missing; names the substance.
    """
    for substance in library.substances.values():
        missing = [language for language, name in substance.names.items() if not name]
        if missing:
            raise LibraryError(
                f"substances.csv: {substance.substance_id} lacks a name in {', '.join(missing)};"
                " add it"
            )


def build_library(
    texts: dict[str, str],
    specimens: Iterable[Specimen] = (),
    fitted: Mapping[str, tuple[Fit, ...]] | None = None,
) -> Library:
    """Make a library from the text of its five tables and measured specimens, checked.

    Args:
        texts: table name -> CSV text, keys as in TABLES.
        specimens: measured spectra; each becomes an entry beside the band tables.
        fitted: specimen id -> what `fit_bands` gave for it; bands of others are found here.

    Raises:
        LibraryError: a value is out of range or an id is unknown or repeated.
        SpectrumError: a specimen cannot be evaluated.
    """
    sources = {row["source_id"]: row["text"] for row in _rows("sources", texts["sources"])}
    grades = {row["grade"]: _grade(row) for row in _rows("grades", texts["grades"])}
    bands: dict[str, dict[str, list[Band]]] = {}
    for row in _rows("bands", texts["bands"]):
        band = _band(row)
        if band.grade not in grades or band.source_id not in sources:
            raise LibraryError(
                f"bands.csv: {row['substance_id']} {band.shift_cm1:g} has unknown grade or source "
                f"{band.grade!r} {band.source_id!r}; add the row to grades.csv or sources.csv"
            )
        bands.setdefault(row["substance_id"], {}).setdefault(row["state"], []).append(band)
    measured: dict[str, list[Entry]] = {}
    for specimen in specimens:
        fits = (fitted or {}).get(specimen.specimen_id) or fit_bands(specimen)
        measured.setdefault(specimen.substance_id, []).append(_measured(specimen, fits))
        sources[specimen.specimen_id] = specimen.source
    substances: dict[str, Substance] = {}
    entries: list[Entry] = []
    for row in _rows("substances", texts["substances"]):
        substance_id = row["substance_id"]
        if substance_id in substances:
            raise LibraryError(f"substances.csv: {substance_id} appears twice; remove one row")
        states = bands.pop(substance_id, {})
        found = [_entry(substance_id, state, rows) for state, rows in states.items()]
        found += measured.get(substance_id, [])
        first = next(iter(states.values()), found[0].bands if found else ())
        substances[substance_id] = _substance(row, tuple(first))
        entries += found
    if bands:
        raise LibraryError(
            f"bands.csv: no substance named {sorted(bands)}; add it to substances.csv"
        )
    confounders: dict[str, dict[str, tuple[float, ...]]] = {}
    pairs: list[Pair] = []
    for row in _rows("confounders", texts["confounders"]):
        for key in ("substance_id", "confounder_id"):
            if row[key] not in substances:
                raise LibraryError(f"confounders.csv: no substance named {row[key]!r}")
        separating = tuple(float(word) for word in row["separating_bands_cm1"].split())
        known = confounders.setdefault(row["substance_id"], {})
        known.setdefault(row["confounder_id"], separating)
        forms = row.get("state", ""), row.get("confounder_state", "")
        ids = row["substance_id"], row["confounder_id"]
        pairs.append(Pair(ids[0], forms[0], ids[1], forms[1], separating))
    digest = hashlib.sha256("\0".join(texts[name] for name in TABLES).encode()).hexdigest()
    return Library(
        substances=substances,
        sources=sources,
        grades=grades,
        confounders=confounders,
        pairs=tuple(pairs),
        version=f"{EDITION}-{digest[:8]}",
        entries=tuple(entries),
        active_ids=tuple(dict.fromkeys(entry.substance_id for entry in entries)),
        arrays=_arrays(entries, grades),
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


def _grade(row: dict[str, str]) -> Grade:
    return Grade(
        missing_chance=_number("grades", row, "missing_chance", 0.001, 0.999),
        position_error_cm1=_number("grades", row, "position_error_cm1", 0.1, 30.0),
        ln_height_spread=_number("grades", row, "ln_height_spread", 0.05, 3.0),
    )


def _substance(row: dict[str, str], bands: tuple[Band, ...]) -> Substance:
    return Substance(
        substance_id=row["substance_id"],
        names={language: row[f"name_{language}"].strip() for language in LANGUAGES},
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


def _entry(substance_id: str, state: str, bands: list[Band]) -> Entry:
    return Entry(
        entry_id=f"{substance_id}/{state}" if state else substance_id,
        substance_id=substance_id,
        state=state,
        specimen_id=None,
        bands=tuple(sorted(bands, key=lambda band: band.shift_cm1)),
    )


def _measured(specimen: Specimen, fits: tuple[Fit, ...]) -> Entry:
    """A specimen as an entry: its bands as measured."""
    return Entry(
        entry_id=f"{specimen.substance_id}/{specimen.specimen_id}",
        substance_id=specimen.substance_id,
        state=specimen.state,
        specimen_id=specimen.specimen_id,
        bands=tuple(
            Band(
                *fit,
                uncertainty_cm1=MEASURED_UNCERTAINTY_CM1,
                grade=MEASURED_GRADE,
                source_id=specimen.specimen_id,
            )
            for fit in fits
        ),
    )


def _arrays(entries: list[Entry], grades: dict[str, Grade]) -> BandArrays:
    bands = [band for entry in entries for band in entry.bands]
    count = [len(entry.bands) for entry in entries]
    worth = [grades[band.grade] for band in bands]
    uncertainty = np.array([band.uncertainty_cm1 for band in bands])
    error = np.array([grade.position_error_cm1 for grade in worth])
    return BandArrays(
        entry=np.repeat(np.arange(len(entries)), count),
        shift_cm1=np.array([band.shift_cm1 for band in bands]),
        rel_intensity=np.array([band.rel_intensity for band in bands]),
        fwhm_cm1=np.array([band.fwhm_cm1 for band in bands]),
        uncertainty_cm1=uncertainty,
        missing_chance=np.array([grade.missing_chance for grade in worth]),
        position_sd_cm1=np.maximum(0.5 * uncertainty, error),
        height_spread=np.array([grade.ln_height_spread for grade in worth]),
    )
