"""What metrics need of the journal, in one look that touches no row of records or verdicts."""

from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway import wire
from gateway.journal.differences import Progress, read_progress
from gateway.journal.records import read_frame
from gateway.journal.tallies import read_tallies
from gateway.observe.keeping import Keeping, read_keeping


class NodeFigures(msgspec.Struct, frozen=True):
    """What the journal last heard of one node.

    Attributes:
        seen_ms: Unix milliseconds; None: never.
        health: its newest; None: none.
    """

    online: bool
    seen_ms: int | None
    health: wire.Health | None


class Figures(msgspec.Struct, frozen=True):
    """The journal in figures.

    Attributes:
        tallies: name -> subject -> count; see gateway/journal/tallies.py.
        nodes: by name.
        oldest_alert_ms: when the oldest undelivered alert was made, Unix ms; None: none waits.
        alert_attempts: of the alert that was tried most often without success.
        keeping: of the journal.
        library: the run that judges stored readings again; None: there was none.
    """

    tallies: dict[str, dict[str, int]]
    nodes: dict[str, NodeFigures]
    oldest_alert_ms: int | None
    alert_attempts: int
    keeping: Keeping
    library: Progress | None


def read_figures(connection: apsw.Connection, directory: Path) -> Figures:
    """Return the figures of the journal in a post's folder."""
    waiting = _rows(
        connection, "SELECT min(created_ms), max(attempts) FROM alerts WHERE receipt IS NULL"
    )
    nodes = {}
    for node, online, seen_ms, frame in _rows(
        connection, "SELECT node, online, seen_ms, health FROM nodes"
    ):
        health = read_frame(frame) if frame else None
        nodes[node] = NodeFigures(
            bool(online), seen_ms, health if isinstance(health, wire.Health) else None
        )
    return Figures(
        read_tallies(connection),
        nodes,
        waiting[0][0],
        waiting[0][1] or 0,
        read_keeping(connection, directory),
        read_progress(connection),
    )


def _rows(connection: apsw.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
