"""Open the journal file: its version, what every connection needs, and SQLite's errors in words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from gateway.errors import DiskError, JournalError, OlderJournalError
from gateway.journal import integrity
from gateway.journal.floors import note_renewed
from gateway.journal.logged import misfit
from gateway.journal.overlay import is_odd
from gateway.journal.upgrade import NEWEST, upgrade

FILE_NAME: Final = "journal.sqlite"  # in the post's folder
SCHEMA_VERSION: Final = NEWEST
SCHEMA_VERSION_MIN: Final = 1  # older journals from here on are brought up to date
BUSY_MS: Final = 5_000  # another program may look at the file; it does not stay that long
LOG_BYTES_MAX: Final = 33_554_432  # what the log keeps of the disk after somebody read for long
CACHE_KIB: Final = 16_384  # page cache of the writer; small beside the gateway's memory

OF_THE_DISK: Final = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Open the journal file and set what every connection needs.

    Args:
        path: the database file; created when missing, unless `read_only`.
        read_only: look, change nothing.

    Raises:
        JournalError: the file cannot be opened or is not a journal of this version.
    """
    told = no_file(path)
    if told and (read_only or path.exists()):
        raise JournalError(f"journal {told}")
    if read_only and not path.exists() and not misfit(path, is_alone=False):
        raise JournalError(
            f"journal {path} does not exist; `harmattan run` makes it at its first start"
        )
    flags = (
        apsw.SQLITE_OPEN_READONLY
        if read_only
        else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    )
    return _opened(str(path), path, flags, read_only=read_only)


def no_file(path: Path) -> str:
    """Say what lies at a journal's path instead of a file, with the remedy; empty: nothing does."""
    try:
        if path.is_symlink() and not path.exists():
            return (
                f"{path} is a link to {path.readlink()}, which is not there; mount its disk, or"
                " remove the link, and the gateway begins a new journal"
            )
        if path.exists() and not path.is_file():
            return f"{path} is no file; move it away, and the gateway begins a new journal"
    except OSError:  # whoever opens it says why
        return ""
    return ""


def connect_immutable(path: Path) -> apsw.Connection:
    """Look at a journal on a disk that takes nothing, not even SQLite's own files.

    What lies in the write-ahead log is not seen, and a checkpoint that was cut off may make the
    file look damaged: what this connection says of that means nothing.

    Raises:
        JournalError: it is not to be read even so.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return _opened(f"{path.absolute().as_uri()}?immutable=1", path, flags, read_only=True)


def look_at(path: Path) -> apsw.Connection:
    """Open a journal to look only, also on a disk that does not take what SQLite needs for that.

    For commands: not in the process of a gateway that writes it.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        insist_on_fit(path, is_alone=True)
    except apsw.CorruptError as error:
        raise fault(path, error) from error
    try:
        return connect(path, read_only=True)
    except JournalError as error:
        if not isinstance(error.__cause__, OF_THE_DISK):
            raise
    return connect_immutable(path)


def connect_empty() -> apsw.Connection:
    """Look at a journal in which nothing is, where there is none and none can be made."""
    connection = apsw.Connection(":memory:", vfs="unix")
    upgrade(connection, 0)
    connection.pragma("query_only", value=True)
    return connection


def _opened(name: str, path: Path, flags: int, *, read_only: bool) -> apsw.Connection:
    try:
        insist_on_fit(path, is_alone=not read_only)
        connection = apsw.Connection(name, flags=flags)
    except apsw.Error as error:
        raise fault(path, error) from error
    try:
        _prepare(connection, path, read_only=read_only)
    except apsw.Error as error:
        shut(connection)
        if isinstance(error, apsw.SQLError) and is_odd(path):
            error = apsw.CorruptError(f"its header is none that was written: {error}")
        raise fault(path, error) from error
    except JournalError:
        connection.close()
        raise
    return connection


def insist_on_fit(path: Path, *, is_alone: bool) -> None:
    """Insist that a file and the log beside it belong together, before SQLite opens them.

    Args:
        path: the database file.
        is_alone: this process does not write it: who closes a file takes from his process all
            locks that it has on it, and SQLite would not know.

    Raises:
        apsw.CorruptError: they do not.
    """
    try:
        told = misfit(path, is_alone=is_alone)
    except OSError:  # SQLite will say why
        return
    if told:
        raise apsw.CorruptError(told)


def shut(connection: apsw.Connection) -> None:
    """Close a connection whose file may be damaged or gone; nobody waits for what it says.

    The log stays as it is: who writes it into a damaged file, or into one that it is not of,
    destroys what could be read.
    """
    with contextlib.suppress(apsw.Error):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(force=True)


