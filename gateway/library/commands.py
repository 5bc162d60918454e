"""`harmattan library`: build, sign, install, review and look up the library.

Rules of the file
- What needs numpy is imported where it is needed, as in gateway/cli.py.
- Standard output carries results (with --json nothing else); warnings go to standard error.
- Exit status: 0 done and good, 1 `verify` found something wrong or `diff` a difference, 2 it could
  not be done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway import settings
from gateway.library import changing
from gateway.library.terminal import (
    SETTINGS_DEFAULT,
    JsonOption,
    LibraryOption,
    SettingsOption,
    library_folder,
    lists_folder,
    load_all,
    today,
    told,
    write,
)

app = typer.Typer(
    help="The library: what is recognised, where it comes from, and how to extend it.",
    no_args_is_help=True,
)

EXIT_FOUND = 1


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

    with told():
        loaded, lists = load_all(library, settings_path)
        wanted = {"list": on_list, "category": category, "state": state, "origin": origin}
        found = records.list_record(
            loaded,
            lists.on(today()).watchlists,
            {key: value for key, value in wanted.items() if value},
        )
    write(found, as_json, showing.show_list)


@app.command()
def show(
    substance: Annotated[str, typer.Argument(help="Id, CAS number, or name in any language.")],
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show all that is known of one substance: names, codes, bands, specimens, look-alikes."""
    from gateway.library import records, showing  # noqa: PLC0415 - see the rules of the file

    with told():
        loaded, lists = load_all(library, settings_path)
        found = records.substance_record(loaded, lists.on(today()).watchlists, substance)
    write(found, as_json, showing.show_substance)


@app.command()
def lists(
    library: LibraryOption = None,
    settings_path: SettingsOption = None,
    directory: Annotated[Path | None, typer.Option("--lists", help="Folder of lists.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show the watchlists: editions, sources, codes and limits, and which have expired."""
    from gateway.library import records, showing  # noqa: PLC0415 - see the rules of the file

    with told():
        loaded, found = load_all(library, settings_path, directory)
        record = records.lists_record(found, loaded, today())
    write(record, as_json, showing.show_lists)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A package, a folder, or `shipped`.")],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Compare two libraries: entries added, removed, changed; bands that moved. Exit status 1."""
    from gateway.library import publishing, showing  # noqa: PLC0415 - see the rules of the file
    from gateway.spectra.differences import compare  # noqa: PLC0415 - likewise

    with told():
        found = compare(publishing.open_side(before), publishing.open_side(after))
    write(msgspec.to_builtins(found), as_json, showing.show_differences)
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

    with told():
        directory = library_folder(library, settings_path)
        found = checking.verify(directory, packages or [], lists_folder(settings_path), today())
    write(msgspec.to_builtins(found), as_json, showing.show_verification)
    if found.faults:
        raise typer.Exit(EXIT_FOUND)


@app.command()
def rejudged(
    settings_path: SettingsOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show which stored readings are judged differently since the library changed."""
    from gateway.library import rejudged as report  # noqa: PLC0415 - see the rules of the file
    from gateway.library import showing  # noqa: PLC0415 - likewise

    with told():
        found = report.read(settings.load(settings_path or SETTINGS_DEFAULT))
    write(msgspec.to_builtins(found), as_json, showing.show_rejudged)


app.command("import")(changing.import_files)
for _command in (
    changing.export,
    changing.key,
    changing.trust,
    changing.distrust,
    changing.confirm,
    changing.remove,
):
    app.command()(_command)
