"""What a post has promised by one moment of its story, and what a disk must show for it.

A receipt promises that its readings are kept; an alert that was made, that it is sent, once; a
delivered one, that it is not sent again; a config, that its version is never given again.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from gateway import wire
from gateway.alerts import alert as alerting
from gateway.journal import records, tallies
from gateway.journal.store import SCHEMA_VERSION
from protocol import messages
from tests.gateway.crash import stories
from tests.gateway.crash.stories import JOURNAL, NODES, POST, RAISED_SEQ, RECORDS, Post


class BrokenPromiseError(Exception):
    """A disk does not show what was promised; the text says what."""


@dataclass(slots=True)
class Promised:
    """Everything that was promised so far."""

    receipted: dict[str, set[int]] = field(default_factory=lambda: {node: set() for node in NODES})
    alerts: dict[str, bytes] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    configs: dict[str, int] = field(default_factory=dict)
    counted: int = 0

    def say(self, *words: Any) -> None:
        """Take one promise."""
        match words:
            case ("receipt", node, seq, beyond):
                ranges = (1, seq, *beyond)
                for first, last in zip(ranges[::2], ranges[1::2], strict=True):
                    self.receipted[node].update(range(first, last + 1))
            case ("alert", alert_id, body):
                self.alerts[alert_id] = body
            case ("delivered", alert_id):
                self.delivered.add(alert_id)
            case ("config", node, version):
                self.configs[node] = version
            case ("count", amount):
                self.counted += amount
            case _:
                raise AssertionError(words)

    def copy(self) -> Promised:
        """Return what is promised now, apart from what will be."""
        return copy.deepcopy(self)


@functools.cache
def expected_alerts(seed: int) -> dict[str, bytes]:
    """Return the alerts that a whole story makes."""
    found = {}
    for node in NODES:
        for seq in range(1, RECORDS + 1):
            record = wire.decode(stories.frame_of(node, seq, seed))
            is_sample = isinstance(record, wire.Reading) and record.role == messages.ROLE_SAMPLE
            if is_sample and (stories.is_alarm(seq) or seq == RAISED_SEQ):
                found[alerting.alert_id(POST, node, record)] = stories.body_of(node, record)
    return found


async def check(folder: Path, promised: Promised, seed: int, *, finish: bool) -> None:
    """Start the gateway on a disk as a power cut left it, and hold it against what was promised.

    Args:
        folder: with the disk's files.
        promised: by then.
        seed: of the story.
        finish: go on to the end of the story, and look again.

    Raises:
        BrokenPromiseError: a promise is not kept.
    """
    post = Post(folder, seed, lambda *_: None)
    post.freed = copy.deepcopy(promised.receipted)  # nodes send no more what a receipt covered
    await post.open()
    try:
        _insist(await post.read(lambda connection: _faults(connection, promised, seed)))
        if not finish:
            return
        await post.finish()
        _insist(await post.read(lambda connection: _faults(connection, promised, seed)))
        whole = Promised(
            receipted={node: set(range(1, RECORDS + 1)) for node in NODES},
            alerts=expected_alerts(seed),
            delivered=set(expected_alerts(seed)),
        )
        _insist(await post.read(lambda connection: _faults(connection, whole, seed)))
        _insist(await post.read(_leftovers))
        again = promised.delivered & set(post.authority.kept)
        _insist([f"delivered alerts are sent again: {sorted(again)}"] if again else [])
    finally:
        await post.close()


def _insist(faults: Iterable[str]) -> None:
    told = list(faults)
    if told:
        raise BrokenPromiseError("; ".join(told))


def _faults(connection: apsw.Connection, promised: Promised, seed: int) -> list[str]:
    """Return what a journal lacks or has wrongly."""
    faults = []
    whole = connection.pragma("integrity_check")
    if whole != "ok":
        faults.append(f"corrupt: {whole}")
    if connection.execute("PRAGMA foreign_key_check").fetchall():
        faults.append("corrupt: rows refer to rows that are not there")
    if connection.pragma("user_version") != SCHEMA_VERSION:
        faults.append(f"version {connection.pragma('user_version')}")
    for node in NODES:
        faults += _faults_of_node(connection, node, promised, seed)
    return faults + _faults_of_outbox(connection, promised) + _faults_of_tallies(connection)


def _faults_of_node(
    connection: apsw.Connection, node: str, promised: Promised, seed: int
) -> list[str]:
    faults = []
    rows = connection.execute(
        "SELECT r.seq, r.frame, p.record_id IS NOT NULL, v.record_id IS NOT NULL,"
        " c.record_id IS NOT NULL FROM records r"
        " LEFT JOIN pending p ON p.record_id = r.id LEFT JOIN verdicts v ON v.record_id = r.id"
        " LEFT JOIN calibrations c ON c.record_id = r.id WHERE r.node = ?",
        (node,),
    ).fetchall()
    found = {row[0] for row in rows}
    lost = promised.receipted[node] - found
    if lost:
        faults.append(f"lost: receipted readings {sorted(lost)} of {node}")
    ledger = records.read_ledger(connection, node, JOURNAL)
    untrue = set(range(1, ledger.seq + 1)) - found
    if untrue:
        faults.append(f"lost: the next receipt of {node} would cover {sorted(untrue)}")
    for seq, frame, is_pending, is_judged, is_standard in rows:
        if frame != stories.frame_of(node, seq, seed):
            faults.append(f"changed: frame {seq} of {node}")
        is_wanted = records.is_spectrum(wire.decode(stories.frame_of(node, seq, seed)))
        if is_wanted != (is_pending or is_judged or is_standard):
            faults.append(f"forgotten: reading {seq} of {node} is neither judged nor to be judged")
    row = connection.execute("SELECT frame FROM configs WHERE node = ?", (node,)).fetchone()
    kept = records.read_frame(row[0]) if row else None
    version = kept.version if isinstance(kept, wire.Config) else 0
    if version < promised.configs.get(node, 0):
        faults.append(f"lost: config {promised.configs[node]} of {node}, there is {version}")
    return faults


def _faults_of_outbox(connection: apsw.Connection, promised: Promised) -> list[str]:
    faults = []
    rows = connection.execute("SELECT alert_id, body, receipt IS NOT NULL FROM alerts").fetchall()
    bodies = {alert_id: body for alert_id, body, _ in rows}
    done = {alert_id for alert_id, _, is_done in rows if is_done}
    for alert_id, body in promised.alerts.items():
        if alert_id not in bodies:
            faults.append(f"lost: alert {alert_id}")
        elif bodies[alert_id] != body:
            faults.append(f"changed: alert {alert_id}")
    undone = promised.delivered - done
    if undone:
        faults.append(f"lost: the authority's receipts of {sorted(undone)}")
    ((counted,),) = connection.execute("SELECT ifnull(sum(count), 0) FROM counters").fetchall()
    if counted < promised.counted:
        faults.append(f"lost: counts, {counted} of {promised.counted}")
    return faults


def _faults_of_tallies(connection: apsw.Connection) -> list[str]:
    """Hold what the journal has counted along against what is there."""
    kept = tallies.read_tallies(connection)
    faults = []
    for name, question in (
        ("row", "SELECT '', count(*) FROM records"),
        ("pending", "SELECT node, count(*) FROM pending GROUP BY node"),
        ("verdict", "SELECT verdict, count(*) FROM verdicts GROUP BY verdict"),
        ("alert_made", "SELECT '', count(*) FROM alerts"),
        ("alert_delivered", "SELECT '', count(receipt) FROM alerts"),
    ):
        told = {subject: count for subject, count in kept.get(name, {}).items() if count}
        found = {subject: count for subject, count in connection.execute(question) if count}
        if told != found:
            faults.append(f"wrong: tallies {name} {told}, there are {found}")
    return faults


def _leftovers(connection: apsw.Connection) -> list[str]:
    """Return what a story at its end has not done, or has done twice."""
    faults = []
    for table, question in (
        ("pending", "SELECT count(*) FROM pending"),
        ("waiting", "SELECT count(*) FROM alerts WHERE receipt IS NULL"),
        ("records", f"SELECT count(*) - {RECORDS * len(NODES)} FROM records"),
        ("runs", "SELECT count(*) FROM rejudgings WHERE ended_ms IS NULL"),
        ("doubled", "SELECT count(*) - count(DISTINCT record_id) FROM alerts"),
    ):
        ((count,),) = connection.execute(question).fetchall()
        if count:
            faults.append(f"at the end: {count} {table}")
    rows = connection.execute("SELECT alert_id FROM alerts").fetchall()
    if len(rows) != len(expected_alerts(0)):
        faults.append(f"at the end: {len(rows)} alerts")
    return faults
