"""Goal: a part that fails is started again and stops nothing else; a post that stops has stopped.

Method: small parts that fail in the ways real ones do, among them those that lose a cancellation.
"""

import asyncio

import pytest

from gateway import supervisor
from gateway.errors import BrokerError, JournalError
from gateway.observe.counters import Counters
from gateway.supervisor import attempt, end, endure, supervise
from tests.gateway.running import recording
from tests.gateway.seen import DEADLINE_S, Log


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(supervisor, "WAIT_S_MIN", 0.001)
    monkeypatch.setattr(supervisor, "WAIT_S_MAX", 0.004)
    monkeypatch.setattr(supervisor, "CANCEL_AGAIN_S", 0.05)


class Post:
    """What a supervised part shares with the others."""

    def __init__(self):
        self.stop = asyncio.Event()
        self.counters = Counters()
        self.log = Log()

    def supervise(self, run):
        return asyncio.create_task(
            supervise("part", run, stop=self.stop, counters=self.counters, log=recording(self.log))
        )

    async def end(self, *tasks):
        self.stop.set()
        async with asyncio.timeout(DEADLINE_S):
            await end(list(tasks))
        assert all(task.done() for task in tasks)


def test_every_kind_of_fault_is_told_counted_and_survived():
    async def story():
        post, faults = Post(), [BrokerError("gone"), JournalError("full"), KeyError("bug"), None]
        alive = asyncio.Event()

        async def run():
            if faults:
                fault = faults.pop(0)
                if fault is not None:
                    raise fault
                return  # ended without a word: also started again
            alive.set()
            await asyncio.Event().wait()

        task = post.supervise(run)
        await asyncio.wait_for(alive.wait(), DEADLINE_S)
        lines = [(line["event"], line["text"]) for line in post.log.items]
        assert lines == [
            ("task_fault", "gone"),
            ("task_fault", "full"),
            ("task_failed", "KeyError: 'bug'"),
        ]
        assert post.log.items[2]["exc_info"]
        assert post.counters.take() == {("task_fault", "part"): 2, ("task_failed", "part"): 1}
        await post.end(task)

    asyncio.run(story())


def test_the_wait_grows_to_its_bound(monkeypatch):
    waits = []

    async def story():
        post = Post()

        async def run():
            if len(waits) == 6:
                await asyncio.Event().wait()
            raise BrokerError("again")

        real = asyncio.sleep

        async def note(wait_s):
            waits.append(wait_s)
            await real(0)

        monkeypatch.setattr(supervisor.asyncio, "sleep", note)
        monkeypatch.setattr(supervisor.random, "uniform", lambda _low, _high: 1.0)
        task = post.supervise(run)
        await post.log.event("task_fault", 6)
        await post.end(task)

    asyncio.run(story())
    assert waits[:6] == [0.001, 0.002, 0.004, 0.004, 0.004, 0.004]


def test_a_part_that_ends_with_another_error_when_cancelled_is_not_started_again(monkeypatch):
    """And nobody waits for its next start, or for a second cancellation."""
    monkeypatch.setattr(supervisor, "WAIT_S_MIN", 10 * DEADLINE_S)
    monkeypatch.setattr(supervisor, "CANCEL_AGAIN_S", 10 * DEADLINE_S)

    async def story():
        post, starts = Post(), []

        async def run():
            starts.append(1)
            try:
                await asyncio.Event().wait()
            finally:
                raise BrokerError("could not say goodbye")

        task = post.supervise(run)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await post.end(task)
        assert starts == [1]

    asyncio.run(story())


def test_a_failing_task_group_is_started_again_and_can_be_ended():
    """On Python 3.11 a TaskGroup leaves its task marked as cancelled; that is no reason to stop."""

    async def story():
        post, starts = Post(), []
        alive = asyncio.Event()

        async def fail():
            raise BrokerError("lost")

        async def run():
            starts.append(1)
            if len(starts) == 3:
                alive.set()
                await asyncio.Event().wait()
            fault = ""
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fail())
                    tasks.create_task(asyncio.Event().wait())
            except* BrokerError as group:
                fault = str(group.exceptions[0])
            raise BrokerError(fault)

        task = post.supervise(run)
        await asyncio.wait_for(alive.wait(), DEADLINE_S)
        assert len(post.log.events("task_fault", text="lost")) == 2
        await post.end(task)

    asyncio.run(story())


def test_a_part_that_loses_a_cancellation_is_cancelled_again():
    async def story():
        post, cancelled = Post(), []

        async def run():
            while len(cancelled) < 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.append(1)

        task = post.supervise(run)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await post.end(task)
        assert len(cancelled) == 2

    asyncio.run(story())


def test_an_attempt_gives_the_result_or_nothing():
    async def story():
        counters, log = Counters(), Log()

        async def good():
            return 7

        async def bad():
            raise ValueError("as if")

        assert await attempt("part", good(), counters=counters, log=recording(log)) == 7
        assert await attempt("part", bad(), counters=counters, log=recording(log)) is None
        assert counters.take() == {("task_failed", "part"): 1}
        (line,) = log.items
        assert line["text"] == "ValueError: as if"

    asyncio.run(story())


def test_work_that_fails_is_endured_told_and_counted():
    async def story():
        post, done = Post(), []
        names = {"counters": post.counters, "log": recording(post.log)}

        def fail():
            raise KeyError("bug")

        assert endure("part", lambda: done.append(1), **names)
        assert not endure("part", fail, **names)
        assert done == [1]
        assert post.counters.take() == {("task_failed", "part"): 1}
        assert post.log.events("task_failed", text="KeyError: 'bug'")

    asyncio.run(story())


def test_a_part_that_waits_to_be_started_again_beats(monkeypatch):
    """It does not hang: a watchdog must not take the whole post down for it."""
    monkeypatch.setattr(supervisor, "WAIT_S_MIN", 0.05)
    monkeypatch.setattr(supervisor, "BEAT_S_MAX", 0.005)

    async def story():
        post, beats, faults = Post(), [], [BrokerError("gone")]
        alive = asyncio.Event()

        async def run():
            if faults:
                raise faults.pop()
            alive.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            supervise(
                "part",
                run,
                stop=post.stop,
                counters=post.counters,
                log=recording(post.log),
                beat=lambda: beats.append(1),
            )
        )
        await asyncio.wait_for(alive.wait(), DEADLINE_S)
        assert len(beats) >= 8
        await post.end(task)

    asyncio.run(story())
