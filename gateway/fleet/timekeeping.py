"""What the gateway's clock is worth, and what follows when somebody sets it.

Nodes label records with the time that they are told, and give up commands by it. A clock that was
set is told to all of them at once, not with the next health. It is noticed against the monotonic
clock, which nobody sets; sleep of the computer looks the same, and does no harm.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import Pulse
from gateway.screening.watchlists import clock_fault
from protocol import messages

LOOK_S: Final = 1.0  # an order may follow the setting of the clock within seconds
STEP_MS: Final = 1_000  # a clock that is slewed moves by 0.5 ms between two looks


def time_quality(now_ms: int) -> int:
    """Return what a time told to a node is worth: less while it cannot be right.

    Args:
        now_ms: the gateway's wall clock, Unix milliseconds.
    """
    try:
        day = dt.datetime.fromtimestamp(now_ms / 1_000, dt.UTC).date()
    except (OverflowError, ValueError):
        return messages.TIME_RTC
    return messages.TIME_RTC if clock_fault(day) else messages.TIME_GATEWAY


def monotonic_ms() -> int:
    """Return milliseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


class Timekeeping:
    """Notices that the wall clock was set.

    Args:
        now_ms: the gateway's wall clock, Unix milliseconds.
        set_by: told by how much it was set, in milliseconds.
        monotonic_ms: a clock that nobody sets.
        pulse: hears of every look.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        set_by: Callable[[int], Awaitable[None]],
        counters: Counters,
        log: Log,
        monotonic_ms: Callable[[], int] = monotonic_ms,
        pulse: Pulse | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._set_by = set_by
        self._counters = counters
        self._log = log.bind(part="clock")
        self._pulse = pulse
        self._apart_ms = self._look()

    async def run(self) -> None:
        """Look at both clocks until cancelled.

        Raises:
            JournalError: what is known of the nodes cannot be corrected; it is tried again.
        """
        while True:
            if self._pulse is not None:
                self._pulse.beat("clock")
            await self.check()
            await asyncio.sleep(LOOK_S)

    async def check(self) -> None:
        """Act upon a clock that was set since the last time."""
        apart_ms = self._look()
        step_ms = apart_ms - self._apart_ms
        if abs(step_ms) >= STEP_MS:
            await self._set_by(step_ms)
            self._counters.count("clock_set")
            self._log.warning(
                "clock_set",
                step_s=round(step_ms / 1_000, 1),
                text=f"this computer's clock was set by {step_ms / 1_000:+.1f} s; the nodes are"
                " told, and what was judged by the wrong time is judged again",
            )
        self._apart_ms = apart_ms

    def _look(self) -> int:
        return self._now_ms() - self._monotonic_ms()
