"""What the commands of `harmattan library` share: options, folders, faults and output.

Rules of the file
- What needs numpy is imported where it is needed, as in gateway/cli.py.
- Standard output carries results (with --json nothing else); warnings go to standard error.
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


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what the library's parts raise into a fault that the command tells."""
    from gateway.screening.watchlists import WatchlistError  # noqa: PLC0415 - see the rules
    from gateway.spectra.errors import SpectraError  # noqa: PLC0415 - likewise

    try:
        yield
    except (SpectraError, WatchlistError) as error:
        raise LibraryFolderError(str(error)) from error


def library_folder(library: Path | None, settings_path: Path | None) -> Path:
    """The library's folder: as said, as the settings say, or `library` here."""
    if library is not None:
        return library
    found = _settings(settings_path)
    named = found.spectra.library_directory if found else ""
    return Path(named) if named else DIRECTORY_DEFAULT


def lists_folder(settings_path: Path | None) -> Path | None:
    """The folder of the post's own lists; None without settings."""
    found = _settings(settings_path)
    named = found.screening.lists_directory if found else ""
    return Path(named) if named else None


def _settings(settings_path: Path | None) -> settings.Settings | None:
    if settings_path is None and not SETTINGS_DEFAULT.exists():
        return None
    return settings.load(settings_path or SETTINGS_DEFAULT)


def load_all(
    library: Path | None, settings_path: Path | None, lists_directory: Path | None = None
) -> tuple[Loaded, Lists]:
    """The library and the lists; what had to be left out is told on standard error.

    Raises:
        LibraryFolderError: the folder that was named is no library's.
        SpectraError: the shipped tables are faulty.
        WatchlistError: the shipped lists are.
    """
    from gateway.library import folder  # noqa: PLC0415 - see the rules of the file
    from gateway.library.lists import load_lists  # noqa: PLC0415 - likewise

    if library is not None and not library.is_dir():
        raise LibraryFolderError(f"library {library} is not a folder; give one, or leave it out")
    if library is not None and not folder.is_library(library):
        raise LibraryFolderError(
            f"library {library} holds none of {', '.join(folder.PARTS)}; give the library's folder,"
            " or leave it out"
        )
    if lists_directory is not None and not lists_directory.is_dir():
        raise LibraryFolderError(
            f"lists {lists_directory} is not a folder; give one, or leave it out"
        )
    loaded = folder.load(library_folder(library, settings_path), strict=False)
    found = load_lists(lists_directory or lists_folder(settings_path), loaded.library, strict=False)
    for fault in (*loaded.faults, *found.faults):
        typer.echo(f"harmattan: left out: {fault}", err=True)
    return loaded, found


def today() -> dt.date:
    """The day in UTC, by which lists come into force."""
    return dt.datetime.now(dt.UTC).date()


def write(found: Any, as_json: bool, show_it: Any) -> None:  # noqa: ANN401, FBT001
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
