"""The watchlists: dated, sourced TOML files that say which substances matter here."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:  # it loads numpy and scipy
    from gateway.spectra.library import Library

EDITION_DAYS_MAX = 5_475  # 15 years: a post's authority ends after ten, and its equipment with it
LIST_BYTES_MAX = 262_144
"""A list of a few hundred entries is far smaller; a larger file is not a watchlist."""

ENTRIES_MAX = 2_000


class WatchlistError(ValueError):
    """A watchlist is missing, malformed, or names a substance the library does not know."""


HsCode = Annotated[str, msgspec.Meta(pattern=r"^\d{4}\.\d{2}$")]
CnCode = Annotated[str, msgspec.Meta(pattern=r"^(ex )?\d{4} \d{2} \d{2}$")]
Percent = Annotated[float, msgspec.Meta(gt=0.0, le=100.0)]
Line = Annotated[str, msgspec.Meta(max_length=400)]


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Concentration above which the law restricts a substance. For people: no verdict compares.

    Attributes:
        value: the concentration, above 0 to 100.
        unit: always per cent.
        basis: of what by what: w/w, w/v or v/v.
        of: what is counted when it is not the substance itself.
        licence: whether more can be licensed.
        licence_max: the highest concentration that can be licensed.
    """

    value: Percent
    unit: Literal["%"]
    basis: Literal["w/w", "w/v", "v/v"]
    of: Line = ""
    licence: bool = False
    licence_max: Percent | None = None

    @property
    def words(self) -> str:
        """The limit as a person says it."""
        of = f" {self.of}" if self.of else ""
        said = f"{self.value:g} {self.unit} {self.basis}{of}"
        if not self.licence:
            return f"{said}; no licence"
        if self.licence_max is None:
            return f"{said}; more by licence"
        return f"{said}; licence up to {self.licence_max:g} {self.unit} {self.basis}"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One substance on a list.

    Attributes:
        substance_id: id in the library.
        status: listed, historic (on an earlier edition), related (carries a listed substance) or
            article (found by eye and documents, never by a spectrum).
        annex: part of the list, if it has parts.
        limits: legal concentration limits, for people.
        condition: what else the law asks for (form, particle size), in words.
        hs2022: headings of the Harmonized System 2022, `2834.21`.
        cn: codes of the Combined Nomenclature, `2834 21 00`, with `ex ` for a part of one.
        note: anything an expert must know.
    """

    substance_id: str
    status: Literal["listed", "historic", "related", "article"] = "listed"
    annex: Line = ""
    limits: tuple[Limit, ...] = ()
    condition: Line = ""
    hs2022: tuple[HsCode, ...] = ()
    cn: tuple[CnCode, ...] = ()
    note: Line = ""

    @property
    def limit(self) -> str:
        """Limits and condition in words; empty when there are none."""
        words = [limit.words for limit in self.limits]
        return "; ".join([*words, self.condition] if self.condition else words)


ListState = Literal["in force", "not yet in force", "expired", "superseded"]


class Watchlist(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dated list.

    Attributes:
        list_id: short name used in verdicts.
        title: name for people, in English.
        date: edition of the list as entered here; of two with one id the later is used.
        source: where it comes from and what is uncertain about it.
        entries: the substances.
        title_fr, title_ar, title_es: the name in the other languages; empty = the English one.
        jurisdiction: where it holds: `international`, `EU`, or a country's two letters.
        valid_from: the day on which it comes into force; None = it is in force.
        valid_until: last day of validity; None = not stated.
        superseded_by: id of the list that has replaced it; empty = none.
    """

    list_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    date: dt.date
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
    entries: tuple[Entry, ...]
    title_fr: Line = ""
    title_ar: Line = ""
    title_es: Line = ""
    jurisdiction: Line = ""
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    superseded_by: str = ""

    @property
    def titles(self) -> dict[str, str]:
        """The name in the four languages."""
        others = {"fr": self.title_fr, "ar": self.title_ar, "es": self.title_es}
        return {"en": self.title} | {key: text or self.title for key, text in others.items()}

    def state_on(self, day: dt.date) -> ListState:
        """Whether the list is in force on a day, as far as it says itself."""
        if self.superseded_by:
            return "superseded"
        if self.valid_until is not None and day > self.valid_until:
            return "expired"
        if self.valid_from is not None and day < self.valid_from:
            return "not yet in force"
        return "in force"

    def notice_on(self, day: dt.date) -> str:
        """What somebody should know of it on a day; empty = nothing.

        A list that has expired is used all the same until somebody removes or replaces it: an
        alarm too many is noticed, a missing one is not.
        """
        used = "it is used until somebody replaces or removes it"
        match self.state_on(day):
            case "expired":
                return f"expired, its last day was {self.valid_until}; {used}"
            case "superseded":
                return f"superseded by {self.superseded_by}; {used}"
            case "not yet in force":
                return f"not yet in force, in force from {self.valid_from}"
            case _:
                return ""


