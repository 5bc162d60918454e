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
NOTE_S: Final = 3_600.0  # one row of the journal; a jump is years
STEP_MS: Final = 1_000  # a clock that is slewed moves by 0.5 ms between two looks


def time_quality(now_ms: int, ends_ms: int | None = None) -> int:
    """Return what a time told to a node is worth: less while it cannot be right.

    Args:
        now_ms: the gateway's wall clock, Unix milliseconds.
        ends_ms: when the first certificate of the link to the nodes ends; None: it has none. Who
            is told a later time is told it over a link that could not be made by it.
    """
    if ends_ms is not None and now_ms >= ends_ms:
        return messages.TIME_RTC
    try:
        day = dt.datetime.fromtimestamp(now_ms / 1_000, dt.UTC).date()
    except (OverflowError, ValueError):
        return messages.TIME_RTC
    return messages.TIME_RTC if clock_fault(day) else messages.TIME_GATEWAY


def monotonic_ms() -> int:
    """Return milliseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


async def _nothing(_step_ms: int) -> None:
    """Note nothing."""


class Timekeeping:
    """Notices that the wall clock was set.

    Args:
        now_ms: the gateway's wall clock, Unix milliseconds.
        set_by: told by how much it was set, in milliseconds.
        monotonic_ms: a clock that nobody sets.
        note: called at the start, every NOTE_S, and after the clock was set, with by how much it
            was set, in milliseconds.
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
        note: Callable[[int], Awaitable[None]] = _nothing,
        pulse: Pulse | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._set_by = set_by
        self._counters = counters
        self._log = log.bind(part="clock")
        self._note = note
        self._noted_ms: int | None = None
        self._step_ms = 0  # by how much it was set since the last note
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
            self._noted_ms = None
            self._step_ms += step_ms
        self._apart_ms = apart_ms
        now_ms = self._monotonic_ms()
        if self._noted_ms is None or now_ms - self._noted_ms >= 1_000 * NOTE_S:
            await self._note(self._step_ms)
            self._step_ms = 0
            self._noted_ms = now_ms

    def _look(self) -> int:
        return self._now_ms() - self._monotonic_ms()
