"""Bring an older journal up to date, in the transaction that sets its new version.

Version 1 kept neither calibrations nor which one a verdict stood on, and left measured standards
where they were. Version 2 judged stored readings again as if there had been no calibration. Version
3 did not date records of nodes that had no time yet.
"""

from importlib import resources

import apsw

from gateway import wire
from gateway.journal.dating import learn_boot, stamp_of
from gateway.journal.records import Rows, read_frame
from protocol import messages


def upgrade(connection: apsw.Connection, version: int) -> None:
    """Make the tables that are missing and fill those that are made from others.

    Args:
        connection: in a transaction.
        version: of the file; 0 = a new one.
    """
    for statement in _missing(connection):
        connection.execute(statement)
    if 0 < version < 3:
        _note_unrecorded(connection)
        _send_standards(connection)
    if 0 < version < 4:
        _learn_boots(connection)


def _learn_boots(connection: apsw.Connection) -> None:
    """Learn what the newest word of each node says of its boot; when it came nobody has kept."""
    rows: Rows = connection.execute("SELECT node, birth, health FROM nodes").fetchall()
    for node, birth, health in rows:
        for frame in (birth, health):
            message = read_frame(frame)
            if isinstance(message, wire.Birth | wire.Health):
                learn_boot(connection, node, stamp_of(message), None)


def _missing(connection: apsw.Connection) -> list[str]:
    """Return the statements that make what the schema has and the file has not.

    Versions have only ever added tables and indexes; one that changes a table needs its own step.
    """
    schema = resources.files("gateway.journal").joinpath("schema.sql").read_text()
    model = apsw.Connection(":memory:")
    try:
        model.execute(schema)
        listing = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        wanted = model.execute(listing).fetchall()
    finally:
        model.close()
    there = {name for name, _ in connection.execute(listing)}
    return [str(sql) for name, sql in wanted if name not in there]


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
    connection.executemany("INSERT OR IGNORE INTO pending (record_id) VALUES (?)", standards)
