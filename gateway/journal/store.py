"""The journal file: open, check, one writer with natural group commit.

Rules of the file
- One connection writes and one reads, each in its own thread: the event loop waits for no disk.
- Everything that arrives during one fsync is the next batch, and a batch is one transaction.
- `synchronous=FULL`: when `write` returns, the bytes are on the disk.
- A batch in which an operation fails is undone as a whole and done again one operation at a time,
  so that a failure is nobody else's. An operation may therefore run twice, and must change nothing
  but the connection that it is given.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from gateway.errors import JournalError
from gateway.journal.condition import Condition
from gateway.journal.upgrade import upgrade

FILE_NAME: Final = "journal.sqlite"  # in the post's folder
SCHEMA_VERSION: Final = 6
SCHEMA_VERSION_MIN: Final = 1  # older journals from here on are brought up to date
OPERATIONS_MAX: Final = 1_024  # waiting at once; whoever comes later waits for a place
BATCH_OPERATIONS_MAX: Final = 256  # bounds how long one transaction keeps the others waiting
BUSY_MS: Final = 5_000  # another program may look at the file; it does not stay that long
CACHE_KIB: Final = 16_384  # page cache of the writer; small beside the gateway's memory

Operation = Callable[[apsw.Connection], Any]
Result = TypeVar("Result")
_Job = tuple[Operation, "asyncio.Future[Any]"]


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Open the journal file and set what every connection needs.

    Args:
        path: the database file; created when missing, unless `read_only`.
        read_only: look, change nothing.

    Raises:
        JournalError: the file cannot be opened or is not a journal of this version.
    """
    if read_only and not path.exists():
        raise JournalError(
            f"journal {path} does not exist; `harmattan run` makes it at its first start"
        )
    flags = (
        apsw.SQLITE_OPEN_READONLY
        if read_only
        else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    )
    try:
        connection = apsw.Connection(str(path), flags=flags)
    except apsw.Error as error:
        raise fault(path, error) from error
    try:
        _prepare(connection, path, read_only=read_only)
    except apsw.Error as error:
        connection.close()
        raise fault(path, error) from error
    except JournalError:
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection, path: Path, *, read_only: bool) -> None:
    """Set what the connection needs, make the tables of a new file, check those of an old one."""
    connection.set_busy_timeout(BUSY_MS)
    version = connection.pragma("user_version")
    (table_count,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
    is_new = version == 0 and table_count == 0 and not read_only
    is_older = SCHEMA_VERSION_MIN <= version < SCHEMA_VERSION
    if is_older and read_only:
        raise JournalError(
            f"journal {path} has schema version {version}, this gateway writes {SCHEMA_VERSION};"
            " start the gateway once, it brings the journal up to date"
        )
    if not (is_new or is_older) and version != SCHEMA_VERSION:
        raise JournalError(
            f"journal {path} has schema version {version}, this gateway knows {SCHEMA_VERSION}; use"
            " the gateway that wrote it, or move the file away to begin a new one"
        )
    if read_only:
        return
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("foreign_keys", value=True)
    connection.pragma("cache_size", -CACHE_KIB)
    if is_new or is_older:
        with connection:  # one transaction: the tables are all there or none
            upgrade(connection, version)
            connection.pragma("user_version", SCHEMA_VERSION)


def fault(path: Path, error: apsw.Error) -> JournalError:
    """Return SQLite's error as a sentence with a remedy."""
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        remedy = (
            "the file is damaged: stop the gateway, move it with its -wal and -shm aside (keep"
            " them), and start again; nodes send what was not receipted"
        )
    elif isinstance(error, apsw.FullError):
        remedy = "free space on its disk; nothing is receipted until then, so nothing is lost"
    elif isinstance(error, apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError):
        remedy = "give this user the right to write the file and its folder"
    elif isinstance(error, apsw.BusyError | apsw.LockedError):
        remedy = "another program holds the file; close it"
    else:
        remedy = "check its disk"
    return JournalError(f"journal {path}: {error}; {remedy}")


class Journal:
    """The open journal: `await write(operation)` returns when the operation is on the disk.

    Args:
        path: the database file; created when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.condition = Condition()  # of the disk, as of the last batch
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal-writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._writing: apsw.Connection | None = None
        self._reading: apsw.Connection | None = None
        self._waiting: deque[_Job] = deque()
        self._room = asyncio.Semaphore(OPERATIONS_MAX)
        self._flight: asyncio.Future[list[Any]] | None = None
        self._alone = 0  # so many operations are to be done one at a time

    async def open(self) -> None:
        """Open the file and check it; `close` also after a failure.

        Raises:
            JournalError: the file cannot be used.
        """
        loop = asyncio.get_running_loop()
        self._writing = await loop.run_in_executor(self._writer, connect, self.path)
        self._reading = await loop.run_in_executor(
            self._reader, partial(connect, self.path, read_only=True)
        )

    async def close(self) -> None:
        """Write what waits, then close the file. Whoever comes later gets a JournalError."""
        writing, self._writing = self._writing, None
        reading, self._reading = self._reading, None
        while self._flight is not None:
            await asyncio.wait([self._flight])
        loop = asyncio.get_running_loop()
        # The writer last: the last connection to close folds the write-ahead log into the file.
        if reading is not None:
            await loop.run_in_executor(self._reader, reading.close)
        if writing is not None:
            await loop.run_in_executor(self._writer, writing.close)
        self._reader.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    async def write(self, operation: Callable[[apsw.Connection], Result]) -> Result:
        """Run `operation` in the next batch; return its result once the batch is on the disk.

        Cancelling the wait does not undo the operation.

        Raises:
            JournalError: nothing of the operation is in the journal.
            Exception: what `operation` itself raised; nothing of it is in the journal.
        """
        await self._room.acquire()
        if self._writing is None:
            self._room.release()
            raise JournalError(f"journal {self.path} is closed; start the gateway again")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda _: self._room.release())
        self._waiting.append((operation, done))
        if self._flight is None:
            self._commit_next(self._writing)
        result: Result = await asyncio.shield(done)
        return result

    async def read(self, question: Callable[[apsw.Connection], Result]) -> Result:
        """Return the answer of `question`, which sees what is committed and must only look.

        Raises:
            JournalError: the file cannot be read.
        """
        if self._reading is None:
            raise JournalError(f"journal {self.path} is closed; start the gateway again")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._reader, question, self._reading)
        except apsw.Error as error:
            raise fault(self.path, error) from error

    def _commit_next(self, connection: apsw.Connection) -> None:
        """Send the next batch to the writer's thread."""
        count = min(len(self._waiting), BATCH_OPERATIONS_MAX)
        if self._alone:
            self._alone, count = self._alone - 1, 1
        batch = [self._waiting.popleft() for _ in range(count)]
        operations = [operation for operation, _ in batch]
        self._flight = asyncio.get_running_loop().run_in_executor(
            self._writer, _commit, connection, operations
        )
        self._flight.add_done_callback(partial(self._settle, connection, batch))

    def _settle(
        self, connection: apsw.Connection, batch: list[_Job], flight: "asyncio.Future[list[Any]]"
    ) -> None:
        """Answer for a batch that has ended, and begin the next."""
        self._flight = None
        error = flight.exception()
        if error is None:
            for (_, done), result in zip(batch, flight.result(), strict=True):
                done.set_result(result)
        elif len(batch) > 1:
            self._waiting.extendleft(reversed(batch))
            self._alone = len(batch)
        else:
            told = fault(self.path, error) if isinstance(error, apsw.Error) else error
            batch[0][1].set_exception(told)
        if self._waiting:
            self._commit_next(connection)


def _commit(connection: apsw.Connection, operations: list[Operation]) -> list[Any]:
    """Run operations as one transaction; what any of them raises undoes them all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [operation(connection) for operation in operations]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return results
