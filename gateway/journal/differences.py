"""What re-judging has come to: how far the newest run is, and what runs found different."""

import json
from collections.abc import Iterable
from typing import Any

import apsw
import msgspec

from gateway.journal.records import read_frame
from gateway.journal.rejudgements import Told, told

Rows = Iterable[tuple[Any, ...]]


class Progress(msgspec.Struct, frozen=True):
    """The newest run: the library in use, and what it changed.

    Attributes:
        is_ended: every reading of the last 90 days has been judged again.
        raised: became an alarm.
        lowered: is no alarm any more.
        faults: parts of the library that are not in use and what holds instead, a sentence each.
    """

    library_version: str
    lists_version: str
    started_ms: int
    is_ended: bool
    judged: int
    changed: int
    raised: int
    lowered: int
    failed: int
    faults: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True):
    """One reading that is judged differently than it was.

    Attributes:
        alert_id: of its alert, empty when there is none.
        names: substance id -> English name, as the two verdicts had it.
    """

    node: str
    journal_id: str
    seq: int
    inspection_id: str
    received_ms: int
    rejudged_ms: int
    verdict_before: str
    verdict_after: str
    reason_before: str
    reason_after: str
    hits_before: tuple[str, ...]
    hits_after: tuple[str, ...]
    library_before: str
    library_after: str
    alert_id: str
    names: dict[str, str] = {}


def read_progress(connection: apsw.Connection) -> Progress | None:
    """Return the newest run; None when no gateway with this schema has run yet."""
    rows: Rows = connection.execute(
        "SELECT library_version, lists_version, started_ms, ended_ms IS NOT NULL, judged, changed,"
        " raised, lowered, failed, faults FROM rejudgings ORDER BY id DESC LIMIT 1"
    )
    for row in rows:
        found = dict(zip(Progress.__struct_fields__, row, strict=True))
        found |= {"is_ended": bool(row[3]), "faults": json.loads(row[9])}
        return msgspec.convert(found, Progress)
    return None


def read_differences(connection: apsw.Connection, count_max: int) -> list[Difference]:
    """Return what runs found different, newest run first, alarms first."""
    rows: Rows = connection.execute(
        "SELECT r.node, r.journal_id, r.seq, r.frame, r.received_ms, j.rejudged_ms, j.before,"
        " j.after, a.alert_id FROM rejudged j JOIN records r ON r.id = j.record_id"
        " LEFT JOIN alerts a ON a.record_id = j.record_id"
        " ORDER BY j.run_id DESC, j.verdict_after <> 'alarm', j.record_id DESC LIMIT ?",
        (count_max,),
    )
    return [_difference(row) for row in rows]


def _difference(row: tuple[Any, ...]) -> Difference:
    node, journal_id, seq, frame, received_ms, rejudged_ms, before, after, alert_id = row
    unread = Told("unreadable", "", "")
    old, new = told(before) or unread, told(after) or unread
    inspection = getattr(read_frame(frame), "inspection_id", b"")
    return Difference(
        node=node,
        journal_id=journal_id.hex(),
        seq=seq,
        inspection_id=inspection.hex(),
        received_ms=received_ms,
        rejudged_ms=rejudged_ms,
        verdict_before=old.verdict,
        verdict_after=new.verdict,
        reason_before=old.reason_id,
        reason_after=new.reason_id,
        hits_before=old.substance_ids,
        hits_after=new.substance_ids,
        library_before=old.library_version,
        library_after=new.library_version,
        alert_id=alert_id or "",
        names={hit.substance_id: hit.name for hit in (*old.hits, *new.hits)},
    )
