"""Goal: a node's calibration decides what its readings may say, also those that came before it.

Method: the whole gateway in this process; a scripted node measures goods and standards, good ones
and bad ones, before and after each other, with and without a command that names the standard.
"""

import asyncio
import io
import json
import time

import aiomqtt
import pytest
from rich.console import Console

from gateway import settings
from gateway.errors import BrokerError
from gateway.node_calibration import run_node
from protocol import messages, topics
from simulators.headquarters import Headquarters
from tests.gateway.ingest.test_judging import DARK, SUGAR, UREA
from tests.gateway.running import NODE, POST, rows, running, write_settings
from tests.gateway.scripted import connected, polystyrene

COMMAND_ID = b"command1"


async def order(port, argument, *, action=messages.ACTION_CAPTURE):
    """Send a command as `harmattan calibrate` does."""
    command = messages.Command(COMMAND_ID, action, None, argument)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(f"{topics.PREFIX}{POST}/{NODE}/command", command.pack(), qos=1)


def test_nothing_is_decided_before_a_calibration_and_all_of_it_after(tmp_path, free_port):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with running(path) as log, connected(free_port) as node:
                await node.be_born(next_seq=4)
                await node.say(node.dark(3, pixels=DARK))
                await node.say(node.reading(1, pixels=SUGAR, dark_seq=3))
                await node.say(node.reading(2, pixels=UREA, dark_seq=3))
                sugar = await log.event("verdict", seq=1)
                urea = await log.event("verdict", seq=2)
                assert (sugar["verdict"], sugar["reason"]) == ("inconclusive", "not_calibrated")
                assert (urea["verdict"], urea["reason"]) == ("inconclusive", "uncalibrated_listed")
                assert headquarters.alerts() == []
                ((kept,),) = rows(
                    tmp_path,
                    "SELECT explanation FROM verdicts WHERE reason_id = 'uncalibrated_listed'",
                )
                assert json.loads(kept)["parameters"]["substance_ids"] == ["urea"]
                assert json.loads(kept)["calibration"]["state"] == "absent"
                await node.measure_standard()
                made = await log.event("calibration_made")
                assert abs(made["offset_cm1"]) < 0.5
                assert (await log.event("verdict", 2, seq=1))["verdict"] == "clear"
                assert (await log.event("verdict", 2, seq=2))["verdict"] == "alarm"
                await log.event("alert_delivered")
            assert len(headquarters.alerts()) == 1
        assert rows(tmp_path, "SELECT count(*) FROM pending") == [(0,)]
        assert rows(tmp_path, "SELECT count(*) FROM verdicts") == [(2,)]  # a standard has none
        counted = dict(rows(tmp_path, "SELECT name, count FROM counters WHERE subject = ?", NODE))
        assert counted["calibration_made"] == 1

    asyncio.run(story())


def test_the_axis_that_the_standard_shows_is_the_one_used(tmp_path, free_port):
    """First a standard on an axis that reads 11 cm^-1 too high, then on the axis of the goods."""

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=3)
            await node.measure_standard(pixels=polystyrene(11.0))
            made = await log.event("calibration_made")
            assert made["offset_cm1"] == pytest.approx(11.0, abs=0.5)
            await node.say(node.reading(1, pixels=UREA))
            await log.event("verdict", seq=1)
            await node.measure_standard(2)
            await log.event("calibration_made", 2)
            await node.say(node.reading(2, pixels=UREA))
            assert (await log.event("verdict", seq=2))["verdict"] == "alarm"
        found = rows(
            tmp_path,
            "SELECT explanation FROM verdicts v JOIN records r ON r.id = v.record_id"
            " ORDER BY r.seq",
        )
        first, second = (json.loads(explanation) for (explanation,) in found)
        assert first["calibration"]["offset_cm1"] == pytest.approx(11.0, abs=0.5)
        assert second["calibration"]["offset_cm1"] == pytest.approx(0.0, abs=0.5)

    asyncio.run(story())


