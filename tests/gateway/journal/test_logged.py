"""Goal: nobody folds a log into a file that is damaged or not its own, or deletes it; both go on.

Method: the file and the log of a gateway that was killed, with real alerts and readings in the
log only. Then the file is emptied, removed, cut off, or another one is put in its place. What the
fresh journal has is held against what the killed one had, and what is kept in the folder against
the bytes that were found, one by one.
"""

import asyncio
import contextlib
import random
import shutil

import apsw
import msgspec
import pytest

from gateway import wire
from gateway.doctor.look import Look
from gateway.errors import JournalError
from gateway.journal import backup, export, outbox, records, setting_aside
from gateway.journal.condition import DiskState
from gateway.journal.damaged import Damaged, look_at_damaged, newest_without_log
from gateway.journal.opening import look_at, shut
from gateway.journal.postures import read_postures
from gateway.journal.store import FILE_NAME, connect
from gateway.journal.telling import Wanted
from tests.gateway.journal.test_disk import opened
from tests.gateway.journal.test_records import JOURNAL, birth
from tests.gateway.journal.test_setting_aside import PAGE, ask, whole

LOG = f"{FILE_NAME}-wal"
NODE = "lane-1"


def live(connection, first, last):
    """Let readings come: of five one is an alarm, one is not judged, the rest are clear."""
    for seq in range(first, last + 1):
        with connection:
            record = whole(seq)
            assert records.insert_record(connection, NODE, record, wire.encode(record), seq)
            record_id = connection.last_insert_rowid()
            records.save_floor(connection, NODE, JOURNAL, seq)
            if seq % 5 == 3:
                continue
            alert = f"{NODE}.{seq}" if seq % 5 == 2 else None
            said = {"alert_id": alert, "node": NODE, "journal_id": JOURNAL.hex(), "seq": seq}
            body = msgspec.json.encode(said | {"received_ms": seq})
            kind = "alarm" if alert else "clear"
            verdict = records.Judgement(record_id, kind, "x", b"{}", 5, alert, body)
            records.insert_judgement(connection, verdict)


def begun(folder):
    """Open a journal as it is some time after its first start: its tables are in the file."""
    connection = connect(folder / FILE_NAME)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.pragma("wal_autocheckpoint", 0)
    with connection:
        word = birth()
        records.save_birth(connection, NODE, word, wire.encode(word), 5)
        records.save_config(connection, NODE, wire.Config(1, 400_000, 1, 0, 300, 8, 5_000), 77)
    return connection


ALERTS = "SELECT alert_id, record_id, body, receipt FROM alerts ORDER BY 1"
PENDING = (
    "SELECT r.id, r.seq, r.frame FROM pending p JOIN records r ON r.id = p.record_id ORDER BY 1"
)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What a killed gateway has left, with a backup of its middle; and what it knew."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "left").mkdir()
    connection = begun(folder)
    live(connection, 1, 20)
    with connection:
        outbox.save_receipt(connection, f"{NODE}.2", b"receipt", 9)
    backup.make(folder, folder / "middle.sqlite", reserve_bytes=0, now_ms=7)
    live(connection, 21, 40)
    known = {query: connection.execute(query).fetchall() for query in (ALERTS, PENDING)}
    for name in (FILE_NAME, LOG):
        shutil.copy(folder / name, folder / "left")
    connection.close()
    assert len(known[ALERTS]) == len(known[PENDING]) == 8
    return folder, known


def laid(killed, tmp_path):
    """Lay what was left into a folder."""
    for name in (FILE_NAME, LOG):
        shutil.copy(killed[0] / "left" / name, tmp_path)
    return tmp_path / FILE_NAME


def bytes_of(folder):
    there = [folder / name for name in (FILE_NAME, LOG)]
    return {path.name: path.read_bytes() for path in there if path.exists()}


async def insist_whole(folder, known, *, set_aside):
    """Start a gateway on the folder; everything that it knew is there."""
    found = bytes_of(folder)
    async with opened(folder) as (journal, told):
        assert journal.condition.state is DiskState.well
        assert [name for name, _ in told] == ["journal_damaged"] * set_aside
        assert await ask(journal, ALERTS) == known[ALERTS]
        assert await ask(journal, PENDING) == known[PENDING]
        floors = "SELECT node, journal_id, seq FROM journals"
        assert await ask(journal, floors) == [(NODE, JOURNAL, 40)]
        assert await ask(journal, "SELECT node FROM configs") == [(NODE,)]
        assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]
        await journal.write(lambda connection: live(connection, 41, 41))
        if set_aside:
            postures = await journal.read(read_postures)
            assert "journal_damaged" in postures
            (kept,) = setting_aside.damaged_folders(folder)
            assert bytes_of(kept) == found
            return told[0][1], kept
    return "", None


