"""The serial cable: a pseudo-terminal that carries bytes no faster than its baud rate.

Rules of this file
* Every simulated instrument hangs on one. It is met only as a `Device`; its clock is the event
  loop's.
* Like a UART, the line loses what nobody listens to: replies sent while no client has the port
  open are dropped, and what a client left unread is gone when the next one opens the port.
* Nothing spins: an open port costs a selector, a closed one a look every 50 ms.
* `unplug` takes the pseudo-terminal away under the client and brings another back, as a USB
  adapter does; `link` is then the path that is the same again.
* A client at another rate than the device's reads and sends garbage. The rate that a
  pseudo-terminal begins with says nothing: who never set one is taken to have the right one.
"""

import asyncio
import contextlib
import errno
import os
import select
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

from simulators.faults import FaultPlan, disturb, misread

BITS_PER_BYTE = 10  # 8N1: start, eight, stop
SLICE_S = 0.01  # s of line time written at once
CHUNK_BYTES = 512  # most bytes taken from the client at once; the rest waits in its buffer
CLOSED_LOOK_S = 0.05  # s between looks whether a client has opened the port
STUCK_S = 2.0  # s a client may leave its input buffer full before bytes are lost
UNSET: Final = termios.B38400  # what a pseudo-terminal begins with
# Rates by the numbers that the terminal interface has for them.
RATES: Final = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit() and name != "B0"
}


class Reply(NamedTuple):
    """Bytes for the line.

    Attributes:
        data: one whole frame or line.
        baud_after: the baud rate to change to once they are out; None = keep.
        check_at: index of a byte of its checksum or check digit; None: it has none.
    """

    data: bytes
    baud_after: int | None = None
    check_at: int | None = None


