"""The measured spectra of the folder outside the repository, and what each one truly is."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluation.split import Side, side_of, units
from gateway.identify import read_spectrum
from gateway.spectra.library import Library
from gateway.spectra.spectrum import Spectrum

VARIABLE = "HARMATTAN_RAMAN"
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

REMEDY = (
    f"set {VARIABLE} to a folder of two-column spectra with its INDEX.csv, or put one at "
    "../shared/data/raman next to the repository"
)


@dataclass(frozen=True, slots=True)
class Specimen:
    """One measured spectrum and its truth.

    Attributes:
        file: name in the folder.
        name: substance as its index calls it.
        right: library ids that name it rightly; empty when it is in no table.
        truth: the same, and ids that are near enough not to be wrong, such as another seed's oil.
        source: collection and instrument.
        excitation_nm: laser as stated, "" when unknown.
        side: of the split.
        caution: a known fault the index states, such as an axis error.
    """

    file: str
    name: str
    right: frozenset[str]
    truth: frozenset[str]
    source: str
    excitation_nm: str
    side: Side
    caution: str


def find_folder() -> Path | None:
    """The folder of measured spectra; None when there is none."""
    stated = os.environ.get(VARIABLE)
    folder = Path(stated) if stated else REPOSITORY.parent / "shared/data/raman"
    return folder if (folder / "INDEX.csv").is_file() else None


def read_kin() -> dict[str, frozenset[str]]:
    """substance_id -> ids that are right for it as well, from kin.csv, both ways."""
    kin: dict[str, set[str]] = {}
    with (HERE / "kin.csv").open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            kin.setdefault(row["substance_id"], set()).add(row["kin_id"])
            kin.setdefault(row["kin_id"], set()).add(row["substance_id"])
    return {key: frozenset(value) for key, value in kin.items()}


def with_kin(substance_ids: frozenset[str], kin: dict[str, frozenset[str]]) -> frozenset[str]:
    """The ids and everything that is right for one of them."""
    return substance_ids.union(*(kin.get(key, frozenset()) for key in substance_ids))


def read_index(folder: Path, library: Library) -> tuple[Specimen, ...]:
    """Read the index of the folder and say what each spectrum is.

    A spectrum is told by its CAS number, by names.csv where that number says too much or too
    little, and by kin.csv.
    """
    with (HERE / "names.csv").open(encoding="utf-8", newline="") as source:
        named = {row["index_name"]: row for row in csv.DictReader(source)}
    by_cas: dict[str, list[str]] = {}
    for key in library.active_ids:
        by_cas.setdefault(library[key].cas, []).append(key)
    by_cas.pop("", None)
    active, kin = frozenset(library.active_ids), read_kin()
    with (folder / "INDEX.csv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    unit = units((row["file"], _source(row), row["cas"] or row["substance"]) for row in rows)
    found = []
    for row in rows:
        entry = named.get(row["substance"])
        if entry is not None and entry["counts"] == "no" and by_cas.get(row["cas"]):
            entry = None  # the tables have it by now
        ids = frozenset(entry["substance_ids"].split() if entry else by_cas.get(row["cas"], ()))
        truth = with_kin(ids, kin) & active
        found.append(
            Specimen(
                file=row["file"],
                name=row["substance"],
                right=truth if entry is None or entry["counts"] == "yes" else frozenset(),
                truth=truth,
                source=_source(row),
                excitation_nm=row["excitation_nm"],
                side=side_of(unit[row["file"]]),
                caution=row["notes"].partition("CAUTION: ")[2],
            )
        )
    return tuple(found)


def _source(row: dict[str, str]) -> str:
    return f"{row['source_repo'].partition('/')[0]}|{row['instrument']}"


def load_spectra(folder: Path, specimens: tuple[Specimen, ...]) -> dict[str, Spectrum]:
    """Read every spectrum through the product's own reader.

    Raises:
        FormatError, SpectrumError: a file of the folder is no spectrum.
    """
    return {entry.file: read_spectrum(folder / entry.file) for entry in specimens}
