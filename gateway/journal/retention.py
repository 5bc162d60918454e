"""What goes when the journal has reached its bytes or its days, and what never does.

Two stages. First a record's frame and explanation are emptied, and its row stays: it says that the
record was committed, so it is not taken for new when it comes again. Only beyond ROWS_MAX rows are
emptied ones deleted, the oldest first, and `journals.evicted_seq` says so in their place.

The least valuable goes first, of these the oldest: dark frames that no kept reading needs; clear
readings and old standards; inconclusive readings and events. Never: the readings behind alerts and
their darks, what awaits its verdict, the newest standards of each axis, each node's newest dark,
and what has only just come.

Everything here runs in the writer's transaction, in steps that take some milliseconds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import apsw

from gateway.journal import worth

Rows = Iterable[tuple[Any, ...]]

STEP_RECORDS: Final = 100  # emptied in one step: 20 ms of the writer
LOOKED_AT_MAX: Final = 1_000  # in one step, for these
FRESH_RECORDS: Final = 4_096  # the newest: a reading may be under way to the dark it needs
ROWS_MAX: Final = 2_000_000  # emptied rows are 120 bytes
SPARE_BYTES: Final = 8_000_000  # free in the file: some thousand readings, also on a full disk
STANDARDS_KEPT: Final = 4  # of each axis: the one in force, and what came before it
DAY_MS: Final = 86_400_000

_KINDS: Final = {worth.DARK: "dark", worth.CLEAR: "clear", worth.INCONCLUSIVE: "inconclusive"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes:
        bytes_max: of the database, without its log; the file itself never shrinks.
        days_max: since a record was received.
    """

    bytes_max: int
    days_max: int


@dataclass(slots=True)
class Evicted:
    """What one step did.

    Attributes:
        counts: frames emptied, by what they were.
        frame_bytes: that they had.
        deleted: rows.
        is_over: more bytes are in use than may be.
        is_short: the disk is short of room, and the file has too few free pages for readings.
        is_stuck: nothing is left that may go for either.
        swept: of each rank the record up to which it was looked for old ones; 0: all of it.
    """

    counts: Counter[str] = field(default_factory=Counter)
    frame_bytes: int = 0
    deleted: int = 0
    is_over: bool = False
    is_short: bool = False
    is_stuck: bool = False
    swept: dict[int, int] = field(default_factory=dict)


def used_bytes(connection: apsw.Connection) -> int:
    """Return how much of the database is in use."""
    pages = connection.pragma("page_count") - connection.pragma("freelist_count")
    return int(pages * connection.pragma("page_size"))


def spare_bytes(connection: apsw.Connection) -> int:
    """Return how much can be written before the file grows."""
    return int(connection.pragma("freelist_count") * connection.pragma("page_size"))


def evict(
    connection: apsw.Connection,
    now_ms: int,
    limits: Limits,
    *,
    is_tight: bool = False,
    swept: Mapping[int, int] = MappingProxyType({}),
) -> Evicted:
    """Do one step, if there is anything to do.

    Args:
        connection: in the writer's transaction.
        now_ms: wall clock, Unix milliseconds. It may be wrong: whoever calls bounds the pace at
            which records go for their age only.
        limits: by the settings.
        is_tight: the disk is short of room; then free pages of the file take the readings.
        swept: what the last step for age said.
    """
    step = Evicted(
        is_over=used_bytes(connection) > limits.bytes_max,
        is_short=is_tight and spare_bytes(connection) < 2 * SPARE_BYTES,
    )
    is_for_room = step.is_over or step.is_short
    connection.pragma("defer_foreign_keys", value=True)  # until the end of this transaction
    fresh_id = _top_id(connection) - FRESH_RECORDS
    oldest_ms = None if is_for_room else now_ms - limits.days_max * DAY_MS
    left, looked_at = STEP_RECORDS, 0
    for rank, kind in _KINDS.items():
        if oldest_ms is None:
            candidates = _candidates(connection, rank, fresh_id)
        else:
            candidates, step.swept[rank] = _aged(
                connection, rank, fresh_id, oldest_ms, swept.get(rank, 0)
            )
        for record_id in candidates:
            looked_at += 1
            if not left or looked_at > LOOKED_AT_MAX:
                break
            size = _empty(connection, record_id)
            if size is not None:
                left -= 1
                step.counts[kind] += 1
                step.frame_bytes += size
    step.deleted = _delete(connection, fresh_id)
    step.is_stuck = is_for_room and looked_at == 0 and not step.deleted
    if step.counts or step.deleted:
        _note(connection, step, now_ms)
    return step


