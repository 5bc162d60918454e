"""Goal: a damaged journal ends nothing: it is kept, and what can be read of it goes on.

Method: real files, damaged byte by byte by seed as disks do it: pages of zeros, of noise, in each
other's place, cut off. What could be read of the damaged file is asked of that file itself, row by
row; it must be there afterwards, under the same ids, and the journal must take writes.
"""

import asyncio
import os
import random
import shutil

import apsw
import msgspec
import pytest

from gateway import wire
from gateway.errors import JournalError
from gateway.journal import export, outbox, records, setting_aside
from gateway.journal.calibrations import Kept, insert_calibration
from gateway.journal.condition import DiskState
from gateway.journal.darks import save_dark
from gateway.journal.postures import read_postures
from gateway.journal.store import FILE_NAME, Journal, connect
from gateway.journal.tallies import read_tallies
from gateway.journal.telling import Wanted
from protocol import messages
from tests.gateway.journal.faulty import FAILING, FULL, Disk
from tests.gateway.journal.older import to_version_5
from tests.gateway.journal.pending import read_pending
from tests.gateway.journal.released.files import NAMES, content_of
from tests.gateway.journal.test_disk import opened
from tests.gateway.journal.test_records import JOURNAL, birth, judge, reading

PAGE = 4_096
NODES = ("lane-1", "lane-2")


