"""An event loop on which waiting takes no time: where all would wait, its clock goes on instead.

It is for parts that do their work on the loop and in no thread (`players.AtOnce`): whatever they
wait for is on the loop, too.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Impatient(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Looks, and does not wait."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        ready: list[tuple[Any, int]] = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everything waits for something that nobody does")
        if not ready and timeout:
            self.passed_s += timeout
        return ready


class Loop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        """Return the time by the loop's clock, in seconds."""
        return super().time() + self._impatient.passed_s


def runner() -> asyncio.Runner:
    """Return what runs coroutines on such a loop."""
    return asyncio.Runner(loop_factory=Loop)
