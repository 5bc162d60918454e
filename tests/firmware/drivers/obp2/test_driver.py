"""Goal: the driver agrees with every simulated model, and names what keeps it from measuring.

Method: driver stories in a real MicroPython on simulators in this process, all cases side by side;
pixels are held against the bytes that the simulator sent, requests against what it was asked.
"""

import struct

import pytest

from drivers.obp2.facts import check_settings
from drivers.obp2.models import NOT_HAD
from node.errors import InstrumentUnsuited
from simulators.spectrometer.capabilities import RefusedError
from simulators.spectrometer.frames import Error
from simulators.spectrometer.obp2_device import LaterSpectrometer
from simulators.spectrometer.obp2_models import OBP2_MODELS
from simulators.world import Sample
from tests.firmware.drivers import simulated
from tests.firmware.drivers.simulated import BAUD, LATE, run_all

METADATA_BYTES = 32
KNOWN = {0x100, 0xC01, 0x1100, 0x1200, 0x1C00}
PIXELS = {"sr2": 2_110, "hr2": 2_110, "sr4": 3_648, "sr6": 2_048, "st": 1_516}
WHOLE = ("open", "facts", "whole", "close")


SPOILT = struct.pack("<5f", 4, 800, float("nan"), 0, 0)


def refuse(_):
    """The act of a message that the instrument does not know."""
    raise RefusedError(Error.UNKNOWN_TYPE)


class Case(simulated.Case):
    """One model, and what it was asked."""

    def __init__(self, model, *words, speaks_at=BAUD, broken=False, acts=None, **options):
        super().__init__(*words, 'driver="obp2"', **options)
        self._model, self._speaks_at = OBP2_MODELS[model], speaks_at
        self._is_broken, self._acts = broken, acts or {}

    def build(self, substances, now_s):
        device = LaterSpectrometer(
            self._model, substances, seed=1, now_s=now_s, baud=self._speaks_at
        )
        device.present(Sample(fluorescence=1.0))
        device.is_lit = lambda: True
        device.is_broken = self._is_broken
        device._acts |= self._acts
        self.asked, take = [], device._take

        def overhear(item, now_s):
            self.asked.append(item)
            take(item, now_s)

        device._take = overhear
        return device


CASES = {
    **{name: Case(name, *WHOLE, "pixels_max=3648") for name in PIXELS},
    "named": Case("hr2", *WHOLE, 'model="hr2"', "pixels_max=2110"),
    "misnamed": Case("sr6", *WHOLE, 'model="st"'),
    "no such model": Case("sr6", *WHOLE, 'model="sts"'),
    "no room": Case("sr4", *WHOLE, tries=1),
    "odd": Case("st", "open", "identify", "odd"),
    "two scans": Case("sr6", "open", "identify", "dark", "whole"),
    "too long": Case("sr2", "open", "pixels_max=2110", "identify", "cancelled", "whole"),
    "cancelled": Case("sr6", "open", "identify", "given_up", "whole", "identify"),
    "broken": Case("sr6", "open", "identify", broken=True),
    "no axis": Case("sr6", "open", "identify", acts={0x1100: lambda _: b""}),
    "odd axis": Case("sr6", "open", "identify", acts={0x1100: lambda _: bytes(19)}),
    "spoilt axis": Case("sr6", "open", "identify", acts={0x1100: lambda _: SPOILT}),
    "no curve": Case("sr6", *WHOLE, acts={0x1200: refuse}),
    "spoilt curve": Case("sr6", *WHOLE, acts={0x1200: lambda _: SPOILT}),
    "other rate": Case("sr6", "open", "identify", speaks_at=115_200, tries=1),
    "cut": Case("st", "open", "identify", "whole", faults=("unplug,at=7",)),
    "reset": Case("st", "open", "identify", "whole", "identify", "whole", faults=("reset,at=6",)),
}


@pytest.fixture(scope="module")
def cases(micropython_path, tmp_path_factory):
    """Every case, after its story."""
    return run_all(CASES, micropython_path, tmp_path_factory.mktemp("later"))


@pytest.mark.parametrize("name", PIXELS)
def test_a_model_is_told_by_the_length_of_its_spectrum(cases, name):
    case, model = cases[name], OBP2_MODELS[name]
    told = "hr2 or sr2" if name in ("sr2", "hr2") else name
    curve = struct.pack("<8f", *model.detector.nonlinearity).hex()
    limits = (model.integration_us_min, model.integration_us_max)
    full = model.detector.full_scale_counts
    assert case.lines[0] == f"{told} {full} {limits} {curve}"
    pixels, temperature = case.lines[1].split()
    assert temperature == "None"
    looked, sent = case.spectra(METADATA_BYTES)
    assert bytes.fromhex(pixels) == sent != looked
    assert len(sent) == 2 * PIXELS[name]
    assert case.device.capabilities.settings.integration_us == 25_000