def whole(seq, **more):
    """A reading as large as real ones: it fills a page."""
    pixels = random.Random(seq).randbytes(2_900)
    return msgspec.structs.replace(reading(seq, **more), pixels_u16le=pixels)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A journal with something of everything; 240 judged readings, 6 alerts, 8 to be judged."""
    path = tmp_path_factory.mktemp("sound") / FILE_NAME
    connection = connect(path)
    with connection:
        for node in NODES:
            word = birth()
            records.save_birth(connection, node, word, wire.encode(word), 5)
            records.save_config(connection, node, wire.Config(1, 400_000, 1, 0, 300, 8, 5_000), 77)
            for seq in range(1, 125):
                role = messages.ROLE_DARK if seq % 20 == 1 else messages.ROLE_SAMPLE
                dark_seq = None if seq % 20 == 1 else seq - (seq - 1) % 20
                record = whole(seq, role=role, dark_seq=dark_seq)
                records.insert_record(connection, node, record, wire.encode(record), seq)
                if role == messages.ROLE_DARK:
                    save_dark(connection, node, record, seq)
            records.save_floor(connection, node, JOURNAL, 124)
        heads = dict(records.read_heads(connection))
        for node in NODES:
            rows = connection.execute(
                "SELECT p.record_id, r.seq, r.journal_id FROM pending p JOIN records r"
                " ON r.id = p.record_id WHERE p.node = ? ORDER BY 1",
                (node,),
            ).fetchall()
            for record_id, seq, journal_id in rows[:-4]:
                kind = "alarm" if seq % 40 == 2 else "clear"
                alert = f"{node}.{seq}" if kind == "alarm" else None
                body = msgspec.json.encode(
                    {"node": node, "journal_id": journal_id.hex(), "seq": seq, "received_ms": seq}
                )
                verdict = records.Judgement(record_id, kind, "x", b"{}" * 700, 5, alert, body)
                records.insert_judgement(connection, verdict)
            kept = Kept(heads[node] + 4, 5, "diamond", "", "", b"{}")
            insert_calibration(connection, node, b"axis-one", kept, 0)
        outbox.save_receipt(connection, "lane-1.2", b"receipt", 9)
        records.save_counters(connection, {("record_lost", "lane-1"): 3})
    connection.close()
    return path


def zero(content, rng):
    place = rng.randrange(1, len(content) // PAGE) * PAGE
    content[place : place + PAGE] = bytes(PAGE)


def noise(content, rng):
    place = rng.randrange(0, len(content) // PAGE) * PAGE
    content[place : place + PAGE] = rng.randbytes(PAGE)


def swap(content, rng):
    one, two = (place * PAGE for place in rng.sample(range(1, len(content) // PAGE), 2))
    content[one : one + PAGE] = content[two : two + PAGE]


def cut(content, rng):
    del content[rng.randrange(PAGE, len(content)) :]


def letter(content, _):
    content[:] = b"this is a letter, not a database " * 200


def readable(path, query, *values):
    """What a damaged file says of one row; empty: nothing, or not readable."""
    try:
        connection = apsw.Connection(
            f"{path.as_uri()}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
    except apsw.Error:
        return []
    try:
        return connection.execute(query, values).fetchall()
    except apsw.Error:
        return []
    finally:
        connection.close(force=True)


def all_ids(path, query):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


async def open_and_check(path, sound):
    """Open a damaged journal; return what was told, having checked what is there."""
    damaged = path.with_name("damaged.copy")
    shutil.copy(path, damaged)
    async with opened(path.parent) as (journal, told):
        assert journal.condition.state is DiskState.well
        if told:
            for alert_id in all_ids(sound, "SELECT alert_id FROM alerts"):
                asked = "SELECT alert_id, record_id, body, receipt FROM alerts WHERE alert_id = ?"
                expected = readable(sound, asked, alert_id)
                if readable(damaged, asked, alert_id) == expected:  # not a row of another table
                    assert await ask(journal, asked, alert_id) == expected
            for record_id in all_ids(sound, "SELECT record_id FROM pending"):
                query = "SELECT 1 FROM pending WHERE record_id = ?"
                frame = "SELECT node, seq, frame FROM records WHERE id = ?"
                expected = readable(sound, frame, record_id)
                is_there = readable(damaged, frame, record_id) == expected
                if is_there and readable(damaged, query, record_id):
                    assert await ask(journal, query, record_id) == [(1,)]
                    assert await ask(journal, frame, record_id) == expected
            for node in NODES:
                for table, column in (("configs", "frame"), ("journals", "seq"), ("axes", "birth")):
                    query = f"SELECT {column} FROM {table} WHERE node = ?"
                    expected = readable(sound, query, node)
                    if readable(damaged, query, node) == expected:
                        assert await ask(journal, query, node) == expected
            assert await ask(journal, "PRAGMA foreign_key_check") == []
            assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]
            top = max(all_ids(sound, "SELECT id FROM records"))
            await journal.write(add)
            ((new_id,),) = await ask(journal, "SELECT max(id) FROM records")
            assert new_id > top  # nobody who asks about an old id gets a new record
        else:
            await journal.write(add)
    return told


def add(connection):
    record = whole(999)
    assert records.insert_record(connection, "lane-1", record, wire.encode(record), 1)


async def ask(journal, query, *values):
    return await journal.read(lambda connection: connection.execute(query, values).fetchall())


@pytest.mark.parametrize("damage", [zero, noise, swap, cut, letter])
def test_a_damaged_file_is_set_aside_and_what_can_be_read_goes_on(tmp_path, sound, damage):
    content, set_aside = sound.read_bytes(), 0
    for seed in range(1 if damage is letter else 14):
        folder = tmp_path / str(seed)
        folder.mkdir()
        harmed = bytearray(content)
        damage(harmed, random.Random(seed))
        (folder / FILE_NAME).write_bytes(harmed)
        told = asyncio.run(open_and_check(folder / FILE_NAME, sound))
        if told:
            set_aside += 1
            ((name, text),) = told
            assert name == "journal_damaged"
            (kept,) = setting_aside.damaged_folders(folder)
            assert str(kept) in text
            assert (kept / FILE_NAME).stat().st_size >= len(harmed)
    assert set_aside >= 1


LETTERS = (  # in what no row hangs on
    b"CREATE TRIGGER tally_verdict ",
    b"CREATE INDEX healths_of_nodes",
    b"CREATE TABLE healths",
)


@pytest.mark.parametrize("letter", [None, *LETTERS])
def test_a_letter_or_the_last_page_hides_nothing(tmp_path, sound, letter):
    """SQLite refuses the whole file for that; what it holds is all there."""
    content = bytearray(sound.read_bytes())
    if letter is None:
        del content[-PAGE:]
    else:
        content = content.replace(letter, letter.replace(b"CREATE", b"CRE@TE"))
    (tmp_path / FILE_NAME).write_bytes(content)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            asked = "SELECT alert_id, record_id, body, receipt FROM alerts ORDER BY 1"
            assert await ask(journal, asked) == readable(sound, asked)
            assert len(await ask(journal, "SELECT 1 FROM pending")) == 8
            assert await ask(journal, "SELECT count FROM counters") == [(3,)]
            pending = await journal.read(lambda c: read_pending(c, 99))
            assert all(one.reading is not None for one in pending)
            assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]

    asyncio.run(story())


def bits_in(content, part):
    """Return the places of bits without which SQLite may refuse the whole file."""
    if part == "header":
        return [(byte, bit) for byte in range(100) for bit in range(8)]
    if part == "first page":
        return [(byte, bit) for byte in range(100, 116) for bit in range(8)]
    found = []
    words = b"CREATE TABLE " + part.encode()
    at = content.find(words)
    while at >= 0:  # also what lies before it: name, root page
        found += [(at + byte, bit) for byte in range(-40, 500) for bit in range(8)]
        at = content.find(words, at + 1)
    return found


@pytest.mark.parametrize("with_log", [False, True])
@pytest.mark.parametrize("part", ["header", "first page", "alerts", "records", "pending"])
def test_a_bit_in_the_first_page_or_the_schema_loses_nothing(tmp_path, sound, part, with_log):
    """Of the header 15 of 800, among them those that SQLite refuses, of the rest some."""
    whole_file = sound.read_bytes()
    places = bits_in(whole_file, part)
    if part == "header":
        special = [(18, 3), (19, 4), (0, 1), (16, 2), (21, 5), (31, 7), (47, 1), (59, 1), (62, 1)]
        places = special + random.Random(1).sample(places, 6)
    else:
        places = random.Random(part).sample(places, 10)
    for byte, bit in places[:: 3 if with_log else 1]:
        folder = tmp_path / f"{byte}.{bit}"
        folder.mkdir()
        content = bytearray(whole_file)
        content[byte] ^= 1 << bit
        (folder / FILE_NAME).write_bytes(content)
        if with_log:
            leave_log(sound, folder)
        asyncio.run(nothing_is_lost(folder, sound, 9 if with_log else 8))
    assert len(places) >= 10


def leave_log(sound, folder):
    """Leave the log of a gateway that was killed after one more reading; its file is untouched."""
    live = folder / "live"
    live.mkdir()
    shutil.copy(sound, live / FILE_NAME)
    connection = connect(live / FILE_NAME)
    connection.pragma("wal_autocheckpoint", 0)
    with connection:
        add(connection)
    shutil.copy(live / f"{FILE_NAME}-wal", folder / f"{FILE_NAME}-wal")
    connection.close()
    shutil.rmtree(live)


async def nothing_is_lost(folder, sound, pending):
    async with opened(folder) as (journal, _):
        assert journal.condition.state is DiskState.well
        query = "SELECT alert_id, record_id, body, receipt FROM alerts ORDER BY 1"
        assert await ask(journal, query) == readable(sound, query)
        query = "SELECT r.id, r.frame FROM records r JOIN alerts a ON a.record_id = r.id ORDER BY 1"
        assert await ask(journal, query) == readable(sound, query)
        waiting = await journal.read(lambda c: read_pending(c, 99))
        assert len(waiting) == pending
        assert all(one.reading is not None for one in waiting)
        assert await ask(journal, "SELECT count FROM counters") == [(3,)]
        await journal.write(lambda c: records.save_floor(c, "x", b"1", 1))


@pytest.mark.parametrize("table", ["alerts", "pending"])
def test_a_row_that_its_index_has_lost_is_not_lost(tmp_path, sound, table):
    """The last entry of each index's page is cut off; the table itself is whole."""
    content = bytearray(sound.read_bytes())
    listed = "SELECT rootpage FROM sqlite_schema WHERE tbl_name = ? AND type = 'index'"
    roots = [page for (page,) in readable(sound, listed + " AND name LIKE 'sqlite_%'", table)]
    assert roots
    for page in roots:
        place = (page - 1) * PAGE + 3
        count = int.from_bytes(content[place : place + 2], "big")
        content[place : place + 2] = (count - 1).to_bytes(2, "big")
    (tmp_path / FILE_NAME).write_bytes(content)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            for query in (
                "SELECT alert_id, record_id, body, receipt FROM alerts ORDER BY 1",
                "SELECT node, record_id FROM pending ORDER BY 1, 2",
            ):
                assert await ask(journal, query) == readable(sound, query)

    asyncio.run(story())


