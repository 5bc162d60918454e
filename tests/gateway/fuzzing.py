"""Any bytes on any topic: ``python -m tests.gateway.fuzzing --messages 1000000 --seed 7``.

Fuzzed are the golden vectors (values exchanged, swapped, cut, inflated, bytes changed: the same as
tests/protocol makes), random bytes and random msgpack, frames longer than the protocol allows, deep
nests, kinds on a wrong channel, other posts, unknown nodes, names that are none. Three ways:

- `pure`: each message through `intake.take`, which must give a message or a refusal.
- `open`: through a real mosquitto into the real gateway in a process of its own, whose quarantine
  is told to bar nobody: everything is decoded, and what happens to be a message is committed.
- `shipped`: the same into the gateway as it is, which stops listening to such nodes.

Meanwhile a neighbour keeps measuring: all its readings are receipted. The gateway lives on the same
connection, its memory stays within MEMORY_GROWTH_MAX after a warm-up, and each refusal is counted.
The last line is one JSON object; a broken promise ends the program with status 1.
"""
# ruff: noqa: T201 - a program for the terminal

import argparse
import asyncio
import json
import os
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.overload import resident_kb
from gateway import wire
from gateway.ingest import intake
from gateway.ingest.quarantine import Quarantine
from gateway.journal.store import FILE_NAME
from protocol import limits, topics
from simulators import crowd
from simulators.crowd import DARK, CrowdNode, packet, text
from simulators.lane import free_port, read_rows
from simulators.programs import Program
from tests.protocol.frames import Random, make, pieces

POST, NEIGHBOUR, PACER = "post-1", "neighbour", "pacer"
FUZZERS = 24  # nodes of the post that speak nonsense
VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
KINDS = {"Birth": "birth", "Status": "status", "Reading": "reading", "Event": "event"}
KINDS |= {"Health": "health", "Result": "result", "Command": "command"}
BATCH = 200  # messages between good readings; two batches are less than the broker queues
NEIGHBOUR_S = 0.02  # between the neighbour's readings
MEMORY_GROWTH_MAX = 0.25  # accepted fuzz is kept as ledgers, boots and axes, each of them bounded
WARM_UP_SHARE = 0.3
DONE_S_MAX = 60.0


class BrokenPromiseError(AssertionError):
    """A message had an effect it must not have; the text says which."""