def _top_id(connection: apsw.Connection) -> int:
    tops: Rows = connection.execute("SELECT ifnull(max(id), 0) FROM records")
    ((top,),) = tops
    return int(top)


def _candidates(connection: apsw.Connection, rank: int, fresh_id: int) -> list[int]:
    """Return the oldest records of a rank that do not await a verdict.

    Args:
        connection: in the writer's transaction.
        rank: see worth.py.
        fresh_id: newer ones are left alone.
    """
    return [record_id for record_id, _ in _ranked(connection, rank, 0, fresh_id, STEP_RECORDS * 2)]


def _aged(
    connection: apsw.Connection, rank: int, fresh_id: int, oldest_ms: int, after_id: int
) -> tuple[list[int], int]:
    """Return records of a rank that were received before `oldest_ms`, and how far was looked.

    They stand first; but one that came while the clock was years ahead would hide all behind it,
    so a further part of the rank is looked through each time.
    """
    if oldest_ms <= 0:
        return [], after_id
    found = _ranked(connection, rank, 0, fresh_id, STEP_RECORDS)
    more = _ranked(connection, rank, after_id, fresh_id, LOOKED_AT_MAX)
    old = {record_id for record_id, received_ms in (*found, *more) if received_ms < oldest_ms}
    return sorted(old), more[-1][0] if len(more) == LOOKED_AT_MAX else 0


def _ranked(
    connection: apsw.Connection, rank: int, after_id: int, fresh_id: int, count: int
) -> list[tuple[int, int]]:
    rows: Rows = connection.execute(
        "SELECT e.record_id, r.received_ms FROM evictable e JOIN records r ON r.id = e.record_id"
        " WHERE e.rank = ?1 AND e.record_id > ?2 AND e.record_id <= ?3"
        " AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.record_id = e.record_id)"
        " AND NOT EXISTS (SELECT 1 FROM darks d WHERE d.record_id = e.record_id)"
        " ORDER BY e.record_id LIMIT ?4",
        (rank, after_id, fresh_id, count),
    )
    return [(int(record_id), int(received_ms)) for record_id, received_ms in rows]


def _empty(connection: apsw.Connection, record_id: int) -> int | None:
    """Empty a record, unless something kept needs it; return the size of its frame.

    What is needed has no rank from then on. It gets one when it is needed no more.
    """
    row = connection.execute(
        "SELECT node, journal_id, seq, kind, received_ms, crc, length(frame), dark_seq"
        " FROM records WHERE id = ?",
        (record_id,),
    ).fetchone()
    worth.rank(connection, record_id, None)
    if row is None or _is_needed(connection, record_id, *row[:3]):
        return None
    *columns, size, dark_seq = row
    node, journal_id = row[:2]
    for table in ("rejudged", "unrecorded"):
        connection.execute(f"DELETE FROM {table} WHERE record_id = ?", (record_id,))  # noqa: S608
    # Deleted and put in again: a row that is made shorter where it lies leaves its page in use.
    connection.execute("DELETE FROM records WHERE id = ?", (record_id,))
    connection.execute(
        "INSERT INTO records (id, node, journal_id, seq, kind, received_ms, crc, frame)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, x'')",
        (record_id, *columns),
    )
    _empty_verdict(connection, record_id)
    if dark_seq is not None:
        _release(connection, node, journal_id, dark_seq)
    return int(size)


def _empty_verdict(connection: apsw.Connection, record_id: int) -> None:
    row = connection.execute(
        "DELETE FROM verdicts WHERE record_id = ? RETURNING verdict, reason_id, judged_ms",
        (record_id,),
    ).fetchone()
    if row is not None:
        connection.execute(
            "INSERT INTO verdicts (record_id, verdict, reason_id, judged_ms, explanation)"
            " VALUES (?, ?, ?, ?, x'')",
            (record_id, *row),
        )


def _is_needed(
    connection: apsw.Connection, record_id: int, node: str, journal_id: bytes, seq: int
) -> bool:
    """Say whether an alert, a kept reading or an instrument needs a record."""
    ((is_needed,),) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM alerts WHERE record_id = ?1)"
        " OR EXISTS (SELECT 1 FROM records WHERE node = ?2 AND journal_id = ?3 AND dark_seq = ?4)"
        " OR EXISTS (SELECT 1 FROM calibrations k WHERE k.record_id = ?1 AND (SELECT count(*) FROM"
        "  (SELECT 1 FROM calibrations n WHERE n.node = k.node AND n.axis_id = k.axis_id"
        "  AND n.record_id > k.record_id LIMIT ?5)) < ?5)"
        " OR EXISTS (SELECT 1 FROM responses k WHERE k.record_id = ?1 AND (SELECT count(*) FROM"
        "  (SELECT 1 FROM responses n WHERE n.node = k.node AND n.axis_id = k.axis_id"
        "  AND n.record_id > k.record_id LIMIT ?5)) < ?5)",
        (record_id, node, journal_id, seq, STANDARDS_KEPT),
    ).fetchall()
    return bool(is_needed)