@pytest.mark.parametrize("with_log", [False, True])
def test_a_page_of_the_schema_loses_nothing(tmp_path, sound, with_log):
    """Any but the first, of which the bits are tried above."""
    content = sound.read_bytes()
    connection = apsw.Connection(str(sound), flags=apsw.SQLITE_OPEN_READONLY)
    listed = "SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' AND pageno > 1"
    pages = [page for (page,) in connection.execute(listed)]
    connection.close()
    assert len(pages) >= 2
    for page in pages:
        folder = tmp_path / str(page)
        folder.mkdir()
        path = folder / FILE_NAME
        path.write_bytes(content[: (page - 1) * PAGE] + bytes(PAGE) + content[page * PAGE :])
        if with_log:
            leave_log(sound, folder)
        else:
            made = export.make(path, folder / "out.zip", Wanted(), reserve_bytes=0, now_ms=7)
            assert (made.records, made.alerts) == (248, 6)
        asyncio.run(nothing_is_lost(folder, sound, 9 if with_log else 8))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_the_schema_of_a_journal_that_an_older_edition_began(tmp_path, name):
    """It has its tables elsewhere than a new one has."""
    path = tmp_path / FILE_NAME
    path.write_bytes(content_of(name))
    connection = connect(path)
    listed = "SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' AND pageno > 1"
    pages = [page for (page,) in connection.execute(listed)]
    alerts = "SELECT alert_id, record_id, body, receipt FROM alerts ORDER BY 1"
    behind = "SELECT r.id, r.frame FROM records r JOIN alerts a ON a.record_id = r.id ORDER BY 1"
    pending = "SELECT record_id FROM pending ORDER BY 1"
    standards = "SELECT * FROM calibrations ORDER BY record_id"
    counters = "SELECT * FROM counters ORDER BY 1, 2"
    queries = (alerts, behind, pending, standards, counters)
    known = [connection.execute(query).fetchall() for query in queries]
    connection.close()
    content = path.read_bytes()
    assert len(pages) >= 2
    assert len(known[0]) >= 4

    async def story(folder):
        async with opened(folder) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            assert [await ask(journal, query) for query in queries] == known
            assert await ask(journal, "PRAGMA foreign_key_check") == []

    for page in pages:
        folder = tmp_path / str(page)
        folder.mkdir()
        damaged = content[: (page - 1) * PAGE] + bytes(PAGE) + content[page * PAGE :]
        (folder / FILE_NAME).write_bytes(damaged)
        asyncio.run(story(folder))


