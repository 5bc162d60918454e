"""An older journal looked at as if it were of today, and nothing changed in it.

What it lacks, or has in another shape, is made beside it: in temporary tables and views, which
SQLite finds before those of the file. A backup stays as it is, needs no room for a second one, and
of a damaged file is read what can be read.
"""

import contextlib
from typing import Final

import apsw

from gateway.journal.records import Rows
from gateway.journal.upgrade import (
    ADDED_COLUMNS,
    MOVED,
    learn_boots,
    model_tables,
    note_unrecorded,
    send_standards,
)

# What every version had: where one of these is not found, it is damaged, and not older.
ALWAYS: Final = frozenset(
    {"records", "journals", "axes", "nodes", "configs", "pending", "verdicts", "alerts", "counters"}
)


def present(connection: apsw.Connection) -> None:
    """Let an older journal answer the questions of today, as far as it can be read.

    Args:
        connection: to look only; of this connection alone it holds.

    Raises:
        apsw.Error: something else than damage keeps it from that.
    """
    version = int(connection.pragma("user_version"))
    connection.pragma("temp_store", "memory")  # this computer's disk may have no room
    for table, sql in model_tables():
        with _as_far_as_it_goes():
            _present(connection, table, sql)
    if version < 5:
        with _as_far_as_it_goes():
            learn_boots(connection)
    if version < 3:
        with _as_far_as_it_goes():
            note_unrecorded(connection)
        with _as_far_as_it_goes():
            send_standards(connection)


def _present(connection: apsw.Connection, table: str, sql: str) -> None:
    """Let one table be as it is today."""
    columns = _columns(connection, table)
    if not columns and table in ALWAYS:
        return
    if not columns or (table in MOVED and MOVED[table].column not in columns):
        connection.execute(sql.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        if columns:
            _fill(connection, table)
        return
    added = [
        f"{default} AS {column}"
        for of, column, _, default in ADDED_COLUMNS
        if of == table and column not in columns
    ]
    if added:
        connection.execute(
            f"CREATE TEMP VIEW {table} AS SELECT *, {', '.join(added)} FROM main.{table}"  # noqa: S608 - names of ours
        )


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    rows: Rows = connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))
    return [name for (name,) in rows]


def _fill(connection: apsw.Connection, table: str) -> None:
    """Fill a temporary table from the one that the file has in another shape."""
    moved = MOVED[table]
    insert = f"INSERT OR IGNORE INTO temp.{table} ({moved.columns})"
    with _as_far_as_it_goes():
        connection.execute(f"{insert} {moved.query(f'main.{table}')}")
        return
    # Row by row from both its ends, where it is damaged.
    places = ", ".join("?" * len(moved.columns.split(", ")))
    for way in ("ASC", "DESC"):
        with _as_far_as_it_goes():
            for row in connection.execute(moved.query(f"main.{table}", way)):
                with _as_far_as_it_goes():
                    connection.execute(f"{insert} VALUES ({places})", row)


def _as_far_as_it_goes() -> contextlib.suppress:
    """Go on after what damage raises: of the file, or of what stands in it."""
    return contextlib.suppress(
        *(apsw.CorruptError, apsw.NotADBError, apsw.SQLError, apsw.ReadOnlyError),
        *(apsw.ConstraintError, apsw.MismatchError, UnicodeDecodeError, TypeError, ValueError),
    )
