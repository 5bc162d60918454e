"""The supervisor: named tasks that are started again, whatever they die of.

Rules of the file
- Here stand the only broad `except`s of the firmware: one around each task, one around everything.
- A task fails by raising; the supervisor counts, tells, waits (doubling from `restart_ms_min` to
  `restart_ms_max`, with jitter so that many nodes do not come back in step) and starts it anew. One
  task's failure never ends another.
- A task lives by reporting. One that reported nothing for `silence_ms_max` is silent, and while any
  is silent the watchdog is not fed. A wait for the next start reports for itself.
"""

import asyncio
import gc
import time

from node import limits
from node.crash import trace
from node.errors import CredentialsRefused, LinkError, NodeError
from node.waiting import within_ms

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Callable, Log, Start, Told

_PAUSE_MS = 10  # between any two attempts, so that no failure can hold the loop


class Entry:
    """One supervised task.

    Attributes:
        name: of the task.
        silence_ms_max: without a report; beyond that it hangs.
        failures: times it ended with an error.
        last_failure: traceback of the newest, at most TRACEBACK_CHARS_MAX characters.
        is_slow: it failed of what only a person can mend; nothing hurries it.
    """

    def __init__(
        self,
        name: str,
        start: "Start",
        restart_ms_min: int,
        restart_ms_max: int,
        silence_ms_max: int = limits.TASK_SILENCE_MS,
    ) -> None:
        self.name = name
        self.silence_ms_max = silence_ms_max
        self._reported_ms = time.ticks_ms()
        self._allowed_ms = silence_ms_max
        self.start = start
        self.restart_ms_min = restart_ms_min
        self.restart_ms_max = restart_ms_max
        self.wait_ms = restart_ms_min
        self.hurried = asyncio.Event()
        self.failures = 0
        self.last_failure = ""
        self.is_slow = False
        self.task: asyncio.Task[None]  # its first use is after `add` has made it

    def report(self, more_ms: int = 0) -> None:
        """Say that the task lives; what it does next may take so much beyond the usual."""
        self._reported_ms = time.ticks_ms()
        self._allowed_ms = self.silence_ms_max + more_ms

    def is_silent(self) -> bool:
        """Say whether a report is overdue; a task that ended by itself owes none."""
        silent_ms = time.ticks_diff(time.ticks_ms(), self._reported_ms)
        return silent_ms > self._allowed_ms and not self.task.done()

    def well(self) -> None:
        """Begin the back-off anew: the task did what it is for."""
        self.wait_ms = self.restart_ms_min
        self.is_slow = False

    def slow(self, is_slow: bool) -> None:
        """Note whether the newest failure is one that only a person can mend."""
        if is_slow != self.is_slow:
            self.wait_ms = limits.REFUSED_MS_MIN if is_slow else self.restart_ms_min
        self.is_slow = is_slow

    def hurry(self) -> None:
        """End a wait before the next start: somebody waits for what the task does."""
        if not self.is_slow:
            self.hurried.set()


