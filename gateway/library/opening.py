"""Open a library and its lists for one who identifies files: everything good, or a fault."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import LibraryFolderError
from gateway.library.folder import load
from gateway.library.lists import load_lists
from gateway.screening.watchlists import WatchlistError, Watchlists
from gateway.spectra.errors import SpectraError
from gateway.spectra.library import Library


def open_library(
    directory: Path | None, lists_directory: Path | None
) -> tuple[Library, Watchlists]:
    """The library of a folder and the lists of another, each beside what is shipped.

    Raises:
        LibraryFolderError: a folder that was named is none, or something in it is faulty.
    """
    for path in (directory, lists_directory):
        if path is not None and not path.is_dir():
            raise LibraryFolderError(f"{path} is not a folder; give one, or leave it out")
    try:
        library = load(directory).library
        return library, load_lists(lists_directory, library).watchlists
    except (SpectraError, WatchlistError) as error:
        raise LibraryFolderError(str(error)) from error
