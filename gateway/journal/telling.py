"""What is known of records, alerts and axes, in words that need no Harmattan to be read.

Functions that look a row up give None for one that is not there any more, and count in `made` what
was evicted, has changed, or cannot be read.
"""

import base64
import datetime as dt
import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from gateway import wire
from gateway.journal import scanned
from gateway.journal.damaged import Damaged
from gateway.journal.dating import read_moment
from gateway.journal.opening import is_damage
from gateway.journal.records import read_frame

Rows = Iterable[tuple[Any, ...]]

PAGE_IDS: Final = 500  # looked at in one statement
KINDS: Final = {kind: form.__name__.lower() for kind, form in wire.KINDS.items()}
ROLES: Final = ("sample", "dark", "standard")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records.

    Attributes:
        since_ms: received then or later; None: from the beginning.
        until_ms: received before; None: to the end.
        nodes: of these; empty: of all.
        only_alerts: those that an alert stands on, with their dark frames.
        documents: travel documents and codes whole; without it of a document only that one was
            read, of a code what is about goods (gateway/scans/openness.py).
    """

    since_ms: int | None = None
    until_ms: int | None = None
    nodes: tuple[str, ...] = ()
    only_alerts: bool = False
    documents: bool = False


class Export(msgspec.Struct):
    """What came of an export.

    Attributes:
        unreadable: rows that the file has and that cannot be read.
        incomplete: records that are here, but of what else is known of them not all could be read.
        evicted: records whose bytes had been evicted.
        changed: records whose bytes are not those that came.
        withheld: documents and codes of which not all that was read is here.
    """

    file: str
    made_ms: int
    schema: int
    records: int = 0
    alerts: int = 0
    axes: int = 0
    evicted: int = 0
    changed: int = 0
    unreadable: int = 0
    incomplete: int = 0
    withheld: int = 0


def where(wanted: Wanted) -> tuple[str, tuple[Any, ...]]:
    """Return the condition that wanted records meet, and its values."""
    parts: list[str] = ["TRUE"]
    values: list[Any] = []
    if wanted.since_ms is not None:
        parts.append("r.received_ms >= ?")
        values.append(wanted.since_ms)
    if wanted.until_ms is not None:
        parts.append("r.received_ms < ?")
        values.append(wanted.until_ms)
    if wanted.nodes:
        parts.append("r.node IN (SELECT value FROM json_each(?))")
        values.append(msgspec.json.encode(wanted.nodes).decode())
    return " AND ".join(parts), tuple(values)


def record(
    connection: apsw.Connection, record_id: int, made: Export
) -> tuple[dict[str, Any] | None, bytes]:
    """Return everything about one record, and its bytes; None when it is not there any more."""
    try:
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT node, journal_id, seq, kind, received_ms, frame, crc FROM records WHERE id = ?",
            (record_id,),
        ).fetchall()
        if not rows:
            return None, b""
        if not _is_row(rows[0]):
            made.unreadable += 1
            return None, b""
    except UnicodeDecodeError:  # text that is none any more
        made.unreadable += 1
        return None, b""
    except apsw.Error as error:
        if not is_damage(error):
            raise
        made.unreadable += 1
        return None, b""
    told, message = _told(record_id, rows[0], made)
    missing = []
    for name, ask in _KNOWN.items():
        try:
            told |= ask(connection, told, message)
        except (apsw.Error, UnicodeDecodeError, TypeError) as error:
            # The record is there, this is not, or is of a kind that nobody wrote.
            if isinstance(error, apsw.Error) and not is_damage(error):
                raise
            missing.append(name)
    if missing:
        made.incomplete += 1
        told["unreadable"] = missing
    return told, rows[0][5]


def _is_row(row: tuple[Any, ...]) -> bool:
    """Say whether a row of a file that may be damaged has values of the kinds that were written."""
    kinds = (str, bytes, int, int, int, bytes, int | None)
    return all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))


def _told(
    record_id: int, row: tuple[Any, ...], made: Export
) -> tuple[dict[str, Any], wire.Message | None]:
    """Return what the row of a record says, and its message; None: no bytes, or not a message."""
    node, journal_id, seq, kind, received_ms, frame, crc = row
    is_whole = crc is None or zlib.crc32(frame) == crc or not frame
    made.evicted += not frame
    made.changed += not is_whole
    told = {
        "id": record_id,
        "node": node,
        "journal": journal_id.hex(),
        "seq": seq,
        "kind": KINDS.get(kind, str(kind)),
        "received_ms": received_ms,
        "received": utc(received_ms),
        "frame": None,
        "crc32": None if crc is None else f"{crc:08x}",
        "is_whole": is_whole,
        "message": None,
    }
    message = read_frame(frame) if frame else None
    if isinstance(message, wire.Reading | wire.Event):
        told["message"] = _plain(message)
    return told, message


def _measured(
    connection: apsw.Connection, told: dict[str, Any], message: wire.Message | None
) -> dict[str, Any]:
    """Return when a record was measured: its boot, the clock and its neighbours are asked, too."""
    if not isinstance(message, wire.Reading | wire.Event):
        return {}
    moment = read_moment(connection, told["node"], message, told["received_ms"])
    return {
        "measured": {
            "time_ms": moment.time_ms,
            "time": None if moment.time_ms is None else utc(moment.time_ms),
            "uncertainty_ms": moment.uncertainty_ms,
            "source": moment.source,
        }
    }


def _verdict(connection: apsw.Connection, told: dict[str, Any], _: object) -> dict[str, Any]:
    rows = connection.execute(
        "SELECT verdict, reason_id, judged_ms, explanation FROM verdicts WHERE record_id = ?",
        (told["id"],),
    )
    for verdict, reason_id, judged_ms, explanation in rows:
        return {
            "verdict": {
                "verdict": verdict,
                "reason_id": reason_id,
                "judged_ms": judged_ms,
                "judged": utc(judged_ms),
                "explanation": _parsed(explanation),
            }
        }
    return {}


def _rejudged(connection: apsw.Connection, told: dict[str, Any], _: object) -> dict[str, Any]:
    rows = connection.execute(
        "SELECT j.verdict_before, j.verdict_after, j.rejudged_ms, j.before, j.after,"
        " g.library_version FROM rejudged j JOIN rejudgings g ON g.id = j.run_id"
        " WHERE j.record_id = ? ORDER BY j.run_id",
        (told["id"],),
    )
    names = ("verdict_before", "verdict_after", "rejudged_ms", "before", "after", "library_version")
    later = [dict(zip(names, row, strict=True)) for row in rows]
    for one in later:
        one |= {"before": _parsed(one["before"]), "after": _parsed(one["after"])}
    return {"rejudged": later} if later else {}


def _calibration(connection: apsw.Connection, told: dict[str, Any], _: object) -> dict[str, Any]:
    return _evaluated(connection, "calibrations", "calibration", told["id"])


def _response(connection: apsw.Connection, told: dict[str, Any], _: object) -> dict[str, Any]:
    return _evaluated(connection, "responses", "response", told["id"])


def _evaluated(
    connection: apsw.Connection, table: str, name: str, record_id: int
) -> dict[str, Any]:
    """Return what came of a standard or a glass."""
    rows = connection.execute(
        f"SELECT standard_id, fault, text, body FROM {table} WHERE record_id = ?",  # noqa: S608 - one of two names of ours
        (record_id,),
    )
    names = ("standard_id", "fault", "text", "body")
    for row in rows:
        found = dict(zip(names, row, strict=True))
        return {name: found | {"body": _parsed(found["body"])}}
    return {}


def _alert_id(connection: apsw.Connection, told: dict[str, Any], _: object) -> dict[str, Any]:
    rows = connection.execute("SELECT alert_id FROM alerts WHERE record_id = ?", (told["id"],))
    for (alert_id,) in rows:
        return {"alert_id": alert_id}
    return {}


# Each asked by itself: of a damaged file one may be lost, and the others are not.
_KNOWN: Final = {
    "measured": _measured,
    "verdict": _verdict,
    "rejudged": _rejudged,
    "calibration": _calibration,
    "response": _response,
    "alert_id": _alert_id,
    "scan": scanned.ask,
}


def _plain(message: wire.Message) -> dict[str, Any]:
    """Return a message with its fields' names, and nothing in it that JSON has no word for."""
    told: dict[str, Any] = {}
    for name in type(message).__struct_fields__:
        value = getattr(message, name)
        if name == "pixels_u16le":
            told["counts"] = list(struct.unpack(f"<{len(value) // 2}H", value))
        elif name == "coefficients_f32le":
            told["coefficients"] = list(struct.unpack(f"<{len(value) // 4}f", value))
        elif name == "content":
            told[name] = base64.b64encode(value).decode()
        else:
            told[name] = value.hex() if isinstance(value, bytes) else value
    if isinstance(message, wire.Reading) and message.role < len(ROLES):
        told["role"] = ROLES[message.role]
    if isinstance(message, wire.Birth):
        told["excitation_nm"] = message.excitation_pm / 1_000
    return told


