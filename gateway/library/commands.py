"""`harmattan library`: build, sign, install, review and look up the library.

Rules of the file
- What needs numpy is imported where it is needed, as in gateway/cli.py.
- Standard output carries results (with --json nothing else); warnings go to standard error.
- Exit status: 0 done and good, 1 `verify` found something wrong or `diff` a difference, 2 it could
  not be done.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console

from gateway import settings
from gateway.errors import LibraryFolderError

if TYPE_CHECKING:
    from gateway.library.folder import Loaded
    from gateway.library.lists import Lists

app = typer.Typer(
    help="The library: what is recognised, where it comes from, and how to extend it.",
    no_args_is_help=True,
)

EXIT_FOUND = 1
EXIT_FAULT = 2
PIPE_CHARS = 240
SETTINGS_DEFAULT = Path("post.toml")
DIRECTORY_DEFAULT = Path("library")

LibraryOption = Annotated[
    Path | None,
    typer.Option("--library", "-l", help="Folder of the library; overrules the settings."),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", "-s", help="The post's TOML file; post.toml when it is there."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]


# ------------------------------------------------------------------------------------------ look up


@app.command("list")
def list_substances(
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    on_list: Annotated[str, typer.Option("--list", help="On this watchlist, like pgs.")] = "",
    category: Annotated[str, typer.Option(help="Like precursor or plastic.")] = "",
    state: Annotated[str, typer.Option(help="Like solid or liquid.")] = "",
    origin: Annotated[str, typer.Option(help="shipped, own, or a package's id.")] = "",
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List the substances of the library."""
    from gateway.library import records, showing  # noqa: PLC0415 - see the rules of the file

    with _told():
        loaded, lists = _load(library, settings_path)
        wanted = {"list": on_list, "category": category, "state": state, "origin": origin}
        found = records.list_record(
            loaded, lists.watchlists, {key: value for key, value in wanted.items() if value}
        )
    _write(found, as_json, showing.show_list)


