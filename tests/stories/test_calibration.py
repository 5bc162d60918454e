"""Goal: whoever has a standard in hand sets the axis of a node, by the command or by the button.

Method: a real lane whose laser has drifted by 0.2 nm. The goods are measured before anybody has
calibrated; then the real `harmattan calibrate` asks the real node over the real broker; then it is
shown the wrong material; then somebody only holds the button.
"""

import asyncio

import pytest

from simulators.lane import MEASURE_S_MAX, START_S_MAX, Lane, read_judged, read_rows
from simulators.post import SOURCE
from simulators.world import parse_sample


async def wait_verdict(lane, reading, name):
    """Wait until a reading has this verdict, which another process writes."""
    async with asyncio.timeout(MEASURE_S_MAX):
        while True:
            for judged in read_judged(lane.post.journal_path):
                if (judged.journal, judged.seq, judged.verdict) == (
                    reading.journal,
                    reading.seq,
                    name,
                ):
                    return judged
            await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
def test_a_node_is_calibrated_by_command_and_by_button(tmp_path):
    async def story():
        async with Lane(tmp_path) as lane:
            await lane.ready()
            urea = await lane.measure(parse_sample("urea", lane.substances))
            judged = await lane.judged(urea)
            assert judged.verdict == "inconclusive"
            assert "Urea" in judged.text
            assert "the instrument is not calibrated" in judged.text

            found = await lane.calibrate()
            assert (found["status"], found["state"]) == (0, "valid"), found
            assert 2.0 < found["offset_cm1"] < 5.0  # 0.2 nm are 3.2 cm^-1, and the unit's own part
            assert found["uncertainty_cm1"] < 3.0
            assert found["instrument"].startswith("ventana")
            await wait_verdict(lane, urea, "alarm")  # judged again
            await lane.delivered(lane.alert_id(urea))

            # Sugar is no polystyrene: the command says so, and nothing is decided any more.
            lane.line.present(parse_sample("sucrose", lane.substances))
            refused = await lane.calibrate(present=False)
            assert (refused["status"], refused["fault"]) == (1, "wrong_material"), refused
            sugar = await lane.measure(parse_sample("sucrose", lane.substances))
            assert (await lane.judged(sugar)).verdict == "inconclusive"

            lane.line.present(parse_sample("polystyrene", lane.substances))
            await lane.hold_button()
            await lane.events.wait(SOURCE, "calibration_made", deadline_s=START_S_MAX, count=2)
            again = await lane.measure(parse_sample("sucrose", lane.substances))
            assert (await lane.judged(again)).verdict == "clear"
            # What was measured while the axis was in doubt is not trusted afterwards.
            assert (await lane.judged(sugar)).verdict == "inconclusive"
            kept = read_rows(
                lane.post.journal_path,
                "SELECT standard_id, fault FROM calibrations ORDER BY record_id",
            )
        assert kept == [
            ("polystyrene", ""),
            ("polystyrene", "wrong_material"),
            ("polystyrene", ""),
        ]

    asyncio.run(story())
