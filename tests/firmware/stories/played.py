"""What the laser's story plays on: time that only waits let pass, a spectrometer, a board, a node.

Rules of the file
- Time is virtual: the loop waits by moving the clock, so a deadline costs nothing and the same
  case takes the same turns each time.
- The spectrometer answers in the real protocol, built by the driver's own frames, and keeps what
  it was told about its laser. Light leaves it only while the board's line is closed, too.
- Every task made is counted at each of its suspensions, so that a strike can fall on any.
"""

import asyncio
import struct
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
    """

    def __init__(self):
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


def stepped(coroutine):
    """Run a coroutine as it is; see Strike."""
    error = None
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
            while is_struck and strike.holds:
                try:
                    yield from asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue
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

from drivers.obp import frames  # noqa: E402

LAMP, LIGHT, LIGHT_SET, ABORT = 0x110410, 0x810021, 0x810031, 0x100000
INTEGRATION, SCANS, SPECTRUM = 0x110010, 0x120010, 0x101100
UNKNOWN, DEFERRED = 2, 255  # error numbers
TURN_MS = 3
DEFERRAL_MS = 300
LOOK_MS = 20  # between looks at what may have come
ANSWERS = {
    0x100: b"VEN00042",
    0x110220: struct.pack("<I", 16),
    0x180100: b"\x01",
    0x180101: struct.pack("<f", 800.0),
    0x400001: struct.pack("<f", 20.0),
    LIGHT: b"\0",
}
PIXELS = struct.pack("<16H", *(1500 + 100 * i for i in range(16)))


def failed(kind, tag, flags, number):
    """Return an answer with an error number; it carries no checksum."""
    answer = bytearray(frames.build(kind, tag, b"", flags, checked=False))
    answer[6:8] = struct.pack("<H", number)
    return bytes(answer)


class Port:
    """A port, its stream and the spectrometer behind it.

    Attributes:
        has_laser: what it was told last.
        way: "", or how it answers from now on: mute, deaf, lost, closed, garbage, late, defers.
        refusal: error number it answers everything with but "laser off" and abort; 0: none.
        requests: how many it has taken.
    """

    name, baud = "PORT", 115_200

    def __init__(self):
        self.stream = self
        self.begin()

    def begin(self):
        self.has_laser = False
        self.way, self.refusal = "", 0
        self.requests = 0
        self.on_request = None
        self._waiting = []  # (when, bytes)

    def close(self):
        self._waiting = []

    def write(self, frame):
        if self.way == "lost":
            raise OSError(5)
        if self.way == "deaf":
            return
        flags, _, kind, tag = struct.unpack_from("<HHII", frame, 4)
        self.requests += 1
        if self.on_request is not None:
            self.on_request(self.requests)
        self._serve(kind, tag, bytes(frame[24 : 24 + frame[23]]), flags)

    def _serve(self, kind, tag, data, flags):
        if kind == LIGHT_SET:
            self.has_laser = data[-1] == 1 and not self.refusal
        elif kind == INTEGRATION:
            self._integration_us = struct.unpack("<I", data)[0]
        elif kind == SCANS:
            self._scans = struct.unpack("<H", data)[0]
        if self.way == "mute":
            return
        answer, after_ms = self._answer(kind, tag, data, flags), TURN_MS
        if self.way == "garbage":
            answer = bytes(byte ^ 0x55 for byte in answer)
        if kind == SPECTRUM:
            after_ms += self._integration_us * self._scans // 1000
            after_ms += 100_000 if self.way == "late" else 0
            if self.way == "defers":
                for _ in range(20):
                    self._waiting.append((clock.now_ms + after_ms, answer))
                    after_ms += DEFERRAL_MS
                return
        self._waiting.append((clock.now_ms + after_ms, answer))

    def _answer(self, kind, tag, data, flags):
        is_urgent = kind == ABORT or (kind == LIGHT_SET and data[-1] == 0)
        if self.refusal and not is_urgent:
            return failed(kind, tag, frames.RESPONSE | frames.NACK, self.refusal)
        if kind == SPECTRUM and self.way == "defers":
            return failed(kind, tag, frames.RESPONSE, DEFERRED)
        if kind == SPECTRUM:
            return frames.build(kind, tag, PIXELS, frames.RESPONSE)
        if kind in ANSWERS:
            return frames.build(kind, tag, ANSWERS[kind], frames.RESPONSE)
        if flags & frames.ACK_REQUESTED:
            return frames.build(kind, tag, b"", frames.RESPONSE | frames.ACK)
        return failed(kind, tag, frames.RESPONSE | frames.NACK, UNKNOWN)

    async def drain(self):
        await asyncio.sleep_ms(1)

    async def readinto(self, buffer):
        while True:
            if self.way == "lost":
                raise OSError(5)
            if self.way == "closed":
                return 0
            for index, (due_ms, content) in enumerate(self._waiting):
                if due_ms <= clock.now_ms:
                    self._waiting.pop(index)
                    buffer[: len(content)] = content
                    return len(content)
            await asyncio.sleep_ms(LOOK_MS)


class Board:
    """A board with an interlock that can be opened and a line that is watched.

    Attributes:
        open_since_ms: the interlock is, None: closed.
        open_ms: the longest that the line was closed while the interlock was open.
        late_ms: the longest that it was closed beyond what was asked for.
    """

    NAME = "played"
    BUDGET = {"pixels_bytes_max": 32}  # noqa: RUF012 - as the boards have it

    def __init__(self, folder):
        self.folder = folder
        self.port = Port()
        self.begin()

    def begin(self):
        self.open_since_ms = None
        self._until_ms = 0
        self.is_closed = False  # the line
        self.closings = 0
        self.open_ms = self.late_ms = 0

    def open_interlock(self):
        self.open_since_ms = clock.now_ms

    def laser_permit(self):
        return "interlock is open: door; close it" if self.open_since_ms is not None else ""

    def laser_line(self, on_ms):
        if self.is_closed:
            if self.open_since_ms is not None:
                self.open_ms = max(self.open_ms, clock.now_ms - self.open_since_ms)
            self.late_ms = max(self.late_ms, clock.now_ms - self._until_ms)
        self.is_closed = on_ms > 0
        self.closings += self.is_closed
        self._until_ms = clock.now_ms + on_ms

    def is_lit(self):
        """Say whether light leaves the probe."""
        return self.port.has_laser and self.is_closed

    def open_serial(self, _name, _baud):
        return self.port

    def signal(self, _lamp, _line, _word, _text):
        pass

    def log(self, line):
        pass

    def random_bytes(self, count):
        return bytes(count)
