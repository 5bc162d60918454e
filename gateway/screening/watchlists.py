"""The watchlists: dated, sourced TOML files that say which substances matter here."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

from gateway.spectra.library import Library

LIST_BYTES_MAX = 262_144
"""A list of a few hundred entries is far smaller; a larger file is not a watchlist."""

ENTRIES_MAX = 2_000


class WatchlistError(ValueError):
    """A watchlist is missing, malformed, or names a substance the library does not know."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One substance on a list.

    Attributes:
        substance_id: id in the library.
        status: listed, historic (on an earlier edition), related (carries a listed substance) or
            article (found by eye and documents, never by a spectrum).
        annex: part of the list, if it has parts.
        limit: the legal limit in words, for people.
        note: anything an expert must know.
    """

    substance_id: str
    status: Literal["listed", "historic", "related", "article"] = "listed"
    annex: str = ""
    limit: str = ""
    note: str = ""


class Watchlist(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dated list.

    Attributes:
        list_id: short name used in verdicts.
        title: name for people.
        date: edition of the list as entered here.
        source: where it comes from and what is uncertain about it.
        entries: the substances.
    """

    list_id: str
    title: str
    date: dt.date
    source: str
    entries: tuple[Entry, ...]


class Watchlists(msgspec.Struct, frozen=True):
    """All lists in force at this post."""

    lists: tuple[Watchlist, ...]

    def lists_of(self, substance_id: str) -> tuple[str, ...]:
        """Ids of the lists a substance stands on; empty = not listed."""
        return tuple(
            entry.list_id
            for entry in self.lists
            if any(row.substance_id == substance_id for row in entry.entries)
        )

    @property
    def substance_ids(self) -> frozenset[str]:
        """Every substance on any list."""
        return frozenset(row.substance_id for entry in self.lists for row in entry.entries)


def parse_watchlist(name: str, text: str) -> Watchlist:
    """Read one list from TOML text.

    Raises:
        WatchlistError: naming the list and what is wrong.
    """
    if len(text.encode()) > LIST_BYTES_MAX:
        raise WatchlistError(f"watchlist {name} is larger than {LIST_BYTES_MAX} bytes; shorten it")
    try:
        found = msgspec.toml.decode(text, type=Watchlist)
    except msgspec.DecodeError as error:
        raise WatchlistError(f"watchlist {name}: {error}; correct the file") from None
    if not 1 <= len(found.entries) <= ENTRIES_MAX:
        raise WatchlistError(
            f"watchlist {name} has {len(found.entries)} entries, 1 to {ENTRIES_MAX}"
        )
    return found


@lru_cache(maxsize=1)
def load_watchlists() -> Watchlists:
    """Read the lists that come with the package.

    Raises:
        WatchlistError: a list is malformed.
    """
    folder = files("gateway.screening").joinpath("lists")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if not names:
        raise WatchlistError("no watchlist found; install the package again")
    return Watchlists(
        tuple(parse_watchlist(name, folder.joinpath(name).read_text("utf-8")) for name in names)
    )


def check_watchlists(watchlists: Watchlists, library: Library) -> None:
    """Raise WatchlistError when a list names a substance the library does not know."""
    for entry in watchlists.lists:
        for row in entry.entries:
            if row.substance_id not in library.substances:
                raise WatchlistError(
                    f"watchlist {entry.list_id} names {row.substance_id!r}, which the library does "
                    "not know; add it to the tables or correct the name"
                )