def count(journal, target):
    made = export.make(journal, target, Wanted(), reserve_bytes=0, now_ms=7)
    return made.records


def test_a_killed_gateway_goes_on_with_its_log(killed, tmp_path):
    laid(killed, tmp_path)
    asyncio.run(insist_whole(tmp_path, killed[1], set_aside=False))


@pytest.mark.parametrize("left", ["empty", "missing", "first page"])
def test_a_log_without_its_file_is_read(killed, tmp_path, left):
    path = laid(killed, tmp_path)
    if left == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: PAGE if left == "first page" else 0])
    text, kept = asyncio.run(insist_whole(tmp_path, killed[1], set_aside=True))
    assert "8 alerts (7 of them to be delivered), 8 readings to be judged" in text
    if left != "first page":
        assert f"the file is {left}, and beside it lies its log" in text
    before = bytes_of(kept)
    assert count(kept / FILE_NAME, tmp_path / "out.zip") == 40
    assert bytes_of(kept) == before


def test_a_log_of_which_nothing_can_be_read_is_kept_all_the_same(killed, tmp_path):
    path = laid(killed, tmp_path)
    path.unlink()
    noise = random.Random(1).randbytes(9_000)
    (tmp_path / LOG).write_bytes(noise)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            await journal.write(lambda connection: live(connection, 1, 1))

    asyncio.run(story())
    (kept,) = setting_aside.damaged_folders(tmp_path)
    assert bytes_of(kept) == {LOG: noise}


def test_an_empty_file_without_log_is_a_new_journal(tmp_path):
    (tmp_path / FILE_NAME).touch()
    (tmp_path / LOG).touch()

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert told == []
            await journal.write(lambda connection: live(connection, 1, 1))

    asyncio.run(story())


def by_command(path):
    connect(path, read_only=True)


def by_look(path):
    shut(look_at(path))


def by_backup(path):
    backup.make(path.parent, path.with_name("b.sqlite"), reserve_bytes=0, now_ms=7)


def by_doctor(path):
    look = Look(path)
    look.close()
    raise JournalError(look.fault)


@pytest.mark.parametrize("look", [by_command, by_look, by_backup, by_doctor])
@pytest.mark.parametrize("left", ["empty", "missing", "backup"])
def test_who_only_looks_does_not_delete_the_log(killed, tmp_path, left, look):
    path = laid(killed, tmp_path)
    if left == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if left == "empty" else (killed[0] / "middle.sqlite").read_bytes())
    (tmp_path / f"{FILE_NAME}-shm").write_bytes(bytes(32_768))  # as a killed gateway leaves it
    found = bytes_of(tmp_path)
    if left == "backup" and look is by_command:  # of a running gateway: nothing is said
        with contextlib.suppress(JournalError):
            connect(path, read_only=True).close()
    else:
        with pytest.raises(JournalError, match="beside it"):
            look(path)
    assert bytes_of(tmp_path) == found


@pytest.mark.parametrize("is_told", [True, False])
def test_a_backup_beside_the_old_log_is_not_destroyed(killed, tmp_path, is_told):
    """Told: by the header of a backup. Not: by what is found in such a pair."""
    path = laid(killed, tmp_path)
    shutil.copy(killed[0] / "middle.sqlite", path)
    if not is_told:
        content = bytearray(path.read_bytes())
        content[18:20] = b"\2\2"
        path.write_bytes(content)
    text, kept = asyncio.run(insist_alerts(tmp_path, killed[1]))
    assert ("a backup was put there" in text) is is_told
    if is_told:
        assert count(kept / FILE_NAME, tmp_path / "log.zip") == 40
    (kept / LOG).unlink()
    assert count(kept / FILE_NAME, tmp_path / "backup.zip") == 20


