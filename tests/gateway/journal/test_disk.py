"""Goal: a disk that is short of room, full, read-only or failing is told, and passes by itself.

Method: the real journal on a VFS that fails as it is told, and with a bound on the free room that
no disk meets. Nothing waits: `look` is called where the gateway calls it every two seconds.
"""

import asyncio
import contextlib
import os
import threading
from functools import partial
from types import SimpleNamespace

import apsw
import pytest

from gateway.errors import DiskError, JournalError
from gateway.journal import batches, records, space
from gateway.journal.condition import DiskState
from gateway.journal.integrity import note_open
from gateway.journal.opening import look_at, shut
from gateway.journal.postures import read_postures
from gateway.journal.retention import Limits, evict
from gateway.journal.store import Journal, connect
from tests.gateway.journal.faulty import FAILING, FULL, READONLY, Disk
from tests.gateway.journal.test_store import floors, keep

MUCH = 1 << 60  # bytes that no disk has free


@pytest.fixture
def disk(monkeypatch):
    # A write that SQLite cannot undo is told to apsw's hook as well; the journal has told it.
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    with Disk() as disk:
        yield disk


@contextlib.asynccontextmanager
async def opened(folder, **settings):
    told = []
    journal = Journal(
        folder / "journal.sqlite",
        now_ms=lambda: 5_000,
        tell=lambda name, text: told.append((name, text)),
        **settings,
    )
    try:
        await journal.open()
        yield journal, told
    finally:
        await journal.close()


def test_short_of_room_readings_are_refused_before_the_write_and_alerts_are_not(tmp_path):
    async def story():
        async with opened(tmp_path) as (journal, told):
            await journal.write(keep(b"before"), essential=False)
            assert journal.condition.state is DiskState.well
            journal.space.reserve_bytes = MUCH
            for _ in range(2):
                with pytest.raises(DiskError, match="readings stay on their nodes"):
                    await journal.write(keep(b"reading"), essential=False)
            await journal.write(keep(b"alert"))
            both = (journal.write(keep(b"more")), journal.write(keep(b"no"), essential=False))
            kept, refused = await asyncio.gather(*both, return_exceptions=True)
            assert (kept, type(refused)) == (None, DiskError)
            assert [name for name, _ in await journal.read(floors)] == [
                b"alert",
                b"before",
                b"more",
            ]
            assert journal.condition.state is DiskState.tight
            assert journal.condition.since_ms == 5_000
            await journal.look()
            posture = (await journal.read(read_postures))["disk"]
            assert "journal.reserve_bytes keeps for alerts" in posture.text
            journal.space.reserve_bytes = 0
            await journal.look()
            assert journal.condition.state is DiskState.well
            await journal.look()
            assert await journal.read(read_postures) == {}
            await journal.write(keep(b"again"), essential=False)
            assert [name for name, _ in told] == ["disk_unwell", "disk_well"]

    asyncio.run(story())


def test_a_full_disk_stays_full_while_only_small_writes_fit(tmp_path, disk):
    """What needs a page more fails, what needs none succeeds: that is one state, told once."""

    async def story():
        async with opened(tmp_path) as (journal, told):
            journal.space.reserve_bytes = MUCH
            journal.space.free_bytes = lambda: 4_096
            for _ in range(5):
                disk.fault = FULL
                with pytest.raises(DiskError):
                    await journal.write(keep(b"alert"))
                disk.fault = None
                await journal.look()
                assert journal.condition.state is DiskState.full
            assert [name for name, _ in told] == ["disk_unwell"]
            journal.space.free_bytes = lambda: 100_000_000
            await journal.look()
            assert journal.condition.state is DiskState.tight

    asyncio.run(story())


@pytest.mark.parametrize(
    "fault, state",
    [
        (FULL, DiskState.full),
        (FAILING, DiskState.failing),
        (READONLY, DiskState.readonly),
    ],
)
def test_what_the_disk_takes_not_is_told_and_passes(tmp_path, disk, fault, state):
    async def story():
        async with opened(tmp_path) as (journal, told):
            await journal.write(keep(b"before"))
            disk.fault = fault
            outcomes = await asyncio.gather(
                *(journal.write(keep(b"%d" % n), essential=bool(n % 2)) for n in range(8)),
                return_exceptions=True,
            )
            assert {type(outcome) for outcome in outcomes} == {DiskError}
            assert journal.condition.state is state
            assert str(tmp_path) in journal.condition.text
            assert await journal.read(floors) == [(b"before", 1)]
            await journal.look()
            assert journal.condition.state is state
            disk.fault = None
            await journal.look()
            assert journal.condition.state is DiskState.well
            await journal.write(keep(b"after"), essential=False)
            assert await journal.read(floors) == [(b"after", 1), (b"before", 1)]
            assert [name for name, _ in told] == ["disk_unwell", "disk_well"]

    asyncio.run(story())


