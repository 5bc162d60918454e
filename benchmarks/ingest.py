"""How fast the gateway commits readings, against a bare aiomqtt loop that only receives them.

Both take the same readings of 3 kB from the same sender through a mosquitto each, in turns: A the
bare loop (subscribe, count), B the gateway (check, decode, commit with synchronous=FULL, receipt).
Sender, bare loop, gateway and brokers are processes of their own. The time is the sender's: from
the first reading sent to the last one answered. `identified` are samples that the gateway judges
meanwhile: how fast they are receipted, and how fast they have their verdicts. `scale` is the same
ratio with 1 to 1,000 nodes, which share one window, so that always as much is in flight. `profile`
says what a reading costs which thread of the gateway, and the loop's thread for what.
"""

import asyncio
import contextlib
import json
import mmap
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiomqtt

from benchmarks.sender import COUNTER, PIXELS, Order, frame_of, node_name
from gateway.ingest.broker import find_program
from gateway.ingest.mosquitto import configuration
from gateway.settings import BrokerSettings
from protocol import topics
from protocol.limits import WINDOW_RECORDS_MAX

POST, BARE_POST = "bench", "bare"
NODES = 8
READINGS = 8_000  # of all nodes in one round: about a second
ROUNDS = 7
SCALES = (1, 10, 100, 1_000)  # nodes
SCALE_ROUNDS = 3
# All nodes together have so many readings in flight: below what a broker queues for one client.
IN_FLIGHT_MAX = 1_000
SAMPLES = 25  # of each node and round: about five seconds of judging
SAMPLE_ROUNDS = 3
PACED_S = 6.0  # at half the rate found, for the latency
READY_S_MAX = 60.0
# What is measured is the gateway, not the limit it keeps a node to.
UNLIMITED = "[ingest]\nnode_messages_per_s = 10000\nnode_bytes_per_s = 100000000\n"
COUNTERS_BYTES = max(SCALES) * COUNTER.itemsize


@dataclass(frozen=True, slots=True)
class Bench:
    """A running gateway and a running bare loop at one broker.

    Attributes:
        order: what is sent to the gateway.
        bare_port: of the bare loop's broker.
        pid: of the gateway.
        counters: file of the bare loop's counters.
        profile: file that the gateway's profile goes to.
    """

    order: Order
    bare_port: int
    pid: int
    counters: Path
    profile: Path

    async def bare(self) -> float:
        """Send to the bare loop; return its readings per second."""
        self.counters.write_bytes(bytes(COUNTERS_BYTES))
        order = replace(
            self.order,
            port=self.bare_port,
            post=BARE_POST,
            mode="counters",
            counters=str(self.counters),
        )
        return _rate(await _send(order))

    async def pairs(self, rounds: int, label: str) -> list[tuple[float, float]]:
        """Send in turns; return the rates of gateway and bare loop for each round."""
        found = []
        for number in range(rounds + 1):
            bare = await self.bare()
            own = _rate(await _send(self.order))
            when = "warming up" if number == 0 else f"round {number} of {rounds}"
            _tell(f"{label}, {when}: bare loop {bare:,.0f}, gateway {own:,.0f} readings/s")
            found.append((own, bare))
        return found[1:]


def measure() -> dict[str, Any]:
    """Measure rates, latency, scale and profile.

    Returns:
        Readings per second (medians of the rounds), the medians of the rounds' ratios, and
        milliseconds from sending a reading to its receipt.
    """
    return asyncio.run(_measure())


async def _measure() -> dict[str, Any]:
    async with _bench(NODES) as bench:
        pairs = await bench.pairs(ROUNDS, f"{NODES} nodes")
        own = statistics.median(pair[0] for pair in pairs)
        half = replace(bench.order, readings=int(own / 2 * PACED_S / NODES), rate=own / 2)
        paced = await _send(half)
        identified = await _identified(bench)
        profile = await _profile(bench)
    scale = {}
    for nodes in SCALES:
        async with _bench(nodes) as bench:
            found = await bench.pairs(SCALE_ROUNDS, f"{nodes} nodes")
        scale[str(nodes)] = {
            "window": bench.order.window,
            "readings_per_s": round(statistics.median(pair[0] for pair in found)),
            "ratio": _ratio(found),
        }
    return {
        "reading_bytes": len(frame_of(bytes(8), 1)),
        "pixels": PIXELS,
        "nodes": NODES,
        "window": WINDOW_RECORDS_MAX,
        "rounds": ROUNDS,
        "readings_per_s": round(own),
        "bare_readings_per_s": round(statistics.median(pair[1] for pair in pairs)),
        "ratio": _ratio(pairs),
        "ratio_of_rounds": [round(mine / other, 2) for mine, other in pairs],
        "paced_readings_per_s": round(own / 2),
        "send_to_receipt_ms_p50": round(paced["latency_ms_p50"], 1),
        "send_to_receipt_ms_p99": round(paced["latency_ms_p99"], 1),
        "identified": identified,
        "scale": scale,
        "profile": profile,
    }


async def _identified(bench: Bench) -> dict[str, Any]:
    """Send samples, which are judged; a pair of each round stands beside the same bare loop."""
    found = []
    order = replace(bench.order, readings=SAMPLES, mode="verdicts", role="sample")
    for _ in range(SAMPLE_ROUNDS + 1):
        bare, sent = await bench.bare(), await _send(order)
        judged = sent["readings"] / sent["judged_s"]
        _tell(f"identified: {_rate(sent):,.0f} receipted, {judged:,.1f} judged per second")
        found.append((_rate(sent), judged, bare))
    found = found[1:]
    return {
        "receipted_per_s": round(statistics.median(round_[0] for round_ in found)),
        "ratio_receipted": round(statistics.median(round_[0] / round_[2] for round_ in found), 2),
        "judged_per_s": round(statistics.median(round_[1] for round_ in found), 1),
        "ratio_judged": round(statistics.median(round_[1] / round_[2] for round_ in found), 4),
    }


