"""Goal: whatever befalls a measurement, and wherever, the laser is off at its end.

Method: the spectrometer's task in a real MicroPython (acquisition, measuring, looks, guard, driver)
on spectrometers of each family that are played, in time that is played as well; their lasers hang
on the node's line, on the instrument, or on both. A program counts every suspension of every task
and strikes at each one: the interlock opens, the node stops or is reset, the port goes, the
instrument falls silent or refuses with each of its error numbers, each class of error is raised.
Then the whole node on the simulated instrument, with the interlock's file.
"""

import asyncio
import dataclasses
import inspect
import signal
import struct

import pytest

from node import errors
from node.measure import Measure
from node.spectrum import Look
from protocol import messages
from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import AsciiLine, SpectrometerLine
from simulators.spectrometer.models import MODELS
from simulators.world import load_substances
from tests.firmware.conftest import BAUD, DEADLINE_S

OTHERS = {"FlashRefused", "LaserStopped", "OSError", "ValueError", "MemoryError"}
# Rig, act: at how many suspensions at least there is something to strike, and how often the laser
# is lit when nothing strikes. Fewer mean that a measurement lost steps, or the count: look why.
UNSTRUCK = {
    ("module", "manual"): (93, 1),
    ("module alone", "manual"): (93, 1),
    ("lamp", "manual"): (93, 1),
    ("lamp alone", "manual"): (93, 1),
    ("line", "manual"): (93, 1),
    ("letters", "manual"): (116, 1),
    ("letters alone", "manual"): (116, 1),
    ("letters, line", "manual"): (116, 1),
    ("later", "manual"): (44, 1),
    ("module", "automatic"): (262, 3),
    ("letters alone", "automatic"): (326, 3),
    ("later", "automatic"): (75, 3),
    ("module", "queue"): (150, 2),
    ("letters alone", "queue"): (191, 2),
    ("later", "queue"): (68, 2),
    ("module", "look"): (100, 1),
    ("module alone", "look"): (100, 1),
    ("letters", "look"): (119, 1),
    ("later", "look"): (72, 1),
    ("letters alone", "standard"): (116, 1),
    ("later", "standard"): (44, 1),
    ("module alone", "dark"): (36, 0),
    ("letters alone", "dark"): (41, 0),
    ("later", "dark"): (20, 0),
}


def play(run_story, rig, act, strikes, *broken):
    """Return {strike: (cases, complaints)}, and what was counted where nothing struck."""
    unstruck, *lines = run_story("laser_story.py", rig, act, strikes, *broken, heap="8m")
    found = {}
    for line in lines:
        head, _, wrong = line.partition(" {")
        name, cases = head.rsplit(" ", 1)
        found[name] = (int(cases), "{" + wrong)
    return found, tuple(int(word) for word in unstruck.split(" ")[1:])


def off_at_the_end(run_story, rig, act, strikes):
    """Hold every strike against the rules; return {strike: cases}."""
    found, (suspensions, lit, *_) = play(run_story, rig, act, strikes)
    assert {name: wrong for name, (_, wrong) in found.items() if wrong != "{}"} == {}
    least, wanted = UNSTRUCK[rig, act]
    assert suspensions >= least
    assert lit == wanted
    cases = {name: cases for name, (cases, _) in found.items()}
    assert min(cases.values()) >= 0.75 * suspensions, cases
    return cases


def test_the_laser_is_off_at_the_end_of_whatever_happens_wherever(run_story):
    """Every way, and every class of error, on an instrument whose own laser the line feeds."""
    cases = off_at_the_end(run_story, "module", "manual", "every")
    classes = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.InstrumentError)
    }
    raised = {name[7:] for name in cases if name.startswith("raises ")}
    assert raised == classes | OTHERS
    assert {"interlock opened", "node stopped", "task hangs", "port lost", "node reset"} < {*cases}


@pytest.mark.parametrize("rig, act", [each for each in UNSTRUCK if each[1] != "automatic"])
def test_it_is_off_whoever_switches_it_and_whatever_it_is_on_for(run_story, rig, act):
    off_at_the_end(run_story, rig, act, "kinds")


