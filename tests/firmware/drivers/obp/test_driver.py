"""Goal: the driver gets spectra out of an instrument that behaves, and out of trouble otherwise.

Method: the driver in a real MicroPython on a real pseudo-terminal; the test plays the instrument
and answers each request as the case wants it: well, late, refused, deferred, twice, garbled, not
at all. What the driver sent is kept, so that the laser can be followed through every failure.
"""

import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest

from tests.firmware.drivers.obp.playing import (
    ABORT,
    BAUD,
    COEFFICIENT,
    COEFFICIENTS,
    COOLER_TEMPERATURE,
    COUNT,
    DEFERRED,
    INTEGRATION,
    INTEGRATION_MAX,
    INTEGRATION_MIN,
    INTEGRATION_STEP,
    LAMP,
    LASER_OFF,
    LASER_ON,
    LIGHT,
    LIGHT_SET,
    NONLINEARITY,
    NONLINEARITY_COUNT,
    NOT_READY,
    PIXEL_COUNT,
    PIXELS,
    SCANS,
    SERIAL,
    SPECTRUM,
    TEMPERATURE,
    UNKNOWN,
    Instrument,
    laser_is_off,
    nack,
    nothing,
    pack,
)


def test_a_spectrum_from_opening_to_closing(drive):
    lines, instrument = drive("open", "identify", "identify", "dark", "sample", "close")
    coefficients = struct.pack("<2f", *COEFFICIENTS).hex()
    assert lines == [
        f"ventana VEN00042 8 65535 {coefficients}",
        f"ventana VEN00042 8 65535 {coefficients}",
        f"dark {PIXELS.hex()} -5250 False",
        f"sample {PIXELS.hex()} -5250 False",
    ]
    settings = [(INTEGRATION, struct.pack("<I", 20_000)), (SCANS, b"\x02\0")]
    spectrum = (SPECTRUM, b"")
    temperature = (TEMPERATURE, b"\0")
    assert instrument.requests == [
        (LIGHT, b"\0\0"),
        LASER_OFF,  # a power cut in an exposure may have left it on,
        (ABORT, b""),  # and the exposure going
        (SERIAL, b""),
        (PIXEL_COUNT, b""),
        (COUNT, b""),
        (COEFFICIENT, b"\0"),
        (COEFFICIENT, b"\1"),
        (NONLINEARITY_COUNT, b""),
        (NONLINEARITY, b"\0"),
        (NONLINEARITY, b"\1"),
        (INTEGRATION_MIN, b""),
        (INTEGRATION_MAX, b""),
        (INTEGRATION_STEP, b""),
        (SERIAL, b""),  # the same instrument needs no second introduction
        (COOLER_TEMPERATURE, b""),  # asked once: this one has no cooler
        temperature,  # by which a dark frame is chosen
        *settings,
        spectrum,
        temperature,
        *settings,
        LASER_ON,
        spectrum,
        LASER_OFF,
        temperature,
    ]


def test_an_instrument_without_laser_module_is_switched_by_the_lamp_line(drive):
    lines, instrument = drive(
        "open",
        "identify",
        "sample",
        LIGHT=nack(UNKNOWN),
        PIXEL_COUNT=lambda kind, tag, _data, _nth: pack(kind, tag, struct.pack("<H", 1024)),
        SPECTRUM=lambda kind, tag, _data, _nth: pack(kind, tag, bytes(2048)),
    )
    assert lines[0].startswith("sts VEN00042 1024 16383 ")
    assert lines[1].startswith("sample 0000")
    lamp = [data for kind, data in instrument.requests if kind == LAMP]
    assert lamp == [b"\0", b"\1", b"\0"]
    assert LIGHT_SET not in [kind for kind, _ in instrument.requests]


def test_noise_around_an_answer_and_strange_answers_are_passed_over(drive):
    def odd(kind, tag, _data, nth):
        stranger = pack(kind, tag + 1000, b"stranger")
        other = pack(SPECTRUM, tag, b"other")
        request = pack(kind, tag, b"", flags=0)  # our own words, echoed by a two-wire line
        return b"\xc1\xc0\xff" + stranger + request + other + pack(kind, tag, b"VEN%05d" % nth)

    lines, _ = drive("open", "identify", SERIAL=odd)
    assert lines[0].startswith("ventana VEN00001 ")