async def _profile(bench: Bench) -> dict[str, Any]:
    """Return microseconds of each thread per reading, and of the loop's thread by place."""
    os.kill(bench.pid, signal.SIGUSR1)
    sent = await _send(bench.order)
    os.kill(bench.pid, signal.SIGUSR2)
    async with asyncio.timeout(READY_S_MAX):
        while not bench.profile.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
    found = json.loads(bench.profile.read_text())
    each = 1e6 / sent["readings"]
    samples = {place: count for place, count in found["samples"].items() if place != "waiting"}
    loop_us = found["threads_s"].pop("MainThread") * each
    places = sorted(samples.items(), key=lambda item: -item[1])
    return {
        "reading_us": round(sent["taken_s"] * each),
        "loop_us": round(loop_us),
        "loop_us_by_place": {
            place: round(loop_us * count / sum(samples.values()), 1) for place, count in places
        },
        "other_threads_us": {
            name: round(used_s * each, 1)
            for name, used_s in found["threads_s"].items()
            if used_s * each >= 0.5
        },
    }


def _rate(sent: dict[str, Any]) -> float:
    rate: float = sent["readings"] / sent["taken_s"]
    return rate


def _ratio(pairs: list[tuple[float, float]]) -> float:
    """Return the median of the rounds' ratios: the halves of a round are a second apart."""
    return round(statistics.median(mine / other for mine, other in pairs), 2)


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


async def _send(order: Order) -> dict[str, Any]:
    """Run the sender once and return its figures."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.sender", order.text()), stdout=subprocess.PIPE
    )
    printed, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the sender ended with status {child.returncode}")
    figures: dict[str, Any] = json.loads(printed)
    return figures


@contextlib.asynccontextmanager
async def _bench(nodes: int) -> AsyncIterator[Bench]:
    """Run gateway and bare loop for so many nodes."""
    window = max(1, min(WINDOW_RECORDS_MAX, IN_FLIGHT_MAX // nodes))
    with tempfile.TemporaryDirectory(prefix="harmattan-bench-") as name:
        folder = Path(name)
        counters, profile = folder / "counters", folder / "profile"
        counters.write_bytes(bytes(COUNTERS_BYTES))
        async with (
            gateway(folder, nodes, profile, UNLIMITED) as (port, pid),
            _bare_broker(folder) as bare_port,
            _bare_loop(bare_port, counters),
        ):
            order = Order(port, POST, nodes, READINGS // nodes, window)
            yield Bench(order, bare_port, pid, counters, profile)


@contextlib.asynccontextmanager
async def gateway(
    folder: Path, nodes: int, profile: Path | None = None, tables: str = ""
) -> AsyncIterator[tuple[int, int]]:
    """Run the real gateway with its own broker; give the broker's port and the gateway's pid.

    Args:
        folder: for everything it writes.
        nodes: how many may speak.
        profile: where a profile goes, if one is asked for.
        tables: more of its settings.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    settings = folder / "post.toml"
    settings.write_text(
        f'post = "{POST}"\ndirectory = "state"\n[broker]\nport = {port}\n{tables}'
        + "".join(f'[[nodes]]\nid = "{node_name(number)}"\n' for number in range(nodes))
    )
    program = ("benchmarks.profiled", str(profile)) if profile else ("gateway",)
    log = (folder / "log").open("wb")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program, "run", "--settings", str(settings), "--log", "json"),
        stderr=log,
    )
    try:
        async with asyncio.timeout(READY_S_MAX):
            while b"broker_connected" not in (folder / "log").read_bytes():
                if child.returncode is not None:
                    raise RuntimeError(f"the gateway does not run: {(folder / 'log').read_text()}")
                await asyncio.sleep(0.05)
        yield port, child.pid
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()
        log.close()


@contextlib.asynccontextmanager
async def _bare_broker(folder: Path) -> AsyncIterator[int]:
    """Run a broker for the bare loop, as the gateway's but with longer queues; give its port.

    Who sends to the bare loop is told in shared memory what it counted, sooner than the broker has
    its acknowledgements: of a queue as short as the gateway's some would be dropped.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    conf = folder / "bare.conf"
    conf.write_text(configuration(BrokerSettings(port=port), nodes_count=READINGS))
    child = await asyncio.create_subprocess_exec(
        *(find_program("mosquitto"), "-c", str(conf)), stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(READY_S_MAX):
            while True:
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield port
    finally:
        child.terminate()
        await child.wait()


@contextlib.asynccontextmanager
async def _bare_loop(port: int, counters: Path) -> AsyncIterator[None]:
    """Run the bare loop in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.ingest", str(port), str(counters)),
        stdout=subprocess.PIPE,
    )
    try:
        if child.stdout is not None:
            await asyncio.wait_for(child.stdout.readline(), READY_S_MAX)
        yield
    finally:
        child.terminate()
        await child.wait()


async def receive(port: int, counters: Path) -> None:
    """Receive readings with aiomqtt and count them per node; do nothing else."""
    places = {
        f"{topics.PREFIX}{BARE_POST}/{node_name(number)}/reading": number
        for number in range(max(SCALES))
    }
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"{topics.PREFIX}{BARE_POST}/+/reading", 1)
        print("ready", flush=True)
        with counters.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
            counts = memoryview(shared).cast("Q")
            async for message in client.messages:
                counts[places[message.topic.value]] += 1


if __name__ == "__main__":
    asyncio.run(receive(int(sys.argv[1]), Path(sys.argv[2])))
