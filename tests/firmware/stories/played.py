"""What the laser's story plays on: time that only waits let pass, strikes, and a board.

Rules of the file
- Time is virtual: the loop waits by moving the clock, so a deadline costs nothing and the same
  case takes the same turns each time.
- Every task made is counted at each of its suspensions, so that a strike can fall on any.
- Light leaves the probe by what feeds the laser: the board's line, the instrument, or both in
  series. It is watched, not asked for.
"""

import asyncio
import sys
import time as real
from asyncio import core

BEGUN_MS = (
    real.ticks_ms() + 10_000_000
)  # ahead of the real clock, by which the loop sorts new tasks


class Time:
    """Stands for the module `time`."""

    now_ms = BEGUN_MS

    def __getattr__(self, name):
        return getattr(real, name)

    def ticks_ms(self):
        return self.now_ms


class Waiting:
    """Stands for asyncio's queue of streams: nobody streams, so waiting is moving the clock."""

    def wait_io_event(self, wait_ms):
        if wait_ms < 0:
            raise RuntimeError("every task waits for ever")
        clock.now_ms += wait_ms


NOTICE_MS = 60  # the guard looks every 50

clock = Time()
sys.modules["time"] = clock
core.ticks = clock.ticks_ms
core._io_queue = Waiting()

_create_task = core.create_task


class Strike:
    """Something that happens at the `at`-th suspension from `begin` on; 0: it only counts.

    Attributes:
        count: suspensions so far.
        error: raised where it falls, instead of going on.
        call: called where it falls.
        holds: the task that is struck never goes on, whoever cancels it.
        life: of the program; tasks of an earlier one never go on.
    """

    def __init__(self):
        self.life = 0
        self.begin(0)

    def begin(self, at, call=None, error=None, *, holds=False):
        self.at, self.call, self.error, self.holds = at, call, error, holds
        self.count = 0

    def falls(self):
        self.count += 1
        if self.count != self.at:
            return False
        if self.call is not None:
            self.call()
        return True


strike = Strike()


def for_ever():
    """Wait, whoever cancels it."""
    while True:
        try:
            yield from asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


def stepped(coroutine):
    """Run a coroutine as it is; see Strike."""
    error, life = None, strike.life
    while True:
        try:
            if error is None:
                coroutine.send(None)
            else:
                thrown, error = error, None
                coroutine.throw(thrown)
        except StopIteration as end:
            return end.value
        is_struck = strike.falls()
        try:
            yield
            if is_struck and strike.holds:
                yield from asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            error = cancelled
            if is_struck and strike.holds:
                yield from for_ever()
        if life != strike.life:
            yield from for_ever()
        if is_struck and strike.error is not None and error is None:
            error = strike.error


def create_task(coroutine):
    return _create_task(stepped(coroutine))


def at_once(function):
    """Have a function called in the next turn, by nobody in particular."""

    async def later():
        function()

    _create_task(later())


asyncio.create_task = create_task
asyncio.sleep_ms  # noqa: B018 - loaded before time is anything else


class Watched:
    """Something that is on or off, and for how long it was on when it should not have been.

    Attributes:
        open_ms: the longest with the interlock open.
        late_ms: the longest beyond what was asked for.
        on_ms: in all.
        again: how often it went on after the interlock was open.
        count: how often it went on.
    """

    def __init__(self):
        self.is_on = False
        self.begin()

    def begin(self):
        self.open_ms = self.late_ms = self.on_ms = self.again = self.count = 0
        self._since_ms = clock.now_ms

    def set(self, is_on, board):
        now_ms = clock.now_ms
        if self.is_on:
            self.on_ms += now_ms - self._since_ms
            self.late_ms = max(self.late_ms, now_ms - board.until_ms)
            if board.open_since_ms is not None:
                begun_ms = max(self._lit_ms, board.open_since_ms)
                self.open_ms = max(self.open_ms, now_ms - begun_ms)
        elif is_on:
            self._lit_ms = now_ms
            self.again += board.is_barred()
            self.count += 1
        self.is_on, self._since_ms = is_on, now_ms


class Board:
    """A board with an interlock, a key and a line that is watched.

    Args:
        folder: of the node.
        port: with the instrument behind it.
        feed: what lets light out: "line", "instrument", or "both".
    Attributes:
        line, light: Watched.
        open_since_ms: interlock or key is open, None: closed.
        until_ms: when the line should be open again.
    """

    NAME = "played"
    BUDGET = {"pixels_bytes_max": 32}  # noqa: RUF012 - as the boards have it

    def __init__(self, folder, port, feed):
        self.folder, self.port, self._feed = folder, port, feed
        self.LASER_PIN = None if feed == "instrument" else 0
        port.board = self
        self.line, self.light = Watched(), Watched()
        self.begin()

    def begin(self):
        self.open_since_ms = self._opened_ms = None
        self._why = ""
        self.until_ms = 0
        self.line.begin()
        self.light.begin()

    def open_chain(self, why):
        self.note()
        if self.open_since_ms is None:
            self.open_since_ms = self._opened_ms = clock.now_ms
        self._why = why

    def is_barred(self):
        """Say whether the chain was open, and somebody must have seen it by now."""
        return self._opened_ms is not None and clock.now_ms > self._opened_ms + NOTICE_MS

    def close_chain(self):
        self.note()
        self.open_since_ms = None

    def laser_permit(self):
        return self._why if self.open_since_ms is not None else ""

    def laser_line(self, on_ms):
        self.note()
        if on_ms:
            self.until_ms = clock.now_ms + on_ms
        self.line.set(on_ms > 0, self)
        self.note()

    def note(self):
        """Take note of the light: something is about to change, or has changed."""
        self.line.set(self.line.is_on, self)
        is_fed = self.line.is_on or self._feed == "instrument"
        self.light.set(is_fed and (self.port.has_laser or self._feed == "line"), self)

    def open_serial(self, _name, _baud):
        return self.port

    def signal(self, _lamp, _line, _word, _text):
        pass

    def log(self, line):
        pass

    def random_bytes(self, count):
        return bytes(count)