def test_a_setting_is_repeated_once_when_noise_ate_the_answer(drive):
    def odd(kind, tag, _data, nth):
        spoilt = bytearray(pack(kind, tag, flags=3))
        spoilt[50] ^= 1
        return bytes(spoilt) if nth == 1 else None

    lines, instrument = drive("open", "identify", "sample", SCANS=odd)
    assert lines[1].startswith("sample ")
    assert [kind for kind, _ in instrument.requests].count(SCANS) == 2


def test_a_reset_that_nobody_asked_for_is_survived(drive):
    def odd(kind, tag, _data, nth):
        return pack(kind, tag, flags=9, error=9) if nth == 1 else None

    lines, _ = drive("open", "identify", "sample", INTEGRATION=odd)
    assert lines[1].startswith("sample ")


def test_a_deferred_answer_is_waited_for(drive):
    def odd(kind, tag, _data, nth):
        deferred = pack(kind, tag, flags=1, error=DEFERRED)
        return deferred * 3 + pack(kind, tag, PIXELS) if nth == 1 else deferred * 20

    lines, instrument = drive("open", "identify", "sample", "sample", SPECTRUM=odd)
    assert lines[1].startswith("sample ")
    assert lines[2].startswith("InstrumentBusy instrument on PORT refuses message 0x00101100")
    assert "deferred too often" in lines[2]
    assert laser_is_off(instrument)


@pytest.mark.parametrize(
    "answer, error",
    [
        (nothing, "InstrumentSilent instrument on PORT does not answer at 115200 baud"),
        (nack(NOT_READY), "InstrumentBusy instrument on PORT refuses message 0x00101100"),
        (
            lambda kind, tag, _data, _nth: pack(kind, tag, PIXELS)[:-1] + b"\0",
            "InstrumentGarbled instrument on PORT: 64 bytes at 115200 baud",
        ),
        (
            lambda kind, tag, _data, _nth: os.urandom(300).replace(b"\xc1", b"\xc2"),
            "InstrumentGarbled instrument on PORT: 300 bytes at 115200 baud",
        ),
        (
            lambda kind, tag, _data, _nth: pack(kind, tag, bytes(32)),
            "InstrumentUnsuited instrument on PORT sent 32 bytes of pixels instead of 16",
        ),
    ],
    ids=["silent", "not ready", "footer", "garbage", "32 bit"],
)
def test_a_failed_exposure_is_named_not_repeated_and_leaves_the_laser_off(drive, answer, error):
    lines, instrument = drive("open", "identify", "sample", SPECTRUM=answer)
    assert lines[1].startswith(error)
    requests = [kind for kind, _ in instrument.requests]
    assert requests.count(SPECTRUM) == 1
    assert requests[-1] == ABORT  # nobody waits for what may still be exposed
    assert laser_is_off(instrument)


def test_a_cancelled_exposure_leaves_the_laser_off(drive):
    lines, instrument = drive("open", "identify", "cancelled", SPECTRUM=nothing)
    assert lines[1] == "cancelled"
    assert instrument.requests[-3:] == [(SPECTRUM, b""), LASER_OFF, (ABORT, b"")]


def test_a_laser_whose_switching_on_is_not_confirmed_is_switched_off(drive):
    def odd(_kind, _tag, data, _nth):
        return b"" if data == b"\0\0\1" else None

    lines, instrument = drive("open", "identify", "sample", LIGHT_SET=odd)
    assert lines[1].startswith("InstrumentSilent")
    assert SPECTRUM not in [kind for kind, _ in instrument.requests]
    assert laser_is_off(instrument)


def test_a_laser_that_does_not_confirm_that_it_is_off_is_told(drive):
    def odd(_kind, _tag, data, nth):
        return b"" if data == b"\0\0\0" and nth > 1 else None

    lines, instrument = drive("open", "identify", "sample", LIGHT_SET=odd)
    assert lines[1].startswith("LaserUncertain laser may be on: instrument on PORT does not answer")
    assert "key switch" in lines[1]
    assert instrument.requests.count(LASER_OFF) >= 1 + 3


