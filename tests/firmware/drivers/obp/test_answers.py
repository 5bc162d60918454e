"""Goal: what an instrument says of itself is believed where it can be, and named where it cannot.

Method: the driver in a real MicroPython on an instrument that is played: resets in the middle,
refusals, broken parts, limits, powers, buffers.
"""

import struct

import pytest

from tests.firmware.drivers.obp.playing import (
    ABORT,
    BAUD,
    BAUD_SAVE,
    BAUD_SET,
    BUFFER_CLEAR,
    BUFFERED,
    INTEGRATION,
    LAMP,
    LASER_OFF,
    LASER_ON,
    LEVEL_SET,
    LIGHT,
    LIGHT_SET,
    NOT_READY,
    PIXEL_COUNT,
    SCANS,
    SERIAL,
    SET_POINT_SET,
    SPECTRUM,
    UNKNOWN,
    laser_is_off,
    nack,
    pack,
)


def reset_at(number):
    """Answer the nth request of a kind as one that was reset before."""
    return lambda kind, tag, _data, nth: (
        pack(kind, tag, flags=9, error=9) if nth == number else None
    )


def test_a_reset_between_the_settings_has_both_set_again(drive):
    lines, instrument = drive("open", "identify", "dark", SCANS=reset_at(1))
    assert lines[1].startswith("dark ")
    kinds = [kind for kind, _ in instrument.requests]
    begun = kinds.index(INTEGRATION)
    assert kinds[begun : begun + 6] == [
        *(INTEGRATION, SCANS, SCANS),  # the first was forgotten when the second was answered
        *(INTEGRATION, SCANS, SPECTRUM),
    ]


def test_a_laser_is_not_switched_on_again_after_a_reset(drive):
    lines, instrument = drive("open", "identify", "sample", "sample", LIGHT_SET=reset_at(2))
    assert "error 9, it was reset unexpectedly" in lines[1]
    assert lines[2].startswith("sample ")
    switched = [request for request in instrument.requests if request[0] == LIGHT_SET]
    assert switched == [LASER_OFF, LASER_ON, LASER_OFF, LASER_ON, LASER_OFF]


def test_after_a_reset_it_is_asked_anew_what_it_is(drive):
    _, instrument = drive("open", "identify", "identify", "identify", SERIAL=reset_at(2))
    assert [kind for kind, _ in instrument.requests].count(PIXEL_COUNT) == 2


@pytest.mark.parametrize(
    "flags, error, told",
    [
        (9, NOT_READY, "InstrumentBusy"),
        (9, 13, "InstrumentFailed"),
        (17, 0, "InstrumentFailed"),
    ],
    ids=["busy", "failed", "hardware"],
)
def test_both_lasers_are_off_where_it_cannot_be_told_which_there_is(drive, flags, error, told):
    lines, instrument = drive(
        "open",
        "identify",
        LIGHT=lambda kind, tag, _data, _nth: pack(kind, tag, flags=flags, error=error),
    )
    assert lines[0].startswith(f"{told} instrument on PORT refuses message 0x00810021")
    assert instrument.requests[-2:] == [(LAMP, b"\0"), LASER_OFF]


def test_the_power_of_a_laser_is_set_before_it_is_on(drive):
    _, instrument = drive("open", "laser_percent=25", "identify", "sample")
    at = instrument.requests.index(LASER_ON)
    assert instrument.requests[at - 1] == (LEVEL_SET, struct.pack("<BBf", 0, 0, 0.25))


def test_a_power_that_cannot_be_set_keeps_the_laser_off(drive):
    lines, instrument = drive(
        "open", "laser_percent=25", "identify", "sample", LEVEL_SET=nack(UNKNOWN)
    )
    assert lines[1].startswith("InstrumentUnsuited the laser's power cannot be set to 25 %")
    assert LASER_ON not in instrument.requests
    assert laser_is_off(instrument)


def test_limits_are_the_instruments_own_or_the_models(drive):
    lines, _ = drive("open", "facts")
    assert lines[0].startswith("ventana 65535 (22000, 60000000) ")
    lines, _ = drive(
        *("open", "facts"), INTEGRATION_MAX=nack(UNKNOWN), NONLINEARITY_COUNT=nack(UNKNOWN)
    )
    assert lines[0] == "ventana 65535 (22000, 60000000) -"
    shortest = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<I", 5))  # noqa: E731
    lines, _ = drive("open", "facts", INTEGRATION_MIN=shortest)
    assert lines[0].startswith("ventana 65535 (5, 60000000) ")


@pytest.mark.parametrize("kind", ["NONLINEARITY_COUNT", "NONLINEARITY", "INTEGRATION_MIN"])
@pytest.mark.parametrize(
    "number, told", [(NOT_READY, "InstrumentBusy"), (13, "InstrumentFailed"), (9, "InstrumentRef")]
)
def test_what_is_refused_for_now_is_not_taken_for_absent(drive, kind, number, told):
    lines, _ = drive("open", "facts", **{kind: nack(number)})
    assert lines[0].startswith(told)


@pytest.mark.parametrize("number", [6, NOT_READY, 13])
def test_a_thermometer_that_refuses_costs_no_spectrum(drive, number):
    steps = ("open", "identify", "dark", "sample", "caution", "sample", "caution")
    refusing = lambda kind, tag, _d, nth: (  # noqa: E731
        pack(kind, tag, flags=9, error=number) if nth <= 3 else None
    )
    lines, _ = drive(*steps, TEMPERATURE=refusing)
    for line, name in ((lines[1], "dark"), (lines[2], "sample")):
        word, _, temperature, _ = line.split()
        assert (word, temperature) == (name, "None")
    assert "message 0x00400001" in lines[3]
    assert lines[3].endswith("without a temperature, and dark frames are renewed by age only")
    assert lines[4].split()[2] == "-5250"
    assert lines[5] == "NoneType None"


