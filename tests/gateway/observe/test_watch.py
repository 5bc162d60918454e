"""Goal: the watchdog is fed while the gateway turns, and only then.

Method: the watch by itself on a clock of the test, with the real pulse and a real socket; then real
gateways in processes of their own, one sound, one with a part that hangs, one without a broker.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from gateway.ingest.broker import CONFIGURATION_NAME, find_leftovers
from gateway.journal.condition import Condition, DiskState
from gateway.observe.counters import Counters
from gateway.observe.notify import Notify
from gateway.observe.pulse import Pulse
from gateway.observe.state import (
    EVERYTHING,
    FILE_NAME,
    STILL_S_MAX,
    TURNED_AGAIN_S,
    State,
    StateFile,
    is_stopped,
    read_state,
)
from gateway.observe.watch import FLIGHT_S_MAX, SILENCE_S_MAX, Watch
from tests.gateway.running import recording, write_settings
from tests.gateway.seen import Log, Seen

HANGING = Path(__file__).with_name("hanging.py")
# The interpreter's own end takes seconds on a small computer; this one's never comes.
ENDLESS = """
import atexit, sys, threading
from pathlib import Path
from gateway import cli
atexit.register(threading.Event().wait)
cli.run(Path(sys.argv[1]), cli.LogForm.json)
"""


class Watched:
    """A watch and everything it looks at, on a clock that the test moves."""

    def __init__(self, folder, supervisor):
        self.now_s = 1_000.0
        self.flight = None
        self.disk = Condition()
        self.pulse = Pulse(lambda: self.now_s)
        self.counters, self.log = Counters(), Log()
        self.folder = folder
        self.supervisor = supervisor
        self.notify = Notify(str(folder / "n"))
        self.watch = Watch(
            self.notify,
            self.pulse,
            flight=lambda: self.flight,
            state=lambda: State(str(folder), 1, 2, disk=self.disk),
            file=StateFile(folder, {}),
            now_s=lambda: self.now_s,
            counters=self.counters,
            log=recording(self.log),
        )

    def looks_s(self, duration_s, *beating):
        """Look every 5 s for so long, while these parts beat; return what hangs at the end."""
        for _ in range(int(duration_s / 5)):
            self.now_s += 5
            for part in beating:
                self.pulse.beat(part)
            found = self.watch.look()
            self.said = self.supervisor.recv(4096).decode()
        return found

    def file_is_there(self):
        return (self.folder / FILE_NAME).exists()

    def reads(self):
        """Return what somebody reads now."""
        return read_state(self.folder, {}, lambda: self.now_s)


@pytest.fixture
def watched(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "n"))
        found = Watched(tmp_path, supervisor)
        yield found
        found.notify.close()


def test_parts_that_turn_feed_it(watched):
    watched.pulse.renew("judging")  # one that never beats by itself does not count
    assert watched.looks_s(3 * SILENCE_S_MAX, "link", "committer") == ""
    assert watched.said == "WATCHDOG=1\nSTATUS=disk well"
    assert watched.counters.take() == {}


def test_a_part_that_hangs_starves_it_and_is_named(watched):
    watched.pulse.beat("committer")
    assert watched.looks_s(SILENCE_S_MAX, "link") == ""
    assert watched.looks_s(20, "link") == "committer has not turned for 80 s"
    assert watched.said == "STATUS=hangs: committer has not turned for 80 s"
    assert watched.counters.take() == {("watchdog_starved", "committer"): 1}
    assert len(watched.log.events("watchdog_starved")) == 1
    assert watched.reads().hangs == "committer"
    watched.pulse.renew("committer")  # its supervisor has started it again
    assert watched.looks_s(5, "link") == ""
    assert watched.reads().hangs == ""
    watched.now_s += STILL_S_MAX - 1
    assert watched.reads().hangs == ""
    watched.now_s += 2 + TURNED_AGAIN_S  # nobody looked, so nothing turned
    assert watched.reads().hangs == EVERYTHING
    watched.watch.look()
    assert watched.reads().hangs == ""


def test_a_writer_that_is_stuck_starves_it_unless_the_disk_is_known_to_be_unwell(watched):
    watched.flight = object()
    assert watched.looks_s(FLIGHT_S_MAX, "link") == ""
    assert watched.looks_s(10, "link") == "journal has been writing one transaction for 25 s"
    watched.disk = Condition(DiskState.tight, 1, "little room")  # it takes what there is still
    assert watched.looks_s(5, "link") != ""
    watched.disk = Condition(DiskState.failing, 1, "the disk does not answer")
    assert watched.looks_s(5, "link") == ""
    assert watched.said == "WATCHDOG=1\nSTATUS=the disk does not answer"
    watched.disk = Condition()
    watched.flight = object()  # another transaction
    assert watched.looks_s(FLIGHT_S_MAX, "link") == ""
    watched.flight = None
    assert watched.looks_s(60, "link") == ""


def test_a_process_that_stood_still_is_given_a_turn(watched):
    """Under a debugger, or in a virtual machine that was paused, no part could beat."""
    watched.pulse.beat("link")
    watched.flight = object()
    watched.now_s += 600
    assert watched.watch.look() == ""
    watched.supervisor.recv(4096)
    watched.pulse.beat("link")
    assert watched.looks_s(25, "link") != ""  # the same transaction, still


def test_ready_is_said_until_it_is_heard(watched):
    """Its socket is full at that moment, as when a computer starts everything at once."""
    while watched.notify.tell("STATUS=filler"):
        pass

    async def story():
        running = asyncio.create_task(watched.watch.run())
        while not watched.file_is_there():  # noqa: ASYNC110 - it has looked, and could not say it
            await asyncio.sleep(0)
        said = []
        async with asyncio.timeout(60):
            while not any(each.startswith("READY=1") for each in said):
                with contextlib.suppress(BlockingIOError):
                    said.append(watched.supervisor.recv(4096, socket.MSG_DONTWAIT).decode())
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        watched.watch.say_ready()
        while True:
            try:
                said.append(watched.supervisor.recv(4096, socket.MSG_DONTWAIT).decode())
            except BlockingIOError:
                break
        assert len([each for each in said if each.startswith("READY=1")]) == 1  # once is enough

    asyncio.run(story())


class Told(asyncio.DatagramProtocol, Seen):
    """What a gateway tells its supervisor."""

    def __init__(self):
        Seen.__init__(self)

    def datagram_received(self, data, address):
        self.add(data.decode())

    async def word(self, text, count=1):
        """Return the message with this in it."""
        return await self.wait(lambda said: text in said, count)


@contextlib.asynccontextmanager
async def supervised(folder, *command):
    """Start a gateway as systemd does; give the process, what it tells, and its log."""
    address = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        transport, told = await asyncio.get_running_loop().create_datagram_endpoint(
            Told, sock=supervisor
        )
        (folder / "run").mkdir()
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": address,
            "WATCHDOG_USEC": "300000",
            "RUNTIME_DIRECTORY": str(folder / "run"),
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, command),
            env=environment,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,
        )
        log = Log()
        reading = asyncio.create_task(listen(child, log))
        try:
            yield child, told, log
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
            await child.wait()
            await reading
            transport.close()


async def listen(child, log):
    async for line in child.stderr:
        log.add(json.loads(line))


def test_a_gateway_says_that_it_is_ready_alive_and_stopping(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        command = ("-m", "gateway", "run", "--settings", path, "--log", "json")
        async with supervised(tmp_path, *command) as (child, told, _):
            assert (await told.wait(bool)).startswith("READY=1\nSTATUS=not connected to its broker")
            await told.wait(lambda said: said.endswith("STATUS=disk well"))
            await told.word("WATCHDOG=1", 3)
            state = read_state(tmp_path / "state", {"RUNTIME_DIRECTORY": str(tmp_path / "run")})
            assert (state.pid, state.disk.state) == (child.pid, DiskState.well)
            child.send_signal(signal.SIGTERM)
            await told.word("STOPPING=1")
            assert await child.wait() == 0
        assert list((tmp_path / "run").iterdir()) == []

    asyncio.run(story())


def test_a_gateway_that_was_stopped_is_known_from_outside(tmp_path, free_port):
    """It cannot say so itself: what it said last is old."""
    place = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}

    def read(later_s=0.0):
        return read_state(tmp_path / "state", place, lambda: time.monotonic() + later_s)

    async def story():
        path = write_settings(tmp_path, free_port)
        command = ("-m", "gateway", "run", "--settings", path, "--log", "json")
        async with supervised(tmp_path, *command) as (child, told, log):
            await told.word("WATCHDOG=1")
            await log.event("broker_connected")
            assert not is_stopped(child.pid)
            child.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(60):
                    while not is_stopped(child.pid):  # noqa: ASYNC110 - the kernel's word
                        await asyncio.sleep(0)
                assert read(-STILL_S_MAX).hangs == ""
                assert read(STILL_S_MAX).hangs == EVERYTHING
            finally:
                child.send_signal(signal.SIGCONT)

    asyncio.run(story())


def test_a_gateway_with_a_part_that_hangs_does_not_feed(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with supervised(tmp_path, HANGING, path) as (child, told, log):
            await told.word("WATCHDOG=1")
            await told.word("STATUS=hangs: clock has not turned for ", 3)
            last = next(i for i, said in enumerate(told.items) if "hangs: clock" in said)
            assert not [said for said in told.items[last:] if "WATCHDOG" in said]
            await log.event("broker_started")
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
        assert log.events("watchdog_starved")
        assert log.events("stop_cut_short")  # the part does not end; the gateway does
        assert find_leftovers(tmp_path / "state" / CONFIGURATION_NAME) == []

    asyncio.run(story())


def test_a_broker_that_hangs_does_not_keep_a_gateway_from_stopping(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        command = ("-m", "gateway", "run", "--settings", path, "--log", "json")
        async with supervised(tmp_path, *command) as (child, _, log):
            await log.event("broker_connected")
            (broker,) = find_leftovers(tmp_path / "state" / CONFIGURATION_NAME)
            os.kill(broker, signal.SIGSTOP)
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
        assert log.events("stopped")  # in order, not cut short
        assert find_leftovers(tmp_path / "state" / CONFIGURATION_NAME) == []

    asyncio.run(story())


def test_a_stop_does_not_wait_for_the_interpreter(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with supervised(tmp_path, "-c", ENDLESS, path) as (child, _, log):
            await log.event("broker_connected")
            child.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(child.wait(), 60) == 0
        assert log.events("stopped")
        assert not log.events("stop_cut_short")

    asyncio.run(story())


def test_a_gateway_whose_broker_is_not_there_is_ready_all_the_same(tmp_path, free_port):
    """A start that waits for somebody else would be killed and begun again for ever."""

    async def story():
        path = write_settings(tmp_path, free_port)
        text = path.read_text().replace("[broker]", "[broker]\nexternal = true")
        path.write_text(text)
        command = ("-m", "gateway", "run", "--settings", path, "--log", "json")
        async with supervised(tmp_path, *command) as (_, told, _):
            await told.word("READY=1")
            await told.word("WATCHDOG=1", 2)

    asyncio.run(story())
