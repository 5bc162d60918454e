"""Bring an older journal up to date, in the transaction that sets its new version.

Version 1 kept neither calibrations nor which one a verdict stood on, and left measured standards
where they were. Version 2 judged stored readings again as if there had been no calibration. Version
3 did not date records of nodes that had no time yet. Version 4 let wall time say which order or
boot is the oldest, and kept of each boot only the better one of two offsets. Version 5 did not say
of pending readings whose they are, counted nothing, and evicted nothing.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final

import apsw

from gateway import wire
from gateway.journal import worth
from gateway.journal.dating import HEAD_BYTES, Stamp, learn_boot, read_stamp, stamp_of
from gateway.journal.records import Rows, read_frame
from gateway.journal.tallies import count_anew
from protocol import messages

LEARNED_RECORDS_MAX: Final = 65_536  # two seconds of a start; older ones are hardly judged again


def upgrade(connection: apsw.Connection, version: int) -> None:
    """Make the tables that are missing and fill those that are made from others.

    Args:
        connection: in a transaction.
        version: of the file; 0 = a new one.
    """
    # Versions before 5 gave two of these tables another shape, those before 6 the third.
    old = _set_aside(connection, {"orders": "id", "boots": "id", "pending": "node"})
    if 0 < version < 6:
        _add_columns(connection)
    for statement in _missing(connection):
        connection.execute(statement)
    _move(connection, old)
    if 0 < version < 3:
        _note_unrecorded(connection)
        _send_standards(connection)
    if 0 < version < 5:
        _learn_boots(connection)
    if 0 < version < 6:
        rank_all(connection)
        _find_darks(connection)
        count_anew(connection)


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    rows: Rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return [name for (name,) in rows]


def _set_aside(connection: apsw.Connection, tables: Mapping[str, str]) -> set[str]:
    """Rename those tables that there are without the column of today; return them."""
    found = set()
    for table, column in tables.items():
        columns = _columns(connection, table)
        if columns and column not in columns:
            connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
            found.add(table)
    return found


def _add_columns(connection: apsw.Connection) -> None:
    """Add what tables have today, at their end; no row is touched."""
    for table, column, kind in (
        ("records", "crc", "INTEGER"),
        ("records", "dark_seq", "INTEGER"),
        ("journals", "evicted_seq", "INTEGER NOT NULL DEFAULT 0"),
    ):
        if column not in _columns(connection, table):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _move(connection: apsw.Connection, old: set[str]) -> None:
    """Move rows into the tables of today, in the order that the old ones had."""
    if "orders" in old:
        connection.execute(
            "INSERT INTO orders (node, command_id, standard, received_ms)"
            " SELECT node, command_id, standard, received_ms FROM old_orders ORDER BY received_ms"
        )
    if "boots" in old:
        connection.execute(
            "INSERT INTO boots (node, boot_id, word_ms, quality, word_uptime_ms, arrival_ms)"
            " SELECT node, boot_id, CASE WHEN quality > 0 THEN offset_ms END, quality, 0,"
            " CASE WHEN quality = 0 THEN offset_ms END FROM old_boots ORDER BY learned_ms"
        )
    if "pending" in old:
        connection.execute(
            "INSERT INTO pending (node, record_id) SELECT r.node, r.id FROM old_pending p"
            " JOIN records r ON r.id = p.record_id"
        )
    for table in sorted(old):
        connection.execute(f"DROP TABLE old_{table}")


def rank_all(connection: apsw.Connection) -> None:
    """Give stored records their worth; a reading without verdict that is not pending is a dark.

    Which of them need it is not known without reading every frame: it goes as late as they do.
    """
    connection.execute(
        "INSERT OR IGNORE INTO evictable (rank, record_id)"
        " SELECT CASE verdict WHEN 'clear' THEN ?1 ELSE ?2 END, record_id FROM verdicts"
        " WHERE verdict <> 'alarm' AND record_id NOT IN (SELECT record_id FROM alerts)"
        " UNION SELECT ?1, record_id FROM calibrations UNION SELECT ?1, record_id FROM responses"
        " UNION SELECT ?2, id FROM records WHERE"
        " id NOT IN (SELECT record_id FROM verdicts) AND id NOT IN (SELECT record_id FROM pending)"
        " AND id NOT IN (SELECT record_id FROM calibrations)"
        " AND id NOT IN (SELECT record_id FROM responses) AND length(frame) > 0",
        (worth.CLEAR, worth.INCONCLUSIVE),
    )


def _find_darks(connection: apsw.Connection) -> None:
    """Note the dark frames of what is never evicted."""
    rows: Rows = connection.execute(
        "SELECT id, frame FROM records WHERE id IN (SELECT record_id FROM alerts"
        " UNION SELECT record_id FROM calibrations UNION SELECT record_id FROM responses)"
    ).fetchall()
    for record_id, frame in rows:
        reading = read_frame(frame)
        if isinstance(reading, wire.Reading) and reading.dark_seq is not None:
            connection.execute(
                "UPDATE records SET dark_seq = ? WHERE id = ?", (reading.dark_seq, record_id)
            )


def _learn_boots(connection: apsw.Connection) -> None:
    """Learn what nodes and stored records say of their boots; when it came nobody has kept.

    Of the newest LEARNED_RECORDS_MAX records the newest that knows the time speaks for its boot.
    """
    stamps: dict[tuple[str, bytes], Stamp] = {}
    rows: Rows = connection.execute(
        f"SELECT node, substr(frame, 1, {HEAD_BYTES}) FROM records ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
        (LEARNED_RECORDS_MAX,),
    )
    for node, head in rows:
        stamp = read_stamp(head)
        if stamp is not None and stamp.time_quality >= messages.TIME_GATEWAY:
            stamps.setdefault((node, stamp.boot_id), stamp)
    for (node, _), stamp in reversed(stamps.items()):  # the oldest is learned first
        learn_boot(connection, node, stamp, None)
    words: Rows = connection.execute("SELECT node, birth, health FROM nodes").fetchall()
    for node, birth, health in words:
        for frame in (birth, health):
            message = read_frame(frame)
            if isinstance(message, wire.Birth | wire.Health):
                learn_boot(connection, node, stamp_of(message), None)


def _missing(connection: apsw.Connection) -> list[str]:
    """Return the statements that make what the schema has and the file has not.

    A table of another shape has been set aside before. An index of other words goes first.
    """
    schema = resources.files("gateway.journal").joinpath("schema.sql").read_text()
    model = apsw.Connection(":memory:")
    try:
        model.execute(schema)
        listing = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        wanted = [(str(name), str(sql)) for name, sql in model.execute(listing)]
    finally:
        model.close()
    rows: Rows = connection.execute(listing)
    there = {str(name): str(sql) for name, sql in rows}
    changed = [
        name
        for name, sql in wanted
        if there.get(name, sql) != sql and sql.startswith("CREATE INDEX")
    ]
    missing = [sql for name, sql in wanted if name not in there or name in changed]
    return [f"DROP INDEX {name}" for name in changed] + missing


def _note_unrecorded(connection: apsw.Connection) -> None:
    """Note the verdicts that say nothing of a calibration, because nobody kept any then.

    Since version 2 only a verdict on an evaluation that failed says nothing.
    """
    connection.execute(
        "INSERT OR IGNORE INTO unrecorded (record_id) SELECT record_id FROM verdicts"
        " WHERE reason_id <> 'judgement_failed' AND CASE"
        " WHEN json_valid(CAST(explanation AS TEXT))"
        " THEN json_extract(CAST(explanation AS TEXT), '$.calibration') IS NULL ELSE 0 END"
    )


def _send_standards(connection: apsw.Connection) -> None:
    """Send the measured standards that were never evaluated to the judges."""
    rows = connection.execute(
        "SELECT id, frame FROM records WHERE kind = ?"
        " AND id NOT IN (SELECT record_id FROM calibrations)"
        " AND id NOT IN (SELECT record_id FROM verdicts)",
        (wire.Reading.__struct_config__.tag,),
    )
    standards = []
    for record_id, frame in rows:
        reading = read_frame(frame)
        if isinstance(reading, wire.Reading) and reading.role == messages.ROLE_STANDARD:
            standards.append((record_id,))
    connection.executemany(
        "INSERT OR IGNORE INTO pending (node, record_id) SELECT node, id FROM records WHERE id = ?",
        standards,
    )
