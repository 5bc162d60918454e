"""A copy of the journal while the gateway writes it: one moment of it, whole, checked, on the disk.

Rules of the file
- Its own connection reads, one transaction long: the writer waits for nothing, only its log is not
  folded into the file meanwhile.
- The copy grows under another name, and gets its own once it is checked and synced: a file with the
  name that was asked for is a good backup, whenever the power went.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw
import msgspec

from gateway.errors import JournalError
from gateway.files import shown, sync_folder
from gateway.journal.log import size_of_log
from gateway.journal.opening import (
    BUSY_MS,
    FILE_NAME,
    OF_THE_DISK,
    SCHEMA_VERSION,
    SCHEMA_VERSION_MIN,
    fault,
    insist_on_fit,
    no_file,
    shut,
)

LAST_NAME: Final = "last-backup.json"  # in the post's folder
ROOM_BYTES: Final = 1_048_576  # beside the copy itself, on any disk


class Backup(msgspec.Struct, frozen=True):
    """What came of a backup.

    Attributes:
        file: its absolute path.
        made_ms: Unix milliseconds.
        bytes: its size.
        records: how many it holds.
        schema: its version.
    """

    file: str
    made_ms: int
    bytes: int
    records: int
    schema: int


def make(directory: Path, target: Path, *, reserve_bytes: int, now_ms: int) -> Backup:
    """Copy the journal of a post, which may be running.

    Args:
        directory: the post's folder.
        target: the new file.
        reserve_bytes: stay free on the post's own disk.
        now_ms: wall clock, Unix milliseconds.

    Raises:
        JournalError: there is no journal to copy, no room for it, or the file is there already; no
            file of that name was made.
    """
    path, target = directory / FILE_NAME, target.absolute()
    try:
        str(target).encode()
    except UnicodeEncodeError as error:
        raise JournalError(
            f"backup {shown(target)}: SQLite writes no file whose name or folder is not UTF-8;"
            " choose another"
        ) from error
    with placed(target) as new, _reading(path) as source:
        _check_room(source, path, target, reserve_bytes)
        schema = source.pragma("user_version")
        try:
            source.execute("VACUUM INTO ?", (str(new),))
        except apsw.Error as error:
            if isinstance(error, apsw.FullError):
                raise JournalError(
                    f"backup {target}: its disk is full; free space on it, or choose another"
                ) from error
            raise fault(path, error) from error
        records = _check(new, schema)
    made = Backup(str(target), now_ms, target.stat().st_size, records, schema)
    with contextlib.suppress(OSError):  # the backup is good, whether this can be noted or not
        note = directory / (LAST_NAME + ".new")
        note.write_bytes(msgspec.json.encode(made))
        note.replace(directory / LAST_NAME)
    return made


def read_last(directory: Path) -> Backup | None:
    """Return what the last backup of a post was; None: none was noted."""
    try:
        return msgspec.json.decode((directory / LAST_NAME).read_bytes(), type=Backup)
    except (OSError, ValueError, RecursionError):
        return None


@contextlib.contextmanager
def placed(target: Path) -> Iterator[Path]:
    """Give the name under which a file is to grow; once that is done it gets its own.

    What a kill has left of an earlier try is written anew. The file is for its owner only.

    Raises:
        JournalError: the file is there already, or cannot be made.
    """
    new = target.with_name(target.name + ".new")
    try:
        if os.path.lexists(target):
            raise _exists(target)
        descriptor = _held(new)
    except OSError as error:
        raise JournalError(f"{new}: {error.strerror}; choose another file") from error
    try:
        if os.path.lexists(target):  # made by whoever had the lock before
            raise _exists(target)
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        yield new
        os.fsync(descriptor)
        if os.path.lexists(target):
            raise _exists(target)
        new.rename(target)
        try:
            sync_folder(target.parent)
        except OSError:  # nobody shall trust a name that may be gone after a power cut
            target.unlink()
            raise
    except OSError as error:
        raise JournalError(f"{target}: {error.strerror}; choose another file or disk") from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
            Path(f"{new}-journal").unlink(missing_ok=True)
        os.close(descriptor)


def _held(new: Path) -> int:
    """Open a file and lock it, and make sure that it still has that name.

    Between the two another command may have given it the name of its finished copy.

    Raises:
        JournalError: another command holds it.
        OSError: it cannot be made.
    """
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine, named = os.fstat(descriptor), new.stat()
        if (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    raise JournalError(f"{new} is being written by another command; wait for it")


def _exists(target: Path) -> JournalError:
    return JournalError(f"{target} exists already and is left as it is; choose another file")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[apsw.Connection]:
    """Open a journal of any version that this edition knows, to look only."""
    if told := no_file(path):
        raise JournalError(f"journal {told}")
    try:
        insist_on_fit(path, is_alone=True)
    except apsw.CorruptError as error:
        raise fault(path, error) from error
    if not path.exists():
        raise JournalError(
            f"journal {path} does not exist; `harmattan run` makes it at its first start"
        )
    try:
        connection = _looking(path)
    except apsw.Error as error:
        raise fault(path, error) from error
    try:
        version = connection.pragma("user_version")
        if not SCHEMA_VERSION_MIN <= version <= SCHEMA_VERSION:
            raise JournalError(
                f"journal {path} has schema version {version}, this edition knows"
                f" {SCHEMA_VERSION_MIN} to {SCHEMA_VERSION}; use the one that wrote it"
            )
        yield connection
    except apsw.Error as error:
        raise fault(path, error) from error
    finally:
        shut(connection)


def _looking(path: Path) -> apsw.Connection:
    """Open a journal to look only, also where its disk does not take what SQLite needs for that.

    Raises:
        JournalError: then its log, which is a part of it, cannot be read.
        apsw.Error: it cannot be opened.
    """
    plain, bare = apsw.SQLITE_OPEN_READONLY, f"{path.absolute().as_uri()}?immutable=1"
    try:
        return _looked(apsw.Connection(str(path), flags=plain))
    except OF_THE_DISK as error:
        log_bytes = size_of_log(path)
        if log_bytes:
            raise JournalError(
                f"journal {path}: its disk takes nothing ({error}), and without that its log of"
                f" {log_bytes} bytes cannot be read; mount it writable or free space on it, or copy"
                f" {path.name} together with {path.name}-wal into a folder on another disk and set"
                " `directory` to that folder"
            ) from error
        return _looked(apsw.Connection(bare, flags=plain | apsw.SQLITE_OPEN_URI))


def _looked(connection: apsw.Connection) -> apsw.Connection:
    """Look whether a connection reads anything."""
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("user_version")
    except apsw.Error:
        shut(connection)
        raise
    return connection


def used_bytes(connection: apsw.Connection) -> int:
    """Return how much of a journal's file is in use."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return pages * int(connection.pragma("page_size"))


