"""Goal: `harmattan status` says what the post is doing, also when it is dead, and whether to look.

Method: the real command on the journal of a post that runs in this process, of one that has ended,
and on folders without one.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import aiomqtt
import msgspec
import pytest
from rich.console import Console

from gateway import settings
from gateway.errors import JournalError
from gateway.journal.store import FILE_NAME
from gateway.lock import is_running, locked
from gateway.observe import status as observing
from gateway.observe.screen import show
from simulators.headquarters import Headquarters
from tests.gateway.ingest.test_judging import UREA
from tests.gateway.running import NODE, running, write_settings
from tests.gateway.scripted import connected
from tests.gateway.seen import DEADLINE_S


def wall_ms():
    return time.time_ns() // 1_000_000


async def ask(path, *options):
    """Return exit status, standard output and standard error of `harmattan status`."""
    return await asyncio.to_thread(call, path, *options)


def call(path, *options):
    command = [sys.executable, "-m", "gateway", "status", "--settings", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def read(path, now_ms=None):
    """Return the status as the command reads it."""
    loaded = settings.load(path)
    folder = path.parent / "state"
    return observing.read(
        loaded,
        folder / FILE_NAME,
        running=is_running(folder),
        now_ms=wall_ms() if now_ms is None else now_ms,
    )


async def linked(path, *, is_linked=True):
    """Wait until the running gateway says that it is connected to its broker, or is not."""
    async with asyncio.timeout(DEADLINE_S):
        while bool(read(path).own.unlinked_ms) is is_linked:  # noqa: ASYNC110 - told by a file
            await asyncio.sleep(0.01)


def test_a_post_from_its_first_minute_to_its_end(tmp_path, free_port):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with running(path) as log, contextlib.AsyncExitStack() as stack:
                code, printed, _ = await ask(path, "--json")
                told = json.loads(printed)
                assert (code, told["running"]) == (1, True)
                assert [node["state"] for node in told["nodes"]] == ["never", "never"]
                for name in (NODE, "lane-2"):
                    node = await stack.enter_async_context(connected(free_port, name))
                    await node.be_born(next_seq=2)
                    await node.say_status(online=True)
                    await node.measure_standard()
                    await node.say(node.reading(1, pixels=UREA))
                await log.event("alert_delivered", 2)
                await log.event("node_status", 2, online=True)
                code, printed, _ = await ask(path, "--json")
                told = json.loads(printed)
                assert code == 0, told
                assert [node["state"] for node in told["nodes"]] == ["online", "online"]
                assert (told["records"], told["pending"]) == (4, 0)
                assert [node["calibration"] for node in told["nodes"]] == ["valid", "valid"]
                assert told["nodes"][0]["calibration_age_s"] < 60
                assert told["verdicts"] == {"alarm": 2}
                assert (told["alerts_delivered"], told["alerts_waiting"]) == (2, 0)
                assert told["nodes"][0]["instrument"] == "instrument 1"
                silent = read(path, now_ms=wall_ms() + 3 * 300_000 + 60_000)
                assert {found.state for found in silent.nodes} == {"silent"}
                assert not silent.is_well
                await node.say_health(fault="laser is off")
                await log.event("node_fault", node="lane-2")
                assert not read(path).is_well
                await node.say_status(online=False)
                await log.event("node_status", online=False)
                assert [found.state for found in read(path).nodes] == ["online", "offline"]
        code, printed, _ = await ask(path)
        assert code == 1
        assert "gateway does not run" in printed
        assert "laser is off" in printed
        assert "delivered 2, waiting 0" in printed

    asyncio.run(story())


def test_a_foreign_program_at_the_brokers_port_is_not_our_broker(tmp_path, free_port):
    """The broker died, and before it was back somebody else took its port."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=2)
            await node.say_status(online=True)
            await log.event("node_status", online=True)
            assert read(path).nodes[0].state == "online"
            os.kill(log.events("broker_started")[-1]["pid"], signal.SIGKILL)
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    with contextlib.suppress(OSError):
                        foreign = socket.create_server(("127.0.0.1", free_port))
                        break
                    await asyncio.sleep(0)
            with foreign:
                line = await log.event("task_fault", 2, task="broker")
                assert "Address already in use" in line["text"]
                await linked(path, is_linked=False)
                code, printed, _ = await ask(path)
                assert code == 1
                assert "not connected to its broker since" in printed
                assert "online" not in printed
            await log.event("broker_connected", 2)
            await linked(path)

    with contextlib.suppress(aiomqtt.MqttError):  # the node's connection has ended with the broker
        asyncio.run(story())