def test_another_material_is_no_standard_and_ends_what_was_in_force(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=5)
            await node.measure_standard(pixels=SUGAR)
            failed = await log.event("calibration_failed")
            assert failed["fault"] == "wrong_material"
            assert "polystyrene" in failed["text"]
            await node.say(node.reading(1, pixels=UREA))
            assert (await log.event("verdict", seq=1))["reason"] == "uncalibrated_listed"
            await node.measure_standard(2)
            await log.event("calibration_made")
            await node.say(node.reading(2, pixels=UREA))
            assert (await log.event("verdict", seq=2))["verdict"] == "alarm"
            await node.measure_standard(3, pixels=bytes(2048))  # nothing before the probe
            assert (await log.event("calibration_failed", 2))["fault"] == "no_signal"
            await node.say(node.reading(3, pixels=UREA))
            assert (await log.event("verdict", seq=3))["verdict"] == "alarm"
            await node.measure_standard(4, pixels=SUGAR)
            await log.event("calibration_failed", 3)
            await node.say(node.reading(4, pixels=UREA))
            found = await log.event("verdict", seq=4)
            assert (found["verdict"], found["reason"]) == ("inconclusive", "uncalibrated_listed")
        states = rows(tmp_path, "SELECT fault FROM calibrations ORDER BY record_id")
        assert states == [("wrong_material",), ("",), ("no_signal",), ("wrong_material",)]

    asyncio.run(story())


def test_a_calibration_is_of_one_axis(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=2)
            await node.measure_standard()
            await log.event("calibration_made")
            await node.be_born(next_seq=2, axis_id=b"axis-two")
            await node.say(node.reading(1, pixels=UREA, axis_id=b"axis-two"))
            assert (await log.event("verdict", seq=1))["reason"] == "uncalibrated_listed"
            async with connected(free_port, "lane-2") as other:
                await other.be_born(next_seq=2)
                await other.say(other.reading(1, pixels=UREA))
                found = await log.event("verdict", node="lane-2")
                assert found["reason"] == "uncalibrated_listed"

    asyncio.run(story())


