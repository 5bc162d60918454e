"""Stored readings judged again: runs, how far each is, and what each found different.

`verdicts` keeps what an officer was told. What a later library says of the same reading is a row of
its own, so nothing is ever replaced.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apsw
import msgspec

from gateway import wire
from gateway.journal import worth
from gateway.journal.darks import is_dark_evicted
from gateway.journal.records import Judgement, insert_alert, is_damaged, read_frame

Rows = Iterable[tuple[Any, ...]]

OLD_IN_ROW_MAX = 1_024
"""Readings follow each other in time but for faults of the clock: after so many that are too old
the rest is older."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run through the stored readings.

    Attributes:
        run_id: rises with every run.
        since_ms: readings received before are left alone.
        below_id: records from here on are done.
        is_ended: nothing is left to do.
        library_version: it is made with.
        lists_changed: a verdict may have been made with other lists: every reading is looked at.
    """

    run_id: int
    since_ms: int
    below_id: int
    is_ended: bool
    library_version: str
    lists_changed: bool


class Told(msgspec.Struct, frozen=True):
    """What matters of a kept verdict."""

    verdict: str
    reason_id: str
    library_version: str
    hits: tuple["ToldHit", ...] = ()
    lists: tuple["ToldList", ...] = ()

    @property
    def substance_ids(self) -> tuple[str, ...]:
        """The substances it names, best first."""
        return tuple(hit.substance_id for hit in self.hits)


class ToldHit(msgspec.Struct, frozen=True):
    """A substance that a kept verdict names; `name` is its English name of the time."""

    substance_id: str
    name: str = ""


class ToldList(msgspec.Struct, frozen=True):
    """A list that a kept verdict was made with."""

    list_id: str
    date: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A reading with the newest verdict on it.

    Attributes:
        is_unrecorded: it was judged before calibrations were kept, and not with one since.
    """

    record_id: int
    node: str
    received_ms: int
    frame: bytes
    explanation: bytes
    is_unrecorded: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What a run has done since its last step was kept.

    Attributes:
        below_id: records from here on are done.
        judged: readings judged again.
        failed: of these, could not be.
    """

    below_id: int
    judged: int
    failed: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A reading that is judged differently now."""

    before: bytes
    verdict_before: str
    judgement: Judgement


def begin_run(
    connection: apsw.Connection,
    library_version: str,
    lists_version: str,
    *,
    since_ms: int,
    now_ms: int,
    faults: Iterable[str],
) -> Run:
    """Go on with the newest run, or begin one when library or lists are others than its.

    Args:
        connection: in the writer's transaction.
        library_version: in use from now on.
        lists_version: likewise.
        since_ms: of a new run.
        now_ms: wall clock, a label.
        faults: parts of the library that are not in use and what holds instead, a sentence each.
    """
    newest: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, library_version, lists_version, since_ms, below_id, ended_ms FROM rejudgings"
        " ORDER BY id DESC LIMIT 1"
    ).fetchall()
    if not newest or newest[0][1:3] != (library_version, lists_version):
        tops: Rows = connection.execute("SELECT ifnull(max(record_id), 0) FROM verdicts")
        ((top,),) = tops
        newest = connection.execute(
            "INSERT INTO rejudgings"
            " (library_version, lists_version, since_ms, below_id, started_ms, ended_ms)"
            " VALUES (?1, ?2, ?3, ?4, ?5, CASE WHEN ?4 THEN NULL ELSE ?5 END)"
            " RETURNING id, library_version, lists_version, since_ms, below_id, ended_ms",
            (library_version, lists_version, since_ms, top + 1 if top else 0, now_ms),
        ).fetchall()
    run_id, _, _, since_ms, below_id, ended_ms = newest[0]
    connection.execute(
        "UPDATE rejudgings SET faults = ? WHERE id = ?", (json.dumps(list(faults)), run_id)
    )
    return Run(
        run_id,
        since_ms,
        below_id,
        ended_ms is not None,
        library_version,
        _is_with_other_lists(connection, run_id, lists_version),
    )


def _is_with_other_lists(connection: apsw.Connection, run_id: int, lists_version: str) -> bool:
    """Whether a verdict may have been made with other lists than those of a run.

    A verdict names its library, but of its lists the dates only. So the runs before are asked, back
    to the last that came to its end: since then every reading may have been judged with the lists
    of any of them. Without such a run nothing is known.
    """
    rows: Rows = connection.execute(
        "SELECT lists_version, ended_ms FROM rejudgings WHERE id < ? ORDER BY id DESC", (run_id,)
    )
    for lists, ended_ms in rows:
        if lists != lists_version:
            return True
        if ended_ms is not None:
            return False
    return True


def read_next(connection: apsw.Connection, below_id: int, count_max: int) -> list[tuple[int, int]]:
    """Return the ids of the next judged readings, newest first, and when each was received."""
    rows: Rows = connection.execute(
        "SELECT v.record_id, r.received_ms FROM verdicts v JOIN records r ON r.id = v.record_id"
        " WHERE v.record_id < ? ORDER BY v.record_id DESC LIMIT ?",
        (below_id, count_max),
    )
    return [(record_id, received_ms) for record_id, received_ms in rows]