@pytest.mark.parametrize("fault", [FULL, FAILING, READONLY])
def test_only_what_the_disk_takes_ends_its_state(tmp_path, disk, fault):
    """Retention with nothing to do, a row with its old values, a look: none of them is a write."""

    async def story():
        async with opened(tmp_path) as (journal, told):
            await journal.write(keep(b"before"))
            disk.fault = fault
            with pytest.raises(DiskError):
                await journal.write(keep(b"more"))
            condition = journal.condition
            limits = Limits(bytes_max=1 << 40, days_max=1_000)
            for _ in range(3):
                await journal.write(partial(evict, now_ms=5_000, limits=limits))
                await journal.write(keep(b"before"))
                await journal.write(lambda _: None)
                await journal.look()
                assert journal.condition == condition
            disk.fault = None
            await journal.write(keep(b"before"))
            assert journal.condition == condition
            await journal.look()
            assert journal.condition.state is DiskState.well
            assert [name for name, _ in told] == ["disk_unwell", "disk_well"]

    asyncio.run(story())


def test_a_disk_that_has_room_and_takes_nothing_is_not_called_full(tmp_path, disk):
    async def story():
        async with opened(tmp_path) as (journal, _):
            disk.fault = FULL
            with pytest.raises(DiskError):
                await journal.write(keep(b"more"))
            assert "takes no more although" in journal.condition.text
            assert "quota" in journal.condition.text
            assert "is full" not in journal.condition.text

    asyncio.run(story())


@pytest.mark.parametrize("fault", [FULL, FAILING])
def test_a_fault_of_one_moment_costs_nobody_his_alert(tmp_path, disk, fault):
    """The batch is done again one by one; readings need no second try, their nodes keep them."""

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(keep(b"before"))
            disk.fault, disk.times = fault, 1
            outcomes = await asyncio.gather(
                *(journal.write(keep(b"%d" % n)) for n in range(2)),
                journal.write(keep(b"reading"), essential=False),
                journal.write(keep(b"2")),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, DiskError) for outcome in outcomes) <= 2
            refused = [n for n, outcome in enumerate(outcomes) if outcome is not None]
            names = [b"0", b"1", b"reading", b"2"]
            there = {name for name, _ in await journal.read(floors)} - {b"before"}
            assert there == {name for n, name in enumerate(names) if n not in refused}
            assert journal.condition.state is DiskState.well

    asyncio.run(story())


@pytest.mark.parametrize("fault", [FULL, FAILING, READONLY])
@pytest.mark.parametrize("is_new", [False, True])
def test_a_start_on_such_a_disk_ends_nothing_and_is_made_good(tmp_path, disk, fault, is_new):
    """Alerts can be read as long as there is a file; nothing is written until the disk takes it."""

    async def story():
        disk.fault = fault
        async with opened(tmp_path) as (journal, told):
            assert journal.condition.state is not DiskState.well
            for lane in ("judging", "outbox", "views"):
                kept = [] if is_new else [(b"kept", 1)]
                assert await journal.read(floors, lane=lane) == kept
            for essential in (False, True):
                with pytest.raises(DiskError):
                    await journal.write(keep(b"new"), essential=essential)
            await journal.look()
            assert journal.condition.state is not DiskState.well
            disk.fault = None
            await journal.look()
            assert journal.condition.state is DiskState.well
            await journal.write(keep(b"new"), essential=False)
            names = [name for name, _ in await journal.read(floors, lane="outbox")]
            assert names == ([b"new"] if is_new else [b"kept", b"new"])
            assert [name for name, _ in told] == ["disk_unwell", "disk_well"]

    if not is_new:
        connection = connect(tmp_path / "journal.sqlite")
        keep(b"kept")(connection)
        connection.close()
    asyncio.run(story())


