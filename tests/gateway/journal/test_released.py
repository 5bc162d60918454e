"""Goal: a journal of every released version becomes one of today: same tables, nothing of it lost.

Method: files that the gateways of those versions wrote (`released/make.py`), opened by the gateway
of today, held against a new journal of today and against what was in them. What a cut in the middle
of it leaves is in `tests/gateway/crash`.
"""

import asyncio
import contextlib
import random
import shutil
import zipfile
from functools import partial
from pathlib import Path

import apsw
import pytest

from gateway import wire
from gateway.errors import JournalError
from gateway.journal import export, outbox, records, setting_aside
from gateway.journal.condition import DiskState
from gateway.journal.store import (
    FILE_NAME,
    SCHEMA_VERSION,
    SCHEMA_VERSION_MIN,
    Journal,
    connect,
)
from gateway.journal.telling import Wanted
from tests.gateway.journal.released import make
from tests.gateway.journal.released.files import NAMES, PAGES_BYTES, content_of, version_of

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


def told_by(path, target):
    """What an export says, file by file, but for when it was made and which version it read."""
    export.make(path, target, Wanted(), reserve_bytes=0, now_ms=7)
    with zipfile.ZipFile(target) as file:
        return {name: file.read(name) for name in file.namelist() if name != "manifest.json"}


def test_it_is_exported_as_it_is(released, before, tmp_path):
    """As after it was brought up to date, and not a byte of it changes."""
    path = tmp_path / FILE_NAME
    there = told_by(path, tmp_path / "older.zip")
    assert path.read_bytes() == content_of(released)
    connect(path).close()
    assert there == told_by(path, tmp_path / "newer.zip")
    assert there["alerts.jsonl"].count(b"\n") == len(before["alerts"])
    records_lines = b"".join(there[name] for name in there if name.startswith("records/"))
    assert records_lines.count(b"\n") == len(before["records"])


def harm(content, rng):
    """Some bits anywhere, or a page of noise, of zeros, or of other rows."""
    pages = len(content) // PAGES_BYTES
    place = rng.randrange(1, pages) * PAGES_BYTES
    other = rng.randrange(1, pages) * PAGES_BYTES
    noise = [rng.randbytes(PAGES_BYTES), bytes(PAGES_BYTES), content[other : other + PAGES_BYTES]]
    kind = rng.randrange(5)
    if kind < len(noise):
        content[place : place + PAGES_BYTES] = noise[kind]
    for _ in range(20 if kind >= len(noise) else 0):
        content[rng.randrange(100, len(content))] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_one_is_set_aside_as_it_was_and_read_as_far_as_it_goes(released, tmp_path, seed):
    """Nothing that stands in it keeps the post from starting, or from being read out."""
    path = tmp_path / FILE_NAME
    content = bytearray(content_of(released))
    harm(content, random.Random(f"{released} {seed}"))
    path.write_bytes(content)
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copy(path, tmp_path / "copy"))
    is_sound = integrity_of(copy) == "ok"
    with contextlib.suppress(JournalError):  # nothing of it can be read
        export.make(copy, tmp_path / "out.zip", Wanted(), reserve_bytes=0, now_ms=7)

    async def story():
        journal = Journal(path)
        await journal.open()
        try:
            assert journal.condition.state is DiskState.well
            frame = make.frame_of(make.RECORDS + 1)
            record, node = wire.decode(frame), make.NODES[0]
            await journal.write(lambda c: records.insert_record(c, node, record, frame, 1))
            assert not await journal.read(lambda c: c.pragma("foreign_key_check"))
        finally:
            await journal.close()

    asyncio.run(story())
    folders = setting_aside.damaged_folders(tmp_path)
    assert len(folders) == (not is_sound)
    for folder in folders:
        assert (folder / FILE_NAME).read_bytes()[VERSION] == content[VERSION]


@pytest.mark.parametrize("table", ["alerts", "records", "pending", "boots"])
def test_a_word_of_its_schema_that_is_another_hides_no_alert(released, before, tmp_path, table):
    path = tmp_path / FILE_NAME
    content = content_of(released)
    words = b"CREATE TABLE " + table.encode()
    if words not in content:
        assert (table, version_of(released) < 4) == ("boots", True)
        return
    path.write_bytes(content.replace(words, words.replace(b"TABLE", b"TABLD")))

    async def story():
        journal = Journal(path)
        await journal.open()
        try:
            for name in ("alerts", "pending"):
                listed = f"SELECT count(*) FROM {name}"
                ((count,),) = await journal.read(lambda c, q=listed: c.execute(q).fetchall())
                assert count >= len(before[name]), name
            listed = "SELECT count(*) FROM boots WHERE word_ms NOT NULL"
            assert await journal.read(lambda c: c.execute(listed).get) == len(make.NODES)
        finally:
            await journal.close()

    asyncio.run(story())
    assert len(setting_aside.damaged_folders(tmp_path)) == 1


VERSION = slice(60, 64)  # of the schema, in the file's header


def integrity_of(path):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.pragma("integrity_check")
    except (apsw.Error, UnicodeDecodeError) as error:
        return str(error)
    finally:
        connection.close(force=True)


def test_a_reader_of_today_says_what_to_do_about_it(released, tmp_path):
    with pytest.raises(Exception, match="start the gateway once, it brings the journal up to date"):
        connect(tmp_path / FILE_NAME, read_only=True)
