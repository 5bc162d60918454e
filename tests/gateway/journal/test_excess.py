"""Goal: a node that invents journals and axes fills nothing, and no honest one is refused for it.

Method: a real journal with thousands of invented ones, trimmed by the upkeep's own steps; then what
is left is asked for as ingest and judges ask.
"""

import asyncio
from functools import partial

import msgspec
import pytest

from gateway import wire
from gateway.journal import excess, records, retention, worth
from gateway.journal.calibrations import Kept, insert_calibration
from gateway.journal.upkeep import Upkeep
from protocol import messages
from tests.gateway.journal.test_disk import opened
from tests.gateway.journal.test_records import birth, insert, judge, reading
from tests.gateway.journal.test_retention import ALL

NODE = "lane-1"
MANY = 1_300  # more than two steps take


def name_of(number):
    return number.to_bytes(8, "big")


def born(connection, axis=b"axis-one", journal=b"journal1", node=NODE):
    word = msgspec.structs.replace(birth(axis_id=axis), journal_id=journal, pixel_count=64)
    records.save_birth(connection, node, word, wire.encode(word), 5)


def read_names(connection, table):
    column = {"axes": "axis_id", "journals": "journal_id"}[table]
    rows = connection.execute(f"SELECT {column} FROM {table} WHERE node = ?", (NODE,))
    return {name for (name,) in rows}


async def trimmed(journal):
    """Trim until there is no more; return what was counted and told."""
    counts, told = {}, []

    def count(name, node, amount):
        counts[name, node] = counts.get((name, node), 0) + amount

    upkeep = Upkeep(
        journal, ALL, now_ms=lambda: 5, count=count, tell=lambda *said: told.append(said)
    )
    while await upkeep.trim():
        pass
    return counts, told


def test_axes_beyond_the_bound_go_but_for_those_in_use(tmp_path):
    def invent(connection):
        for number in range(MANY):
            born(connection, name_of(number))
        # One that an alert stands on, one of a standard, one of a reading; then one for now.
        for seq, number in ((1, 3), (2, 900), (3, 1_200)):
            role = messages.ROLE_STANDARD if seq == 2 else messages.ROLE_SAMPLE
            record = msgspec.structs.replace(reading(seq, role=role), axis_id=name_of(number))
            assert insert(connection, record)
        judge(connection, 1, "alarm", "listed", "lane-1.1")
        kept = Kept(2, 5, "diamond", "", "", b"{}")
        insert_calibration(connection, NODE, name_of(900), kept, 0)
        judge(connection, 3)
        born(connection, b"axis-now")

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(invent)
            counts, told = await trimmed(journal)
            left = await journal.read(partial(read_names, table="axes"))
            assert len(left) == excess.AXES_PER_NODE_MAX
            assert {name_of(3), name_of(900), name_of(1_200), b"axis-now"} <= left
            assert counts == {("axis_forgotten", NODE): MANY + 1 - len(left)}
            assert {said[:2] for said in told} == {("axis_forgotten", NODE)}
            assert "put the firmware on anew" in told[0][2]
            assert await trimmed(journal) == ({}, [])
            # An axis that went and comes again is known again.
            await journal.write(lambda c: born(c, name_of(0)))
            find = partial(records.read_axis_birth, node=NODE, axis_id=name_of(0))
            assert await journal.read(find) is not None

    asyncio.run(story())


def test_a_standard_on_an_axis_that_went_is_evicted_like_an_old_one(tmp_path):
    """Or a node that invents an axis for each standard would fill the disk with them."""

    def invent(connection):
        for number in range(excess.AXES_PER_NODE_MAX + 10):
            born(connection, name_of(number))
            role = messages.ROLE_STANDARD
            record = msgspec.structs.replace(
                reading(number + 1, role=role), axis_id=name_of(number)
            )
            assert insert(connection, record)
            kept = Kept(number + 1, 5, "diamond", "", "", b"{}")
            insert_calibration(connection, NODE, name_of(number), kept, 0)
        # Retention has looked at all of them, and found them needed.
        for number in range(excess.AXES_PER_NODE_MAX + 10):
            worth.rank(connection, number + 1, None)

    def evicted(connection):
        rows = connection.execute("SELECT id FROM records WHERE length(frame) = 0 ORDER BY id")
        return [record_id for (record_id,) in rows]

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(invent)
            await trimmed(journal)
            limits = retention.Limits(bytes_max=1, days_max=1)
            await journal.write(partial(retention.evict, now_ms=5, limits=limits))
            assert await journal.read(evicted) == list(range(1, 11))
            left = await journal.read(lambda c: c.execute("SELECT * FROM calibrations").fetchall())
            assert len(left) == excess.AXES_PER_NODE_MAX

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "FRESH_RECORDS", 0)
        asyncio.run(story())


def test_journals_beyond_the_bound_go_the_silent_ones_first(tmp_path):
    def invent(connection):
        for number in range(MANY):
            records.save_floor(connection, NODE, name_of(number), 7)
        for seq, number in ((8, 5), (8, 700)):
            assert insert(connection, reading(seq, journal_id=name_of(number)))
        born(connection, journal=name_of(11))
        for number in range(3):  # an honest one beside it
            records.save_floor(connection, "lane-2", name_of(number), 7)

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(invent)
            counts, told = await trimmed(journal)
            left = await journal.read(partial(read_names, table="journals"))
            assert len(left) == excess.JOURNALS_PER_NODE_MAX
            assert {name_of(5), name_of(700), name_of(11)} <= left
            assert counts == {("journal_forgotten", NODE): MANY - len(left)}
            assert "exchange the board" in told[0][2]
            floors = "SELECT count(*) FROM journals WHERE node = 'lane-2' AND seq = 7"
            assert await journal.read(lambda c: c.execute(floors).fetchall()) == [(3,)]
            find = partial(records.read_ledger, node=NODE, journal_id=name_of(700))
            assert (await journal.read(find)).seq == 8
            # A new one is served as ever.
            new = reading(1, journal_id=b"flashed!")
            assert await journal.write(lambda c: insert(c, new))
            assert not await journal.write(lambda c: insert(c, new))

    asyncio.run(story())


def test_a_node_within_the_bounds_loses_nothing(tmp_path):
    def flash(connection):
        for number in range(excess.JOURNALS_PER_NODE_MAX):
            records.save_floor(connection, NODE, name_of(number), 7)
            born(connection, name_of(number), name_of(number))

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(flash)
            assert await trimmed(journal) == ({}, [])

    asyncio.run(story())


def test_the_axis_lies_in_the_head_of_the_longest_frame():
    most = msgspec.structs.replace(
        reading((1 << 53) - 1),
        uptime_ms=(1 << 53) - 1,
        time_ms=(1 << 53) - 1,
        time_quality=messages.TIME_GNSS,
    )
    assert excess.read_axis_id(wire.encode(most)[: excess.HEAD_BYTES]) == b"axis-one"
    assert excess.read_axis_id(wire.encode(most)[:82]) == b"axis-one"
    assert excess.read_axis_id(wire.encode(birth())) is None
    assert excess.read_axis_id(b"") is None
    assert excess.read_axis_id(b"\x99") is None