def test_the_ballast_is_given_away_for_the_start_and_laid_down_again(tmp_path, monkeypatch):
    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.look()
            ballast = tmp_path / space.BALLAST_NAME
            assert ballast.stat().st_size == space.BALLAST_BYTES
            assert ballast.stat().st_blocks * 512 >= space.BALLAST_BYTES  # it has its room
            assert journal.space.drop_ballast()
            assert not journal.space.drop_ballast()
            journal.space.reserve_bytes = MUCH
            await journal.look()
            assert not ballast.exists()
            journal.space.reserve_bytes = 0
            await journal.look()
            assert ballast.exists()

    asyncio.run(story())


def test_a_full_start_gives_the_ballast_away_once(tmp_path, disk):
    async def story():
        (tmp_path / space.BALLAST_NAME).write_bytes(b"x")
        disk.fault, disk.times = FULL, 1
        async with opened(tmp_path) as (journal, _):
            assert journal.condition.state is DiskState.well
            assert not (tmp_path / space.BALLAST_NAME).exists()

    asyncio.run(story())


def test_lanes_do_not_wait_for_each_other_nor_for_the_writer(tmp_path):
    """Each has its own thread: the three questions and a write are all under way at one time."""
    meeting = threading.Barrier(4, timeout=30)

    async def story():
        async with opened(tmp_path) as (journal, _):
            await asyncio.gather(
                *(
                    journal.read(lambda _: meeting.wait(), lane=lane)
                    for lane in ("judging", "outbox", "views")
                ),
                journal.write(lambda _: meeting.wait()),
            )

    asyncio.run(story())


def test_a_judge_reads_one_moment_while_the_writer_goes_on(tmp_path):
    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(keep(b"first"))
            entered, go_on = asyncio.Event(), threading.Event()
            loop = asyncio.get_running_loop()

            def slow(connection):
                with connection:
                    before = floors(connection)
                    loop.call_soon_threadsafe(entered.set)
                    assert go_on.wait(30)
                    return before, floors(connection)

            reading = asyncio.create_task(journal.read(slow, lane="views"))
            await entered.wait()
            for number in range(50):
                await journal.write(keep(b"%d" % number))
            assert len(await journal.read(floors)) == 51
            go_on.set()
            assert await reading == ([(b"first", 1)], [(b"first", 1)])

    asyncio.run(story())


def test_memory_for_one_operation_is_its_own_fault(tmp_path):
    async def story():
        async with opened(tmp_path) as (journal, _):

            def hungry(connection):
                keep(b"half")(connection)
                raise MemoryError

            kept, failed = await asyncio.gather(
                journal.write(keep(b"kept")), journal.write(hungry), return_exceptions=True
            )
            assert (kept, type(failed)) == (None, MemoryError)
            assert await journal.read(floors) == [(b"kept", 1)]
            assert journal.condition.state is DiskState.well

    asyncio.run(story())


def test_a_version_that_is_not_ours_still_ends_the_start(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    connection.pragma("user_version", 99)
    connection.close()

    async def story():
        async with opened(tmp_path):
            pass

    with pytest.raises(JournalError, match="schema version 99"):
        asyncio.run(story())


def test_errors_say_which_state_they_mean(tmp_path):
    disk = space.Space(tmp_path, 0)
    path = tmp_path / "journal.sqlite"
    assert disk.judge(apsw.FullError("x"), path) is DiskState.full
    assert disk.judge(apsw.ReadOnlyError("x"), path) is DiskState.readonly
    assert disk.judge(apsw.IOError("x"), path) is DiskState.failing
    assert disk.judge(apsw.CantOpenError("x"), path) is DiskState.failing
    assert disk.judge(apsw.CantOpenError("x"), tmp_path) is None  # a folder in its place
    assert disk.judge(apsw.CantOpenError("x"), tmp_path / "no" / "file") is None
    assert disk.judge(apsw.ConstraintError("x"), path) is None
    assert disk.judge(None, path) is None
    assert records.is_damaged(b"", 5) is False


def test_a_disk_without_room_for_another_file_is_said_to_be_that(tmp_path, monkeypatch):
    disk = space.Space(tmp_path, 0)
    path = tmp_path / "journal.sqlite"
    real = os.statvfs(tmp_path)
    fields = {name: getattr(real, name) for name in dir(real) if name.startswith("f_")}
    used_up = SimpleNamespace(**fields | {"f_files": 200, "f_favail": 0})
    monkeypatch.setattr(os, "statvfs", lambda _: used_up)
    for error in (apsw.CantOpenError("x"), apsw.IOError("x")):
        assert disk.judge(error, path) is DiskState.full
    assert "its inodes are used up" in space.describe(DiskState.full, path, disk)
    used_up.f_files = 0  # a file system that has no number of files
    assert disk.judge(apsw.IOError("x"), path) is DiskState.failing
    assert "inodes" not in space.describe(DiskState.full, path, disk)


def test_a_link_to_nowhere_is_said_to_be_one_and_is_followed_once_it_leads_somewhere(tmp_path):
    """As of a disk that is not mounted yet."""
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "journal.sqlite").symlink_to(elsewhere / "journal.sqlite")

    async def story():
        async with opened(tmp_path) as (journal, _):
            assert journal.condition.state is DiskState.failing
            assert "is a link to" in journal.condition.text
            assert "replace it" not in journal.condition.text
            elsewhere.mkdir()
            await journal.look()
            assert journal.condition.state is DiskState.well
            await journal.write(keep(b"new"), essential=False)

    asyncio.run(story())


