"""Goal: a silent node is told once, when its time is over, and never for a fault of our own link.

Method: the pure liveness with times as numbers; a model in a few lines beside drawn stories; then
the running gateway with a scripted node and a clock that the test moves.
"""

import asyncio
import os
import signal

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import parts, settings
from gateway.fleet import liveness, watching
from gateway.fleet.liveness import Change, Heard, Liveness, is_overdue, patience_ms
from gateway.journal.store import FILE_NAME
from gateway.observe import status
from gateway.observe.state import read_state
from tests.gateway.running import NODE, running, write_settings
from tests.gateway.scripted import connected
from tests.gateway.seen import DEADLINE_S

A_MS = patience_ms("a", 10)


def test_each_node_has_its_own_patience_which_is_the_same_everywhere():
    found = [patience_ms(f"lane-{number}", 300) for number in range(1_000)]
    assert min(found) >= 900_000
    assert max(found) <= 990_000
    assert len(set(found)) > 900  # a dead switch is not a thousand lines in one moment
    assert patience_ms("lane-1", 300) == 950_174
    assert not is_overdue("a", 10, 5_000, 0, 5_000 + A_MS)
    assert is_overdue("a", 10, 5_000, 0, 5_001 + A_MS)
    assert not is_overdue("a", 10, 5_000, 5_001, 5_001 + A_MS)


def test_a_node_falls_silent_once_and_comes_back_once():
    found = Liveness({"a": 10})
    found.linked(0)
    found.heard("a", 1_000)
    assert found.check(1_000 + A_MS) == []
    assert found.check(1_001 + A_MS) == [Change("a", is_silent=True, quiet_ms=1 + A_MS)]
    assert found.check(2_000 + A_MS) == []
    found.heard("a", 3_000 + A_MS)
    assert found.check(3_000 + A_MS) == [Change("a", is_silent=False, quiet_ms=0)]
    assert found.check(3_001 + A_MS) == []


def test_a_node_that_never_spoke_is_silent_too():
    found = Liveness({"a": 10})
    assert found.states(0)["a"].heard is Heard.unknown
    found.linked(500)
    assert found.states(500)["a"] == liveness.State(Heard.awaited, 500, 500 + A_MS)
    assert found.check(501 + A_MS) == [Change("a", is_silent=True, quiet_ms=1 + A_MS)]


def test_our_own_reconnection_gives_everybody_time_again():
    found = Liveness({"a": 10})
    found.linked(0)
    found.heard("a", 0)
    found.unlinked()
    assert found.check(10 * A_MS) == []
    assert found.states(10 * A_MS)["a"].heard is Heard.unknown
    found.linked(10 * A_MS)
    assert found.check(11 * A_MS) == []
    assert found.check(11 * A_MS + 1) == [Change("a", is_silent=True, quiet_ms=11 * A_MS + 1)]
    found.unlinked()
    found.linked(12 * A_MS)  # it has time again, but nobody has heard it
    assert found.check(12 * A_MS) == []
    found.heard("a", 12 * A_MS + 1)
    assert found.check(12 * A_MS + 1) == [Change("a", is_silent=False, quiet_ms=0)]


def test_nobody_waits_for_a_revoked_node():
    found = Liveness({"a": 10, "b": 10})
    found.linked(0)
    found.heard("stranger", 0)
    late_ms = 2 * A_MS
    assert [change.node for change in found.check(late_ms, besides={"a"})] == ["b"]
    assert [change.node for change in found.check(late_ms)] == ["a"]


def test_nobody_waits_for_a_node_in_quarantine_which_has_its_whole_time_afterwards():
    found = Liveness({"a": 10, "b": 10})
    found.linked(0)
    found.heard("a", 1_000)
    late_ms = 2 * A_MS
    found.shut_out({"a"}, late_ms)
    assert [change.node for change in found.check(late_ms)] == ["b"]
    assert list(found.states(late_ms)) == ["b"]
    found.shut_out((), late_ms)
    assert found.check(late_ms + A_MS) == []
    assert found.states(late_ms)["a"].due_ms == late_ms + A_MS
    quiet_ms = late_ms + A_MS + 1 - 1_000
    assert found.check(late_ms + A_MS + 1) == [Change("a", is_silent=True, quiet_ms=quiet_ms)]


steps = st.lists(
    st.tuples(st.sampled_from(["heard", "linked", "unlinked", "check"]), st.integers(0, 20_000)),
    max_size=40,
)


@given(steps)
def test_silence_and_return_alternate(story):
    """Whatever happens, a node is told silent at most once before it is told to be back."""
    found = Liveness({"a": 10})
    now_ms, told, linked, last_ms = 0, [], False, None
    for step, wait_ms in story:
        now_ms += wait_ms
        match step:
            case "heard" if linked:
                found.heard("a", now_ms)
                last_ms = now_ms
            case "linked":
                found.linked(now_ms)
                linked, last_ms = True, now_ms
            case "unlinked":
                found.unlinked()
                linked = False
            case "check":
                changes = found.check(now_ms)
                told += changes
                if linked and now_ms - last_ms > A_MS:
                    assert told
                    assert told[-1].is_silent
                elif changes:
                    assert not changes[0].is_silent
    states = [change.is_silent for change in told]
    assert states == [index % 2 == 0 for index in range(len(states))]