def test_an_instrument_without_thermometer_is_asked_once(drive):
    lines, instrument = drive("open", "identify", "dark", "dark", TEMPERATURE=nack(UNKNOWN))
    assert lines[1:] == [f"dark {PIXELS.hex()} None False"] * 2
    assert [kind for kind, _ in instrument.requests].count(TEMPERATURE) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 999.0])
def test_a_temperature_that_cannot_be_is_not_told(drive, value):
    data = struct.pack("<f", value)
    lines, _ = drive(
        "open", "identify", "dark", TEMPERATURE=lambda k, tag, _d, _n: pack(k, tag, data)
    )
    assert lines[1] == f"dark {PIXELS.hex()} None False"


def test_answers_without_checksum_are_used_and_marked(drive):
    unchecked = lambda kind, tag, _data, _nth: pack(kind, tag, PIXELS, checked=False)  # noqa: E731
    lines, _ = drive("open", "identify", "dark", "sample", SPECTRUM=unchecked)
    assert lines[1] == f"dark {PIXELS.hex()} -5250 True"


@pytest.mark.parametrize(
    "odd, error",
    [
        (
            {"PIXEL_COUNT": lambda k, tag, _d, _n: pack(k, tag, struct.pack("<I", 100_000))},
            (
                "InstrumentUnsuited instrument on PORT has 100000 pixels of 2 bytes; this node "
                "takes 1 to 2068, see instrument.pixels_max in docs/node.md"
            ),
        ),
        (
            {"PIXEL_COUNT": lambda k, tag, _d, _n: pack(k, tag, bytes(4))},
            "InstrumentUnsuited instrument on PORT has 0 pixels",
        ),
        (
            {"COUNT": lambda k, tag, _d, _n: pack(k, tag, b"\x09")},
            "InstrumentUnsuited instrument on PORT has 9 wavelength coefficients; 1 to 8",
        ),
        (
            {"COEFFICIENT": lambda k, tag, _d, _n: pack(k, tag, bytes(8))},
            "InstrumentUnsuited instrument on PORT: wavelength coefficient 0 has 8 bytes",
        ),
        ({"SERIAL": nack(12)}, "InstrumentRefused instrument on PORT refuses message 0x00000100"),
        ({"LIGHT": nothing}, "InstrumentSilent instrument on PORT does not answer"),
    ],
)
def test_an_instrument_that_cannot_be_used_is_named(drive, odd, error):
    lines, _ = drive("open", "identify", **odd)
    assert lines[0].startswith(error)


def test_a_serial_number_with_strange_bytes_is_cleaned(drive):
    lines, _ = drive(
        "open",
        "identify",
        SERIAL=lambda k, tag, _d, _n: pack(k, tag, b"\0V\xffEN 7\r\n" + bytes(7)),
    )
    assert lines[0].startswith("ventana VEN 7 8 ")


def test_ports_that_cannot_be_used_are_named(run_story, tmp_path):
    def tell(path, baud=BAUD):
        (line,) = run_story("driver_story.py", str(path), str(baud), "open")
        return line

    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert tell(tmp_path / "none").startswith("PortMissing serial port PORT does not exist; plug")
    assert tell(plain).startswith("PortRefused PORT is not a serial port; set its port")
    assert tell(tmp_path).startswith("PortRefused serial port PORT cannot be opened")
    assert tell(plain, 1234).startswith("PortRefused baud rate 1234 of port PORT")


@pytest.mark.parametrize("baud", [300, 2_400, 9_600, 19_200, 38_400, 115_200, 921_600])
def test_a_port_is_opened_at_any_usual_rate(run_story, baud):
    instrument = Instrument({})
    try:
        assert run_story("driver_story.py", instrument.path, str(baud), "open") == []
        with Path(instrument.path).open("rb+", buffering=0) as port:
            assert termios.tcgetattr(port)[4:6] == [getattr(termios, f"B{baud}")] * 2
    finally:
        instrument.end()


def test_a_busy_port_is_named(run_story):
    instrument = Instrument({})
    try:
        with Path(instrument.path).open("rb+", buffering=0) as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            (line,) = run_story("driver_story.py", instrument.path, str(BAUD), "open")
        assert line == "PortBusy serial port PORT is in use; close the other program"
        assert run_story("driver_story.py", instrument.path, str(BAUD), "open", "close") == []
    finally:
        instrument.end()
