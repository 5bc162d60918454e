"""Axes and journals that a node has brought beyond what any honest one needs: the oldest go.

A node whose flash or firmware is at fault may draw a new journal or announce a new axis with every
reading. Nothing of it is refused for that: a node that is re-flashed is served whatever was before.
What was used last stays, and so does what a kept alert, a standard or the node's newest word needs.

An axis that went and is needed after all is asked for, like any that is not known. A journal that
went and speaks again begins anew: of it what came before is told from new records by the rows of
`records` alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import apsw

from gateway import wire
from gateway.journal import worth
from gateway.journal.records import read_frame
from protocol.errors import ProtocolError
from protocol.packing import Unpacker

# Each is drawn when a flash is formatted, some times a year; each costs 100 bytes, and a look.
JOURNALS_PER_NODE_MAX: Final = 64
# One for each instrument and each calibration by its maker; each costs 500 bytes.
AXES_PER_NODE_MAX: Final = 64
STEP_ROWS_MAX: Final = 500  # of one node in one step: 10 ms of the writer
READINGS_LOOKED_AT_MAX: Final = 512  # of a node, its newest, for the axes they need
ALERTS_LOOKED_AT_MAX: Final = 2_000  # of all nodes, the newest, likewise
HEAD_BYTES: Final = 128  # of a reading's frame; its axis lies within 82

Rows = Iterable[tuple[Any, ...]]


TEXTS: Final = {
    "axis_forgotten": (
        f"node {{node!r}} has announced more than {AXES_PER_NODE_MAX} axes, one for each new"
        " instrument at most: those unused for longest are forgotten; its instrument or its"
        " firmware is at fault: look at its births, put the firmware on anew"
    ),
    "journal_forgotten": (
        f"node {{node!r}} has begun more than {JOURNALS_PER_NODE_MAX} journals, one for each time"
        " its flash was formatted: those silent for longest are forgotten; its flash forgets what"
        " is written to it: exchange the board"
    ),
}


@dataclass(frozen=True, slots=True)
class Excess:
    """What one node has too much of.

    Attributes:
        axes: that may go.
        journals: likewise.
        has_more: than one step takes.
    """

    node: str
    axes: tuple[bytes, ...]
    journals: tuple[bytes, ...]
    has_more: bool


def read_excess(connection: apsw.Connection) -> Excess | None:
    """Return what the next node has too much of; None: no node has."""
    for table, count_max in (("axes", AXES_PER_NODE_MAX), ("journals", JOURNALS_PER_NODE_MAX)):
        rows: Rows = connection.execute(
            f"SELECT node, count(*) FROM {table} GROUP BY node HAVING count(*) > ?",  # noqa: S608 - one of two names of ours
            (count_max,),
        ).fetchall()
        for node, count in rows:
            gone = tuple((_axes if table == "axes" else _journals)(connection, node))
            if not gone:  # alerts stand on all of them
                continue
            has_more = count - len(gone) > count_max
            if table == "axes":
                return Excess(node, gone, (), has_more)
            return Excess(node, (), gone, has_more)
    return None


def _journals(connection: apsw.Connection, node: str) -> list[bytes]:
    """Return journals of a node, those of which nothing has come for longest, some at a time."""
    rows: Rows = connection.execute(
        "SELECT journal_id, ifnull((SELECT id FROM records r WHERE r.node = j.node"
        " AND r.journal_id = j.journal_id ORDER BY seq DESC LIMIT 1), 0)"
        " FROM journals j WHERE node = ? LIMIT ?",
        (node, STEP_ROWS_MAX + JOURNALS_PER_NODE_MAX),
    )
    newest: dict[bytes, int] = dict(rows)
    birth = _birth(connection, node)
    if birth is not None:
        newest.pop(birth.journal_id, None)
    order = sorted(newest, key=lambda one: (newest[one], one))
    return order[: max(len(order) + 1 - JOURNALS_PER_NODE_MAX, 0)]


def _axes(connection: apsw.Connection, node: str) -> list[bytes]:
    """Return axes of a node, those that are unused or not used for longest, some at a time."""
    rows: Rows = connection.execute(
        "SELECT axis_id, max("
        " ifnull((SELECT max(record_id) FROM calibrations k WHERE k.node = a.node"
        "  AND k.axis_id = a.axis_id), 0),"
        " ifnull((SELECT max(record_id) FROM responses k WHERE k.node = a.node"
        "  AND k.axis_id = a.axis_id), 0)) FROM axes a WHERE node = ? LIMIT ?",
        (node, STEP_ROWS_MAX + AXES_PER_NODE_MAX),
    )
    used: dict[bytes, int] = dict(rows)
    kept = set()
    birth = _birth(connection, node)
    if birth is not None:
        kept.add(birth.axis_id)
    for record_id, axis_id, is_of_alert in _used(connection, node):
        if axis_id in used:
            used[axis_id] = max(used[axis_id], record_id)
        if is_of_alert:
            kept.add(axis_id)
    order = sorted((one for one in used if one not in kept), key=lambda one: (used[one], one))
    return order[: max(len(used) - AXES_PER_NODE_MAX, 0)]


def _used(connection: apsw.Connection, node: str) -> list[tuple[int, bytes, bool]]:
    """Return axes that readings of a node need: record, axis, whether an alert stands on it."""
    found = []
    head = f"substr(r.frame, 1, {HEAD_BYTES})"
    alerts: Rows = connection.execute(
        f"SELECT r.id, {head}, r.node FROM (SELECT record_id FROM alerts ORDER BY record_id DESC"  # noqa: S608 - a constant
        " LIMIT ?) a JOIN records r ON r.id = a.record_id WHERE r.node = ?",
        (ALERTS_LOOKED_AT_MAX, node),
    )
    newest: Rows = connection.execute(
        f"SELECT r.id, {head} FROM records r NOT INDEXED WHERE r.node = ? AND r.id >"  # noqa: S608 - a constant
        " (SELECT max(id) FROM records) - ? AND length(r.frame) > 0",
        (node, READINGS_LOOKED_AT_MAX),
    )
    for rows, is_of_alert in ((alerts, True), (newest, False)):
        for record_id, frame, *_ in rows:
            axis_id = read_axis_id(frame)
            if axis_id is not None:
                found.append((int(record_id), axis_id, is_of_alert))
    return found


def read_axis_id(head: bytes | None) -> bytes | None:
    """Return the axis that the beginning of a reading's frame names; None when it is none."""
    if not head:
        return None
    try:
        unpacker = Unpacker(head)
        unpacker.array()
        if unpacker.integer(0, 255) != wire.Reading.__struct_config__.tag:
            return None
        for _ in range(8):  # journal, number, boot, uptime, time, its quality, inspection, role
            unpacker.skip()
        return bytes(unpacker.binary(0, len(head)))
    except ProtocolError:
        return None


