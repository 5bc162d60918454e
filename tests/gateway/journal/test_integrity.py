"""Goal: damage is found: pages at once or in the background, flipped bits by the frames' checksums.

Method: real files harmed on the disk while they are closed; the upkeep's steps taken by hand. An
index is harmed so that SQLite goes on with it: bits of an entry, or whole entries, of a sound page.
"""

import asyncio
import contextlib
import random
import shutil
import struct

import apsw
import pytest

from gateway import wire
from gateway.journal import integrity, records, setting_aside
from gateway.journal.opening import connect_empty
from gateway.journal.postures import read_postures
from gateway.journal.store import FILE_NAME, Journal, connect
from gateway.journal.upkeep import Upkeep
from tests.gateway.journal.test_disk import opened
from tests.gateway.journal.test_retention import ALL, put

DAY_MS = 86_400_000
COUNT = 400


@contextlib.contextmanager
def harmed(folder):
    """A journal of clear readings, closed in order, as bytes that may be changed."""
    connection = connect(folder / FILE_NAME)
    with connection:
        for seq in range(1, COUNT + 1):
            put(connection, seq, "clear")
    connection.close()
    content = bytearray((folder / FILE_NAME).read_bytes())
    yield content
    (folder / FILE_NAME).write_bytes(content)


def pixels(seq):
    return random.Random(seq).randbytes(2_900)


async def checked(journal, now_ms=5):
    """Take a full check's steps until it is done or there is none."""
    upkeep = Upkeep(journal, ALL, now_ms=lambda: now_ms, count=lambda *_: None)
    steps = 0
    while await upkeep.check():
        steps += 1
    return steps


async def ask(journal, query):
    return await journal.read(lambda connection: connection.execute(query).fetchall())


@contextlib.asynccontextmanager
async def found_damaged(folder, what):
    """Give the fresh journal: the check, and not the start, found damage and named `what`."""
    async with opened(folder) as (journal, told):
        assert told == []
        await checked(journal)
        await ask(journal, "SELECT 1")  # waits for the fresh one
        ((name, text),) = told
        assert name == "journal_damaged"
        assert what in text
        yield journal


def test_a_sound_journal_is_found_sound_and_not_checked_again_at_once(tmp_path):
    with harmed(tmp_path):
        pass

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert not journal.is_unclean
            assert await checked(journal, now_ms=5) > len(integrity.SMALL_TABLES)
            row = "SELECT is_open, checked_ms, fault FROM integrity"
            assert await ask(journal, row) == [(1, 5, "")]
            assert await checked(journal, now_ms=6 * DAY_MS) == 0
            assert await checked(journal, now_ms=8 * DAY_MS) > 0
            assert told == []
            assert await journal.read(read_postures) == {}

    asyncio.run(story())


def test_after_an_unclean_end_it_is_checked_whenever_that_was(tmp_path):
    async def killed():
        journal = Journal(tmp_path / FILE_NAME)
        await journal.open()
        assert not journal.is_unclean
        await checked(journal)
        connection, journal._writing = journal._writing, None  # as a kill leaves the file
        await journal.close()
        connection.close()

    async def story():
        async with opened(tmp_path) as (journal, _):
            assert journal.is_unclean
            assert await checked(journal) > 0
            assert await checked(journal) == 0
        async with opened(tmp_path) as (journal, _):
            assert not journal.is_unclean

    asyncio.run(killed())
    asyncio.run(story())


