"""Goal: whatever hangs or crashes, the node comes back, says what it was, and can be talked to.

Method: drivers that break the node in every way, in the real firmware on a real MicroPython whose
watchdog is the operating system's alarm clock, started again as a board would. Counts in the file
`boots` stand for crashes that the unit tests have made. What takes half an hour runs faster.
"""

import asyncio
import signal

import pytest

from protocol import messages
from simulators.board import HARD_RESET, POWER_ON, WATCHDOG
from tests.firmware.broken import make_firmware
from tests.firmware.conftest import BoardProgram

FAST = 100
CRASHED = "%d 3 -\nacquire: hangs"  # the file `boots` of a node that crashed so often


@pytest.fixture
def broken(bench, tmp_path):
    """Return a function that starts a node with one of the broken drivers on a board."""
    root = tmp_path / "root"
    make_firmware(root)

    async def start(driver, speed=1, cause=POWER_ON, folder=None, **changes):
        given = bench.settings()["instrument"] | {"driver": driver}
        return await bench.start_node(
            program=BoardProgram,
            folder=folder,
            options={"root": root, "speed": speed, "cause": cause},
            instrument=given,
            **changes,
        )

    return start


def test_a_hang_ends_in_a_reset_and_the_next_start_says_what_hung(bench, broken):
    """The newest of five crashes, so that the node stays where it can be asked; all at once."""
    hangs = {
        "loads": (1, "driver: hangs: the watchdog was not fed"),
        "holds": (1, "acquire: hangs: the watchdog was not fed"),
        "waits": (FAST, "acquire: hangs: reported nothing for too long"),
    }

    async def hang(driver):
        speed, words = hangs[driver]
        folder = bench.folder / driver
        folder.mkdir()
        (folder / "boots").write_text("4 1 trial\n")
        node = await broken(driver, speed=speed, folder=folder, watchdog_s=4)
        fault = await node.wait("fault", what="node")
        assert f"safe mode after 5 crashes: {words}" in fault["text"]
        assert node.causes == [POWER_ON, WATCHDOG]
        assert (folder / "crash.last").read_text().startswith(words)

    async def story():
        async with bench:
            await asyncio.gather(*(hang(driver) for driver in hangs))

    asyncio.run(story())


def test_a_driver_that_fails_each_time_is_lived_with(bench, broken):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await broken("fails")
            await gateway.wait("health", lambda m: m.failure_count >= 2)
            fault = await node.wait("fault", what="acquire")
            assert fault["text"].startswith("a bug; started again, have the log")
            assert node.causes == [POWER_ON]
            words = (bench.folder / "crash").read_text()
            assert words.startswith("acquire: ValueError: a bug\n")
            assert "failures by task: acquire 1" in words
            assert "line" in words
            await node.end(signal.SIGKILL)
            node = await broken("fails")
            await node.log.wait(lambda line: "the start before this one left: acquire" in line)

    asyncio.run(story())


def test_in_safe_mode_a_node_talks_and_does_not_measure(bench, broken):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await bench.take()
            await node.end(signal.SIGKILL)
            before = sorted((bench.folder / "journal").iterdir())
            (bench.folder / "boots").write_text(CRASHED % 4)
            after = len(gateway.heard.items)
            node = await broken("raises", cause=WATCHDOG)
            await node.wait("fault", what="node")
            birth = await gateway.wait("birth", lambda m: m.oldest_seq, after=after)
            assert (birth.oldest_seq, birth.next_seq, birth.instrument_serial) == (1, 3, "")
            health = await gateway.wait("health", lambda m: m.fault, after=after)
            assert health.fault.startswith("node: safe mode after 5 crashes: watchdog: what ")
            for seq in (1, 2):
                again = await gateway.wait("reading", lambda m, seq=seq: m.seq == seq, after=after)
            await gateway.say(messages.Receipt(again.journal_id, 2, ()))
            await node.wait("sent", seq=2)
            await gateway.say(messages.Command(b"command1", messages.ACTION_CAPTURE, None, b""))
            result = await gateway.wait("result")
            assert result.outcome == messages.OUTCOME_REFUSED
            assert "safe mode" in result.detail
            assert "reboot" in result.detail
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command2", messages.ACTION_BIRTH, None, b""))
            birth = await gateway.wait("birth", after=after)
            assert (birth.oldest_seq, birth.next_seq) == (3, 3)
            assert sorted((bench.folder / "journal").iterdir()) == before

    asyncio.run(story())


def test_safe_mode_leaves_a_journal_alone_that_is_what_crashes(bench, broken):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            (bench.folder / "identity").write_text("0102030405060708 41 0")
            (bench.folder / "journal").write_text("no folder at all")
            (bench.folder / "boots").write_text("4 3 @journal\n")
            node = await broken("raises", cause=WATCHDOG)
            birth = await gateway.wait("birth")
            assert birth.journal_id == bytes(range(1, 9))
            assert (birth.oldest_seq, birth.next_seq) == (1, 41)  # nothing is given up
            fault = await node.wait("fault", what="journal")
            assert "left alone" in fault["text"]

    asyncio.run(story())


def test_after_half_an_hour_safe_mode_tries_a_full_start(bench, broken):
    async def story():
        async with bench:
            (bench.folder / "boots").write_text(CRASHED % 4)
            node = await broken("raises", speed=1000, cause=WATCHDOG)
            await node.wait("fault", what="node")
            after = len(node.signals.items)
            await node.wait("stopped", after=after)
            await node.log.wait(lambda line: "the node crashed: Traceback" in line)
            fault = await node.wait("fault", what="node", after=after)
            assert "safe mode after 5 crashes: driver: ZeroDivisionError" in fault["text"]
            assert node.causes == [WATCHDOG, HARD_RESET, HARD_RESET]

    asyncio.run(story())


def test_a_node_that_waits_for_people_and_back_offs_is_not_starved(bench, broken):
    """A task that owed a report would end each start long before it counts as proven."""

    async def story():
        async with bench:
            (bench.folder / "boots").write_text(CRASHED % 1)
            node = await broken("fails", speed=200, cause=WATCHDOG, watchdog_s=1)
            await node.log.wait(lambda line: "2 crashes before it are forgotten" in line)
            assert (bench.folder / "boots").read_text() == "0 3 -\n"

    asyncio.run(story())


def test_where_safe_mode_crashes_as_well_the_node_waits_before_it_starts(bench, broken):
    async def story():
        async with bench:
            (bench.folder / "boots").write_text(CRASHED % 9)
            node = await broken("raises", cause=WATCHDOG)
            await node.log.wait(lambda line: "safe mode crashes: watchdog: what hung" in line)
            assert not node.signals.items

    asyncio.run(story())


def test_a_reset_nobody_asked_for_is_told(bench):
    """On an ESP32 a panic and `machine.reset()` have one cause; the mark tells them apart."""

    async def story():
        async with bench:
            node = await bench.start_node(program=BoardProgram, options={"cause": HARD_RESET})
            fault = await node.wait("fault", what="node")
            assert "started again after crash 1," in fault["text"]
            assert "reset: nobody asked for it; a fault below Python" in fault["text"]
            await node.end(signal.SIGKILL)
            node = await bench.start_node(program=BoardProgram)  # power
            await node.wait("fault", what="instrument")
            assert not [fields for _, fields in node.signals.items if fields.get("what") == "node"]

    asyncio.run(story())
