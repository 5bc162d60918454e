"""The library's folder: load what is there, add to it, install packages, keep the trusted keys.

Rules of the file
- Every file is written whole under another name, synchronised, then renamed: a kill leaves the old
  one or the new one.
- Whatever is loaded is checked again, signatures too: the folder may have been written by anybody.
- A post must start. `load(strict=False)` leaves out what is faulty and says so; `strict` raises.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.library.reading import read_bytes
from gateway.spectra.errors import FormatError, LibraryError, PackageError, SpectraError
from gateway.spectra.library import TABLES, Library, build_library, load_library
from gateway.spectra.package import (
    KEY_BYTES_MAX,
    PACKAGE_ID,
    SUBSTANCES,
    SUBSTANCES_BYTES_MAX,
    SUFFIX,
    Package,
    key_id_of,
    read_package,
    read_public_key,
    version_order,
    write_public_key,
)
from gateway.spectra.specimen import ID, TEXT_BYTES_MAX, Specimen, read_specimen, write_specimen
from gateway.spectra.stored_zip import BYTES_MAX

PACKAGES_MAX = 32
"""A national library, a regional one, a vendor's: single digits."""

SPECIMENS_MAX = 20_000
KEYS_MAX = 64
OWN = "own"
"""Origin of what was imported here; no package may have this id."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A library with everything the folder adds to the shipped tables.

    Attributes:
        library: to identify with; its version names all parts.
        specimens: specimen id -> (specimen, origin), also those in doubt, which are not used.
        packages: installed and good.
        origins: substance id -> origin, for those that the shipped tables do not have.
        faults: what was left out and why, a sentence each.
    """

    library: Library
    specimens: dict[str, tuple[Specimen, str]]
    packages: tuple[Package, ...]
    origins: dict[str, str]
    faults: tuple[str, ...]


def load(directory: Path | None, *, strict: bool = True) -> Loaded:
    """Load the shipped tables, the installed packages and the specimens of a folder.

    Args:
        directory: the library's folder; None, or one that does not exist = the shipped tables.
        strict: raise for whatever is faulty, instead of leaving it out.

    Raises:
        SpectraError: something is faulty, when `strict`; the shipped tables are, always.
    """
    shipped = load_library()
    if directory is None or not directory.is_dir():
        return Loaded(shipped, {}, (), {}, ())
    loading = _Loading(directory, strict=strict)
    loading.read()
    return loading.finish(shipped)


def shipped_texts() -> dict[str, str]:
    """The text of the shipped tables by name."""
    folder = resources.files("gateway.spectra").joinpath("tables")
    return {name: folder.joinpath(f"{name}.csv").read_text(encoding="utf-8") for name in TABLES}


class _Loading:
    """What has been found so far; a part is taken whole or not at all."""

    def __init__(self, directory: Path, *, strict: bool, without: str = "") -> None:
        self._directory = directory
        self._without = without  # the package that is about to be replaced
        self._strict = strict
        self._texts = shipped_texts()
        self._cas = _cas_numbers(self._texts["substances"])
        self._parts: list[str] = []
        self.specimens: dict[str, tuple[Specimen, str]] = {}
        self.packages: list[Package] = []
        self.origins: dict[str, str] = {}
        self.faults: list[str] = []

    def read(self) -> None:
        """Read packages, then what was imported here."""
        trusted: dict[str, Ed25519PublicKey] = {}
        for path in self._paths("trusted", ".pub", KEYS_MAX):
            with self._forgiving(path):
                key = read_public_key(path.name, read_bytes(path, KEY_BYTES_MAX))
                trusted[key_id_of(key)] = key
        for path in self._paths("packages", SUFFIX, PACKAGES_MAX):
            if path.stem == self._without:
                continue
            with self._forgiving(path):
                package = read_package(read_bytes(path, BYTES_MAX), trusted)
                self.add(package.manifest.package_id, package.substances, package.specimens)
                self.packages.append(package)
                self._parts.append(package.label)
        own = self._directory / SUBSTANCES
        if own.exists():
            with self._forgiving(own):
                self.add(OWN, read_bytes(own, SUBSTANCES_BYTES_MAX).decode("utf-8", "replace"), ())
        for path in self._paths("specimens", ".csv", SPECIMENS_MAX):
            with self._forgiving(path):
                self.add(OWN, "", (_read_own(path),))

    def _paths(self, name: str, suffix: str, count_max: int) -> list[Path]:
        """Files of a part of the folder; none when it cannot be used, which then is a fault."""
        with self._forgiving(self._directory / name):
            return _files(self._directory / name, suffix, count_max)
        return []

    def _forgiving(self, path: Path) -> _Forgiving:
        return _Forgiving(path, None if self._strict else self.faults)

    def add(self, origin: str, substances: str, specimens: Iterable[Specimen]) -> None:
        """Take over one part.

        Raises:
            SpectraError: it contradicts what is there; nothing of it is taken.
        """
        specimens = tuple(specimens)
        text, cas = self._texts["substances"], self._cas
        if substances:
            text, cas = merge_substances(text, substances, origin)
            build_library(self._texts | {"substances": text})
        for specimen in specimens:
            if specimen.substance_id not in cas:
                raise LibraryError(
                    f"specimen {specimen.specimen_id} is of no known substance; add"
                    f" {specimen.substance_id} to {SUBSTANCES}"
                )
        self.origins |= {key: origin for key in cas if key not in self._cas}
        self._texts["substances"], self._cas = text, cas
        for specimen in specimens:
            self.specimens.setdefault(specimen.specimen_id, (specimen, origin))

    def finish(self, shipped: Library) -> Loaded:
        """Build the library of all parts, or without specimens when these do not go together."""
        usable = [found for found, _ in self.specimens.values() if found.is_usable]
        library = shipped
        if usable or self.origins:
            try:
                library = build_library(self._texts, usable)
            except SpectraError as error:
                if self._strict:
                    raise
                self.faults.append(f"{self._directory}: {error}; no specimen is in use")
                library, usable = build_library(self._texts), []
        own = [key for key, (found, origin) in self.specimens.items() if origin == OWN]
        own = [key for key in own if self.specimens[key][0].is_usable and usable]
        mine = [f"{key}:{origin}" for key, origin in self.origins.items() if origin == OWN]
        if own or mine:
            digest = hashlib.sha256("\n".join(sorted(own + mine)).encode()).hexdigest()
            self._parts.append(f"{OWN}-{digest[:8]}")
        version = "+".join([shipped.version, *self._parts])
        return Loaded(
            dataclasses.replace(library, version=version),
            self.specimens,
            tuple(self.packages),
            self.origins,
            tuple(self.faults),
        )


