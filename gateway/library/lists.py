"""A post's own watchlists: TOML files in a folder, beside the lists that are shipped."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.library.reading import read_bytes
from gateway.screening.watchlists import (
    LIST_BYTES_MAX,
    Selection,
    Watchlist,
    WatchlistError,
    check_watchlists,
    load_watchlists,
    parse_watchlist,
    select_watchlists,
)
from gateway.spectra.errors import FormatError
from gateway.spectra.library import Library

LISTS_MAX = 64
"""A country has a handful."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Every edition of every list that can be used.

    Attributes:
        editions: the shipped ones first.
        files: edition -> where it was read, for those that are not shipped.
        faults: what was left out and why, a sentence each.
    """

    editions: tuple[Watchlist, ...]
    files: dict[Watchlist, str]
    faults: tuple[str, ...]

    def on(self, day: dt.date) -> Selection:
        """What is in force on a day, what is not yet, and what is no longer."""
        return select_watchlists(self.editions, day)


def load_lists(directory: Path | None, library: Library, *, strict: bool = True) -> Lists:
    """Read the shipped lists and those of a folder, and hold them against the library.

    Args:
        directory: holds `*.toml`; None, or one that does not exist = the shipped lists.
        library: must know every substance that is named.
        strict: raise for whatever is faulty, instead of leaving it out. Of a list only the entries
            that the library does not know are left out: the others are looked for.

    Raises:
        WatchlistError: a list is faulty, when `strict`; names the file and the remedy.
    """
    shipped = load_watchlists()
    check_watchlists(shipped, library)
    files: dict[Watchlist, str] = {}
    faults: list[str] = []
    try:
        paths = find_lists(directory)
    except WatchlistError as error:
        if strict:
            raise
        paths = []
        faults.append(str(error))
    for path in paths[:LISTS_MAX]:
        try:
            found, unknown = _read(path, library, strict=strict)
        except WatchlistError as error:
            if strict:
                raise
            faults.append(str(error))
            continue
        faults += unknown
        if found is None:
            continue
        files.setdefault(found, str(path))
    if len(paths) > LISTS_MAX:
        faults.append(f"{directory} holds more than {LISTS_MAX} lists; the rest is left out")
    return Lists((*shipped.lists, *files), files, tuple(faults))


def find_lists(directory: Path | None) -> list[Path]:
    """The files of a folder of lists, by name; none when there is no folder.

    Raises:
        WatchlistError: the folder cannot be read.
    """
    if directory is None:
        return []
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise WatchlistError(
            f"lists {directory} is a file; name the folder that holds it"
        ) from error
    except OSError as error:
        raise WatchlistError(
            f"lists {directory}: {error.strerror}; check the folder's permissions"
        ) from error


def _read(path: Path, library: Library, *, strict: bool) -> tuple[Watchlist | None, list[str]]:
    """Read one list and hold it against the library.

    Returns:
        The list without the entries that the library does not know, None when it knows none of
        them, and a sentence for each that was left out.

    Raises:
        WatchlistError: it cannot be used, or not all of it when `strict`; names the file.
    """
    try:
        text = read_bytes(path, LIST_BYTES_MAX).decode("utf-8")
        found = parse_watchlist(path.name, text)
    except FormatError as error:
        raise WatchlistError(f"watchlist {path}: {error}") from None
    except UnicodeDecodeError:
        raise WatchlistError(f"watchlist {path} is not UTF-8 text; save it as UTF-8") from None
    except WatchlistError as error:
        raise WatchlistError(f"{path.parent}: {error}") from None
    entries = tuple(row for row in found.entries if row.substance_id in library.substances)
    unknown = [
        f"{path}: an entry of watchlist {found.list_id} names {row.substance_id!r}, which the"
        " library does not know; add it to the library or correct the name"
        for row in found.entries
        if row not in entries
    ]
    if strict and unknown:
        raise WatchlistError(unknown[0])
    return (msgspec.structs.replace(found, entries=entries) if entries else None), unknown