def _release(connection: apsw.Connection, node: str, journal_id: bytes, dark_seq: int) -> None:
    """Let the dark frame go that an emptied reading needed, unless another one does."""
    row = connection.execute(
        "SELECT id FROM records r WHERE node = ?1 AND journal_id = ?2 AND seq = ?3"
        " AND length(frame) > 0 AND NOT EXISTS (SELECT 1 FROM records s"
        " WHERE s.node = ?1 AND s.journal_id = ?2 AND s.dark_seq = ?3)",
        (node, journal_id, dark_seq),
    ).fetchone()
    if row is not None:
        worth.rank(connection, row[0], worth.DARK)


def _delete(connection: apsw.Connection, fresh_id: int) -> int:
    """Delete the oldest emptied rows, when there are too many; return how many went."""
    counts: Rows = connection.execute(
        "SELECT (SELECT ifnull(sum(count), 0) FROM tallies WHERE name = 'record')"
        " - ifnull((SELECT deleted FROM retention), 0), ifnull((SELECT next_id FROM retention), 0)"
    )
    ((rows, next_id),) = counts
    if rows <= ROWS_MAX:
        return 0
    found = _look_at_rows(connection, next_id, fresh_id)
    if not found:  # from the beginning, where some may be free now
        found = _look_at_rows(connection, 0, fresh_id)
    gone = [row for row in found if row[4]][: min(STEP_RECORDS, rows - ROWS_MAX)]
    for record_id, node, journal_id, seq, _ in gone:
        for table in ("verdicts", "rejudged", "unrecorded"):
            connection.execute(f"DELETE FROM {table} WHERE record_id = ?", (record_id,))  # noqa: S608
        worth.rank(connection, record_id, None)
        connection.execute("DELETE FROM records WHERE id = ?", (record_id,))
        connection.execute(
            "UPDATE journals SET evicted_seq = max(evicted_seq, ?) WHERE node = ? AND"
            " journal_id = ?",
            (seq, node, journal_id),
        )
    last = (gone if len(gone) == STEP_RECORDS else found)[-1:]
    _save(connection, next_id=last[0][0] + 1 if last else 0)
    return len(gone)


def _look_at_rows(
    connection: apsw.Connection, next_id: int, fresh_id: int
) -> list[tuple[Any, ...]]:
    """Return the next rows, and of each whether it may be deleted."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT r.id, r.node, r.journal_id, r.seq, length(r.frame) = 0 AND r.seq <= j.seq"
        " AND NOT EXISTS (SELECT 1 FROM alerts WHERE record_id = r.id)"
        " AND NOT EXISTS (SELECT 1 FROM pending WHERE record_id = r.id)"
        " AND NOT EXISTS (SELECT 1 FROM darks WHERE record_id = r.id)"
        " AND NOT EXISTS (SELECT 1 FROM calibrations WHERE record_id = r.id)"
        " AND NOT EXISTS (SELECT 1 FROM responses WHERE record_id = r.id)"
        " FROM records r LEFT JOIN journals j ON j.node = r.node AND j.journal_id = r.journal_id"
        " WHERE r.id >= ? AND r.id <= ? ORDER BY r.id LIMIT ?",
        (next_id, fresh_id, LOOKED_AT_MAX),
    ).fetchall()
    return rows


def _note(connection: apsw.Connection, step: Evicted, now_ms: int) -> None:
    _save(connection)
    connection.execute(
        "UPDATE retention SET evicted = evicted + ?, bytes = bytes + ?, deleted = deleted + ?,"
        " evicted_ms = ?",
        (step.counts.total(), step.frame_bytes, step.deleted, now_ms),
    )


def _save(connection: apsw.Connection, next_id: int | None = None) -> None:
    connection.execute(
        "INSERT INTO retention (id, next_id) VALUES (1, ifnull(?1, 0))"
        " ON CONFLICT DO UPDATE SET next_id = ifnull(?1, next_id)",
        (next_id,),
    )