async def insist_alerts(folder, known):
    """Start a gateway: what file or log had is there, whichever of them can be read."""
    found = bytes_of(folder)
    async with opened(folder) as (journal, told):
        ((name, text),) = told
        assert name == "journal_damaged"
        alerts = await ask(journal, ALERTS)
        assert alerts[0] == known[ALERTS][0]
        is_told = "a backup was put there" in text
        assert {one[0] for one in alerts} >= {f"{NODE}.{seq}" for seq in (2, 7, 12, 17)}
        assert not is_told or alerts == known[ALERTS]
        waiting = await ask(journal, PENDING)
        assert {one[1] for one in waiting} >= {3, 8, 13, 18}
        assert not is_told or waiting == known[PENDING]
        ((floor,),) = await ask(journal, "SELECT seq FROM journals")
        assert floor == 40 or not is_told
        assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]
        (kept,) = setting_aside.damaged_folders(folder)
        assert bytes_of(kept) == found
        return text, kept


@pytest.mark.parametrize("is_told", [True, False])
def test_a_backup_beside_a_log_of_a_few_pages_is_not_lost(tmp_path, is_told):
    """With that log nothing of it can be read: its pages have other numbers."""
    path = tmp_path / FILE_NAME
    connection = begun(tmp_path)
    live(connection, 1, 20)
    backup.make(tmp_path, tmp_path / "middle.sqlite", reserve_bytes=0, now_ms=7)
    live(connection, 21, 40)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    alerts = {row for row in connection.execute(ALERTS) if row[1] <= 20}
    pending = {row for row in connection.execute(PENDING) if row[1] <= 20}
    assert len(alerts) == len(pending) == 4
    live(connection, 41, 45)
    shutil.copytree(tmp_path, tmp_path / "as-it-is")
    connection.close()
    content = bytearray((tmp_path / "middle.sqlite").read_bytes())
    if not is_told:
        content[18:20] = b"\2\2"
    path.write_bytes(content)
    shutil.copy(tmp_path / "as-it-is" / LOG, tmp_path)
    found = bytes_of(tmp_path)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            assert {*await ask(journal, ALERTS)} >= alerts
            assert {*await ask(journal, PENDING)} >= pending
            ((floor,),) = await ask(journal, "SELECT seq FROM journals")
            assert floor >= 20
            assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]
            (kept,) = setting_aside.damaged_folders(tmp_path)
            assert bytes_of(kept) == found

    asyncio.run(story())


def test_the_log_of_a_new_journal_does_not_empty_an_older_one(killed, tmp_path):
    """It holds all its pages, so that the two together are a sound file: the new one."""
    for name in ("new", "older"):
        (tmp_path / name).mkdir()
    connection = begun(tmp_path / "older")
    live(connection, 1, 20)
    alerts, pending = (connection.execute(query).fetchall() for query in (ALERTS, PENDING))
    connection.close()
    new = connect(tmp_path / "new" / FILE_NAME)
    new.pragma("wal_autocheckpoint", 0)
    live(new, 1, 1)
    shutil.copy(tmp_path / "new" / LOG, tmp_path)
    new.close()
    shutil.copy(tmp_path / "older" / FILE_NAME, tmp_path)
    found = bytes_of(tmp_path)

    async def story():
        async with opened(tmp_path) as (journal, told):
            ((name, text),) = told
            assert name == "journal_damaged"
            assert "the log is of another file" in text
            assert await ask(journal, ALERTS) == alerts
            assert await ask(journal, PENDING) == pending
            assert await ask(journal, "SELECT seq FROM journals") == [(20,)]
            (kept,) = setting_aside.damaged_folders(tmp_path)
            assert bytes_of(kept) == found

    asyncio.run(story())


def renumber_last(content, root):
    """Give the last row of a table another number, 127, as a torn page may."""
    base = PAGE * (root - 1)
    while content[base] == 5:  # not a leaf: follow the last pointer
        base = PAGE * (int.from_bytes(content[base + 8 : base + 12], "big") - 1)
    count = int.from_bytes(content[base + 3 : base + 5], "big")
    pointer = base + 8 + 2 * (count - 1)
    at = base + int.from_bytes(content[pointer : pointer + 2], "big")
    while content[at] & 0x80:  # the size of what it holds
        at += 1
    assert content[at + 1] < 127
    content[at + 1] = 127


