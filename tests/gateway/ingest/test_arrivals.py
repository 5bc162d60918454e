"""Goal: each node's messages come out in order and at its rate; no node takes another's place.

Method: pure but for the waiting; Hypothesis draws who offers, how much is taken and when.
"""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.ingest.arrivals import (
    BURST_S,
    BYTES_MAX,
    COPIES,
    HEALTHS_MAX,
    OWN_BYTES,
    PER_NODE_MAX,
    RARE_S,
    Arrivals,
    Offer,
)
from gateway.ingest.intake import Taken
from gateway.settings import NODES_MAX, IngestSettings
from protocol import limits

FAST = IngestSettings(node_messages_per_s=10_000, node_bytes_per_s=100_000_000)


class Clock:
    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


def message(node, number=0, frame=b""):
    return Taken(node, wire.Status(b"boot-one", online=True, uptime_ms=number), frame, False, 0)  # noqa: FBT003


def event(node, seq, content=b"x", frame=None):
    said = wire.Event(
        *(b"journal1", seq, b"boot-one", 5, None, 0, b"inspect1", 1, "]C1", content, None, None)
    )
    return Taken(node, said, wire.encode(said) if frame is None else frame, False, 0)  # noqa: FBT003


def health(node, uptime_ms):
    said = wire.Health(
        *(b"boot-one", uptime_ms, None, 0, None, None, 0, b"journal1", 1, 9, 0, 0, 0, 0, 0, 0, 0),
        "",
    )
    return Taken(node, said, wire.encode(said), False, 0)  # noqa: FBT003


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 90))
        | st.integers(0, 90)
        | st.sampled_from([0.1, RARE_S, None]),
        max_size=30,
    )
)
def test_each_nodes_order_is_kept_within_its_own_bound_and_nodes_take_turns(steps):
    clock = Clock()
    arrivals = Arrivals(FAST, now_s=clock)
    model = {node: [] for node in "abc"}
    served_s = dict.fromkeys(model, -1.0)
    begun_s = dict.fromkeys(model, 0.0)  # when the first of what waits came
    number = 0
    for step in steps:
        if isinstance(step, float):
            clock.s += step
            continue
        if step is None:
            rare = {n for n in model if model[n] and begun_s[n] - served_s[n] >= RARE_S}
            found = arrivals.take_rare(90)
            assert {taken.node for taken in found} == rare
            for taken in found:
                assert model[taken.node].pop(0) == taken
                served_s[taken.node] = begun_s[taken.node] = clock.s
            continue
        if isinstance(step, int):
            waiting = {node for node in model if model[node]}
            found = arrivals.take(step)
            assert len(found) == min(step, sum(map(len, model.values())))
            assert {taken.node for taken in found[: len(waiting)]} == waiting or step < len(waiting)
            for taken in found:
                assert model[taken.node].pop(0) == taken
                served_s[taken.node] = begun_s[taken.node] = clock.s
            continue
        node, count = step
        if not model[node]:
            begun_s[node] = clock.s
        for _ in range(count):
            number += 1
            has_room = len(model[node]) < PER_NODE_MAX
            offer = arrivals.offer(message(node, number))
            assert offer is (Offer.taken if has_room else Offer.overflow)
            if has_room:
                model[node].append(message(node, number))
    assert len(arrivals) == arrivals.sizes().messages == sum(map(len, model.values()))


def test_a_quiet_node_is_served_before_a_burst_goes_on():
    arrivals = Arrivals(FAST, now_s=Clock())
    for number in range(PER_NODE_MAX):
        arrivals.offer(message("busy", number))
    assert [taken.node for taken in arrivals.take(3)] == ["busy"] * 3
    arrivals.offer(message("quiet"))
    assert [taken.node for taken in arrivals.take(3)] == ["quiet", "busy", "busy"]


def test_a_node_that_speaks_rarely_is_had_alone():
    """Once of two nodes; it speaks rarely again after it was silent, not while it goes on."""
    clock = Clock()
    arrivals = Arrivals(FAST, now_s=clock)
    for number in range(4):
        arrivals.offer(message("busy", number))
    assert len(arrivals.take(2)) == 2
    clock.s = RARE_S - 0.01
    arrivals.offer(message("quiet"))
    assert [taken.node for taken in arrivals.take_rare(9)] == ["quiet"]
    arrivals.offer(message("quiet"))
    assert arrivals.take_rare(9) == []
    assert [taken.node for taken in arrivals.take(9)] == ["busy", "quiet", "busy"]
    clock.s += RARE_S
    arrivals.offer(message("quiet"))
    assert [taken.node for taken in arrivals.take(9)] == ["quiet"]
    assert arrivals.take_rare(9) == []


