"""The library's folder: load what is there. `changes.py` adds to it.

Rules of the file
- Whatever is loaded is checked again, signatures too: the folder may have been written by anybody.
- A part (a package, an own specimen) is taken whole or not at all.
- A post must start. `load(strict=False)` leaves out what is faulty and says so; `strict` raises.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.library.holdings import NONE, Holdings
from gateway.library.reading import read_bytes
from gateway.library.remembered import Remembered
from gateway.library.substances import cas_numbers, merge_substances, shipped_texts
from gateway.spectra.errors import (
    FormatError,
    LibraryError,
    PackageError,
    SpectraError,
    UntrustedError,
)
from gateway.spectra.fitted import Fit, fit_bands
from gateway.spectra.library import Library, build_library, load_library
from gateway.spectra.package import (
    KEY_BYTES_MAX,
    OWN,
    SPECIMENS,
    SUBSTANCES,
    SUBSTANCES_BYTES_MAX,
    SUFFIX,
    Package,
    key_id_of,
    read_package,
    read_public_key,
)
from gateway.spectra.specimen import TEXT_BYTES_MAX, Specimen, read_specimen
from gateway.spectra.stored_zip import BYTES_MAX

PACKAGES_MAX = 32
"""A national library, a regional one, a vendor's: single digits."""

SPECIMENS_MAX = 20_000
KEYS_MAX = 64

PARTS = ("trusted", "packages", "specimens", SUBSTANCES)
"""What a library's folder holds; each may be missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A library with everything the folder adds to the shipped tables.

    Attributes:
        library: to identify with; its version names all parts.
        specimens: specimen id -> (specimen, origin), also those in doubt, which are not used.
        packages: installed and good.
        origins: substance id -> origin, for those that the shipped tables do not have.
        faults: what was left out and why, a sentence each.
        untrusted: those of the faults that say that a key is not trusted -> id of the key.
        holdings: what the library rests on.
    """

    library: Library
    specimens: dict[str, tuple[Specimen, str]]
    packages: tuple[Package, ...]
    origins: dict[str, str]
    faults: tuple[str, ...]
    untrusted: dict[str, str]
    holdings: Holdings


def load(directory: Path | None, *, strict: bool = True, remember: bool = True) -> Loaded:
    """Load the shipped tables, the installed packages and the specimens of a folder.

    Args:
        directory: the library's folder; None, or one that does not exist = the shipped tables.
        strict: raise for whatever is faulty, instead of leaving it out.
        remember: keep what was fitted in the folder; False changes nothing there.

    Raises:
        SpectraError: something is faulty, when `strict`; the shipped tables are, always.
    """
    shipped = load_library()
    if directory is None or not directory.is_dir():
        return Loaded(shipped, {}, (), {}, (), {}, NONE)
    loading = Loading(directory, strict=strict)
    loading.read()
    return loading.finish(shipped, remember=remember)


def is_library(directory: Path) -> bool:
    """Whether a folder holds any part of a library."""
    return any((directory / name).exists() for name in PARTS)


