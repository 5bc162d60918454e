"""What programs have said, as events that can be waited for. Nothing that was said is missed."""

import asyncio
import collections
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.programs import Program

EVENTS_MAX = 100_000  # of one lane's life; the oldest are forgotten, so a lane can run for ever


@dataclass(frozen=True, slots=True)
class Event:
    """One thing said: its name and its fields."""

    source: str
    name: str
    fields: dict[str, object] = field(default_factory=dict)


class Events:
    """All events of a lane in order; `wait` looks back before it waits."""

    def __init__(self) -> None:
        self._events: collections.deque[Event] = collections.deque(maxlen=EVENTS_MAX)
        self._listeners: list[Callable[[Event], None]] = []
        self._changed = asyncio.Condition()
        self._failure: Exception | None = None

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with each event to come."""
        self._listeners.append(listener)

    async def add(self, event: Event) -> None:
        """Note an event and wake who waits."""
        self._events.append(event)
        for listener in self._listeners:
            listener(event)
        async with self._changed:
            self._changed.notify_all()

    async def fail(self, error: Exception) -> None:
        """Make every wait raise `error`: what it waits for cannot come any more."""
        self._failure = error
        async with self._changed:
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what `fail` was called with, if it was."""
        if self._failure is not None:
            raise self._failure

    def all(self, source: str, name: str, **fields: object) -> list[Event]:
        """Return the events so far with this source, name and these fields."""
        return [event for event in self._events if matches(event, source, name, fields)]

    async def wait(
        self, source: str, name: str, *, deadline_s: float, count: int = 1, **fields: object
    ) -> Event:
        """Return the `count`-th matching event, past or to come.

        Raises:
            TimeoutError: it did not come within `deadline_s` seconds.
            Exception: what `fail` was called with.
        """
        try:
            async with asyncio.timeout(deadline_s), self._changed:
                while True:
                    found = self.all(source, name, **fields)
                    if len(found) >= count:
                        return found[count - 1]
                    self.check()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"no {source} {name} {fields or ''} within {deadline_s:g} s"
            ) from None


def matches(event: Event, source: str, name: str, fields: dict[str, object]) -> bool:
    """Say whether an event has this source, name and these fields."""
    return (
        event.source == source
        and event.name == name
        and all(event.fields.get(key) == value for key, value in fields.items())
    )


async def tell_end(program: Program, source: str, events: Events) -> None:
    """Say how a program ended that nobody asked to end.

    One that was killed from outside is an event, `killed`: it can be started again. One that ended
    by itself has told why, and nothing that is waited for will come.
    """
    status = await program.status()
    if program.is_asked_to_end:
        return
    if status < 0:
        name = signal.Signals(-status).name
        await events.add(Event(source, "killed", {"text": f"{source} was ended by {name}"}))
    else:
        await events.fail(program.fault(f"ended by itself with status {status}"))