def test_a_node_beyond_its_rate_does_not_speak_rarely():
    """Or whoever waits for such a node would be woken by what may not be taken."""

    async def story():
        clock = Clock()
        arrivals = Arrivals(IngestSettings(node_bytes_per_s=10_000), now_s=clock)
        arrivals.offer(message("a", frame=b"x" * 60_000))
        assert len(arrivals.take_rare(9)) == 1
        clock.s += RARE_S
        arrivals.offer(message("a"))
        assert arrivals.take_rare(9) == []
        waiting = asyncio.create_task(arrivals.wait_rare(30.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        arrivals.offer(message("b"))
        await waiting
        assert [taken.node for taken in arrivals.take_rare(9)] == ["b"]

    asyncio.run(story())


@given(
    rate=st.integers(1, 50),
    waits=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40),
)
def test_no_more_comes_out_than_the_rate_allows_and_nothing_is_dropped(rate, waits):
    clock = Clock()
    arrivals = Arrivals(IngestSettings(node_messages_per_s=rate), now_s=clock)
    given_in = taken_out = 0
    for wait_s in waits:
        while arrivals.offer(message("a", given_in)) is Offer.taken:
            given_in += 1
        taken_out += len(arrivals.take(1_000))
        assert taken_out <= rate * (clock.s + BURST_S) + 1e-6
        clock.s += wait_s
    clock.s += PER_NODE_MAX / rate + 1.0
    while found := arrivals.take(1_000):
        taken_out += len(found)
        clock.s += BURST_S
    assert taken_out == given_in


def test_bytes_count_too():
    clock = Clock()
    arrivals = Arrivals(
        IngestSettings(node_messages_per_s=10_000, node_bytes_per_s=10_000), now_s=clock
    )
    for number in range(PER_NODE_MAX):
        arrivals.offer(message("a", number, frame=b"x" * 4_000))
    assert len(arrivals.take(1_000)) == 10  # 4 s of 10 kB/s
    assert arrivals.take(1_000) == []
    clock.s += 1.0
    assert len(arrivals.take(1_000)) == 3  # 30 kB and what was left
    clock.s += 0.1
    assert arrivals.take(1_000) == []


def test_a_record_that_comes_again_while_it_waits_takes_no_second_place():
    arrivals = Arrivals(FAST, now_s=Clock())
    assert arrivals.offer(event("a", 1)) is Offer.taken
    for _ in range(3 * PER_NODE_MAX):
        assert arrivals.offer(event("a", 1)) is Offer.repeated
    assert arrivals.offer(event("a", 1, content=b"other")) is Offer.taken  # to be told of
    assert arrivals.offer(event("b", 1)) is Offer.taken
    assert len(arrivals.take(9)) == 3
    assert arrivals.offer(event("a", 1)) is Offer.taken


def test_only_the_newest_healths_wait():
    arrivals = Arrivals(FAST, now_s=Clock())
    count = 3 * PER_NODE_MAX
    for uptime_ms in range(count):
        became = Offer.taken if uptime_ms < HEALTHS_MAX else Offer.replaced
        assert arrivals.offer(health("a", uptime_ms)) is became
    found = [taken.message.uptime_ms for taken in arrivals.take(count)]
    assert found == list(range(count - HEALTHS_MAX, count))
    assert arrivals.sizes().bytes == 0


def test_bytes_are_bounded_in_all_and_a_quiet_node_has_room_all_the_same():
    arrivals = Arrivals(FAST, now_s=Clock())
    longest = b"x" * limits.MESSAGE_BYTES_MAX
    offers = Counter()
    for node in range(NODES_MAX):
        for number in range(PER_NODE_MAX):
            offers[arrivals.offer(message(f"n{node}", number, frame=longest))] += 1
    assert offers[Offer.crowded]
    assert arrivals.sizes().bytes <= BYTES_MAX + NODES_MAX * OWN_BYTES
    assert arrivals.offer(message("quiet", frame=longest)) is Offer.taken
    assert arrivals.sizes().bytes == COPIES * limits.MESSAGE_BYTES_MAX * len(arrivals)
    while arrivals.take(1_000):
        pass
    assert arrivals.sizes().bytes == 0


def test_waiting_ends_with_the_first_message_or_after_its_time():
    async def story():
        arrivals = Arrivals()
        waiting = asyncio.create_task(arrivals.wait(30.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        arrivals.offer(message("a"))
        assert await waiting
        assert await arrivals.wait(30.0)  # still there: no wait
        arrivals.take(1)
        assert not await arrivals.wait(0.0)
        waiting = asyncio.create_task(arrivals.wait(30.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(story())


def test_waiting_ends_when_the_rate_allows_the_next():
    async def story():
        arrivals = Arrivals(IngestSettings(node_messages_per_s=100))
        taken = 0
        while taken < 4 * 100 + 3:  # the burst, and three that had to wait for their time
            arrivals.offer(message("a"))
            assert await arrivals.wait(30.0)
            found = len(arrivals.take(1))
            taken += found

    asyncio.run(story())
