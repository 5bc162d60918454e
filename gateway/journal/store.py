"""The journal file: open, check, one writer thread with natural group commit.

Rules of the file
- One connection writes, in one thread. Everything that arrives during one fsync is the next batch.
- `synchronous=FULL`: when `write` returns, the bytes are on the disk (simulated crashes in
  `tests/gateway/journal/` are the proof; with NORMAL committed rows are lost).
- Each operation has its own savepoint: one that fails does not undo its neighbours.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from gateway.errors import JournalError

SCHEMA_VERSION: Final = 1
QUEUE_OPERATIONS_MAX: Final = 1_024  # a node's window times the nodes of a post, with room
BATCH_OPERATIONS_MAX: Final = 256  # bounds how long one transaction keeps the others waiting
CACHE_KIB: Final = 16_384  # page cache of the writer; small beside the gateway's memory

Operation = Callable[[apsw.Connection], Any]
Result = TypeVar("Result")


class _Stop:
    """Tells the writer thread to end after what is queued."""


_Job = tuple[Operation, "asyncio.Future[Any]"]
_Work = _Job | _Stop


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Open the journal file and set what every connection needs.

    Raises:
        JournalError: the file cannot be opened or is not a journal of this version.
    """
    flags = (
        apsw.SQLITE_OPEN_READONLY
        if read_only
        else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    )
    try:
        connection = apsw.Connection(str(path), flags=flags)
        connection.set_busy_timeout(5_000)
        if not read_only:
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("foreign_keys", value=True)
            connection.pragma("cache_size", -CACHE_KIB)
        version = connection.pragma("user_version")
    except apsw.Error as error:
        raise JournalError(
            f"journal {path}: {error}; check the disk and the rights on its folder"
        ) from error
    if version == 0 and not read_only:
        _create(connection, path)
    elif version != SCHEMA_VERSION:
        connection.close()
        raise JournalError(
            f"journal {path}: schema version {version}, this gateway knows {SCHEMA_VERSION};"
            " use the gateway version that wrote it, or move the file away"
        )
    return connection


def _create(connection: apsw.Connection, path: Path) -> None:
    schema = resources.files("gateway.journal").joinpath("schema.sql").read_text()
    try:
        with connection:
            connection.execute(schema)
            connection.pragma("user_version", SCHEMA_VERSION)
    except apsw.Error as error:
        raise JournalError(f"journal {path}: cannot be created: {error}") from error


class Journal:
    """The open journal: `await write(operation)` returns when the operation is on the disk.

    Args:
        path: the database file; created when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: queue.Queue[_Work] = queue.Queue(QUEUE_OPERATIONS_MAX)
        self._thread: threading.Thread | None = None
        self._room = asyncio.Semaphore(QUEUE_OPERATIONS_MAX - 1)  # one place is kept for the stop
        self._reader: apsw.Connection | None = None
        self._ended = False

    async def open(self) -> None:
        """Open the file, check it and start the writer.

        Raises:
            JournalError: the file cannot be used.
        """
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(
            target=self._run, args=(asyncio.get_running_loop(), opened), name="journal-writer"
        )
        self._thread.start()
        await opened
        self._reader = connect(self.path, read_only=True)

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        if self._thread is not None:
            self._queue.put(_Stop())
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def write(self, operation: Callable[[apsw.Connection], Result]) -> Result:
        """Run `operation` in the next batch; return its result once the batch is on the disk.

        Raises:
            JournalError: the batch could not be committed, or the operation failed.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with self._room:
            if self._ended:
                raise JournalError(f"journal {self.path} is closed")
            self._queue.put_nowait((operation, done))
            result: Result = await asyncio.shield(done)
            return result

    def read(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a short query, from a connection that never blocks the writer."""
        if self._reader is None:
            raise JournalError(f"journal {self.path} is not open")
        return self._reader.execute(query, parameters).fetchall()

    def _run(self, loop: asyncio.AbstractEventLoop, opened: "asyncio.Future[None]") -> None:
        """Commit batches until told to stop; the only place that writes."""
        try:
            connection = connect(self.path)
        except JournalError as error:
            loop.call_soon_threadsafe(_fail, opened, error)
            return
        loop.call_soon_threadsafe(opened.set_result, None)
        batch: list[_Job] = []
        try:
            stopping = False
            while not stopping:
                stopping = self._take(batch)
                loop.call_soon_threadsafe(_settle, _commit(connection, batch))
                batch = []
        finally:
            # Also after a fault that nobody foresaw: whoever waits must not wait for ever.
            self._ended = True
            while not self._queue.empty():
                work = self._queue.get_nowait()
                if not isinstance(work, _Stop):
                    batch.append(work)
            ended = JournalError(f"journal {self.path}: the writer has ended; restart the gateway")
            left: list[_Outcome] = [(future, None, ended) for _, future in batch]
            loop.call_soon_threadsafe(_settle, left)
            connection.close()

    def _take(self, batch: list[_Job]) -> bool:
        """Wait for work, then add everything that is there; say whether to stop after it."""
        work: _Work = self._queue.get()
        while not isinstance(work, _Stop):
            batch.append(work)
            if len(batch) == BATCH_OPERATIONS_MAX or self._queue.empty():
                return False
            work = self._queue.get_nowait()
        return True


_Outcome = tuple["asyncio.Future[Any]", Any, "JournalError | None"]


def _commit(connection: apsw.Connection, batch: list[_Job]) -> list[_Outcome]:
    """Run one batch as one transaction and say what became of each operation."""
    outcomes: list[_Outcome] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for operation, future in batch:
            try:
                with connection:  # a savepoint
                    outcomes.append((future, operation(connection), None))
            except apsw.Error as error:
                outcomes.append((future, None, JournalError(f"journal: {error}")))
        connection.execute("COMMIT")
    except apsw.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        failure = JournalError(f"journal: nothing was committed: {error}; check the disk's space")
        return [(future, None, failure) for _, future in batch]
    return outcomes


def _settle(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _fail(future: "asyncio.Future[None]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
