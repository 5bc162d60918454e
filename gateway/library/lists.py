"""A post's own watchlists: TOML files in a folder, beside the lists that are shipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.library.reading import read_bytes
from gateway.screening.watchlists import (
    LIST_BYTES_MAX,
    Watchlist,
    WatchlistError,
    Watchlists,
    check_watchlists,
    join_watchlists,
    load_watchlists,
    parse_watchlist,
)
from gateway.spectra.errors import FormatError
from gateway.spectra.library import Library

LISTS_MAX = 64
"""A country has a handful."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists to screen with.

    Attributes:
        watchlists: in use.
        replaced: editions that a later one has replaced.
        files: list id -> where it was read, for those that are not shipped.
        faults: what was left out and why, a sentence each.
    """

    watchlists: Watchlists
    replaced: tuple[Watchlist, ...]
    files: dict[str, str]
    faults: tuple[str, ...]


def load_lists(directory: Path | None, library: Library, *, strict: bool = True) -> Lists:
    """Read the shipped lists and those of a folder, and hold them against the library.

    Args:
        directory: holds `*.toml`; None, or one that does not exist = the shipped lists.
        library: must know every substance that is named.
        strict: raise for whatever is faulty, instead of leaving it out.

    Raises:
        WatchlistError: a list is faulty, when `strict`; names the file and the remedy.
    """
    national: list[Watchlist] = []
    files: dict[str, str] = {}
    faults: list[str] = []
    paths = []
    if directory is not None and directory.is_dir():
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    for path in paths[:LISTS_MAX]:
        try:
            found = _read(path, library)
        except WatchlistError as error:
            if strict:
                raise
            faults.append(str(error))
            continue
        national.append(found)
        files[found.list_id] = str(path)
    if len(paths) > LISTS_MAX:
        faults.append(f"{directory} holds more than {LISTS_MAX} lists; the rest is left out")
    watchlists, replaced = join_watchlists(load_watchlists(), national)
    check_watchlists(watchlists, library)
    return Lists(watchlists, replaced, files, tuple(faults))


def _read(path: Path, library: Library) -> Watchlist:
    """Read one list and hold it against the library.

    Raises:
        WatchlistError: names the file.
    """
    try:
        text = read_bytes(path, LIST_BYTES_MAX).decode("utf-8")
        found = parse_watchlist(path.name, text)
        check_watchlists(Watchlists((found,)), library)
    except FormatError as error:
        raise WatchlistError(f"watchlist {path}: {error}") from None
    except UnicodeDecodeError:
        raise WatchlistError(f"watchlist {path} is not UTF-8 text; save it as UTF-8") from None
    except WatchlistError as error:
        raise WatchlistError(f"{path.parent}: {error}") from None
    return found
