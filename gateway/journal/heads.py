"""Where the judges stand in what is pending of a node: readings without a verdict go first.

Readings are pending again when a calibration or an axis has come for them. They are older than all
that has no verdict yet, and nobody waits for them at the lane.
"""

from collections.abc import Iterable
from typing import Any, Final

import apsw

COUNT_MAX: Final = 64  # counted of a node's readings; more is a backlog, however long

Rows = Iterable[tuple[Any, ...]]


def read_judged_to(connection: apsw.Connection, node: str) -> int:
    """Return the newest of a node's pending records that is followed only by unjudged ones.

    Costs as much as there are readings of the node pending again; asked once per start and node.
    """
    first = connection.execute(
        "SELECT p.record_id FROM pending p WHERE p.node = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM verdicts v WHERE v.record_id = p.record_id)"
        " ORDER BY p.record_id LIMIT 1",
        (node,),
    ).fetchone()
    if first is not None:
        return int(first[0]) - 1
    last = connection.execute(
        "SELECT max(record_id) FROM pending WHERE node = ?", (node,)
    ).fetchone()
    return int(last[0] or 0) if last else 0


def read_head_after(connection: apsw.Connection, node: str, record_id: int) -> int | None:
    """Return the oldest pending record of a node above `record_id`, None when there is none."""
    row = connection.execute(
        "SELECT min(record_id) FROM pending WHERE node = ? AND record_id > ?", (node, record_id)
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def read_counts(connection: apsw.Connection) -> dict[str, int]:
    """Return how many readings of each node are pending, those that are pending again included."""
    rows: Rows = connection.execute("SELECT subject, count FROM tallies WHERE name = 'pending'")
    return dict(rows)


def read_count_after(connection: apsw.Connection, node: str, record_id: int) -> int:
    """Return how many readings of a node above `record_id` are pending, COUNT_MAX at most."""
    rows: Rows = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM pending WHERE node = ? AND record_id > ? LIMIT ?)",
        (node, record_id, COUNT_MAX),
    )
    ((count,),) = rows
    return int(count)
