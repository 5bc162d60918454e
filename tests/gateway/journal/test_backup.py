"""Goal: a backup is a whole journal of one moment, or there is none; it can be gone back to.

Method: the journal of a story (`tests/gateway/crash/stories.py`), copied while a writer commits, on
disks without room, over files that are there, killed half way; then put into a post's folder.
"""

import fcntl
import os
import shutil
import stat
import threading

import apsw
import pytest

from gateway.errors import JournalError
from gateway.journal import backup, records
from gateway.journal.store import FILE_NAME, SCHEMA_VERSION, connect
from tests.gateway.crash import clock
from tests.gateway.crash.players import NODES
from tests.gateway.crash.recorder import Fault, Recorder, quiet
from tests.gateway.crash.stories import RECORDS, Post
from tests.gateway.journal.faulty import FAILING, FULL, READONLY, Disk
from tests.gateway.journal.released.files import content_of

ALL = len(NODES) * RECORDS


@pytest.fixture
def post(tmp_path):
    """Return the folder of a post that has lived."""
    folder = tmp_path / "state"
    folder.mkdir()
    with clock.runner() as runner:
        runner.run(Post(folder, 1, lambda *_: None).live())
    return folder


def make(post, target, reserve_bytes=0):
    return backup.make(post, target, reserve_bytes=reserve_bytes, now_ms=7)


def content(path):
    """Return every row of every table."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    listing = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = [name for (name,) in connection.execute(listing)]
    found = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    connection.close()
    return found


def test_a_backup_has_everything_and_is_for_its_owner_only(post, tmp_path):
    target = tmp_path / "copy.sqlite"
    kept = os.umask(0)
    try:
        made = make(post, target)
    finally:
        os.umask(kept)
    assert content(target) == content(post / FILE_NAME)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert made == backup.Backup(str(target), 7, target.stat().st_size, ALL, SCHEMA_VERSION)
    assert backup.read_last(post) == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "state"]


def test_a_name_that_is_no_letters_is_refused_in_a_sentence(post, tmp_path):
    target = tmp_path / os.fsdecode(b"copy-\xff")
    with pytest.raises(JournalError, match=r"copy-\\xff: .* not UTF-8; choose another"):
        make(post, target)
    assert not target.exists()


def test_the_writer_goes_on_and_the_backup_is_of_one_moment(post, tmp_path):
    """Each commit writes two counts; a copy that had only one of them would be of two moments."""
    writer = connect(post / FILE_NAME)
    stop, begun = threading.Event(), threading.Event()
    written = []

    def write():
        while not stop.is_set():
            with writer:
                for name in ("task_fault", "clock_set"):
                    records.save_counters(writer, {(name, ""): 1})
            written.append(1)
            begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    targets = [tmp_path / f"{number}.sqlite" for number in range(5)]
    before = [len(written)]
    for target in targets:
        make(post, target)
        before.append(len(written))
    stop.set()
    thread.join()
    writer.close()
    assert before[-1] > before[0]  # it was not kept waiting for the end
    for target, earliest in zip(targets, before, strict=False):
        rows = content(target)["counters"]
        counts = {name: count for name, _, count in rows if name in {"task_fault", "clock_set"}}
        assert counts["task_fault"] == counts["clock_set"] >= earliest


def test_a_file_that_is_there_is_left_as_it_is(post, tmp_path):
    target = tmp_path / "copy.sqlite"
    target.write_text("mine")
    with pytest.raises(JournalError, match="exists already and is left as it is"):
        make(post, target)
    assert target.read_text() == "mine"
    assert backup.read_last(post) is None


@pytest.mark.parametrize("reserve_bytes", [1 << 60])
def test_the_reserve_of_the_posts_own_disk_is_left_free(post, tmp_path, reserve_bytes):
    with pytest.raises(JournalError, match=r"MB are free, .* reserve of the post"):
        make(post, tmp_path / "copy.sqlite", reserve_bytes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_what_a_kill_has_left_is_written_anew_and_two_at_once_are_refused(post, tmp_path):
    target, left = tmp_path / "copy.sqlite", tmp_path / "copy.sqlite.new"
    left.write_bytes(b"half a copy" * 10_000)
    with left.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(JournalError, match="being written by another command"):
            make(post, target)
    make(post, target)
    assert not left.exists()
    assert content(target) == content(post / FILE_NAME)


@pytest.mark.parametrize("kind", ["full", "eio", "short"])
def test_a_disk_that_fails_under_it_leaves_no_file_of_that_name(post, tmp_path, kind):
    folder = tmp_path / "stick"
    folder.mkdir()
    recorder = Recorder(folder, None)
    with recorder:
        make(post, folder / "whole.sqlite")
    total = recorder.met[kind]
    assert total > 1
    for at in (0, 1, total // 2, total - 1):
        with (
            quiet(),
            Recorder(folder, Fault(kind, at, lasts=True)),
            pytest.raises(JournalError),
        ):
            make(post, folder / "copy.sqlite")
        assert not (folder / "copy.sqlite").exists()
    make(post, folder / "copy.sqlite")
    assert content(folder / "copy.sqlite") == content(post / FILE_NAME)


@pytest.mark.parametrize("kind", [FULL, READONLY, FAILING])
def test_a_journal_on_a_disk_that_takes_nothing_can_be_copied(tmp_path, kind):
    """Not even SQLite's own files are taken; the log was folded in when the gateway ended."""
    folder = tmp_path / "state"
    folder.mkdir()
    connection = connect(folder / FILE_NAME)
    records.save_floor(connection, "lane-1", b"01234567", 5)
    connection.close()
    wanted = content(folder / FILE_NAME)
    with Disk() as disk:
        disk.fault = kind
        make(folder, tmp_path / "copy.sqlite")
    assert content(tmp_path / "copy.sqlite") == wanted


