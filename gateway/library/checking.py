"""`harmattan library verify`: signatures, digests, tables, lists, and specimens against the tables.

What is wrong is a fault: something is not used, or should not be. What somebody should know is a
warning.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from pathlib import Path

from gateway.library.changes import examination_of, trusted_keys
from gateway.library.folder import Loaded, load
from gateway.library.lists import Lists, load_lists
from gateway.library.reading import read_bytes
from gateway.library.remembered import FILE_NAME
from gateway.library.suspicion import Examination
from gateway.screening.watchlists import clock_fault
from gateway.spectra.errors import SpectraError
from gateway.spectra.fitted import Fit, fit_bands
from gateway.spectra.library import Library, load_library
from gateway.spectra.package import Package, read_package
from gateway.spectra.specimen import Specimen
from gateway.spectra.stored_zip import BYTES_MAX

HS_CODE = re.compile(r"\d{4}\.\d{2}")
UN_NUMBER = re.compile(r"\d{4}")
WITHOUT_BANDS = ("inactive", "not_applicable")
"""Metals, simple halides and articles: no spectrum finds them, and nobody has to measure one."""

SEPARATING_CM1_MAX = 3.0
"""Between the place of a band in bands.csv and in confounders.csv, which is rounded."""

LIST_AGE_DAYS_MAX = 730
"""Nomenclatures change every five years, lists more often: after two somebody should look."""


@dataclass(slots=True)
class Verification:
    """What was looked at and what was found.

    Attributes:
        library_version: of the folder's library.
        substances, specimens, packages, lists: how many were checked.
        faults: what is wrong, a sentence each.
        warnings: what somebody should know.
    """

    library_version: str
    substances: int = 0
    specimens: int = 0
    packages: int = 0
    lists: int = 0
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def verify(
    directory: Path, packages: list[Path], lists_directory: Path | None, today: dt.date
) -> Verification:
    """Check single packages, or everything in a folder.

    Args:
        directory: of the library; its trusted keys are what packages are held against.
        packages: check these only; empty = the whole folder.
        lists_directory: of national lists.
        today: against which the lists' dates are held.

    Raises:
        LibraryError: the shipped tables cannot be read.
    """
    if packages:
        return _verify_packages(directory, packages, lists_directory)
    loaded = load(directory, strict=False)
    lists = load_lists(lists_directory, loaded.library, strict=False)
    found = Verification(loaded.library.version)
    found.faults += [*loaded.faults, *lists.faults]
    found.packages = len(loaded.packages)
    _check_tables(found, loaded.library)
    found.warnings += filter(None, [clock_fault(today)])
    _check_lists(found, lists, loaded.library, today)
    _check_specimens(found, loaded, lists)
    _check_remembered(found, loaded, directory)
    return found


def _verify_packages(
    directory: Path, paths: list[Path], lists_directory: Path | None
) -> Verification:
    found = Verification(load_library().version)
    trusted = trusted_keys(directory)
    for path in paths:
        try:
            package = read_package(read_bytes(path, BYTES_MAX), trusted)
        except SpectraError as error:
            found.faults.append(f"{path}: {error}")
            continue
        found.packages += 1
        _check_package(found, path, package, directory, lists_directory)
    return found


def _check_package(
    found: Verification, path: Path, package: Package, directory: Path, lists: Path | None
) -> None:
    from gateway.library.publishing import side_of_package  # noqa: PLC0415 - they need each other

    try:
        side = side_of_package(package)
        examination = examination_of(directory, package, lists)
    except SpectraError as error:
        found.faults.append(f"{path}: {error}")
        return
    found.substances += len(side.substances)
    for specimen in package.specimens:
        _check_specimen(found, specimen, examination, f"{path}: ")


def _check_tables(found: Verification, library: Library) -> None:
    """What the tables' own checks let pass, but a person should see."""
    found.substances = len(library.substances)
    for key, substance in library.substances.items():
        if substance.cas and not _is_cas(substance.cas):
            found.faults.append(f"{key}: CAS number {substance.cas!r} fails its check digit")
        for code in filter(None, substance.hs2022.split(";")):
            if not HS_CODE.fullmatch(code.strip()):
                found.faults.append(f"{key}: HS code {code!r} is not like 2834.21")
        for number in filter(None, substance.un_number.split(";")):
            if not UN_NUMBER.fullmatch(number.strip()):
                found.faults.append(f"{key}: UN number {number!r} is not four digits")
        unnamed = [language for language, name in substance.names.items() if not name]
        if unnamed:
            shown = substance.name_in(unnamed[0])
            found.warnings.append(f"{key}: has no name in {', '.join(unnamed)}; {shown!r} is shown")
        if not substance.bands and substance.raman_active not in WITHOUT_BANDS:
            found.warnings.append(f"{key}: has neither bands nor a specimen; never found")
        principal = [band for band in substance.bands if band.rel_intensity >= 0.5]
        if principal and all(band.grade == "D" for band in principal):
            found.warnings.append(f"{key}: its principal bands are all grade D; measure a specimen")
    _check_look_alikes(found, library)


