"""The commands of `harmattan library` that write: packages, keys, and the folder itself.

Rules of the file: those of gateway/library/commands.py, where they are registered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.errors import LibraryFolderError
from gateway.library.terminal import (
    JsonOption,
    LibraryOption,
    SettingsOption,
    library_folder,
    lists_folder,
    today,
    told,
    write,
)

EXIT_FAULT = 2


def import_files(  # noqa: PLR0913 - the options of the command
    files: Annotated[
        list[Path] | None, typer.Argument(help="Spectra (CSV, JCAMP-DX, SPC), or packages.")
    ] = None,
    *,
    table: Annotated[Path | None, typer.Option(help="CSV: file and what to say of it.")] = None,
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    substance: Annotated[str, typer.Option(help="Id of the measured substance.")] = "",
    state: Annotated[str, typer.Option(help="Its form, like tetrahydrate; none: usual.")] = "",
    instrument: Annotated[str, typer.Option(help="Model and serial number.")] = "",
    excitation_nm: Annotated[str, typer.Option(help="Laser wavelength.")] = "",
    resolution_cm1: Annotated[str, typer.Option(help="Line width of the instrument.")] = "",
    licence: Annotated[str, typer.Option(help="Under which it may be handed on.")] = "",
    source: Annotated[str, typer.Option(help="Origin of the sample; none: the file.")] = "",
    measured_by: Annotated[str, typer.Option(help="Person or laboratory.")] = "",
    measured_on: Annotated[str, typer.Option(help="Date, like 2026-11-21.")] = "",
    confirm: Annotated[str, typer.Option(help="Who uses it in spite of a doubt, and why.")] = "",
    downgrade: Annotated[bool, typer.Option(help="Install an older package.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import measured spectra with their provenance, or install signed packages.

    Exit status 2 when a file could not be imported; the others are.
    """
    from gateway.library import showing  # noqa: PLC0415 - see the rules of the file
    from gateway.library.campaign import read_campaign  # noqa: PLC0415 - likewise
    from gateway.library.writing import mark_changed  # noqa: PLC0415 - likewise

    given = {
        "substance_id": substance,
        "state": state,
        "instrument": instrument,
        "excitation_nm": excitation_nm,
        "resolution_cm1": resolution_cm1,
        "licence": licence,
        "source": source,
        "measured_by": measured_by,
        "measured_on": measured_on,
        "confirmed": confirm,
    }
    with told():
        directory = library_folder(library, settings_path)
        wanted = [(path, given) for path in files or []]
        wanted += read_campaign(table, given) if table else []
        if not wanted:
            raise LibraryFolderError("nothing to import; give files, or --table")
        lists = lists_folder(settings_path)
        records = _import(directory, wanted, lists, downgrade=downgrade)
        mark_changed(directory)
    write(records, as_json, showing.show_imports)
    if any(record["error"] for record in records):
        raise typer.Exit(EXIT_FAULT)


def export(  # noqa: PLR0913 - the options of the command
    target: Annotated[Path, typer.Argument(help="The package to write, NAME.hlp.")],
    *,
    package_id: Annotated[str, typer.Option("--id", help="Its name from version to version.")],
    version: Annotated[str, typer.Option(help="Like 2026.11.1; must rise.")],
    issuer: Annotated[str, typer.Option(help="Who answers for it.")],
    licence: Annotated[str, typer.Option(help="Under which it may be handed on.")],
    title: Annotated[str, typer.Option(help="For people; none: the id.")] = "",
    made_on: Annotated[str, typer.Option(help="Date; none: today.")] = "",
    substance: Annotated[list[str] | None, typer.Option(help="Only of these; none: all.")] = None,
    sign: Annotated[Path | None, typer.Option(help="Private key to sign with.")] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="Opens the private key.")] = None,
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Write a package of what was imported here, for other posts to install."""
    from gateway.library import folder, publishing  # noqa: PLC0415 - see the rules of the file
    from gateway.library.writing import write_whole  # noqa: PLC0415 - likewise

    with told():
        directory = library_folder(library, settings_path)
        key = publishing.read_key(sign, _passphrase(passphrase_file)) if sign else None
        content = publishing.make(
            folder.load(directory),
            directory,
            {
                "package_id": package_id,
                "version": version,
                "title": title or package_id,
                "issuer": issuer,
                "licence": licence,
                "made_on": made_on or today().isoformat(),
            },
            frozenset(substance or ()),
            key,
        )
        write_whole(target, content)
    state = "signed" if sign else "not signed, so no post will install it; --sign KEY"
    typer.echo(f"{target}: {len(content)} bytes, {state}")


def key(
    target: Annotated[Path, typer.Argument(help="NAME: writes NAME.key and NAME.pub.")],
    passphrase_file: Annotated[Path | None, typer.Option(help="Encrypts the private key.")] = None,
) -> None:
    """Make a pair of keys: NAME.key to sign packages with, NAME.pub for the posts to trust."""
    from gateway.library import publishing  # noqa: PLC0415 - see the rules of the file

    with told():
        key_id, private, public = publishing.make_keys(target, _passphrase(passphrase_file))
    typer.echo(f"{private}: private key; keep it off the posts, whoever has it is the issuer")
    typer.echo(f"{public}: public key {key_id}; give it to the posts, tell them this id by phone")


def trust(
    files: Annotated[list[Path], typer.Argument(help="Public keys, NAME.pub.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Take packages signed with these keys from now on."""
    from gateway.library import changes  # noqa: PLC0415 - see the rules of the file
    from gateway.library.reading import read_bytes  # noqa: PLC0415 - likewise
    from gateway.library.writing import mark_changed  # noqa: PLC0415 - likewise
    from gateway.spectra.package import KEY_BYTES_MAX, read_public_key  # noqa: PLC0415 - likewise

    with told():
        directory = library_folder(library, settings_path)
        for path in files:
            found = read_public_key(str(path), read_bytes(path, KEY_BYTES_MAX))
            kept = changes.trust(directory, found)
            typer.echo(f"trusted from now on: key {kept.stem}, kept as {kept}")
        mark_changed(directory)