def test_a_standard_that_comes_before_its_axis_waits_for_it(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.measure_standard()
            assert (await log.event("calibration_failed"))["fault"] == "no_axis"
            await node.be_born(next_seq=2)
            await log.event("calibration_made")
            await node.say(node.reading(1, pixels=UREA))
            assert (await log.event("verdict", seq=1))["verdict"] == "alarm"
        assert rows(tmp_path, "SELECT fault FROM calibrations") == [("",)]

    asyncio.run(story())


def test_a_command_names_the_standard_of_its_reading(tmp_path, free_port):
    """SPEC 8.5."""

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born()
            await order(free_port, b"\2cyclohexane")
            await log.event("standard_ordered", node=NODE)
            await node.measure_standard(1, inspection_id=COMMAND_ID)
            failed = await log.event("calibration_failed")
            assert (failed["standard"], failed["fault"]) == ("cyclohexane", "wrong_material")
            await node.measure_standard(2)  # no command names it: the settings do
            assert (await log.event("calibration_made"))["standard"] == "polystyrene"

    asyncio.run(story())


@pytest.mark.parametrize(
    "argument", [b"", b"\2", b"\0", b"\2\xff\xfe", b"\7cyclohexane"], ids=bytes.hex
)
def test_a_command_that_names_no_standard_is_none(tmp_path, free_port, argument):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born()
            await order(free_port, argument)
            await node.measure_standard(1, inspection_id=COMMAND_ID)
            await log.event("calibration_made")
            assert log.events("standard_ordered") == []

    asyncio.run(story())


def test_a_standard_nobody_knows_fails_by_name(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born()
            await order(free_port, b"\2kryptonite")
            await log.event("standard_ordered", node=NODE)
            await node.measure_standard(1, inspection_id=COMMAND_ID)
            failed = await log.event("calibration_failed")
            assert failed["fault"] == "unknown_standard"
            assert "polystyrene" in failed["text"]

    asyncio.run(story())


def ask(path, wait_s=30.0, node=NODE):
    """Do what `harmattan calibrate --node` does; return its status and what it says."""
    output = io.StringIO()
    status = run_node(
        settings.load(path),
        node,
        "",
        as_json=True,
        wait_s=wait_s,
        console=Console(file=output, width=200, color_system=None),
    )
    return status, json.loads(output.getvalue())


def is_order(message):
    return isinstance(message, messages.Command) and message.argument == b"\2polystyrene"


def test_the_command_asks_the_node_and_says_what_came_of_it(tmp_path, free_port):
    """SPEC 8.5."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path), connected(free_port) as node:
            await node.be_born()
            asking = asyncio.create_task(asyncio.to_thread(ask, path))
            command = await node.heard.wait(is_order)
            assert command.expires_ms > time.time_ns() // 1_000_000
            await node.measure_standard(1, inspection_id=command.command_id)
            await node.say(messages.Result(command.command_id, messages.OUTCOME_DONE, "seq=1"))
            status, said = await asking
            assert (status, said["state"]) == (0, "valid")

            asking = asyncio.create_task(asyncio.to_thread(ask, path))
            command = await node.heard.wait(is_order, 2)
            await node.publish("result", b"\xc1")  # whatever else comes is passed over
            await node.say(messages.Result(b"another1", messages.OUTCOME_REFUSED, "not this one"))
            await node.say(messages.Result(command.command_id, messages.OUTCOME_REFUSED, "busy"))
            status, said = await asking
            assert (status, said["fault"]) == (2, "not_measured")
            assert said["error"] == "the node did not measure: busy"

    asyncio.run(story())


def test_without_a_standard_the_command_names_that_of_the_settings(tmp_path, free_port):
    """SPEC 8.5."""

    async def story():
        more = '[[nodes]]\nid = "lane-3"\nstandard = "cyclohexane"\n'
        path = write_settings(tmp_path, free_port, more=more)
        async with running(path), connected(free_port, "lane-3") as node:
            await node.be_born()
            asking = asyncio.create_task(asyncio.to_thread(ask, path, node="lane-3"))
            command = await node.heard.wait(lambda one: isinstance(one, messages.Command))
            assert command.argument == b"\2cyclohexane"
            await node.say(messages.Result(command.command_id, messages.OUTCOME_REFUSED, "busy"))
            status, said = await asking
            assert (status, said["error"]) == (2, "the node did not measure: busy")

    asyncio.run(story())


def test_a_node_that_does_not_answer_and_a_broker_that_is_not_there(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path):
            status, said = await asyncio.to_thread(ask, path, 1.0)
            assert (status, said["fault"]) == (2, "not_measured")
            assert "nothing came from node 'lane-1' within 1 s" in said["error"]
        with pytest.raises(BrokerError, match="start the post with `harmattan run`"):
            await asyncio.to_thread(ask, path)

    asyncio.run(story())


def test_an_old_calibration_counts_no_more(tmp_path, free_port, monkeypatch):
    """The gateway's clock goes on by 31 days between the standard and the goods."""
    real, later_ns = time.time_ns, []
    monkeypatch.setattr(time, "time_ns", lambda: real() + sum(later_ns))

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=3)
            await node.measure_standard()
            await log.event("calibration_made")
            later_ns.append(31 * 86_400 * 10**9)
            node.boot_id = b"boot-two"  # within a boot its uptime would tell a clock that was set
            await node.be_born(next_seq=3)
            await node.say(node.reading(1, pixels=UREA))
            found = await log.event("verdict", seq=1)
            assert found["reason"] == "uncalibrated_listed"
            assert "too old" in found["text"]
            await node.measure_standard(2)
            assert (await log.event("verdict", 2, seq=1))["verdict"] == "alarm"

    asyncio.run(story())
