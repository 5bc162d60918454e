"""Change the library's folder: keys, packages, specimens; all is checked before it is kept."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.library.folder import KEYS_MAX, PACKAGES_MAX, Loading, find_files, read_own
from gateway.library.lists import load_lists
from gateway.library.reading import read_bytes
from gateway.library.suspicion import Examination
from gateway.library.writing import write_whole
from gateway.spectra.errors import LibraryError, PackageError, SpectraError
from gateway.spectra.library import load_library
from gateway.spectra.package import (
    KEY_BYTES_MAX,
    PACKAGE_ID,
    SUFFIX,
    Package,
    key_id_of,
    read_package,
    read_public_key,
    version_order,
    write_public_key,
)
from gateway.spectra.specimen import ID, TEXT_BYTES_MAX, Specimen, write_specimen
from gateway.spectra.stored_zip import BYTES_MAX


def trusted_keys(directory: Path) -> dict[str, Ed25519PublicKey]:
    """The keys whose packages are taken, by id.

    Raises:
        SpectraError: a file in the folder is no public key.
    """
    paths = find_files(directory / "trusted", ".pub", KEYS_MAX)
    keys = [read_public_key(path.name, read_bytes(path, KEY_BYTES_MAX)) for path in paths]
    return {key_id_of(key): key for key in keys}


def trust(directory: Path, key: Ed25519PublicKey) -> Path:
    """Keep a key: its packages are taken from now on. Returns where it is kept."""
    path = directory / "trusted" / f"{key_id_of(key)}.pub"
    write_whole(path, write_public_key(key))
    return path


def distrust(directory: Path, name: str) -> tuple[list[Path], list[str]]:
    """Remove a key: what it signed is out of force from now on.

    Args:
        directory: of the library.
        name: the key's id, or its file's name without `.pub`, also of a damaged one.

    Returns:
        The files that were removed, and the installed packages that the key has signed.

    Raises:
        LibraryError: no such key is trusted, or a file cannot be removed.
    """
    ids = {path: _key_id(path) for path in find_files(directory / "trusted", ".pub", KEYS_MAX)}
    chosen = {path: key for path, key in ids.items() if name in {key, path.stem}}
    if not chosen:
        known = ", ".join(key or path.stem for path, key in ids.items()) or "none"
        raise LibraryError(f"key {name[:80]!r} is not trusted in {directory}; trusted: {known}")
    keys = set(filter(None, chosen.values()))
    paths = [path for path, key in ids.items() if path in chosen or key in keys]
    for path in paths:
        _unlink(path)
    packages = find_files(directory / "packages", SUFFIX, PACKAGES_MAX)
    found = [installed(directory, path.stem) for path in packages]
    signed = [
        each.manifest.package_id
        for each in found
        if each and each.signature and each.signature.key_id in keys
    ]
    return paths, signed


def _key_id(path: Path) -> str:
    """Id of the key in a file; empty when there is none."""
    try:
        return key_id_of(read_public_key(path.name, read_bytes(path, KEY_BYTES_MAX)))
    except SpectraError:
        return ""


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}; check its permissions") from error


def keep_specimen(directory: Path, specimen: Specimen) -> Path:
    """Write a specimen into the folder; returns where."""
    path = directory / "specimens" / f"{specimen.specimen_id}.csv"
    write_whole(path, write_specimen(specimen).encode())
    return path


def installed(directory: Path, package_id: str) -> Package | None:
    """The installed package of this name, whoever signed it; None when there is no good one.

    A damaged one is not in use, so a good one takes its place whatever its version.
    """
    path = directory / "packages" / f"{package_id}{SUFFIX}"
    try:
        return read_package(read_bytes(path, BYTES_MAX)) if path.exists() else None
    except SpectraError:
        return None


def install(
    directory: Path, content: bytes, *, downgrade: bool = False, lists: Path | None = None
) -> tuple[Package, bool]:
    """Install a package that a trusted key has signed.

    Args:
        directory: of the library; made when missing.
        content: the package.
        downgrade: also when a higher version is installed.
        lists: folder of national lists; its specimens must hold nothing listed.

    Returns:
        The package, and whether it was not installed before.

    Raises:
        PackageError: malformed, unsigned, not trusted, older than the installed one, or another
            package of the same version; or a specimen is in doubt and nobody has confirmed it.
        SpectraError: it does not go together with the rest of the library.
    """
    package = read_package(content, trusted_keys(directory))
    manifest = package.manifest
    path = directory / "packages" / f"{manifest.package_id}{SUFFIX}"
    before = installed(directory, manifest.package_id)
    if before is not None:
        if before.digest == package.digest:
            return package, False
        _check_upgrade(before, package, downgrade=downgrade)
    examination = examination_of(directory, package, lists)
    for specimen in package.specimens:
        doubt = examination.judge(specimen).doubt
        if doubt and not specimen.confirmed:
            raise PackageError(
                f"specimen {specimen.specimen_id} of package {manifest.package_id} is in doubt:"
                f" {doubt}; nothing was installed. Its issuer must take it out, or import it again"
                " and confirm it"
            )
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


def examination_of(directory: Path, package: Package, lists: Path | None) -> Examination:
    """Put the package in the place of its older version, with everything else that is good.

    Returns:
        What judges its specimens by the library as it is without them.

    Raises:
        SpectraError: they do not go together.
    """
    loading = Loading(directory, strict=False, without=package.manifest.package_id)
    loading.read()
    loading.add_package(package)
    loaded = loading.finish(load_library())
    together = frozenset(specimen.specimen_id for specimen in package.specimens)
    found = load_lists(lists, loaded.library, strict=False)
    return Examination(loaded, found, together)


def confirm(directory: Path, specimen_id: str, who_and_why: str) -> Specimen:
    """Use an own specimen in spite of its doubt.

    Raises:
        SpectraError: there is none of this id, or it is not in doubt.
    """
    path = _own_path(directory, specimen_id)
    specimen = read_own(path, read_bytes(path, TEXT_BYTES_MAX))
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
    _unlink(path)
    return path


def _own_path(directory: Path, specimen_id: str) -> Path:
    path = directory / "specimens" / f"{specimen_id}.csv"
    if not ID.fullmatch(specimen_id) or not path.exists():
        raise LibraryError(
            f"{specimen_id!r} is no specimen imported into {directory};"
            " `harmattan library show SUBSTANCE` names them"
        )
    return path
