"""What was said, in order: log lines, messages. Waiting looks back first, so nothing is missed."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

DEADLINE_S = 30.0  # far above what anything here takes on a busy machine

Item = TypeVar("Item")


class Seen(Generic[Item]):
    """A list that can be waited for."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._changed = asyncio.Event()

    def add(self, item: Item) -> None:
        """Note what was said and wake who waits; in the loop's own thread."""
        self.items.append(item)
        self._changed.set()
        self._changed = asyncio.Event()

    def all(self, matches: Callable[[Item], bool]) -> list[Item]:
        """Return what was said so far and matches."""
        return [item for item in self.items if matches(item)]

    async def wait(self, matches: Callable[[Item], bool], count: int = 1) -> Item:
        """Return the `count`-th match, said or still to be said.

        Raises:
            AssertionError: it was not said in time; shows what was said last.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    found = self.all(matches)
                    if len(found) >= count:
                        return found[count - 1]
                    await self._changed.wait()
        except TimeoutError:
            last = "\n  ".join(str(item)[:400] for item in self.items[-12:])
            raise AssertionError(
                f"not said within {DEADLINE_S:g} s; last were:\n  {last}"
            ) from None


class Log(Seen[dict[str, Any]]):
    """Lines of the gateway's log, as dictionaries with their event's name at `event`."""

    async def event(self, event: str, count: int = 1, **fields: object) -> dict[str, Any]:
        """Return the `count`-th line of this event with these fields, waiting for it."""
        return await self.wait(lambda line: _has(line, event, fields), count)

    def events(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of this event with these fields so far."""
        return self.all(lambda line: _has(line, event, fields))


def _has(line: dict[str, Any], event: str, fields: dict[str, object]) -> bool:
    return line.get("event") == event and all(
        line.get(key) == value for key, value in fields.items()
    )