@pytest.mark.parametrize("fault", [FULL, FAILING, READONLY])
def test_a_damaged_journal_on_such_a_disk_waits_to_be_set_aside(tmp_path, disk, fault):
    path = tmp_path / "journal.sqlite"
    connection = connect(path)
    with connection:
        for number in range(300):
            keep(b"%d" % number)(connection)
    connection.close()
    content = bytearray(path.read_bytes())
    content[-8_192:-4_096] = bytes(4_096)
    path.write_bytes(content)

    async def story():
        disk.fault = fault
        async with opened(tmp_path) as (journal, told):
            assert journal.condition.state is not DiskState.well
            with pytest.raises(DiskError):
                await journal.write(keep(b"new"))
            with contextlib.suppress(JournalError):  # what can be read may be damaged
                await journal.read(floors)
            assert [name for name, _ in told] == ["disk_unwell"]
            await journal.look()
            assert path.read_bytes() == content
            disk.fault = None
            await journal.look()
            assert journal.condition.state is DiskState.well
            await journal.write(keep(b"new"), essential=False)
            assert (b"new", 1) in await journal.read(floors)
            names = [name for name, _ in told]
            assert names == ["disk_unwell", "journal_damaged", "disk_well"]

    asyncio.run(story())


def test_who_looks_at_a_disk_that_takes_nothing_sees_what_is_there(tmp_path, disk):
    connection = connect(tmp_path / "journal.sqlite")
    keep(b"kept")(connection)
    connection.close()
    disk.fault = FULL
    connection = look_at(tmp_path / "journal.sqlite")
    assert floors(connection) == [(b"kept", 1)]
    shut(connection)
    with pytest.raises(JournalError, match="does not exist"):
        look_at(tmp_path / "other.sqlite")


@pytest.mark.parametrize("is_unclean", [True, False])
def test_a_log_that_somebody_reads_at_the_start_is_folded_in_later(tmp_path, is_unclean):
    """What a killed gateway left in it may not be on the disk: no reading is receipted before."""
    path = tmp_path / "journal.sqlite"
    reader = connect(path)
    if is_unclean:
        note_open(reader)
    keep(b"kept")(reader)
    reader.execute("BEGIN")
    assert floors(reader) == [(b"kept", 1)]

    async def story():
        async with opened(tmp_path) as (journal, _):
            assert journal.takes_readings is not is_unclean
            await journal.write(keep(b"alert"))
            if is_unclean:
                with pytest.raises(DiskError, match="another program reads the journal"):
                    await journal.write(keep(b"reading"), essential=False)
                await journal.look()
                assert not journal.takes_readings
            reader.execute("ROLLBACK")
            await journal.look()
            assert journal.takes_readings
            await journal.write(keep(b"reading"), essential=False)

    asyncio.run(story())
    reader.close()


def test_a_reader_that_stays_holds_readings_up_for_a_minute_only(tmp_path, monkeypatch):
    reader = connect(tmp_path / "journal.sqlite")
    note_open(reader)
    reader.execute("BEGIN")
    assert floors(reader) == []

    async def story():
        async with opened(tmp_path) as (journal, _):
            assert not journal.takes_readings
            monkeypatch.setattr(batches, "UNFOLDED_S_MAX", -1.0)
            await journal.look()
            assert journal.takes_readings

    asyncio.run(story())
    reader.close()