class Fuzz:
    """Topics and frames by a seed.

    Args:
        seed: 1..2**32-1.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._rng = random.Random(seed)
        vectors = json.loads((VECTORS / "messages.json").read_text())
        self._frames = [pieces(bytes.fromhex(vector["frame"])) for vector in vectors]
        refused = json.loads((VECTORS / "refused.json").read_text())
        self._refused = [bytes.fromhex(vector["frame"]) for vector in refused]
        self._of_channel: dict[str, list[list[bytes]]] = {}
        for vector, frame in zip(vectors, self._frames, strict=True):
            if vector["kind"] in KINDS:
                self._of_channel.setdefault(KINDS[vector["kind"]], []).append(frame)
        self._channels = list(self._of_channel)
        self._nodes = [f"fuzz-{number}" for number in range(FUZZERS)]

    def messages(self, count: int) -> Iterator[tuple[str, bytes]]:
        """Yield topic and payload."""
        for _ in range(count):
            channel = self._rng.choice(self._channels)
            yield self._topic(channel), self._payload(channel)

    def _topic(self, channel: str) -> str:
        rng = self._rng
        node = rng.choice(self._nodes)
        kind = rng.random()
        if kind < 0.94:
            return f"{topics.PREFIX}{POST}/{node}/{channel}"
        if kind < 0.96:
            return f"{topics.PREFIX}{POST}/stranger-{rng.randrange(1_000)}/{channel}"
        if kind < 0.97:
            return f"{topics.PREFIX}post-{rng.randrange(9)}/{node}/{channel}"
        if kind < 0.98:
            return f"{topics.PREFIX}{POST}/{node}/receipt"
        name = (
            "".join(rng.choices("ABab-/ \u00e9\u4e2d", k=rng.randrange(1, 40))).strip("/ ") or "x"
        )
        return f"{topics.PREFIX}{POST}/{name}/{channel}"

    def _payload(self, channel: str) -> bytes:
        rng = self._rng
        kind = rng.random()
        if kind < 0.60:
            return make(self._random, self._of_channel[channel]) or b"\x90"
        if kind < 0.85:
            return make(self._random, self._frames) or b"\x90"
        if kind < 0.90:
            return rng.choice(self._refused) or b"\xc0"
        if kind < 0.94:
            return rng.randbytes(rng.randrange(1, 300))
        if kind < 0.97:
            return b"\x91" * rng.randrange(1, 12_000) + b"\xc0"  # a nest
        if kind < 0.99:
            return b"\xdd" + struct.pack(">I", rng.getrandbits(32)) + rng.randbytes(40)  # it lies
        return rng.randbytes(limits.MESSAGE_BYTES_MAX + rng.randrange(1, 4_000))


def run_pure(messages: int, seed: int) -> dict[str, Any]:
    """Take every message in, alone.

    Raises:
        BrokenPromiseError: something else than a message or a refusal came of it.
    """
    found: Counter[str] = Counter()
    nodes = frozenset(f"fuzz-{number}" for number in range(FUZZERS))
    for topic, payload in Fuzz(seed).messages(messages):
        try:
            taken = intake.take(topic, payload, post=POST, nodes=nodes)
        except Exception as error:
            raise BrokenPromiseError(
                f"seed {seed}: {error!r} for {payload[:400].hex()} on {topic!r}"
            ) from error
        found["taken" if isinstance(taken, intake.Taken) else taken.count] += 1
    return dict(found)


class Sprayer(asyncio.Protocol):
    """Publishes messages, and after each BATCH of them a good reading of PACER, to be receipted.

    The broker acknowledges at once and drops what it cannot pass on; a receipt says that everything
    before it has arrived. With at most two batches on their way nothing is dropped.
    """

    def __init__(self) -> None:
        self.is_lost = asyncio.Event()
        self._receipted = asyncio.Event()
        self._seq = 0  # of the newest good reading
        self._covered = 0
        self._said = 0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._node = CrowdNode(POST, PACER, 0, make=crowd.make, journal_id=os.urandom(8))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, and ask for receipts."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        hello = text("MQTT") + bytes([4, 2]) + struct.pack(">H", 60) + text("sprayer")
        transport.write(packet(crowd.CONNECT, 0, hello))
        wish = text(f"{topics.PREFIX}{POST}/{PACER}/receipt") + b"\x00"
        transport.write(packet(crowd.SUBSCRIBE, 2, b"\x00\x01" + wish))

    def connection_lost(self, _: Exception | None) -> None:
        """Note that there is no connection."""
        self.is_lost.set()
        self._receipted.set()

    def data_received(self, data: bytes) -> None:
        """Look for receipts."""
        self._buffer += data
        while (found := crowd.split(self._buffer)) is not None:
            first, body, self._buffer = found
            if first >> 4 == crowd.PUBLISH:
                receipt = wire.decode(body[2 + int.from_bytes(body[:2], "big") :])
                if isinstance(receipt, wire.Receipt) and receipt.journal_id == self._journal_id:
                    self._covered = receipt.seq
                    self._receipted.set()

    @property
    def _journal_id(self) -> bytes:
        return self._node.journal_id

    async def say(self, topic: str, payload: bytes) -> None:
        """Publish one message; wait when too many are on their way."""
        self._publish(topic, payload)
        self._said += 1
        if self._said % BATCH == 0:
            await self.pace(1)

    async def pace(self, open_max: int = 0) -> None:
        """Send a good reading; return when at most `open_max` of these are not receipted."""
        self._seq += 1
        reading = wire.encode(crowd.make(self._node, self._seq, DARK))
        self._publish(f"{topics.PREFIX}{POST}/{PACER}/reading", reading)
        async with asyncio.timeout(DONE_S_MAX):
            while self._covered < self._seq - open_max and not self.is_lost.is_set():
                self._receipted.clear()
                await self._receipted.wait()

    def _publish(self, topic: str, payload: bytes) -> None:
        number = (self._said + self._seq) % 65_535 + 1
        assert self._transport is not None
        body = text(topic) + struct.pack(">H", number) + payload
        self._transport.write(packet(crowd.PUBLISH, 2, body))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


class Post:
    """The gateway in a process of its own.

    Args:
        folder: for everything it writes.
        is_open: its quarantine bars nobody.
    """

    def __init__(self, folder: Path, *, is_open: bool) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        self.journal = folder / "state" / FILE_NAME
        self.faults: list[str] = []
        self.connected = asyncio.Event()
        names = [NEIGHBOUR, PACER, *(f"fuzz-{number}" for number in range(FUZZERS))]
        (folder / "post.toml").write_text(
            f'post = "{POST}"\ndirectory = "state"\n[broker]\nport = {self.port}\n'
            "[ingest]\nnode_messages_per_s = 10000\nnode_bytes_per_s = 100000000\n"
            + "".join(f'[[nodes]]\nid = "{name}"\n' for name in names)
        )
        module = "tests.gateway.fuzzing" if is_open else "gateway"
        run = ("run", "--settings", str(folder / "post.toml"), "--log", "json")
        self.program = Program("gateway", [sys.executable, "-m", module, *run], follow="stderr")
        self.links = 0

    @property
    def memory_kb(self) -> int:
        """Return its resident memory."""
        return resident_kb(self.program.pid)

    async def read(self) -> None:
        """Read its log: what no stranger's message may bring about is a fault."""
        async for line in self.program.lines():
            if '"broker_connected"' in line:
                self.links += 1
                self.connected.set()
            if line.startswith("Traceback") or any(f'"{name}"' in line for name in FAULTS):
                self.faults.append(line)


