"""What is written to and read from the journal.

Functions that `insert`, `save`, `raise` or `forget` run inside the writer's transaction
(`Journal.write`), functions that `read` also on the reader's connection (`Journal.read`).
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apsw
import msgspec

from gateway import wire
from gateway.journal import healths, worth
from protocol import limits, messages
from protocol.delivery import Ledger
from protocol.errors import ProtocolError

Rows = Iterable[tuple[Any, ...]]

WANT_CALIBRATION = frozenset(
    {"not_calibrated", "calibration_expired", "calibration_failed", "uncalibrated_listed"}
)
"""Reasons of a verdict that waits for a calibration; an index of schema.sql names them too."""

PROVISIONAL = WANT_CALIBRATION | {"no_axis"}
"""Reasons of a verdict that says itself what it waits for: the next one takes its place."""

COUNT_MAX = 1 << 53  # where a counter stops; exact in JSON, and far from SQLite's own bound


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed reading that awaits its verdict, or a standard that awaits its evaluation.

    Attributes:
        reading: None when the frame cannot be decoded any more: a damaged file, or a stricter
            version of the protocol.
        is_told: it has a verdict that an officer may have acted upon, which is not replaced.
        is_damaged: the frame has other bytes than it came with; `reading` is None then.
    """

    record_id: int
    node: str
    received_ms: int
    reading: wire.Reading | None
    is_told: bool = False
    is_damaged: bool = False


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


# ------------------------------------------------------------------------------ records and ledgers


def insert_record(
    connection: apsw.Connection, node: str, record: wire.Record, frame: bytes, received_ms: int
) -> bool:
    """Commit a record and say whether it is new. A new spectrum goes to the judges."""
    row = connection.execute(
        "INSERT INTO records (node, journal_id, seq, kind, received_ms, frame, crc, dark_seq)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS"  # its row may be gone
        " (SELECT 1 FROM journals WHERE node = ?1 AND journal_id = ?2 AND evicted_seq >= ?3)"
        " ON CONFLICT DO NOTHING RETURNING id",
        (
            node,
            record.journal_id,
            record.seq,
            record.__struct_config__.tag,
            received_ms,
            frame,
            zlib.crc32(frame),
            getattr(record, "dark_seq", None) if is_spectrum(record) else None,
        ),
    ).fetchone()
    if row is None:
        return False
    if is_spectrum(record):
        connection.execute("INSERT INTO pending (node, record_id) VALUES (?, ?)", (node, row[0]))
    else:
        is_dark = isinstance(record, wire.Reading)
        worth.rank_new(connection, row[0], worth.DARK if is_dark else worth.INCONCLUSIVE)
    return True


def read_is_same(connection: apsw.Connection, node: str, record: wire.Record, frame: bytes) -> bool:
    """Say whether a record that came again has the bytes it had the first time (SPEC.md 6.1).

    Of one that was evicted the checksum is known, of one whose row is gone nothing.
    """
    row = connection.execute(
        "SELECT frame, crc FROM records WHERE node = ? AND journal_id = ? AND seq = ?",
        (node, record.journal_id, record.seq),
    ).fetchone()
    if row is None or row[0]:
        return row is None or row[0] == frame
    return row[1] is None or row[1] == zlib.crc32(frame)


def is_damaged(frame: bytes, crc: int | None) -> bool:
    """Say whether a kept frame has other bytes than it came with; an evicted one has none."""
    return bool(frame) and crc is not None and zlib.crc32(frame) != crc


def is_spectrum(record: wire.Record) -> bool:
    """Say whether a record is a spectrum to evaluate: a sample, or a calibration standard."""
    return isinstance(record, wire.Reading) and record.role != messages.ROLE_DARK


def save_floor(connection: apsw.Connection, node: str, journal_id: bytes, seq: int) -> None:
    """Keep how far a journal is complete; it never goes back."""
    connection.execute(
        "INSERT INTO journals (node, journal_id, seq) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        (node, journal_id, seq),
    )


def raise_floor(connection: apsw.Connection, node: str, journal_id: bytes, oldest_seq: int) -> int:
    """Keep a node's word that nothing below `oldest_seq` will come.

    Returns:
        How many records are lost: below it, above the floor before, and not committed. Of a journal
        that is seen for the first time nothing is known, so nothing of it is lost.
    """
    floor = oldest_seq - 1
    row = connection.execute(
        "SELECT seq FROM journals WHERE node = ? AND journal_id = ?", (node, journal_id)
    ).fetchone()
    save_floor(connection, node, journal_id, floor)
    if row is None or floor <= row[0]:
        return 0
    ((committed,),) = connection.execute(
        "SELECT count(*) FROM records WHERE node = ? AND journal_id = ? AND seq > ? AND seq <= ?",
        (node, journal_id, row[0], floor),
    ).fetchall()
    return int(floor - row[0] - committed)


