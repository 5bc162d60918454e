"""Goal: a scale at the lane is read, ordered about, and its troubles are told and taken back.

Method: the drivers of many scales in one real MicroPython, each on the simulator's pseudo-terminal;
the test stands beside them, puts things on and off, and waits for what each driver says.
"""

import asyncio
import re
from decimal import Decimal

import pytest

from simulators.faults import LINE_KINDS, FaultPlan, parse_fault
from simulators.line import Line
from simulators.scale.device import Scale
from simulators.scale.pan import Build
from tests.firmware.conftest import DEADLINE_S, REPOSITORY, STORIES, Watched

KG = Decimal(1000)
QUICK = Build(settle_s=0.05)


class Bench:
    """One scale and what its driver has said so far."""

    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.scale = line.device
        self.said = Watched()
        self.seen = 0
        self.order = None

    def now_s(self):
        return asyncio.get_running_loop().time()

    def place(self, mass_g):
        self.scale.place(mass_g, self.now_s())

    def press(self, key):
        self.scale.press(key, self.now_s())
        self.line.speak()

    async def hear(self, pattern):
        """Return the next line that matches; what came before it must not be a weight."""
        line = await self.said.wait(
            lambda line: re.search(pattern, line) is not None, after=self.seen
        )
        at = self.said.items.index(line, self.seen)
        assert not [one for one in self.said.items[self.seen : at] if one.startswith("item")]
        self.seen = at + 1
        return line

    async def weight(self):
        """Return (milligrams, stable, the scale's line) of the next record."""
        return item_of(await self.hear("^item"))


def item_of(line):
    found = re.search(r"\(3, '', b'(.*)', (-?\d+), (\w+)\)", line)
    return int(found[2]), found[3] == "True", found[1]


async def put_on_and_off(bench):
    bench.place(Decimal(12_500))
    mass_mg, stable, content = await bench.weight()
    assert abs(mass_mg - 12_500_000) <= 2_000
    assert stable
    assert content == f"S S {mass_mg / 1_000_000:>10.3f} kg"
    bench.scale.pan.shake(0.6, bench.now_s())  # touched: nothing is told
    bench.place(2 * KG)  # more on it: what lies there is another thing
    mass_mg, _, _ = await bench.weight()
    assert abs(mass_mg - 14_500_000) <= 2_000
    bench.scale.remove(bench.now_s())
    bench.order("weigh")
    assert (
        abs(item_of(await bench.hear("^weigh True"))[0]) <= 2_000
    )  # nothing, because it was asked
    bench.place(Decimal(12_500))
    assert (await bench.weight())[0] > 12_000_000


async def another_of_the_same_mass(bench):
    """Two bags, one after the other, while the wind keeps the empty scale from settling."""
    bench.place(25 * KG)
    assert abs((await bench.weight())[0] - 25_000_000) <= 2_000
    looks, weigh = asyncio.Semaphore(0), bench.scale.pan.weigh

    def counted(now_s):
        looks.release()
        return weigh(now_s)

    bench.scale.pan.wind_counts = 2.0
    bench.scale.remove(bench.now_s())
    bench.scale.pan.weigh = counted
    for _ in range(4):
        await looks.acquire()
    bench.place(25 * KG)
    bench.scale.pan.wind_counts = 0.0
    assert abs((await bench.weight())[0] - 25_000_000) <= 2_000


async def too_much_and_less_than_nothing(bench):
    bench.place(70 * KG)
    assert "overload: too much lies on the scale on PORT; take" in await bench.hear("^trouble .")
    bench.order("weigh")
    assert "weigh False overload" in await bench.hear("^weigh")
    bench.scale.remove(bench.now_s())
    await bench.hear("^trouble $")
    bench.scale.pan.lift(has_pan=False, now_s=bench.now_s())
    assert "underload: the scale on PORT shows less than nothing" in await bench.hear("^trouble .")
    bench.scale.pan.lift(has_pan=True, now_s=bench.now_s())
    await bench.hear("^trouble $")
    bench.place(5 * KG)
    await bench.weight()


async def units(bench):
    bench.press("unit pcs")
    assert "weighs in 'pcs', which is not known here; set it to kg" in await bench.hear(
        "^trouble ."
    )
    bench.press("unit lb")
    await bench.hear("^trouble $")
    bench.place(Decimal("4535.9237"))
    mass_mg, _, content = await bench.weight()
    assert abs(mass_mg - 4_535_924) <= 2_000
    assert content.endswith(" lb")


async def tare_and_zero(bench):
    bench.place(2 * KG)
    await bench.weight()
    bench.order("tare")
    assert re.search(r"^tare True tare is (199|200)\d{4} mg None$", await bench.hear("^tare"))
    bench.place(10 * KG)
    assert abs((await bench.weight())[0] - 10_000_000) <= 2_000
    bench.order("zero")
    assert "zero False the scale does not zero what lies on it: Z +" in await bench.hear("^zero")
    bench.scale.remove(bench.now_s())  # 2 kg less than nothing: no weight unless asked
    bench.order("weigh")
    assert abs(item_of(await bench.hear("^weigh True"))[0] + 2_000_000) <= 2_000
    bench.place(Decimal(800))
    assert "shows less than nothing with something on it: a tare" in await bench.hear("^trouble .")
    bench.order("zero")
    assert "zero True zero is done" in await bench.hear("^zero")
    bench.order("weigh")
    assert abs(item_of(await bench.hear("^weigh True"))[0]) <= 2_000