def test_an_alert_that_is_stuck_is_a_reason_to_look(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)  # no authority
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=2)
            await node.measure_standard()
            await node.say(node.reading(1, pixels=UREA))
            await log.event("alert")
            assert read(path).alert_fault == "authority.url is empty; set it in the settings"
        write_settings(tmp_path, free_port, url="http://127.0.0.1:1/alerts")
        async with running(path) as log:
            await log.event("alert_delivery_failed")
            found = read(path)
            assert "http://127.0.0.1:1/... is not reached" in found.alert_fault
            assert (found.alerts_waiting, found.is_well) == (1, False)
        console = Console(record=True, width=200)
        show(read(path), console, wall_ms())
        told = console.export_text()
        assert "127.0.0.1:1/... is not reached" in told
        assert "clock:" not in told

    asyncio.run(story())


def test_a_clock_that_cannot_be_right_is_a_reason_to_look(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log:
            await log.event("library_noted")
            await linked(path)
            assert read(path).clock_fault == ""
            found = read(path, now_ms=946_684_800_000)
            well = dict.fromkeys(("alert_fault", "clock_fault"), "") | {"nodes": ()}
            assert msgspec.structs.replace(found, **well).is_well
            well["clock_fault"] = found.clock_fault
            assert not msgspec.structs.replace(found, **well).is_well
        console = Console(record=True, width=200)
        show(found, console, 946_684_800_000)
        assert "clock: this computer's clock says 2000-01-01" in console.export_text()

    asyncio.run(story())


def test_a_fault_of_the_library_is_shown_in_its_own_words(tmp_path, free_port):
    """What holds is known to the gateway, not to the one who looks."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log:
            await log.event("library_noted")
            found = read(path)
        faults = ("x.hlp: damaged; what was in force before stays so",)
        found = msgspec.structs.replace(
            found, library=msgspec.structs.replace(found.library, faults=faults)
        )
        console = Console(record=True, width=200)
        show(found, console, wall_ms())
        assert f"library: {faults[0]}\n" in console.export_text()

    asyncio.run(story())


def test_what_cannot_be_told_is_said_in_a_sentence(tmp_path, free_port):
    code, printed, said = call(tmp_path / "missing.toml")
    assert (code, printed) == (2, "")
    assert said.startswith(f"harmattan: settings {tmp_path / 'missing.toml'}: No such file")
    path = write_settings(tmp_path, free_port)
    with pytest.raises(JournalError, match="`harmattan run` makes it at its first start"):
        read(path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_text("no database at all")
    with pytest.raises(JournalError, match="is not a database"):
        read(path)


def test_looking_at_the_lock_does_not_take_it(tmp_path, free_port):
    """A post can start while somebody looks every moment."""
    folder = tmp_path / "state"
    assert not is_running(folder)
    with locked(folder):
        assert is_running(folder)
    assert not is_running(folder)


def test_a_clock_that_went_back_is_told_instead_of_silence(tmp_path, free_port):
    """Nobody can say how long a node has been silent by a clock that is behind its last word."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            await node.say_status(online=True)
            await log.event("node_status", online=True)
        hour_ms = 3_600_000
        assert read(path).clock_fault == ""
        found = read(path, now_ms=wall_ms() - hour_ms)
        assert "clock went back: a node was heard 3" in found.clock_fault
        assert not found.is_well

    asyncio.run(story())


def test_a_fault_says_where_the_rest_of_it_is(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            await node.say_health(fault="journal: the partition cannot be mounted, it")
            await log.event("node_fault")
            _, printed, _ = await ask(path)
        assert f"it (in short; harmattan command {NODE} log says it all)" in printed

    asyncio.run(story())


def test_a_node_without_spectrometer_needs_no_calibration_and_one_that_lost_its_own_does(
    tmp_path, free_port
):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, contextlib.AsyncExitStack() as stack:
            for name, excitation_pm in ((NODE, 0), ("lane-2", 785_000)):
                node = await stack.enter_async_context(connected(free_port, name))
                await node.be_born(model="", axis_id=None, excitation_pm=excitation_pm)
                await node.say_status(online=True)
            await log.event("node_status", 2, online=True)
            found = read(path)
            told = [(node.calibration, node.is_well) for node in found.nodes]
            assert told == [("unneeded", True), ("absent", False)]
            console = Console(record=True, width=200)
            show(found, console, wall_ms())
            rows = [line.split() for line in console.export_text().splitlines()]
            cells = {row[0]: row[5:7] for row in rows if row[1:2] == ["online"]}  # what, axis set
            assert cells == {NODE: ["-", "-"], "lane-2": ["-", "none"]}

    asyncio.run(story())
