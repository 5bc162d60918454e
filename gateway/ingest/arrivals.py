"""Messages taken in and not yet committed: a queue per node, shaped and bounded.

A node has at most its window in flight, so its queue has room for it. What comes faster than the
settings allow waits: its receipts are late, and an honest node sends no more until it has them.
Nothing of an honest node is dropped; one that fills its own queue gets no place of another's.

Rules of the file
- Whoever was served the longest time ago is served first, one message each in turn.
- A node of which nothing was taken for RARE_S speaks rarely; what it says can be had before all
  else, so that it waits neither for a large batch nor for a rest after one.
- A record that comes again while it still waits is there already and takes no second place.
- Of a node's healths the newest HEALTHS_MAX wait; another one takes the place of the oldest.
- Bytes are bounded in all; a node that holds little always has room beyond that bound.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway import wire
from gateway.ingest.intake import Taken
from gateway.settings import IngestSettings
from protocol import limits

# A whole window, another of a journal that was formatted meanwhile, and what a node says of itself.
PER_NODE_MAX: Final = 2 * limits.WINDOW_RECORDS_MAX + 16
HEALTHS_MAX: Final = 8  # of a node; more come only while the disk is stuck
COPIES: Final = 2  # a message is held as it came and decoded
BYTES_MAX: Final = 64 << 20  # of all that wait: 10,000 readings of 3 kB, seconds of the disk
# A node that holds no more than this has room whatever the others hold.
OWN_BYTES: Final = 2 * COPIES * limits.MESSAGE_BYTES_MAX
# Under a load that a post cannot bear each of 50 nodes is served 10 to 20 times in a second.
RARE_S: Final = 0.5
BURST_S: Final = 4.0  # so many seconds of its rate a node may send at once


class Offer(StrEnum):
    """What became of a message."""

    taken = "taken"
    repeated = "repeated"  # the same record waits already
    replaced = "replaced"  # taken, in the place of an older health
    overflow = "overflow"  # its node has too many waiting
    crowded = "crowded"  # all nodes together have too many bytes waiting


@dataclass(slots=True)
class _Bucket:
    """How many messages and bytes a node may still send now; below zero it waits."""

    messages: float
    bytes: float
    filled_s: float


@dataclass(slots=True)
class _Lane:
    """What waits of one node."""

    bucket: _Bucket
    waiting: deque[Taken] = field(default_factory=deque)
    records: dict[tuple[bytes, int], Taken] = field(default_factory=dict)
    bytes: int = 0
    served: int = 0  # the number of the last message of all that was taken of this node
    served_s: float = float("-inf")  # when that was


@dataclass(frozen=True, slots=True)
class Sizes:
    """What waits now: messages and bytes of all nodes, and nodes that have something waiting."""

    messages: int
    bytes: int
    nodes: int


class Arrivals:
    """Queues with bounds and rates per node. What is turned away was not receipted, comes again.

    Args:
        rates: of one node.
        now_s: a clock that never goes back, seconds.
    """

    def __init__(
        self,
        rates: IngestSettings = IngestSettings(),  # noqa: B008 - frozen
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = rates
        self._now_s = now_s
        self._lanes: dict[str, _Lane] = {}  # of every node that has spoken
        self._filled_lanes: dict[str, _Lane] = {}  # those of them where something waits
        self._count = 0
        self._bytes = 0
        self._served = 0
        self._filled = asyncio.Event()
        self._rare_lanes: dict[str, _Lane] = {}  # those of the filled ones whose node speaks rarely
        self._rare_filled = asyncio.Event()

    def __len__(self) -> int:
        return self._count

    def sizes(self) -> Sizes:
        """Return how much waits."""
        return Sizes(self._count, self._bytes, len(self._filled_lanes))

    def offer(self, taken: Taken) -> Offer:
        """Add a message to its node's queue, unless there is no room for it."""
        lane = self._lanes.get(taken.node)
        if lane is None:
            lane = self._lanes[taken.node] = _Lane(self._full_bucket())
        record, became = taken.message, Offer.taken
        if isinstance(record, wire.Reading | wire.Event):
            held = lane.records.get((record.journal_id, record.seq))
            if held is not None and held.frame == taken.frame:
                return Offer.repeated
        elif isinstance(record, wire.Health):
            became = self._drop_health(lane)
        if len(lane.waiting) >= PER_NODE_MAX:
            return Offer.overflow
        size = COPIES * len(taken.frame)
        if lane.bytes + size > OWN_BYTES and self._bytes + size > BYTES_MAX:
            return Offer.crowded
        if isinstance(record, wire.Reading | wire.Event):
            lane.records.setdefault((record.journal_id, record.seq), taken)
        if not lane.waiting and self._is_rare(lane):
            self._rare_lanes[taken.node] = lane
            self._rare_filled.set()
        lane.waiting.append(taken)
        self._move(lane, 1, size)
        self._filled_lanes[taken.node] = lane
        self._filled.set()
        return became

    async def wait(self, s_max: float) -> bool:
        """Return True as soon as something may be taken, False when nothing may for so long."""
        try:
            async with asyncio.timeout(s_max):
                while (due_s := self._due_in_s()) is None or due_s > 0.0:
                    self._filled.clear()
                    try:
                        async with asyncio.timeout(due_s):
                            await self._filled.wait()
                    except TimeoutError:
                        continue  # a node's rate allows the next message, or `s_max` has passed
        except TimeoutError:
            return False
        return True

    async def wait_rare(self, s_max: float) -> None:
        """Return as soon as something waits of a node that speaks rarely, or after so long."""
        if not self._rare_lanes:
            self._rare_filled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(s_max):
                    await self._rare_filled.wait()

    def take(self, count_max: int) -> list[Taken]:
        """Return at most `count_max` messages, as far as the nodes' rates allow."""
        return self._take(self._filled_lanes, count_max)

    def take_rare(self, count_max: int) -> list[Taken]:
        """Return as `take` does, but only of nodes that speak rarely."""
        return self._take(self._rare_lanes, count_max)

    def _is_rare(self, lane: _Lane) -> bool:
        """Say whether a node speaks rarely, and may be served now."""
        now_s = self._now_s()
        return now_s - lane.served_s >= RARE_S and self._lack_s(lane, now_s) <= 0.0

    def _take(self, lanes: dict[str, _Lane], count_max: int) -> list[Taken]:
        now_s = self._now_s()
        ready = [node for node, lane in lanes.items() if self._lack_s(lane, now_s) <= 0.0]
        turn = deque(sorted(ready, key=lambda node: self._filled_lanes[node].served))
        found: list[Taken] = []
        while turn and len(found) < count_max:
            node = turn.popleft()
            lane = self._filled_lanes[node]
            found.append(self._pop(lane))
            lane.served_s = now_s
            self._rare_lanes.pop(node, None)
            if not lane.waiting:
                del self._filled_lanes[node]
            elif lane.bucket.messages >= 1.0 and lane.bucket.bytes > 0.0:
                turn.append(node)
        return found

    def _pop(self, lane: _Lane) -> Taken:
        taken = lane.waiting.popleft()
        record = taken.message
        if isinstance(record, wire.Reading | wire.Event):
            key = (record.journal_id, record.seq)
            if lane.records.get(key) is taken:
                del lane.records[key]
        self._move(lane, -1, -COPIES * len(taken.frame))
        self._served += 1
        lane.served = self._served
        lane.bucket.messages -= 1.0
        lane.bucket.bytes -= len(taken.frame)
        return taken

    def _drop_health(self, lane: _Lane) -> Offer:
        """Forget the oldest of too many healths that wait, because a newer one is here."""
        held = [taken for taken in lane.waiting if isinstance(taken.message, wire.Health)]
        if len(held) < HEALTHS_MAX:
            return Offer.taken
        lane.waiting.remove(held[0])
        self._move(lane, -1, -COPIES * len(held[0].frame))
        return Offer.replaced

    def _move(self, lane: _Lane, count: int, size: int) -> None:
        lane.bytes += size
        self._bytes += size
        self._count += count

    def _full_bucket(self) -> _Bucket:
        return _Bucket(
            BURST_S * self._rates.node_messages_per_s,
            BURST_S * self._rates.node_bytes_per_s,
            self._now_s(),
        )

    def _lack_s(self, lane: _Lane, now_s: float) -> float:
        """Fill a node's bucket up to now; return for how long it may send nothing yet."""
        bucket, rates = lane.bucket, self._rates
        passed_s = max(0.0, now_s - bucket.filled_s)
        bucket.filled_s = now_s
        bucket.messages = min(
            bucket.messages + passed_s * rates.node_messages_per_s,
            BURST_S * rates.node_messages_per_s,
        )
        bucket.bytes = min(
            bucket.bytes + passed_s * rates.node_bytes_per_s, BURST_S * rates.node_bytes_per_s
        )
        lacks = (
            (1.0 - bucket.messages) / rates.node_messages_per_s,
            (1.0 - bucket.bytes) / rates.node_bytes_per_s,
        )
        return max(0.0, *lacks)

    def _due_in_s(self) -> float | None:
        """Return in how many seconds something may be taken, None while nothing waits."""
        now_s = self._now_s()
        return min(
            (self._lack_s(lane, now_s) for lane in self._filled_lanes.values()), default=None
        )
