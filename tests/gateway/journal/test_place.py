"""Goal: a journal that is deleted or exchanged while open loses nothing; a disk may come back.

Method: the real journal, whose files are taken away under it. What was written is asked for after
a new start, in the file that lies at the path then.
"""

import asyncio
import shutil

import apsw
import pytest

from gateway.errors import DiskError
from gateway.journal import backup, place, watch
from gateway.journal.condition import DiskState
from gateway.journal.opening import connect
from tests.gateway.journal.faulty import FAILING, FULL, READONLY, Disk
from tests.gateway.journal.test_disk import opened
from tests.gateway.journal.test_store import floors, keep

PARTS = ("", "-wal", "-shm")


def remove_all(path):
    for part in PARTS:
        path.with_name(path.name + part).unlink()


def remove_file(path):
    path.unlink()


def remove_log(path):
    path.with_name(path.name + "-wal").unlink()


def exchange(path):
    other = path.with_name("other.sqlite")
    connection = connect(other)
    keep(b"other")(connection)
    connection.close()
    other.replace(path)


def spoil(path):
    path.with_name("other.sqlite").write_bytes(b"no journal" * 1_000)
    path.with_name("other.sqlite").replace(path)


def overwrite(path):
    connection = connect(path.with_name("other.sqlite"))
    keep(b"other")(connection)
    connection.execute("VACUUM INTO ?", (str(path.with_name("backup.sqlite")),))
    connection.close()
    path.write_bytes(path.with_name("backup.sqlite").read_bytes())


def truncate(path):
    path.write_bytes(b"")


def move_folder(path):
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.mkdir()


WAYS = (remove_all, remove_file, remove_log, exchange, spoil, overwrite, truncate, move_folder)


def kept(path):
    connection = connect(path)
    try:
        return {name for name, _ in floors(connection)}
    finally:
        connection.close()


async def calm(journal):
    """Let the journal find its way back; nothing else is under way."""
    await journal.look()
    while under_way := [task for task in (journal._returning, journal._mending) if task]:
        await asyncio.wait(under_way)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_open_is_put_back_and_nothing_is_lost(tmp_path, way):
    folder = tmp_path / "state"
    folder.mkdir()
    path = folder / "journal.sqlite"

    async def story():
        async with opened(folder) as (journal, told):
            for number in range(200):
                await journal.write(keep(b"%03d" % number), essential=False)
            way(path)
            with pytest.raises(DiskError, match="deleted or exchanged under the running gateway"):
                await journal.write(keep(b"refused"), essential=False)
            assert not journal.takes_readings
            await journal.write(keep(b"alert"))
            await calm(journal)
            assert journal.takes_readings
            await journal.write(keep(b"after"), essential=False)
            assert len(await journal.read(floors)) >= 202
            assert [name for name, _ in told] == ["disk_unwell", "journal_displaced", "disk_well"]
            shutil.copy(path, tmp_path / "killed.sqlite")  # as a power cut would leave it
            shutil.copy(f"{path}-wal", tmp_path / "killed.sqlite-wal")

    asyncio.run(story())
    wanted = {b"alert", b"after", *(b"%03d" % number for number in range(200))}
    for left in (path, tmp_path / "killed.sqlite"):
        assert kept(left) - {b"refused"} == wanted
    folders = list(folder.glob("damaged-*"))
    if way in {exchange, spoil}:
        assert (folders[0] / path.name).exists()
    elif way in {remove_all, move_folder}:
        assert folders == []
    assert not list(folder.glob("*.new*"))


@pytest.mark.parametrize("way", [overwrite, truncate])
def test_what_was_overwritten_and_is_nowhere_else_is_not_called_whole(tmp_path, way):
    """What of the file was neither in memory nor in its log is gone."""

    async def story():
        async with opened(tmp_path) as (journal, told):
            names = [b"%08d" % number * 50 for number in range(3_000)]
            await asyncio.gather(*(journal.write(keep(name)) for name in names))
            journal._writing.pragma("cache_size", 10)
            journal._writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            journal._writing.pragma("shrink_memory")
            way(journal.path)
            for _ in range(4):
                await calm(journal)
            said = dict(told)
            if way is overwrite:  # a backup is whole
                assert "the rest is what was copied over it" in said["journal_displaced"]
            else:
                assert "journal_damaged" in said
            assert journal.condition.state is DiskState.well
            await journal.write(keep(b"after"), essential=False)

    asyncio.run(story())
    assert b"after" in kept(tmp_path / "journal.sqlite")


