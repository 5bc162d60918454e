"""What verdicts are made from, kept up with the folders of library and lists while the post runs.

Rules of the file
- A change is taken over whole or not at all: where something in it is faulty, what was in force
  stays, and the fault is told. Only at the start, when nothing is in force yet, the rest is used.
- A key that somebody has removed is no fault: what it signed leaves force, whatever else is faulty.
- A command that changes the library leaves a mark, which is looked at every `MARK_S`; what people
  copy or edit by hand is found within `LOOK_S`.
- Lists come into force on their day, in UTC, also while nothing else happens. A clock that is
  behind the edition itself takes none out of force, and is told.
- Loading has a thread of its own: neither receipts nor verdicts wait for it.
"""

import asyncio
import datetime as dt
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.errors import SettingsError
from gateway.library import folder
from gateway.library.holdings import Holdings, withdrawn, without
from gateway.library.lists import Lists, find_lists, load_lists
from gateway.library.writing import MARK
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.screening.watchlists import Selection, WatchlistError, Watchlists, clock_behind
from gateway.settings import Settings
from gateway.spectra.errors import SpectraError
from gateway.spectra.library import Library

MARK_S: Final = 2.0  # one look at one file; a technician watches `status` after a command
LOOK_S: Final = 60.0  # twenty thousand specimens take a tenth of a second to look at

LEFT_OUT: Final = "it is left out, the rest is in use"
STAYS: Final = "nothing new is taken over, while the gateway runs what was in force before stays so"
RESTARTS: Final = "a restart would leave it out and use the rest"

State = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is in force at a moment.

    Attributes:
        library: of substances.
        watchlists: in force today.
        selection: how these were chosen.
        lists_version: of these; costly to ask for.
        faults: what is not in use and why, what holds instead, and what a restart would do, a
            sentence each.
    """

    library: Library
    watchlists: Watchlists
    selection: Selection
    lists_version: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    """What the folders hold, whatever the day; `untrusted` as in `folder.Loaded`."""

    library: Library
    holdings: Holdings
    lists: Lists
    faults: tuple[str, ...]
    untrusted: dict[str, str]

    def on(self, day: dt.date, faults: tuple[str, ...]) -> Known:
        selection = self.lists.on(day)
        watchlists = selection.watchlists
        return Known(self.library, watchlists, selection, watchlists.version, faults)

    def without(self, gone: dict[str, str], told: tuple[str, ...]) -> "_Content":
        """The same without packages whose key is withdrawn, and with the faults that tell so."""
        library, holdings = without(self.library, self.holdings, frozenset(gone))
        faults = tuple(dict.fromkeys((*self.faults, *told)))
        return replace(self, library=library, holdings=holdings, faults=faults)


class Knowledge:
    """Library and lists in force, `current`; `run` keeps them up to date.

    Args:
        settings: say where the folders are.
        changed: told when something else is in force.
        now_ms: the gateway's wall clock, Unix milliseconds.

    Raises:
        SettingsError: the shipped tables or lists are not what was delivered.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        changed: Callable[[], None],
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
    ) -> None:
        self._library_folder = _folder(settings.spectra.library_directory)
        self._lists_folder = _folder(settings.screening.lists_directory)
        self._changed = changed
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="knowledge")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._mark, self._state = self._look_at_mark(), self._look_at_all()
        try:
            self._content = self._load()
        except (SpectraError, WatchlistError) as error:
            raise SettingsError(f"this installation: {error}; install the package again") from error
        self._day = self._today()
        self._fresh: tuple[str, ...] = ()  # why something newer is not in force
        self._known = self._content.on(self._day, self._faults())
        self._notices: dict[str, str] = {}
        self._tell()
        self._tell_clock()
        self._tell_notices()
        for fault in self._known.faults:
            self._tell_fault(fault)

    @property
    def current(self) -> Known:
        """What is in force now."""
        day = self._today()
        if day != self._day:
            self._day = day
            self._tell_clock()
            self._put_in_force()
        return self._known

    async def run(self) -> None:
        """Follow the folders and the calendar until cancelled."""
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(MARK_S)
            _ = self.current  # a day may have begun
            mark = await loop.run_in_executor(self._thread, self._look_at_mark)
            if mark == self._mark and loop.time() - last_s < LOOK_S:
                continue
            self._mark, last_s = mark, loop.time()
            state = await loop.run_in_executor(self._thread, self._look_at_all)
            if state != self._state:
                await self._follow()
                self._state = state

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        """Take over what the folders hold now, unless something in it is newly faulty."""
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(self._thread, self._load)
        except (SpectraError, WatchlistError) as error:
            self._stay((f"{error}; {STAYS}; a restart would fail",))
            return
        gone = withdrawn(self._content.holdings, content.holdings)
        told = tuple(text for text, key in content.untrusted.items() if key in gone.values())
        fresh = tuple(text for text in content.faults if text not in (*self._content.faults, *told))
        self._tell_withdrawn(gone)
        if not fresh:
            self._content, self._fresh = content, ()
            self._put_in_force()
            return
        if gone:
            self._content = await loop.run_in_executor(
                self._thread, self._content.without, gone, told
            )
        self._stay(tuple(f"{fault}; {STAYS}; {RESTARTS}" for fault in fresh))

    def _stay(self, fresh: tuple[str, ...]) -> None:
        """Keep what is in force, and tell which faults are the reason."""
        for fault in fresh:
            self._tell_fault(fault)
        self._fresh = fresh
        self._put_in_force()

    def _faults(self) -> tuple[str, ...]:
        """Every fault with what it means for what is in force."""
        return (*(f"{fault}; {LEFT_OUT}" for fault in self._content.faults), *self._fresh)

    def _put_in_force(self) -> None:
        before, known = self._known, self._content.on(self._day, self._faults())
        self._known = known
        is_other = (before.library.version, before.lists_version) != (
            known.library.version,
            known.lists_version,
        )
        if is_other:
            self._tell()
        self._tell_notices()
        if is_other or known.faults != before.faults:
            self._changed()

    def _load(self) -> _Content:
        loaded = folder.load(self._library_folder, strict=False)
        lists = load_lists(self._lists_folder, loaded.library, strict=False)
        faults = (*loaded.faults, *lists.faults)
        return _Content(loaded.library, loaded.holdings, lists, faults, loaded.untrusted)

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._now_ms() / 1_000, dt.UTC).date()

    def _look_at_mark(self) -> State:
        return _stat(self._library_folder / MARK) if self._library_folder else ()

    def _look_at_all(self) -> State:
        """Names, sizes and times of everything that is loaded."""
        found: list[tuple[str, int, int]] = []
        if self._library_folder:
            paths = [self._library_folder / part for part in folder.PARTS]
            found = [
                each for path in paths for each in (_stat(path) if path.suffix else _stat_all(path))
            ]
        try:
            paths = find_lists(self._lists_folder)
        except WatchlistError:
            paths = []
        return (*found, *(each for path in paths for each in _stat(path)))

    def _tell(self) -> None:
        """Log what is in force."""
        known = self._known
        self._log.info("library", version=known.library.version, lists=known.lists_version)

    def _tell_notices(self) -> None:
        """Log what somebody should know of the lists from today on, once."""
        lists = self._known.watchlists.lists
        day = self._known.selection.day
        notices = {entry.list_id: entry.notice_on(day) for entry in lists}
        for list_id, text in notices.items():
            if text and text != self._notices.get(list_id):
                self._log.warning("list_notice", list=list_id, text=text)
        self._notices = notices

    def _tell_clock(self) -> None:
        """Log that the clock is behind; one that is ahead is the matter of the fleet's ahead.py."""
        text = clock_behind(self._day)
        if text:
            self._counters.count("clock_behind")
            self._log.error("clock_behind", text=text)

    def _tell_withdrawn(self, gone: dict[str, str]) -> None:
        for package, key_id in gone.items():
            self._counters.count("library_withdrawn")
            self._log.warning(
                "library_withdrawn",
                package=package,
                key=key_id,
                text=f"key {key_id} is trusted no longer: package {package} is out of force",
            )

    def _tell_fault(self, text: str) -> None:
        self._counters.count("library_fault")
        self._log.error("library_fault", text=text)


def _folder(name: str) -> Path | None:
    return Path(name) if name else None


def _stat(path: Path) -> State:
    """Name, size and time of a file; nothing when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return ((str(path), found.st_size, found.st_mtime_ns),)


def _stat_all(path: Path) -> State:
    """The same of every file in a folder, by name."""
    try:
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.stat()) for entry in entries if entry.is_file())
    except OSError:
        return ()
    return tuple((f"{path.name}/{name}", each.st_size, each.st_mtime_ns) for name, each in found)