def alerts(
    connection: apsw.Connection, wanted: Wanted, top: int, made: Export
) -> Iterator[dict[str, Any]]:
    """Return the alerts of wanted records, with what was sent and what came back."""
    for row in alert_rows(connection, top, made):
        told = _alert(connection, wanted, row, made)
        if told is not None:
            yield told


def alert_rows(connection: apsw.Connection, top: int, made: Export) -> Iterator[tuple[Any, ...]]:
    """Return the rows of alerts, the record's id first and in its order.

    Where they or their index are damaged they are read as they lie there, through no index.
    """
    last = 0
    while True:
        rows = _alert_rows(connection, "record_id > ? AND record_id <= ? ORDER BY 1", (last, top))
        if not rows:
            break
        if not _is_between(rows[0][0], last, top + 1):
            rows = None
            break
        last = rows[0][0]
        yield rows[0]
    if rows is not None:
        return
    view = Damaged(connection)
    lying = view.table("main.alerts", "rowid", ("record_id", "rowid"))
    made.unreadable += not view.is_whole
    there = {record_id: row for record_id, row in lying if _is_between(record_id, last, top + 1)}
    for _, row in sorted(there.items()):
        rows = _alert_rows(connection, "rowid = ?", (row,), "main.alerts NOT INDEXED")
        made.unreadable += rows is None
        yield from rows or ()