class Device(Protocol):
    """An instrument without line and clock; times are seconds of the caller's monotonic clock.

    Attributes:
        baud: the rate it listens and speaks at now.
    """

    baud: int

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line. Whatever they are, nothing is raised."""

    def collect(self, now_s: float) -> list[Reply]:
        """Return what is to be sent by now, in order; each is given once."""

    def next_event_s(self) -> float | None:
        """Return when `collect` has something without new bytes; None: nothing is under way."""

    def reset_unexpectedly(self, now_s: float) -> None:
        """Lose power for a moment."""


DeviceT = TypeVar("DeviceT", bound=Device)


class Line(Generic[DeviceT]):
    """A device on a pseudo-terminal, as an asynchronous context.

    Args:
        device: the instrument.
        link: path at which a symbolic link to the current port is kept.
        faults: what goes wrong on the way back.

    Attributes:
        path: what a client opens now; empty while unplugged.
        link: the path that comes back with the plug; None: there is none.
        bytes_in, bytes_out, bytes_lost: traffic so far.
        is_closed: the port is there and no client has it open.
        unplug_count: how often the plug was pulled and put back.
        haste: bytes come so many times faster than the rate; for what does not depend on it.
    """

    def __init__(
        self,
        device: DeviceT,
        *,
        link: Path | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        self.device = device
        self.path = ""
        self.bytes_in = self.bytes_out = self.bytes_lost = 0
        self.unplug_count = 0
        self.haste = 1
        self.is_closed = False
        self.link = link
        self._faults = faults or FaultPlan()
        self._master = -1
        self._other_baud_until_s = 0.0  # of the event loop: it speaks at another rate
        self._wake = asyncio.Event()
        self._plugged = asyncio.Event()
        self._ready = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._plug()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._running = [
            self._tasks.create_task(self._carry_in(), name="line in"),
            self._tasks.create_task(self._carry_out(), name="line out"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._running:
            task.cancel()
        # The group learns of a cancellation, which may be its own; any other error of the body
        # leaves as it is, not wrapped in a group.
        is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        told = (kind, error, traceback) if is_cancelled else (None, None, None)
        try:
            if self._tasks is not None:
                await self._tasks.__aexit__(*told)
        finally:
            self._pull()

    def reset_unexpectedly(self) -> None:
        """Take the instrument's power away for a moment; a wrong rate is forgotten."""
        self._other_baud_until_s = 0.0
        self.device.reset_unexpectedly(asyncio.get_running_loop().time())
        self._wake.set()

    def speak(self) -> None:
        """Have the device looked at: something has happened to it that nobody asked it for."""
        self._wake.set()

    def trouble(self, faults: FaultPlan) -> None:
        """Have this go wrong from now on, and nothing else; the next reply is occasion 1."""
        self._faults = faults

    async def unplug(self, seconds: float) -> None:
        """Pull the plug and put it back after a while; the path may be another then."""
        self._pull()
        await asyncio.sleep(seconds)
        self._plug()
        self.unplug_count += 1

    # -------------------------------------------------------------------------------- the port

    def _plug(self) -> None:
        """Make a pseudo-terminal in raw mode and point the link at it."""
        if self._master >= 0:
            return
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        if self.link is not None:
            if self.link.exists() and not self.link.is_symlink():
                raise FileExistsError(f"{self.link} is there and no link; name another path")
            fresh = self.link.with_name(f"{self.link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.path)
            fresh.replace(self.link)
        self._plugged.set()

    def _pull(self) -> None:
        """Close the pseudo-terminal; its client sees a hang-up, and the link is gone.

        Left behind it would soon lead to somebody else's pseudo-terminal of the same number.
        """
        self._plugged.clear()
        if self._master >= 0:
            if self.link is not None and self.link.is_symlink():
                self.link.unlink(missing_ok=True)
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = -1
            self.path = ""
            self._ready.set()

    def _is_misread(self) -> bool:
        """Whether device and client have different rates."""
        if asyncio.get_running_loop().time() < self._other_baud_until_s:
            return True
        if self._master < 0:  # unplugged while the bytes were under way
            return False
        try:
            speed = termios.tcgetattr(self._master)[5]
        except (OSError, termios.error):
            return False
        return speed != UNSET and RATES.get(speed, speed) != self.device.baud

    def _is_open(self) -> bool:
        """Whether a client has the port open."""
        return self._master >= 0 and not self._poll() & select.POLLHUP

    def _has_input(self) -> bool:
        """Whether a client has left bytes, even if it is gone by now."""
        return self._master >= 0 and bool(self._poll() & select.POLLIN)

    def _poll(self) -> int:
        """What the port says of itself without waiting."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return sum(events for _, events in poll.poll(0))

    def _forget_unread(self) -> None:
        """Drop what a client that has gone left unread, as closing a serial port does."""
        with contextlib.suppress(OSError, termios.error):
            slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)

    # ------------------------------------------------------------------------ client to device

    async def _carry_in(self) -> None:
        """Hand the client's bytes to the device when they have crossed the line."""
        clock = asyncio.get_running_loop().time
        while True:
            data = await self._read()
            await asyncio.sleep(len(data) * BITS_PER_BYTE / self.device.baud)
            self.bytes_in += len(data)
            if self._is_misread():
                data = misread(data, self._faults.rng)
            self.device.receive(data, clock())
            self._wake.set()

    async def _read(self) -> bytes:
        """The next bytes of whichever client comes, however often it goes."""
        while True:
            await self._plugged.wait()
            data = b""
            try:
                data = os.read(self._master, CHUNK_BYTES)
            except BlockingIOError:
                await self._readable()
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
            if data:
                return data
            # A hang-up: EIO on Linux, end of file on macOS.
            self._forget_unread()
            self.is_closed = True
            # Nothing tells that somebody opens a pseudo-terminal; one has to look.
            while self.is_closed:
                await asyncio.sleep(CLOSED_LOOK_S)
                self.is_closed = self._plugged.is_set() and not (
                    self._is_open() or self._has_input()
                )

    async def _readable(self) -> None:
        """Wait until there is something to read, a hang-up, or the plug is pulled."""
        loop = asyncio.get_running_loop()
        master = self._master
        self._ready.clear()
        loop.add_reader(master, self._ready.set)
        try:
            await self._ready.wait()
        finally:
            if master == self._master:
                loop.remove_reader(master)

    # ------------------------------------------------------------------------ device to client

    async def _carry_out(self) -> None:
        """Send what the device says; wait for bytes, for its next event, or for both."""
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            for reply in self.device.collect(clock()):
                await self._send(reply)
            event_s = self.device.next_event_s()
            wait_s = None if event_s is None else max(event_s - clock(), 0.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _send(self, reply: Reply) -> None:
        """Send one reply, with whatever goes wrong on its way."""
        if reply.data:
            disturbed = disturb(reply.data, self._faults, reply.check_at)
            if disturbed.other_baud_s is not None:
                now_s = asyncio.get_running_loop().time()
                self._other_baud_until_s = now_s + disturbed.other_baud_s
            for pause_s, piece in disturbed.pieces:
                await asyncio.sleep(pause_s)
                await self._write(piece)
            if disturbed.is_reset:
                self.reset_unexpectedly()
            if disturbed.unplug_s is not None:
                await self.unplug(disturbed.unplug_s)
        if reply.baud_after is not None:
            self.device.baud = reply.baud_after

    async def _write(self, data: bytes) -> None:
        """Send bytes slice by slice at the line's pace; what nobody takes is lost."""
        loop = asyncio.get_running_loop()
        rest = memoryview(data)
        due_s = loop.time()
        stuck_until_s = due_s + STUCK_S
        while rest:
            bytes_s = self.haste * self.device.baud / BITS_PER_BYTE
            part = rest[: max(1, int(bytes_s * SLICE_S))]
            due_s += len(part) / bytes_s
            await asyncio.sleep(due_s - loop.time())
            if self._is_misread():
                self._offer(misread(bytes(part), self._faults.rng))
                self.bytes_lost += len(part)
                rest = rest[len(part) :]
                continue
            sent = self._offer(part)
            if sent is None or loop.time() > stuck_until_s:
                self.bytes_lost += len(rest)
                return
            if sent:
                stuck_until_s = loop.time() + STUCK_S
            self.bytes_out += sent
            rest = rest[sent:]

    def _offer(self, part: memoryview | bytes) -> int | None:
        """Give the client bytes: how many it took, 0 when its buffer is full, None when gone."""
        if not self._is_open():
            return None
        try:
            return os.write(self._master, part)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return None
