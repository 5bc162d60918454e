"""Calibrations in the journal: standards ordered, what came of each, what a change sends back.

The order of the readings decides which calibration was in force, not the wall clock: `record_id`
grows with every commit. Wall time gives the age only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import apsw

from gateway import wire
from gateway.journal import worth
from gateway.journal.dating import HEAD_BYTES, Moment, oldest_ms, read_age_base, read_moment
from gateway.journal.records import Judgement, Pending, read_frame
from protocol import limits, messages

Rows = Iterable[tuple[Any, ...]]

ORDERS_PER_NODE_MAX = 64  # an order is answered within a minute or never
KEPT_READ_MAX = 64  # around one reading; a standard is measured once a day
# WANT_CALIBRATION in the order of the index `verdicts_uncalibrated`, which SQLite insists on.
_WANTING = ("not_calibrated", "calibration_expired", "calibration_failed", "uncalibrated_listed")
SUPERSEDED_MAX = 8  # standards of an axis that may be evictable because of a new one
AGAIN_MAX = 1_024  # readings judged again after a correction of the time: a full flash, twice

_SELECT = (
    "SELECT k.record_id, k.received_ms, k.standard_id, k.fault, k.text, k.body,"
    f" substr(r.frame, 1, {HEAD_BYTES}), r.received_ms"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of one measured standard or glass.

    Attributes:
        record_id: of its reading.
        measured_ms: when that was; where nobody knows, when it came (column `received_ms`).
        standard_id: what it was taken for.
        fault: why it failed; empty when it is valid.
        text: one sentence for the technician; empty when it is valid.
        body: the calibration as JSON; empty when it failed.
    """

    record_id: int
    measured_ms: int
    standard_id: str
    fault: str
    text: str
    body: bytes


def keep_outcome(
    connection: apsw.Connection,
    table: Literal["calibrations", "responses"],
    node: str,
    axis_id: bytes,
    kept: Kept,
) -> None:
    """Keep what came of a standard or a glass; the same record again replaces it."""
    connection.execute(
        f"INSERT INTO {table}"  # noqa: S608 - one of two names of ours
        " (record_id, node, axis_id, standard_id, received_ms, fault, text, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " standard_id = excluded.standard_id, fault = excluded.fault, text = excluded.text,"
        " body = excluded.body",
        (
            kept.record_id,
            node,
            axis_id,
            kept.standard_id,
            kept.measured_ms,
            kept.fault,
            kept.text,
            kept.body,
        ),
    )
    connection.execute("DELETE FROM pending WHERE record_id = ?", (kept.record_id,))
    # It and those that it may supersede: retention keeps the newest few of each axis.
    rows: Rows = connection.execute(
        f"SELECT k.record_id FROM {table} k JOIN records r ON r.id = k.record_id"  # noqa: S608 - as above
        " WHERE k.node = ? AND k.axis_id = ? AND length(r.frame) > 0"
        " ORDER BY k.record_id DESC LIMIT ?",
        (node, axis_id, SUPERSEDED_MAX),
    ).fetchall()
    for (record_id,) in rows:
        worth.rank(connection, record_id, worth.CLEAR)


def save_order(
    connection: apsw.Connection, node: str, command: wire.Command, received_ms: int
) -> bool:
    """Keep the standard that a command names; say whether it names one."""
    argument = command.argument
    if command.action != messages.ACTION_CAPTURE or len(argument) < 2:
        return False
    name = argument[1:]
    if argument[0] != messages.ROLE_STANDARD or not name.isascii():
        return False
    connection.execute(
        "INSERT INTO orders (node, command_id, standard, received_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (node, command.command_id, name[: limits.NAME_CHARS_MAX].decode("ascii"), received_ms),
    )
    connection.execute(
        "DELETE FROM orders WHERE node = ?1 AND id NOT IN (SELECT id FROM orders"
        " WHERE node = ?1 ORDER BY id DESC LIMIT ?2)",
        (node, ORDERS_PER_NODE_MAX),
    )
    return True


def read_order(connection: apsw.Connection, node: str, inspection_id: bytes) -> str | None:
    """Return the standard that the command of this inspection named, or None."""
    row = connection.execute(
        "SELECT standard FROM orders WHERE node = ? AND command_id = ?", (node, inspection_id)
    ).fetchone()
    return str(row[0]) if row else None


def insert_calibration(
    connection: apsw.Connection, node: str, axis_id: bytes, kept: Kept, again_from_ms: int
) -> bool:
    """Keep what came of a standard; say whether readings are to be judged again because of it.

    Args:
        connection: in the writer's transaction.
        node: whose instrument.
        axis_id: of the reading.
        kept: what came of it; the same record again replaces what was kept.
        again_from_ms: readings received since then whose newest verdict wants a calibration, or
            that were judged before calibrations were kept, go back to the judges.
    """
    keep_outcome(connection, "calibrations", node, axis_id, kept)
    if kept.fault:
        return False
    return _want(
        connection,
        node,
        # What came before this computer's clock was set, in 1970 by its date, may be of yesterday.
        "(r.received_ms >= ?1 OR (r.received_ms < ?2 AND ?1 >= ?2))",
        (again_from_ms, oldest_ms()),
    )


def want_again(connection: apsw.Connection, node: str) -> bool:
    """Have a node's newest readings that want a calibration judged again: its time was corrected.

    Returns:
        Whether there are any.
    """
    return _want(connection, node, "TRUE ORDER BY r.id DESC LIMIT ?1", (AGAIN_MAX,))