def _check_room(source: apsw.Connection, path: Path, target: Path, reserve_bytes: int) -> None:
    """Insist on room for the copy, and for what the post needs on its own disk."""
    wanted = used_bytes(source) + ROOM_BYTES
    room = os.statvfs(target.parent)
    free = room.f_bavail * room.f_frsize
    is_own = target.parent.stat().st_dev == path.stat().st_dev
    if free < wanted + (reserve_bytes if is_own else 0):
        why = " and the reserve of the post, whose disk it is" if is_own and reserve_bytes else ""
        raise JournalError(
            f"backup {target}: {free // 1_000_000} MB are free, {wanted // 1_000_000 + 1} MB are"
            f" needed{why}; choose another disk"
        )


def _check(new: Path, schema: int) -> int:
    """Insist that a copy is whole; return how many records it has."""
    copy = apsw.Connection(str(new), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = copy.pragma("quick_check")
        if found != "ok" or copy.pragma("user_version") != schema:
            raise JournalError(
                f"backup {new}: the copy is not whole ({found}): the journal or its disk is"
                " damaged; see `harmattan doctor`"
            )
        ((count,),) = copy.execute("SELECT count(*) FROM records").fetchall()
    except apsw.Error as error:
        raise fault(new, error) from error
    finally:
        shut(copy)
    return int(str(count))
