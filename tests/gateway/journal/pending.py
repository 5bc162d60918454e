"""All that awaits a verdict at once; the gateway itself asks for one reading at a time."""

import apsw

from gateway.journal import records


def read_pending(connection: apsw.Connection, count_max: int) -> list[records.Pending]:
    """Return readings that await a verdict: each node's in order, the nodes taking turns."""
    turns: list[tuple[int, int]] = []
    for node, _ in sorted(records.read_heads(connection), key=lambda head: head[1])[:count_max]:
        rows = connection.execute(
            "SELECT record_id FROM pending WHERE node = ? ORDER BY record_id LIMIT ?",
            (node, count_max),
        )
        turns += [(place, record_id) for place, (record_id,) in enumerate(rows)]
    found = [
        records.read_pending_one(connection, record_id)
        for _, record_id in sorted(turns)[:count_max]
    ]
    return [pending for pending in found if pending is not None]