def _prepare(connection: apsw.Connection, path: Path, *, read_only: bool) -> None:
    """Set what the connection needs, make the tables of a new file, check those of an old one."""
    connection.set_busy_timeout(BUSY_MS)
    version = connection.pragma("user_version")
    if not read_only and connection.readonly("main") and is_odd(path):
        raise apsw.CorruptError("its header says that it may not be written")
    (table_count,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
    is_new = version == 0 and table_count == 0 and not read_only
    is_older = SCHEMA_VERSION_MIN <= version < SCHEMA_VERSION
    if read_only and version == 0 and table_count == 0:
        raise JournalError(
            f"journal {path} has nothing in it yet: the gateway could not begin it, mostly because"
            " its disk is full; free space on it, and start the gateway once"
        )
    if not is_new and version != SCHEMA_VERSION and (read_only or not is_older):
        raise _of_another_version(connection, path, version)
    if read_only:
        return
    is_copy = not is_new and connection.pragma("journal_mode") != "wal"  # a backup, put back
    if is_older or is_copy:  # a damaged one is set aside as it was, before anything is written
        bound_s = integrity.CHECK_OLDER_S_MAX if is_older else integrity.CHECK_START_S_MAX
        found = integrity.check_start(connection, bound_s, is_older=is_older)
        if found:
            raise apsw.CorruptError(found)
    if is_copy and not is_older:
        with transaction(connection):
            note_renewed(connection)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("foreign_keys", value=True)
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("journal_size_limit", LOG_BYTES_MAX)
    if is_new or is_older:
        with transaction(connection):  # the tables are all there or none
            _upgrade(connection, version)
            if is_copy:
                note_renewed(connection)
            connection.pragma("user_version", SCHEMA_VERSION)


def _of_another_version(
    connection: apsw.Connection, path: Path, version: int
) -> JournalError | apsw.Error:
    """Return why a file cannot be used as it is."""
    if SCHEMA_VERSION_MIN <= version < SCHEMA_VERSION:
        return OlderJournalError(
            f"journal {path} has schema version {version}, this gateway writes {SCHEMA_VERSION};"
            " start the gateway once, it brings the journal up to date"
        )
    # One bit in the number; the next gateway's is not meant, for that may have the same tables.
    bits = ((version ^ SCHEMA_VERSION) & 0xFFFFFFFF).bit_count()
    if bits == 1 and version != SCHEMA_VERSION + 1 and integrity.is_of_today(connection):
        return apsw.CorruptError(f"its schema is of version {SCHEMA_VERSION}, not {version}")
    return JournalError(
        f"journal {path} has schema version {version}, this gateway knows {SCHEMA_VERSION}; use"
        " the gateway that wrote it, or move the file away to begin a new one"
    )


def _upgrade(connection: apsw.Connection, version: int) -> None:
    """Bring a file up to date; what cannot be, of what an older gateway wrote, is damaged.

    Raises:
        apsw.CorruptError: rows or words in it are none that a gateway has written.
    """
    try:
        upgrade(connection, version)
    except (
        *(apsw.ConstraintError, apsw.MismatchError, apsw.SQLError),
        *(UnicodeDecodeError, TypeError, ValueError),
    ) as error:
        if not version:
            raise
        raise apsw.CorruptError(
            f"schema version {version} cannot be brought up to date: {error}"
        ) from error


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Do what follows in one transaction, or nothing of it.

    Connection's own context manager hides an I/O error that has ended the transaction behind one of
    its own, which says nothing of the disk.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")


def is_damage(error: BaseException | None) -> bool:
    """Say whether an error means that the file itself is damaged."""
    return isinstance(error, apsw.NotADBError | apsw.CorruptError)


def fault(path: Path, error: apsw.Error) -> JournalError:
    """Return SQLite's error as a sentence with a remedy."""
    kind = JournalError
    if is_damage(error):
        remedy = (
            "the file is damaged: start the gateway, which sets it aside and goes on with a fresh"
            " one; nodes send what was not receipted"
        )
    elif isinstance(error, apsw.FullError):
        kind = DiskError
        remedy = "free space on its disk; nothing is receipted until then, so nothing is lost"
    elif isinstance(error, apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError):
        kind = DiskError if isinstance(error, apsw.ReadOnlyError) else JournalError
        remedy = "give this user the right to write the file and its folder"
    elif isinstance(error, apsw.BusyError | apsw.LockedError):
        remedy = "another program holds the file; close it"
    else:
        kind = DiskError if isinstance(error, apsw.IOError) else JournalError
        remedy = "check its disk"
    return kind(f"journal {path}: {error}; {remedy}")
