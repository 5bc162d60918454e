"""Open a library and its lists for one who identifies files: everything good, or a fault."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from gateway.errors import LibraryFolderError
from gateway.library.folder import PARTS, is_library, load
from gateway.library.lists import load_lists
from gateway.screening.watchlists import WatchlistError, Watchlists
from gateway.spectra.errors import SpectraError
from gateway.spectra.library import Library


def open_library(
    directory: Path | None, lists_directory: Path | None
) -> tuple[Library, Watchlists]:
    """The library of a folder and today's lists of another, each beside what is shipped.

    Raises:
        LibraryFolderError: a folder that was named is none, or something in it is faulty.
    """
    today = dt.datetime.now(dt.UTC).date()
    for path in (directory, lists_directory):
        if path is not None and not path.is_dir():
            raise LibraryFolderError(f"{path} is not a folder; give one, or leave it out")
    if directory is not None and not is_library(directory):
        raise LibraryFolderError(
            f"{directory} is no library: it holds none of {', '.join(PARTS)}; give the library's"
            " folder, or leave it out"
        )
    try:
        library = load(directory).library
        return library, load_lists(lists_directory, library).on(today).watchlists
    except (SpectraError, WatchlistError) as error:
        raise LibraryFolderError(str(error)) from error
