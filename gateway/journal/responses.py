"""Intensity corrections of nodes in the journal: what came of each measured glass.

As with calibrations the order of the readings decides which one is in force; wall time gives the
age only. A glass that gave none ends nothing: the optics are what they were.
"""

from collections.abc import Iterable
from typing import Any, Final

import apsw

from gateway import wire
from gateway.journal.calibrations import Kept, keep_outcome, read_kept
from gateway.journal.dating import HEAD_BYTES
from gateway.journal.records import read_frame

Rows = Iterable[tuple[Any, ...]]

GLASS_PREFIX: Final = "glass:"
"""Before the certificate's digest, where a command names what lies before the probe."""

READ_MAX: Final = 64  # newest looked through for the answer to one command

_COLUMNS: Final = "k.record_id, k.received_ms, k.standard_id, k.fault, k.text, k.body"


def insert_response(connection: apsw.Connection, node: str, axis_id: bytes, kept: Kept) -> None:
    """Keep what came of a glass, in the writer's transaction; the same record again replaces it."""
    keep_outcome(connection, "responses", node, axis_id, kept)


def read_response(
    connection: apsw.Connection, node: str, axis_id: bytes, record_id: int
) -> Kept | None:
    """Return the correction in force for a reading: the newest before it; None without one."""
    row = connection.execute(
        f"SELECT {_COLUMNS}, substr(r.frame, 1, {HEAD_BYTES}), r.received_ms"  # noqa: S608 - constants
        " FROM responses k JOIN records r ON r.id = k.record_id"
        " WHERE k.node = ? AND k.axis_id = ? AND k.record_id < ? AND k.fault = ''"
        " ORDER BY k.record_id DESC LIMIT 1",
        (node, axis_id, record_id),
    ).fetchone()
    return read_kept(connection, node, row) if row else None


def read_answer(connection: apsw.Connection, node: str, command_id: bytes) -> Kept | None:
    """Return what came of the glass that a command asked for; None: nothing yet."""
    rows: Rows = connection.execute(
        "SELECT p.record_id, p.received_ms, p.standard_id, p.fault, p.text, p.body, r.frame"
        " FROM responses p JOIN records r ON r.id = p.record_id"
        " WHERE p.node = ? ORDER BY p.record_id DESC LIMIT ?",
        (node, READ_MAX),
    )
    for row in rows:
        reading = read_frame(row[6])
        if isinstance(reading, wire.Reading) and reading.inspection_id == command_id:
            return Kept(*row[:6])
    return None
