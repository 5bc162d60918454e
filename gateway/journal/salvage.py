"""What must not be lost of a damaged journal, row by row, as far as it can be read.

That is: alerts and the readings behind them, readings that await the judges, what calibrates the
instruments, how far each node's journal is receipted, the configs' versions, axes, boots, counts.
Judged readings without alert stay in the damaged file.
"""

import contextlib
from collections.abc import Iterable
from typing import Final

import apsw
import msgspec

from gateway import wire
from gateway.journal import floors, older
from gateway.journal.damaged import Damaged, Row
from gateway.journal.records import is_spectrum, read_frame
from gateway.journal.upgrade import rank_all

# Copied whole, in the order in which their rows lie: where a page is damaged, what lies before and
# behind it can be read.
WHOLE: Final = {
    "journals": "node, journal_id",
    "axes": "node, axis_id",
    "nodes": "node",
    "configs": "node",
    "boots": "rowid",
    "orders": "rowid",
    "counters": "name, subject",
    "posture": "name",
    "rejudgings": "rowid",
    "retention": "rowid",
}
# Copied with the records that they are about.
ABOUT_RECORDS: Final = ("verdicts", "unrecorded", "rejudged", "calibrations", "responses", "alerts")
NEWEST_LOOKED_AT: Final = 5_000  # for readings without verdict, when their list is damaged
BARE_LOOKED_AT: Final = 10_000  # the newest rows, for those that the index has lost: 40 MB
DARK_LOOKED_AT: Final = 1_000  # before a reading, for its dark frame, when the index has lost that
BARE_MAX: Final = 100_000  # rows without frame of one journal: a hole of months
JOURNALS_MAX: Final = 10_000  # of all nodes
LAST_NODE: Final = "\U0010ffff"  # sorts behind every node
GAP: Final = 1 << 32  # of ids, where nobody knows what the last one was


class _Body(msgspec.Struct):
    """What an alert's body says of its reading."""

    node: str
    journal_id: str
    seq: int
    received_ms: int


def salvage(views: Iterable[apsw.Connection], fresh: apsw.Connection) -> str:
    """Copy what must not be lost into a fresh journal.

    Args:
        views: of the damaged file, the better first; none: it cannot be opened at all.
        fresh: empty, in a transaction.

    Returns:
        What was copied, in words.
    """
    earlier: list[Damaged] = []
    copied: set[int] = set()
    for connection in views:
        old = Damaged(connection)
        with contextlib.suppress(apsw.Error):  # then the older version's own words have to do
            older.present(connection)
        copied = _take_over(old, fresh, earlier)
        earlier.append(old)
    rank_all(fresh)
    _go_on_after_the_last_id(earlier, fresh, copied)
    for old in earlier:
        _take_over_tallies(old, fresh)
    fresh.execute("INSERT OR IGNORE INTO retention (id) VALUES (1)")
    fresh.execute(  # so that what is counted without what was deleted is what is there
        "UPDATE retention SET next_id = 0, deleted = (SELECT ifnull(sum(count), 0) FROM tallies"
        " WHERE name = 'record') - (SELECT count(*) FROM records)"
    )
    floors.note_renewed(fresh)
    ((alerts, waiting),) = fresh.execute(
        "SELECT count(*), count(*) - count(receipt) FROM alerts"
    ).fetchall()
    ((left,),) = fresh.execute("SELECT count(*) FROM pending").fetchall()
    return (
        f"{alerts} alerts ({waiting} of them to be delivered), {left} readings to be judged and"
        f" {len(copied)} records in all"
    )


