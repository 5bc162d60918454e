"""Make keys and packages, and open what is compared."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.library.folder import PARTS, Loaded, is_library, load
from gateway.library.reading import read_bytes
from gateway.library.substances import merge_substances, shipped_texts
from gateway.library.writing import write_whole
from gateway.spectra.differences import Side, side_of
from gateway.spectra.errors import LibraryError, PackageError
from gateway.spectra.library import build_library, load_library
from gateway.spectra.package import (
    FORMAT,
    FORMAT_VERSION,
    KEY_BYTES_MAX,
    OWN,
    SHIPPED,
    SUBSTANCES,
    Manifest,
    Package,
    key_id_of,
    make_package,
    read_package,
    read_private_key,
    write_private_key,
    write_public_key,
)
from gateway.spectra.stored_zip import BYTES_MAX

PRIVATE_MODE = 0o600


def make_keys(target: Path, passphrase: bytes) -> tuple[str, Path, Path]:
    """Make a pair of keys; returns the id, the private and the public file.

    Raises:
        PackageError: a file of that name is there: a key that signed packages is not overwritten.
        LibraryError: the folder cannot be written.
    """
    private, public = (target.with_name(target.name + suffix) for suffix in (".key", ".pub"))
    for path in (private, public):
        if path.exists():
            raise PackageError(f"{path} exists; a key is never overwritten, choose another name")
    key = Ed25519PrivateKey.generate()
    write_whole(private, write_private_key(key, passphrase), mode=PRIVATE_MODE)
    write_whole(public, write_public_key(key.public_key()))
    return key_id_of(key.public_key()), private, public


def read_key(path: Path, passphrase: bytes) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        SpectraError: it is none, or the passphrase does not open it.
    """
    return read_private_key(str(path), read_bytes(path, KEY_BYTES_MAX), passphrase)


def make(
    loaded: Loaded,
    directory: Path,
    said: dict[str, str],
    substance_ids: frozenset[str],
    key: Ed25519PrivateKey | None,
) -> bytes:
    """Make a package of what was imported into a folder.

    Args:
        loaded: the folder's library.
        directory: of the library.
        said: fields of the manifest.
        substance_ids: only these; empty = all.
        key: to sign with; None = unsigned.

    Raises:
        SpectraError: nothing fits, or a specimen is in doubt; names it.
    """
    own = [
        specimen
        for specimen, origin in loaded.specimens.values()
        if origin == OWN and (not substance_ids or specimen.substance_id in substance_ids)
    ]
    doubtful = [specimen.specimen_id for specimen in own if not specimen.is_usable]
    if doubtful:
        raise PackageError(
            f"specimen {doubtful[0]} is in doubt; confirm it with `harmattan library confirm`, or"
            " remove it"
        )
    unknown = substance_ids - set(loaded.library.substances)
    if unknown:
        raise LibraryError(f"no substance is named {min(unknown)!r}; see `harmattan library list`")
    needed = {specimen.substance_id for specimen in own} | substance_ids
    manifest = Manifest(FORMAT, FORMAT_VERSION, files={}, **said)
    return make_package(
        manifest,
        sorted(own, key=lambda specimen: specimen.specimen_id),
        _substances(directory, loaded, needed if substance_ids else None),
        key,
    )


def _substances(directory: Path, loaded: Loaded, needed: set[str] | None) -> str:
    """The rows of the folder's own substances that a package needs, in their order."""
    path = directory / SUBSTANCES
    if not path.exists():
        return ""
    reader = csv.DictReader(read_bytes(path).decode("utf-8-sig", "replace").splitlines())
    rows = [
        row
        for row in reader
        if loaded.origins.get(row["substance_id"]) == OWN
        and (needed is None or row["substance_id"] in needed)
    ]
    if not rows:
        return ""
    output = io.StringIO()
    writer = csv.DictWriter(output, reader.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return output.getvalue()


def open_side(name: str) -> Side:
    """Open what is compared: `shipped`, a library's folder, or a package.

    A package is compared by itself: the shipped tables and it, whoever signed it.

    Raises:
        SpectraError: it cannot be read.
    """
    path = Path(name)
    if name == SHIPPED and not path.exists():
        return side_of(load_library(), {})
    if path.is_dir():
        if not is_library(path):
            raise LibraryError(
                f"folder {name} is no library: it holds none of {', '.join(PARTS)}; give the"
                " library's folder, a package, or `shipped`"
            )
        loaded = load(path)
        return side_of(
            loaded.library, {key: specimen for key, (specimen, _) in loaded.specimens.items()}
        )
    if not path.exists():
        raise LibraryError(f"{name} does not exist; give a package, a folder, or `shipped`")
    return side_of_package(read_package(read_bytes(path, BYTES_MAX)))


def side_of_package(package: Package) -> Side:
    """A package on top of the shipped tables."""
    texts: dict[str, Any] = shipped_texts()
    if package.substances:
        name = package.manifest.package_id
        texts["substances"], _, _ = merge_substances(texts["substances"], package.substances, name)
    usable = [specimen for specimen in package.specimens if specimen.is_usable]
    library = build_library(texts, usable)
    side = side_of(library, {each.specimen_id: each for each in package.specimens})
    return dataclasses.replace(side, version=package.label)
