"""Goal: a sample that comes before the probe is measured once, and the laser keeps its rules.

Method: the firmware in a real MicroPython with the simulated spectrometer on a real
pseudo-terminal; samples come and go, the interlock is opened, and what counts is read off the
node's signals, its records and the instrument's own account of its laser.
"""

import asyncio

from protocol import messages
from simulators.world import Sample, load_substances, parse_sample

LASER = {"sample": "laser", "look_s": 1}
SPECTRA_PER_LOOK = 2  # one without the laser, one with it
DEADLINE_S = 60.0  # far beyond anything the node needs, even on a busy machine


async def until(is_true):
    """Wait until something holds of what lives in this process."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if is_true():
                return
            await asyncio.sleep(0.02)


async def begin(bench):
    """Return the line and the node once it looks: the first sample is measured by hand."""
    line = await bench.plug()
    line.present(parse_sample("sucrose", load_substances()))
    node = await bench.start_node(triggers=LASER)
    await node.wait("ready")
    await node.press()
    await node.wait("stored", role="sample")
    line.present(Sample())
    return line, node


async def ready(node):
    """Wait until the instrument answers; on a busy machine it may not confirm "off" in time."""

    def answers():
        told = [
            name
            for name, fields in node.signals.items
            if name == "ready" or fields.get("what") in ("instrument", "laser_on")
        ]
        return told[-1:] == ["ready"]

    await until(answers)


class Looked:
    """Waits for looks: each takes spectra that become no record."""

    def __init__(self, line, node):
        self._counts, self._node = line.device.counts, node

    async def more(self, looks):
        """Wait for so many looks."""
        enough = self._counts.spectra + SPECTRA_PER_LOOK * looks
        await until(lambda: self._counts.spectra >= enough)

    async def asked(self):
        """Wait until the idle instrument was asked twice who it is; five looks were due by then."""
        enough = self._counts.requests + 2
        await until(lambda: self._counts.requests >= enough)

    def samples(self):
        stored = [fields for name, fields in self._node.signals.items if name == "stored"]
        return [fields for fields in stored if fields["role"] == "sample"]


def test_each_sample_that_comes_is_measured_once_and_an_empty_holder_never(bench):
    async def story():
        async with bench:
            line, node = await begin(bench)
            look, probe = Looked(line, node), line.device.probe
            lit_s, begun_s = probe.laser_on_s, asyncio.get_running_loop().time()
            await look.more(3)
            passed_s = asyncio.get_running_loop().time() - begun_s
            # The node rests twenty times as long as it had the laser on; three looks, two rests.
            assert 0 < probe.laser_on_s - lit_s < passed_s / 10
            for count, text in enumerate(("urea in pp", "sodium_chloride"), start=2):
                line.present(parse_sample(text, load_substances()))
                await node.signals.wait(lambda _, n=count: len(look.samples()) == n)
                await look.more(2)
                assert len(look.samples()) == count, "measured again"
                line.present(Sample())
                await look.more(3)
                assert len(look.samples()) == count, "an empty holder was measured"
            assert len({fields["inspection"] for fields in look.samples()}) == 3

    asyncio.run(story())


def test_whoever_presses_before_the_look_sees_it_is_served_once(bench):
    async def story():
        async with bench:
            line, node = await begin(bench)
            look = Looked(line, node)
            await look.more(1)
            line.present(parse_sample("urea in pp", load_substances()))
            await node.press()
            await node.signals.wait(lambda _: len(look.samples()) == 2)
            await look.more(4)
            assert len(look.samples()) == 2

    asyncio.run(story())


def test_nothing_is_lit_by_itself_before_somebody_measured_or_after_the_interlock(bench):
    async def story():
        async with bench:
            line = await bench.plug()
            node = await bench.start_node(triggers=LASER)
            await node.wait("ready")
            look, probe = Looked(line, node), line.device.probe
            await look.asked()
            assert (probe.laser_on_s, line.device.counts.spectra) == (0, 0)
            await node.press()
            await look.more(2)
            interlock = bench.folder / "interlock"
            interlock.write_text("the lid is open")
            await node.log.wait(lambda line: "rest until somebody presses" in line)
            await look.asked()
            lit_s = probe.laser_on_s
            interlock.unlink()
            line.present(parse_sample("urea in pp", load_substances()))
            await look.asked()
            assert probe.laser_on_s == lit_s, "closing the interlock lit the laser"
            await ready(node)
            await node.press()
            await node.signals.wait(lambda _: len(look.samples()) == 2)
            await look.more(3)
            assert len(look.samples()) == 2, "what was pressed for was measured again"
            assert probe.laser_on_s > lit_s

    asyncio.run(story())


def test_an_order_to_keep_the_laser_off_ends_the_looks(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line, node = await begin(bench)
            look, device = Looked(line, node), line.device
            await look.more(1)
            order = messages.Command(b"laseroff", messages.ACTION_LASER_OFF, None, b"")
            await gateway.say(order)
            await gateway.wait("result", lambda m: m.outcome == messages.OUTCOME_DONE)
            lit_s, spectra = device.probe.laser_on_s, device.counts.spectra
            line.present(parse_sample("urea in pp", load_substances()))
            await look.asked()
            assert (device.probe.laser_on_s, device.counts.spectra) == (lit_s, spectra)
            assert len(look.samples()) == 1

    asyncio.run(story())


def test_without_a_laser_the_shade_of_a_sample_tells(bench):
    async def story():
        async with bench:
            line = await bench.plug()
            node = await bench.start_node(
                triggers={"sample": "ambient", "look_s": 1, "rise_counts": 3}
            )
            await node.wait("ready")
            look = Looked(line, node)
            await look.more(1)
            assert line.device.probe.laser_on_s == 0
            line.present(parse_sample("urea in pp shade=0.9", load_substances()))
            await node.signals.wait(lambda _: len(look.samples()) == 1)
            lit_s = line.device.probe.laser_on_s
            assert lit_s > 0  # of the measurement
            await look.more(2)
            assert line.device.probe.laser_on_s == lit_s
            assert len(look.samples()) == 1

    asyncio.run(story())


def test_looks_are_off_unless_somebody_wants_them(bench):
    async def story():
        async with bench:
            line = await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            assert line.device.counts.spectra == 0
            await node.press()
            await node.wait("stored", role="sample")
            assert line.device.counts.spectra == SPECTRA_PER_LOOK

    asyncio.run(story())


def test_the_foot_switch_measures_and_lifts_no_bar(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await node.tell("foot")
            await node.wait("stored", role="sample")
            order = messages.Command(b"laseroff", messages.ACTION_LASER_OFF, None, b"")
            await gateway.say(order)
            await gateway.wait("result", lambda m: m.outcome == messages.OUTCOME_DONE)
            await node.tell("foot")
            await node.log.wait(lambda line: "foot: laser is barred" in line)
            assert (bench.folder / "laser.barred").exists()
            await node.press()
            after = len(node.signals.items)
            await node.wait("stored", after=after, role="sample")

    asyncio.run(story())
