"""From a measured file to a specimen of the folder: provenance, checks, no duplicates."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.library.changes import keep_specimen
from gateway.library.folder import Loaded
from gateway.library.reading import Measurement, read_measurements
from gateway.library.suspicion import Examination
from gateway.spectra.errors import SpecimenError, SpectraError
from gateway.spectra.reference import Finding, same_measurement
from gateway.spectra.specimen import NUMBER_FIELDS, REQUIRED, Specimen

OPTIONS = {
    "instrument": "--instrument",
    "licence": "--licence",
    "source": "--source",
    "measured_by": "--measured-by",
    "measured_on": "--measured-on",
}
"""Where the person says what a file does not."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one spectrum of a file: a specimen and what the checks say, or an error."""

    label: str
    specimen: Specimen | None
    finding: Finding | None
    error: str


def import_file(
    directory: Path,
    path: Path,
    given: Mapping[str, str],
    loaded: Loaded,
    examination: Examination,
    imported_on: str,
) -> list[Imported]:
    """Import every spectrum of a file; what cannot be used is told, the others go on.

    Args:
        directory: of the library.
        path: of the measured file.
        given: fields of a specimen that the person states; they overrule the file's own.
        loaded: the library as it is; accepted specimens are added to `loaded.specimens`.
        examination: by this library.
        imported_on: ISO date of today.
    """
    try:
        found = read_measurements(path)
    except SpectraError as error:
        return [Imported(str(path), None, None, f"{path}: {error}")]
    return [_import(directory, each, given, loaded, examination, imported_on) for each in found]


def _import(
    directory: Path,
    measurement: Measurement,
    given: Mapping[str, str],
    loaded: Loaded,
    examination: Examination,
    imported_on: str,
) -> Imported:
    label = measurement.label
    try:
        specimen = make_specimen(measurement, given, imported_on)
        refuse_duplicate(specimen, loaded)
        finding = examination.judge(specimen)
        specimen = _with_doubt(specimen, finding.doubt)
        keep_specimen(directory, specimen)
    except SpectraError as error:
        return Imported(label, None, None, f"{label}: {error}")
    loaded.specimens[specimen.specimen_id] = (specimen, "own")
    return Imported(label, specimen, finding, "")


def make_specimen(measurement: Measurement, given: Mapping[str, str], imported_on: str) -> Specimen:
    """A specimen from a measurement and what is stated about it.

    Raises:
        SpecimenError: provenance is missing or not of its form; names what to add.
    """
    values: dict[str, Any] = {"state": "", "source": Path(measurement.label).name}
    known = {key: text for key, text in measurement.known.items() if key != "confirmed"}
    values |= known | {key: text for key, text in given.items() if text}
    _check_not_later(str(values.get("measured_on", "")), imported_on)
    missing = [OPTIONS[key] for key in REQUIRED if not values.get(key)]
    if not values.get("substance_id"):
        missing.insert(0, "--substance")
    if missing:
        raise SpecimenError(f"the file does not say everything; add {', '.join(missing)}")
    for key in NUMBER_FIELDS:
        values[key] = _number(key, values.get(key, ""))
    values |= {"specimen_id": "", "imported_on": imported_on, "doubt": ""}
    return Specimen(axis_cm1=measurement.axis_cm1, intensity=measurement.intensity, **values)


def _check_not_later(measured_on: str, imported_on: str) -> None:
    """Raise SpecimenError for a measurement of the future; other faults are found elsewhere.

    The day after today in UTC has begun already east of Greenwich.
    """
    try:
        day, today = (dt.date.fromisoformat(text) for text in (measured_on, imported_on))
    except ValueError:
        return
    if day > today + dt.timedelta(days=1):
        raise SpecimenError(
            f"measured_on {measured_on} is after today, {imported_on}; correct the date, or this"
            " computer's clock"
        )


def refuse_duplicate(specimen: Specimen, loaded: Loaded) -> None:
    """Raise SpecimenError when the library has this measurement already, in whatever form."""
    for known, origin in loaded.specimens.values():
        same = known.digest == specimen.digest
        if known.substance_id == specimen.substance_id:
            same = same or same_measurement(known, specimen)
        if same:
            raise SpecimenError(
                f"is in the library already as {known.specimen_id} ({origin}); nothing was added"
            )


def _with_doubt(specimen: Specimen, doubt: str) -> Specimen:
    """The specimen with what the checks found; a confirmation without a doubt is left out."""
    return dataclasses.replace(specimen, doubt=doubt, confirmed=specimen.confirmed if doubt else "")


def _number(key: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise SpecimenError(f"{key} {text[:40]!r} is not a number") from None