def _check_look_alikes(found: Verification, library: Library) -> None:
    """Bands that shall separate look-alikes must be bands of the one they are listed for."""
    places: dict[str, list[float]] = {}
    for entry in library.entries:
        places.setdefault(entry.substance_id, []).extend(b.shift_cm1 for b in entry.bands)
    for listed, others in library.confounders.items():
        for other, separating in others.items():
            odd = [
                place
                for place in separating
                if min(abs(place - known) for known in [*places.get(listed, ()), 1e9])
                > SEPARATING_CM1_MAX
            ]
            if odd:
                found.faults.append(
                    f"confounders: {odd[0]:g} cm^-1 shall separate {listed} from {other}, but is no"
                    f" band of {listed}"
                )


def _check_lists(found: Verification, lists: Lists, library: Library, today: dt.date) -> None:
    selection = lists.on(today)
    today = selection.day
    found.lists = len(lists.editions) - len(selection.replaced)
    for entry in (*selection.watchlists.lists, *selection.waiting):
        notice = entry.notice_on(today)
        if notice:
            found.warnings.append(f"list {entry.list_id} {entry.date}: {notice}")
        age_days = (today - entry.date).days
        if age_days > LIST_AGE_DAYS_MAX:
            found.warnings.append(f"list {entry.list_id}: entered {age_days} days ago; review it")
        for row in entry.entries:
            known = library[row.substance_id].hs2022
            odd = [code for code in row.hs2022 if known and code not in known]
            odd += [
                code for code in row.cn if known and f"{code[-10:-6]}.{code[-5:-3]}" not in known
            ]
            if odd:
                found.warnings.append(
                    f"list {entry.list_id}: code {odd[0]} of {row.substance_id} is not under the"
                    f" library's {known}"
                )
    found.warnings += [
        f"list {entry.list_id} {entry.date}: replaced by a later edition, not in use"
        for entry in selection.replaced
    ]


def _check_remembered(found: Verification, loaded: Loaded, directory: Path) -> None:
    """Fit every specimen in use anew: what was remembered of it must be the same."""
    for entry in loaded.library.entries:
        if entry.specimen_id is None:
            continue
        specimen, origin = loaded.specimens[entry.specimen_id]
        known = tuple(Fit(b.shift_cm1, b.rel_intensity, b.fwhm_cm1) for b in entry.bands)
        if known != fit_bands(specimen):
            found.faults.append(
                f"{origin}: {entry.specimen_id}: the bands in {FILE_NAME} are not those of its"
                f" spectrum; delete {directory / FILE_NAME}, it is made again"
            )


def _check_specimens(found: Verification, loaded: Loaded, lists: Lists) -> None:
    examination = Examination(loaded, lists)
    for specimen, origin in loaded.specimens.values():
        _check_specimen(found, specimen, examination, f"{origin}: ")


def _check_specimen(
    found: Verification, specimen: Specimen, examination: Examination, where: str
) -> None:
    """Hold a specimen against the table of its substance and everything else that is known."""
    found.specimens += 1
    name = f"{where}{specimen.specimen_id}"
    try:
        finding = examination.judge(specimen)
    except SpectraError as error:
        found.faults.append(f"{name}: {error}")
        return
    if finding.doubt and not specimen.is_usable:
        found.faults.append(f"{name}: {finding.doubt}; confirm or remove it")
    elif finding.doubt and not specimen.confirmed:
        found.faults.append(
            f"{name}: {finding.doubt}; nobody has confirmed it and it is in use: remove it, or"
            " import it again"
        )
    elif finding.doubt:
        found.warnings.append(f"{name}: {finding.doubt}; confirmed: {specimen.confirmed}")
    found.warnings += [f"{name}: {warning}" for warning in finding.warnings]


def _is_cas(text: str) -> bool:
    """Whether a CAS number's last digit is the check digit of the others."""
    digits = text.replace("-", "")
    if not digits.isdecimal() or len(digits) < 5:
        return False
    total = sum(place * int(digit) for place, digit in enumerate(digits[-2::-1], start=1))
    return total % 10 == int(digits[-1])