class _Forgiving:
    """Turns an error about a file into a sentence of a list; without a list, names the file."""

    def __init__(self, path: Path, faults: list[str] | None) -> None:
        self._path = path
        self._faults = faults

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, SpectraError):
            return False
        if self._faults is None:
            raise type(error)(f"{self._path}: {error}") from error
        self._faults.append(f"{self._path}: {error}")
        return True


def merge_substances(table: str, more: str, origin: str) -> tuple[str, dict[str, str]]:
    """Add rows to the substances table.

    A row for a substance that is known already adds nothing; it must be about the same substance.

    Args:
        table: CSV text with all columns.
        more: CSV text; columns it does not have stay empty.
        origin: named in errors.

    Returns:
        The longer text, and substance id -> CAS number of all its rows.

    Raises:
        LibraryError: a column is unknown, or a substance has another CAS number.
    """
    columns = next(csv.reader(table.splitlines()))
    cas = _cas_numbers(table)
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, restval="", lineterminator="\n")
    for row in _substance_rows(more, columns, f"{SUBSTANCES} of {origin}"):
        key, number = row["substance_id"], row.get("cas", "")
        if cas.get(key, number) != number:
            raise LibraryError(
                f"{SUBSTANCES} of {origin}: {key} has CAS number {number!r}, but {cas[key]!r} in"
                " the library; give the new substance an id of its own"
            )
        if key not in cas:
            cas[key] = number
            writer.writerow(row)
    return table.rstrip("\n") + "\n" + output.getvalue(), cas


def _substance_rows(text: str, columns: list[str], where: str) -> list[dict[str, str]]:
    """Rows of a substances table, checked for what would harm elsewhere.

    Raises:
        LibraryError: a column, a row or a value cannot be used; names it.
    """
    reader = csv.DictReader(text.lstrip("\ufeff").splitlines())
    try:
        names = reader.fieldnames or ()
        rows = list(reader)
    except csv.Error as error:
        raise LibraryError(f"{where} line {reader.line_num}: {error}; save it as CSV") from None
    unknown = [name for name in names if name not in columns]
    if unknown or "substance_id" not in names:
        wrong = f"column {unknown[0][:60]!r} is unknown" if unknown else "there is no substance_id"
        raise LibraryError(f"{where}: {wrong}; columns are {', '.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise LibraryError(f"{where}, row {number}: wrong number of columns")
        if not ID.fullmatch(row["substance_id"]):
            raise LibraryError(
                f"{where}, row {number}: substance_id {row['substance_id'][:60]!r} is not an id;"
                " use a-z, 0-9, _ and -"
            )
        odd = [name for name, value in row.items() if not value.isprintable()]
        if odd:
            raise LibraryError(f"{where}, row {number}: {odd[0]} holds unprintable characters")
    return rows


def _cas_numbers(substances: str) -> dict[str, str]:
    return {row["substance_id"]: row["cas"] for row in csv.DictReader(substances.splitlines())}


def _read_own(path: Path) -> Specimen:
    specimen = read_specimen(path.name, read_bytes(path, TEXT_BYTES_MAX).decode("utf-8", "replace"))
    if path.stem != specimen.specimen_id:
        raise FormatError(f"holds the specimen {specimen.specimen_id}; give it its name back")
    return specimen


def _files(folder: Path, suffix: str, count_max: int) -> list[Path]:
    """Files of a folder by name; none when there is no folder.

    Raises:
        LibraryError: there are more than a library has.
    """
    if not folder.is_dir():
        return []
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == suffix)
    except OSError as error:
        raise LibraryError(f"{error.strerror}; check the folder's permissions") from error
    if len(found) > count_max:
        raise LibraryError(f"{folder} holds {len(found)} files, at most {count_max}; clear it out")
    return found


