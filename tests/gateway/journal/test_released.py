"""Goal: a journal of every released version becomes one of today: same tables, nothing of it lost.

Method: files that the gateways of those versions wrote (`released/make.py`), opened by the gateway
of today, held against a new journal of today and against what was in them. What a cut in the middle
of it leaves is in `tests/gateway/crash`.
"""

import asyncio
from functools import partial

import apsw
import pytest

from gateway import wire
from gateway.journal import outbox, records
from gateway.journal.store import (
    FILE_NAME,
    SCHEMA_VERSION,
    SCHEMA_VERSION_MIN,
    Journal,
    connect,
)
from tests.gateway.journal.released import make
from tests.gateway.journal.released.files import NAMES, content_of, version_of

SAME = {  # what no version changed: every column that it had, row by row
    "records": "id, node, journal_id, seq, kind, received_ms, frame",
    "journals": "node, journal_id, seq",
    "axes": "node, axis_id, birth",
    "nodes": "node, boot_id, birth, health, online, seen_ms",
    "configs": "node, frame",
    "verdicts": "record_id, verdict, reason_id, explanation, judged_ms",
    "alerts": "alert_id, record_id, body, created_ms, attempts, fault, receipt, receipt_ms",
    "counters": "name, subject, count",
    "calibrations": "record_id, node, axis_id, standard_id, received_ms, fault, text, body",
    "responses": "record_id, node, axis_id, standard_id, received_ms, fault, text, body",
    "rejudgings": "id, library_version, lists_version, since_ms, below_id, started_ms, ended_ms,"
    " judged, changed, raised, lowered, failed, faults",
    "rejudged": "run_id, record_id, verdict_before, before, verdict_after, after, rejudged_ms",
    "orders": "node, command_id, standard, received_ms",
    "darks": "node, record_id, counts, received_ms",
}


def rows(connection, table, columns):
    return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()


def form(connection):
    """Return tables with columns, keys and indexes, and what watches them; not their wording."""
    listing = "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
    found = {("names", *row): True for row in connection.execute(listing)}
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for pragma in ("table_xinfo", "foreign_key_list", "index_list"):
            told = connection.execute(f"SELECT * FROM pragma_{pragma}(?)", (table,)).fetchall()
            found[table, pragma] = told
            for index in told if pragma == "index_list" else ():
                name = index[1]
                inside = "SELECT * FROM pragma_index_xinfo(?)"
                found[table, name] = connection.execute(inside, (name,)).fetchall()
        told = connection.execute("SELECT * FROM pragma_table_list WHERE name = ?", (table,))
        found[table, "kind"] = told.fetchall()  # STRICT and WITHOUT ROWID
    wording = "SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'index') AND sql <> ''"
    found |= {("sql", name): sql for name, sql in connection.execute(wording)}
    return found


@pytest.fixture(params=NAMES)
def released(request, tmp_path):
    """Return the name of a released journal, which lies in the post's folder."""
    (tmp_path / FILE_NAME).write_bytes(content_of(request.param))
    return request.param