def distrust(
    key_id: Annotated[str, typer.Argument(help="Id of the key, or its file's name in trusted/.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Trust a key no longer: what it signed leaves force, also in a running gateway."""
    from gateway.library import changes  # noqa: PLC0415 - see the rules of the file
    from gateway.library.writing import mark_changed  # noqa: PLC0415 - likewise

    with told():
        directory = library_folder(library, settings_path)
        paths, signed = changes.distrust(directory, key_id)
        mark_changed(directory)
    typer.echo(f"trusted no longer: removed {', '.join(map(str, paths))}")
    for package in signed:
        typer.echo(f"out of force: {package}; `harmattan library remove {package}` takes it away")


def confirm(
    specimen: Annotated[str, typer.Argument(help="Id of a specimen in doubt.")],
    reason: Annotated[str, typer.Option(help="Who confirms it, and why.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Use a specimen in spite of the doubt that its import raised."""
    from gateway.library import changes  # noqa: PLC0415 - see the rules of the file
    from gateway.library.writing import mark_changed  # noqa: PLC0415 - likewise

    with told():
        directory = library_folder(library, settings_path)
        kept = changes.confirm(directory, specimen, reason)
        mark_changed(directory)
    typer.echo(f"in use: {kept.specimen_id}; doubt was: {kept.doubt}")


def remove(
    name: Annotated[str, typer.Argument(help="Id of a package or of an own specimen.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Remove a package or an own specimen from the folder."""
    from gateway.library import changes  # noqa: PLC0415 - see the rules of the file
    from gateway.library.writing import mark_changed  # noqa: PLC0415 - likewise

    with told():
        directory = library_folder(library, settings_path)
        removed = changes.remove(directory, name)
        mark_changed(directory)
    typer.echo(f"removed: {removed}")


def _import(
    directory: Path,
    wanted: list[tuple[Path, dict[str, str]]],
    lists: Path | None,
    *,
    downgrade: bool,
) -> list[dict[str, Any]]:
    """Import each file with what is said of it; what is wrong becomes its record's error."""
    from gateway.library import folder, showing  # noqa: PLC0415 - see the rules of the file
    from gateway.library.importing import import_file  # noqa: PLC0415 - likewise
    from gateway.library.lists import load_lists  # noqa: PLC0415 - likewise
    from gateway.library.suspicion import Examination  # noqa: PLC0415 - likewise

    records: list[dict[str, Any]] = []
    loaded: folder.Loaded | None = None
    examination: Examination | None = None
    for path, said in wanted:
        if _is_package(path):
            # Without looking at what is there: it may be what takes a damaged one's place.
            records.append(_install(directory, path, lists, downgrade=downgrade))
            loaded = examination = None
            continue
        loaded = loaded or folder.load(directory)
        examination = examination or Examination(
            loaded, load_lists(lists, loaded.library, strict=False)
        )
        found = import_file(directory, path, said, loaded, examination, today().isoformat())
        records += [showing.import_record(one) for one in found]
    return records


def _is_package(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def _install(directory: Path, path: Path, lists: Path | None, *, downgrade: bool) -> dict[str, Any]:
    """Install a package; what is wrong with it becomes the record's error."""
    from gateway.library import changes, showing  # noqa: PLC0415 - see the rules of the file
    from gateway.library.reading import read_bytes  # noqa: PLC0415 - likewise
    from gateway.spectra.errors import SpectraError  # noqa: PLC0415 - likewise
    from gateway.spectra.stored_zip import BYTES_MAX  # noqa: PLC0415 - likewise

    try:
        package, is_new = changes.install(
            directory, read_bytes(path, BYTES_MAX), downgrade=downgrade, lists=lists
        )
    except SpectraError as error:
        return {"file": str(path), "package": None, "error": f"{path}: {error}"}
    return showing.install_record(path, package, is_new=is_new)


def _passphrase(path: Path | None) -> bytes:
    from gateway.library.reading import read_bytes  # noqa: PLC0415 - see the rules of the file

    return b"" if path is None else read_bytes(path, 1_024).strip()