@pytest.mark.parametrize("table", ["records", "alerts"])
def test_a_page_that_was_torn_while_the_log_was_folded_in_is_no_damage(killed, tmp_path, table):
    """The log has it whole; what the file has without it may be of two times."""
    path = laid(killed, tmp_path)
    (tmp_path / "folded").mkdir()
    laid(killed, tmp_path / "folded")
    connection = connect(tmp_path / "folded" / FILE_NAME)
    find = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    ((root,),) = connection.execute(find, (table,)).fetchall()
    connection.close()
    content = bytearray((tmp_path / "folded" / FILE_NAME).read_bytes())
    renumber_last(content, root)
    path.write_bytes(content)
    newest = newest_without_log(path)
    assert (newest.record_id if table == "records" else newest.alert_row) == 127
    asyncio.run(insist_whole(tmp_path, killed[1], set_aside=False))


@pytest.mark.parametrize("is_running", [True, False])
def test_a_damaged_file_is_kept_as_it_was_found(tmp_path, is_running):
    """With its log beside it, and not with its log in it."""
    path = tmp_path / FILE_NAME
    connection = begun(tmp_path)
    live(connection, 1, 20)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    listed = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_alerts_2'"
    page = connection.execute(listed).fetchone()[0]
    connection.execute("UPDATE nodes SET seen_ms = 6")
    shutil.copytree(tmp_path, tmp_path / "as-it-is")
    connection.close()
    for name in (FILE_NAME, LOG):
        shutil.copy(tmp_path / "as-it-is" / name, tmp_path)

    def spoil():
        content = bytearray(path.read_bytes())
        content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
        path.write_bytes(content)
        return bytes_of(tmp_path)

    async def story():
        found = {} if is_running else spoil()
        async with opened(tmp_path) as (journal, told):
            if is_running:
                await journal.write(lambda c: c.execute("UPDATE nodes SET seen_ms = 7"))
                found = spoil()
                assert len(found) == 2
                for lane in journal._lanes.values():
                    await lane.drop()
                await ask(journal, "SELECT 1 FROM alerts WHERE record_id = 2")
            assert [name for name, _ in told] == ["journal_damaged"]
            assert len(await ask(journal, ALERTS)) == 4
        (kept,) = setting_aside.damaged_folders(tmp_path)
        assert bytes_of(kept) == found

    asyncio.run(story())


def test_a_damaged_backup_is_kept_as_it_was_put_there(killed, tmp_path):
    path = tmp_path / FILE_NAME
    shutil.copy(killed[0] / "middle.sqlite", path)
    content = bytearray(path.read_bytes())
    listed = "SELECT rootpage FROM sqlite_schema WHERE name = 'configs'"
    connection = apsw.Connection(str(killed[0] / "middle.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    page = connection.execute(listed).fetchone()[0]
    connection.close()
    content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    path.write_bytes(content)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            assert len(await ask(journal, ALERTS)) == 4

    asyncio.run(story())
    (kept,) = setting_aside.damaged_folders(tmp_path)
    assert bytes_of(kept) == {FILE_NAME: bytes(content)}


@pytest.mark.parametrize("seed", range(8))
def test_rows_between_damaged_pages_are_read(tmp_path, seed):
    """From both ends only the first and the last of them would be."""
    path, rng = tmp_path / FILE_NAME, random.Random(seed)
    connection = connect(path)
    bodies = {number: rng.randbytes(900) for number in sorted(rng.sample(range(1, 4_000), 200))}
    with connection:
        for number, body in bodies.items():
            connection.execute(
                "INSERT INTO records VALUES (?, 'lane-1', x'01', ?1, 1, 1, ?, NULL, NULL)",
                (number, body),
            )
    connection.close()
    content = bytearray(path.read_bytes())
    # The last place: the root has been a leaf, and has copies of some.
    page_of = {number: content.rfind(body) // PAGE for number, body in bodies.items()}
    pages = sorted(set(page_of.values()))
    spoilt = rng.sample(pages, rng.randint(2, len(pages) // 2))
    left = {number for number in bodies if page_of[number] not in spoilt}
    for page in spoilt:
        content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    (view,) = look_at_damaged(path)
    damaged = Damaged(view)
    rows = damaged.table("records", "rowid", ("id", "frame"))
    shut(view)
    assert not damaged.is_whole
    assert {number for number, _ in rows} == left
    assert all(bodies[number] == frame for number, frame in rows)