async def wind(bench):
    bench.place(3 * KG)
    bench.order("weigh")
    told = await bench.hear("^weigh")
    assert told.startswith("weigh False the weight did not settle within 10 s: about ")
    mass_mg, stable, _ = item_of(told)
    assert abs(mass_mg - 3_000_000) <= 100_000
    assert not stable
    bench.order("tare")
    assert "tare False the weight did not settle" in await bench.hear("^tare")
    bench.scale.pan.wind_counts = 0.0
    assert abs((await bench.weight())[0] - 3_000_000) <= 2_000


async def streams(bench):
    """A scale that sends by itself, and one whose `print` key is pressed."""
    bench.scale.receive(b"SIR\r\n", bench.now_s())
    bench.line.speak()
    bench.place(4 * KG)
    await bench.weight()
    bench.press("print")
    bench.scale.remove(bench.now_s())
    bench.order("weigh")
    assert abs(item_of(await bench.hear("^weigh True"))[0]) <= 2_000


async def level_0(bench):
    bench.order("tare")
    assert "tare False scale on PORT answers ES to T: it does not know that" in await bench.hear(
        "^tare"
    )
    bench.place(6 * KG)
    await bench.weight()


async def power_and_plug(bench):
    bench.place(7 * KG)
    await bench.weight()
    bench.line.reset_unexpectedly()  # half a second: the question is asked again
    await bench.line.unplug(0.2)
    await bench.hear("^Port(Lost|Missing)")
    await bench.hear("^identified")
    bench.place(KG)  # the same 7 kg all the time: one record
    assert abs((await bench.weight())[0] - 8_000_000) <= 2_000
    assert bench.scale.counts.resets == 1


async def exchanged(bench):
    bench.place(5 * KG)
    await bench.weight()
    bench.scale.serial_number = "B1"
    assert "another scale hangs on PORT: scale SB60001 60.000 kg, serial number B1" in (
        await bench.hear("^log")
    )
    await bench.weight()  # what lies on another scale is another thing


ACTS = {
    "on": (put_on_and_off, {}),
    "same": (another_of_the_same_mass, {}),
    "overload": (too_much_and_less_than_nothing, {}),
    "units": (units, {}),
    "tare": (tare_and_zero, {}),
    "wind": (wind, {"wind": 30.0}),
    "streams": (streams, {}),
    "level0": (level_0, {"level": 0}),
    "power": (power_and_plug, {}),
    "exchanged": (exchanged, {}),
    "noise": (put_on_and_off, {"faults": ["flip,at=6,every=7", "garbage,at=5,every=9"]}),
}


@pytest.fixture(scope="module")
def failures(micropython_path, tmp_path_factory):
    """Play all acts at once; return {name: what went wrong}."""
    return asyncio.run(play(micropython_path, tmp_path_factory.mktemp("scales")))


async def play(micropython, folder):
    benches, failures = {}, {}
    async with asyncio.timeout(2 * DEADLINE_S), asyncio.TaskGroup() as tasks:
        lines = []
        for name, (_, options) in ACTS.items():
            now_s = asyncio.get_running_loop().time()
            scale = Scale(QUICK, seed=1, now_s=now_s, level=options.get("level", 1))
            scale.pan.wind_counts = options.get("wind", 0.0)
            plan = FaultPlan(
                [parse_fault(text, LINE_KINDS) for text in options.get("faults", ())], 1
            )
            line = Line(scale, link=folder / name, faults=plan)
            await line.__aenter__()
            lines.append(line)
            benches[name] = Bench(name, line)
        process = await asyncio.create_subprocess_exec(
            *(micropython, "-X", "heapsize=4m", STORIES / "scales_story.py", REPOSITORY, folder),
            *(f"{name}={bench.line.link}" for name, bench in benches.items()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

        async def listen():
            async for raw in process.stdout:
                name, _, rest = raw.decode().rstrip("\n").partition(" ")
                await benches[name].said.add(rest)

        async def act(name):
            bench = benches[name]
            bench.order = lambda action: process.stdin.write(f"{name} {action}\n".encode())
            try:
                await bench.hear("^identified scale SB60001 60.000 kg, serial number B")
                await ACTS[name][0](bench)
            except (AssertionError, pytest.fail.Exception) as error:
                failures[name] = f"{error}\nsaid:\n" + "\n".join(bench.said.items)

        listening = tasks.create_task(listen())
        await asyncio.gather(*(act(name) for name in ACTS))
        process.kill()
        await process.wait()
        await listening
        for line in lines:
            await line.__aexit__(None, None, None)
    return failures


@pytest.mark.parametrize("name", ACTS)
def test_at_the_lane(failures, name):
    assert name not in failures, failures[name]