def test_a_coolers_thermometer_that_refuses_is_passed_over_once_it_does_so_again(drive):
    lines, _ = drive("open", "identify", *["dark"] * 4, COOLER_TEMPERATURE=nack(6))
    assert [line.split()[2] for line in lines[1:]] == ["None", "None", "-5250", "-5250"]


def test_a_cooler_that_is_busy_is_set_again(drive):
    once = lambda kind, tag, _d, nth: (  # noqa: E731
        pack(kind, tag, flags=9, error=NOT_READY) if nth == 1 else None
    )
    cold = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<f", -10.0))  # noqa: E731
    lines, instrument = drive(
        *("open", "cooler=true", "caution"), SET_POINT_SET=once, COOLER_TEMPERATURE=cold
    )
    assert lines == ["NoneType None"]
    assert [kind for kind, _ in instrument.requests].count(SET_POINT_SET) == 2


def test_an_integration_the_instrument_rounds_is_refused(drive):
    step = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<I", 3_000))  # noqa: E731
    taken = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<I", 18_000))  # noqa: E731
    lines, instrument = drive(
        "open", "identify", "sample", INTEGRATION_STEP=step, INTEGRATION_NOW=taken
    )
    told = "ExposureRefused the instrument made integration_us 18000 of 20000; use a multiple of"
    assert lines[1].startswith(told)
    assert SPECTRUM not in [kind for kind, _ in instrument.requests]


@pytest.mark.parametrize("step_us", [0, 60_000_000, 0xFFFF_FFFF])
def test_a_step_that_leaves_no_time_is_none(drive, step_us):
    step = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<I", step_us))  # noqa: E731
    lines, _ = drive("open", "identify", "sample", INTEGRATION_STEP=step)
    assert lines[1].startswith("sample ")


def test_settings_that_are_refused_say_what_would_do(drive):
    lines, _ = drive("open", "identify", "dark", SCANS=nack(6))
    assert lines[1].startswith("ExposureRefused the instrument refuses integration_us 20000 with")
    assert lines[1].endswith("error 6, argument invalid; it takes 22000 to 60000000")


def test_settings_that_come_at_a_wrong_time_are_not_refused_for_ever(drive):
    lines, _ = drive("open", "identify", "dark", SCANS=nack(NOT_READY))
    assert lines[1].startswith("InstrumentBusy ")


def test_a_spectrum_it_does_not_know_is_told_with_the_other(drive):
    lines, _ = drive("open", "identify", "dark", SPECTRUM=nack(UNKNOWN))
    assert lines[1].startswith("InstrumentUnsuited ")
    assert lines[1].endswith("set instrument.corrected to true in node.json")


def test_a_buffered_spectrum_is_asked_for_until_it_is_there(drive):
    counts = struct.pack("<1044I", *range(262_144 - 1_044, 262_144))

    def odd(kind, tag, _data, nth):
        if nth < 3:
            return pack(kind, tag, flags=9, error=12)
        return pack(kind, tag, bytes(32) + counts)

    pixels = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<I", 1_044))  # noqa: E731
    lines, instrument = drive(
        *("open", "identify", "dark"), LIGHT=nack(UNKNOWN), PIXEL_COUNT=pixels, BUFFERED=odd
    )
    assert lines[0].startswith("qe_pro VEN00042 1044 65535 ")
    assert lines[1].startswith(f"dark {struct.pack('<H', (262_144 - 1_044) >> 2).hex()}")
    kinds = [kind for kind, _ in instrument.requests]
    assert kinds.count(BUFFER_CLEAR) == 1
    assert kinds.count(BUFFERED) == 3


def test_a_coefficient_that_is_no_number_is_named(drive):
    nan = lambda kind, tag, _d, _n: pack(kind, tag, struct.pack("<f", float("nan")))  # noqa: E731
    lines, _ = drive("open", "identify", COEFFICIENT=nan)
    assert lines[0].startswith("InstrumentUnsuited instrument on PORT: wavelength coefficient 0 is")


def test_an_instrument_that_does_not_come_along_is_used_at_its_rate(drive):
    """It answers at the first other rate, agrees to come, and is not heard at the wanted one."""

    def unheard(*first):
        return lambda _kind, _tag, _data, nth: b"" if nth in first else None

    lines, instrument = drive(
        *("open", "baud_save=true", "identify", "dark"), LIGHT=unheard(1, 2), SERIAL=unheard(2)
    )
    assert lines[0].startswith("ventana VEN00042 ")
    assert lines[1].startswith("dark ")
    kinds = [kind for kind, _ in instrument.requests]
    assert kinds[:10] == [
        *(LIGHT, LIGHT, SERIAL),  # silent at the rate of node.json, there at 9600
        *(LIGHT, LIGHT_SET, ABORT, BAUD_SET, SERIAL),  # silent again
        *(SERIAL, SERIAL),  # back, and identified
    ]
    assert instrument.requests[6] == (BAUD_SET, struct.pack("<I", BAUD))
    assert BAUD_SAVE not in kinds


def test_an_instrument_that_refuses_the_rate_is_used_at_its_own(drive):
    lines, instrument = drive(
        *("open", "identify", "dark"),
        LIGHT=lambda _kind, _tag, _data, nth: b"" if nth < 3 else None,
        BAUD_SET=nack(6),
    )
    assert lines[1].startswith("dark ")
    assert [kind for kind, _ in instrument.requests].count(BAUD_SET) == 1