def test_a_flipped_bit_is_found_told_and_costs_its_reading_only(tmp_path):
    with harmed(tmp_path) as content:
        for seq in (7, COUNT // 2):
            content[content.find(pixels(seq)[:64]) + 40] ^= 4

    async def story():
        async with opened(tmp_path) as (journal, told):
            await checked(journal)
            assert told == []
            posture = (await journal.read(read_postures))[integrity.POSTURE]
            assert posture.text.startswith("2 of the stored frames have other bytes")
            ((fault,),) = await ask(journal, "SELECT fault FROM integrity")
            assert fault == posture.text
            assert await ask(journal, "SELECT count(*) FROM records") == [(COUNT,)]

    asyncio.run(story())


def test_a_page_in_the_middle_is_found_in_the_background_and_the_post_goes_on(tmp_path):
    with harmed(tmp_path) as content:
        place = content.find(pixels(100)[:64]) // 4_096 * 4_096
        content[place : place + 4_096] = random.Random(1).randbytes(4_096)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert told == []  # a start looks at the newest only
            await checked(journal)
            assert [name for name, _ in told] == ["journal_damaged"]
            assert len(setting_aside.damaged_folders(tmp_path)) == 1
            await journal.write(lambda c: put(c, 999, "pending"))
            assert await ask(journal, "SELECT checked_ms FROM integrity") == [(5,)]
            upkeep = Upkeep(journal, ALL, now_ms=lambda: 5, count=lambda *_: None)
            await upkeep.evict()
            assert "journal_damaged" in await journal.read(read_postures)
            for folder in setting_aside.damaged_folders(tmp_path):  # somebody takes it away
                shutil.rmtree(folder)
            upkeep = Upkeep(journal, ALL, now_ms=lambda: 5, count=lambda *_: None)
            await upkeep.evict()
            assert await journal.read(read_postures) == {}

    asyncio.run(story())


@pytest.mark.parametrize("table", ["alerts", "journals", "configs", "pending"])
def test_a_small_table_that_is_harmed_is_found_at_the_start(tmp_path, table):
    with harmed(tmp_path) as content:
        connection = apsw.Connection(str(tmp_path / FILE_NAME))
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((page,),) = connection.execute(query, (table,)).fetchall()
        connection.close()
        content[(page - 1) * 4_096 : page * 4_096] = random.Random(1).randbytes(4_096)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            await journal.write(lambda c: put(c, 999, "pending"))

    asyncio.run(story())


def test_a_start_looks_no_longer_than_it_may(tmp_path, monkeypatch):
    with harmed(tmp_path):
        pass
    connection = connect(tmp_path / FILE_NAME)
    asked = []
    connection.exec_trace = lambda _, sql, __: asked.append(sql) or True
    moments = iter([0.0, *[9.0] * 1_000])
    monkeypatch.setattr(integrity.time, "monotonic", lambda: next(moments))
    assert integrity.check_start(connection, deadline_s=1.0) == ""
    assert len(asked) < 5
    connection.exec_trace = None
    assert connection.execute("SELECT count(*) FROM records").fetchall() == [(COUNT,)]
    connection.close()


def entry(node, seq, record_id):
    """An entry of the index that tells records that came again, as it lies on its page."""
    return node.encode() + b"journal1" + struct.pack(">HH", seq, record_id)


@pytest.mark.parametrize("seq", [300, COUNT])
@pytest.mark.parametrize("says", ["another record", "another row"])
def test_an_index_that_says_other_than_its_table_is_found_and_nothing_comes_in_twice(
    tmp_path, seq, says
):
    """Of a page that is good for SQLite: one entry of it is wrong."""
    false = seq + 512
    with harmed(tmp_path) as content:
        sound = entry("lane-1", seq, seq)
        assert sound in content  # and in what SQLite left of another page
        wrong = entry("lane-1", false, seq) if says == "another record" else sound[:-1] + b"\1"
        content[:] = content.replace(sound, wrong)
    record = put_only(seq)

    async def story():
        async with found_damaged(tmp_path, "sqlite_autoindex_records_1") as journal:
            assert not await journal.write(lambda c: keep(c, record))
            if says == "another record":  # nobody sent that: the node's is a new one
                assert await journal.write(lambda c: keep(c, put_only(false)))
            assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]

    asyncio.run(story())


def put_only(seq):
    """The record that `put` makes, in no journal yet."""
    connection = connect_empty()
    connection.pragma("query_only", value=False)
    record = put(connection, seq, "pending")
    connection.close()
    return record


def keep(connection, record):
    return records.insert_record(connection, "lane-1", record, wire.encode(record), 5)


