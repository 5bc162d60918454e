"""Goal: a node that cannot stay up still talks to the post, and loses nothing.

Method: a real lane. A reading is stored while no gateway listens; then the node gets a driver that
cannot be loaded. After five crashes it must reach the real gateway in safe mode, say what crashed,
and send what it had kept. Mended, it measures again, and everything is committed once.
"""

import asyncio

from simulators.board import HARD_RESET
from simulators.lane import START_S_MAX, Lane, read_committed, stored
from simulators.post import SOURCE
from simulators.world import parse_sample
from tests.firmware.broken import make_firmware

NODE = "lane-1"
CRASHES = 5


def test_a_node_whose_driver_crashes_reaches_the_gateway_and_keeps_its_readings(tmp_path):
    async def story():
        async with Lane(tmp_path / "lane") as lane:
            await lane.ready()
            await lane.post.kill()
            kept = await lane.measure(parse_sample("paracetamol", lane.substances))
            await lane.node.kill()
            firmware, lane.node.firmware = lane.node.firmware, make_firmware(tmp_path)
            lane.node.settings["instrument"]["driver"] = "raises"
            await lane.node.start()
            fault = await lane.events.wait(NODE, "fault", deadline_s=START_S_MAX, what="node")
            resets = lane.events.all(NODE, "reset")
            assert [event.fields["cause"] for event in resets] == [HARD_RESET] * CRASHES
            assert "safe mode after 5 crashes: driver: ZeroDivisionError" in fault.fields["text"]

            await lane.post.start()
            told = await lane.events.wait(SOURCE, "node_fault", deadline_s=START_S_MAX, node=NODE)
            assert told.fields["text"].startswith("node: safe mode after 5 crashes: driver: Zero")
            await lane.receipted(kept)  # in safe mode, from a journal that is only read

            lane.node.firmware = firmware
            lane.node.settings["instrument"]["driver"] = "obp"
            readies = len(lane.events.all(NODE, "ready"))
            await lane.node.kill()
            await lane.node.start()
            await lane.events.wait(NODE, "ready", deadline_s=START_S_MAX, count=readies + 1)
            assert not lane.events.all(NODE, "fault", what="node")[1:]
            await lane.receipted(await lane.measure(parse_sample("paracetamol", lane.substances)))
            promised = [
                (reading.journal, reading.seq)
                for reading in map(stored, lane.events.all(NODE, "stored"))
            ]
            rows = read_committed(lane.post.journal_path)
            assert sorted(rows) == sorted(promised)
            assert len(rows) == 4  # a dark frame and a sample of each start

    asyncio.run(story())