def read_ledger(connection: apsw.Connection, node: str, journal_id: bytes) -> Ledger:
    """Rebuild a journal's ledger from what is committed."""
    row = connection.execute(
        "SELECT seq FROM journals WHERE node = ? AND journal_id = ?", (node, journal_id)
    ).fetchone()
    ledger = Ledger(row[0] if row else 0)
    for (seq,) in connection.execute(
        "SELECT seq FROM records WHERE node = ? AND journal_id = ? AND seq > ? ORDER BY seq",
        (node, journal_id, ledger.seq),
    ):
        ledger.commit(seq)
    return ledger


# -------------------------------------------------------------------------------------------- nodes


def save_birth(
    connection: apsw.Connection, node: str, birth: wire.Birth, frame: bytes, seen_ms: int | None
) -> bool:
    """Keep a node's birth and its axis; say whether readings can now be judged that could not.

    Args:
        connection: in the writer's transaction.
        node: who is born.
        birth: decoded from `frame`.
        frame: as it came.
        seen_ms: None when the broker had retained it, which says nothing about now.
    """
    connection.execute(
        "INSERT INTO nodes (node, boot_id, birth, online, seen_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT DO UPDATE SET boot_id = ?2, birth = ?3, online = max(online, ?4),"
        " seen_ms = coalesce(?5, seen_ms)",
        (node, birth.boot_id, frame, int(seen_ms is not None), seen_ms),
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
        # CROSS JOIN: from the few without an axis, not from everything that the node ever sent.
        "INSERT OR IGNORE INTO pending (node, record_id) SELECT r.node, r.id FROM"
        " (SELECT record_id FROM verdicts WHERE reason_id = 'no_axis'"
        " UNION SELECT record_id FROM calibrations WHERE fault = 'no_axis' AND node = ?1) w"
        " CROSS JOIN records r ON r.id = w.record_id"
        " WHERE r.node = ?1 AND length(r.frame) > 0",
        (node,),
    )
    return bool(connection.changes())


def save_health(connection: apsw.Connection, node: str, frame: bytes, seen_ms: int | None) -> None:
    """Keep a health of a node, the newest one and those before; `seen_ms` as in `save_birth`."""
    connection.execute(
        "INSERT INTO nodes (node, health, online, seen_ms) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT DO UPDATE SET health = ?2, online = max(online, ?3),"
        " seen_ms = coalesce(?4, seen_ms)",
        (node, frame, int(seen_ms is not None), seen_ms),
    )
    if seen_ms is not None:
        healths.insert_health(connection, node, frame, seen_ms)


def save_status(
    connection: apsw.Connection, node: str, status: wire.Status, seen_ms: int | None
) -> bool:
    """Keep whether a node is connected; say whether that is news of its newest boot.

    An offline status of another boot is the late will of an earlier one (SPEC.md 5.6).
    """
    row = connection.execute("SELECT boot_id FROM nodes WHERE node = ?", (node,)).fetchone()
    if not status.online and row is not None and row[0] not in {None, status.boot_id}:
        return False
    connection.execute(
        "INSERT INTO nodes (node, online, seen_ms) VALUES (?1, ?2, ?3)"
        " ON CONFLICT DO UPDATE SET online = ?2, seen_ms = coalesce(?3, seen_ms)",
        (node, int(status.online), seen_ms),
    )
    return True


def forget_presence(connection: apsw.Connection) -> None:
    """Take no node for connected: each says so itself, or its retained status does."""
    connection.execute("UPDATE nodes SET online = 0")


def move_presence(connection: apsw.Connection, step_ms: int, now_ms: int) -> None:
    """Move when nodes were heard, because the clock was set by `step_ms` and now says `now_ms`."""
    connection.execute(
        "UPDATE nodes SET seen_ms = max(min(seen_ms + ?1, ?2), 0) WHERE ?1 > 0 OR seen_ms > ?2",
        (step_ms, now_ms),
    )


def read_births(connection: apsw.Connection) -> dict[str, wire.Birth]:
    """Return the newest birth of every node that has one."""
    births = {}
    rows: Rows = connection.execute("SELECT node, birth FROM nodes WHERE birth IS NOT NULL")
    for node, frame in rows:
        birth = read_frame(frame)
        if isinstance(birth, wire.Birth):
            births[node] = birth
    return births


def read_frame(frame: bytes | None) -> wire.Message | None:
    """Return the message in a kept frame; None without one, or when it is not valid any more."""
    try:
        return None if frame is None else wire.decode(frame)
    except ProtocolError:
        return None


