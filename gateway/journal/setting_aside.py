"""A damaged journal is kept as it is, and a fresh one gets what must not be lost of it.

Order of things, so that a kill at any moment loses nothing:
1. `journal.sqlite.new` is made and filled from the damaged file, where that lies, and closed.
2. It is renamed to `journal.sqlite.ready`: from here on the fresh one is the journal.
3. The damaged file, with its log, goes to `damaged-<time>-<number>/`; then the fresh one takes its
   place.
A start that finds `.ready` goes on with 3, one that finds `.new` begins again.

Rows keep their ids: who has asked about a record finds the same one, or none.
"""

import contextlib
import datetime as dt
import shutil
from pathlib import Path
from typing import Final

import apsw

from gateway.files import sync_folder
from gateway.journal.damaged import look_at_damaged
from gateway.journal.opening import connect, fault, shut, transaction
from gateway.journal.salvage import salvage

POSTURE: Final = "journal_damaged"
FOLDER_PREFIX: Final = "damaged-"
FOLDERS_MAX: Final = 2  # kept; each is as large as a journal
NUMBER_DIGITS_MAX: Final = 8  # of a running number; a date has as many, and was all the name once
PARTS: Final = ("", "-wal", "-shm", "-journal")


def renew(path: Path, damage: BaseException) -> str:
    """Make a fresh journal of what can be read of the damaged one, and take its place.

    Returns:
        What has happened, and what to do, for the technician.

    Raises:
        JournalError: the fresh one cannot be made; the damaged one stays where it is.
        OSError: likewise.
    """
    new = path.with_name(path.name + ".new")
    _remove(new)
    views = look_at_damaged(path)
    try:
        fresh = connect(new)
        try:
            with transaction(fresh):
                kept = salvage(views, fresh)
        except apsw.Error as error:
            raise fault(new, error) from error
        finally:
            fresh.close()
    finally:
        for view in views:
            shut(view)
    for part in PARTS[1:]:  # the last to close has folded them in
        Path(f"{new}{part}").unlink(missing_ok=True)
    new.replace(_ready(path))
    # Before the damaged one leaves its place, or a cut could leave neither.
    sync_folder(path.parent)
    folder = finish(path)
    return (
        f"the journal was damaged ({damage}) and is kept in {folder}; a fresh one has {kept};"
        " check the disk, then copy that folder to somewhere safe and report it; readings that"
        " were only in it can be read from there with harmattan export"
    )


def finish(path: Path) -> Path | None:
    """Put a fresh journal that is ready in its place; return where the damaged one is kept.

    Raises:
        OSError: the disk takes it not; the next try goes on from here.
    """
    ready = _ready(path)
    if not ready.exists():
        return None
    folder = _folder(path, ready)
    folder.mkdir(mode=0o700, exist_ok=True)
    for part in PARTS:
        with contextlib.suppress(FileNotFoundError):  # a kill came in between
            Path(f"{path}{part}").rename(folder / f"{path.name}{part}")
    sync_folder(folder)
    sync_folder(path.parent)  # or a cut could leave the old log beside the fresh file
    ready.rename(path)
    sync_folder(path.parent)
    for older in _superfluous(path):
        if older != folder:
            shutil.rmtree(older, ignore_errors=True)
    return folder


def _superfluous(path: Path) -> list[Path]:
    """Return the folders beyond the newest FOLDERS_MAX, those without a file by themselves.

    A log that a cut has left alone may get a folder of its own, and again after the next cut; none
    of them takes the place of a damaged file.
    """
    folders = damaged_folders(path.parent)
    with_file = [folder for folder in folders if (folder / path.name).exists()]
    without = [folder for folder in folders if folder not in with_file]
    return with_file[FOLDERS_MAX:] + without[FOLDERS_MAX:]


def _folder(path: Path, ready: Path) -> Path:
    """Return where the damaged file goes: the same after a kill, and none that another one has."""
    made = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(
        microseconds=ready.stat().st_mtime_ns // 1_000
    )
    stamp = made.strftime("%Y%m%dT%H%M%S.%fZ")
    folders = damaged_folders(path.parent)
    for folder in folders:
        if folder.name.startswith(f"{FOLDER_PREFIX}{stamp}-") and not any(
            Path(f"{path}{part}").exists() and (folder / f"{path.name}{part}").exists()
            for part in PARTS
        ):
            return folder
    last = max((_number(folder) for folder in folders), default=0)
    return path.with_name(f"{FOLDER_PREFIX}{stamp}-{last + 1}")


def _number(folder: Path) -> int:
    """Return the running number of a folder: which is newer no clock decides; 0: it has none."""
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdecimal() and len(number) < NUMBER_DIGITS_MAX else 0


def damaged_folders(folder: Path) -> list[Path]:
    """Return the folders with damaged journals, the newest first."""
    found = folder.glob(f"{FOLDER_PREFIX}*")
    return sorted(found, key=lambda one: (_number(one), one.name), reverse=True)


def _ready(path: Path) -> Path:
    return path.with_name(path.name + ".ready")


def _remove(path: Path) -> None:
    for part in PARTS:
        Path(f"{path}{part}").unlink(missing_ok=True)
