"""What a post has promised by one moment of its story, and what a disk must show for it.

A receipt promises that its readings are kept; an alert that was made, that it is sent, once; a
delivered one, that it is not sent again; a config, that its version is never given again.
"""

from __future__ import annotations

import copy
import functools
import tempfile
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
from tests.gateway.crash import players
from tests.gateway.crash.players import JOURNAL, NODES, POST, RAISED_SEQ
from tests.gateway.crash.stories import RECORDS, Post


class BrokenPromiseError(Exception):
    """A disk does not show what was promised; the text says what."""


OLD = {  # what the journal of an earlier gateway holds, and no later one changes
    "records": "SELECT id, node, journal_id, seq, frame FROM records",
    "verdicts": "SELECT record_id, verdict, reason_id, explanation FROM verdicts"
    " WHERE reason_id <> 'no_axis'",  # that one waits for its axis
    "alerts": "SELECT alert_id, record_id, body FROM alerts",
    "configs": "SELECT node, frame FROM configs",
    "axes": "SELECT node, axis_id, birth FROM axes",
}


@dataclass(slots=True)
class Promised:
    """Everything that was promised so far."""

    records: int = RECORDS  # that each node has
    old: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)

    receipted: dict[str, set[int]] = field(default_factory=lambda: {node: set() for node in NODES})
    alerts: dict[str, bytes] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    configs: dict[str, int] = field(default_factory=dict)
    counted: int = 0
    evicting: bool = False  # frames may be empty and rows gone, but of what alerts stand on

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
            case ("evicting",):
                self.evicting = True
            case _:
                raise AssertionError(words)

    def copy(self) -> Promised:
        """Return what is promised now, apart from what will be."""
        return copy.deepcopy(self)


def of_older(content: bytes) -> Promised:
    """Return what the journal of an earlier gateway has promised."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        path.write_bytes(content)
        connection = apsw.Connection(str(path))
        old = {table: set(connection.execute(question)) for table, question in OLD.items()}
        connection.close()
    return Promised(old=old)


@functools.cache
def expected_alerts(seed: int, records: int = RECORDS) -> dict[str, bytes]:
    """Return the alerts that a whole story makes."""
    found = {}
    for node in NODES:
        for seq in range(1, records + 1):
            record = wire.decode(players.frame_of(node, seq, seed))
            is_sample = isinstance(record, wire.Reading) and record.role == messages.ROLE_SAMPLE
            if is_sample and (players.is_alarm(seq) or seq == RAISED_SEQ):
                found[alerting.alert_id(POST, node, record)] = players.body_of(node, record)
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
    post = Post(folder, seed, lambda *_: None, promised.records)
    post.freed = copy.deepcopy(promised.receipted)  # nodes send no more what a receipt covered
    await post.open()
    try:
        insist([f"corrupt: {text}" for name, text in post.told if name == "journal_damaged"])
        insist(await post.read(lambda connection: _faults(connection, promised, seed)))
        if not finish:
            return
        await post.finish()
        await insist_whole(post, promised, seed)
        again = promised.delivered & set(post.authority.kept)
        insist([f"delivered alerts are sent again: {sorted(again)}"] if again else [])
    finally:
        await post.close()


async def insist_whole(post: Post, promised: Promised, seed: int) -> None:
    """Insist that a post has come to the end of its story, with all that was promised before.

    Args:
        post: running.
        promised: by whatever gateway ran before it.
        seed: of the story.

    Raises:
        BrokenPromiseError: it has not.
    """
    insist(await post.read(lambda connection: _faults(connection, promised, seed)))
    whole = Promised(
        receipted={node: set(range(1, promised.records + 1)) for node in NODES},
        alerts=expected_alerts(seed, promised.records),
        delivered=set(expected_alerts(seed, promised.records)),
        records=promised.records,
        evicting=promised.evicting,
        old=promised.old,
    )
    insist(await post.read(lambda connection: _faults(connection, whole, seed)))
    insist(await post.read(lambda connection: _leftovers(connection, promised.records)))


def insist(faults: Iterable[str]) -> None:
    """Raise what a disk or a post has wrongly, if there is any.

    Raises:
        BrokenPromiseError: there is.
    """
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
    for table, rows in promised.old.items():
        found = set(connection.execute(OLD[table]))
        if rows - found:
            faults.append(f"lost: {len(rows - found)} rows of the older {table}")
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
    needed = {1, *(seq for seq in range(1, promised.records + 1) if players.is_alarm(seq))}
    gone = _deleted(connection, node) - needed if promised.evicting else set()
    found = {row[0] for row in rows} | gone
    lost = promised.receipted[node] - found
    if lost:
        faults.append(f"lost: receipted readings {sorted(lost)} of {node}")
    ledger = records.read_ledger(connection, node, JOURNAL)
    untrue = set(range(1, ledger.seq + 1)) - found
    if untrue:
        faults.append(f"lost: the next receipt of {node} would cover {sorted(untrue)}")
    for seq, frame, is_pending, is_judged, is_standard in rows:
        is_evicted = promised.evicting and not frame and seq not in needed
        if not is_evicted and frame != players.frame_of(node, seq, seed):
            faults.append(f"changed: frame {seq} of {node}")
        is_wanted = records.is_spectrum(wire.decode(players.frame_of(node, seq, seed)))
        if is_wanted != (is_pending or is_judged or is_standard):
            faults.append(f"forgotten: reading {seq} of {node} is neither judged nor to be judged")
    return faults + config_faults(connection, node, at_least=promised.configs.get(node, 0))


def config_faults(connection: apsw.Connection, node: str, *, at_least: int) -> list[str]:
    """Return what is wrong with the version of a node's config."""
    row = connection.execute("SELECT frame FROM configs WHERE node = ?", (node,)).fetchone()
    kept = records.read_frame(row[0]) if row else None
    version = kept.version if isinstance(kept, wire.Config) else 0
    if version >= at_least:
        return []
    return [f"lost: config {at_least} of {node}, there is {version}"]


