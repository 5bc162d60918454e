"""Operations that wait for a transaction: a bounded queue, first come, first served.

A place in it is kept until the operation is answered, also while a batch has it, so that whoever
comes when all are taken waits and nothing grows.
"""

import asyncio
from collections import deque
from typing import Any, Final, NamedTuple

from gateway.journal.batches import Operation

OPERATIONS_MAX: Final = 1_024  # waiting at once; whoever comes later waits for a place
BATCH_OPERATIONS_MAX: Final = 256  # bounds how long one transaction keeps the others waiting


class Job(NamedTuple):
    """An operation that is to be answered.

    Attributes:
        operation: gets the connection, in a transaction.
        is_essential: it is tried also where the disk is short of room.
        done: takes the result, or what was raised.
    """

    operation: Operation
    is_essential: bool
    done: "asyncio.Future[Any]"


class Queue:
    """What waits for the next transactions; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._room = asyncio.Semaphore(OPERATIONS_MAX)
        self._alone = 0  # so many are to be done one at a time

    def __len__(self) -> int:
        """Return how many wait; those of the batch under way are not counted."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Wait for a place; `add` or `leave` must follow."""
        await self._room.acquire()

    def leave(self) -> None:
        """Give the place to the next."""
        self._room.release()

    def add(self, operation: Operation, *, is_essential: bool) -> "asyncio.Future[Any]":
        """Append an operation at the place that was waited for; return what will be its answer."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.add_done_callback(self._end)
        self._waiting.append(Job(operation, is_essential, done))
        return done

    def _end(self, done: "asyncio.Future[Any]") -> None:
        """Give the place of an operation to the next; whoever waited for it may be gone."""
        self.leave()
        if not done.cancelled():
            done.exception()  # is taken note of, or the loop would complain of it

    def take(self) -> list[Job]:
        """Take the next batch out; empty when nothing waits."""
        count = min(len(self._waiting), BATCH_OPERATIONS_MAX)
        if self._alone and count:
            self._alone, count = self._alone - 1, 1
        return [self._waiting.popleft() for _ in range(count)]

    def put_back(self, batch: list[Job], *, is_apart: bool) -> None:
        """Put a batch back before all others.

        Args:
            batch: as `take` gave it, or what is left of it.
            is_apart: its operations are to be done one at a time; else with all that wait.
        """
        self._waiting.extendleft(reversed(batch))
        self._alone = len(batch) if is_apart else 0

    def refuse(self, error: Exception) -> None:
        """Answer everything that waits with this error."""
        while self._waiting:
            self._waiting.popleft().done.set_exception(error)