@pytest.mark.parametrize("harm", ["index", "both indexes", "index and reading"])
def test_a_page_of_an_index_of_the_alerts_loses_no_alert(tmp_path, sound, harm):
    """A reading that is gone as well costs itself: its alert says which it was."""
    content = bytearray(sound.read_bytes())
    listed = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    for number in (1, 2) if harm == "both indexes" else (2,):
        ((page,),) = readable(sound, listed, f"sqlite_autoindex_alerts_{number}")
        content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    ids = [row[1] for row in readable(sound, "SELECT alert_id, record_id FROM alerts ORDER BY 2")]
    if harm == "index and reading":
        place = content.rfind(whole(42).pixels_u16le[:64]) // PAGE * PAGE
        content[place : place + PAGE] = bytes(PAGE)
        same = readable(sound, "SELECT id FROM records WHERE seq = 42 ORDER BY id")
        ids.remove(same[-1][0])  # both nodes have it; the last is that of the second
    (tmp_path / FILE_NAME).write_bytes(content)

    async def story():
        async with opened(tmp_path) as (journal, told):
            assert [name for name, _ in told] == ["journal_damaged"]
            query = "SELECT alert_id, record_id, body, receipt FROM alerts ORDER BY 1"
            assert await ask(journal, query) == readable(sound, query)
            for record_id in ids:
                query = "SELECT frame FROM records WHERE id = ?"
                assert await ask(journal, query, record_id) == readable(sound, query, record_id)
            bare = "SELECT count(*) FROM alerts a JOIN records r ON r.id = a.record_id"
            bare += " WHERE length(r.frame) = 0"
            assert await ask(journal, bare) == [(6 - len(ids),)]
            assert await ask(journal, "PRAGMA foreign_key_check") == []

    asyncio.run(story())


