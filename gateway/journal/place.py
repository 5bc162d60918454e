"""Whether the open journal still lies at its path, and how it is put back there.

A file that is deleted, moved or exchanged while it is open lives on without a name: it takes what
is written, and all of it is gone when the gateway ends. Until then the connection has everything.
So it is copied, some pages at a time between the transactions, and the copy takes the place as a
fresh journal takes that of a damaged one (setting_aside.py): at every moment of that there is a
journal at the path or one that the next start puts there, and what lies there now is kept.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from gateway.files import sync_folder
from gateway.journal import setting_aside
from gateway.journal.floors import note_renewed
from gateway.journal.opening import shut, transaction
from gateway.journal.space import ROOM_BYTES

STEP_PAGES: Final = 512  # 2 MB between two transactions
PROBE_NAME: Final = "journal.probe"
HEADER_BYTES: Final = 20
MAGIC: Final = b"SQLite format 3\x00"
LOGGED: Final = b"\x02\x02"  # the file has a write-ahead log; a backup has none

_Identity = tuple[int, int] | None  # device and inode; None: there is none


@dataclass(frozen=True, slots=True)
class Place:
    """Which files lay at the path when they were opened.

    Attributes:
        file: the database.
        log: its write-ahead log; None: it was not there yet.
        descriptor: of the database, to look at its header; None: it is not open.
    """

    file: _Identity
    log: _Identity
    descriptor: int | None = None

    @classmethod
    def of(cls, path: Path) -> "Place":
        """Look which files lie there now."""
        return cls(_identity(path), _identity(Path(f"{path}-wal")))

    @classmethod
    def opened(cls, path: Path) -> "Place":
        """Look which files lie there now, and keep an eye on them until `close`."""
        place = cls.of(path)
        with contextlib.suppress(OSError):
            return cls(place.file, place.log, os.open(path, os.O_RDONLY))
        return place

    def close(self) -> None:
        """Let the file go, after SQLite has: this takes every lock that the gateway has on it."""
        if self.descriptor is not None:
            os.close(self.descriptor)

    def is_overwritten(self) -> bool:
        """Say whether the file lost its header: it is empty, or a backup was copied over it."""
        if self.descriptor is None:
            return False
        try:
            header = os.pread(self.descriptor, HEADER_BYTES, 0)
        except OSError:
            return False
        return header[:16] != MAGIC or header[18:20] != LOGGED

    def is_left(self, path: Path) -> bool:
        """Say whether others lie at the path now, or none; False where the disk does not say."""
        try:
            now = Place.of(path)
        except OSError:
            return False
        if self.is_overwritten():
            return True
        return now.file != self.file or (self.log is not None and now.log != self.log)


def _identity(path: Path) -> _Identity:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


class Copy:
    """A copy of the open journal that grows beside its place; in the writer's thread.

    Args:
        connection: the journal's, open; it may be written between the steps.
        path: of the database file.
        opened: what lay there when it was opened.

    Attributes:
        is_overwritten: what was neither in memory nor in the log is gone.

    Raises:
        apsw.Error, OSError: it cannot be made.
    """

    def __init__(self, connection: apsw.Connection, path: Path, opened: Place) -> None:
        self._path, self._opened = path, opened
        self.is_overwritten = opened.is_overwritten()
        self._new = path.with_name(path.name + ".new")
        room = os.statvfs(path.parent)
        pages = int(connection.pragma("page_count"))
        wanted = pages * int(connection.pragma("page_size")) + ROOM_BYTES
        if room.f_bavail * room.f_frsize < wanted:
            raise apsw.FullError(f"the copy needs {wanted // 1_000_000 + 1} MB")
        self._clean()
        self._target = apsw.Connection(str(self._new))
        self._backup = self._target.backup("main", connection, "main")

    def step(self) -> bool:
        """Copy some pages; say whether what is left fits into one step."""
        if not self._backup.done:
            self._backup.step(STEP_PAGES)
        return self._backup.remaining <= STEP_PAGES

    def finish(self) -> Path | None:
        """Copy the rest and take the place; nothing may be written to the journal any more.

        Returns:
            The folder of what lay there; None: nothing did.

        Raises:
            apsw.CorruptError: what was copied over the file has destroyed it.
        """
        while not self._backup.done:
            self._backup.step(-1)
        self._backup.finish()
        if self.is_overwritten:
            found = self._target.pragma("quick_check")
            if found != "ok":
                raise apsw.CorruptError(f"its file was overwritten: {found}")
            with transaction(self._target):  # who misses a record is told why
                note_renewed(self._target)
        self._target.close()
        self._new.replace(self._path.with_name(self._path.name + ".ready"))
        sync_folder(self._path.parent)
        now = Place.of(self._path)
        is_other = self.is_overwritten or now.file != self._opened.file
        if is_other and now.log == self._opened.log:
            for part in setting_aside.PARTS[1:]:  # beside another file our log would destroy it
                Path(f"{self._path}{part}").unlink(missing_ok=True)
        folder = setting_aside.finish(self._path)
        with contextlib.suppress(OSError):  # something is in it
            if folder is not None:
                folder.rmdir()
                return None
        return folder

    def drop(self) -> None:
        """Give the copy up."""
        with contextlib.suppress(apsw.Error):
            self._backup.close(force=True)
        shut(self._target)
        with contextlib.suppress(OSError):
            self._clean()

    def _clean(self) -> None:
        for part in (*setting_aside.PARTS, "-journal"):
            Path(f"{self._new}{part}").unlink(missing_ok=True)


def put_back(connection: apsw.Connection, path: Path, opened: Place) -> Path | None:
    """Put the journal back at once; as `Copy.finish`.

    Raises:
        apsw.Error, OSError: it is not back.
    """
    copy = Copy(connection, path, opened)
    try:
        return copy.finish()
    except (apsw.Error, OSError):
        copy.drop()
        raise


def describe(path: Path, why: BaseException | None) -> str:
    """Return that the journal has lost its place, and what to do."""
    if why is None:
        return (
            f"{path} or its -wal was deleted or exchanged under the running gateway, which has all"
            " of it still open and puts it back now: readings stay on their nodes, alerts still go"
            " out; leave these files alone while the gateway runs"
        )
    return (
        f"{path} or its -wal was deleted or exchanged under the running gateway, which has all of"
        f" it still open and cannot put it back ({why}): readings stay on their nodes, alerts still"
        " go out; do not stop the gateway, or what was receipted is lost: make the folder"
        f" {path.parent} whole again, with room on its disk"
    )


def told(path: Path, folder: Path | None, *, is_overwritten: bool) -> str:
    """Return that the journal is back at its place."""
    if is_overwritten:
        lost = (
            "what was in memory and in its log is there again, the rest is what was copied over it"
        )
    else:
        lost = "nothing is lost, the whole journal is there again"
    kept = f"; what lay there instead is kept in {folder}" if folder is not None else ""
    return (
        f"{path} or its -wal was deleted, exchanged or overwritten under the running gateway;"
        f" {lost}{kept}; find out who did that. To go back to a backup, stop the gateway first"
    )


def takes_files(folder: Path) -> bool:
    """Say whether a new file in a folder can be written and synced now."""
    path = folder / PROBE_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        os.write(descriptor, b"?")
        os.fsync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
    return True
