"""What the nodes said of themselves over the last days: what came before a fault."""

from collections.abc import Iterable
from typing import Any, Final

import apsw

from gateway import wire
from protocol.errors import ProtocolError

Rows = Iterable[tuple[Any, ...]]

HEALTHS_PER_NODE_MAX: Final = 2_016  # a week at one every five minutes
HEALTHS_MAX: Final = 200_000  # the newest of all nodes together: 40 MB


def insert_health(connection: apsw.Connection, node: str, frame: bytes, received_ms: int) -> None:
    """Keep a health that came, in the writer's transaction; the oldest beyond the bounds go."""
    connection.execute(
        "INSERT INTO healths (node, received_ms, frame) VALUES (?, ?, ?)",
        (node, received_ms, frame),
    )
    connection.execute(
        "DELETE FROM healths WHERE node = ?1 AND id <= (SELECT id FROM healths WHERE node = ?1"
        " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (node, HEALTHS_PER_NODE_MAX),
    )
    # By id, not by count: those of a node that was silent for weeks go first.
    connection.execute(
        "DELETE FROM healths WHERE id <= (SELECT max(id) FROM healths) - ?", (HEALTHS_MAX,)
    )


def read_healths(
    connection: apsw.Connection, node: str, count_max: int
) -> list[tuple[int, wire.Health]]:
    """Return a node's newest healths, the newest first, with when each came (Unix ms)."""
    rows: Rows = connection.execute(
        "SELECT received_ms, frame FROM healths WHERE node = ? ORDER BY id DESC LIMIT ?",
        (node, count_max),
    )
    found = []
    for received_ms, frame in rows:
        try:
            health = wire.decode(frame)
        except ProtocolError:  # of a stricter version, or damaged
            continue
        if isinstance(health, wire.Health):
            found.append((received_ms, health))
    return found
