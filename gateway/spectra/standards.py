"""Materials whose Raman bands are known well enough to set an instrument's axis by.

The table holds, for each material, the bands that a calibration fits (`fit`), those that are there
and must be expected but are no good as marks, broad or loosely known (`seen`), and those that ASTM
E1840's users are told to leave out of automatic fits (`avoid`). A material is recognised by all of
them.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from gateway.spectra.errors import LibraryError

USES = ("fit", "seen", "avoid")

ALIASES = {
    "acetaminophen": "paracetamol",
    "sulphur": "sulfur",
    "toluene_acetonitrile_50_50": "toluene_acetonitrile",
}
"""Other names under which a standard is sold."""

STANDARD_DEFAULT = "polystyrene"
"""Solid, harmless, cheap, and its bands lie where precursors have theirs."""


@dataclass(frozen=True, slots=True)
class StandardBand:
    """One band of a standard.

    Attributes:
        shift_cm1: accepted position in cm^-1.
        sd_cm1: its standard deviation between laboratories.
        use: fit, seen or avoid.
        rel_height: of its crest over that of the strongest band, at a hand-held instrument's
            resolution; good to a factor of two.
        fwhm_cm1: width without the instrument; good to 30 %.
        position_source_id: row of standard_sources.csv for the position.
        height_source_id: row of standard_sources.csv for the height.
    """

    shift_cm1: float
    sd_cm1: float
    use: str
    rel_height: float
    fwhm_cm1: float
    position_source_id: str
    height_source_id: str


@dataclass(frozen=True, slots=True)
class Standard:
    """One material and its bands, by rising position."""

    standard_id: str
    bands: tuple[StandardBand, ...]

    def marks(self, low_cm1: float, high_cm1: float) -> tuple[StandardBand, ...]:
        """The bands to fit that lie within a range."""
        return tuple(
            band
            for band in self.bands
            if band.use == "fit" and low_cm1 <= band.shift_cm1 <= high_cm1
        )


@lru_cache(maxsize=1)
def load_standards() -> dict[str, Standard]:
    """Read and check the package's own table, by standard id.

    Raises:
        LibraryError: the table is missing, or a value in it is out of range.
    """
    folder = files("gateway.spectra").joinpath("tables")
    texts = []
    for name in ("standards.csv", "standard_sources.csv"):
        path = folder.joinpath(name)
        if not path.is_file():
            raise LibraryError(f"table {name} is missing; install the package again")
        texts.append(path.read_text(encoding="utf-8"))
    return build_standards(*texts)


def build_standards(text: str, sources: str) -> dict[str, Standard]:
    """Make the standards from the text of standards.csv and standard_sources.csv, checked.

    Raises:
        LibraryError: names the row and the value that cannot be used.
    """
    known = {row["source_id"] for row in csv.DictReader(sources.splitlines())}
    bands: dict[str, list[StandardBand]] = {}
    for row in csv.DictReader(text.splitlines()):
        for key in ("position_source_id", "height_source_id"):
            if row[key] not in known:
                raise LibraryError(
                    f"standards.csv: {row['standard_id']} {row['shift_cm1']} has unknown {key} "
                    f"{row[key]!r}; add it to standard_sources.csv"
                )
        if row["use"] not in USES:
            raise LibraryError(
                f"standards.csv: use {row['use']!r} of {row['standard_id']} {row['shift_cm1']} is "
                f"none of {', '.join(USES)}"
            )
        band = StandardBand(
            shift_cm1=_number(row, "shift_cm1", 50.0, 3500.0),
            sd_cm1=_number(row, "sd_cm1", 0.05, 10.0),
            use=row["use"],
            rel_height=_number(row, "rel_height", 0.001, 1.0),
            fwhm_cm1=_number(row, "fwhm_cm1", 0.5, 60.0),
            position_source_id=row["position_source_id"],
            height_source_id=row["height_source_id"],
        )
        bands.setdefault(row["standard_id"], []).append(band)
    return {name: _standard(name, entries) for name, entries in bands.items()}


def find_standard(name: str) -> Standard:
    """Return a standard by its id or another name of it.

    Raises:
        LibraryError: there is none of this name; says which there are.
    """
    key = name.strip().lower().replace(" ", "_").replace("-", "_")
    standards = load_standards()
    found = standards.get(ALIASES.get(key, key))
    if found is None:
        raise LibraryError(
            f"{name[:40]!r} is no calibration standard; use one of {', '.join(sorted(standards))}"
        )
    return found


def _standard(name: str, bands: list[StandardBand]) -> Standard:
    if not any(band.use == "fit" for band in bands):
        raise LibraryError(f"standards.csv: {name} has no band to fit; mark one `fit`")
    if sum(band.rel_height == 1.0 for band in bands) != 1:
        raise LibraryError(f"standards.csv: exactly one band of {name} must have rel_height 1")
    return Standard(name, tuple(sorted(bands, key=lambda band: band.shift_cm1)))


def _number(row: dict[str, str], key: str, low: float, high: float) -> float:
    try:
        value = float(row[key])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise LibraryError(
            f"standards.csv: {key} {row[key]!r} of {row['standard_id']} is not within {low:g} to "
            f"{high:g}"
        )
    return value