def _is_between(record_id: object, after: int, below: int) -> bool:
    """Say whether a row is one that was asked for: an index that is damaged leads anywhere."""
    return isinstance(record_id, int) and after < record_id < below


def _alert_rows(
    connection: apsw.Connection, which: str, values: tuple[int, ...], table: str = "alerts"
) -> list[tuple[Any, ...]] | None:
    """Return the next alert; None: the file is damaged there."""
    try:
        return connection.execute(
            "SELECT record_id, alert_id, created_ms, attempts, fault, body, receipt, receipt_ms"  # noqa: S608 - our own words
            f" FROM {table} WHERE {which} LIMIT 1",
            values,
        ).fetchall()
    except UnicodeDecodeError:
        return None
    except apsw.Error as error:
        if is_damage(error):
            return None
        raise


def _alert(
    connection: apsw.Connection, wanted: Wanted, row: tuple[Any, ...], made: Export
) -> dict[str, Any] | None:
    """Return one alert in words; None: of a record that is not wanted, or not an alert at all."""
    record_id, alert_id, created_ms, attempts, what, body, receipt, at = row
    kinds = (int, str, int, int, str, bytes, bytes | None, int | None)
    if not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
        made.unreadable += 1
        return None
    which, values = where(wanted)
    node, seq, is_wanted = None, None, not wanted.nodes
    try:
        for found in connection.execute(
            f"SELECT r.node, r.seq, {which} FROM records r WHERE r.id = ?",  # noqa: S608 - our own words
            (*values, record_id),
        ):
            node, seq, is_wanted = found
    except UnicodeDecodeError:
        made.unreadable += 1
    except apsw.Error as error:  # the alert is there, its record is not
        if not is_damage(error):
            raise
    if not is_wanted:
        return None
    return {
        "alert_id": alert_id,
        "record_id": record_id,
        "node": node,
        "seq": seq,
        "created_ms": created_ms,
        "created": utc(created_ms),
        "attempts": attempts,
        "fault": what,
        "body": body.decode(errors="replace"),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "receipt": None if receipt is None else receipt.decode(errors="replace"),
        "receipt_ms": at,
    }


def axes(connection: apsw.Connection, wanted: Wanted, made: Export) -> Iterator[dict[str, Any]]:
    """Return the births that brought an axis, of wanted nodes."""
    rows: list[tuple[Any, ...]] = []
    try:
        for row in connection.execute("SELECT node, axis_id, birth FROM axes ORDER BY 1, 2"):
            rows.append(row)  # noqa: PERF402 - what comes before the damage is kept
    except UnicodeDecodeError:
        made.unreadable += 1
    except apsw.Error as error:
        if not is_damage(error):
            raise
        made.unreadable += 1
    for node, axis_id, frame in rows:
        if not isinstance(axis_id, bytes) or not isinstance(frame, bytes):
            made.unreadable += 1
            continue
        birth = read_frame(frame)
        if isinstance(birth, wire.Birth) and (not wanted.nodes or node in wanted.nodes):
            yield {"node": node, "axis_id": axis_id.hex(), "birth": _plain(birth)}


def _parsed(text: object) -> object:
    """Return what JSON says, or the text itself when it is none; None when there is none."""
    if not isinstance(text, bytes) or not text:
        return None
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text.decode(errors="replace")


def utc(time_ms: int) -> str:
    """Return a moment as people write it; what no calendar has, as it is."""
    try:
        return dt.datetime.fromtimestamp(time_ms / 1_000, dt.UTC).isoformat(timespec="milliseconds")
    except (TypeError, ValueError, OverflowError, OSError):  # it may be of a damaged file
        return str(time_ms)
