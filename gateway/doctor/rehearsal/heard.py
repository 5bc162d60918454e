"""What was said, in order, and waiting for it: log lines, receipts, alerts."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Heard(Generic[Item]):
    """A list that can be waited for; waiting looks back first, so that nothing is missed."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._changed = asyncio.Event()

    def add(self, item: Item) -> None:
        """Note what was said; in the loop's own thread."""
        self.items.append(item)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, matches: Callable[[Item], bool], since: int = 0) -> Item:
        """Return the first match behind the first `since` items, said or still to be said."""
        looked = since
        while True:
            changed = self._changed
            for item in self.items[looked:]:
                if matches(item):
                    return item
            looked = len(self.items)
            await changed.wait()
