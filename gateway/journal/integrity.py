"""Is the journal's file whole? A quick look at the start, everything in the background.

A page that SQLite cannot use means that the file is set aside, and so does an index that says other
than its table: by the one of `records` a record that comes again is told from a new one. A flipped
bit in a frame is found by the frame's checksum only, and costs that frame: whoever reads it knows
that it is damaged.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import apsw

from gateway.journal.postures import save_posture
from gateway.journal.records import is_damaged
from gateway.journal.upgrade import model

CHECK_START_S_MAX: Final = 1.0  # of the three seconds that a start may take
CHECK_OLDER_S_MAX: Final = 3.0  # of an older file, before it is brought up to date: once
CHECK_EVERY_MS: Final = 7 * 86_400_000
NEWEST_ROWS: Final = 200  # where a power cut does its harm
STEP_ROWS: Final = 256  # 1 MB of readings in one look; none keeps the log from being folded in
POSTURE: Final = "frames_damaged"

# What every question goes through, and too small to take long.
SMALL_TABLES: Final = (
    *("sqlite_schema", "journals", "axes", "nodes", "configs", "boots", "darks", "pending"),
    *("orders", "calibrations", "responses", "alerts", "counters", "rejudgings", "tallies"),
    *("retention", "integrity", "posture"),
)


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a large table.

    Attributes:
        name: in the schema.
        columns: that it begins with; what they lack of the table's key follows.
        where: which rows it has; `{0}` stands for the table.
    """

    name: str
    columns: tuple[str, ...]
    where: str = "TRUE"

    def whole(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """Return all its columns, of a table with that key."""
        return (*self.columns, *(part for part in key if part not in self.columns))


@dataclass(frozen=True, slots=True)
class Large:
    """A large table, and how its rows are read.

    Attributes:
        key: its primary key, in whose order they come.
        columns: what is read of a row besides.
        indexes: all it has, but for the table itself.
    """

    key: tuple[str, ...]
    columns: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()


# Word by word as in schema.sql, or SQLite does not see that it is that index.
_UNCALIBRATED: Final = (
    "{0}.reason_id IN"
    " ('not_calibrated', 'calibration_expired', 'calibration_failed', 'uncalibrated_listed')"
)
LARGE_TABLES: Final = {
    "records": Large(
        ("id",),
        ("frame", "crc"),
        (
            Index("sqlite_autoindex_records_1", ("node", "journal_id", "seq")),
            Index(
                "records_of_darks", ("node", "journal_id", "dark_seq"), "{0}.dark_seq IS NOT NULL"
            ),
        ),
    ),
    "verdicts": Large(
        ("record_id",),
        ("verdict", "reason_id", "explanation"),
        (
            Index("verdicts_without_axis", (), "{0}.reason_id = 'no_axis'"),
            Index("verdicts_uncalibrated", (), _UNCALIBRATED),
        ),
    ),
    "rejudged": Large(
        ("record_id", "run_id"), ("before", "after"), (Index("rejudged_by_run", ("run_id",)),)
    ),
    "unrecorded": Large(("record_id",)),
    "healths": Large(("id",), ("frame",), (Index("healths_of_nodes", ("node",)),)),
    "evictable": Large(("rank", "record_id")),
}
Key = tuple[Any, ...]


@dataclass(slots=True)
class Found:
    """What a full check has seen so far.

    Attributes:
        rows: looked at.
        damaged: records whose frame has other bytes than it came with.
    """

    rows: int = 0
    damaged: int = 0


def check_start(
    connection: apsw.Connection, deadline_s: float = CHECK_START_S_MAX, *, is_older: bool = False
) -> str:
    """Look at the small tables and the newest rows, for a bounded time.

    Args:
        connection: any.
        deadline_s: bound of that time.
        is_older: of an older version, which has not all tables of today. What is there is looked
            at whole, as far as the time allows.

    Returns:
        What is damaged; empty: nothing that was seen in that time.

    Raises:
        apsw.Error: the file cannot be read.
    """
    end_s = time.monotonic() + deadline_s
    try:
        with _until(connection, end_s), contextlib.suppress(apsw.InterruptError):
            return _look(connection, is_older=is_older)
    except UnicodeDecodeError as error:
        return f"text that is none: {error}"
    except apsw.SQLError as error:  # a word of the schema is another one
        return f"the schema is not as it was written: {error}"
    return ""


def is_of_today(connection: apsw.Connection) -> bool:
    """Say whether a file has the tables, columns, indexes and triggers of this version.

    The words may differ: of a table that was brought up to date they do.
    """
    return _shape(connection) == _shape_of_today()


@lru_cache(maxsize=1)
def _shape_of_today() -> frozenset[tuple[Any, ...]]:
    scratch = apsw.Connection(":memory:")
    try:
        for _, _, sql in model():
            scratch.execute(sql)
        return _shape(scratch)
    finally:
        scratch.close()


def _shape(connection: apsw.Connection) -> frozenset[tuple[Any, ...]]:
    listing = (
        "SELECT s.type, s.name, ifnull(c.name, ''), CASE s.type WHEN 'table' THEN '' ELSE"
        " ifnull(s.sql, '') END FROM sqlite_schema s LEFT JOIN pragma_table_info(s.name) c"
        " WHERE s.name NOT LIKE 'sqlite_stat%'"
    )
    return frozenset(connection.execute(listing).fetchall())


def _look(connection: apsw.Connection, *, is_older: bool) -> str:
    """Return what is damaged; empty: nothing."""
    listing = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    there = {"sqlite_schema", *(name for (name,) in connection.execute(listing))}
    if connection.pragma("auto_vacuum"):  # no gateway has ever set it; a bit in the header has
        return "the header has another way of keeping pages"
    if not is_older and not is_of_today(connection):
        return "the schema is not as it was written"
    for table in ("records", "verdicts"):
        (key,) = LARGE_TABLES[table].key
        for _ in connection.execute(
            f"SELECT * FROM {table} ORDER BY {key} DESC LIMIT ?",  # noqa: S608 - names of ours
            (NEWEST_ROWS,),
        ):
            pass
    for table in (*SMALL_TABLES, *(LARGE_TABLES if is_older else ())):
        told = check_table(connection, table, is_full=is_older) if table in there else ""
        if told:
            return told
    return ""


@contextlib.contextmanager
def _until(connection: apsw.Connection, end_s: float) -> Iterator[None]:
    """Interrupt what runs on the connection at a moment of the monotonic clock."""
    connection.set_progress_handler(lambda: time.monotonic() > end_s, 1_000)
    try:
        yield
    finally:
        connection.set_progress_handler(None)


def check_table(connection: apsw.Connection, table: str, *, is_full: bool = False) -> str:
    """Return what SQLite finds wrong with a table; empty: nothing.

    Args:
        connection: any.
        table: of any size; a large one takes long.
        is_full: its indexes are held against its rows as well.

    Raises:
        apsw.Error: the file cannot be read.
    """
    check = "integrity_check" if is_full else "quick_check"
    rows = connection.execute(f"PRAGMA {check}({table})")
    told = [str(text) for (text,) in rows]
    return "" if told == ["ok"] else f"table {table}: {told[0]}"


def check_rows(
    connection: apsw.Connection, table: str, after: Key | None, found: Found
) -> tuple[str, Key | None]:
    """Read the next rows of a large table whole, and look each up in the table's indexes.

    Frames are held against their checksums.

    Args:
        connection: any.
        table: of LARGE_TABLES.
        after: the key that the last call returned; None at first.
        found: is added to.

    Returns:
        What is damaged, and the key to go on after; None: the table is done.

    Raises:
        apsw.Error: the file cannot be read.
    """
    large = LARGE_TABLES[table]
    agree = [
        f"({index.where.format('t')}) = (SELECT count(*) FROM {table} i INDEXED BY {index.name}"  # noqa: S608 - names of ours
        f" WHERE {_same('i', 't', index.whole(large.key))} AND {index.where.format('i')})"
        for index in large.indexes
    ]
    rows = _next_rows(connection, f"{table} t NOT INDEXED", large.key, large.columns, agree, after)
    found.rows += len(rows)
    keys = [row[: len(large.key)] for row in rows]
    if not _is_rising(after, keys):
        return f"table {table}: rows out of order", None
    for row in rows:
        for index, is_there in zip(large.indexes, row[len(row) - len(agree) :], strict=True):
            if not is_there:
                return f"index {index.name} of table {table}: a row is not in it as it is", None
    if table == "records":
        found.damaged += sum(is_damaged(frame, crc) for _, frame, crc, *_ in rows)
    return "", keys[-1] if keys else None


def check_entries(
    connection: apsw.Connection, table: str, index: Index, after: Key | None
) -> tuple[str, Key | None]:
    """Look whether the next entries of an index are in order, and each is of a row that says so.

    One that no row stands behind makes of a new record one that came again.

    Args, returns and raises as `check_rows`, the key being the entry's.
    """
    large = LARGE_TABLES[table]
    key = index.whole(large.key)
    exists = (
        f"EXISTS (SELECT 1 FROM {table} r NOT INDEXED WHERE {_same('r', 't', key)}"  # noqa: S608 - names of ours
        f" AND {index.where.format('r')})"
    )
    rows = _next_rows(
        connection, f"{table} t INDEXED BY {index.name}", key, (), [exists], after, index.where
    )
    keys = [row[:-1] for row in rows]
    if not _is_rising(after, keys):
        return f"index {index.name} of table {table}: entries out of order", None
    if not all(row[-1] for row in rows):
        return f"index {index.name} of table {table}: an entry is of no row", None
    return "", keys[-1] if keys else None


def _next_rows(
    connection: apsw.Connection,
    source: str,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    claims: list[str],
    after: Key | None,
    where: str = "TRUE",
) -> list[tuple[Any, ...]]:
    """Return the next STEP_ROWS rows: key, columns, claims; all of one moment of the file."""
    names = ", ".join(f"t.{column}" for column in key)
    if after is not None:
        where += f" AND ({names}) > ({', '.join('?' * len(after))})"
    told = ", ".join([*(f"t.{column}" for column in (*key, *columns)), *claims])
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {told} FROM {source} WHERE {where.format('t')} ORDER BY {names} LIMIT ?",  # noqa: S608 - names of ours
        (*(after or ()), STEP_ROWS),
    ).fetchall()
    return rows