class Loading:
    """What has been found so far; a part is taken whole or not at all.

    Args:
        directory: of the library.
        strict: raise for whatever is faulty, instead of leaving it out.
        without: the package that is about to be replaced.
    """

    def __init__(self, directory: Path, *, strict: bool, without: str = "") -> None:
        self._directory = directory
        self._without = without
        self._strict = strict
        self._texts = shipped_texts()
        self._cas = cas_numbers(self._texts["substances"])
        self._parts: list[str] = []
        self._remembered = Remembered(directory)
        self._fitted: dict[str, tuple[Fit, ...]] = {}
        self.specimens: dict[str, tuple[Specimen, str]] = {}
        self.packages: list[Package] = []
        self.origins: dict[str, str] = {}
        self._bringers: dict[str, set[str]] = {}
        self._keys: dict[str, str] = {}
        self._keys_listed = True
        self._faults: dict[str, str] = {}  # sentence -> key that is not trusted, if it is that

    def read(self) -> None:
        """Read packages, then what was imported here."""
        trusted = self._read_keys()
        for path in self._paths("packages", SUFFIX, PACKAGES_MAX):
            if path.stem == self._without:
                continue
            remedy = f"; `harmattan library import` a good one, or `... remove {path.stem}`"
            with self._forgiving(path, remedy):
                package = read_package(read_bytes(path, BYTES_MAX), trusted, self._remembered)
                self.add_package(package)
        own = self._directory / SUBSTANCES
        if os.path.exists(own):  # noqa: PTH110 - False where the folder may not be searched
            with self._forgiving(own):
                text = read_bytes(own, SUBSTANCES_BYTES_MAX).decode("utf-8", "replace")
                self._add(OWN, text, {})
        for path in self._paths("specimens", ".csv", SPECIMENS_MAX):
            with self._forgiving(path, f"; or `harmattan library remove {path.stem}`"):
                content = read_bytes(path, TEXT_BYTES_MAX)
                digest = hashlib.sha256(content).hexdigest()
                specimen = read_own(path, content, is_known=digest in self._remembered)
                self._add(OWN, "", {digest: specimen})

    def _read_keys(self) -> dict[str, Ed25519PublicKey]:
        """The trusted keys by id; notes which files hold them."""
        trusted: dict[str, Ed25519PublicKey] = {}
        paths = self._paths("trusted", ".pub", KEYS_MAX)
        self._keys_listed = not self._faults  # nothing else has been read yet
        for path in paths:
            self._keys[path.name] = ""
            with self._forgiving(path):
                key = read_public_key(path.name, read_bytes(path, KEY_BYTES_MAX))
                self._keys[path.name] = key_id_of(key)
                trusted[key_id_of(key)] = key
        return trusted

    def add_package(self, package: Package) -> None:
        """Take over a package.

        Raises:
            SpectraError: it contradicts what is there; nothing of it is taken.
        """
        files = package.manifest.files
        self._add(
            package.manifest.package_id,
            package.substances,
            {files[f"{SPECIMENS}{each.specimen_id}.csv"]: each for each in package.specimens},
        )
        self.packages.append(package)
        self._parts.append(package.label)

    def _paths(self, name: str, suffix: str, count_max: int) -> list[Path]:
        """Files of a part of the folder; none when it cannot be used, which then is a fault."""
        with self._forgiving(self._directory / name):
            return find_files(self._directory / name, suffix, count_max)
        return []

    def _forgiving(self, path: Path, remedy: str = "") -> _Forgiving:
        return _Forgiving(path, None if self._strict else self._faults, remedy)

    def _add(self, origin: str, substances: str, specimens: dict[str, Specimen]) -> None:
        """Take over one part; `specimens` by the SHA-256 of their files."""
        text, cas = self._texts["substances"], self._cas
        named: list[str] = []
        if substances:
            text, cas, named = merge_substances(text, substances, origin)
            build_library(self._texts | {"substances": text})
        for specimen in specimens.values():
            if specimen.substance_id not in cas:
                raise LibraryError(
                    f"specimen {specimen.specimen_id} is of no known substance; add"
                    f" {specimen.substance_id} to {SUBSTANCES}"
                )
        fitted = {
            specimen.specimen_id: self._fit(digest, specimen)
            for digest, specimen in specimens.items()
            if specimen.is_usable
        }
        self.origins |= {key: origin for key in cas if key not in self._cas}
        self._texts["substances"], self._cas = text, cas
        for specimen in specimens.values():
            self.specimens.setdefault(specimen.specimen_id, (specimen, origin))
        self._fitted |= fitted
        for key in (*named, *(specimen.specimen_id for specimen in specimens.values())):
            self._bringers.setdefault(key, set()).add(origin)

    def _fit(self, digest: str, specimen: Specimen) -> tuple[Fit, ...]:
        """The bands of a specimen, fitted only when that was not done before.

        Raises:
            SpectraError: it has none.
        """
        known = self._remembered.find(digest)
        if known is None:
            known = fit_bands(specimen)
            self._remembered.keep(digest, known)
        return known

    def finish(self, shipped: Library, *, remember: bool = True) -> Loaded:
        """Build the library of all parts.

        Args:
            shipped: used as it is when there are no other parts.
            remember: keep what was fitted in the folder.
        """
        usable = [found for found, _ in self.specimens.values() if found.is_usable]
        library = shipped
        if usable or self.origins:
            library = build_library(self._texts, usable, self._fitted)
            if remember:
                self._remembered.save()
        own = [found.specimen_id for found in usable if self.specimens[found.specimen_id][1] == OWN]
        mine = [f"{key}:{origin}" for key, origin in self.origins.items() if origin == OWN]
        parts = list(self._parts)
        if own or mine:
            digest = hashlib.sha256("\n".join(sorted(own + mine)).encode()).hexdigest()
            parts.append(f"{OWN}-{digest[:8]}")
        return Loaded(
            dataclasses.replace(library, version="+".join([shipped.version, *parts])),
            self.specimens,
            tuple(self.packages),
            self.origins,
            tuple(self._faults),
            {text: key for text, key in self._faults.items() if key},
            self._holdings(),
        )

    def _holdings(self) -> Holdings:
        packages = {package.manifest.package_id: package for package in self.packages}
        return Holdings(
            self._keys,
            self._keys_listed,
            {key: found.signature.key_id for key, found in packages.items() if found.signature},
            {key: found.label for key, found in packages.items()},
            {
                key: frozenset(by)
                for key, by in self._bringers.items()
                if key in self.origins or key in self.specimens
            },
        )


class _Forgiving:
    """Notes an error about a file as a sentence; where none is forgiven, names the file."""

    def __init__(self, path: Path, faults: dict[str, str] | None, remedy: str) -> None:
        self._path = path
        self._faults = faults
        self._remedy = remedy

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, SpectraError):
            return False
        text = f"{self._path}: {error}{self._remedy}"
        key_id = error.key_id if isinstance(error, UntrustedError) else ""
        if self._faults is None:
            raise (PackageError if key_id else type(error))(text) from error
        self._faults[text] = key_id
        return True


def read_own(path: Path, content: bytes, *, is_known: bool = False) -> Specimen:
    """Read a specimen of the folder.

    Args:
        path: where it stands.
        content: of the file.
        is_known: as in `read_specimen`.

    Raises:
        SpectraError: it was changed or renamed.
    """
    specimen = read_specimen(path.name, content.decode("utf-8", "replace"), is_known=is_known)
    if path.stem != specimen.specimen_id:
        raise FormatError(f"holds the specimen {specimen.specimen_id}; give it its name back")
    return specimen


def find_files(folder: Path, suffix: str, count_max: int) -> list[Path]:
    """Files of a folder by name; none when there is no folder.

    Raises:
        LibraryError: there are more than a library has.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == suffix)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise LibraryError(f"{error.strerror}; check the folder's permissions") from error
    if len(found) > count_max:
        raise LibraryError(f"{folder} holds {len(found)} files, at most {count_max}; clear it out")
    return found