def _take_over(old: Damaged, fresh: apsw.Connection, earlier: list[Damaged]) -> set[int]:
    """Copy from one view what is not there yet; return the ids of the records that are there."""
    for table, key in WHOLE.items():
        columns = _common(old, fresh, table)
        if columns:
            _insert(fresh, table, columns, old.table(table, key, columns))
    if earlier:
        _raise_floors(old, fresh)
    wanted, pending = _wanted(old)
    # What an earlier view, which is the newer, has judged is judged.
    pending = {one for one in pending if not any(_is_done(view, one) for view in earlier)}
    copied = _copy_records(old, fresh, wanted | pending)
    _keep_receipts(old, fresh, pending - copied)
    _stand_in_for_alerts(old, fresh, copied)
    for table in ABOUT_RECORDS:
        columns = _common(old, fresh, table)
        if table == "alerts" and columns:  # by the rows: an index may have lost one of them
            place = columns.index("record_id")
            rows = old.table(table, "rowid", columns)
            _insert(fresh, table, columns, [row for row in rows if row[place] in copied])
        for record_id in sorted(copied) if columns else ():
            query = f"SELECT {', '.join(columns)} FROM {table} WHERE record_id = ?"  # noqa: S608
            _insert(fresh, table, columns, old.ask(query, (record_id,)))
    _copy_darks(old, fresh, copied)
    fresh.executemany(
        "INSERT OR IGNORE INTO pending (node, record_id) SELECT node, id FROM records WHERE id = ?",
        [(record_id,) for record_id in sorted(pending & copied)],
    )
    return copied


def _raise_floors(old: Damaged, fresh: apsw.Connection) -> None:
    """Let the higher floor of each journal hold: whoever knew it had receipted that far."""
    for node, journal_id, seq in old.table(
        "journals", "node, journal_id", ("node", "journal_id", "seq")
    ):
        if isinstance(seq, int):
            fresh.execute(
                "UPDATE journals SET seq = max(seq, ?) WHERE node = ? AND journal_id = ?",
                (seq, node, journal_id),
            )


def _common(old: Damaged, fresh: apsw.Connection, table: str) -> list[str]:
    """Return the columns that both have; none where an older one had another key."""
    today = fresh.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    there = old.columns(table)
    if there and table in {"boots", "orders"} and "id" not in there:
        return []
    return [name for (name,) in today if name in there]


def _insert(fresh: apsw.Connection, table: str, columns: list[str], rows: Iterable[Row]) -> None:
    """Insert rows one by one; what is there, or breaks a rule of the table, is left out."""
    places = ", ".join("?" * len(columns))
    statement = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
    for row in rows:
        try:
            with fresh:  # a savepoint: a row that is refused harms no other
                fresh.execute(statement, row)
        except (apsw.ConstraintError, apsw.MismatchError, apsw.SQLError):
            continue


def _wanted(old: Damaged) -> tuple[set[int], set[int]]:
    """Return the ids of the records that must not be lost, and of those that are to be judged."""
    wanted: set[int] = set()
    for table, key in (
        *(("alerts", "record_id"), ("alerts", "rowid")),  # by its index, and by its rows
        *(("calibrations", "rowid"), ("responses", "rowid"), ("darks", "node")),
    ):
        wanted |= _ids(old.table(table, key, ("record_id",)))
    # The dark frames of all these.
    for record_id in list(wanted):
        wanted |= set(_dark_ids(old, record_id))
    pending: set[int] = set()
    is_whole = True
    for table, key in (
        *(("main.pending", "record_id"), ("pending", "record_id")),  # an older one has both
        *((("main.pending", "node, record_id"),) if old.is_of_today() else ()),
    ):
        pending |= _ids(old.table(table, key, ("record_id",)))
        is_whole &= old.is_whole
    if not is_whole:
        pending |= _unjudged(old)
    for record_id in list(pending):
        wanted |= set(_dark_ids(old, record_id))
    return wanted, pending


def _ids(rows: Iterable[Row]) -> set[int]:
    """Return the ids in rows; a page of another table may stand where theirs was."""
    return {row[0] for row in rows if isinstance(row[0], int)}


def _dark_ids(old: Damaged, record_id: int) -> list[int]:
    """Return the id of the dark frame that a record names."""
    for node, journal_id, frame in old.ask(
        "SELECT node, journal_id, frame FROM records WHERE id = ?", (record_id,)
    ):
        reading = read_frame(frame)
        if isinstance(reading, wire.Reading) and reading.dark_seq is not None:
            key = (node, journal_id, reading.dark_seq)
            is_it = "node = ? AND journal_id = ? AND seq = ?"
            rows = old.ask(f"SELECT id FROM records WHERE {is_it}", key) or old.ask(  # noqa: S608 - ours
                "SELECT id FROM records NOT INDEXED WHERE id >= ? AND id < ?"  # noqa: S608 - ours
                f" AND {is_it} ORDER BY id",
                (record_id - DARK_LOOKED_AT, record_id, *key),
            )
            return list(_ids(rows))
    return []