def _same(one: str, other: str, columns: tuple[str, ...]) -> str:
    return " AND ".join(f"{one}.{column} = {other}.{column}" for column in columns)


def _is_rising(after: Key | None, keys: list[Key]) -> bool:
    """Say whether keys follow each other in the order in which SQLite keeps them."""
    before = [*([] if after is None else [after]), *keys]
    try:
        return all(one < next_one for one, next_one in itertools.pairwise(before))
    except TypeError:  # a number where a text belongs
        return False


def note_open(connection: apsw.Connection) -> bool:
    """Note, in a transaction, that a gateway has the file open; say whether one had it before.

    The note is another one each time, so that it is written and synced: what a killed gateway wrote
    and had not synced is read like the rest, but would be gone after a power cut. Nothing of it is
    receipted before that sync.
    """
    row = connection.execute("SELECT is_open FROM integrity").fetchone()
    connection.execute(
        "INSERT INTO integrity (id, is_open) VALUES (1, 1)"
        " ON CONFLICT DO UPDATE SET is_open = is_open + 1"
    )
    return row is not None and bool(row[0])


def note_closed(connection: apsw.Connection) -> None:
    """Note that the file is closed in order."""
    connection.execute("UPDATE integrity SET is_open = 0 WHERE is_open > 0")


def read_checked_ms(connection: apsw.Connection) -> int | None:
    """Return when the last full check ended, Unix milliseconds; None: there was none."""
    row = connection.execute("SELECT checked_ms FROM integrity").fetchone()
    return None if row is None else row[0]


def save_checked(connection: apsw.Connection, found: Found, now_ms: int) -> None:
    """Keep what a full check has found, in the writer's transaction."""
    text = ""
    if found.damaged:
        text = (
            f"{found.damaged} of the stored frames have other bytes than they came with: the disk"
            " or its cable flips bits; they are not judged; replace the disk, look at its cable"
        )
    connection.execute(
        "INSERT INTO integrity (id, checked_ms, fault) VALUES (1, ?1, ?2)"
        " ON CONFLICT DO UPDATE SET checked_ms = ?1, fault = ?2",
        (now_ms, text),
    )
    save_posture(connection, POSTURE, text or None, now_ms)
