"""What is written to and read from the journal: operations for `Journal.write`, rows for readers.

Every function with a `connection` runs inside the writer's transaction.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw
import msgspec

from gateway import wire
from protocol.delivery import Ledger

if TYPE_CHECKING:
    from gateway.journal.store import Journal


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record as it came in: decoded, and the frame to keep."""

    node: str
    record: wire.Record
    frame: bytes
    received_ms: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed reading that awaits its verdict."""

    record_id: int
    node: str
    received_ms: int
    reading: wire.Reading


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert in the outbox without a receipt."""

    alert_id: str
    body: bytes
    attempts: int


def insert_arrivals(connection: apsw.Connection, arrivals: list[Arrival]) -> list[bool]:
    """Commit records; say of each whether it is new. A sample goes to the judges."""
    fresh = []
    for arrival in arrivals:
        record = arrival.record
        kind = record.__struct_config__.tag
        row = connection.execute(
            "INSERT INTO records (node, journal_id, seq, kind, received_ms, frame)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
            (arrival.node, record.journal_id, record.seq, kind, arrival.received_ms, arrival.frame),
        ).fetchone()
        fresh.append(row is not None)
        if row is not None and is_sample(record):
            connection.execute("INSERT INTO pending (record_id) VALUES (?)", row)
    return fresh


def is_sample(record: wire.Record) -> bool:
    """Say whether a record is a spectrum that needs a verdict."""
    return isinstance(record, wire.Reading) and record.role == 0


def save_floor(connection: apsw.Connection, node: str, journal_id: bytes, seq: int) -> None:
    """Keep how far a journal is complete; it never goes back."""
    connection.execute(
        "INSERT INTO journals (node, journal_id, seq) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        (node, journal_id, seq),
    )


def read_ledgers(journal: "Journal") -> dict[tuple[str, bytes], Ledger]:
    """Rebuild every journal's ledger from what is committed."""
    ledgers = {
        (node, journal_id): Ledger(seq)
        for node, journal_id, seq in journal.read("SELECT node, journal_id, seq FROM journals")
    }
    rows = journal.read(
        "SELECT r.node, r.journal_id, r.seq FROM records r LEFT JOIN journals j"
        " ON j.node = r.node AND j.journal_id = r.journal_id"
        " WHERE r.seq > coalesce(j.seq, 0) ORDER BY r.seq"
    )
    for node, journal_id, seq in rows:
        ledgers.setdefault((node, journal_id), Ledger()).commit(seq)
    return ledgers


def save_birth(
    connection: apsw.Connection, node: str, birth: wire.Birth, frame: bytes, seen_ms: int
) -> bool:
    """Keep a node's birth and its axis; say whether the axis is new.

    A new axis sends readings that could not be judged without it back to the judges.
    """
    connection.execute(
        "INSERT INTO nodes (node, birth, online, seen_ms) VALUES (?, ?, 1, ?)"
        " ON CONFLICT DO UPDATE SET birth = excluded.birth, online = 1, seen_ms = excluded.seen_ms",
        (node, frame, seen_ms),
    )
    if birth.axis_id is None:
        return False
    connection.execute(
        "INSERT INTO axes (node, axis_id, birth) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (node, birth.axis_id, frame),
    )
    if not connection.changes():
        return False
    connection.execute(
        "INSERT OR IGNORE INTO pending (record_id) SELECT v.record_id FROM verdicts v"
        " JOIN records r ON r.id = v.record_id"
        " WHERE r.node = ? AND v.reason_id = 'axis_unknown'",
        (node,),
    )
    return True


def save_health(connection: apsw.Connection, node: str, frame: bytes, seen_ms: int) -> None:
    """Keep the newest health of a node."""
    connection.execute(
        "INSERT INTO nodes (node, health, online, seen_ms) VALUES (?, ?, 1, ?)"
        " ON CONFLICT DO UPDATE SET health = excluded.health, online = 1,"
        " seen_ms = excluded.seen_ms",
        (node, frame, seen_ms),
    )


def save_presence(connection: apsw.Connection, node: str, seen_ms: int, *, online: bool) -> None:
    """Keep whether a node is connected."""
    connection.execute(
        "INSERT INTO nodes (node, online, seen_ms) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET online = excluded.online, seen_ms = excluded.seen_ms",
        (node, int(online), seen_ms),
    )


def save_config(connection: apsw.Connection, node: str, wanted: wire.Config) -> wire.Config:
    """Return the config to send: the kept one, or `wanted` with the next version if it differs."""
    row = connection.execute("SELECT frame FROM configs WHERE node = ?", (node,)).fetchone()
    version = 1
    if row is not None:
        kept = wire.decode(row[0])
        if isinstance(kept, wire.Config):
            if msgspec.structs.replace(wanted, version=kept.version) == kept:
                return kept
            version = kept.version + 1
    config = msgspec.structs.replace(wanted, version=version)
    connection.execute(
        "INSERT INTO configs (node, frame) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET frame = excluded.frame",
        (node, wire.encode(config)),
    )
    return config