# ------------------------------------------------------------------------------------------ changes


def trusted_keys(directory: Path) -> dict[str, Ed25519PublicKey]:
    """The keys whose packages are taken, by id.

    Raises:
        SpectraError: a file in the folder is no public key.
    """
    paths = _files(directory / "trusted", ".pub", KEYS_MAX)
    keys = [read_public_key(path.name, read_bytes(path, KEY_BYTES_MAX)) for path in paths]
    return {key_id_of(key): key for key in keys}


def trust(directory: Path, key: Ed25519PublicKey) -> Path:
    """Keep a key: its packages are taken from now on. Returns where it is kept."""
    path = directory / "trusted" / f"{key_id_of(key)}.pub"
    write_whole(path, write_public_key(key))
    return path


def keep_specimen(directory: Path, specimen: Specimen) -> Path:
    """Write a specimen into the folder; returns where."""
    path = directory / "specimens" / f"{specimen.specimen_id}.csv"
    write_whole(path, write_specimen(specimen).encode())
    return path


def installed(directory: Path, package_id: str) -> Package | None:
    """The installed package of this name, whoever signed it; None when there is none."""
    path = directory / "packages" / f"{package_id}{SUFFIX}"
    return read_package(read_bytes(path, BYTES_MAX)) if path.exists() else None


def install(directory: Path, content: bytes, *, downgrade: bool = False) -> tuple[Package, bool]:
    """Install a package that a trusted key has signed.

    Args:
        directory: of the library; made when missing.
        content: the package.
        downgrade: also when a higher version is installed.

    Returns:
        The package, and whether it was not installed before.

    Raises:
        PackageError: malformed, unsigned, not trusted, older than the installed one, or another
            package of the same version.
        SpectraError: it does not go together with the rest of the library.
    """
    package = read_package(content, trusted_keys(directory))
    manifest = package.manifest
    if manifest.package_id == OWN:
        raise PackageError(f"package id {OWN!r} is reserved; its issuer must choose another")
    path = directory / "packages" / f"{manifest.package_id}{SUFFIX}"
    before = installed(directory, manifest.package_id)
    if before is not None:
        if before.digest == package.digest:
            return package, False
        _check_upgrade(before, package, downgrade=downgrade)
    _check_fits(directory, package)
    write_whole(path, content)
    return package, True


def _check_upgrade(before: Package, after: Package, *, downgrade: bool) -> None:
    """Raise PackageError unless the new version may take the place of the installed one."""
    name, old, new = after.manifest.package_id, before.manifest.version, after.manifest.version
    if version_order(old) == version_order(new):
        raise PackageError(
            f"package {name} {new} is installed already with other contents; its issuer must give"
            " the new one a higher version"
        )
    if version_order(old) > version_order(new) and not downgrade:
        raise PackageError(
            f"package {name} {new} is older than the installed {old}; --downgrade installs it"
            " nevertheless"
        )


def _check_fits(directory: Path, package: Package) -> None:
    """Put the package in the place of its older version, with everything else that is good.

    Raises:
        SpectraError: they do not go together.
    """
    loading = _Loading(directory, strict=False, without=package.manifest.package_id)
    loading.read()
    loading.add(package.manifest.package_id, package.substances, package.specimens)
    loading.faults.clear()
    faults = loading.finish(load_library()).faults
    if faults:
        raise PackageError(faults[0])


def confirm(directory: Path, specimen_id: str, who_and_why: str) -> Specimen:
    """Use an own specimen in spite of its doubt.

    Raises:
        SpectraError: there is none of this id, or it is not in doubt.
    """
    specimen = _read_own(_own_path(directory, specimen_id))
    if not specimen.doubt:
        raise LibraryError(f"specimen {specimen_id} is not in doubt; it is in use")
    if not who_and_why.strip():
        raise LibraryError("confirm needs --reason: who confirms the specimen, and why")
    confirmed = specimen.confirm(who_and_why.strip())
    keep_specimen(directory, confirmed)
    return confirmed


def remove(directory: Path, name: str) -> Path:
    """Remove a package or an own specimen; returns what was removed.

    Raises:
        LibraryError: there is neither of this name.
    """
    package = directory / "packages" / f"{name}{SUFFIX}"
    is_package = PACKAGE_ID.fullmatch(name) is not None and package.exists()
    path = package if is_package else _own_path(directory, name)
    try:
        path.unlink()
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}; check its permissions") from error
    return path


def _own_path(directory: Path, specimen_id: str) -> Path:
    path = directory / "specimens" / f"{specimen_id}.csv"
    if not ID.fullmatch(specimen_id) or not path.exists():
        raise LibraryError(
            f"{specimen_id!r} is no specimen imported into {directory};"
            " `harmattan library show SUBSTANCE` names them"
        )
    return path


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a kill at any moment leaves the old content or the new.

    Raises:
        LibraryError: the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}; choose a folder you may write") from error
