"""`harmattan status`: what the post is doing, on one screen, and as JSON.

Reads the journal only; works while the gateway runs and after it has died.
"""

from pathlib import Path
from typing import Any

import apsw
import msgspec
from rich.console import Console
from rich.table import Table

from gateway import wire
from gateway.journal.store import connect
from gateway.settings import Settings
from protocol.errors import ProtocolError


class NodeState(msgspec.Struct, frozen=True):
    """One node: `state` is online, offline, or never (it has not spoken yet)."""

    node: str
    state: str
    seen_ms: int | None
    instrument: str
    config_version: int | None
    fault: str
    evicted_count: int
    records: int


class Status(msgspec.Struct, frozen=True):
    """The post at a glance; counts are since the journal began."""

    post: str
    running: bool
    nodes: tuple[NodeState, ...]
    records: int
    pending: int
    verdicts: dict[str, int]
    alerts_delivered: int
    alerts_waiting: int
    alert_fault: str
    counters: dict[str, int]

    @property
    def is_well(self) -> bool:
        """Say whether nobody needs to look: running, all nodes online, nothing stuck or lost."""
        return (
            self.running
            and all(node.state == "online" and not node.fault for node in self.nodes)
            and not self.alert_fault
            and not self.counters.get("record_lost")
        )


def read(settings: Settings, journal_path: Path, *, running: bool) -> Status:
    """Return the status of the post.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    connection = connect(journal_path, read_only=True)
    try:
        rows = _rows(connection, "SELECT node, birth, health, online, seen_ms FROM nodes")
        counts = dict(_rows(connection, "SELECT node, count(*) FROM records GROUP BY node"))
        known = {row[0]: row for row in rows}
        states = tuple(_state(node.id, known.get(node.id), counts) for node in settings.nodes)
        ((delivered, waiting),) = _rows(
            connection, "SELECT count(receipt), count(*) - count(receipt) FROM alerts"
        )
        ((pending,),) = _rows(connection, "SELECT count(*) FROM pending")
        faults = _rows(
            connection, "SELECT fault FROM alerts WHERE receipt IS NULL AND fault <> '' LIMIT 1"
        )
        return Status(
            post=settings.post,
            running=running,
            nodes=states,
            records=sum(counts.values()),
            pending=pending,
            verdicts=dict(
                _rows(connection, "SELECT verdict, count(*) FROM verdicts GROUP BY verdict")
            ),
            alerts_delivered=delivered,
            alerts_waiting=waiting,
            alert_fault=faults[0][0] if faults else "",
            counters=dict(
                _rows(
                    connection, "SELECT name, sum(count) FROM counters GROUP BY name ORDER BY name"
                )
            ),
        )
    finally:
        connection.close()


def _rows(connection: apsw.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _state(name: str, row: tuple[object, ...] | None, counts: dict[str, int]) -> NodeState:
    """Return what the journal knows of one node."""
    if row is None:
        return NodeState(name, "never", None, "", None, "", 0, counts.get(name, 0))
    _, birth_frame, health_frame, online, seen_ms = row
    birth, health = _decode(birth_frame), _decode(health_frame)
    return NodeState(
        node=name,
        state="online" if online else "offline",
        seen_ms=seen_ms if isinstance(seen_ms, int) else None,
        instrument=(
            f"{birth.instrument_model} {birth.instrument_serial}".strip()
            if isinstance(birth, wire.Birth)
            else ""
        ),
        config_version=birth.config_version if isinstance(birth, wire.Birth) else None,
        fault=health.fault if isinstance(health, wire.Health) else "",
        evicted_count=health.evicted_count if isinstance(health, wire.Health) else 0,
        records=counts.get(name, 0),
    )


def _decode(frame: object) -> wire.Message | None:
    if not isinstance(frame, bytes):
        return None
    try:
        return wire.decode(frame)
    except ProtocolError:
        return None


def show(status: Status, console: Console, now_ms: int) -> None:
    """Draw the status for a person."""
    console.print(
        f"[bold]post {status.post}[/bold]  "
        + ("[green]gateway runs[/green]" if status.running else "[red]gateway does not run[/red]")
    )
    table = Table(box=None, pad_edge=False)
    for column in ("node", "state", "seen", "instrument", "config", "records", "fault"):
        table.add_column(column)
    for node in status.nodes:
        colour = {"online": "green", "offline": "red"}.get(node.state, "yellow")
        seen = "-" if node.seen_ms is None else f"{max(0, now_ms - node.seen_ms) // 1000} s ago"
        table.add_row(
            node.node,
            f"[{colour}]{node.state}[/{colour}]",
            seen,
            node.instrument or "-",
            "-" if node.config_version is None else str(node.config_version),
            str(node.records),
            node.fault or "-",
        )
    console.print(table)
    verdicts = ", ".join(f"{name} {count}" for name, count in sorted(status.verdicts.items()))
    console.print(f"records {status.records}, awaiting judgement {status.pending}")
    console.print(f"verdicts: {verdicts or 'none yet'}")
    console.print(f"alerts: delivered {status.alerts_delivered}, waiting {status.alerts_waiting}")
    if status.alert_fault:
        console.print(f"[red]newest delivery fault:[/red] {status.alert_fault}", highlight=False)
    counted = ", ".join(f"{name} {count}" for name, count in status.counters.items())
    console.print(f"counted: {counted or 'nothing'}")