def test_what_was_counted_and_configured_goes_on(tmp_path, sound):
    """A page in the middle of the judged readings: everything else is whole."""
    content = bytearray(sound.read_bytes())
    marks = [whole(60).pixels_u16le[:64], whole(61).pixels_u16le[:64]]
    for mark in marks:
        place = content.find(mark) // PAGE * PAGE
        content[place : place + PAGE] = random.Random(1).randbytes(PAGE)
    (tmp_path / FILE_NAME).write_bytes(content)

    async def story():
        async with opened(tmp_path) as (journal, told):
            if not told:  # not among what a start looks at
                found = await journal.read(whole_table, lane="views")
                assert found < 248
                assert [name for name, _ in told] == ["journal_damaged"]
            assert len(await ask(journal, "SELECT alert_id FROM alerts")) == 6
            assert len(await ask(journal, "SELECT 1 FROM alerts WHERE receipt IS NULL")) == 5
            assert len(await ask(journal, "SELECT 1 FROM pending")) == 8
            assert len(await ask(journal, "SELECT 1 FROM calibrations")) == 2
            assert await ask(journal, "SELECT count FROM counters") == [(3,)]
            tallies = await journal.read(read_tallies)
            assert tallies["record"] == {"lane-1": 124, "lane-2": 124}
            assert tallies["alert_delivered"] == {"": 1}
            assert tallies["pending"] == {"lane-1": 4, "lane-2": 4}
            assert "harmattan export" in (await journal.read(read_postures))["journal_damaged"].text
            # What was receipted and is not here does not become new by coming again.
            again = whole(60, dark_seq=41)
            frame = wire.encode(again)
            write = lambda c: records.insert_record(c, "lane-1", again, frame, 1)  # noqa: E731
            assert not await journal.write(write)
            pending = await journal.read(lambda c: read_pending(c, 99))
            assert all(one.reading is not None for one in pending)
            for one in pending:
                asked = "SELECT length(frame) FROM records WHERE node = ? AND seq = ?"
                found = await ask(journal, asked, one.node, one.reading.dark_seq)
                assert found[0][0] > 0

    asyncio.run(story())


def whole_table(connection):
    return len(connection.execute("SELECT frame FROM records").fetchall())


def test_a_batch_that_meets_damage_is_done_again_on_the_fresh_file(tmp_path, sound):
    shutil.copy(sound, tmp_path / FILE_NAME)

    async def story():
        async with opened(tmp_path) as (journal, told):
            runs = []

            def meet(connection):
                runs.append(connection)
                if len(runs) == 1:
                    raise apsw.CorruptError("database disk image is malformed")
                return add(connection)

            others = [asyncio.create_task(journal.write(meet))]
            others += [
                asyncio.create_task(journal.write(lambda c, n=n: records.save_floor(c, "x", n, 1)))
                for n in (b"1", b"2")
            ]
            await asyncio.gather(*others)
            assert len(set(map(id, runs))) == 2
            assert [name for name, _ in told] == ["journal_damaged"]
            assert len(await ask(journal, "SELECT 1 FROM journals WHERE node = 'x'")) == 2
            assert len(await ask(journal, "SELECT 1 FROM records WHERE seq = 999")) == 1
            # Damaged again at once: the disk fails, and files are not piled up.
            runs.clear()
            with pytest.raises(JournalError):
                await journal.write(meet)
            assert journal.condition.state is DiskState.failing
            assert len(setting_aside.damaged_folders(tmp_path)) == 1
            await journal.look()
            assert journal.condition.state is DiskState.well

    asyncio.run(story())


