"""Ways to read the journal that do not wait for each other: each has a connection and a thread.

Who judges, who delivers alerts and who looks are never behind one another, and none of them is
behind the writer.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, TypeVar

import apsw

from gateway.errors import JournalError
from gateway.journal.opening import connect, connect_empty, connect_immutable, shut

LaneName = Literal["judging", "outbox", "views"]
LANE_NAMES: Final[tuple[LaneName, ...]] = ("judging", "outbox", "views")

Result = TypeVar("Result")


class Lane:
    """One way to read.

    Args:
        path: the database file.
        name: of the thread.
        is_unwritable: says that nothing can be written, so that a look at the bare file is better
            than none.
    """

    def __init__(self, path: Path, name: LaneName, is_unwritable: Callable[[], bool]) -> None:
        self._path = path
        self._is_unwritable = is_unwritable
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"journal-{name}")
        self._connection: apsw.Connection | None = None

    async def ask(self, question: Callable[[apsw.Connection], Result]) -> Result:
        """Return the answer of `question`.

        Raises:
            JournalError: the file cannot be opened.
            apsw.Error: it cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, question)

    def _ask(self, question: Callable[[apsw.Connection], Result]) -> Result:
        if self._connection is None:
            self._connection = self._connect()
        return question(self._connection)

    def _connect(self) -> apsw.Connection:
        try:
            return connect(self._path, read_only=True)
        except JournalError:
            if not self._is_unwritable():
                raise
        try:
            return connect_immutable(self._path)
        except JournalError:  # there was no file yet, or it cannot be read: nothing is known
            return connect_empty()

    async def drop(self) -> None:
        """Close the connection once its questions are answered; the next one opens it again."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            shut(connection)

    def end(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)