def test_there_a_log_that_cannot_be_read_is_not_left_out_silently(tmp_path):
    connection = connect(tmp_path / FILE_NAME)
    records.save_floor(connection, "lane-1", b"01234567", 5)
    folder = tmp_path / "copied"
    folder.mkdir()
    for part in ("", "-wal"):
        shutil.copy(f"{tmp_path / FILE_NAME}{part}", folder)
    connection.close()
    (folder / f"{FILE_NAME}-shm").symlink_to("nowhere")  # SQLite follows none: it cannot have one
    with pytest.raises(JournalError, match=r"its disk takes nothing .* its log of \d+ bytes"):
        make(folder, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()


def test_who_locks_a_file_that_has_become_a_backup_leaves_it_alone(tmp_path, monkeypatch):
    """Between the opening and the lock another command finishes, and gives the file its name."""
    target = tmp_path / "copy.sqlite"

    def finish_first(descriptor, way):
        (tmp_path / "copy.sqlite.new").write_bytes(b"the other one's")
        (tmp_path / "copy.sqlite.new").rename(target)
        flock(descriptor, way)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", finish_first)
    with pytest.raises(JournalError, match="written by another command"), backup.placed(target):
        raise AssertionError
    assert target.read_bytes() == b"the other one's"


def test_an_older_journal_can_be_copied_before_the_gateway_is_exchanged(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(content_of("v4"))
    assert make(tmp_path, tmp_path / "copy.sqlite").schema == 4
    assert content(tmp_path / "copy.sqlite") == content(tmp_path / FILE_NAME)


def test_without_a_journal_and_with_a_damaged_one_there_is_no_backup(post, tmp_path):
    with pytest.raises(JournalError, match="harmattan run"):
        make(tmp_path, tmp_path / "copy.sqlite")
    path = post / FILE_NAME
    with path.open("r+b") as file:  # the root of some table
        file.seek(4 * 4_096)
        file.write(bytes(4_096))
    with pytest.raises(JournalError, match="damaged"):
        make(post, tmp_path / "copy.sqlite")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["state"]


def test_a_post_that_goes_back_to_its_backup_goes_on(post, tmp_path):
    """As docs/gateway.md says: what it had is there, what comes next is judged, nothing twice."""
    target = tmp_path / "copy.sqlite"
    make(post, target)
    for path in list(post.glob(f"{FILE_NAME}*")):
        path.rename(tmp_path / f"aside-{path.name}")
    (post / FILE_NAME).write_bytes(target.read_bytes())

    async def story():
        again = Post(post, 1, lambda *_: None)
        await again.open()
        await again.finish()  # the nodes send everything again, as new ones would
        assert again.authority.kept == {}  # every alert had its receipt
        assert again.journal.condition.text == ""
        await again.close()

    with clock.runner() as runner:
        runner.run(story())
    found = content(post / FILE_NAME)
    assert len(found["records"]) == ALL
    connection = connect(post / FILE_NAME)
    assert connection.pragma("journal_mode") == "wal"
    connection.close()
