"""Goal: killing broker, gateway or node at any moment loses no reading and doubles no alert.

Method: a real lane. At each moment of a reading's way (a signal of the node, an event of the
gateway's log) one victim is killed with SIGKILL in the very callback that sees the moment, and
started again. An officer presses the button once more only if the node never said *stored*. When
all moments are through, everything the node ever called stored must be committed exactly once,
judged, and every alarm stored at headquarters exactly once.
"""

import asyncio
import contextlib

import pytest

from simulators.events import Event, matches
from simulators.lane import (
    MEASURE_S_MAX,
    START_S_MAX,
    Lane,
    Stored,
    read_committed,
    read_judged,
    stored,
)
from simulators.post import SOURCE
from simulators.world import parse_sample

NODE = "lane-1"
# (who says it, what, of which frame): the way of a reading, from the button to the authority's
# receipt. Not every kill lets a reading come about: one per frame stored is the least to expect.
MOMENTS: list[tuple[str, str, dict[str, object]]] = [
    (NODE, "measuring", {"role": "sample"}),
    (NODE, "stored", {"role": "sample"}),
    (SOURCE, "record_committed", {}),
    (NODE, "sent", {}),
    (SOURCE, "verdict", {}),
    (SOURCE, "alert", {}),
    (SOURCE, "alert_delivered", {}),
]
PRESS_AGAIN_S = 5.0  # a measurement takes one
READINGS_MIN = 5  # of seven moments: a node killed while measuring, or at its dark frame, has none


class Killer:
    """Kills once, at the first event that is the armed moment."""

    def __init__(self, lane: Lane, victim: str) -> None:
        self._lane = lane
        self._victim = victim
        self._moment: tuple[str, str, dict[str, object]] | None = None
        self._links = 0
        self.struck = asyncio.Event()
        lane.events.listen(self._see)

    def arm(self, moment: tuple[str, str, dict[str, object]]) -> None:
        self._moment = moment
        self.struck.clear()

    def _see(self, event: Event) -> None:
        if self._moment is None:
            return
        source, name, fields = self._moment
        if not matches(event, source, name, fields):
            return
        self._moment = None
        if self._victim == "broker":
            self._links = len(self._lane.events.all(SOURCE, "broker_connected"))
            self._lane.post.kill_broker()
        elif self._victim == "gateway":
            self._lane.post.kill_now()
        else:
            self._lane.node.kill_now()
        self.struck.set()

    async def revive(self) -> None:
        """Start the victim again; the gateway itself starts its broker, and is only waited for."""
        lane = self._lane
        if self._victim == "broker":
            await lane.events.wait(
                SOURCE, "broker_connected", deadline_s=START_S_MAX, count=self._links + 1
            )
        elif self._victim == "gateway":
            await lane.post.kill()
            await lane.post.start()
        else:
            births = len(lane.events.all(NODE, "ready"))
            await lane.node.kill()
            await lane.node.start()
            await lane.events.wait(NODE, "ready", deadline_s=START_S_MAX, count=births + 1)


async def press_until(lane: Lane, struck: asyncio.Event) -> None:
    """Do what an officer does when nothing comes of a press: press again."""
    async with asyncio.timeout(MEASURE_S_MAX):
        while not struck.is_set():
            await lane.node.press()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(struck.wait(), PRESS_AGAIN_S)


async def tell_story(lane: Lane, victim: str) -> None:
    killer = Killer(lane, victim)
    lane.line.present(parse_sample("ammonium_nitrate in ldpe", lane.substances))
    for moment in MOMENTS:
        killer.arm(moment)
        await press_until(lane, killer.struck)
        await killer.revive()
    # The last word: one more reading that nobody disturbs, so that the lane has surely healed.
    final = await lane.measure(parse_sample("ammonium_nitrate", lane.substances))
    await lane.receipted(final)


def samples_stored(lane: Lane) -> list[Stored]:
    """Everything the node has ever called stored, dark frames included."""
    return [stored(event) for event in lane.events.all(NODE, "stored")]


async def check(lane: Lane) -> None:
    readings = samples_stored(lane)
    promised = {(reading.journal, reading.seq) for reading in readings}
    wanted = sorted(
        lane.alert_id(stored(event)) for event in lane.events.all(NODE, "stored", role="sample")
    )
    assert len(wanted) >= READINGS_MIN, "the story made too few readings to prove anything"
    async with asyncio.timeout(MEASURE_S_MAX):
        # Another process writes these files: there is nothing to wait on but the files themselves.
        while not (  # noqa: ASYNC110
            promised <= set(read_committed(lane.post.journal_path))
            and set(wanted) <= {alert["alert_id"] for alert in lane.headquarters.alerts()}
        ):
            await asyncio.sleep(0.1)
    rows = read_committed(lane.post.journal_path)
    assert len(rows) == len(set(rows)), "a record is committed twice"
    # Every sample is ammonium nitrate, also one whose *stored* the power cut swallowed.
    verdicts = read_judged(lane.post.journal_path)
    assert {judged.verdict for judged in verdicts} == {"alarm"}
    received = sorted(alert["alert_id"] for alert in lane.headquarters.alerts())
    assert received == sorted(
        lane.alert_id(Stored(judged.journal, judged.seq, "")) for judged in verdicts
    ), "an alert is missing or made up"
    assert set(wanted) <= set(received)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["broker", "gateway", "node"])
def test_killed_at_every_moment_of_a_readings_way(tmp_path, victim):
    async def story() -> None:
        async with Lane(tmp_path) as lane:
            await lane.ready()
            assert (await lane.calibrate())["status"] == 0
            await tell_story(lane, victim)
            await check(lane)

    asyncio.run(story())