async def run_real(folder: Path, messages: int, seed: int, *, is_open: bool) -> dict[str, Any]:
    """Send every message to a running gateway, beside a neighbour.

    Raises:
        BrokenPromiseError: the gateway or the neighbour suffered.
    """
    post = Post(folder, is_open=is_open)
    async with post.program, asyncio.TaskGroup() as group:
        reading = group.create_task(post.read())
        async with asyncio.timeout(DONE_S_MAX):
            await post.connected.wait()
        neighbour = CrowdNode(
            *(POST, NEIGHBOUR, post.port),
            make=crowd.make,
            journal_id=b"neighbor",
            kept_max=1_000_000,
        )
        lives = [group.create_task(neighbour.run()), group.create_task(_measure(neighbour))]
        memory_kb, connections = await _spray(post, messages, seed)
        lives[1].cancel()
        async with asyncio.timeout(DONE_S_MAX):
            while len(neighbour.kept):  # noqa: ASYNC110 - seldom
                await asyncio.sleep(0.05)
        lives[0].cancel()
        await post.program.stop()
        await reading
    return _judge(post, neighbour, messages, memory_kb, connections)


async def _measure(neighbour: CrowdNode) -> None:
    while True:
        neighbour.add(DARK)
        await asyncio.sleep(NEIGHBOUR_S)