@pytest.mark.parametrize("done", ["new", "ready", "moved", "log left"])
def test_a_kill_between_the_steps_loses_nothing(tmp_path, sound, done):
    path = tmp_path / FILE_NAME
    damaged = sound.read_bytes()[: PAGE * 20]
    if done == "new":
        path.write_bytes(damaged)
        path.with_name(FILE_NAME + ".new").write_bytes(b"half of a file")
    else:
        shutil.copy(sound, path.with_name(FILE_NAME + ".ready"))
        if done != "moved":
            path.write_bytes(damaged)
        if done == "log left":
            path.unlink()
            path.with_name(FILE_NAME + "-wal").write_bytes(b"of the damaged file")

    async def story():
        async with opened(tmp_path) as (journal, told):
            await journal.write(add)
            if done == "new":
                assert [name for name, _ in told] == ["journal_damaged"]
            else:
                assert told == []
                assert len(await ask(journal, "SELECT 1 FROM alerts")) == 6

    asyncio.run(story())
    left = {entry.name for entry in tmp_path.iterdir() if entry.is_file()}
    assert left == {FILE_NAME}
    (folder,) = setting_aside.damaged_folders(tmp_path)
    kept = {"moved": set(), "log left": {FILE_NAME + "-wal"}}.get(done, {FILE_NAME})
    assert {entry.name for entry in folder.iterdir()} >= kept


@pytest.mark.parametrize("fault", [FULL, FAILING])
@pytest.mark.parametrize("times", [1, None])
def test_a_fault_at_any_operation_of_it_loses_nothing(tmp_path, sound, monkeypatch, fault, times):
    """It is done again from where it was as soon as the disk takes it."""
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    content = bytearray(sound.read_bytes())
    connection = apsw.Connection(str(sound), flags=apsw.SQLITE_OPEN_READONLY)
    query = "SELECT rootpage FROM sqlite_schema WHERE name = 'counters'"
    ((page,),) = connection.execute(query).fetchall()
    connection.close()
    content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    with Disk() as disk:
        at, step = 0, 29 if times else 31
        while True:
            folder = tmp_path / str(at)
            folder.mkdir()
            (folder / FILE_NAME).write_bytes(content)
            disk.fault, disk.times, disk.after, disk.done = fault, times, at, 0
            asyncio.run(set_aside_after(folder, disk))
            if disk.done_before_mending <= at:
                break
            at += step
        assert at > 10


async def set_aside_after(folder, disk):
    async with opened(folder) as (journal, told):
        disk.done_before_mending = disk.done
        disk.fault = disk.times = None
        await journal.look()
        assert journal.condition.state is DiskState.well
        assert "journal_damaged" in [name for name, _ in told] or at_last(folder)
        assert len(await ask(journal, "SELECT 1 FROM alerts")) == 6
        assert len(await ask(journal, "SELECT 1 FROM pending")) == 8
        assert await ask(journal, "PRAGMA integrity_check") == [("ok",)]
        await journal.write(add)


def at_last(folder):
    """The fresh one was ready; the next try only put it into its place."""
    return len(setting_aside.damaged_folders(folder)) == 1


def set_aside_before(folder):
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(b"damaged")


def test_two_damaged_journals_are_kept(tmp_path):
    for number in range(4):
        set_aside_before(tmp_path / f"damaged-2026010{number}T000000Z")
    (tmp_path / FILE_NAME).write_bytes(b"no database " * 1_000)

    async def story():
        async with opened(tmp_path):
            pass

    asyncio.run(story())
    kept = setting_aside.damaged_folders(tmp_path)
    assert len(kept) == setting_aside.FOLDERS_MAX
    assert kept[0].name > "damaged-20260103T000000Z"