class Clock:
    def __init__(self):
        self.now_ms = 1_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(parts, "monotonic_ms", found)
    monkeypatch.setattr(watching, "LOOK_S", 0.01)
    return found


def test_the_running_gateway_tells_silence_and_return(tmp_path, free_port, clock):
    async def story():
        async with running(write_settings(tmp_path, free_port)) as log:
            async with connected(free_port) as node:
                await node.be_born()
                await node.say_health()
                await node.heard.wait(lambda message: message.CHANNEL == "time", 2)
                clock.now_ms += 1_000_000  # both are late by now
                both = [await log.event("node_silent", count=count) for count in (1, 2)]
                assert {line["node"] for line in both} == {NODE, "lane-2"}
                await node.say_health()
                assert (await log.event("node_back"))["node"] == NODE
            assert len(log.events("node_silent")) == 2

    asyncio.run(story())


def test_a_node_in_quarantine_is_told_as_that_and_not_as_silent(
    tmp_path, free_port, clock, monkeypatch
):
    monkeypatch.setattr("gateway.ingest.quarantine.BAR_S_MIN", 3_600.0)
    path = write_settings(tmp_path, free_port)
    journal_path = tmp_path / "state" / FILE_NAME

    async def story():
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            await log.event("node_born")
            for _ in range(200):
                await node.publish("event", b"\xc1")
            await log.event("node_quarantined", node=NODE)
            clock.now_ms += 1_000_000
            await log.event("node_silent", node="lane-2")
            assert not log.events("node_silent", node=NODE)
            async with asyncio.timeout(DEADLINE_S):
                while not getattr(read_state(journal_path.parent), "barred", {}):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            late_ms = parts.now_ms() + 3_600_000
            found = status.read(settings.load(path), journal_path, running=True, now_ms=late_ms)
            assert {each.node: each.state for each in found.nodes}[NODE] == "barred"

    asyncio.run(story())


def test_a_will_is_not_the_nodes_own_word(tmp_path, free_port, clock):
    """The broker says that a node is gone; that it says so does not mean that the node lives."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            await node.heard.wait(lambda message: message.CHANNEL == "time")
            clock.now_ms += 1_000_000
            await log.event("node_silent", node=NODE)
            await node.say_status(online=False)
            await node.publish("reading", b"no message")
            await log.event("frame_refused")
            assert log.events("node_back") == []

    asyncio.run(story())


def test_the_status_gives_everybody_time_after_our_own_reconnection(tmp_path, free_port):
    """It is another process; the gateway tells it since when it can hear."""
    path = write_settings(tmp_path, free_port)
    loaded = settings.load(path)
    journal_path = tmp_path / "state" / FILE_NAME

    def state(later_ms=0):
        now_ms = parts.now_ms() + later_ms
        return status.read(loaded, journal_path, running=True, now_ms=now_ms).nodes[0].state

    async def story():
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            await node.heard.wait(lambda message: message.CHANNEL == "time")
            await log.event("node_born")
            connection = apsw.Connection(str(journal_path))
            connection.set_busy_timeout(5_000)
            connection.execute("UPDATE nodes SET seen_ms = 1000")  # before a long night
            connection.close()
            async with asyncio.timeout(DEADLINE_S):
                while not getattr(read_state(journal_path.parent), "linked_ms", 0):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert state() == "online"
            assert state(patience_ms(NODE, 300) + 60_000) == "silent"

    asyncio.run(story())


def test_no_node_is_silent_for_a_broker_that_hangs(tmp_path, free_port, clock, monkeypatch):
    """The connection stands; nobody is heard by it until the broker goes on, or another does."""
    monkeypatch.setattr("gateway.ingest.link.ASK_S", 0.1)
    monkeypatch.setattr("gateway.ingest.link.TURN_S", 0.3)
    path = write_settings(tmp_path, free_port)

    async def told(*, is_linked):
        async with asyncio.timeout(DEADLINE_S):
            while (  # noqa: ASYNC110
                bool(getattr(read_state(tmp_path / "state"), "linked_ms", 0)) is not is_linked
            ):
                await asyncio.sleep(0.01)

    async def story():
        async with running(path) as log:
            pid = (await log.event("broker_started"))["pid"]
            await told(is_linked=True)
            for count in (1, 2):
                os.kill(pid, signal.SIGSTOP)
                try:
                    await log.event("broker_mute", count)
                    await told(is_linked=False)
                    clock.now_ms += 1_000_000  # both would be late by now
                finally:
                    os.kill(pid, signal.SIGCONT)
                await log.event("broker_heard", count)
                await told(is_linked=True)
            async with connected(free_port) as node:
                await node.be_born()
                await log.event("node_born")
            assert not log.events("node_silent")
            assert not log.events("task_fault")
            clock.now_ms += 1_000_000
            await log.event("node_silent", 2)

    asyncio.run(story())