@app.command()
def show(
    substance: Annotated[str, typer.Argument(help="Id, CAS number, or name in any language.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show all that is known of one substance: names, codes, bands, specimens, look-alikes."""
    from gateway.library import records, showing  # noqa: PLC0415 - see the rules of the file

    with _told():
        loaded, lists = _load(library, settings_path)
        found = records.substance_record(loaded, lists.watchlists, substance)
    _write(found, as_json, showing.show_substance)


@app.command()
def lists(
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    directory: Annotated[Path | None, typer.Option("--lists", help="Folder of lists.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show the watchlists: editions, sources, codes and limits, and which have expired."""
    from gateway.library import records, showing  # noqa: PLC0415 - see the rules of the file

    with _told():
        loaded, found = _load(library, settings_path, directory)
        record = records.lists_record(found, loaded, _today())
    _write(record, as_json, showing.show_lists)


# -------------------------------------------------------------------------------- import and export


@app.command("import")
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
    from gateway.library import folder, showing  # noqa: PLC0415 - see the rules of the file
    from gateway.library.campaign import read_campaign  # noqa: PLC0415 - likewise
    from gateway.library.importing import import_file  # noqa: PLC0415 - likewise

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
    records: list[dict[str, Any]] = []
    with _told():
        directory = _directory(library, settings_path)
        loaded = folder.load(directory)
        wanted = [(path, given) for path in files or []]
        wanted += read_campaign(table, given) if table else []
        if not wanted:
            raise LibraryFolderError("nothing to import; give files, or --table")
        for path, said in wanted:
            if _is_package(path):
                records.append(_install(directory, path, downgrade=downgrade))
                loaded = folder.load(directory)
                continue
            found = import_file(directory, path, said, loaded, _today().isoformat())
            records += [showing.import_record(one) for one in found]
    _write(records, as_json, showing.show_imports)
    if any(record["error"] for record in records):
        raise typer.Exit(EXIT_FAULT)


@app.command()
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

    with _told():
        directory = _directory(library, settings_path)
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
                "made_on": made_on or _today().isoformat(),
            },
            frozenset(substance or ()),
            key,
        )
        folder.write_whole(target, content)
    told = "signed" if sign else "not signed, so no post will install it; --sign KEY"
    typer.echo(f"{target}: {len(content)} bytes, {told}")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A package, a folder, or `shipped`.")],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Compare two libraries: entries added, removed, changed; bands that moved. Exit status 1."""
    from gateway.library import publishing, showing  # noqa: PLC0415 - see the rules of the file
    from gateway.spectra.differences import compare  # noqa: PLC0415 - likewise

    with _told():
        found = compare(publishing.open_side(before), publishing.open_side(after))
    _write(msgspec.to_builtins(found), as_json, showing.show_differences)
    if found.is_different:
        raise typer.Exit(EXIT_FOUND)


@app.command()
def verify(
    packages: Annotated[list[Path] | None, typer.Argument(help="Packages; none: all.")] = None,
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Check signatures, digests, tables, lists, and specimens against the tables.

    Exit status 1 when something is wrong; warnings alone leave it at 0.
    """
    from gateway.library import checking, showing  # noqa: PLC0415 - see the rules of the file

    with _told():
        directory = _directory(library, settings_path)
        found = checking.verify(
            directory, packages or [], _lists_directory(settings_path), _today()
        )
    _write(msgspec.to_builtins(found), as_json, showing.show_verification)
    if found.faults:
        raise typer.Exit(EXIT_FOUND)


# --------------------------------------------------------------------------------- keys and upkeep


@app.command()
def key(
    target: Annotated[Path, typer.Argument(help="NAME: writes NAME.key and NAME.pub.")],
    passphrase_file: Annotated[Path | None, typer.Option(help="Encrypts the private key.")] = None,
) -> None:
    """Make a pair of keys: NAME.key to sign packages with, NAME.pub for the posts to trust."""
    from gateway.library import publishing  # noqa: PLC0415 - see the rules of the file

    with _told():
        key_id, private, public = publishing.make_keys(target, _passphrase(passphrase_file))
    typer.echo(f"{private}: private key; keep it off the posts, whoever has it is the issuer")
    typer.echo(f"{public}: public key {key_id}; give it to the posts, tell them this id by phone")


@app.command()
def trust(
    files: Annotated[list[Path], typer.Argument(help="Public keys, NAME.pub.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Take packages signed with these keys from now on."""
    from gateway.library import folder  # noqa: PLC0415 - see the rules of the file
    from gateway.library.reading import read_bytes  # noqa: PLC0415 - likewise
    from gateway.spectra.package import KEY_BYTES_MAX, read_public_key  # noqa: PLC0415 - likewise

    with _told():
        directory = _directory(library, settings_path)
        for path in files:
            found = read_public_key(str(path), read_bytes(path, KEY_BYTES_MAX))
            kept = folder.trust(directory, found)
            typer.echo(f"trusted from now on: key {kept.stem}, kept as {kept}")


@app.command()
def confirm(
    specimen: Annotated[str, typer.Argument(help="Id of a specimen in doubt.")],
    reason: Annotated[str, typer.Option(help="Who confirms it, and why.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Use a specimen in spite of the doubt that its import raised."""
    from gateway.library import folder  # noqa: PLC0415 - see the rules of the file

    with _told():
        kept = folder.confirm(_directory(library, settings_path), specimen, reason)
    typer.echo(f"in use: {kept.specimen_id}; doubt was: {kept.doubt}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Id of a package or of an own specimen.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
) -> None:
    """Remove a package or an own specimen from the folder."""
    from gateway.library import folder  # noqa: PLC0415 - see the rules of the file

    with _told():
        removed = folder.remove(_directory(library, settings_path), name)
    typer.echo(f"removed: {removed}")


@app.command()
def rejudged(
    settings_path: SettingsOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show which stored readings are judged differently since the library changed."""
    from gateway.library import rejudged as report  # noqa: PLC0415 - see the rules of the file
    from gateway.library import showing  # noqa: PLC0415 - likewise

    found = report.read(settings.load(settings_path or SETTINGS_DEFAULT))
    _write(msgspec.to_builtins(found), as_json, showing.show_rejudged)


# ------------------------------------------------------------------------------------------- pieces


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what the library's parts raise into a fault that the command tells."""
    from gateway.screening.watchlists import WatchlistError  # noqa: PLC0415 - see the rules
    from gateway.spectra.errors import SpectraError  # noqa: PLC0415 - likewise

    try:
        yield
    except (SpectraError, WatchlistError) as error:
        raise LibraryFolderError(str(error)) from error


def _directory(library: Path | None, settings_path: Path | None) -> Path:
    """The library's folder: as said, as the settings say, or `library` here."""
    if library is not None:
        return library
    found = _settings(settings_path)
    named = found.spectra.library_directory if found else ""
    return Path(named) if named else DIRECTORY_DEFAULT


def _lists_directory(settings_path: Path | None) -> Path | None:
    found = _settings(settings_path)
    named = found.screening.lists_directory if found else ""
    return Path(named) if named else None


def _settings(settings_path: Path | None) -> settings.Settings | None:
    if settings_path is None and not SETTINGS_DEFAULT.exists():
        return None
    return settings.load(settings_path or SETTINGS_DEFAULT)


def _load(
    library: Path | None, settings_path: Path | None, lists_directory: Path | None = None
) -> tuple[Loaded, Lists]:
    """The library and the lists; what had to be left out is told on standard error."""
    from gateway.library import folder  # noqa: PLC0415 - see the rules of the file
    from gateway.library.lists import load_lists  # noqa: PLC0415 - likewise

    if library is not None and not library.is_dir():
        raise LibraryFolderError(f"library {library} is not a folder; give one, or leave it out")
    loaded = folder.load(_directory(library, settings_path), strict=False)
    found = load_lists(
        lists_directory or _lists_directory(settings_path), loaded.library, strict=False
    )
    for fault in (*loaded.faults, *found.faults):
        typer.echo(f"harmattan: left out: {fault}", err=True)
    return loaded, found


def _is_package(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def _install(directory: Path, path: Path, *, downgrade: bool) -> dict[str, Any]:
    """Install a package; what is wrong with it becomes the record's error."""
    from gateway.library import folder, showing  # noqa: PLC0415 - see the rules of the file
    from gateway.library.reading import read_bytes  # noqa: PLC0415 - likewise
    from gateway.spectra.errors import SpectraError  # noqa: PLC0415 - likewise
    from gateway.spectra.stored_zip import BYTES_MAX  # noqa: PLC0415 - likewise

    try:
        package, is_new = folder.install(
            directory, read_bytes(path, BYTES_MAX), downgrade=downgrade
        )
    except SpectraError as error:
        return {"file": str(path), "package": None, "error": f"{path}: {error}"}
    return showing.install_record(path, package, is_new=is_new)


def _passphrase(path: Path | None) -> bytes:
    from gateway.library.reading import read_bytes  # noqa: PLC0415 - see the rules of the file

    return b"" if path is None else read_bytes(path, 1_024).strip()


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _write(found: Any, as_json: bool, show_it: Any) -> None:  # noqa: ANN401, FBT001
    """Write a result as JSON or for a person; a reader that leaves early is no fault."""
    if not as_json:
        # In a pipe there is no width to keep to; lines are looked for with grep.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_CHARS
        show_it(found, Console(width=width))
        return
    try:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
