"""Goal: the driver gets spectra out of an instrument in any state, and names what it cannot mend.

Method: the driver in a real MicroPython, the simulated instrument on its pseudo-terminal, brought
into the state of the case beforehand. What crossed the lamp line is kept, so that the laser can be
followed through every failure. Faults of the line at every step are the contract's.
"""

import asyncio
import json
import struct
from array import array
from pathlib import Path

import pytest

from simulators.faults import Fault, FaultPlan
from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.line import AsciiLine
from simulators.world import load_substances, parse_sample

STORY = Path(__file__).parents[2] / "stories/ocean_ascii_story.py"
REPOSITORY = Path(__file__).resolve().parents[4]
DEADLINE_S = 60.0
BAUD = 115_200


class Lane:
    """An instrument, what it was asked for and what the driver made of it."""

    def __init__(self, model="flame_s", baud=BAUD, faults=()):
        self.kind = ASCII_MODELS[model]
        self.baud = baud
        self.faults = faults
        self.laser = []  # each change of the lamp line
        self.spectra = []  # sent, as little-endian u16
        self.lines = []

    def build(self):
        substances = load_substances()
        now_s = asyncio.get_running_loop().time()
        device = AsciiSpectrometer(self.kind, substances, seed=1, now_s=now_s, baud=self.baud)
        device.present(parse_sample("urea", substances))
        switch, queue = device.probe.set_laser, device._queue

        def note(power_mw, now_s):
            if bool(power_mw) != bool(self.laser and self.laser[-1]):
                self.laser.append(bool(power_mw))
            switch(power_mw, now_s)

        def keep(reply):
            if reply.check_at is not None:
                self.spectra.append(reply.data)
            queue(reply)

        device.probe.set_laser, device._queue = note, keep
        return device

    async def run(self, micropython, folder, steps, prepare, settings):
        link = folder / "port"
        self.device = self.build()
        plan = FaultPlan(self.faults, seed=1)
        async with asyncio.timeout(DEADLINE_S), AsciiLine(self.device, link=link, faults=plan):
            if prepare:
                prepare(self.device)
            process = await asyncio.create_subprocess_exec(
                *(micropython, "-X", "heapsize=512k", STORY, REPOSITORY, folder),
                *(json.dumps(settings | {"port": str(link)}), *steps),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        self.lines = out.decode().splitlines()

    def pixels(self, index, scans=1):
        """Return the mean counts of a spectrum as it was sent, as hex of little-endian words."""
        values = array("H" if scans == 1 else "I", self.spectra[index][15:-4])
        values.byteswap()
        return array("H", [round(value / scans) for value in values]).tobytes().hex()


@pytest.fixture
def drive(micropython_path, tmp_path):
    """Let the driver take steps on an instrument; return what came of it."""

    def drive(
        *steps,
        prepare=None,
        model="flame_s",
        baud=BAUD,
        settings_baud=BAUD,
        faults=(),
        **changes,
    ):
        lane = Lane(model, baud, faults)
        settings = {
            "baud": settings_baud,
            "model": changes.pop("named", ""),
            "pixels_max": 3_648,
            "integration_us": 22_000,
            "scans": 1,
            **changes,
        }
        asyncio.run(lane.run(micropython_path, tmp_path, steps, prepare, settings))
        return lane

    return drive


def receive(data):
    """Return what has the instrument have received bytes before the driver comes."""
    return lambda device: device.receive(data, device._now_s)


@pytest.mark.parametrize("model, pixel_count", [("usb4000", 3_648), ("flame_s", 2_048)])
def test_from_power_on_to_closing(drive, model, pixel_count):
    lane = drive("open", "identify", "dark", "sample", "identify", "close", model=model, baud=9_600)
    device = lane.device
    stored = struct.pack("<4f", *device.probe.unit.coefficients_nm).hex()
    nonlinearity = struct.pack("<3f", *device.model.detector.nonlinearity).hex()
    told = f"identify {model} {device.serial_number} {pixel_count} 65535 {stored} {nonlinearity}"
    assert lane.lines == [
        told,
        f"dark {lane.pixels(0)} None False",
        f"sample {lane.pixels(1)} None False",
        told,
    ]
    assert device.baud == BAUD
    assert lane.laser == [True, False]
    assert len(lane.pixels(0)) == 4 * pixel_count


def test_scans_are_averaged(drive):
    lane = drive("open", "identify", "sample", scans=5)
    assert lane.lines[1] == f"sample {lane.pixels(0, scans=5)} None False"


def test_an_instrument_may_stay_at_its_first_rate(drive):
    lane = drive("open", "identify", baud=9_600, settings_baud=9_600)
    assert lane.lines[0].startswith("identify flame_s ")
    assert lane.device.baud == 9_600


def test_a_rate_it_cannot_change_to_is_named(drive):
    lane = drive("open", "identify", baud=9_600, settings_baud=57_600)
    assert lane.lines == [
        (
            "error InstrumentUnsuited instrument on PORT cannot change to 57600 baud; set "
            "instrument.baud to one of 2400, 4800, 9600, 19200, 38400, 115200"
        )
    ]


@pytest.mark.parametrize(
    "before",
    [
        b"aA",
        b"aAI12",  # in ASCII data mode, in the middle of a number
        b"I\x12",
        b"i\0\0",
        b"?",
        b"?x\0",
        b"P\0\3\0\1",
        b"a",
        b"aAk1\rP3\r7\r9\r1\rbB",
        b"B\0\5G\0\1M\0\1T\0\4k\0\0A\0\7",
        b"J\0\1",
    ],
)
def test_whatever_it_was_told_before_it_measures_as_wanted(drive, before):
    lane = drive("open", "identify", "sample", prepare=receive(before))
    assert lane.lines[1] == f"sample {lane.pixels(0)} None False"
    settings = lane.device.settings
    assert (settings.boxcar, settings.trigger, settings.is_ascii) == (0, 0, False)
    assert lane.laser[-2:] == [True, False]


def test_a_node_that_lost_power_in_an_exposure_switches_the_laser_off_first(drive):
    exposing = receive(b"k\0\1i\0\x16\xe3\x60J\0\1S")  # 1.5 s
    lane = drive(
        *("open", "identify", "reopen", "wait", "wait", "reopen", "identify", "sample"),
        prepare=exposing,
    )
    assert lane.lines[0].startswith("error InstrumentBusy instrument on PORT is still exposing: ")
    assert lane.lines[1].startswith("identify ")
    assert lane.lines[2] == f"sample {lane.pixels(-1)} None False"
    assert lane.laser == [True, False, True, False]


def test_a_cancelled_exposure_leaves_the_laser_off_and_the_next_is_right(drive):
    lane = drive("open", "identify", "cancelled", "sample")
    assert lane.lines[1:] == ["cancelled", f"sample {lane.pixels(-1)} None False"]
    assert lane.laser == [True, False, True, False]
    assert len(lane.spectra) == 2


@pytest.mark.parametrize(
    "changes",
    [{"integration_us": 500}, {"integration_us": 80_000_000}, {"scans": 6_000}],
)
def test_an_exposure_it_does_not_do_is_refused(drive, changes):
    lane = drive("open", "identify", "sample", **changes)
    assert lane.lines[1].startswith("error ExposureRefused the instrument refuses integration_us ")
    assert lane.laser == []


def test_an_instrument_that_was_restarted_since_is_no_answer(drive):
    def restart_when_exposing(device):
        begin = device.probe.begin

        def restarted(exposure, now_s):
            device.reset_unexpectedly(now_s)
            device.settings.integration_us = exposure.integration_us
            device._deaf_until_s = now_s
            device.probe.begin = begin
            device.receive(b"S", now_s)

        device.probe.begin = restarted

    lane = drive(
        *("open", "identify", "sample", "reopen", "identify", "sample"),
        prepare=restart_when_exposing,
    )
    assert lane.lines[1].startswith("error InstrumentGarbled instrument on PORT: 4113 bytes")
    assert lane.lines[3] == f"sample {lane.pixels(-1)} None False"
    assert lane.laser == [True, False, True, False]


def test_a_wrong_checksum_is_named_and_not_repeated(drive):
    wrong = Fault("checksum", on="spectrum")
    lane = drive("open", "identify", "sample", "sample", faults=[wrong])
    assert lane.lines[1] == (
        "error InstrumentGarbled instrument on PORT: checksum or end of the spectrum is wrong at "
        "115200 baud; check cable and shield"
    )
    assert lane.lines[2] == f"sample {lane.pixels(1)} None False"
    assert len(lane.spectra) == 2
    assert lane.laser == [True, False, True, False]


def test_a_laser_that_does_not_confirm_that_it_is_off_is_told(drive):
    def stick(device):
        switch = device._switch_lamp
        device._switch_lamp = lambda value: switch(1) if device.settings.lamp_on else switch(value)

    lane = drive("open", "identify", "sample", "off", prepare=stick)
    assert lane.lines[1].startswith("error LaserUncertain laser may be on: instrument on PORT ")
    assert "key switch" in lane.lines[1]
    assert lane.lines[2].startswith("error LaserUncertain")


def test_a_laser_that_does_not_go_on_ends_the_measurement(drive):
    def refuse(device):
        switch = device._switch_lamp
        device._switch_lamp = lambda value: value == 0 and switch(value)

    lane = drive("open", "identify", "sample", prepare=refuse)
    assert lane.lines[1] == "error InstrumentRefused instrument on PORT refuses command J: NAK"
    assert (lane.spectra, lane.laser) == ([], [])


def test_an_idle_instrument_is_asked_whether_its_laser_is_off(drive):
    def switch_on_later(device):
        finish = device.probe.finish

        def finished():
            counts = finish()
            device._switch_lamp(1)
            return counts

        device.probe.finish = finished

    lane = drive("open", "identify", "dark", "identify", prepare=switch_on_later)
    assert lane.lines[2] == lane.lines[0]
    assert lane.laser == [True, False]


def test_an_instrument_that_takes_no_spectrum_is_named(drive):
    def fail(device):
        device.is_broken = True

    lane = drive("open", "identify", "sample", prepare=fail)
    assert lane.lines[1] == "error InstrumentRefused instrument on PORT takes no spectrum: ETX"
    assert lane.laser == [True, False]


def store(index, text):
    return lambda device: device.constants.update({index: text})


@pytest.mark.parametrize(
    "prepare, changes, error",
    [
        (store(1, b"n/a"), {}, "instrument on PORT: constant 1 is 'n/a'; have it calibrated"),
        (store(3, b"nan"), {}, "instrument on PORT: constant 3 is 'nan'; have it calibrated"),
        (
            store(0, b"XYZ123"),
            {},
            (
                "instrument on PORT, serial number XYZ123, is of no known model; set "
                "instrument.model to one of flame_s, usb4000"
            ),
        ),
        (
            None,
            {"corrected": True},
            (
                "instrument on PORT: its driver does not do instrument.corrected; leave it out of "
                "node.json"
            ),
        ),
        (
            None,
            {"pixels_max": 2_000},
            (
                "instrument on PORT has 2048 pixels; this node takes 1 to 2000, see "
                "instrument.pixels_max in docs/node.md"
            ),
        ),
    ],
)
def test_an_instrument_that_cannot_be_used_is_named(drive, prepare, changes, error):
    lane = drive("open", "identify", prepare=prepare, **changes)
    assert lane.lines == [f"error InstrumentUnsuited {error}"]


def test_the_settings_may_name_the_model(drive):
    lane = drive("open", "identify", "dark", prepare=store(0, b"XYZ123"), named="flame_s")
    assert lane.lines[0].startswith("identify flame_s XYZ123 2048 65535 ")
    assert lane.lines[1] == f"dark {lane.pixels(0)} None False"


def test_rates_that_do_not_meet_are_named(drive):
    lane = drive("open", "identify", baud=38_400)
    assert lane.lines == [
        (
            "error InstrumentSilent instrument on PORT answers neither at 115200 nor at 9600 baud; "
            "check its power, cable and baud rate"
        )
    ]