class Watchlists(msgspec.Struct, frozen=True):
    """All lists in force at this post."""

    lists: tuple[Watchlist, ...]

    @property
    def version(self) -> str:
        """Ids and editions of all lists, and a digest of what they say: changes with each."""
        editions = " ".join(f"{entry.list_id} {entry.date.isoformat()}" for entry in self.lists)
        digest = hashlib.sha256(msgspec.json.encode(self.lists)).hexdigest()
        return f"{editions} {digest[:8]}"

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
    except (ValueError, RecursionError) as error:
        raise WatchlistError(f"watchlist {name}: {error}; correct the file") from None
    if not 1 <= len(found.entries) <= ENTRIES_MAX:
        raise WatchlistError(
            f"watchlist {name} has {len(found.entries)} entries, 1 to {ENTRIES_MAX}"
        )
    _check(name, found)
    return found


def _check(name: str, found: Watchlist) -> None:
    """Raise WatchlistError for what types cannot say."""
    ids = [row.substance_id for row in found.entries]
    twice = next((key for key in ids if ids.count(key) > 1), None)
    if twice is not None:
        raise WatchlistError(f"watchlist {name} names {twice!r} twice; put both into one entry")
    if found.valid_from and found.valid_until and found.valid_until < found.valid_from:
        raise WatchlistError(
            f"watchlist {name}: valid_until {found.valid_until} is before valid_from"
            f" {found.valid_from}; correct the dates"
        )
    for row in found.entries:
        for limit in row.limits:
            wrong = limit.licence_max is not None and (
                not limit.licence or limit.licence_max < limit.value
            )
            if wrong:
                raise WatchlistError(
                    f"watchlist {name}: licence_max {limit.licence_max:g} of {row.substance_id}"
                    f" needs licence = true and must not be below the limit {limit.value:g}"
                )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a day's date makes of all the editions there are.

    Attributes:
        day: by which the lists were chosen, never before `edition_day`.
        watchlists: to screen with on that day.
        waiting: editions that come into force later.
        replaced: editions that one in force has replaced.
    """

    day: dt.date
    watchlists: Watchlists
    waiting: tuple[Watchlist, ...]
    replaced: tuple[Watchlist, ...]


def select_watchlists(editions: Iterable[Watchlist], day: dt.date) -> Selection:
    """Choose the lists to screen with on a day.

    An edition whose `valid_from` is still to come changes nothing yet: until then the edition
    before it holds. Of two with one id that have begun the one with the later date holds, of two
    with one date the first.

    A clock can lose its time, this program cannot run before it was made: a day before that is
    taken for that day, or a clock that says 1970 would take lists out of force.

    Args:
        editions: the shipped ones first.
        day: against which their dates are held, by this computer's clock.
    """
    day = max(day, edition_day())
    held: dict[str, Watchlist] = {}
    waiting, replaced = [], []
    for entry in editions:
        if entry.valid_from is not None and entry.valid_from > day:
            waiting.append(entry)
            continue
        before = held.get(entry.list_id)
        if before is not None and before.date >= entry.date:
            replaced.append(entry)
            continue
        if before is not None:
            replaced.append(before)
        held[entry.list_id] = entry
    lists = Watchlists(tuple(held[key] for key in sorted(held)))
    return Selection(day, lists, tuple(waiting), tuple(replaced))


def edition_day() -> dt.date:
    """The newest date of the shipped lists: it was not earlier when this program was made."""
    return max(entry.date for entry in load_watchlists().lists)


def clock_fault(day: dt.date) -> str:
    """What somebody should know of a clock that says this day; empty = nothing."""
    return clock_behind(day) or clock_ahead(day)


def clock_behind(day: dt.date) -> str:
    """The same of a clock that is behind."""
    made = edition_day()
    if day >= made:
        return ""
    return (
        f"this computer's clock says {day}, but this edition was made on {made} or later; set the"
        f" clock, until then lists are chosen as on {made}"
    )


def clock_ahead(day: dt.date) -> str:
    """The same of a clock that is ahead."""
    made = edition_day()
    if (day - made).days <= EDITION_DAYS_MAX:
        return ""
    return (
        f"this computer's clock says {day}, but this edition was made on {made}, and none is in"
        f" use for {EDITION_DAYS_MAX // 365} years; set the clock, until then ages and dates are"
        " wrong"
    )


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