@pytest.mark.parametrize("strikes", ["ways", "errors"])
@pytest.mark.parametrize("rig, act", [each for each in UNSTRUCK if each[1] == "automatic"])
def test_it_is_off_after_each_of_several_shots(run_story, rig, act, strikes):
    off_at_the_end(run_story, rig, act, strikes)


@pytest.mark.parametrize("rig", ["module", "letters", "later"])
def test_an_instrument_that_refuses_whatever_it_is_asked_has_no_laser_on(run_story, rig):
    """With each of the error numbers, from each of its requests on."""
    found, _ = play(run_story, rig, "manual", "refused")
    ((cases, wrong),) = found.values()
    assert wrong == "{}"
    assert cases > 100


@pytest.mark.parametrize(
    "broken, rig, strike, complaint",
    [
        ("nobody looks", "module", "interlock opened", "with the chain open"),
        ("nobody keeps vigil", "module", "interlock opened, and closed", "line again"),
        ("the driver forgets", "module", "key turned", "the instrument has its laser on"),
        ("the driver forgets", "lamp alone", "key turned", "the instrument has its laser on"),
        ("the lamp is forgotten", "letters", "key turned", "the instrument has its laser on"),
        ("the line stays", "later", "flash refuses", "the line is closed"),
        ("hours are forgotten", "module", "flash refuses", "ms of laser, 0 counted"),
    ],
)
def test_a_broken_guard_is_noticed(run_story, broken, rig, strike, complaint):
    found, _ = play(run_story, rig, "manual", strike, broken)
    ((_, wrong),) = found.values()
    assert complaint in wrong


@pytest.mark.parametrize("rig", ["module", "letters alone", "later"])
def test_looks_have_the_laser_on_for_a_twentieth_of_the_time_at_most(run_story, rig):
    """With a look due every second; one that finds no rest between them is noticed."""

    def parts(*broken):
        (line,) = run_story("laser_story.py", rig, "look", "duty", *broken, heap="8m")
        count, on_ms, passed_ms = (int(word) for word in line.split(" ")[1:])
        assert count >= 10
        return passed_ms / on_ms

    assert parts() >= 20
    assert parts("no rest") < 20


def test_the_line_is_open_however_the_program_ends(run_story):
    """Ctrl-C at a board's console raises KeyboardInterrupt: no task has its way out then."""
    lines = run_story("ending_story.py")
    ends = ("KeyboardInterrupt", "SystemExit", "MemoryError", "ValueError", "by itself")
    assert lines == [line for end in ends for line in ("on True", f"{end} False")]


def open_chain(bench, what):
    """Open the interlock, with its word at once: the node looks every 50 ms."""
    new = bench.folder / "interlock.new"
    new.write_text(what)
    new.rename(bench.folder / "interlock")