def _unjudged(old: Damaged) -> set[int]:
    """Return the newest spectra without verdict and without evaluation."""
    found = set()
    top = max(_ids(old.ask("SELECT max(id) FROM records")), default=0)
    for record_id in range(top, max(top - NEWEST_LOOKED_AT, 0), -1):
        for (frame,) in old.ask("SELECT frame FROM records WHERE id = ?", (record_id,)):
            record = read_frame(frame)
            is_reading = isinstance(record, wire.Reading) and is_spectrum(record)
            if is_reading and not _is_done(old, record_id):
                found.add(record_id)
    return found


def _is_done(old: Damaged, record_id: int) -> bool:
    """Say whether a reading has been judged or evaluated."""
    return any(
        old.ask(f"SELECT 1 FROM {table} WHERE record_id = ?", (record_id,))  # noqa: S608 - ours
        for table in ("verdicts", "calibrations", "responses")
    )


def _copy_records(old: Damaged, fresh: apsw.Connection, ids: set[int]) -> set[int]:
    """Copy records; return which of them are there now."""
    columns = _common(old, fresh, "records")
    for record_id in sorted(ids) if columns else ():
        query = f"SELECT {', '.join(columns)} FROM records WHERE id = ?"  # noqa: S608 - ours
        _insert(fresh, "records", columns, old.ask(query, (record_id,)))
    return {row[0] for row in fresh.execute("SELECT id FROM records")}


def _keep_receipts(old: Damaged, fresh: apsw.Connection, missed: set[int]) -> None:
    """Let no receipt go back: a row without its frame for each record above its journal's floor.

    What was receipted and is not here would be a new record if it came once more. Only of `missed`,
    which still await their verdict and cannot be read, is nothing said: the node may have them yet.
    """
    known = {
        (node, journal_id): seq
        for node, journal_id, seq in fresh.execute("SELECT node, journal_id, seq FROM journals")
    }
    columns = ["id", "node", "journal_id", "seq", "kind", "received_ms", "frame"]
    for node, journal_id in _journals(old):
        values = (node, journal_id, known.get((node, journal_id), 0))
        question = (
            "SELECT id, node, journal_id, seq, 0, 0, x'' FROM records WHERE node = ?"
            " AND journal_id = ? AND seq > ? ORDER BY seq {} LIMIT ?"  # the index has all that
        )
        old.is_whole = True
        rows = old.ask(question.format(""), (*values, BARE_MAX))
        if not old.is_whole:
            rows += old.ask(question.format("DESC"), (*values, BARE_MAX))
        rows = [row for row in rows if row[0] not in missed and not _is_denied(old, row)]
        _insert(fresh, "records", columns, rows)
    # And by the rows: an index may have lost one of them.
    rows = old.ask(
        "SELECT id, node, journal_id, seq, 0, 0, x'' FROM records NOT INDEXED ORDER BY id DESC"
        " LIMIT ?",
        (BARE_LOOKED_AT,),
    )
    above = [row for row in rows if _is_above(row, known) and row[0] not in missed]
    _insert(fresh, "records", columns, above)
    floors.raise_all(fresh)
    fresh.execute("UPDATE journals SET evicted_seq = max(evicted_seq, seq)")
    # A row that the floor speaks for, and that is nobody's, is not needed any more.
    fresh.execute(
        "DELETE FROM records WHERE length(frame) = 0 AND kind = 0 AND seq <="
        " (SELECT seq FROM journals j WHERE j.node = records.node AND"
        " j.journal_id = records.journal_id)"
    )


