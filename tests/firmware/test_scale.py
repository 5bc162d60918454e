"""Goal: a weight at the lane is a record at the gateway, and the gateway can ask for one.

Method: the firmware in a real MicroPython, a real mosquitto, a simulated scale on a
pseudo-terminal, no spectrometer, and a client that plays the gateway.
"""

import asyncio
from decimal import Decimal

from protocol import messages
from protocol.messages import ACTION_TARE, ACTION_WEIGH, ACTION_ZERO
from simulators.line import Line
from simulators.scale.device import Scale
from simulators.scale.pan import Build

QUICK = Build(settle_s=0.05)


def test_weights_orders_and_troubles_of_a_scale(bench):
    """SPEC 8.10, SPEC 3.7."""

    async def story():
        loop = asyncio.get_running_loop()
        scale = Scale(QUICK, seed=1, now_s=loop.time())
        link = bench.folder / "scale"

        async def answer(number, action):
            await gateway.say(messages.Command(b"%08d" % number, action, None, b""))
            return await gateway.wait("result", lambda m: m.command_id == b"%08d" % number)

        async with bench, Line(scale, link=link) as line:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            usual = bench.settings
            bench.settings = lambda **changes: {
                key: value for key, value in usual(**changes).items() if key != "instrument"
            }
            node = await bench.start_node(readers=[{"driver": "mt_sics", "port": str(link)}])
            await node.log.wait(lambda said: scale.serial_number in said)
            ready = len(node.log.items)
            scale.place(Decimal(12_500), loop.time())
            event = await gateway.wait("event")
            assert (event.event_type, event.stable) == (messages.EVENT_WEIGHT, True)
            assert abs(event.mass_mg - 12_500_000) <= 2_000
            assert event.content == b"S S %10.3f kg" % (event.mass_mg / 1e6)
            assert (await answer(1, ACTION_TARE)).outcome == messages.OUTCOME_DONE
            scale.place(Decimal(2_000), loop.time())
            net = await gateway.wait("event", lambda m: m.seq > event.seq)
            assert abs(net.mass_mg - 2_000_000) <= 2_000
            assert net.inspection_id == event.inspection_id
            weighed = await answer(2, ACTION_WEIGH)
            again = await gateway.wait("event", lambda m: m.seq > net.seq)
            assert weighed.outcome == messages.OUTCOME_DONE
            assert weighed.detail == f"{again.mass_mg} mg; record {again.seq}"
            zeroed = await answer(3, ACTION_ZERO)
            assert zeroed.outcome == messages.OUTCOME_FAILED
            assert "does not zero what lies on it: Z +" in zeroed.detail
            scale.place(Decimal(60_000), loop.time())
            trouble = await node.wait("fault", what="mt_sics")
            await node.log.wait(lambda said: said == f"fault of mt_sics: {trouble['text']}")
            refused = await answer(4, ACTION_WEIGH)
            assert refused.outcome == messages.OUTCOME_FAILED
            assert refused.detail.startswith("overload: too much lies on the scale on")
            scale.remove(loop.time())
            told = await gateway.wait("health", lambda m: "mt_sics: overload" in m.fault)
            await gateway.wait("health", lambda m: m.uptime_ms > told.uptime_ms and not m.fault)
            await line.unplug(0.2)
            await node.wait("fault", what="mt_sics", after=len(node.signals.items) - 1)
            await node.log.wait(lambda said: scale.serial_number in said, after=ready + 1)
            scale.place(Decimal(14_500), loop.time())
            last = await gateway.wait("event", lambda m: m.seq > again.seq)
            assert abs(last.mass_mg - 2_000_000) <= 2_000  # what was tared is still tared
            assert gateway.count("event") == 4
            assert line.bytes_lost == 0

    asyncio.run(story())
