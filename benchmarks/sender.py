"""Many nodes in one process of its own, lean enough not to be what is measured.

Each node is one MQTT connection that sends readings made beforehand, keeps at most its window of
them unanswered, and frees them as it is told: by the gateway's receipts, or, where a bare loop
receives, by a counter in shared memory that this loop moves on. Run as

    python -m benchmarks.sender ORDER

with ORDER a JSON object of `Order`'s fields. Prints one JSON object.
"""

import asyncio
import json
import struct
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gateway import wire
from protocol import messages, topics
from simulators import scenes
from simulators.crowd import (
    AXIS_ID,
    CONNECT,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    inspection_of,
    packet,
    split,
    text,
)

PIXELS = 1_450
COUNTER = np.dtype("<u8")
POLL_S = 0.001  # how often a counter in shared memory is looked at
DEADLINE_S = 15.0
BOOT_ID = b"boot-one"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent.

    Attributes:
        port: of the broker.
        post: in the topics.
        nodes: how many.
        readings: of each node.
        window: unanswered readings of each node.
        mode: `receipts`, `counters`, or `verdicts`: receipts, and then the last one's verdict.
        rate: readings per second over all nodes; 0: as fast as it goes.
        counters: file of the bare loop's counters.
        role: of the readings, `dark` or `sample`; samples have one dark frame before them.
    """

    port: int
    post: str
    nodes: int
    readings: int
    window: int
    mode: str = "receipts"
    rate: float = 0.0
    counters: str = ""
    role: str = "dark"

    def text(self) -> str:
        """Return it as the command takes it."""
        return json.dumps(asdict(self))


def node_name(number: int) -> str:
    """Return the name of one of the nodes."""
    return f"node-{number}"


def frame_of(journal_id: bytes, seq: int, role: str = "dark") -> bytes:
    """Return a reading of PIXELS pixels, of about 3 kB."""
    shown = {
        "dark": (messages.ROLE_DARK, struct.pack("<H", seq & 0xFF) * PIXELS),
        "sample": (messages.ROLE_SAMPLE, scenes.substance("sucrose", PIXELS)),
        "standard": (messages.ROLE_STANDARD, scenes.standard(PIXELS)),
    }
    number, pixels = shown["dark" if role == "sample" and seq == 1 else role]
    head = (
        journal_id,
        seq,
        BOOT_ID,
        seq,
        None,
        messages.TIME_NONE,
        inspection_of(seq),
        number,
        AXIS_ID,
    )
    dark_seq = 1 if number == messages.ROLE_SAMPLE else None
    return wire.encode(wire.Reading(*head, 400_000, 1, 100, None, 65_535, 0, dark_seq, pixels))


class Node(asyncio.Protocol):
    """One connection; `done` is set when everything is freed, `judged` when the last is judged."""

    def __init__(self, order: Order, number: int, journal_id: bytes) -> None:
        self.name = node_name(number)
        self.ready = asyncio.Event()
        self.done = asyncio.Event()
        self.judged = asyncio.Event()
        self.freed = self.sent = 0
        self.sent_s: list[float] = []
        self.latencies_s: list[float] = []
        self._count = order.readings
        self._last = inspection_of(order.readings)
        self._window = order.window
        self._journal_id = journal_id
        self._allowed = order.readings
        self._buffer = b""
        self._transport: asyncio.Transport
        self._prefix = f"{topics.PREFIX}{order.post}/{self.name}/"
        self._hears = ("receipt", "verdict") if order.mode == "verdicts" else ("receipt",)
        self._packets = [
            self._packet("reading", frame_of(journal_id, seq, order.role), seq)
            for seq in range(1, order.readings + 1)
        ]

    def _packet(self, channel: str, frame: bytes, number: int) -> bytes:
        head = text(self._prefix + channel) + struct.pack(">H", number % 65_535 + 1)
        return packet(PUBLISH, 2, head + frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello and ask for answers."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        hello = text("MQTT") + bytes([4, 2]) + struct.pack(">H", 600) + text(self.name)
        self._transport.write(packet(CONNECT, 0, hello))
        wishes = b"".join(text(self._prefix + channel) + b"\x01" for channel in self._hears)
        self._transport.write(packet(SUBSCRIBE, 2, struct.pack(">H", 1) + wishes))

    def calibrate(self) -> None:
        """Say what the node is, and measure the standard, so that samples can be judged."""
        head = (BOOT_ID, 1, None, messages.TIME_NONE, self._journal_id, 1, self._count + 1)
        instrument = (PIXELS, scenes.EXCITATION_PM, scenes.RESOLUTION_MCM1)
        birth = wire.Birth(
            *(*head, "bench 1", "unix", 0, "instrument", "1", AXIS_ID, *instrument),
            coefficients_f32le=scenes.coefficients(PIXELS),
            full_scale_counts=65_535,
        )
        self._transport.write(self._packet("birth", wire.encode(birth), 0))
        standard = frame_of(b"standard", 1, "standard")
        self._transport.write(self._packet("reading", standard, 1))

    def data_received(self, data: bytes) -> None:
        """Take packets: of interest are the SUBACK and the answers."""
        self._buffer += data
        while (found := split(self._buffer)) is not None:
            first, body, self._buffer = found
            if first >> 4 == SUBACK:
                self.ready.set()
            elif first >> 4 == PUBLISH:
                self._take(first, body)

    def _take(self, first: int, body: bytes) -> None:
        (length,) = struct.unpack_from(">H", body)
        at = 2 + length
        if first & 0x06:
            self._transport.write(packet(PUBACK, 0, body[at : at + 2]))
            at += 2
        answer = wire.decode(body[at:])
        # The retained one of an earlier round is not meant.
        if isinstance(answer, wire.Receipt) and answer.journal_id == self._journal_id:
            self.free(answer.seq)
        elif isinstance(answer, wire.Verdict) and answer.inspection_id == self._last:
            self.judged.set()  # they come in order

    def allow(self, count: int) -> None:
        """Let so many readings be sent by now, and no more."""
        self._allowed = min(count, self._count)
        self._send()

    def free(self, count: int) -> None:
        """Note that the first `count` readings are answered."""
        now_s = time.perf_counter()
        self.latencies_s += [now_s - sent_s for sent_s in self.sent_s[self.freed : count]]
        self.freed = max(self.freed, count)
        self._send()
        if self.freed == self._count:
            self.done.set()

    def _send(self) -> None:
        end = min(self._allowed, self.freed + self._window)
        if self.sent < end:
            self.sent_s += [time.perf_counter()] * (end - self.sent)
            self._transport.write(b"".join(self._packets[self.sent : end]))
            self.sent = end


async def pace(nodes: list[Node], rate: float, started_s: float) -> None:
    """Let readings go at `rate` per second over all nodes."""
    while not all(node.done.is_set() for node in nodes):
        due = int((time.perf_counter() - started_s) * rate)
        for number, node in enumerate(nodes):
            node.allow((due + len(nodes) - 1 - number) // len(nodes))
        await asyncio.sleep(POLL_S)


async def follow(nodes: list[Node], path: Path) -> None:
    """Free what the bare loop has counted."""
    shared = np.memmap(path, COUNTER, "r", shape=(len(nodes),))
    freed = np.zeros(len(nodes), COUNTER)
    while not all(node.done.is_set() for node in nodes):
        counted = np.array(shared)
        for number in np.flatnonzero(counted > freed):
            nodes[number].free(int(counted[number]))
        freed = counted
        await asyncio.sleep(POLL_S)


def _same(node: Node) -> Node:
    return node


async def send(order: Order) -> dict[str, object]:
    """Send everything and return how long it took."""
    journal_id = time.time_ns().to_bytes(8, "big")
    nodes = [Node(order, number, journal_id) for number in range(order.nodes)]
    loop = asyncio.get_running_loop()
    for node in nodes:
        await loop.create_connection(partial(_same, node), "127.0.0.1", order.port)
        await node.ready.wait()
        if order.role == "sample":
            node.calibrate()
    for node in nodes:
        node.allow(0)
    started_s = time.perf_counter()
    judged_s = 0.0
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        if order.mode == "counters":
            tasks.create_task(follow(nodes, Path(order.counters)))
        if order.rate:
            tasks.create_task(pace(nodes, order.rate, started_s))
        else:
            for node in nodes:
                node.allow(order.readings)
        for node in nodes:
            await node.done.wait()
        taken_s = time.perf_counter() - started_s
        if order.mode == "verdicts":
            for node in nodes:
                await node.judged.wait()
            judged_s = time.perf_counter() - started_s
    latencies_s = sorted(latency_s for node in nodes for latency_s in node.latencies_s)
    return {
        "taken_s": taken_s,
        "judged_s": judged_s,
        "readings": order.nodes * order.readings,
        "latency_ms_p50": 1_000 * latencies_s[len(latencies_s) // 2],
        "latency_ms_p99": 1_000 * latencies_s[len(latencies_s) * 99 // 100],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(send(Order(**json.loads(sys.argv[1]))))))
