"""A damaged journal, looked at as well as that goes; nothing in it is changed."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import apsw

from gateway.journal.logged import log_of, misfit, size_of
from gateway.journal.opening import BUSY_MS, shut
from gateway.journal.overlay import is_cut, open_overlay

Row = tuple[Any, ...]

SPANS_MAX: Final = 4_096  # of rows between damaged pages, that are looked for in one table

_ESSENTIAL: Final = {
    "records": "id, node, journal_id, seq, kind, received_ms, frame",
    "alerts": "alert_id, record_id, body, created_ms, attempts, fault, receipt, receipt_ms",
    "pending": "record_id",
    "verdicts": "record_id, verdict, reason_id, explanation, judged_ms",
    "journals": "node, journal_id, seq",
    "axes": "node, axis_id, birth",
    "nodes": "node, birth",
    "configs": "node, frame",
    "counters": "name, subject, count",
}


class Damaged:
    """A damaged file, read as far as that goes."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.is_whole = True  # every question so far was answered to its end

    def ask(self, query: str, values: Row = ()) -> list[Row]:
        """Return the rows up to the first that cannot be read."""
        found: list[Row] = []
        try:
            cursor = self._connection.execute(query, values)
            while (row := cursor.fetchone()) is not None:
                found.append(row)
        except (apsw.Error, UnicodeDecodeError):  # text that is none any more
            self.is_whole = False
        return found

    def table(self, table: str, key: str, columns: Iterable[str]) -> list[Row]:
        """Return the rows of a table, from both ends where its middle is damaged; some twice.

        Args:
            table: its name.
            key: in whose order they are read; `rowid`: as they lie there, through no index, which
                may be damaged by itself, and what lies between damaged pages as well.
            columns: of it.
        """
        self.is_whole, names = True, ", ".join(columns)
        if key == "rowid":
            return self._rows(table, names)
        found = self.ask(f"SELECT {names} FROM {table} ORDER BY {key}")  # noqa: S608 - ours
        if not self.is_whole:
            last = ", ".join(f"{part} DESC" for part in key.split(", "))
            found += self.ask(f"SELECT {names} FROM {table} ORDER BY {last}")  # noqa: S608 - ours
        return found

    def _rows(self, table: str, names: str) -> list[Row]:
        """Return the rows of a table that has them in the order of their numbers."""
        query = f"SELECT rowid, {names} FROM {table} NOT INDEXED"  # noqa: S608 - ours
        found = self.ask(f"{query} ORDER BY rowid")
        if not self.is_whole:
            low = found[-1][0] if found else None
            back = self.ask(f"{query} ORDER BY rowid DESC")
            found += back
            if low is not None and back:
                found += self._between(query, low, back[-1][0])
        return [row[1:] for row in found]

    def _between(self, query: str, low: int, high: int) -> list[Row]:
        """Return the rows between two, of which the next to each cannot be read."""
        found: list[Row] = []
        spans = [(low, high)]
        for _ in range(SPANS_MAX):
            if not spans:
                break
            low, high = spans.pop()
            if high - low < 2:
                continue
            middle = (low + high) // 2
            for first, last, way in ((middle, high, ""), (low, middle, " DESC")):
                # Up from the middle, which belongs to that half, and down from below it.
                above = ">=" if first == middle else ">"
                self.is_whole = True
                rows = self.ask(
                    f"{query} WHERE rowid {above} ? AND rowid < ? ORDER BY rowid{way}",
                    (first, last),
                )
                found += rows
                if not self.is_whole and way:
                    spans.append((low, rows[-1][0] if rows else middle))
                elif not self.is_whole:
                    spans.append((rows[-1][0] if rows else middle, high))
        self.is_whole = False
        return found

    def is_of_today(self) -> bool:
        """Say whether what is pending is kept as it is today: not by an index alone."""
        listed = "SELECT 1 FROM pragma_table_info('pending', 'main') WHERE name = 'node'"
        return bool(self.ask(listed))

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns; none: it is not there."""
        return [name for (name,) in self.ask("SELECT name FROM pragma_table_info(?)", (table,))]


def has_more(one: Damaged, other: Damaged) -> bool:
    """Say whether one view of a file has what never leaves a journal, and the other has not.

    A log adds to its own file: where the file has more without it, it is of another one.
    """
    for table, key, column in (
        ("alerts", "rowid", "alert_id"),
        ("configs", "node", "node"),
        ("nodes", "node", "node"),
    ):
        if {*one.table(table, key, (column,))} - {*other.table(table, key, (column,))}:
            return True
    return _top(one) > _top(other)


def _top(view: Damaged) -> int:
    """Return the id of the newest record; 0: it is not known."""
    rows = view.ask("SELECT max(id) FROM records NOT INDEXED")
    return max((row[0] for row in rows if isinstance(row[0], int)), default=0)


def look_at_damaged(path: Path) -> list[apsw.Connection]:
    """Open a damaged journal to look only, as well as that goes; the better view first.

    Mostly that is one. Where the log is of another file, the two are looked at apart. What a
    question raises, or answers with, may be anything.
    """
    try:
        is_misfit = bool(misfit(path))
    except OSError:
        is_misfit = False
    if is_misfit:
        found = [_view(path, with_file=False), _view(path, with_log=False)]
        return [view for view in found if view is not None]
    both = _view(path)
    bare = _view(path, with_log=False) if size_of(log_of(path)) else None
    if both is None or bare is None:
        return [view for view in (both, bare) if view is not None]
    if has_more(Damaged(bare), Damaged(both)):
        return [both, bare]
    shut(bare)
    return [both]


def _view(path: Path, *, with_file: bool = True, with_log: bool = True) -> apsw.Connection | None:
    """Open a file, or its log, or both; None: there is nothing to be seen.

    Without `writable_schema` one letter in a trigger, or a last page that is missing, would hide
    every table. Where one that must not be lost stays hidden, a schema of our own is laid over the
    file.
    """
    is_there = with_file and size_of(path) > 0
    found = _look_past(path, with_log=with_log) if is_there else None
    seen = (-1, False) if found is None else _seen(found)
    if seen == (len(_ESSENTIAL), True) and not is_cut(path):
        return found
    with contextlib.suppress(OSError):
        laid_over = open_overlay(path, with_file=with_file, with_log=with_log)
        if laid_over is None:
            return found
        more = _seen(laid_over)
        if more > seen or (more == seen and is_cut(path)):
            if found is not None:
                shut(found)
            return laid_over
        shut(laid_over)
    return found


def _seen(connection: apsw.Connection) -> tuple[int, bool]:
    """Return how many tables of which something must not be lost can be asked, of any version.

    And whether all tables can be that are named there.
    """
    count, is_whole = 0, True
    for table, columns in _ESSENTIAL.items():
        with contextlib.suppress(apsw.Error):
            connection.execute(f"SELECT {columns} FROM {table} LIMIT 0").fetchall()  # noqa: S608 - names of ours
            count += 1
    try:
        listed = "SELECT name FROM sqlite_schema WHERE type = 'table'"
        for (name,) in connection.execute(listed).fetchall():
            connection.execute(f'SELECT 1 FROM "{name}" LIMIT 0').fetchall()  # noqa: S608 - a name of the file, to look only
    except (apsw.Error, UnicodeDecodeError):
        is_whole = False
    return count, is_whole


def _look_past(path: Path, *, with_log: bool) -> apsw.Connection | None:
    """Open a file without insisting on its schema; None: that does not help."""
    flags = apsw.SQLITE_OPEN_READONLY
    bare = f"{path.absolute().as_uri()}?immutable=1", apsw.SQLITE_OPEN_URI
    for name, more in ((str(path), 0), bare) if with_log else (bare,):
        connection = None
        try:
            connection = apsw.Connection(name, flags=flags | more)
            connection.set_busy_timeout(BUSY_MS)
            connection.pragma("writable_schema", value=True)
            # One row: of a schema of many pages a later one may be damaged.
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        except apsw.Error:
            if connection is not None:
                shut(connection)
        else:
            return connection
    return None
