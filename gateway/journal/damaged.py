"""A damaged journal, looked at as well as that goes; nothing in it is changed."""

import contextlib
import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from gateway import wire
from gateway.journal.logged import log_of, misfit, size_of
from gateway.journal.opening import BUSY_MS, shut
from gateway.journal.overlay import is_cut, open_overlay
from gateway.journal.records import is_damaged, read_frame

Row = tuple[Any, ...]

SPANS_MAX: Final = 4_096  # of rows between damaged pages, that are looked at in one table
BOUND_BITS: Final = 40  # of the number of a row, where the last one cannot be read
BOUND_MIN: Final = 16_384  # likewise
BOUND_TIMES: Final = 4  # likewise: above the highest number that was met

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
            low = found[-1][0] if found else 0
            back = self.ask(f"{query} ORDER BY rowid DESC")
            high = back[-1][0] if back else self._bound(query)
            found += back + self._between(query, low, high)
            self.is_whole = False
        return [row[1:] for row in found]

    def _bound(self, query: str) -> int:
        """Return a number above those of rows that can be read, where the last one cannot be."""
        reached = BOUND_MIN
        for exponent in range(BOUND_BITS):
            rows = self.ask(f"{query} WHERE rowid >= ? ORDER BY rowid LIMIT 1", (1 << exponent,))
            reached = max(reached, *(row[0] for row in rows), 0)
        return BOUND_TIMES * reached

    def _between(self, query: str, low: int, high: int) -> list[Row]:
        """Return the rows between two numbers, of which the next to each cannot be read.

        From the middle of a span up and down; what lies behind the first that cannot be read is a
        span again. The longest first: in a damaged page they become short and give nothing.
        """
        found: list[Row] = []
        spans = [(low - high, low, high)]
        for _ in range(SPANS_MAX):
            if not spans:
                break
            _, low, high = heapq.heappop(spans)
            middle = (low + high) // 2
            self.is_whole = True
            up = self.ask(f"{query} WHERE rowid >= ? AND rowid < ? ORDER BY rowid", (middle, high))
            if not self.is_whole:
                above = up[-1][0] if up else middle
                spans_left = [(above, high)]
            else:
                spans_left = []
            self.is_whole = True
            down = self.ask(
                f"{query} WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC", (low, middle)
            )
            if not self.is_whole:
                spans_left.append((low, down[-1][0] if down else middle))
            found += up + down
            for one, other in spans_left:
                if other - one > 1:
                    heapq.heappush(spans, (one - other, one, other))
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


class Newest(NamedTuple):
    """The newest record and alert in a file, each as surely one; 0 and empty: none was found."""

    record_id: int = 0
    journal_id: bytes = b""
    seq: int = 0
    alert_row: int = 0
    alert_id: str = ""


def newest_without_log(path: Path) -> Newest:
    """Return the newest record and alert in a file whose log is not looked at.

    A record that its checksum covers, an alert that says its own name: in a file whose log is not
    all folded in any page may be of another time, and one that a power cut has torn is of two.
    """
    found = Newest()
    if not size_of(path) or not size_of(log_of(path)):
        return found
    connection = _look_past(path, with_log=False)
    if connection is None:
        return found
    view = Damaged(connection)
    records = view.ask("SELECT id, frame, crc FROM records ORDER BY id DESC LIMIT 1")
    columns = "rowid, alert_id, body"
    alerts = view.ask(f"SELECT {columns} FROM alerts NOT INDEXED ORDER BY rowid DESC LIMIT 1")  # noqa: S608 - ours
    shut(connection)
    for number, frame, crc in records:
        if isinstance(frame, bytes) and frame and crc is not None and not is_damaged(frame, crc):
            message = read_frame(frame)
            if isinstance(message, wire.Reading | wire.Event):
                found = found._replace(
                    record_id=number, journal_id=message.journal_id, seq=message.seq
                )
    for number, name, body in alerts:
        with contextlib.suppress(ValueError, RecursionError, TypeError):
            if msgspec.json.decode(body, type=dict[str, Any]).get("alert_id") == name:
                found = found._replace(alert_row=number, alert_id=name)
    return found


def insist_on_own_log(connection: apsw.Connection, without_log: Newest) -> None:
    """Insist that a file has with its log what it has without: it has not with that of another.

    By number and by name: the number of a row is not covered by its checksum, and a torn page may
    give it any.

    Args:
        connection: with the log.
        without_log: what `newest_without_log` said.

    Raises:
        apsw.CorruptError: it has not.
    """
    # Cases, not OR: the search for a name is left out where the number says enough.
    ((has_record, has_alert),) = connection.execute(
        "SELECT CASE WHEN ?1 <= ifnull((SELECT max(id) FROM records), 0) THEN 1"
        " ELSE EXISTS (SELECT 1 FROM records WHERE journal_id = ?2 AND seq = ?3) END,"
        " CASE WHEN ?4 <= ifnull((SELECT max(rowid) FROM alerts NOT INDEXED), 0) THEN 1"
        " ELSE EXISTS (SELECT 1 FROM alerts WHERE alert_id = ?5) END",
        without_log,
    ).fetchall()
    if not has_record or not has_alert:
        raise apsw.CorruptError(
            "without the log beside it the file has newer records than with it: the log is of"
            " another file"
        )


def look_at_damaged(path: Path) -> list[apsw.Connection]:
    """Open a damaged journal to look only, as well as that goes; the better view first.

    Mostly that is one. Where the log is of another file, the two are looked at apart. What a
    question raises, or answers with, may be anything.
    """
    try:
        is_misfit = bool(misfit(path, is_alone=True))
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
        alone = _view(path, with_file=False)  # what the file has mixed up may be whole in the log
        return [view for view in (both, alone, bare) if view is not None]
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