@pytest.fixture
def before(released, tmp_path):
    """Return the rows that it had."""
    connection = apsw.Connection(str(tmp_path / FILE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
    listing = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    tables = {name for (name,) in connection.execute(listing)}
    found = {table: rows(connection, table, SAME[table]) for table in SAME if table in tables}
    empty = [table for table, there in found.items() if not there]
    assert empty == []  # or nothing is shown
    pending = connection.execute("SELECT record_id FROM pending").fetchall()
    connection.close()
    return found | {"pending": pending}


@pytest.fixture
def today(released, before, tmp_path):
    """Return it opened by the gateway of today."""
    connection = connect(tmp_path / FILE_NAME)
    yield connection
    connection.close()


def test_every_version_that_was_released_has_its_journal():
    versions = {version_of(name) for name in NAMES}
    assert versions >= set(range(SCHEMA_VERSION_MIN, SCHEMA_VERSION))
    assert set(make.RELEASED) == set(NAMES)


def test_it_has_the_tables_of_a_new_one(today, tmp_path):
    new = connect(tmp_path / "new.sqlite")
    assert form(today) == form(new)
    assert today.pragma("user_version") == new.pragma("user_version") == SCHEMA_VERSION
    assert today.pragma("integrity_check") == "ok"
    assert today.execute("PRAGMA foreign_key_check").fetchall() == []
    assert today.pragma("journal_mode") == "wal"
    new.close()


def test_nothing_of_it_is_lost(today, before):
    for table, there in before.items():
        if table != "pending":
            assert rows(today, table, SAME[table]) == there, table


def test_what_is_to_be_judged_is_pending(released, today, before):
    """Versions without calibrations or responses left standards where they were."""
    ids = dict(today.execute("SELECT id, seq FROM records").fetchall())
    kept = {row[0] for row in before["pending"]}
    there = {record_id for (record_id,) in today.execute("SELECT record_id FROM pending")}
    assert kept <= there
    added = {ids[record_id] for record_id in there - kept}
    assert added == ({6, 9} if released in {"v1", "v2"} else set())


def test_verdicts_of_the_time_without_calibrations_are_noted(released, today):
    """Their explanations say nothing of one; number 2 never does in these journals."""
    found = today.execute(
        "SELECT DISTINCT seq FROM unrecorded u JOIN records r ON r.id = u.record_id ORDER BY seq"
    ).fetchall()
    numbers = [seq for (seq,) in found]
    assert numbers == ([2, 3, 4, 7] if released in {"v1", "v2"} else [2])


def test_boots_are_known(today):
    """By what births, healths and records say of their time."""
    found = today.execute("SELECT node, boot_id, word_ms, quality FROM boots ORDER BY node")
    assert found.fetchall() == [(node, make.BOOT, make.NOW_MS, 2) for node in make.NODES]


def test_orders_keep_their_order(released, today, before):
    found = today.execute("SELECT node, command_id FROM orders ORDER BY id").fetchall()
    assert len(found) == len(before.get("orders", ()))
    for node in make.NODES if found else ():
        # Before version 5 equal times were told apart by nothing but their key.
        names = [name for of, name in found if of == node]
        assert sorted(names) == [b"inspec00", b"inspec06"]
        if version_of(released) >= 5:
            assert names == [b"inspec06", b"inspec00"]


def test_it_is_brought_up_to_date_once(today, tmp_path):
    listing = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = [name for (name,) in today.execute(listing)]
    first = {table: today.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    today.close()
    again = connect(tmp_path / FILE_NAME)
    assert {table: again.execute(f"SELECT * FROM {table}").fetchall() for table in tables} == first
    assert again.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%'").get == 0
    again.close()


def test_the_post_goes_on_with_it(released, tmp_path):
    """The next record is judged, the alert that waited goes out, and what comes again is known."""

    async def story():
        journal = Journal(tmp_path / FILE_NAME)
        await journal.open()
        node = make.NODES[0]
        for seq, is_new in ((3, False), (make.RECORDS + 1, True)):
            frame = make.frame_of(seq)
            record = wire.decode(frame)
            insert = partial(
                records.insert_record, node=node, record=record, frame=frame, received_ms=1
            )
            assert await journal.write(insert) == is_new
            same = partial(records.read_is_same, node=node, record=record, frame=frame)
            assert await journal.read(same)
        heads = await journal.read(records.read_heads)
        assert [of for of, _ in heads] == list(make.NODES)
        for _ in make.NODES:
            waiting = await journal.read(partial(outbox.read_waiting, held=(), only_new=False))
            receipt = partial(
                outbox.save_receipt, alert_id=waiting.alert_id, receipt=b"{}", receipt_ms=1
            )
            await journal.write(receipt)
        await journal.close()

    asyncio.run(story())


def test_a_reader_of_today_says_what_to_do_about_it(released, tmp_path):
    with pytest.raises(Exception, match="start the gateway once, it brings the journal up to date"):
        connect(tmp_path / FILE_NAME, read_only=True)
