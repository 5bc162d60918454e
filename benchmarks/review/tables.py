"""The tables as plain rows, so that a broken or an older edition can be reviewed as well."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLES = Path(__file__).resolve().parents[2] / "gateway" / "spectra" / "tables"
Entry = tuple[str, str]
"""substance_id and state; the state is empty for a substance listed in one state only."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of bands.csv; units as there."""

    entry: Entry
    shift_cm1: float
    height: float
    fwhm_cm1: float
    uncertainty_cm1: float
    grade: str
    source_id: str


@dataclass(frozen=True)
class Tables:
    """An edition of the library's tables.

    Attributes:
        substances: substance_id -> row of substances.csv.
        bands: entry -> its bands in order of place.
        sources: source_id -> text.
        grades: rows of grades.csv.
        confounders: rows of confounders.csv.
    """

    substances: dict[str, dict[str, str]]
    bands: dict[Entry, list[Row]]
    sources: dict[str, str]
    grades: list[dict[str, str]]
    confounders: list[dict[str, str]]

    def all_bands(self) -> Iterator[Row]:
        """Every band of every entry."""
        for rows in self.bands.values():
            yield from rows


def read_tables(folder: Path = TABLES) -> Tables:
    """Read one edition; older ones without the column `state` too.

    Raises:
        OSError: a table cannot be read.
    """
    bands: dict[Entry, list[Row]] = {}
    for row in _rows(folder, "bands"):
        entry = (row["substance_id"], row.get("state", ""))
        bands.setdefault(entry, []).append(
            Row(
                entry,
                float(row["shift_cm1"]),
                float(row["rel_intensity"]),
                float(row["fwhm_cm1"]),
                float(row["uncertainty_cm1"]),
                row["grade"],
                row["source_id"],
            )
        )
    for rows in bands.values():
        rows.sort(key=lambda row: row.shift_cm1)
    return Tables(
        substances={row["substance_id"]: row for row in _rows(folder, "substances")},
        bands=bands,
        sources={row["source_id"]: row["text"] for row in _rows(folder, "sources")},
        grades=_rows(folder, "grades"),
        confounders=_rows(folder, "confounders"),
    )


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
