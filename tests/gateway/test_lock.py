"""Goal: one gateway per folder, also on a disk that takes nothing.

Method: real locks of this process. A disk that takes nothing is a system call that says so; a real
read-only file system where this user may mount one.
"""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from gateway.errors import SettingsError
from gateway.lock import LOCK_NAME, is_running, locked


@pytest.fixture
def unwritable(monkeypatch):
    """A disk on which no file can be made or opened for writing."""
    real = os.open

    def refuse(path, flags, *mode, **rest):
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(unwritable_errno[0], os.strerror(unwritable_errno[0]), str(path))
        return real(path, flags, *mode, **rest)

    unwritable_errno = [errno.EROFS]
    monkeypatch.setattr(os, "open", refuse)
    return unwritable_errno


def held(folder):
    with locked(folder):
        assert is_running(folder)
        with pytest.raises(SettingsError, match="another gateway runs there"), locked(folder):
            pass
    assert not is_running(folder)


@pytest.mark.parametrize("reason", [None, errno.EROFS, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_folder_is_held_once(tmp_path, monkeypatch, request, reason, is_new):
    monkeypatch.setattr("gateway.lock.LOCK_S_MAX", 0.0)
    if not is_new:
        (tmp_path / LOCK_NAME).touch()
    if reason is not None:
        request.getfixturevalue("unwritable")[0] = reason
    held(tmp_path)


def test_two_that_start_on_a_disk_before_and_after_it_fills_up_meet(tmp_path, monkeypatch, request):
    monkeypatch.setattr("gateway.lock.LOCK_S_MAX", 0.0)
    with locked(tmp_path):
        (tmp_path / LOCK_NAME).unlink()
        request.getfixturevalue("unwritable")
        with pytest.raises(SettingsError, match="another gateway"), locked(tmp_path):
            pass


def test_a_folder_without_rights_is_still_refused(tmp_path, unwritable):
    unwritable[0] = errno.EACCES
    with (
        pytest.raises(SettingsError, match="choose a folder this user may write"),
        locked(tmp_path),
    ):
        pass


STORY = """
import asyncio, sys
from pathlib import Path
from gateway.journal.store import Journal, connect
from gateway.journal.records import save_floor
from gateway.lock import is_running, locked
folder, step = Path(sys.argv[1]), sys.argv[2]
floors = lambda c: c.execute("SELECT seq FROM journals").fetchall()

async def story():
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    try:
        try:
            await journal.write(lambda c: save_floor(c, "lane-1", b"x", 7 if step == "make" else 9))
            told = "written"
        except Exception as error:
            told = type(error).__name__
        print(journal.condition.state, told, await journal.read(floors, lane="outbox"))
    finally:
        await journal.close()

with locked(folder):
    assert is_running(folder)
    asyncio.run(story())
"""


def mount_works():
    unshare = shutil.which("unshare")
    return unshare is not None and (
        subprocess.run(
            [unshare, "-Urm", "true"], capture_output=True, check=False, timeout=30
        ).returncode
        == 0
    )


@pytest.mark.skipif(not mount_works(), reason="may not mount; the VFS shows the same")
def test_on_a_real_read_only_and_a_real_full_file_system(tmp_path):
    """With SQLite's own files gone, as after a power cut that was cleaned up."""
    story = tmp_path / "story.py"
    story.write_text(STORY)
    run = f"{sys.executable} {story} $D"
    script = f"""
set -e
D={tmp_path}/disk; mkdir -p $D
mount -t tmpfs -o size=3m tmpfs $D
{run} make
mount -o remount,ro $D
{run} look
mount -o remount,rw $D
{run} look
dd if=/dev/zero of=$D/filler bs=4096 2>/dev/null || true
rm -f $D/journal.sqlite-wal $D/journal.sqlite-shm
{run} look
rm $D/filler
{run} look
"""
    done = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.splitlines() == [
        "well written [(7,)]",
        "readonly DiskError [(7,)]",
        "well written [(9,)]",
        "full DiskError [(9,)]",
        "well written [(9,)]",
    ], done.stderr


@pytest.mark.parametrize("name", ["post.toml", "post.toml/state"])
def test_a_file_in_the_folders_place_is_told(tmp_path, name):
    (tmp_path / "post.toml").touch()
    told = r"a file has this name, .*set `directory` to a folder"
    with pytest.raises(SettingsError, match=told), locked(tmp_path / name):
        pass