def read_pending(journal: "Journal", count_max: int) -> list[Pending]:
    """Return readings that await a verdict: each node's in order, the nodes taking turns."""
    rows = journal.read(
        "WITH turn AS (SELECT p.record_id AS id,"
        " row_number() OVER (PARTITION BY r.node ORDER BY p.record_id) AS place"
        " FROM pending p JOIN records r ON r.id = p.record_id ORDER BY place, p.record_id LIMIT ?)"
        " SELECT r.id, r.node, r.received_ms, r.frame FROM turn JOIN records r ON r.id = turn.id"
        " ORDER BY turn.place, r.id",
        (count_max,),
    )
    pending = []
    for record_id, node, received_ms, frame in rows:
        reading = wire.decode(frame)
        if isinstance(reading, wire.Reading):
            pending.append(Pending(record_id, node, received_ms, reading))
    return pending


def read_axis_birth(journal: "Journal", node: str, axis_id: bytes) -> wire.Birth | None:
    """Return the birth that brought an axis, or None."""
    rows = journal.read("SELECT birth FROM axes WHERE node = ? AND axis_id = ?", (node, axis_id))
    birth = wire.decode(rows[0][0]) if rows else None
    return birth if isinstance(birth, wire.Birth) else None


def read_dark(journal: "Journal", node: str, reading: wire.Reading) -> wire.Reading | None:
    """Return the dark frame that a reading names, if it is committed and is one."""
    if reading.dark_seq is None:
        return None
    rows = journal.read(
        "SELECT frame FROM records WHERE node = ? AND journal_id = ? AND seq = ?",
        (node, reading.journal_id, reading.dark_seq),
    )
    dark = wire.decode(rows[0][0]) if rows else None
    return dark if isinstance(dark, wire.Reading) and dark.role == 1 else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict as it is kept, with the alert it causes."""

    record_id: int
    verdict: str
    reason_id: str
    explanation: bytes
    judged_ms: int
    alert_id: str | None = None
    alert_body: bytes | None = None


def insert_judgement(connection: apsw.Connection, judgement: Judgement) -> bool:
    """Keep a verdict and its alert in one step; say whether the alert is new."""
    connection.execute(
        "INSERT INTO verdicts (record_id, verdict, reason_id, explanation, judged_ms)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET verdict = excluded.verdict,"
        " reason_id = excluded.reason_id, explanation = excluded.explanation,"
        " judged_ms = excluded.judged_ms",
        (
            judgement.record_id,
            judgement.verdict,
            judgement.reason_id,
            judgement.explanation,
            judgement.judged_ms,
        ),
    )
    connection.execute("DELETE FROM pending WHERE record_id = ?", (judgement.record_id,))
    if judgement.alert_id is None:
        return False
    connection.execute(
        "INSERT INTO alerts (alert_id, record_id, body, created_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (judgement.alert_id, judgement.record_id, judgement.alert_body, judgement.judged_ms),
    )
    return bool(connection.changes())


def read_waiting(journal: "Journal", count_max: int) -> list[Waiting]:
    """Return alerts without a receipt: the least tried first, so that none holds up the others."""
    rows = journal.read(
        "SELECT alert_id, body, attempts FROM alerts WHERE receipt IS NULL"
        " ORDER BY attempts, created_ms, alert_id LIMIT ?",
        (count_max,),
    )
    return [Waiting(*row) for row in rows]


def save_receipt(
    connection: apsw.Connection, alert_id: str, receipt: bytes, receipt_ms: int
) -> None:
    """Note the authority's receipt: the alert is delivered."""
    connection.execute(
        "UPDATE alerts SET receipt = ?, receipt_ms = ?, attempts = attempts + 1, fault = ''"
        " WHERE alert_id = ? AND receipt IS NULL",
        (receipt, receipt_ms, alert_id),
    )


def save_attempt(connection: apsw.Connection, alert_id: str, fault: str) -> None:
    """Note a failed delivery; the alert stays."""
    connection.execute(
        "UPDATE alerts SET attempts = attempts + 1, fault = ? WHERE alert_id = ?",
        (fault[:500], alert_id),
    )


def save_counters(connection: apsw.Connection, counts: dict[tuple[str, str], int]) -> None:
    """Add what was counted since the last time."""
    for (name, node), count in counts.items():
        connection.execute(
            "INSERT INTO counters (name, node, count) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (name, node, count),
        )
