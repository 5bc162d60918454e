"""Dark frames in the journal: that of a sample, and the level of each node's newest."""

import array
import sys

import apsw

from gateway import wire
from gateway.journal.records import is_damaged, read_frame
from protocol import messages


def read_dark(connection: apsw.Connection, node: str, reading: wire.Reading) -> wire.Reading | None:
    """Return the dark frame that a reading names, if it is committed, is one and is whole."""
    if reading.dark_seq is None:
        return None
    row = connection.execute(
        "SELECT frame, crc FROM records WHERE node = ? AND journal_id = ? AND seq = ?",
        (node, reading.journal_id, reading.dark_seq),
    ).fetchone()
    dark = read_frame(row[0]) if row and not is_damaged(*row) else None
    is_dark = isinstance(dark, wire.Reading) and dark.role == messages.ROLE_DARK
    return dark if isinstance(dark, wire.Reading) and is_dark else None


def is_dark_evicted(connection: apsw.Connection, node: str, reading: wire.Reading) -> bool:
    """Say whether the dark frame that a reading names was there and is not any more."""
    row = connection.execute(
        "SELECT length(frame) FROM records WHERE node = ? AND journal_id = ? AND seq = ?",
        (node, reading.journal_id, reading.dark_seq),
    ).fetchone()
    return row is not None and not row[0]


def save_dark(connection: apsw.Connection, node: str, dark: wire.Reading, received_ms: int) -> None:
    """Keep the level of a node's newest dark frame, which is committed; nothing is judged by it.

    Of several in one batch the last is enough.
    """
    pixels = array.array("H", dark.pixels_u16le)
    if sys.byteorder == "big":
        pixels.byteswap()
    connection.execute(
        "INSERT INTO darks (node, record_id, counts, received_ms)"
        " SELECT node, id, ?4, ?5 FROM records WHERE node = ?1 AND journal_id = ?2 AND seq = ?3"
        " ON CONFLICT DO UPDATE SET record_id = excluded.record_id, counts = excluded.counts,"
        " received_ms = excluded.received_ms",
        (node, dark.journal_id, dark.seq, sum(pixels) // len(pixels), received_ms),
    )


def read_level(connection: apsw.Connection, node: str) -> int | None:
    """Return the mean counts of a node's newest dark frame, None without one."""
    row = connection.execute("SELECT counts FROM darks WHERE node = ?", (node,)).fetchone()
    return None if row is None else int(row[0])
