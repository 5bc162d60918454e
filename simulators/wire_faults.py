"""A bad link in userspace: a proxy between node and broker that delays, narrows, cuts and forgets.

Rules of the file
- A profile states its figures in the node's time; `speed` says how much faster that passes.
- Faults are bounded: each takes one connection, in order of arrival, and then they are over; from
  then on only latency and rate remain.
- What is random comes from a seed.
- It listens on loopback only.
"""

import asyncio
import contextlib
import random
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PIECE_BYTES = 128  # taken over at once: 0.4 s at 2400 bit/s, so that a narrow link is narrow evenly
BACKLOG_BYTES_MAX = 16_384  # what a modem and its base station hold; then the sender has to wait


@dataclass(frozen=True, slots=True)
class Profile:
    """What is wrong with a link.

    Args:
        latency_ms: each way, of the node's time.
        rate_bps: each way, bit in a second of the node's time; 0: not narrow.
        piece_bytes: at most so many arrive at once.
        resets: connections that are reset, in the middle of whatever is under way.
        half_open: connections that fall silent without being closed.
        bytes_min, bytes_max: a connection with a fault carries this much first, both ways together.
    """

    latency_ms: int = 0
    rate_bps: int = 0
    piece_bytes: int = PIECE_BYTES
    resets: int = 0
    half_open: int = 0
    bytes_min: int = 100
    bytes_max: int = 6_000


PROFILES = {
    "latency": Profile(latency_ms=600),
    "satellite": Profile(latency_ms=3_000, rate_bps=64_000),
    "narrow": Profile(latency_ms=600, rate_bps=2_400),
    "worst": Profile(latency_ms=3_000, rate_bps=2_400),
    "resets": Profile(latency_ms=100, resets=6),
    # Behind CONNECT, SUBSCRIBE and birth, so that it is a reading that is cut.
    "cut_packet": Profile(rate_bps=64_000, piece_bytes=61, resets=5, bytes_min=1_200),
    "half_open": Profile(latency_ms=100, half_open=3),
    "trickle": Profile(latency_ms=100, rate_bps=2_400, piece_bytes=7),
    "everything": Profile(
        latency_ms=1_000, rate_bps=9_600, piece_bytes=40, resets=4, half_open=2, bytes_min=400
    ),
}


class FaultProxy:
    """The link between a node and the broker at `target_port`, both on loopback.

    Args:
        target_port: of the broker.
        profile: what is wrong.
        speed: how much faster than ours the node's time passes.
        seed: of the places where connections break.

    Attributes:
        port: to connect to.
        connections: that were made so far.
        carried: bytes towards the broker so far.
        healed: set when the last fault is over.
    """

    def __init__(
        self, target_port: int, profile: Profile, *, speed: int = 1, seed: int = 1
    ) -> None:
        self.port = 0
        self.connections = 0
        self.carried = 0
        self.healed = asyncio.Event()
        self._target_port = target_port
        self._profile = profile
        self._speed = speed
        self._random = random.Random(seed)
        self._faults = ["reset"] * profile.resets + ["half_open"] * profile.half_open
        self._random.shuffle(self._faults)
        self._open: set[asyncio.Task[None]] = set()
        if not self._faults:
            self.healed.set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every connection."""
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._open.add(task)
        self.connections += 1
        fault = self._faults.pop(0) if self._faults else ""
        budget = self._random.randint(self._profile.bytes_min, self._profile.bytes_max)
        passage = _Passage(fault, budget)
        try:
            ours, theirs = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            self._open.discard(task)
            self._note_end(fault)
            return
        try:
            ways = [
                asyncio.create_task(self._carry(reader, theirs, passage, is_up=True)),
                asyncio.create_task(self._carry(ours, writer, passage, is_up=False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._open.discard(task)
            if passage.is_broken and fault == "reset":
                _reset(writer)
            writer.close()
            theirs.close()
            self._note_end(fault)

    def _note_end(self, fault: str) -> None:
        if fault and not self._faults:
            self.healed.set()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passage: "_Passage",
        *,
        is_up: bool,
    ) -> None:
        """Carry one way until it ends; returning ends the connection."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(
            max(1, BACKLOG_BYTES_MAX // self._profile.piece_bytes)
        )
        out = asyncio.create_task(self._deliver(way, writer))
        loop = asyncio.get_running_loop()
        free_s = loop.time()
        try:
            while piece := await reader.read(self._profile.piece_bytes):
                if passage.take(len(piece)):
                    if passage.fault == "reset":
                        return
                    continue  # half open: it vanishes, and nobody is told
                if is_up:
                    self.carried += len(piece)
                free_s = max(free_s, loop.time())
                if self._profile.rate_bps:
                    free_s += len(piece) * 8 / self._profile.rate_bps / self._speed
                await way.put((free_s + self._profile.latency_ms / 1_000 / self._speed, piece))
            if passage.is_broken and not is_up:
                await loop.create_future()  # the broker's goodbye does not reach the node either
            await way.put((loop.time(), b""))
            await out
        except OSError:
            return
        finally:
            out.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await out

    @staticmethod
    async def _deliver(
        way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, piece = await way.get()
            if not piece:
                return
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            writer.write(piece)
            await writer.drain()


class _Passage:
    """What one connection may carry before its fault."""

    def __init__(self, fault: str, budget: int) -> None:
        self.fault = fault
        self.is_broken = False
        self._left = budget

    def take(self, count: int) -> bool:
        """Note bytes; say whether the fault has happened."""
        if self.fault:
            self._left -= count
            self.is_broken = self._left <= 0
        return self.is_broken


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the peer see a reset instead of an orderly end."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
