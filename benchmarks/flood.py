"""Fifty nodes that measure more than a post can take, in a process of their own.

    python -m benchmarks.flood ORDER

with ORDER a JSON object of `Order`'s fields; `benchmarks/overload.py` runs it.
"""

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from protocol import limits
from simulators import crowd
from simulators.crowd import DARK, SAMPLE, STANDARD, CrowdNode

POST = "bench"
PIXELS = 512
TICK_S = 0.02
LOOK_S = 0.5
STUCK_S = 60.0  # without any progress of what is still to come
PRIORITY = 10  # of the crowd's process


@dataclass(frozen=True, slots=True)
class Order:
    """What the crowd's process is told.

    Attributes:
        port: of the broker.
        nodes: how many.
        rate: readings per second over all nodes that are measured; 0: as many as can be delivered.
        share: of samples.
        seconds: how long they measure; then they only deliver.
        seed: of the share.
        book: file for what was receipted.
        kept_max: records that a node's flash holds.
    """

    port: int
    nodes: int
    rate: float
    share: float
    seconds: float
    seed: int
    book: str
    kept_max: int


class Load:
    """The crowd, and what became of its readings.

    Attributes:
        receipted: numbers of each node's records.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._rng = random.Random(order.seed)  # noqa: S311 - repeatable
        self.receipted: dict[str, list[int]] = {}
        journal = f"{order.seed:08x}".encode()[: limits.ID_BYTES]
        make = partial(crowd.make, substance_id="sucrose", dark_seq=2)
        self.nodes = [
            CrowdNode(
                *(POST, f"node-{number}", order.port),
                make=make,
                journal_id=journal,
                pixel_count=PIXELS,
                kept_max=order.kept_max,
                freed=self._freed,
            )
            for number in range(order.nodes)
        ]

    def _freed(self, node: CrowdNode, seqs: list[int]) -> None:
        self.receipted.setdefault(node.name, []).extend(seqs)

    async def run(self) -> dict[str, Any]:
        """Measure for the time that is ordered, then deliver all that is kept."""
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(node.run()) for node in self.nodes]
            for node in self.nodes:
                node.add(STANDARD)
                node.add(DARK)
            await self._receipted_all(2)
            print("ready", flush=True)
            begun_s = time.monotonic()
            measured = await self._measure(begun_s)
            receipted = sum(map(len, self.receipted.values()))
            taken_s = time.monotonic() - begun_s
            print(json.dumps({"measured": measured, "receipted": receipted, "taken_s": taken_s}))
            sys.stdout.flush()
            last, since_s = -1, time.monotonic()
            while left := sum(len(node.kept) for node in self.nodes):
                if left != last:
                    last, since_s = left, time.monotonic()
                if time.monotonic() > since_s + STUCK_S:
                    break
                await asyncio.sleep(LOOK_S)
            for task in lives:
                task.cancel()
        return {
            "held_at_the_end": left,
            "given_up": sum(node.kept.evicted_count for node in self.nodes),
            "receipted": sum(map(len, self.receipted.values())),
        }

    async def _receipted_all(self, count: int) -> None:
        while any(node.receipted < count for node in self.nodes):  # noqa: ASYNC110 - many nodes
            await asyncio.sleep(TICK_S)

    async def _measure(self, begun_s: float) -> int:
        """Let all nodes measure at the ordered rate; return how many readings there were."""
        order, measured = self._order, 0
        while (passed_s := time.monotonic() - begun_s) < order.seconds:
            for node in self.nodes:
                if order.rate:
                    due = int(passed_s * order.rate / order.nodes) - node.kept.next_seq + 3
                else:
                    due = 2 * limits.WINDOW_RECORDS - len(node.kept)
                measured += max(0, due)
                node.add_all(self._draw() for _ in range(due))
            await asyncio.sleep(TICK_S)
        return measured

    def _draw(self) -> str:
        return SAMPLE if self._rng.random() < self._order.share else DARK


async def flood(order: Order) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return what became of an order's readings, and which of each node were receipted."""
    load = Load(order)
    return await load.run(), load.receipted


def main() -> None:
    """Run the crowd of an order; the last line is what became of its readings."""
    os.nice(PRIORITY)
    order = Order(**json.loads(sys.argv[1]))
    figures, receipted = asyncio.run(flood(order))
    Path(order.book).write_text(json.dumps(receipted))
    print(json.dumps(figures), flush=True)


@dataclass(slots=True)
class Crowd:
    """The process, for whoever has started it."""

    child: asyncio.subprocess.Process

    async def line(self) -> str:
        """Return the next line that it says.

        Raises:
            RuntimeError: it ended.
        """
        if self.child.stdout is None or not (line := await self.child.stdout.readline()):
            raise RuntimeError("the crowd's process ended early")
        return line.decode()

    async def figures(self) -> dict[str, Any]:
        """Return the next figures that it says."""
        found: dict[str, Any] = json.loads(await self.line())
        return found


if __name__ == "__main__":
    main()
