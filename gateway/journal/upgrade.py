"""Bring an older journal up to date, in the transaction that sets its new version.

Version 1 kept neither calibrations nor which one a verdict stood on, and left measured standards
where they were. Version 2 judged stored readings again as if there had been no calibration. Version
3 did not date records of nodes that had no time yet. Version 4 let wall time say which order or
boot is the oldest, and kept of each boot only the better one of two offsets. Version 5 did not say
of pending readings whose they are, counted nothing, and evicted nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

import apsw

from gateway import wire
from gateway.journal import worth
from gateway.journal.dating import HEAD_BYTES, Stamp, learn_boot, read_stamp, stamp_of
from gateway.journal.records import Rows, read_frame
from gateway.journal.tallies import count_anew
from protocol import messages

NEWEST: Final = 6  # of the schema
LEARNED_RECORDS_MAX: Final = 65_536  # two seconds of a start; older ones are hardly judged again

# Table, column, its kind, and what an older row has in it.
ADDED_COLUMNS: Final = (
    ("records", "crc", "INTEGER", "NULL"),
    ("records", "dark_seq", "INTEGER", "NULL"),
    ("journals", "evicted_seq", "INTEGER NOT NULL DEFAULT 0", "0"),
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A table that has another shape today.

    Attributes:
        column: that the older one has not.
        columns: of today that are filled.
        values: for these.
        source: where from; `{0}` stands for the older table.
        key: of the older one.
        order: that the rows had.
        since: which version.
        before: the statement of the older one, as far as it matters to who reads it.
    """

    column: str
    columns: str
    values: str
    source: str
    key: str
    order: str
    since: int
    before: str

    def query(self, table: str, way: str = "") -> str:
        """Return the question for the rows; with a way: in the order of the key, no sorting."""
        order = self.order
        if way:
            order = ", ".join(f"{part} {way}" for part in self.key.split(", "))
        return f"SELECT {self.values} FROM {self.source.format(table)} ORDER BY {order}"  # noqa: S608 - names of ours


MOVED: Final = {
    "orders": Moved(
        "id",
        "node, command_id, standard, received_ms",
        "node, command_id, standard, received_ms",
        "{0}",
        "node, command_id",
        "received_ms",
        5,
        "CREATE TABLE orders (node TEXT, command_id BLOB, standard TEXT, received_ms INTEGER,"
        " PRIMARY KEY (node, command_id)) WITHOUT ROWID",
    ),
    "boots": Moved(
        "id",
        "node, boot_id, word_ms, quality, word_uptime_ms, arrival_ms",
        "node, boot_id, CASE WHEN quality > 0 THEN offset_ms END, quality, 0,"
        " CASE WHEN quality = 0 THEN offset_ms END",
        "{0}",
        "node, boot_id",
        "learned_ms",
        5,
        "CREATE TABLE boots (node TEXT, boot_id BLOB, offset_ms INTEGER, quality INTEGER,"
        " learned_ms INTEGER, PRIMARY KEY (node, boot_id)) WITHOUT ROWID",
    ),
    "pending": Moved(
        "node",
        "node, record_id",
        "r.node, r.id",
        "{0} p JOIN records r ON r.id = p.record_id",
        "p.record_id",
        "p.record_id",
        6,
        "CREATE TABLE pending (record_id INTEGER PRIMARY KEY)",
    ),
}


def upgrade(connection: apsw.Connection, version: int) -> None:
    """Make the tables that are missing and fill those that are made from others.

    Args:
        connection: in a transaction.
        version: of the file; 0 = a new one.
    """
    old = _set_aside(connection, {table: moved.column for table, moved in MOVED.items()})
    if 0 < version < 6:
        _add_columns(connection)
    for statement in _missing(connection):
        connection.execute(statement)
    _move(connection, old)
    if 0 < version < 3:
        note_unrecorded(connection)
        send_standards(connection)
    if 0 < version < 5:
        learn_boots(connection)
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
    for table, column, kind, _ in ADDED_COLUMNS:
        if column not in _columns(connection, table):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _move(connection: apsw.Connection, old: set[str]) -> None:
    """Move rows into the tables of today, in the order that the old ones had."""
    for table in MOVED:
        if table in old:
            moved = MOVED[table]
            rows = moved.query(f"old_{table}")
            connection.execute(f"INSERT INTO {table} ({moved.columns}) {rows}")
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


def learn_boots(connection: apsw.Connection) -> None:
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


def model() -> list[tuple[str, str, str]]:
    """Return what a new file has: kind, name, statement, in the order in which they are made."""
    schema = resources.files("gateway.journal").joinpath("schema.sql").read_text()
    model = apsw.Connection(":memory:")
    try:
        model.execute(schema)
        return [(str(kind), str(name), str(sql)) for kind, name, sql in model.execute(_LISTING)]
    finally:
        model.close()


_LISTING: Final = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"


def model_tables() -> list[tuple[str, str]]:
    """Return the tables of a new file: name, statement."""
    return [(name, sql) for kind, name, sql in model() if kind == "table"]


def _missing(connection: apsw.Connection) -> list[str]:
    """Return the statements that make what the schema has and the file has not.

    A table of another shape has been set aside before. An index of other words goes first.
    """
    wanted = [(name, sql) for _, name, sql in model()]
    rows: Rows = connection.execute(_LISTING)
    there = {str(name): str(sql) for _, name, sql in rows}
    changed = [
        name
        for name, sql in wanted
        if there.get(name, sql) != sql and sql.startswith("CREATE INDEX")
    ]
    missing = [sql for name, sql in wanted if name not in there or name in changed]
    return [f"DROP INDEX {name}" for name in changed] + missing


def note_unrecorded(connection: apsw.Connection) -> None:
    """Note the verdicts that say nothing of a calibration, because nobody kept any then.

    Since version 2 only a verdict on an evaluation that failed says nothing.
    """
    connection.execute(
        "INSERT OR IGNORE INTO unrecorded (record_id) SELECT record_id FROM verdicts"
        " WHERE reason_id <> 'judgement_failed' AND CASE"
        " WHEN json_valid(CAST(explanation AS TEXT))"
        " THEN json_extract(CAST(explanation AS TEXT), '$.calibration') IS NULL ELSE 0 END"
    )


def send_standards(connection: apsw.Connection) -> None:
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