async def _spray(post: Post, messages: int, seed: int) -> tuple[list[int], int]:
    """Send everything; return the gateway's memory, looked at a hundred times, and connections."""
    loop, memory_kb, every = asyncio.get_running_loop(), [], max(1, messages // 100)
    sprayer: Sprayer | None = None
    connections = 0
    for number, (topic, payload) in enumerate(Fuzz(seed).messages(messages)):
        if sprayer is None or sprayer.is_lost.is_set():
            _, sprayer = await loop.create_connection(Sprayer, "127.0.0.1", post.port)
            connections += 1
        await sprayer.say(topic, payload)
        if number % every == 0:
            memory_kb.append(post.memory_kb)
        if number % 50_000 == 49_999:
            print(f"  {number + 1:,} of {messages:,}", file=sys.stderr, flush=True)
    assert sprayer is not None
    await sprayer.pace()
    sprayer.close()
    return [*memory_kb, post.memory_kb], connections


def _judge(
    post: Post,
    neighbour: CrowdNode,
    messages: int,
    memory_kb: list[int],
    connections: int,
) -> dict[str, Any]:
    """Insist that nobody suffered; return what was counted."""
    if post.faults:
        raise BrokenPromiseError(f"the gateway says: {post.faults[0][:600]}")
    if post.links != 1:
        raise BrokenPromiseError(f"the gateway's connection broke {post.links - 1} times")
    seqs = read_rows(post.journal, "SELECT seq FROM records WHERE node = ?", NEIGHBOUR)
    if sorted(seq for (seq,) in seqs) != list(range(1, neighbour.kept.next_seq)):
        raise BrokenPromiseError("the neighbour's records are not all there, each once")
    rows = read_rows(post.journal, "SELECT name, subject, count FROM counters")
    if against := [row for row in rows if row[1] == NEIGHBOUR and row[0] in REFUSALS]:
        raise BrokenPromiseError(f"the neighbour was refused: {against}")
    warm = memory_kb[int(WARM_UP_SHARE * len(memory_kb)) :]
    growth = max(warm) / warm[0] - 1.0
    if growth > MEMORY_GROWTH_MAX:
        raise BrokenPromiseError(f"memory grew by {growth:.0%}: {memory_kb[::10]} kB")
    counted: Counter[str] = Counter()
    for name, _, count in rows:
        counted[name] += count
    refused = {name: counted[name] for name in REFUSALS if counted[name]}
    return {
        "messages": messages,
        "connections": connections,
        "refused": refused,
        "neighbour": neighbour.kept.next_seq - 1,
        "memory_mb": round(warm[0] / 1_000),
        "memory_growth": round(growth, 3),
    }


FAULTS = ("task_failed", "task_fault", "loop_fault", "message_failed")
REFUSALS = (
    *("topic_refused", "node_unknown", "frame_overlong", "frame_refused", "kind_refused"),
    *("message_barred", "message_dropped", "message_failed", "packet_oversize"),
)


def compare(pure: dict[str, int], counted: dict[str, int]) -> None:
    """Insist that a gateway has counted what the same messages are to be refused for.

    Raises:
        BrokenPromiseError: it has not.
    """
    for name in ("frame_overlong", "frame_refused", "kind_refused"):
        if pure.get(name) != counted.get(name):
            raise BrokenPromiseError(f"{name}: {counted.get(name)} counted, {pure.get(name)} sent")


def main() -> int:
    """Run the command; 1 for a broken promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.fuzzing", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="of each way")
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    options = parser.parse_args()
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 32)
    print(f"fuzz-ingest: {options.messages} messages, seed {seed}", file=sys.stderr, flush=True)
    found: dict[str, Any] = {"seed": seed}
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="harmattan-fuzz-") as name:
        try:
            found["pure"] = run_pure(options.messages, seed)
            for way, is_open in (("open", True), ("shipped", False)):
                run = run_real(Path(name) / way, options.messages, seed, is_open=is_open)
                found[way] = asyncio.run(run)
                if is_open:
                    compare(found["pure"], found[way]["refused"])
                print(f"  {way}: {found[way]}", file=sys.stderr, flush=True)
        except* BrokenPromiseError as group:
            found["broken"] = str(group.exceptions[0])
    print(json.dumps({**found, "taken_s": round(time.monotonic() - started_s)}), flush=True)
    return 1 if "broken" in found else 0


def run_gateway() -> None:
    """Be the gateway whose quarantine bars nobody."""
    from gateway.cli import main as run  # noqa: PLC0415 - only this process is the gateway

    Quarantine.note = lambda *_: None  # type: ignore[method-assign]
    run()


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run_gateway()
    else:
        sys.exit(main())