def save_config(
    connection: apsw.Connection,
    node: str,
    wanted: wire.Config,
    now_s: int,
    confirmed: int | None = None,
) -> wire.Config:
    """Return the config to send: the kept one, or `wanted` with a new version if it differs.

    A kept one that the node has not confirmed gets a new version as well: the node may have taken
    it back, and would pass over that version for ever (SPEC.md 9.5).

    A version must differ from every earlier one (SPEC.md 3.13), also from those of a journal that
    was lost: it is the moment of the change, Unix seconds, or one more than the last.

    Args:
        connection: of the journal, in a transaction.
        node: to be configured.
        wanted: by the settings; its version is a placeholder.
        now_s: Unix seconds.
        confirmed: version that the node's newest birth names; None: it was never born.
    """
    row = connection.execute("SELECT frame FROM configs WHERE node = ?", (node,)).fetchone()
    kept = read_frame(row[0]) if row else None
    version = now_s
    if isinstance(kept, wire.Config):
        is_kept = confirmed is None or confirmed == kept.version
        if is_kept and msgspec.structs.replace(wanted, version=kept.version) == kept:
            return kept
        version = max(now_s, kept.version + 1)
    config = msgspec.structs.replace(wanted, version=min(max(version, 1), limits.U32_MAX))
    connection.execute(
        "INSERT INTO configs (node, frame) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET frame = excluded.frame",
        (node, wire.encode(config)),
    )
    return config


# ---------------------------------------------------------------------------------------- judgement


def read_heads(connection: apsw.Connection) -> list[tuple[str, int]]:
    """Return of each node that has readings pending the oldest: (node, record_id), by node.

    Costs as much as there are such nodes, however much is pending.
    """
    rows: Rows = connection.execute(
        "WITH RECURSIVE heads (node) AS (SELECT min(node) FROM pending UNION ALL"
        " SELECT (SELECT min(node) FROM pending WHERE node > heads.node) FROM heads"
        " WHERE heads.node IS NOT NULL)"
        " SELECT node, (SELECT min(record_id) FROM pending p WHERE p.node = heads.node) FROM heads"
        " WHERE node IS NOT NULL"
    )
    return [(node, record_id) for node, record_id in rows]


def read_pending_one(connection: apsw.Connection, record_id: int) -> Pending | None:
    """Return a pending reading; None when it is not pending any more."""
    row = connection.execute(
        "SELECT r.node, r.received_ms, r.frame, r.crc, v.reason_id FROM pending p"
        " JOIN records r ON r.id = p.record_id LEFT JOIN verdicts v ON v.record_id = p.record_id"
        " WHERE p.record_id = ?",
        (record_id,),
    ).fetchone()
    if row is None:
        return None
    node, received_ms, frame, crc, reason_id = row
    damaged = is_damaged(frame, crc)
    message = None if damaged else read_frame(frame)
    reading = message if isinstance(message, wire.Reading) else None
    is_told = reason_id is not None and reason_id not in PROVISIONAL
    return Pending(record_id, node, received_ms, reading, is_told, damaged)


def read_axis_birth(connection: apsw.Connection, node: str, axis_id: bytes) -> wire.Birth | None:
    """Return the birth that brought an axis, or None."""
    row = connection.execute(
        "SELECT birth FROM axes WHERE node = ? AND axis_id = ?", (node, axis_id)
    ).fetchone()
    birth = read_frame(row[0]) if row else None
    return birth if isinstance(birth, wire.Birth) else None


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
    worth.rank(connection, judgement.record_id, worth.OF_VERDICTS.get(judgement.verdict))
    return insert_alert(connection, judgement)


def insert_alert(connection: apsw.Connection, judgement: Judgement) -> bool:
    """Put the alert of a judgement into the outbox, if it has one; say whether it is new."""
    if judgement.alert_id is None:
        return False
    connection.execute(
        "INSERT INTO alerts (alert_id, record_id, body, created_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (judgement.alert_id, judgement.record_id, judgement.alert_body, judgement.judged_ms),
    )
    return bool(connection.changes())


# ----------------------------------------------------------------------------------------- counters


def save_counters(connection: apsw.Connection, counts: dict[tuple[str, str], int]) -> None:
    """Add what was counted since the last time."""
    for (name, subject), count in counts.items():
        connection.execute(
            "INSERT INTO counters (name, subject, count) VALUES (?1, ?2, min(?3, ?4))"
            " ON CONFLICT DO UPDATE SET count = min(count + excluded.count, ?4)",
            (name, subject, count, COUNT_MAX),
        )
