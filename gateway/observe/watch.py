"""Feeds the service supervisor's watchdog, as long as the gateway really turns.

It is fed only if the event loop comes round (this runs in it), the journal's writer is not stuck,
and every part has beaten within its bound. A disk that is known to be unwell may keep the writer
waiting: a restart would not mend it, and what the gateway still does would be lost.
"""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from gateway.journal.condition import DiskState
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.notify import Notify, status_line
from gateway.observe.pulse import Pulse
from gateway.observe.state import State, StateFile

# Twice the longest wait before a failed part is started again; a part beats every BEAT_S_MAX.
SILENCE_S_MAX = 60.0
FLIGHT_S_MAX = 20.0  # one transaction; a worn SD card takes seconds
TAKES_WRITES = frozenset({DiskState.well, DiskState.tight})
FEEDS = 3.0  # so many within the supervisor's period: two may be late
READY_AGAIN_S = 1.0  # its socket was full; it waits for this word alone
LOOK_S = 5.0  # between two looks where no supervisor watches


class Watch:
    """Looks at the gateway now and then; tells the supervisor, and the log when something hangs.

    Args:
        notify: the way to the supervisor.
        pulse: of the parts.
        flight: the journal's transaction under way, None when there is none; only compared.
        state: what the gateway says of itself now.
        file: where that is kept for those who cannot read the journal.
        changed: set when what it says is no longer so; it is told anew at once.
        now_s: a monotonic clock, seconds.
    """

    def __init__(  # noqa: PLR0913 - what it looks at
        self,
        notify: Notify,
        pulse: Pulse,
        *,
        flight: Callable[[], object | None],
        state: Callable[[], State],
        file: StateFile,
        now_s: Callable[[], float],
        changed: asyncio.Event | None = None,
        counters: Counters,
        log: Log,
    ) -> None:
        self._notify = notify
        self._pulse = pulse
        self._flight = flight
        self._state = state
        self._file = file
        self._now_s = now_s
        self._changed = changed or asyncio.Event()
        self._counters = counters
        self._log = log.bind(part="watch")
        self._seen: tuple[object, float] | None = None  # the transaction, and since when
        self._told = ""
        self._looked_s = now_s()
        self._is_ready = False  # the supervisor has taken it

    async def run(self) -> None:
        """Say that the gateway is ready, then feed until cancelled."""
        while True:
            self.say_ready()
            self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._changed.wait()
            self._changed.clear()

    def say_ready(self) -> None:
        """Say it until it was taken: who never hears it would end a gateway that is well."""
        if not self._is_ready:
            self._is_ready = self._notify.tell("READY=1", status_line(self._state().line))

    def _wait_s(self) -> float:
        wait_s = LOOK_S if self._is_ready or not self._notify.is_there else READY_AGAIN_S
        period_s = self._notify.watchdog_s
        return wait_s if period_s is None else min(period_s / FEEDS, wait_s)

    def look(self) -> str:
        """Feed, or say why not; return what hangs, empty when nothing does."""
        state = self._state()
        stuck = self._stuck(takes_writes=state.disk.state in TAKES_WRITES)
        name = stuck.partition(" ")[0]
        if stuck and name != self._told:
            self._counters.count("watchdog_starved", name)
            self._log.error("watchdog_starved", text=f"{stuck}; the gateway is to be started again")
        self._told = name
        if stuck:
            self._notify.tell(status_line(f"hangs: {stuck}"))
        else:
            self._notify.tell("WATCHDOG=1", status_line(state.line))
        self._file.write(msgspec.structs.replace(state, hangs=name, turned_s=self._now_s()))
        return stuck

    def _stuck(self, *, takes_writes: bool) -> str:
        """Return what does not turn, empty when everything does."""
        now_s = self._now_s()
        paused_s, self._looked_s = now_s - self._looked_s, now_s
        flight = self._flight()
        if flight is None:
            self._seen = None
        elif self._seen is None or self._seen[0] is not flight:
            self._seen = (flight, now_s)
        if paused_s > FLIGHT_S_MAX:
            return ""  # the whole process stood still, as under a debugger; now they get their turn
        if takes_writes and self._seen is not None:
            age_s = now_s - self._seen[1]
            if age_s > FLIGHT_S_MAX:
                return f"journal has been writing one transaction for {age_s:.0f} s"
        silent = self._pulse.silent(SILENCE_S_MAX)
        if silent:
            part = max(silent, key=lambda name: silent[name])
            return f"{part} has not turned for {silent[part]:.0f} s"
        return ""
