"""Goal: a gateway's clock that was wrong costs no alarm, whatever it made nodes write.

Method: a running post with its real broker and journal; scripted nodes that repeat a wrong time,
and a wall clock that the test moves.
"""

import asyncio
import time

import apsw
import pytest

from gateway.journal.dating import read_moment
from gateway.journal.records import read_frame
from gateway.journal.store import FILE_NAME
from protocol.messages import Birth, Health
from tests.gateway.ingest.test_judging import UREA
from tests.gateway.running import rows, running, write_settings
from tests.gateway.scripted import AXIS, COEFFICIENTS, PIXEL_COUNT, connected

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WRONG_MS = (0, -40 * DAY_MS, -20_000 * DAY_MS, 400 * DAY_MS)


def wall_ms():
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("wrong_ms", WRONG_MS)
@pytest.mark.parametrize("what", ["reading", "standard"])
def test_a_label_by_a_wrong_clock_ages_nothing(tmp_path, free_port, wrong_ms, what):
    """SPEC 7.7: the node was told before the clock was set, and not since."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=5)
            wrong, right = (wall_ms() + wrong_ms, 2), (wall_ms(), 2)
            await node.measure_standard(time=wrong if what == "standard" else right)
            await log.event("calibration_made")
            await node.say(node.reading(1, pixels=UREA, time=wrong if what == "reading" else right))
            found = await log.event("verdict", seq=1)
            assert found["verdict"] == "alarm", found["text"]

    asyncio.run(story())


def test_a_backlog_of_a_wrong_clock_is_dated_by_its_arrival(tmp_path, free_port):
    """SPEC 7.7: a birth says 1970, as the gateway did before its clock was set."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log:
            async with connected(free_port, boot_id=b"boot-cal") as before:
                await before.be_born()
                await before.measure_standard()
                await log.event("calibration_made")
            async with connected(free_port) as node:
                await node.say(
                    Birth(
                        *(node.boot_id, 4_000_000, 4_060_000, 2, node.journal_id, 1, 4, "s"),
                        *("unix", 0, "instrument", "1", AXIS, PIXEL_COUNT, 785_000, 8_000),
                        *(COEFFICIENTS, 65_535),
                    )
                )
                await node.say(node.reading(1, pixels=UREA))
                await node.say(node.reading(2, pixels=UREA, time=(65_002, 2)))
                for seq in (1, 2):
                    found = await log.event("verdict", seq=seq)
                    assert found["verdict"] == "alarm", found["text"]

    asyncio.run(story())


@pytest.mark.parametrize("wrong_ms", [-20_000 * DAY_MS, -40 * DAY_MS])
def test_what_a_wrong_clock_made_inconclusive_is_judged_again_when_it_is_set(
    tmp_path, free_port, monkeypatch, wrong_ms
):
    """SPEC 7.7: a standard of before, a start with a lost clock, a reading, the clock is set."""
    now_ns, wrong = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + wrong[0] * 1_000_000)

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port, boot_id=b"boot-cal") as before:
            await before.be_born()
            await before.measure_standard()
            await log.event("calibration_made")
        wrong[0] = wrong_ms
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=5)
            await node.say(node.reading(1, pixels=UREA, time=(wall_ms(), 2)))
            found = await log.event("verdict", seq=1)
            assert (found["verdict"], found["reason"]) == ("inconclusive", "uncalibrated_listed")
            wrong[0] = 0
            await log.event("clock_set")
            uptime_ms = 30_000
            await node.say(  # what the node says when it is asked for its birth, or next
                Health(
                    *(node.boot_id, uptime_ms, wall_ms(), 2, None, None, 100_000),
                    *(node.journal_id, 1, 5, 4_096, 0, 0, 0, 0, 0, 0, ""),
                )
            )
            again = await log.event("verdict", 2, seq=1)
            assert again["verdict"] == "alarm", again["text"]
        assert rows(tmp_path, "SELECT count(*) FROM alerts") == [(1,)]

    asyncio.run(story())


@pytest.mark.parametrize("wrong_ms", [400 * DAY_MS, 73 * 365 * DAY_MS])
@pytest.mark.parametrize("is_seen", [True, False], ids=["set while it ran", "set at a start"])
def test_what_came_while_the_clock_was_ahead_is_dated_and_judged_anew(
    tmp_path, free_port, monkeypatch, wrong_ms, is_seen
):
    """SPEC 7.7: by a node that started again meanwhile, so that its boot never speaks again.

    Its backlog repeats the wrong time after the clock is right.
    """
    now_ns, wrong = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + wrong[0] * 1_000_000)

    async def finish(log, node):
        await node.say(node.reading(3, pixels=UREA, time=(wall_ms() + wrong_ms, 2)))
        for seq, count in ((3, 1), (2, 2)):
            found = await log.event("verdict", count if is_seen or seq == 3 else 1, seq=seq)
            assert found["verdict"] == "alarm", found["text"]

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=9, uptime_ms=HOUR_MS // 2)
            await node.measure_standard()
            await log.event("calibration_made")
            await node.say(node.reading(1))
            await log.event("verdict", seq=1)
        wrong[0] = wrong_ms
        async with running(path) as log, connected(free_port, boot_id=b"boot-two") as node:
            await node.be_born(next_seq=9)
            await node.say(node.reading(2, pixels=UREA, time=(wall_ms(), 2)))
            found = await log.event("verdict", seq=2)
            assert (found["verdict"], found["reason"]) == ("inconclusive", "uncalibrated_listed")
            if is_seen:
                wrong[0] = 0
                await log.event("clock_set")
                await finish(log, node)
        wrong[0] = 0
        if not is_seen:
            async with running(path) as log, connected(free_port, boot_id=b"boot-two") as node:
                await finish(log, node)
        connection = apsw.Connection(str(tmp_path / "state" / FILE_NAME))
        for frame, received_ms in connection.execute(
            "SELECT frame, received_ms FROM records WHERE seq IN (2, 3)"
        ):
            moment = read_moment(connection, "lane-1", read_frame(frame), received_ms)
            assert moment.time_ms is not None
            assert abs(moment.time_ms - wall_ms()) < HOUR_MS

    asyncio.run(story())
