"""How fast the gateway commits readings, against a bare aiomqtt loop that only receives them.

Both take the same readings of 3 kB from the same sender through the same mosquitto, in turns: A the
bare loop (subscribe, count), B the gateway (check, decode, commit with synchronous=FULL, receipt).
Sender, bare loop, gateway and broker are processes of their own. The time is the sender's: from the
first reading sent to the last one answered.
"""

import asyncio
import contextlib
import json
import mmap
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt

from benchmarks.sender import COUNTER, PIXELS, WINDOW, frame_of, node_name
from protocol import topics

POST, BARE_POST = "bench", "bare"
NODES = 8
READINGS = 1_000  # of each node and round: about a second
ROUNDS = 7
PACED_S = 6.0  # at half the rate found, for the latency
READY_S_MAX = 30.0


def measure() -> dict[str, Any]:
    """Measure the rate of both, in turns, and the latency at half the gateway's rate.

    Returns:
        Readings per second (medians of the rounds), the median of the rounds' ratios, and
        milliseconds from sending a reading to its receipt.
    """
    with tempfile.TemporaryDirectory(prefix="harmattan-bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, Any]:
    counters = folder / "counters"
    counters.write_bytes(bytes(NODES * COUNTER.size))
    async with _gateway(folder) as port, _bare_loop(port, counters):
        rates: dict[str, list[float]] = {"counters": [], "receipts": []}
        for number in range(ROUNDS + 1):
            for mode, post in (("counters", BARE_POST), ("receipts", POST)):
                counters.write_bytes(bytes(NODES * COUNTER.size))
                found = await _send(port, post, READINGS, mode, 0, counters)
                rate = found["readings"] / found["taken_s"]
                label = "warming up" if number == 0 else f"round {number} of {ROUNDS}"
                who = "bare loop" if mode == "counters" else "gateway"
                print(f"  {label}: {who} {rate:,.0f} readings/s", file=sys.stderr, flush=True)
                if number:
                    rates[mode].append(rate)
        half = statistics.median(rates["receipts"]) / 2
        count = int(half * PACED_S / NODES)
        paced = await _send(port, POST, count, "receipts", half, counters)
    bare, own = statistics.median(rates["counters"]), statistics.median(rates["receipts"])
    # Of each round on its own: its two halves are a second apart, whatever else the machine does.
    pairs = zip(rates["receipts"], rates["counters"], strict=True)
    ratios = [mine / other for mine, other in pairs]
    return {
        "reading_bytes": len(frame_of(bytes(8), 1)),
        "pixels": PIXELS,
        "nodes": NODES,
        "window": WINDOW,
        "rounds": ROUNDS,
        "readings_per_s": round(own),
        "bare_readings_per_s": round(bare),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_of_rounds": [round(ratio, 2) for ratio in ratios],
        "paced_readings_per_s": round(half),
        "send_to_receipt_ms_p50": round(paced["latency_ms_p50"], 1),
        "send_to_receipt_ms_p99": round(paced["latency_ms_p99"], 1),
    }


async def _send(
    port: int, post: str, count: int, mode: str, rate: float, counters: Path
) -> dict[str, Any]:
    """Run the sender once and return its figures."""
    arguments = (port, post, NODES, count, mode, rate, counters)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.sender",
        *(str(argument) for argument in arguments),
        stdout=subprocess.PIPE,
    )
    printed, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the sender ended with status {child.returncode}")
    figures: dict[str, Any] = json.loads(printed)
    return figures


@contextlib.asynccontextmanager
async def _gateway(folder: Path) -> AsyncIterator[int]:
    """Run the real gateway with its own broker; give the broker's port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    nodes = "".join(f'[[nodes]]\nid = "{node_name(number)}"\n' for number in range(NODES))
    settings = folder / "post.toml"
    settings.write_text(f'post = "{POST}"\ndirectory = "state"\n[broker]\nport = {port}\n{nodes}')
    log = (folder / "log").open("wb")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "--settings", str(settings), "--log", "json"),
        stderr=log,
    )
    try:
        async with asyncio.timeout(READY_S_MAX):
            while b"broker_connected" not in (folder / "log").read_bytes():
                if child.returncode is not None:
                    raise RuntimeError(f"the gateway does not run: {(folder / 'log').read_text()}")
                await asyncio.sleep(0.05)
        yield port
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()
        log.close()


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
        f"{topics.PREFIX}{BARE_POST}/{node_name(number)}/reading": number * COUNTER.size
        for number in range(NODES)
    }
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"{topics.PREFIX}{BARE_POST}/+/reading", 1)
        print("ready", flush=True)
        with counters.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
            async for message in client.messages:
                place = places[message.topic.value]
                (count,) = COUNTER.unpack_from(shared, place)
                COUNTER.pack_into(shared, place, count + 1)


if __name__ == "__main__":
    asyncio.run(receive(int(sys.argv[1]), Path(sys.argv[2])))
