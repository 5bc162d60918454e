"""Is the journal's file whole? A quick look at the start, everything in the background.

A page that SQLite cannot use means that the file is set aside. A flipped bit in a frame is found by
the frame's checksum only, and costs that frame: whoever reads it knows that it is damaged.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import apsw

from gateway.journal.postures import save_posture
from gateway.journal.records import is_damaged

CHECK_START_S_MAX: Final = 1.0  # of the three seconds that a start may take
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
# With what their rows are read by, in the order of the key.
LARGE_TABLES: Final = {
    "records": ("id", "id, frame, crc"),
    "verdicts": ("record_id", "record_id, verdict, reason_id, explanation"),
    "rejudged": ("record_id", "record_id, before, after"),
    "unrecorded": ("record_id", "record_id"),
    "healths": ("id", "id, node, frame"),
}


@dataclass(slots=True)
class Found:
    """What a full check has seen so far.

    Attributes:
        rows: looked at.
        damaged: records whose frame has other bytes than it came with.
    """

    rows: int = 0
    damaged: int = 0


def check_start(connection: apsw.Connection, deadline_s: float = CHECK_START_S_MAX) -> str:
    """Look at the small tables and the newest rows, for a bounded time.

    Returns:
        What is damaged; empty: nothing that was seen in that time.

    Raises:
        apsw.Error: the file cannot be read.
    """
    end_s = time.monotonic() + deadline_s
    with _until(connection, end_s), contextlib.suppress(apsw.InterruptError):
        for table in ("records", "verdicts"):
            key = LARGE_TABLES[table][0]
            for _ in connection.execute(
                f"SELECT * FROM {table} ORDER BY {key} DESC LIMIT ?",  # noqa: S608 - names of ours
                (NEWEST_ROWS,),
            ):
                pass
        for table in SMALL_TABLES:
            told = check_table(connection, table)
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


def check_table(connection: apsw.Connection, table: str) -> str:
    """Return what SQLite finds wrong with a table and its indexes; empty: nothing.

    Raises:
        apsw.Error: the file cannot be read.
    """
    rows = connection.execute(f"PRAGMA quick_check({table})")
    told = [str(text) for (text,) in rows]
    return "" if told == ["ok"] else f"table {table}: {told[0]}"


def check_rows(connection: apsw.Connection, table: str, after: int, found: Found) -> int | None:
    """Read the next rows of a large table whole; check frames against their checksums.

    Args:
        connection: any.
        table: of LARGE_TABLES.
        after: the key that the last call returned; -1 at first.
        found: is added to.

    Returns:
        The key to go on after; None: the table is done.

    Raises:
        apsw.Error: the file cannot be read.
    """
    key, columns = LARGE_TABLES[table]
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?",  # noqa: S608 - names of ours
        (after, STEP_ROWS),
    ).fetchall()
    found.rows += len(rows)
    if table == "records":
        found.damaged += sum(is_damaged(frame, crc) for _, frame, crc in rows)
    return rows[-1][0] if rows else None


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