def test_every_index_of_a_large_table_is_looked_at():
    connection = connect_empty()
    for table, large in integrity.LARGE_TABLES.items():
        rows = connection.execute("SELECT name, origin FROM pragma_index_list(?)", (table,))
        names = {name for name, origin in rows if origin != "pk"}
        assert names == {index.name for index in large.indexes}, table
        for index in large.indexes:
            listed = "SELECT name FROM pragma_index_xinfo(?) WHERE name IS NOT NULL"
            columns = [name for (name,) in connection.execute(listed, (index.name,))]
            wanted = index.whole(large.key)
            assert tuple(columns) == wanted[: len(columns)], index.name
    listed = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    tables = {name for (name,) in connection.execute(listed)}
    assert tables | {"sqlite_schema"} == {*integrity.SMALL_TABLES, *integrity.LARGE_TABLES}
    connection.close()


def two_of_everything(connection):
    """Rows in every large table, in every index of them."""
    for at in (1, 2):
        put(connection, 10 * at + 1, "dark")
        for plus, reason in ((2, "no_axis"), (3, "calibration_expired")):
            record = put(connection, 10 * at + plus, "pending", dark_seq=10 * at + 1)
            ((record_id,),) = connection.execute("SELECT max(id) FROM records").fetchall()
            assert record.seq == 10 * at + plus
            records.insert_judgement(
                connection, records.Judgement(record_id, "inconclusive", reason, b"{}", 5)
            )
            connection.execute("INSERT INTO unrecorded VALUES (?)", (record_id,))
            connection.execute(
                "INSERT INTO rejudged VALUES (?, ?, 'clear', x'7b7d', 'clear', x'7b7d', 5)",
                (at, record_id),
            )
        connection.execute(
            "INSERT INTO healths (node, received_ms, frame) VALUES (?, 5, x'00')", (f"n{at}",)
        )


NAMED = [
    (table, index)
    for table, large in integrity.LARGE_TABLES.items()
    for index in large.indexes
    if not index.name.startswith("sqlite_")
]


@pytest.mark.parametrize("harm", ["lost", "of no row"])
@pytest.mark.parametrize("table, index", NAMED, ids=[index.name for _, index in NAMED])
def test_each_entry_of_a_large_tables_index_is_looked_at(tmp_path, table, index, harm):
    """What is done to a table while its index is hidden, the index does not know."""
    path = tmp_path / FILE_NAME
    connection = connect(path)
    connection.pragma("foreign_keys", value=False)  # of runs that there were not
    with connection:
        two_of_everything(connection)
    connection.close()
    which = f"SELECT rowid, * FROM sqlite_schema WHERE name = '{index.name}'"
    (hidden,) = in_schema(path, which)
    in_schema(path, f"DELETE FROM sqlite_schema WHERE name = '{index.name}'")
    key = " || ".join(integrity.LARGE_TABLES[table].key)
    some = f"{index.where.format(table)} ORDER BY 1 DESC LIMIT 1"
    if harm == "of no row":
        last = f"SELECT {key} FROM {table} WHERE {some}"
        in_schema(path, f"DELETE FROM {table} WHERE {key} = ({last})")
    else:
        listed = f"SELECT name FROM pragma_table_info('{table}')"
        columns = [name for (name,) in in_schema(path, listed)]
        more = {"id": "id + 90", "record_id": "record_id + 90", "seq": "seq + 90"}
        values = ", ".join(more.get(name, name) for name in columns)
        in_schema(path, f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {some}")
    in_schema(
        path,
        "INSERT INTO sqlite_schema (rowid, type, name, tbl_name, rootpage, sql)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        hidden,
    )

    async def story():
        async with found_damaged(tmp_path, index.name):
            pass

    asyncio.run(story())


def in_schema(path, statement, values=()):
    """Do something to a file whose schema may be written."""
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.pragma("writable_schema", value=True)
    found = connection.execute(statement, values).fetchall()
    connection.close()
    return found
