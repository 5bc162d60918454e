"""Goal: killing broker, gateway or node at any moment loses no reading and doubles no alert.

Method: a real lane. At each moment of a reading's way (a signal of the node, an event of the
gateway's log) one victim is killed with SIGKILL in the very callback that sees the moment, and
started again. An officer presses the button once more only if the node never said *stored*. When
all moments are through, everything the node ever called stored must be committed exactly once,
judged, and every alarm stored at headquarters exactly once.
"""

import asyncio

import pytest

from simulators.demo import committed
from simulators.events import Event
from simulators.lane import MEASURE_S_MAX, START_S_MAX, Lane, Stored, stored
from simulators.post import SOURCE
from simulators.programs import ProgramError
from simulators.world import parse_sample

NODE = "lane-1"
# (who says it, what): the way of a reading, from the button to the authority's receipt.
MOMENTS = [
    (NODE, "measuring"),
    (NODE, "stored"),
    (SOURCE, "record_committed"),
    (SOURCE, "verdict"),
    (SOURCE, "alert"),
    (SOURCE, "alert_delivered"),
]


class Killer:
    """Kills once, at the first event that is the armed moment."""

    def __init__(self, lane: Lane, victim: str) -> None:
        self._lane = lane
        self._victim = victim
        self._moment: tuple[str, str] | None = None
        self.struck = asyncio.Event()
        lane.events.listen(self._see)

    def arm(self, moment: tuple[str, str]) -> None:
        self._moment = moment
        self.struck.clear()

    def _see(self, event: Event) -> None:
        if (event.source, event.name) != self._moment:
            return
        self._moment = None
        if self._victim == "broker":
            self._lane.post.kill_broker()
        elif self._victim == "gateway":
            self._lane.post.kill_now()
        else:
            self._lane.node.kill_now()
        self.struck.set()

    async def revive(self) -> None:
        """Start the victim again; the broker is the gateway's child and comes back by itself."""
        lane = self._lane
        if self._victim == "gateway":
            await lane.post.kill()
            await lane.post.start()
        elif self._victim == "node":
            births = len(lane.events.all(NODE, "ready"))
            await lane.node.kill()
            await lane.node.start()
            await lane.events.wait(NODE, "ready", deadline_s=START_S_MAX, count=births + 1)


async def press_until_stored(lane: Lane) -> None:
    """Do what an officer does: press again when the node died before it said *stored*."""
    before = len(lane.events.all(NODE, "stored"))
    for _ in range(3):
        try:
            await lane.node.press()
            await lane.events.wait(NODE, "stored", deadline_s=MEASURE_S_MAX / 3, count=before + 2)
        except (TimeoutError, ProgramError):
            continue
        return


async def tell_story(lane: Lane, victim: str) -> None:
    killer = Killer(lane, victim)
    lane.line.present(parse_sample("ammonium_nitrate in ldpe", lane.substances))
    for moment in MOMENTS:
        killer.arm(moment)
        await lane.node.press()
        async with asyncio.timeout(MEASURE_S_MAX):
            await killer.struck.wait()
        await killer.revive()
    # The last word: one more reading that nobody disturbs, so that the lane has surely healed.
    final = await lane.measure(parse_sample("ammonium_nitrate", lane.substances))
    await lane.receipted(final)


def samples_stored(lane: Lane) -> list[Stored]:
    """Everything the node has ever called stored, dark frames included."""
    return [stored(event) for event in lane.events.all(NODE, "stored")]


async def check(lane: Lane) -> None:
    promised = {(reading.journal, reading.seq) for reading in samples_stored(lane)}
    async with asyncio.timeout(MEASURE_S_MAX):
        while missing := promised - set(committed(lane.post.journal_path)):
            await asyncio.sleep(0.1)  # polls a database file; the deadline is above
    assert not missing
    rows = committed(lane.post.journal_path)
    assert len(rows) == len(set(rows)), "a record is committed twice"
    alarms = [
        event for event in lane.events.all(SOURCE, "verdict") if event.fields["verdict"] == "alarm"
    ]
    wanted = {
        f"demo.{NODE}.{event.fields['journal']}.{event.fields['seq']}" for event in alarms
    }
    assert len(wanted) >= len(MOMENTS), "the story made too few alarms to prove anything"
    async with asyncio.timeout(MEASURE_S_MAX):
        while {alert["alert_id"] for alert in lane.headquarters.alerts()} < wanted:
            await asyncio.sleep(0.1)
    received = [alert["alert_id"] for alert in lane.headquarters.alerts()]
    assert sorted(received) == sorted(wanted), "an alert is missing, doubled or made up"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["broker", "gateway", "node"])
def test_killed_at_every_moment_of_a_readings_way(tmp_path, victim):
    async def story() -> None:
        async with Lane(tmp_path) as lane:
            await lane.events.wait(SOURCE, "broker_connected", deadline_s=START_S_MAX)
            await lane.ready()
            await tell_story(lane, victim)
            await check(lane)

    asyncio.run(story())