def _is_denied(old: Damaged, entry: Row) -> bool:
    """Say whether the row that an index's entry leads to can be read and is another one."""
    record_id, *key = entry[:4]
    asked = "SELECT node, journal_id, seq FROM records NOT INDEXED WHERE id = ?"
    rows = old.ask(asked, (record_id,))
    return bool(rows) and rows[0] != tuple(key)


def _is_above(row: Row, floors_known: dict[tuple[str, bytes], int]) -> bool:
    """Say whether a row is of a record above the floor of its journal."""
    _, node, journal_id, seq, *_ = row
    is_row = isinstance(journal_id, bytes) and isinstance(seq, int)
    return is_row and bool(node) and seq > floors_known.get((node, journal_id), 0)


def _journals(old: Damaged) -> set[tuple[str, bytes]]:
    """Return the journals that records are of, from both ends of the index."""
    found: set[tuple[str, bytes]] = set()
    for sign, order in ((">", ""), ("<", " DESC")):
        old.is_whole, last = True, ("", b"") if sign == ">" else (LAST_NODE, b"")
        while len(found) < JOURNALS_MAX:
            rows = old.ask(
                f"SELECT node, journal_id FROM records WHERE (node, journal_id) {sign} (?, ?)"  # noqa: S608 - ours
                f" ORDER BY node{order}, journal_id{order} LIMIT 1",
                last,
            )
            if not rows or rows[0] in found:
                break
            last = rows[0]
            found.add(last)
        if old.is_whole:
            break
    return {(node, journal_id) for node, journal_id in found if node}


def _stand_in_for_alerts(old: Damaged, fresh: apsw.Connection, copied: set[int]) -> None:
    """Make an evicted record of each alert's reading that cannot be read: the alert says which."""
    for record_id, body in old.table("alerts", "rowid", ("record_id", "body")):
        if record_id in copied or not isinstance(record_id, int):
            continue
        try:
            told = msgspec.json.decode(body, type=_Body)
            values = (record_id, told.node, bytes.fromhex(told.journal_id), told.seq)
        except (ValueError, RecursionError, TypeError):  # no body, or none of an alert
            values = (record_id, "", record_id.to_bytes(8, "big", signed=True), 0)
            told = None
        _insert(
            fresh,
            "records",
            ["id", "node", "journal_id", "seq", "kind", "received_ms", "frame"],
            [(*values, wire.Reading.__struct_config__.tag, told.received_ms if told else 0, b"")],
        )
        copied.add(record_id)


def _copy_darks(old: Damaged, fresh: apsw.Connection, copied: set[int]) -> None:
    columns = _common(old, fresh, "darks")
    if columns:
        place = columns.index("record_id")
        rows = old.table("darks", "node", columns)
        _insert(fresh, "darks", columns, [row for row in rows if row[place] in copied])


def _go_on_after_the_last_id(
    views: list[Damaged], fresh: apsw.Connection, copied: set[int]
) -> None:
    """Let no new record have the id of one that was there: somebody may still ask about that."""
    top, is_known = max(copied, default=0), bool(views)
    for old in views:
        old.is_whole = bool(old.columns("records"))
        for table, key in (
            ("records", "id"),
            ("verdicts", "record_id"),
            ("evictable", "record_id"),
        ):
            if old.columns(table):
                top = max(top, *_ids(old.ask(f"SELECT max({key}) FROM {table}")), 0)  # noqa: S608
        is_known &= old.is_whole
    if not is_known:
        top += GAP
    if top and top not in copied:
        fresh.execute(
            "INSERT OR IGNORE INTO records (id, node, journal_id, seq, kind, received_ms, frame)"
            " VALUES (?, '', x'', 0, 0, 0, x'')",
            (top,),
        )


def _take_over_tallies(old: Damaged, fresh: apsw.Connection) -> None:
    """Go on counting where the damaged file stopped, as far as it says where."""
    if not old.columns("tallies"):
        return
    for name, subject, count in old.table("tallies", "name, subject", ("name", "subject", "count")):
        if name != "pending" and isinstance(count, int):
            fresh.execute(
                "INSERT INTO tallies (name, subject, count)"
                " SELECT ?, CAST(? AS TEXT), ? WHERE typeof(?1) = 'text'"
                " ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
                (name, subject, count),
            )
