"""Goal: messages come out as they came in, and no node takes another's place.

Method: pure but for the waiting; Hypothesis draws who offers and how much is taken.
"""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.ingest.arrivals import PER_NODE_MAX, Arrivals
from gateway.ingest.intake import Taken


def message(node, number=0):
    return Taken(node, wire.Status(b"boot-one", online=True, uptime_ms=number), b"", False, 0)  # noqa: FBT003


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 90)) | st.integers(0, 90), max_size=30
    )
)
def test_order_is_kept_and_each_node_has_its_own_bound(steps):
    async def story():
        arrivals = Arrivals()
        model: list[Taken] = []
        number = 0
        for step in steps:
            if isinstance(step, int):
                assert arrivals.take(step) == model[:step]
                model = model[step:]
                continue
            node, count = step
            for _ in range(count):
                number += 1
                has_room = Counter(taken.node for taken in model)[node] < PER_NODE_MAX
                assert arrivals.offer(message(node, number)) == has_room
                if has_room:
                    model.append(message(node, number))
        assert len(arrivals) == len(model)

    asyncio.run(story())


def test_waiting_ends_with_the_first_message():
    async def story():
        arrivals = Arrivals()
        waiting = asyncio.create_task(arrivals.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        arrivals.offer(message("a"))
        await waiting
        await arrivals.wait()  # still there: no wait
        arrivals.take(1)
        waiting = asyncio.create_task(arrivals.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(story())
