"""Goal: a clock that was set reaches the nodes at once, and what it is worth is said with it.

Method: two clocks that the test sets; then a running post whose wall clock the test moves.
"""

import asyncio
import time

import pytest

from gateway.errors import JournalError
from gateway.fleet.timekeeping import STEP_MS, Timekeeping, time_quality
from gateway.observe.counters import Counters
from protocol.messages import ACTION_BIRTH, TIME_GATEWAY, TIME_RTC, Command, Time
from tests.gateway.running import recording, rows, running, write_settings
from tests.gateway.scripted import connected
from tests.gateway.seen import Log

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    "now_ms, quality",
    [(NOW_MS, TIME_GATEWAY), (0, TIME_RTC), (946_684_800_000, TIME_RTC), (1 << 53, TIME_RTC)],
)
def test_a_clock_that_cannot_be_right_is_worth_less(now_ms, quality):
    """SPEC 7.3."""
    assert time_quality(now_ms) == quality


@pytest.mark.parametrize("step_ms", [STEP_MS, -STEP_MS, HOUR_MS, -10 * 365 * 24 * HOUR_MS])
def test_a_clock_that_was_set_is_noticed_once_and_again_until_it_is_told(step_ms):
    wall, quiet, told = [NOW_MS], [5_000], []
    counters, log = Counters(), Log()

    async def set_by(found_ms):
        told.append(found_ms)
        if len(told) == 1:
            raise JournalError("disk full")

    keeping = Timekeeping(
        now_ms=lambda: wall[0],
        monotonic_ms=lambda: quiet[0],
        set_by=set_by,
        counters=counters,
        log=recording(log),
    )

    async def story():
        for _ in range(1_000):  # slewed by 0.5 ms a second, and time passes
            wall[0] += 1_000 + 1
            quiet[0] += 1_000
            await keeping.check()
        assert told == []
        wall[0] += step_ms
        with pytest.raises(JournalError):
            await keeping.check()
        await keeping.check()
        await keeping.check()
        assert told == [step_ms, step_ms]

    asyncio.run(story())
    assert counters.take() == {("clock_set", ""): 1}
    assert log.events("clock_set")[0]["step_s"] == step_ms / 1_000


@pytest.mark.parametrize(
    "step_ms, quality", [(HOUR_MS, 2), (-HOUR_MS, 2), (-20_000 * 24 * HOUR_MS, 1)]
)
def test_every_node_hears_of_it_and_announces_itself(
    tmp_path, free_port, monkeypatch, step_ms, quality
):
    """SPEC 7.3, SPEC 7.5: before a command that would have expired by the old clock."""
    now_ns, step = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + step[0] * 1_000_000)

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            first = await node.heard.wait(lambda m: isinstance(m, Time))
            before_ms = now_ns() // 1_000_000
            step[0] = step_ms
            told = await node.heard.wait(
                lambda m: isinstance(m, Time) and abs(m.time_ms - first.time_ms) > HOUR_MS // 2
            )
            assert told.time_ms >= before_ms + step_ms
            assert (told.time_quality, told.echo_uptime_ms) == (quality, None)
            asked = await node.heard.wait(lambda m: isinstance(m, Command))
            assert asked.action == ACTION_BIRTH
            assert asked.expires_ms > told.time_ms
            assert node.heard.items.index(told) < node.heard.items.index(asked)
            await log.event("clock_set")
            # The node was heard when it was heard, by today's clock.
            ((seen_ms,),) = rows(tmp_path, "SELECT seen_ms FROM nodes WHERE node = 'lane-1'")
            assert abs(seen_ms - (now_ns() // 1_000_000 + step_ms)) < HOUR_MS // 2

    asyncio.run(story())