def test_only_known_messages_of_version_2_are_sent(cases):
    asked = [request for case in cases.values() for request in case.asked]
    frames = [request for request in asked if hasattr(request, "message_type")]
    assert {frame.message_type for frame in frames} == KNOWN
    assert {(frame.version, frame.checksum_type) for frame in frames} == {(0x2000, 1)}


def test_of_two_alike_the_one_that_is_named_is_taken(cases):
    assert cases["named"].lines[0].startswith("hr2 65535 ")


def test_another_model_than_named_is_refused(cases):
    told = "InstrumentUnsuited instrument on PORT, instrument.model 'st', sent a spectrum of 4128"
    assert cases["misnamed"].lines == [f"{told} bytes; st sends 3064"]
    told = "InstrumentUnsuited instrument on PORT, instrument.model 'sts', sent a spectrum of 4128"
    (line,) = cases["no such model"].lines
    assert line.startswith(f"{told} bytes; hr2 sends 4252, sr2 sends 4252, ")


def test_a_spectrum_that_does_not_fit_names_the_setting(cases):
    (line,) = cases["no room"].lines
    assert line.startswith("InstrumentGarbled instrument on PORT: ")
    assert line.endswith("or it has more pixels than instrument.pixels_max of node.json, 2068")


@pytest.mark.parametrize(
    "name, told",
    [
        ("no axis", "wavelength coefficients of 0 bytes; 8 to 36 in fours are needed"),
        ("odd axis", "wavelength coefficients of 19 bytes; 8 to 36 in fours are needed"),
        ("spoilt axis", "wavelength coefficient 1 is nan"),
    ],
)
def test_an_instrument_without_an_axis_is_refused(cases, name, told):
    told = f"InstrumentUnsuited instrument on PORT: {told}: have it calibrated"
    assert cases[name].lines == [told.replace("nan:", "nan;")]


@pytest.mark.parametrize("name", ["no curve", "spoilt curve"])
def test_an_instrument_without_a_curve_is_used(cases, name):
    assert cases[name].lines[0] == "sr6 65535 (7200, 5000000) -"
    assert len(cases[name].lines) == 2


def test_a_laser_that_no_line_of_the_board_feeds_is_refused():
    """Its light would be in the dark frames."""

    class Board:
        LASER_PIN = None

    settings = {"port": "uart0", "baud": BAUD, "model": "", "laser_mw": 100}
    with pytest.raises(InstrumentUnsuited, match="LASER_PIN, which is None; wire it"):
        check_settings(settings, Board)
    check_settings(settings | {"laser_mw": 0}, Board)


@pytest.mark.parametrize("key", NOT_HAD)
def test_what_the_family_does_not_do_is_refused(key):
    settings = {"port": "uart0", "laser_mw": 0, key: 1}
    with pytest.raises(InstrumentUnsuited, match=f"does not do instrument.{key}; leave it out"):
        check_settings(settings, None)
    check_settings(settings | {key: 0}, None)


def test_what_it_cannot_expose_is_refused_before_it_is_asked(cases):
    told = cases["two scans"].lines[1]
    assert told == (
        "ExposureRefused integration_us 20000 with scans 2: the instrument takes 7200 to 5000000, "
        "and scans 1"
    )
    assert len(cases["two scans"].lines) == 3
    assert cases["too long"].lines[1].startswith("ExposureRefused integration_us 5000000 with")


def test_an_integration_between_two_steps_is_rounded_down(cases):
    assert len(cases["odd"].lines[1].split()[0]) == 4 * PIXELS["st"]
    assert cases["odd"].device.capabilities.settings.integration_us == 25_000


def test_after_an_exposure_nobody_waits_for_the_next_one_is_right(cases):
    case = cases["cancelled"]
    assert case.lines[1] == "cancelled"
    _, given_up, sent = case.spectra(METADATA_BYTES)
    assert bytes.fromhex(case.lines[2].split()[0]) == sent != given_up
    assert case.lines[3] == case.lines[0]


def test_a_failure_of_the_hardware_has_its_own_name(cases):
    (line,) = cases["broken"].lines
    assert line.startswith("InstrumentFailed instrument on PORT refuses message 0x00001c00: error")


def test_another_rate_is_named(cases):
    (line,) = cases["other rate"].lines
    assert line.startswith(LATE)
    assert f"at {BAUD} baud" in line


def test_a_port_that_goes_in_the_middle_is_named(cases):
    assert cases["cut"].lines[1].startswith("PortLost serial port PORT went away")


def test_after_a_reset_it_is_asked_anew_and_set_again(cases):
    """Nothing is exposed at the integration that the instrument has after power-on."""
    case = cases["reset"]
    assert case.device.counts.resets == 1
    assert case.lines[1].startswith("InstrumentSilent instrument on PORT does not answer")
    assert case.lines[2] == case.lines[0]
    assert bytes.fromhex(case.lines[3].split()[0]) == case.spectra(METADATA_BYTES)[-1]
    assert case.device.capabilities.settings.integration_us == 25_000