@pytest.mark.parametrize("wrong_s", [0, 100_000_000, 4_000_000_000])
def test_no_clock_decides_which_damaged_journal_is_newer(tmp_path, monkeypatch, wrong_s):
    """Neither one that was ahead before nor one that stands still loses what is just set aside."""
    for day in (1, 2):
        set_aside_before(tmp_path / f"damaged-2090010{day}T000000Z")
    real = setting_aside.sync_folder

    def sync(folder):  # before the folder gets its name
        ready = folder / (FILE_NAME + ".ready")
        if ready.exists():
            os.utime(ready, (wrong_s, wrong_s))
        real(folder)

    monkeypatch.setattr(setting_aside, "sync_folder", sync)
    for number in (1, 2, 3):
        content = b"no database %d " % number * 1_000
        (tmp_path / FILE_NAME).write_bytes(content)
        setting_aside.renew(tmp_path / FILE_NAME, apsw.CorruptError("damaged"))
        newest = setting_aside.damaged_folders(tmp_path)[0]
        assert (newest / FILE_NAME).read_bytes() == content
        os.utime(newest, (0, 0))
    assert [folder.name[-2:] for folder in setting_aside.damaged_folders(tmp_path)] == ["-3", "-2"]


def test_who_only_looks_sets_nothing_aside(tmp_path):
    path = tmp_path / FILE_NAME
    path.write_bytes(b"no database " * 1_000)
    with pytest.raises(JournalError, match="start the gateway, which sets it aside"):
        connect(path, read_only=True)
    assert path.exists()


def test_an_older_journal_is_salvaged_too(tmp_path, sound):
    """Damage that is met while it is brought up to date."""
    path = tmp_path / FILE_NAME
    shutil.copy(sound, path)
    connection = connect(path)
    to_version_5(connection)
    connection.close()
    content = bytearray(path.read_bytes())
    place = content.find(whole(60).pixels_u16le[:64]) // PAGE * PAGE
    content[place : place + PAGE] = bytes(PAGE)
    path.write_bytes(content)

    async def story():
        journal = Journal(path)
        await journal.open()
        try:
            await ask(journal, "SELECT frame FROM records")
            assert len(await ask(journal, "SELECT 1 FROM alerts")) == 6
            assert len(await ask(journal, "SELECT 1 FROM pending")) == 8
            assert setting_aside.damaged_folders(tmp_path)
        finally:
            await journal.close()

    asyncio.run(story())


def test_a_judgement_of_a_record_that_is_gone_is_refused(tmp_path, sound):
    """Judges hold ids; none of them means another reading afterwards."""
    (tmp_path / FILE_NAME).write_bytes(sound.read_bytes()[: PAGE * 30])

    async def story():
        async with opened(tmp_path) as (journal, _):
            await journal.write(add)
            there = {row[0] for row in await ask(journal, "SELECT id FROM records")}
            gone = next(one for one in range(1, 500) if one not in there)
            with pytest.raises(JournalError, match="FOREIGN KEY"):
                await journal.write(lambda connection: judge(connection, gone))

    asyncio.run(story())


def test_logs_that_were_left_alone_push_no_damaged_file_out(tmp_path):
    """After each of three cuts one gets a folder of its own, where a cut changes a file's time."""
    path = tmp_path / FILE_NAME
    first = tmp_path / "damaged-20261101T000000.000000Z-1"
    set_aside_before(first)
    for number in range(3):
        path.with_name(f"{FILE_NAME}-wal").write_bytes(b"")
        ready = path.with_name(FILE_NAME + ".ready")
        ready.write_bytes(b"fresh")
        os.utime(ready, (number, number))
        kept = setting_aside.finish(path)
        assert (kept / f"{FILE_NAME}-wal").exists()
        path.unlink()
    assert (first / FILE_NAME).read_bytes() == b"damaged"
    assert len(setting_aside.damaged_folders(tmp_path)) == 1 + setting_aside.FOLDERS_MAX