def test_an_open_interlock_is_told_and_ends_an_exposure(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            interlock = bench.folder / "interlock"
            open_chain(bench, "cover of the probe")
            node = await bench.start_node(integration_us=4_000_000)
            await node.wait("ready")
            words = "interlock is open: cover of the probe; close it"
            await node.press()
            assert (await node.wait("fault", what="laser"))["text"] == words
            await gateway.wait("health", lambda m: m.fault.startswith("laser: interlock is open"))
            await gateway.say(messages.Command(b"command1", messages.ACTION_CAPTURE, None, b""))
            result = await gateway.wait("result", lambda m: m.command_id == b"command1")
            assert (result.outcome, result.detail) == (messages.OUTCOME_REFUSED, words)
            assert line.device.probe.laser_on_s == 0

            interlock.unlink()
            await gateway.wait("health", lambda m: not m.fault)
            await gateway.say(messages.Command(b"command2", messages.ACTION_CAPTURE, None, b""))
            await node.wait("measuring", role="sample", integration_us=4_000_000, scans=1)
            open_chain(bench, "door")
            result = await gateway.wait("result", lambda m: m.command_id == b"command2")
            assert result.outcome == messages.OUTCOME_FAILED
            assert result.detail == "interlock is open: door; close it"
            assert line.device.probe.laser_mw == 0
            assert line.device.probe.laser_on_s < 4
            assert not (bench.folder / "laser.on").exists()
            assert gateway.count("reading", lambda m: m.role == messages.ROLE_SAMPLE) == 0
            interlock.unlink()
            await gateway.wait("health", lambda m: not m.fault, after=len(gateway.heard.items))
            await bench.take()  # the instrument was not lost meanwhile

    asyncio.run(story())


TRANSFER_MS = 2 * 2 * 2_068 * 10_000 // BAUD  # of the longest spectrum, where nothing is set


@pytest.mark.parametrize("integration_us", [1_100_000, 999_000])  # the latter: with its transfer
def test_a_limit_of_the_post_is_kept(bench, integration_us):
    async def story():
        async with bench:
            line = await bench.plug()
            node = await bench.start_node(integration_us=integration_us, scans=2, laser_s_max=2)
            await node.wait("ready")
            await node.press()
            fault = await node.wait("fault", what="laser")
            exposure_ms = 2 * integration_us // 1000
            told = f"exposure of {exposure_ms} ms and {TRANSFER_MS} ms for a spectrum on the line"
            assert fault["text"].startswith(told)
            assert line.device.probe.laser_on_s == 0

    asyncio.run(story())


def test_what_the_node_chooses_leaves_time_for_the_transfer(bench):
    async def story():
        async with bench:
            line = await bench.plug()
            probe = line.device.probe  # so weak that it asks for all there is
            probe.model = dataclasses.replace(probe.model, collection=0.02 * probe.model.collection)
            line.present(bench.sample("sucrose"))
            node = await bench.start_node(exposure="automatic", laser_s_max=1)
            await node.wait("ready")
            await bench.take()
            shots = [fields for name, fields in node.signals.items if name == "measuring"]
            exposures_ms = [int(f["integration_us"]) * int(f["scans"]) // 1000 for f in shots]
            assert 500 < max(exposures_ms) <= 1_000 - TRANSFER_MS

    asyncio.run(story())


def test_the_node_chooses_the_exposure(bench):
    """A strong scatterer, then nothing: four shots at most, and the reading says what was used."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            line.present(bench.sample("sucrose"))
            node = await bench.start_node(exposure="automatic", measure_s_max=2)
            await node.wait("ready")
            await bench.take()
            sample = await gateway.wait("reading", lambda m: m.role == messages.ROLE_SAMPLE)
            dark = await gateway.wait("reading", lambda m: m.seq == sample.dark_seq)
            assert (dark.integration_us, dark.role) == (sample.integration_us, messages.ROLE_DARK)
            assert dark.scans >= sample.scans
            assert sample.flags == 0
            level = max(struct.unpack("<1024H", sample.pixels_u16le)) / 65_535
            assert 0.5 < level < 0.9
            shots = [fields for name, fields in node.signals.items if name == "measuring"]
            assert sum(fields["role"] == "sample" for fields in shots) <= 4

            line.present(bench.sample("empty"))
            await bench.take()
            empty = await gateway.wait("reading", lambda m: m.flags & messages.FLAG_EMPTY)
            assert empty.integration_us > 700_000
            assert line.device.probe.laser_mw == 0

            await gateway.say(messages.Config(5, 30_000, 2, 0, 60, 8, 5_000))
            await gateway.wait("birth", lambda m: m.config_version == 5)
            seq = await bench.take()
            fixed = await gateway.wait("reading", lambda m: m.seq == seq)
            assert (fixed.integration_us, fixed.scans) == (30_000, 2)
            assert fixed.flags == messages.FLAG_EMPTY  # by hand, too
            assert fixed.inspection_id == empty.inspection_id  # what nobody measured is no sample

            line.present(bench.sample("sucrose"))
            seq = await bench.take()
            seen = await gateway.wait("reading", lambda m: m.seq == seq)
            assert (seen.flags, seen.inspection_id) == (0, fixed.inspection_id)
            await bench.take()
            newest = await gateway.wait("reading", lambda m: m.seq > seq and m.role == 0)
            assert newest.inspection_id != seen.inspection_id

    asyncio.run(story())


def test_a_sample_that_fills_the_detector_at_the_shortest_time_has_its_dark_frame(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            probe = line.device.probe
            probe.model = dataclasses.replace(probe.model, collection=100.0)
            line.present(bench.sample("sucrose"))
            node = await bench.start_node(exposure="automatic", measure_s_max=2)
            await node.wait("ready")
            await bench.take()
            sample = await gateway.wait("reading", lambda m: m.role == messages.ROLE_SAMPLE)
            assert sample.flags == messages.FLAG_SATURATED
            dark = await gateway.wait("reading", lambda m: m.seq == sample.dark_seq)
            assert (dark.role, dark.laser_mw) == (messages.ROLE_DARK, 0)
            assert dark.integration_us == sample.integration_us == 22_000

    asyncio.run(story())


def test_no_dark_frame_is_used_beyond_another_instrument_or_a_reset():
    """A reset makes another instrument of it: the driver asks anew who it is."""
    look = Look(65_535, 8)
    look.take(memoryview(bytes(16)), 0, 8)
    measure = Measure(None, None, None, None, 0, None)
    first, second = object(), object()
    for instrument, is_known in ((first, True), (second, False)):
        measure.use(first, b"axis")
        measure.darks.keep(1, (100, 1), b"axis", None, 0, look)
        measure.use(instrument, b"axis")
        assert (measure.darks.find((100, 1), b"axis", None, 0) is not None) == is_known


def test_a_detector_that_has_warmed_since_the_last_sample_has_a_new_dark_frame(bench):
    """What it has now counts, not what it had then: it is asked while the instrument is idle."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            line.present(bench.sample("sucrose"))
            node = await bench.start_node()
            await node.wait("ready")
            first = await bench.take()
            probe, temperatures_c = line.device.probe, line.device.probe.temperatures_c
            probe.temperatures_c = lambda now_s: [c + 2.0 for c in temperatures_c(now_s)]
            asked = line.device.counts.requests
            async with asyncio.timeout(DEADLINE_S):
                while True:  # until it was asked twice who it is and how warm
                    if line.device.counts.requests >= asked + 4:
                        break
                    await asyncio.sleep(0.02)
            second = await bench.take()
            found = [
                await gateway.wait("reading", lambda m, n=n: m.seq == n) for n in (first, second)
            ]
            darks = [
                await gateway.wait("reading", lambda m, n=one.dark_seq: m.seq == n) for one in found
            ]
            assert darks[0].seq < first < darks[1].seq < second
            assert darks[1].temperature_mc - darks[0].temperature_mc > 1_000

    asyncio.run(story())


def watch_laser(line):
    """Return an event that is set when the instrument's laser goes on."""
    lit, set_laser = asyncio.Event(), line.device.probe.set_laser

    def note(power_mw, now_s):
        set_laser(power_mw, now_s)
        if power_mw:
            lit.set()

    line.device.probe.set_laser = note
    return lit


def test_a_node_that_was_cut_off_in_an_exposure_begins_with_the_laser_off(bench):
    async def story():
        async with bench:
            line = await bench.plug()
            lit = watch_laser(line)
            node = await bench.start_node(integration_us=6_000_000)
            await node.wait("ready")
            await node.press()
            await node.wait("measuring", role="sample")
            async with asyncio.timeout(DEADLINE_S):
                await lit.wait()
            await node.end(signal.SIGKILL)
            assert (bench.folder / "laser.on").exists()  # a file is no relay, which falls
            assert line.device.probe.laser_mw > 0  # nobody tells the instrument either
            node = await bench.start_node()
            await node.wait("ready")
            assert not (bench.folder / "laser.on").exists()
            assert line.device.probe.laser_mw == 0

    asyncio.run(story())


def test_an_instrument_that_is_unplugged_with_its_laser_on_is_told_of_and_then_told(bench):
    """Its own laser stays on: only the key, or the node that finds it again, ends that."""

    async def story():
        async with bench:
            line = await bench.plug()
            lit = watch_laser(line)
            node = await bench.start_node(integration_us=6_000_000)
            await node.wait("ready")
            await node.press()
            await node.wait("measuring", role="sample")
            async with asyncio.timeout(DEADLINE_S):
                await lit.wait()
            after = len(node.signals.items)
            await line.unplug(0.1)
            assert line.device.probe.laser_mw > 0
            fault = await node.wait("fault", after=after, what="laser_on")
            assert fault["text"].startswith("laser may be on: serial port ")
            assert fault["text"].endswith("; use the key switch")
            assert not (bench.folder / "laser.on").exists()
            await node.wait("ready", after=after)
            assert line.device.probe.laser_mw == 0

    asyncio.run(story())


def test_while_it_is_unplugged_no_fault_of_the_port_hides_that_its_laser_may_be_on(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            lit = watch_laser(line)
            node = await bench.start_node(integration_us=6_000_000)
            await node.wait("ready")
            await node.press()
            await node.wait("measuring", role="sample")
            async with asyncio.timeout(DEADLINE_S):
                await lit.wait()
            after = len(node.signals.items)
            line._pull()
            await node.wait("fault", after=after, what="laser_on")
            gone = await node.wait("fault", after=after, what="instrument")
            assert "does not exist" in gone["text"]
            healths = len(gateway.heard.items)
            after = len(node.signals.items)
            await node.press()  # whoever presses is told what matters
            told = await node.wait("fault", after=after)
            assert told["what"] == "laser_on"
            assert told["text"].startswith("laser may be on: ")
            told = "laser_on: laser may be on"
            await gateway.wait("health", lambda m: m.fault.startswith(told))
            assert line.device.probe.laser_mw > 0
            line._plug()
            await node.wait("ready", after=after)
            assert line.device.probe.laser_mw == 0
            await gateway.wait("health", lambda m: not m.fault, after=healths)

    asyncio.run(story())


SLOW_BAUD = 9_600  # a spectrum takes 4 and 8 s


def slow_line(bench, driver):
    """Return the line of a spectrometer of that family, slow, and its section of node.json."""
    now_s, substances = asyncio.get_running_loop().time(), load_substances()
    if driver == "obp":
        device = Spectrometer(MODELS["hdx"], substances, seed=1, now_s=now_s, baud=SLOW_BAUD)
        line = SpectrometerLine(device, link=bench.tty)
    else:
        kind = ASCII_MODELS["usb4000"]
        device = AsciiSpectrometer(kind, substances, seed=1, now_s=now_s, baud=SLOW_BAUD)
        line = AsciiLine(device, link=bench.tty)
    changes = {"driver": driver, "baud": SLOW_BAUD, "pixels_max": 3_648}
    return line, bench.settings()["instrument"] | changes


async def until_sent(line, spectra):
    """Wait until so many spectra are on the line."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if line.device.counts.spectra >= spectra:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("driver", ["obp", "ocean_ascii"])
def test_off_is_confirmed_behind_a_spectrum_that_comes_slowly(bench, driver):
    """In pieces, for longer than the answer to "off" may take; then the same as the node stops."""

    async def story():
        async with bench:
            line, section = slow_line(bench, driver)
            async with line:
                node = await bench.start_node(instrument=section)
                await node.wait("ready")
                after = len(node.signals.items)
                await node.press()
                await until_sent(line, 2)  # a dark frame's, and a sample's that begins to come
                assert line.device.probe.laser_mw > 0
                open_chain(bench, "door")
                fault = await node.wait("fault", after=after, what="laser")
                assert fault["text"] == "interlock is open: door; close it"
                await node.wait("ready", after=after)  # the session goes on
                assert line.device.probe.laser_mw == 0
                (bench.folder / "interlock").unlink()

                await node.press()
                await until_sent(line, 3)
                assert await node.end(signal.SIGTERM) == 0
                assert line.device.probe.laser_mw == 0
                faults = [fields["what"] for name, fields in node.signals.items if name == "fault"]
                assert not {"instrument", "laser_on", "acquire"} & set(faults)
                for complaint in ("wasn't retrieved", "did not stop", "acquire failed"):
                    assert not any(complaint in told for told in node.log.items)

    asyncio.run(story())
