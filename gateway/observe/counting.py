"""Moves what was counted into the journal now and then."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.errors import JournalError
from gateway.journal.records import save_counters
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Lines

COUNTERS_S: Final = 5.0  # a crash forgets at most this much counting; records are never counted on


class Counting:
    """Keeps the counts.

    Args:
        journal: that keeps them.
        counters: of the post.
        lines: of the log, some of which nobody took.
        beat: called at every turn.
    """

    def __init__(
        self,
        journal: Journal,
        counters: Counters,
        lines: Lines,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._counters = counters
        self._lines = lines
        self._beat = beat

    async def run(self) -> None:
        """Save until cancelled.

        Raises:
            JournalError: the counts are kept in memory.
        """
        while True:
            self._beat()
            await asyncio.sleep(COUNTERS_S)
            await self.save()

    async def save(self) -> None:
        """Move the counts into the journal.

        Raises:
            JournalError: they are kept in memory.
        """
        if self._lines.dropped:
            dropped, self._lines.dropped = self._lines.dropped, 0
            self._counters.count("log_dropped", amount=dropped)
        fresh = self._counters.take()
        if not fresh:
            return
        try:
            await self._journal.write(partial(save_counters, counts=fresh))
        except JournalError:
            self._counters.give_back(fresh)
            raise
