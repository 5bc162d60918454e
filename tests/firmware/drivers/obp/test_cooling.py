"""Goal: somebody at the lane learns that a detector is warm, and is not kept from measuring.

Method: a whole node on a simulated instrument that has no cooler, told to cool it.
"""

import asyncio


def test_a_warm_detector_is_a_fault_and_no_end(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            await bench.plug(model="hdx")
            given = bench.settings()["instrument"] | {"cooler": True}
            node = await bench.start_node(instrument=given)
            fault = await node.wait("fault", what="detector")
            assert "the detector cannot be cooled to -10 C" in fault["text"]
            assert "set instrument.cooler to false" in fault["text"]
            await node.wait("ready")
            assert await bench.take() > 0

    asyncio.run(story())