class Supervisor:
    """Runs tasks.

    Args:
        log: function of one line.
        failed: function of (name, error, trace), called after each failure; the trace is empty
        where the failure was foreseen. None for none.
        random_byte: function that returns 0..255, for the jitter.
    """

    def __init__(
        self,
        log: "Log",
        failed: "Told | None" = None,
        random_byte: "Callable[[], int] | None" = None,
    ) -> None:
        self._log = log
        self._failed = failed
        self._random_byte = random_byte or (lambda: 128)
        self._entries: list[Entry] = []

    @property
    def failure_count(self) -> int:
        """Failures of all tasks, lost connections not counted."""
        return sum([entry.failures for entry in self._entries])

    def add(
        self,
        name: str,
        start: "Start",
        restart_ms_min: int = limits.RESTART_MS_MIN,
        restart_ms_max: int = limits.RESTART_MS_MAX,
        silence_ms_max: int = limits.TASK_SILENCE_MS,
    ) -> Entry:
        """Supervise what the function `start` returns, a coroutine, from now on."""
        entry = Entry(name, start, restart_ms_min, restart_ms_max, silence_ms_max)
        self._entries.append(entry)
        entry.task = asyncio.create_task(self._keep(entry))
        return entry

    def silent(self) -> "list[str]":
        """Return the names of the tasks that hang."""
        return [entry.name for entry in self._entries if entry.is_silent()]

    def running(self) -> str:
        """Return the name of the task that holds the loop now, as an interrupt sees it."""
        for entry in self._entries:
            if entry.task is asyncio.current_task():
                return entry.name
        return "loop"

    def summary(self) -> str:
        """Return the failures by task, `none` where there are none."""
        told = ["%s %d" % (entry.name, entry.failures) for entry in self._entries if entry.failures]
        return ", ".join(told) or "none"

    async def _keep(self, entry: Entry) -> None:
        failure: Exception | None = None
        while True:
            begun_ms = time.ticks_ms()
            try:
                if failure is not None:
                    told, failure = failure, None
                    # In here, because telling may fail too, as when memory is short.
                    self._note(entry, told)
                    await self._pause(entry)
                    begun_ms = time.ticks_ms()
                entry.report()
                await entry.start()
            except Exception as error:  # noqa: BLE001 - the one place: see the rules of the file
                failure = error
            else:
                return  # it had nothing left to do
            if time.ticks_diff(time.ticks_ms(), begun_ms) >= limits.HEALTHY_MS:
                entry.well()
            await asyncio.sleep_ms(_PAUSE_MS)

    async def _pause(self, entry: Entry) -> None:
        """Wait before a task is started again, and wait longer the next time."""
        entry.hurried.clear()
        wait_ms = entry.wait_ms * (192 + self._random_byte() // 2) // 256
        entry.report(wait_ms)
        wait_ms_max = limits.REFUSED_MS_MAX if entry.is_slow else entry.restart_ms_max
        entry.wait_ms = min(2 * entry.wait_ms, wait_ms_max)
        try:
            await within_ms(entry.hurried.wait(), wait_ms)
        except asyncio.TimeoutError:
            return

    def _note(self, entry: Entry, error: Exception) -> None:
        if not isinstance(error, LinkError):
            entry.failures += 1
        entry.slow(isinstance(error, CredentialsRefused))
        gc.collect()  # the error may be that memory ran out
        traced = ""
        if not isinstance(error, NodeError):
            traced = trace(error)  # nobody foresaw it: whoever repairs it needs the place
        text = traced or "%s: %s" % (error.__class__.__name__, error)
        entry.last_failure = text[: limits.TRACEBACK_CHARS_MAX]
        self._log("task %s failed: %s" % (entry.name, entry.last_failure))
        if self._failed is not None:
            self._failed(entry.name, error, traced)

    async def wait(self, entry: Entry, wait_ms: int) -> bool:
        """Wait until a task ended by itself; False when it did not within `wait_ms`."""
        deadline_ms = time.ticks_add(time.ticks_ms(), wait_ms)
        while not entry.task.done():
            if time.ticks_diff(deadline_ms, time.ticks_ms()) <= 0:
                return False
            await asyncio.sleep_ms(5)
        return True

    async def stop(self) -> None:
        """Cancel every task, the newest first, and wait until they ended, STOP_MS_MAX at most."""
        for entry in reversed(self._entries):
            entry.task.cancel()
        for entry in self._entries:
            if not await self.wait(entry, limits.STOP_MS_MAX // 2):
                entry.task.cancel()  # the first one met a deadline that passed at that moment
                if not await self.wait(entry, limits.STOP_MS_MAX // 2):
                    self._log("task %s did not stop in time" % entry.name)


def guarded(program: "Callable[[], int]", crashed: "Callable[[Exception], int]") -> int:
    """Return what the function `program` returns, or what `crashed` makes of its error."""
    try:
        return program()
    except Exception as error:  # noqa: BLE001 - the other place: nothing is above it
        failure = error
    gc.collect()  # the error may be that memory ran out
    return crashed(failure)