def test_a_large_journal_goes_back_in_steps_and_takes_alerts_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "STEP_PAGES", 1)
    path = tmp_path / "journal.sqlite"

    async def story():
        async with opened(tmp_path) as (journal, _):
            await asyncio.gather(*(journal.write(keep(b"%05d" % n)) for n in range(2_000)))
            remove_all(path)
            written = 0
            await journal.write(keep(b"first"))
            while journal._returning is not None:
                await journal.write(keep(b"alert-%d" % written))
                written += 1
            assert written > 10
            await calm(journal)
            names = {name for name, _ in await journal.read(floors)}
            assert names >= {b"alert-%d" % number for number in range(written)}
            assert len(names) == 2_001 + written

    asyncio.run(story())
    assert len(kept(path)) > 2_010


def test_without_its_folder_it_says_so_and_goes_back_when_that_is_there(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()

    async def story():
        async with opened(folder) as (journal, told):
            await journal.write(keep(b"before"), essential=False)
            folder.rename(tmp_path / "elsewhere")
            for _ in range(2):
                await calm(journal)
                assert journal.condition.state is DiskState.failing
                assert "do not stop the gateway" in journal.condition.text
                with pytest.raises(DiskError):
                    await journal.write(keep(b"reading"), essential=False)
            folder.mkdir()
            await calm(journal)
            assert journal.takes_readings
            assert told[-1][0] == "disk_well"

    asyncio.run(story())
    assert kept(folder / "journal.sqlite") >= {b"before"}


def test_a_stop_puts_it_back_as_well(tmp_path):
    path = tmp_path / "journal.sqlite"

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(keep(b"kept"), essential=False)
            exchange(path)

    asyncio.run(story())
    assert kept(path) == {b"kept"}


def test_a_backup_that_is_put_there_while_it_runs_is_kept_beside_it(tmp_path):
    path = tmp_path / "journal.sqlite"

    async def story():
        async with opened(tmp_path) as (journal, told):
            await journal.write(keep(b"old"), essential=False)
            backup.make(tmp_path, tmp_path / "b.sqlite", reserve_bytes=0, now_ms=1)
            await journal.write(keep(b"new"), essential=False)
            (tmp_path / "b.sqlite").replace(path)
            await calm(journal)
            await calm(journal)
            assert "stop the gateway first" in dict(told)["journal_displaced"]

    asyncio.run(story())
    assert kept(path) == {b"old", b"new"}
    (folder,) = tmp_path.glob("damaged-*")
    assert kept(folder / path.name) == {b"old"}


@pytest.mark.parametrize("fault", [FAILING, READONLY])
def test_a_disk_that_went_away_and_came_back_is_used_again(tmp_path, monkeypatch, fault):
    """What is open stays dead for ever; the file at the path is well again."""
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    monkeypatch.setattr(watch, "REOPEN_S", 0.0)
    with Disk() as dead:

        async def story():
            async with opened(tmp_path) as (journal, told):
                await journal.write(keep(b"before"), essential=False)
                dead.fault = fault
                monkeypatch.setattr(place, "takes_files", lambda _: False)
                with pytest.raises(DiskError):
                    await journal.write(keep(b"reading"), essential=False)
                await journal.look()
                assert journal.condition.state is not DiskState.well
                assert await journal.read(floors) == [(b"before", 1)]
                apsw.set_default_vfs("unix-excl")  # new files lie on a disk that is well
                await journal.look()
                assert journal.condition.state is not DiskState.well  # not before it takes files
                monkeypatch.undo()
                monkeypatch.setattr("sys.unraisablehook", lambda _: None)
                monkeypatch.setattr(watch, "REOPEN_S", 0.0)
                await journal.look()
                assert journal.condition.state is DiskState.well
                await journal.write(keep(b"after"), essential=False)
                assert await journal.read(floors) == [(b"after", 1), (b"before", 1)]
                assert [name for name, _ in told] == ["disk_unwell", "disk_well"]

        try:
            asyncio.run(story())
        finally:
            apsw.set_default_vfs("unix")


def test_a_folder_says_whether_it_takes_files(tmp_path):
    assert place.takes_files(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not place.takes_files(tmp_path / "none")


def test_full_is_no_reason_to_open_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    monkeypatch.setattr(watch, "REOPEN_S", 0.0)
    with Disk() as disk:

        async def story():
            async with opened(tmp_path) as (journal, _):
                await journal.write(keep(b"before"))
                writing = journal._writing
                disk.fault = FULL
                with pytest.raises(DiskError):
                    await journal.write(keep(b"more"))
                await journal.look()
                assert journal._writing is writing
                disk.fault = None

        asyncio.run(story())
