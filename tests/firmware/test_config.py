"""Goal: a config under which the gateway is not heard goes by itself, and does not come back.

Method: the firmware in a real MicroPython, its time running faster, a real mosquitto, and a client
that plays the gateway: it answers, or it does not.
"""

import asyncio
import dataclasses
import signal

from protocol import messages
from simulators.board import POWER_ON
from simulators.spectrometer.models import MODELS
from tests.firmware.conftest import INTEGRATION_US, BoardProgram

FAST = 100  # the trial of 300 s takes three


def config(version):
    return messages.Config(version, 30_000, 2, 0, 60, 4, 60_000)


def test_a_config_is_taken_back_without_the_gateway_and_kept_with_it(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node(options={"speed": FAST})
            assert (await gateway.wait("birth")).config_version == 0
            await gateway.say(config(8))
            await gateway.wait("birth", lambda m: m.config_version == 8)
            after = len(gateway.heard.items)
            birth = await gateway.wait("birth", lambda m: m.config_version == 0, after=after)
            fault = await node.wait("fault", what="config")
            assert "config 8 was taken back: the gateway was not heard for 300 s" in fault["text"]
            await gateway.wait("health", lambda m: m.fault.startswith("config: config 8 was taken"))
            # The broker still has config 8 and says it at each connection: it is passed over.
            await bench.kill_broker()
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await gateway.say(config(8))
            await gateway.wait("birth")
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command1", messages.ACTION_BIRTH, None, b""))
            assert (await gateway.wait("birth", after=after)).config_version == 0

            await gateway.say(config(9))
            birth = await gateway.wait("birth", lambda m: m.config_version == 9)
            assert not (bench.folder / "config.bin").exists()
            time = messages.Time(1_000, messages.TIME_GATEWAY, birth.boot_id, birth.uptime_ms)
            await gateway.say(time)
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command2", messages.ACTION_BIRTH, None, b""))
            await gateway.wait("birth", after=after)
            assert (bench.folder / "config.bin").read_bytes()[6:] == config(9).pack()
            assert not (bench.folder / "config.trial").exists()

    asyncio.run(story())


def test_a_config_that_ends_two_starts_is_taken_back(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node()
            await gateway.wait("birth")
            await gateway.say(config(8))
            await gateway.wait("birth", lambda m: m.config_version == 8)
            for version in (8, 0):
                await node.end(signal.SIGKILL)
                after = len(gateway.heard.items)
                node = await bench.start_node(program=BoardProgram)
                assert node.causes == [POWER_ON]
                birth = await gateway.wait("birth", lambda m: m.oldest_seq, after=after)
                assert birth.config_version == version
            fault = await node.wait("fault", what="config")
            assert "config 8 was taken back: the node started twice" in fault["text"]

    asyncio.run(story())


def test_a_config_the_instrument_cannot_do_is_refused_or_taken_back(bench):
    """It tells the limits of its integration; those of its scans the first exposure does."""

    async def story(integration_us, scans, words, version):
        await bench.plug()
        node = await bench.start_node()
        await node.wait("ready")
        gateway = await bench.start_gateway()
        await gateway.say(messages.Config(version, integration_us, scans, 0, 60, 4, 60_000))
        if scans > 1:
            await gateway.wait("birth", lambda m: m.config_version == version)
            await node.press()
        fault = await node.wait("fault", what="config")
        assert words in fault["text"], fault
        assert not (bench.folder / "config.bin").exists()
        after = len(node.signals.items)
        await node.wait("ready", after=after if scans > 1 else 0)
        await bench.take()
        await gateway.wait("reading", lambda m: m.integration_us == INTEGRATION_US)

    async def both():
        async with bench:
            await bench.start_broker()
            await story(1, 1, "config 8 is not used: integration_us is 1; instrument VEN", 8)
            await bench.node.end(signal.SIGKILL)
            (bench.folder / "tty").unlink()
            words = "config 9 was taken back: the instrument refuses integration_us %d with scans"
            await story(INTEGRATION_US, 5001, words % INTEGRATION_US, 9)

    asyncio.run(both())


def test_an_instrument_that_counts_in_steps_is_exposed_in_them(bench):
    """An hdx counts its integration in steps of 10; who writes another one is told."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug(model="hdx")
            line.present(bench.sample("paracetamol"))
            node = await bench.start_node()
            await node.wait("ready")
            automatic = messages.EXPOSURE_AUTOMATIC
            await gateway.say(messages.Config(8, 400_005, 1, 0, 60, 8, 5_000, automatic))
            await gateway.wait("birth", lambda m: m.config_version == 8)
            await gateway.say(messages.Command(b"command1", messages.ACTION_CAPTURE, None, b"\x01"))
            dark = await gateway.wait("reading")
            assert (dark.role, dark.integration_us) == (messages.ROLE_DARK, 400_010)
            await node.press()
            is_sample = lambda m: m.role == messages.ROLE_SAMPLE  # noqa: E731
            sample = await gateway.wait("reading", is_sample)
            rungs = {10 << step for step in range(24)}
            assert sample.integration_us % 10 == 0
            assert sample.integration_us not in rungs, "another sample: this one shows nothing"
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command2", messages.ACTION_BIRTH, None, b""))
            assert (await gateway.wait("birth", after=after)).config_version == 8

            await gateway.say(messages.Config(9, 400_005, 1, 0, 60, 8, 5_000))
            await gateway.wait("birth", lambda m: m.config_version == 9)
            await node.press()
            fault = await node.wait("fault", what="config")
            words = "config 9 was taken back: the instrument made integration_us 400000 of 400005;"
            assert words in fault["text"], fault

    asyncio.run(story())


def test_what_the_automatic_exposure_chose_is_not_the_configs_fault(bench, monkeypatch):
    """An instrument that averages nothing refuses the scans; nobody had written them."""
    model = dataclasses.replace(MODELS["sts_785"], scans_max=1)
    monkeypatch.setitem(MODELS, "sts_785", model)

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug(model="sts_785")
            line.present(bench.sample("sucrose in pet"))
            node = await bench.start_node()
            await node.wait("ready")
            automatic = messages.EXPOSURE_AUTOMATIC
            await gateway.say(messages.Config(8, 400_000, 1, 0, 60, 8, 5_000, automatic))
            await gateway.wait("birth", lambda m: m.config_version == 8)
            await node.press()
            fault = await node.wait("fault", what="instrument")
            assert "the instrument refuses integration_us" in fault["text"], fault
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command1", messages.ACTION_BIRTH, None, b""))
            assert (await gateway.wait("birth", after=after)).config_version == 8

    asyncio.run(story())
