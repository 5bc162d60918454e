"""Goal: the driver and every simulated model agree, also about what the played one has not.

Method: driver stories in a real MicroPython on simulators in this process, all cases side by side;
pixels are held against the bytes that the simulator sent.
"""

import struct
from dataclasses import replace

import pytest

from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.models import MODELS
from simulators.world import Sample
from tests.firmware.drivers import simulated
from tests.firmware.drivers.simulated import BAUD, run_all

SENSITIVE = replace(MODELS["qe_pro"].detector, electrons_per_count=0.01)  # full within 25 ms
SWIFT = {"cooler_s": 0.3}  # no test waits half a minute for a detector


class Case(simulated.Case):
    """One model, and how it was made."""

    def __init__(self, model, *words, found_at=BAUD, broken=False, **given):
        options = {name: given.pop(name) for name in ("baud", "faults") if name in given}
        super().__init__(*words, **options)
        self._model = replace(MODELS[model], **given)
        self._found_at, self._is_broken = found_at, broken

    def build(self, substances, now_s):
        device = Spectrometer(self._model, substances, seed=1, now_s=now_s, baud=self._found_at)
        device.present(Sample(fluorescence=2.0))
        device.is_broken = self._is_broken
        return device

    @property
    def laser_mw(self):
        return self.device.probe.laser_mw


CASES = {
    "qe_pro": Case("qe_pro", "open", "facts", "whole", "close", detector=SENSITIVE),
    "qe_pro at pixels_max": Case("qe_pro", "open", "pixels_max=2068", "identify"),
    "hdx": Case("hdx", "open", "facts", "whole", "close"),
    "corrected": Case("ventana_785", "open", "corrected=true", "identify", "whole"),
    "half": Case("ventana_785", "open", "laser_percent=50", "identify", "whole", "close"),
    "no module": Case("sts_785", "open", "laser_percent=50", "identify", "whole"),
    "cold": Case("qe_pro", "open", "cooler=true", "caution", "whole", **SWIFT),
    "no cooler": Case("hdx", "open", "cooler=true", "caution", "whole"),
    "too cold": Case("qe_pro", "open", "cooler=true", "cooler_c=-90", "caution"),
    "broken": Case("ventana_785", "open", "identify", "whole", broken=True),
    "found": Case("ventana_785", "open", "facts", "whole", "close", baud=115_200, found_at=9_600),
    "saved": Case(
        "sts_785", "open", "baud_save=true", "facts", "whole", baud=115_200, found_at=57_600
    ),
    "cut": Case("ventana_785", "open", "identify", "whole", faults=("unplug,on=spectrum",)),
}


@pytest.fixture(scope="module")
def cases(micropython_path, tmp_path_factory):
    """Every case, after its story."""
    return run_all(CASES, micropython_path, tmp_path_factory.mktemp("simulated"))


def spectrum(case, form, beside=0):
    """The pixels of the only spectrum that the simulator sent."""
    (sent,) = case.spectra(beside)
    return struct.unpack(form, sent)


def pixels(line):
    raw = bytes.fromhex(line.split()[0])
    return struct.unpack(f"<{len(raw) // 2}H", raw)


def test_eighteen_bits_become_sixteen_and_full_stays_full(cases):
    case = cases["qe_pro"]
    curve = struct.pack("<8f", *MODELS["qe_pro"].detector.nonlinearity).hex()
    assert case.lines[0] == f"qe_pro 65535 (8000, 1600000000) {curve}"
    sent = spectrum(case, "<1044I", beside=32)
    assert pixels(case.lines[1]) == tuple(value >> 2 for value in sent)
    assert max(sent) == 262_143
    assert case.laser_mw == 0


def test_the_usual_room_takes_a_qe_pro(cases):
    assert cases["qe_pro at pixels_max"].lines[0].startswith("qe_pro QEP")


def test_an_hdx_is_read_as_it_is(cases):
    case = cases["hdx"]
    assert case.lines[0].startswith("hdx 65535 (6000, 10000000) ")
    assert pixels(case.lines[1]) == spectrum(case, "<2068H")


def test_corrected_spectra_are_had_by_their_own_message(cases):
    case = cases["corrected"]
    assert pixels(case.lines[1]) == spectrum(case, "<1024H")
    (frame,) = [frame for frame in case.sent if len(frame) > 1_000]
    assert frame[8:12] == struct.pack("<I", 0x101000)


def test_a_laser_module_has_its_power_set_and_is_off_afterwards(cases):
    half, whole = cases["half"], cases["corrected"]
    assert half.device.capabilities.settings.laser_level == 0.5
    assert half.laser_mw == whole.laser_mw == 0
    above = [sum(pixels(case.lines[1])) - 1_500 * 1_024 for case in (half, whole)]
    assert 0.4 < above[0] / above[1] < 0.6


def test_a_lamp_line_has_no_power_to_set(cases):
    assert pixels(cases["no module"].lines[1]) == spectrum(cases["no module"], "<1024H")


def test_a_detector_is_cooled_before_it_is_used(cases):
    case = cases["cold"]
    assert case.lines[0] == "NoneType None"
    assert int(case.lines[1].split()[1]) == pytest.approx(-10_000, abs=1_000)


def test_a_detector_that_cannot_be_cooled_is_told_and_used(cases):
    told = cases["no cooler"].lines
    assert told[0].startswith("InstrumentUnsuited the detector cannot be cooled to -10 C")
    assert "set instrument.cooler to false" in told[0]
    assert len(pixels(told[1])) == 2_068
    assert cases["too cold"].lines[0].startswith("InstrumentUnsuited the detector cannot be cooled")


def test_a_failure_of_the_hardware_has_its_own_name(cases):
    case = cases["broken"]
    assert case.lines[1].startswith("InstrumentFailed instrument on PORT refuses message 0x0010110")
    assert "error 13, internal error, and reports a failure of its hardware" in case.lines[1]
    assert case.laser_mw == 0


def test_an_instrument_at_another_rate_is_found_and_brought_to_the_right_one(cases):
    case = cases["found"]
    assert case.lines[0].startswith("ventana ")
    assert len(pixels(case.lines[1])) == 1_024
    assert "was found at 9600 baud, now at 115200" in case.log
    assert case.device.baud == 115_200
    case.device.reset_unexpectedly(1e9)
    assert case.device.baud == 9_600  # nobody asked to save it


def test_a_rate_is_saved_where_node_json_says_so(cases):
    case = cases["saved"]
    case.device.reset_unexpectedly(1e9)
    assert case.device.baud == 115_200


def test_a_port_that_goes_in_the_middle_is_named(cases):
    case = cases["cut"]
    assert case.lines[1].startswith("PortLost serial port PORT went away")
