"""Goal: the later instruments answer as the one program that drives them expects.

Method: frames packed here as python-seabreeze packs and reads them, without the code under test;
the device is called directly, with times of the test's own.
"""

import struct
from hashlib import md5

import numpy as np
import pytest

from simulators.spectrometer.obp2_device import LaterSpectrometer
from simulators.spectrometer.obp2_models import OBP2_MODELS
from simulators.world import load_substances, parse_sample

SERIAL, INTEGRATION_SET, WAVELENGTHS, NONLINEARITIES = 0x100, 0xC01, 0x1100, 0x1200
SPECTRUM = 0x1C00
NACK_FLAGS, ACK_FLAGS = 9, 3
SUBSTANCES = load_substances()


def request(kind, data=b"", flags=0, version=0x2000):
    head = struct.pack("<2sHHHLL6sBB16sL", b"\xc1\xc0", version, flags, 0, kind, 7, b"", 1,
                       len(data), data, 20)  # fmt: skip
    return head + md5(head).digest() + b"\xc5\xc4\xc3\xc2"


def make(name, **options):
    return LaterSpectrometer(OBP2_MODELS[name], SUBSTANCES, seed=3, **options)


def ask(device, kind, data=b"", flags=0, now_s=1.0, **odd):
    """The flags, error and data of the answer, None: there is none yet."""
    device.receive(request(kind, data, flags, **odd), now_s)
    return read(device, now_s)


def read(device, now_s):
    replies = device.collect(now_s)
    if not replies:
        return None
    (reply,) = replies
    version, answer_flags, error, _, tag = struct.unpack_from("<HHHII", reply.data, 2)
    assert tag == 7
    assert reply.data[:2] == b"\xc1\xc0"
    assert version == 0x2000
    assert md5(reply.data[:-20]).digest() == reply.data[-20:-4]
    payload = reply.data[44:-20] or reply.data[24 : 24 + reply.data[23]]
    return answer_flags, error, payload


def expose(device, integration_us, unit_us=1, now_s=1.0):
    """The payload of one spectrum."""
    value = struct.pack("<L", integration_us // unit_us)
    assert ask(device, INTEGRATION_SET, value, 4, now_s) == (ACK_FLAGS, 0, b"")
    assert ask(device, SPECTRUM, now_s=now_s) is None
    flags, error, payload = read(device, now_s + integration_us / 1e6)
    assert (flags, error) == (1, 0)
    return payload


@pytest.mark.parametrize(
    "name, pixel_count, unit_us",
    [("sr2", 2110, 1), ("hr2", 2110, 1), ("sr4", 3648, 1), ("sr6", 2048, 1), ("st", 1516, 10)],
)
def test_a_spectrum_is_as_long_as_python_seabreeze_reads_it(name, pixel_count, unit_us):
    payload = expose(make(name), 100_000, unit_us)
    assert len(payload) == 32 + 2 * pixel_count
    pixels = struct.unpack(f"<{pixel_count}H", payload[32:])
    assert 800 < np.mean(pixels) < 2_000


def test_coefficients_come_in_one_answer_behind_one_float():
    device = make("sr6")
    for kind, truth in (
        (WAVELENGTHS, device.probe.unit.coefficients_nm),
        (NONLINEARITIES, device.model.detector.nonlinearity),
    ):
        flags, error, data = ask(device, kind)
        assert (flags, error) == (1, 0)
        assert struct.unpack(f"<{len(data) // 4}f", data)[1:] == pytest.approx(truth)


def test_the_serial_number_is_that_on_the_housing():
    device = make("sr4")
    assert ask(device, SERIAL) == (1, 0, device.serial_number.encode())


@pytest.mark.parametrize(
    "kind, data, version, error",
    [
        (0x101100, b"", 0x2000, 2),  # a message of the older families
        (SERIAL, b"", 0x1100, 1),
        (INTEGRATION_SET, struct.pack("<L", 7_199), 0x2000, 6),
        (INTEGRATION_SET, struct.pack("<L", 5_000_001), 0x2000, 6),
        (INTEGRATION_SET, b"\1", 0x2000, 5),
        (0xD01, b"\1", 0x2000, 6),
    ],
)
def test_what_it_does_not_know_is_refused(kind, data, version, error):
    device = make("sr6")
    device.receive(request(kind, data, 4, version), 1.0)
    (reply,) = device.collect(1.0)
    assert struct.unpack_from("<HH", reply.data, 4) == (NACK_FLAGS, error)


def test_what_would_change_an_exposure_is_refused_during_it():
    device = make("sr6")
    assert ask(device, SPECTRUM) is None
    assert ask(device, SPECTRUM)[:2] == (NACK_FLAGS, 7)
    assert ask(device, INTEGRATION_SET, struct.pack("<L", 10_000), 4)[:2] == (NACK_FLAGS, 7)
    assert ask(device, SERIAL)[:2] == (1, 0)


def test_the_laser_is_on_while_its_line_is_closed():
    device, told = make("sr6"), []
    device.present(parse_sample("urea", SUBSTANCES))
    for now_s, is_lit in ((1.0, False), (2.0, True)):
        device.is_lit = lambda is_lit=is_lit: is_lit
        payload = expose(device, 400_000, now_s=now_s)
        told.append(np.frombuffer(payload[32:], "<u2").astype(float))
    assert told[1].max() - told[0].max() > 3_000


def test_a_line_that_opens_in_an_exposure_ends_its_light():
    device = make("sr6")
    device.is_lit = lambda: True
    assert ask(device, INTEGRATION_SET, struct.pack("<L", 400_000), 4) is not None
    assert ask(device, SPECTRUM, now_s=1.0) is None
    assert device.next_event_s() <= 1.05
    device.is_lit = lambda: False
    assert read(device, 1.2) is None
    assert read(device, 1.4) is not None
    assert device.probe.laser_on_s == pytest.approx(0.2)
    assert device.probe.laser_mw == 0