def read_stored(connection: apsw.Connection, record_id: int) -> Stored | None:
    """Return a judged reading with the newest verdict on it.

    None when it is not there any more, or not as it was judged: its frame or that of its dark was
    evicted, or is damaged.
    """
    rows: Rows = connection.execute(
        "SELECT r.crc, r.id, r.node, r.received_ms, r.frame, coalesce("
        "(SELECT j.after FROM rejudged j WHERE j.record_id = r.id AND j.rejudged_ms >= v.judged_ms"
        " ORDER BY j.run_id DESC LIMIT 1),"  # an axis or a calibration may have come since
        " v.explanation), r.id IN (SELECT record_id FROM unrecorded)"
        " FROM records r JOIN verdicts v ON v.record_id = r.id"
        " WHERE r.id = ? AND length(r.frame) > 0",
        (record_id,),
    )
    for crc, found_id, node, received_ms, frame, explanation, is_unrecorded in rows:
        reading = read_frame(frame)
        if is_damaged(frame, crc):
            return None
        if isinstance(reading, wire.Reading) and is_dark_evicted(connection, node, reading):
            return None
        return Stored(found_id, node, received_ms, frame, explanation, bool(is_unrecorded))
    return None


def told(explanation: bytes) -> Told | None:
    """Return what matters of a kept verdict; None when it cannot be read any more."""
    try:
        return msgspec.json.decode(explanation, type=Told)
    except (ValueError, RecursionError):
        return None


def save_step(
    connection: apsw.Connection, run_id: int, step: Step, changed: Changed | None = None
) -> bool:
    """Keep how far a run is, and a difference with its alert, in one step.

    Returns:
        Whether the alert is new.
    """
    connection.execute(
        "UPDATE rejudgings SET below_id = ?2, judged = judged + ?3, failed = failed + ?4"
        " WHERE id = ?1",
        (run_id, step.below_id, step.judged, step.failed),
    )
    if changed is None:
        return False
    return _save_changed(connection, run_id, changed)


def save_now(
    connection: apsw.Connection,
    run_id: int,
    record_id: int,
    *,
    is_calibrated: bool,
    changed: Changed | None,
) -> bool:
    """Keep what came of a reading that was judged again out of turn, in one step.

    Args:
        connection: in the writer's transaction.
        run_id: of the newest run.
        record_id: of the reading; it is pending no more.
        is_calibrated: it was judged with a calibration, so that is known from now on.
        changed: None when its verdict is the same.

    Returns:
        Whether the alert is new.
    """
    connection.execute("DELETE FROM pending WHERE record_id = ?", (record_id,))
    if is_calibrated:
        connection.execute("DELETE FROM unrecorded WHERE record_id = ?", (record_id,))
    return changed is not None and _save_changed(connection, run_id, changed)


def _save_changed(connection: apsw.Connection, run_id: int, changed: Changed) -> bool:
    """Keep a difference, count it, and put its alert into the outbox; say whether that is new.

    A run has one difference per reading: the later one takes its end, from the verdict before.
    """
    after = changed.judgement
    earlier: list[tuple[Any, ...]] = connection.execute(
        "SELECT verdict_before, verdict_after FROM rejudged WHERE run_id = ? AND record_id = ?",
        (run_id, after.record_id),
    ).fetchall()
    first = earlier[0][0] if earlier else changed.verdict_before
    raised, lowered = _count(first, after.verdict)
    raised_before, lowered_before = _count(*earlier[0]) if earlier else (0, 0)
    connection.execute(
        "UPDATE rejudgings SET changed = changed + ?2, raised = raised + ?3,"
        " lowered = lowered + ?4 WHERE id = ?1",
        (run_id, not earlier, raised - raised_before, lowered - lowered_before),
    )
    connection.execute(
        "INSERT INTO rejudged (run_id, record_id, verdict_before, before, verdict_after, after,"
        " rejudged_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " verdict_after = excluded.verdict_after, after = excluded.after,"
        " rejudged_ms = excluded.rejudged_ms",
        (
            run_id,
            after.record_id,
            changed.verdict_before,
            changed.before,
            after.verdict,
            after.explanation,
            after.judged_ms,
        ),
    )
    worth.rank(connection, after.record_id, worth.OF_VERDICTS.get(after.verdict))
    return insert_alert(connection, after)


def _count(before: str, after: str) -> tuple[int, int]:
    """Whether a difference made an alarm, and whether it took one away."""
    return int(after == "alarm" != before), int(before == "alarm" != after)


def end_run(connection: apsw.Connection, run_id: int, step: Step, now_ms: int) -> None:
    """Keep that a run has come to its end."""
    save_step(connection, run_id, step)
    connection.execute(
        "UPDATE rejudgings SET below_id = 0, ended_ms = ? WHERE id = ?", (now_ms, run_id)
    )