def _deleted(connection: apsw.Connection, node: str) -> set[int]:
    """Return the numbers that count as committed although their rows may be gone."""
    question = "SELECT evicted_seq FROM journals WHERE node = ? AND journal_id = ?"
    rows = connection.execute(question, (node, JOURNAL)).fetchall()
    return set(range(1, rows[0][0] + 1)) if rows else set()


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
    ((deleted,),) = connection.execute("SELECT ifnull(sum(deleted), 0) FROM retention").fetchall()
    ((rows,),) = connection.execute("SELECT count(*) FROM records").fetchall()
    if sum(kept.get("record", {}).values()) != rows + deleted:
        faults.append(f"wrong: tallies {kept.get('record')}, there are {rows} and {deleted} gone")
    for name, question in (
        ("pending", "SELECT node, count(*) FROM pending GROUP BY node"),
        ("verdict", "SELECT verdict, count(*) FROM verdicts GROUP BY verdict"),
        ("alert_made", "SELECT '', count(*) FROM alerts"),
        ("alert_delivered", "SELECT '', count(receipt) FROM alerts"),
    ):
        told = {subject: count for subject, count in kept.get(name, {}).items() if count}
        found = {subject: count for subject, count in connection.execute(question) if count}
        if told != found and not (deleted and name == "verdict"):
            faults.append(f"wrong: tallies {name} {told}, there are {found}")
    return faults


def _leftovers(connection: apsw.Connection, records: int) -> list[str]:
    """Return what a story at its end has not done, or has done twice."""
    ours = f"node IN {NODES}"
    ((gone,),) = connection.execute("SELECT ifnull(sum(deleted), 0) FROM retention").fetchall()
    faults = []
    for table, question in (
        ("pending", "SELECT count(*) FROM pending"),
        ("waiting", "SELECT count(*) FROM alerts WHERE receipt IS NULL"),
        ("records", f"SELECT count(*) + {gone} - {records * len(NODES)} FROM records WHERE {ours}"),
        ("runs", "SELECT ended_ms IS NULL FROM rejudgings ORDER BY id DESC LIMIT 1"),
        ("doubled", "SELECT count(*) - count(DISTINCT record_id) FROM alerts"),
    ):
        ((count,),) = connection.execute(question).fetchall()
        if count:
            faults.append(f"at the end: {count} {table}")
    rows = connection.execute(
        f"SELECT alert_id FROM alerts a JOIN records r ON r.id = a.record_id WHERE {ours}"
    ).fetchall()
    if len(rows) != len(expected_alerts(0, records)):
        faults.append(f"at the end: {len(rows)} alerts")
    return faults
