"""Many nodes in one process of its own, lean enough not to be what is measured.

Each node is one MQTT connection that sends readings made beforehand, keeps at most `WINDOW` of them
unanswered, and frees them as it is told: by the gateway's receipts, or, where a bare loop receives,
by a counter in shared memory that this loop moves on. Run as

    python -m benchmarks.sender PORT POST NODES READINGS MODE RATE COUNTERS

with MODE `receipts` or `counters`, RATE in readings per second over all nodes (0: as fast as it
goes), COUNTERS the file of the counters. Prints one JSON object.
"""

import asyncio
import json
import mmap
import struct
import sys
import time
from functools import partial
from pathlib import Path

from gateway import wire
from protocol import topics
from protocol.limits import WINDOW_RECORDS_MAX

PIXELS = 1_450
WINDOW = WINDOW_RECORDS_MAX
COUNTER = struct.Struct("<Q")
POLL_S = 0.001  # how often a counter in shared memory is looked at
DEADLINE_S = 60.0


def node_name(number: int) -> str:
    """Return the name of one of the nodes."""
    return f"node-{number}"


def frame_of(journal_id: bytes, seq: int) -> bytes:
    """Return a reading of PIXELS pixels: a dark frame, which is committed and not judged."""
    return wire.encode(
        wire.Reading(
            *(journal_id, seq, b"boot-one", seq, None, 0, b"inspect1", 1, b"axis-one", 400_000, 1),
            *(100, None, 65_535, 0, None, struct.pack("<H", seq & 0xFFFF) * PIXELS),
        )
    )


def text(value: str) -> bytes:
    """Return an MQTT string."""
    return struct.pack(">H", len(value)) + value.encode()


def packet(kind: int, body: bytes) -> bytes:
    """Return an MQTT control packet."""
    size, head = len(body), bytes([kind])
    while True:
        size, digit = size >> 7, size & 0x7F
        head += bytes([digit | 0x80 if size else digit])
        if not size:
            return head + body


class Node(asyncio.Protocol):
    """One connection; `done` is set when everything is freed."""

    def __init__(self, post: str, number: int, count: int, journal_id: bytes) -> None:
        self.name = node_name(number)
        self.ready = asyncio.Event()
        self.done = asyncio.Event()
        self.freed = self.sent = 0
        self.sent_s: list[float] = []
        self.latencies_s: list[float] = []
        self._count = count
        self._journal_id = journal_id
        self._allowed = count
        self._buffer = b""
        self._transport: asyncio.Transport
        topic = text(f"{topics.PREFIX}{post}/{self.name}/reading")
        self._receipt_topic = f"{topics.PREFIX}{post}/{self.name}/receipt"
        self._packets = [
            packet(0x32, topic + struct.pack(">H", seq % 65_535 + 1) + frame_of(journal_id, seq))
            for seq in range(1, count + 1)
        ]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello and ask for receipts."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        hello = text("MQTT") + bytes([4, 2]) + struct.pack(">H", 60) + text(self.name)
        self._transport.write(packet(0x10, hello))
        wish = struct.pack(">H", 1) + text(self._receipt_topic) + b"\x01"
        self._transport.write(packet(0x82, wish))

    def data_received(self, data: bytes) -> None:
        """Take packets: of interest are the SUBACK and the receipts."""
        self._buffer += data
        while (found := self._next()) is not None:
            kind, body = found
            if kind & 0xF0 == 0x90:
                self.ready.set()
            elif kind & 0xF0 == 0x30:
                self._take(kind, body)

    def _next(self) -> tuple[int, bytes] | None:
        """Return kind and body of the next whole packet in the buffer."""
        size = shift = 0
        for at in range(1, min(5, len(self._buffer))):
            digit = self._buffer[at]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                end = at + 1 + size
                if len(self._buffer) < end:
                    return None
                kind, body = self._buffer[0], self._buffer[at + 1 : end]
                self._buffer = self._buffer[end:]
                return kind, body
        return None

    def _take(self, kind: int, body: bytes) -> None:
        (length,) = struct.unpack_from(">H", body)
        at = 2 + length
        if kind & 0x06:
            self._transport.write(packet(0x40, body[at : at + 2]))
            at += 2
        receipt = wire.decode(body[at:])
        # The retained one of an earlier round is not meant.
        if isinstance(receipt, wire.Receipt) and receipt.journal_id == self._journal_id:
            self.free(receipt.seq)

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
        end = min(self._allowed, self.freed + WINDOW)
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
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as counters:
        while not all(node.done.is_set() for node in nodes):
            for number, node in enumerate(nodes):
                (count,) = COUNTER.unpack_from(counters, number * COUNTER.size)
                if count > node.freed:
                    node.free(count)
            await asyncio.sleep(POLL_S)


def _same(node: Node) -> Node:
    return node


async def send(arguments: list[str]) -> dict[str, object]:
    """Send everything and return how long it took."""
    port, post, node_count, count = arguments[0], arguments[1], *map(int, arguments[2:4])
    mode, rate, path = arguments[4], float(arguments[5]), Path(arguments[6])
    journal_id = time.time_ns().to_bytes(8, "big")
    nodes = [Node(post, number, count, journal_id) for number in range(node_count)]
    loop = asyncio.get_running_loop()
    for node in nodes:
        await loop.create_connection(partial(_same, node), "127.0.0.1", int(port))
        await node.ready.wait()
    for node in nodes:
        node.allow(0)
    started_s = time.perf_counter()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        if mode == "counters":
            tasks.create_task(follow(nodes, path))
        if rate:
            tasks.create_task(pace(nodes, rate, started_s))
        else:
            for node in nodes:
                node.allow(count)
        for node in nodes:
            await node.done.wait()
        taken_s = time.perf_counter() - started_s
    latencies_s = sorted(latency_s for node in nodes for latency_s in node.latencies_s)
    return {
        "taken_s": taken_s,
        "readings": node_count * count,
        "latency_ms_p50": 1_000 * latencies_s[len(latencies_s) // 2],
        "latency_ms_p99": 1_000 * latencies_s[len(latencies_s) * 99 // 100],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(send(sys.argv[1:]))))
