"""Goal: a program that reads for long stops the readings, not the post, and all heals when it goes.

Method: the real journal with another connection that reads one moment of it, as a backup does. The
disk is as large as the test says: what is free follows from the files that are there.
"""

import asyncio
import contextlib
import os
import subprocess
import sys

import apsw
import pytest

from gateway.errors import DiskError
from gateway.journal import log, retention, worth
from gateway.journal.condition import DiskState
from gateway.journal.retention import Limits
from gateway.journal.store import Journal
from gateway.journal.upkeep import Upkeep

DISK_BYTES = 44_000_000
RESERVE_BYTES = 6_000_000
STEP_BYTES = 400_000


def put(number, size=STEP_BYTES):
    def operation(connection):
        connection.execute(
            "INSERT INTO records (node, journal_id, seq, kind, received_ms, frame)"
            " VALUES ('lane-1', x'01', ?, 2, 1, zeroblob(?))",
            (number, size),
        )

    return operation


def used(folder):
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix != ".sqlite-shm")


@contextlib.asynccontextmanager
async def opened(folder):
    told = []
    journal = Journal(
        folder / "journal.sqlite",
        reserve_bytes=RESERVE_BYTES,
        tell=lambda name, text: told.append((name, text)),
    )
    journal.space.free_bytes = lambda: max(0, DISK_BYTES - used(folder))
    try:
        await journal.open()
        yield journal, told
    finally:
        await journal.close()


@contextlib.contextmanager
def reading(path):
    """Read one moment of the journal in another process until the end."""
    question = (
        "import apsw, sys\n"
        "c = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY)\n"
        "c.set_busy_timeout(30_000)\n"
        "c.execute('BEGIN'); c.execute('SELECT count(*) FROM records').fetchall()\n"
        "print('reading', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", question, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout.readline() == "reading\n"
        yield program
        program.stdin.close()


async def fill(journal, first=0):
    """Write readings until one is refused; return how many were taken."""
    for number in range(first, first + 1_000):
        try:
            await journal.write(put(number), essential=False)
        except DiskError:
            return number - first
    raise AssertionError("the disk was never short of room")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(log, "AGAIN_S", 0.0)


def test_who_reads_for_long_stops_readings_while_all_still_fits_into_the_file(tmp_path, quick):
    """Log and file together leave the reserve; when the reader goes one look makes all well."""

    async def story():
        async with opened(tmp_path) as (journal, told):
            with reading(journal.path) as program:
                taken = await fill(journal)
                assert taken * STEP_BYTES > log.TIGHT_BYTES
                assert journal.condition.state is DiskState.tight
                assert f"process {program.pid} (" in journal.condition.text
                assert "end that program" in journal.condition.text
                await journal.write(put(5_000, 10))  # an alert
                room = journal.space.free_bytes() - journal.space.owed_bytes
                assert RESERVE_BYTES - 3 * STEP_BYTES < room < RESERVE_BYTES
            await journal.look()
            assert (tmp_path / "journal.sqlite-wal").stat().st_size < STEP_BYTES
            assert journal.condition.state is DiskState.well
            await journal.write(put(6_000, 10), essential=False)
            assert [name for name, _ in told] == ["disk_unwell", "disk_well"]

    asyncio.run(story())


def test_nothing_is_evicted_for_pages_that_the_file_does_not_get(tmp_path, quick, monkeypatch):
    """What is emptied would go to the log as well; free pages take readings only once folded in."""
    monkeypatch.setattr(retention, "FRESH_RECORDS", 0)

    async def story():
        async with opened(tmp_path) as (journal, _):
            journal.space.free_bytes = lambda: max(0, 57_000_000 - used(tmp_path))
            for number in range(25):
                await journal.write(put(number))
                await journal.write(lambda c: worth.rank(c, c.last_insert_rowid(), worth.CLEAR))
            await journal.write(put(99, 26_000_000))
            await journal.write(lambda c: c.execute("DELETE FROM records WHERE seq = 99"))
            journal._writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            await journal.write(lambda connection: None)
            counts = []
            upkeep = Upkeep(
                journal,
                Limits(bytes_max=1 << 40, days_max=1_000),
                now_ms=lambda: 1,
                count=lambda *count: counts.append(count),
            )
            with reading(journal.path):
                await fill(journal, first=100)
                spare = await journal.read(retention.spare_bytes)
                assert retention.SPARE_BYTES < spare < 2 * retention.SPARE_BYTES
                with pytest.raises(DiskError, match="reading the journal for long"):
                    await journal.write(put(2_000), essential=False)
                before = (tmp_path / "journal.sqlite-wal").stat().st_size
                assert not await upkeep.evict()
                assert (tmp_path / "journal.sqlite-wal").stat().st_size == before
                assert not journal.takes_readings
            assert counts == []

    asyncio.run(story())


def test_not_even_alerts_make_a_log_longer_than_fits_into_the_file(tmp_path, quick):
    async def story():
        async with opened(tmp_path) as (journal, _):
            with reading(journal.path):
                number = 10_000 + await fill(journal)
                with contextlib.suppress(DiskError):
                    for more in range(1_000):
                        await journal.write(put(number + more, 100_000))
                assert journal.condition.state is DiskState.full
                assert "reading the journal for long" in journal.condition.text
                assert journal.space.free_bytes() >= journal.space.owed_bytes
                await journal.look()
                assert journal.condition.state is DiskState.full
            await journal.look()
            assert journal.condition.state in {DiskState.well, DiskState.tight}
            assert not journal.space.owed_bytes
            await journal.write(put(20_000, 10))

    asyncio.run(story())


def test_the_readers_of_a_journal_are_found_by_their_locks(tmp_path):
    path = tmp_path / "journal.sqlite"
    journal = apsw.Connection(str(path))
    journal.pragma("journal_mode", "wal")
    journal.execute("CREATE TABLE records (id)")
    assert log.readers(path) == []
    assert log.readers(tmp_path / "none") == []
    with reading(path) as program:
        assert log.readers(path) == [program.pid]
    assert log.readers(path) == []
    journal.close()


@pytest.mark.skipif(sys.platform != "linux", reason="who holds a lock is told by Linux")
def test_a_reader_is_found_where_the_service_sees_no_locks_of_others(tmp_path, monkeypatch):
    """ProcSubset=pid of the unit hides /proc/locks; and looking must drop no lock of our own."""
    monkeypatch.setattr(log, "LOCKS", tmp_path / "hidden")
    path = tmp_path / "journal.sqlite"
    journal = apsw.Connection(str(path))
    journal.pragma("journal_mode", "wal")
    journal.execute("CREATE TABLE records (id)")
    assert log.readers(path) == []
    journal.execute("BEGIN")
    journal.execute("SELECT * FROM records").fetchall()  # holds a lock of its own
    with reading(path) as program:
        assert log.readers(path) == [program.pid]
        monkeypatch.undo()
        assert program.pid in log.readers(path)
    ours = path.with_name("journal.sqlite-shm").stat().st_ino
    held = [line for line in log.LOCKS.read_text().splitlines() if f":{ours} " in line]
    assert any(f" {os.getpid()} " in line for line in held)
    journal.execute("COMMIT")
    journal.close()


def test_many_readers_are_named_shortly():
    assert log.named([]) == ""
    assert log.named([os.getpid()]).startswith(f"process {os.getpid()} (")
    assert log.named([1, 2, 3, 4, 5]).endswith(" and 2 more")