def want_if_moved(
    connection: apsw.Connection, judgement: Judgement, pending: Pending, moment: Moment | None
) -> None:
    """Have a reading judged again that was judged by a time which was corrected meanwhile.

    A correction sends back what has a verdict, and this one was on its way to it.

    Args:
        connection: in the writer's transaction, which keeps the verdict.
        judgement: the verdict.
        pending: the reading.
        moment: what it was judged by; None: by no time.
    """
    if judgement.reason_id not in _WANTING or pending.reading is None or moment is None:
        return
    if moment != read_moment(connection, pending.node, pending.reading, pending.received_ms):
        connection.execute(
            "INSERT OR IGNORE INTO pending (node, record_id) VALUES (?, ?)",
            (pending.node, pending.record_id),
        )


def _want(connection: apsw.Connection, node: str, which: str, values: tuple[int, ...]) -> bool:
    """Send readings that want a calibration to the judges; say whether there are any."""
    # What waits for a calibration: what was said of a reading at the time, what was said last when
    # it was judged again, and readings of the time when calibrations were not kept.
    # CROSS JOIN: from the few that want one, not from everything that the node ever sent.
    reasons = ", ".join(f"'{reason}'" for reason in _WANTING)
    connection.execute(
        "INSERT OR IGNORE INTO pending (node, record_id)"  # noqa: S608 - our own constants
        " SELECT r.node, r.id FROM ("
        f" SELECT record_id FROM verdicts WHERE reason_id IN ({reasons})"
        " UNION SELECT record_id FROM unrecorded"
        " UNION SELECT j.record_id FROM rejudged j JOIN verdicts v ON v.record_id = j.record_id"
        "  WHERE j.rejudged_ms >= v.judged_ms AND json_valid(CAST(j.after AS TEXT))"
        f"  AND json_extract(CAST(j.after AS TEXT), '$.reason_id') IN ({reasons})"
        "  AND NOT EXISTS (SELECT 1 FROM rejudged n"
        "   WHERE n.record_id = j.record_id AND n.run_id > j.run_id)"
        ") w CROSS JOIN records r ON r.id = w.record_id"
        f" WHERE r.node = ?{len(values) + 1} AND length(r.frame) > 0 AND {which}",
        (*values, node),
    )
    return bool(connection.changes())


def read_around(
    connection: apsw.Connection, node: str, axis_id: bytes, record_id: int
) -> tuple[Kept, ...]:
    """Return the calibrations of an axis that may concern a reading, in their order.

    They are the newest before it and the first after it, `KEPT_READ_MAX` at most on each side.
    """
    before: Rows = connection.execute(
        f"{_SELECT} FROM calibrations k JOIN records r ON r.id = k.record_id"
        " WHERE k.node = ? AND k.axis_id = ? AND k.record_id < ? ORDER BY k.record_id DESC LIMIT ?",
        (node, axis_id, record_id, KEPT_READ_MAX),
    )
    after: Rows = connection.execute(
        f"{_SELECT} FROM calibrations k JOIN records r ON r.id = k.record_id"
        " WHERE k.node = ? AND k.axis_id = ? AND k.record_id > ? ORDER BY k.record_id LIMIT ?",
        (node, axis_id, record_id, KEPT_READ_MAX),
    )
    rows = [*reversed(list(before)), *after]
    return tuple(read_kept(connection, node, row) for row in rows)


def read_kept(connection: apsw.Connection, node: str, row: tuple[Any, ...]) -> Kept:
    """Return what was kept, dated by what is known now.

    Args:
        connection: any.
        node: who measured.
        row: the columns of `Kept`, then the beginning of its record and when that came.
    """
    kept, head, received_ms = Kept(*row[:6]), row[6], row[7]
    now_known_ms = read_age_base(connection, node, head, received_ms, kept.measured_ms)
    return replace(kept, measured_ms=now_known_ms)


def read_newest(
    connection: apsw.Connection, node: str, axis_id: bytes, decisive_faults: Iterable[str] = ()
) -> Kept | None:
    """Return what came of the last standard that a node measured on this axis, or None.

    With `decisive_faults` one that failed otherwise does not count while another is there: an empty
    probe says nothing of the instrument.
    """
    decisive = frozenset(decisive_faults)
    rows: Rows = connection.execute(
        f"{_SELECT} FROM calibrations k JOIN records r ON r.id = k.record_id"
        " WHERE k.node = ? AND k.axis_id = ? ORDER BY k.record_id DESC LIMIT ?",
        (node, axis_id, KEPT_READ_MAX),
    )
    found = [read_kept(connection, node, row) for row in rows]
    if decisive:
        found = [kept for kept in found if not kept.fault or kept.fault in decisive] or found
    return found[0] if found else None


def read_ordered(connection: apsw.Connection, node: str, command_id: bytes) -> Kept | None:
    """Return what came of the standard that a command asked for; None: nothing yet."""
    rows: Rows = connection.execute(
        "SELECT c.record_id, c.received_ms, c.standard_id, c.fault, c.text, c.body, r.frame"
        " FROM calibrations c JOIN records r ON r.id = c.record_id"
        " WHERE c.node = ? ORDER BY c.record_id DESC LIMIT ?",
        (node, KEPT_READ_MAX),
    )
    for row in rows:
        reading = read_frame(row[6])
        if isinstance(reading, wire.Reading) and reading.inspection_id == command_id:
            return Kept(*row[:6])
    return None