def _birth(connection: apsw.Connection, node: str) -> wire.Birth | None:
    row = connection.execute("SELECT birth FROM nodes WHERE node = ?", (node,)).fetchone()
    birth = read_frame(row[0]) if row else None
    return birth if isinstance(birth, wire.Birth) else None


def forget(connection: apsw.Connection, excess: Excess) -> dict[str, int]:
    """Forget axes and journals, in the writer's transaction; return how many, by counter.

    What came of standards on an axis that went is forgotten with it; their readings are worth what
    old ones are.
    """
    node, birth = excess.node, _birth(connection, excess.node)
    counts = {"axis_forgotten": 0, "journal_forgotten": 0}
    for axis_id in excess.axes:
        if birth is not None and birth.axis_id == axis_id:  # it was born again meanwhile
            continue
        connection.execute("DELETE FROM axes WHERE node = ? AND axis_id = ?", (node, axis_id))
        counts["axis_forgotten"] += connection.changes()
        for table in ("calibrations", "responses"):
            rows: Rows = connection.execute(
                f"DELETE FROM {table} WHERE node = ? AND axis_id = ? RETURNING record_id,"  # noqa: S608 - one of two names of ours
                " (SELECT length(frame) FROM records WHERE id = record_id)",
                (node, axis_id),
            ).fetchall()
            for record_id, size in rows:
                worth.rank(connection, record_id, worth.CLEAR if size else None)
    for journal_id in excess.journals:
        if birth is not None and birth.journal_id == journal_id:
            continue
        connection.execute(
            "DELETE FROM journals WHERE node = ? AND journal_id = ?", (node, journal_id)
        )
        counts["journal_forgotten"] += connection.changes()
    return {name: count for name, count in counts.items() if count}
