"""Goal: damage is found: pages at once or in the background, flipped bits by the frames' checksums.

Method: real files harmed on the disk while they are closed; the upkeep's steps taken by hand.
"""

import asyncio
import contextlib
import random
import shutil

import apsw
import pytest

from gateway.journal import integrity, setting_aside
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
