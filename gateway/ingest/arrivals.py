"""Messages taken in and not yet committed: first come, first served, bounded per node.

A node has at most its window in flight. One that sends more, or that sends the same again while the
disk is slow, gets no more places than are its own: the others' messages always have room.
"""

import asyncio
from collections import Counter, deque

from gateway.ingest.intake import Taken
from protocol import limits

PER_NODE_MAX = 2 * limits.WINDOW_RECORDS_MAX  # a whole window, and the same once more


class Arrivals:
    """A queue with one bound per node. What is turned away was not receipted and comes again."""

    def __init__(self) -> None:
        self._waiting: deque[Taken] = deque()
        self._of_node: Counter[str] = Counter()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, taken: Taken) -> bool:
        """Add a message; False when its node has too many waiting."""
        if self._of_node[taken.node] >= PER_NODE_MAX:
            return False
        self._of_node[taken.node] += 1
        self._waiting.append(taken)
        self._filled.set()
        return True

    async def wait(self) -> None:
        """Return when there is something to take."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()

    def take(self, count_max: int) -> list[Taken]:
        """Return what has waited longest, at most `count_max` messages."""
        count = min(count_max, len(self._waiting))
        taken = [self._waiting.popleft() for _ in range(count)]
        self._of_node.subtract(message.node for message in taken)
        return taken
