"""Goal: the simulated scale answers as the manuals say, and weighs what lies on it.

Method: the device without line and clock: commands in, time by hand, answers out.
"""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import WorldError
from simulators.scale.device import BOOT_S, REPLIES_MAX, STABILITY_S, Scale
from simulators.scale.pan import Build, parse_mass

LATER_S = 20.0  # everything has settled
CALM = Build(noise_counts=0.0, drift_counts_min=0.0)


def ask(scale, *commands, now_s=LATER_S):
    """Return the lines that the scale has to say after these commands."""
    for command in commands:
        scale.receive(command.encode("latin-1") + b"\r\n", now_s)
    return said(scale, now_s)


def said(scale, now_s):
    return [reply.data.decode("ascii").removesuffix("\r\n") for reply in scale.collect(now_s)]


@pytest.fixture
def scale():
    return Scale(CALM, seed=1)


def test_a_weight_is_right_aligned_with_its_status_and_unit(scale):
    assert ask(scale, "S", "SI") == ["S S      0.000 kg"] * 2
    scale.place(Decimal(12_500), LATER_S)
    (moving,) = ask(scale, "SI", now_s=LATER_S + 0.01)
    assert moving.startswith("S D ")
    assert ask(scale, "SI", now_s=2 * LATER_S) == ["S S     12.500 kg"]


def test_it_says_what_it_is(scale):
    (serial,) = ask(scale, "I4")
    assert re.fullmatch(r'I4 A "B\d{9}"', serial)
    assert ask(scale, "I2") == ['I2 A "SB60001 60.000 kg"']
    assert ask(scale, "I1", "I3", "I5")[0].startswith('I1 A "01"')
    lines = ask(scale, "I0")
    assert all(line.startswith("I0 B ") for line in lines[:-1])
    assert lines[-1].startswith("I0 A ")
    assert 'I0 B 0 "SIR"' in lines
    other = Scale(CALM, seed=2)
    assert ask(other, "I4") != [serial]
    assert ask(Scale(CALM, seed=1), "I4") == [serial]


def test_a_stable_weight_is_waited_for_and_commands_behind_it_wait(scale):
    scale.place(Decimal(5_000), LATER_S)
    assert ask(scale, "S", "I2") == []
    assert scale.next_event_s() > LATER_S
    assert said(scale, LATER_S + 5) == ["S S      5.000 kg", 'I2 A "SB60001 60.000 kg"']
    assert scale.next_event_s() is None
    scale.pan.wind_counts = 20.0
    assert ask(scale, "S", now_s=100) == []
    assert said(scale, 100 + STABILITY_S) == ["S I"]
    assert ask(scale, "T", "S", "@", now_s=200) == [f'I4 A "{scale.serial_number}"']
    assert said(scale, 200 + STABILITY_S) == []  # it cancels what waited


def test_overload_and_underload(scale):
    scale.place(Decimal(60_010), 0.0)
    assert ask(scale, "SI", "S", "T", "TI") == ["S +", "S +", "T +", "TI +"]
    scale.remove(LATER_S)
    scale.pan.lift(has_pan=False, now_s=LATER_S)
    assert ask(scale, "SI", now_s=2 * LATER_S) == ["S -"]


def test_tare_and_zero(scale):
    scale.place(Decimal(2_000), 0.0)
    assert ask(scale, "T", "S", "TA") == [
        "T S      2.000 kg",
        "S S      0.000 kg",
        "TA A      2.000 kg",
    ]
    assert ask(scale, "TAC", "S") == ["TAC A", "S S      2.000 kg"]
    assert ask(scale, "Z", "ZI") == ["Z +", "ZI +"]
    scale.place(Decimal(-1_000), LATER_S)
    assert ask(scale, "Z", "S", now_s=60) == ["Z A", "S S      0.000 kg"]
    scale.remove(60)
    assert ask(scale, "S", "TI", now_s=90)[0] == "S S     -1.000 kg"


def test_level_0_does_not_tare():
    scale = Scale(CALM, level=0)
    assert ask(scale, "T", "TI", "TA", "SR", "D", "S") == ["ES"] * 5 + ["S S      0.000 kg"]
    assert not any('"T"' in line for line in ask(scale, "I0"))


@pytest.mark.parametrize(
    "command, answer",
    [
        ("X", "ES"),
        ("si", "ES"),
        ("S S", "ES"),
        ("TA 1 kg", "EL"),
        ("S\xff", "ET"),
        ("x" * 65, "ES"),
    ],
)
def test_what_it_does_not_understand(scale, command, answer):
    assert ask(scale, command) == [answer]
    assert scale.counts.errors == 1


def test_streams_end_with_the_next_command(scale):
    assert ask(scale, "SIR") == ["S S      0.000 kg"]
    assert len([said(scale, LATER_S + at) for at in (0.1, 0.2, 0.3)]) == 3
    assert ask(scale, "I2", now_s=LATER_S + 0.35) == ['I2 A "SB60001 60.000 kg"']
    assert scale.next_event_s() is None
    assert ask(scale, "SR", now_s=30) == ["S S      0.000 kg"]
    assert said(scale, 31) == []
    scale.place(Decimal(20), 31)
    assert said(scale, 40) == []  # too little a change
    scale.place(Decimal(3_000), 40)
    (moving,) = said(scale, 40.2)
    assert moving.startswith("S D ")
    assert said(scale, 60) == ["S S      3.020 kg"]
    assert said(scale, 61) == []


def test_power_comes_back_with_zero_and_without_tare(scale):
    scale.place(Decimal(2_000), 0.0)
    ask(scale, "T", "SIR")
    scale.reset_unexpectedly(30.0)
    assert ask(scale, "I2", now_s=30.1) == []  # deaf
    assert scale.next_event_s() == 30.0 + BOOT_S
    assert said(scale, 31.0) == [f'I4 A "{scale.serial_number}"']
    assert ask(scale, "S", now_s=40.0) == ["S S      2.000 kg"]


def test_keys_and_units(scale):
    scale.place(Decimal("4535.9237"), 0.0)
    shown = {}
    for unit in ("kg", "g", "lb", "oz", "pcs"):
        scale.press(f"unit {unit}", LATER_S)
        shown[unit] = ask(scale, "S")[0].split()[2]
    assert shown == {"kg": "4.536", "g": "4536", "lb": "10.000", "oz": "160.00", "pcs": "4536"}
    scale.press("unit kg", LATER_S)
    scale.press("tare", LATER_S)
    scale.press("print", LATER_S)
    assert said(scale, LATER_S) == ["S S      0.000 kg"]
    scale.press("zero", LATER_S)  # too much lies there: nothing happens
    for key in ("door", "unit stone", "unit"):
        with pytest.raises(WorldError, match="known are tare, zero, print"):
            scale.press(key, LATER_S)


def test_noise_and_drift_are_seeded_and_small():
    def weights(seed):
        scale = Scale(seed=seed)
        scale.place(Decimal(12_500), 0.0)
        return [ask(scale, "SI", now_s=LATER_S + at)[0] for at in range(200)]

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)
    shown = {round(float(line.split()[2]) * 1000) for line in weights(1)}
    assert shown <= set(range(12_496, 12_505))
    assert len(shown) > 1


def test_nothing_grows_when_nobody_listens(scale):
    ask(scale, "SIR", now_s=0.0)
    for number in range(3 * REPLIES_MAX):
        scale.receive(b"SI\r\n", LATER_S + number)
    assert len(said(scale, 1_000)) == REPLIES_MAX
    assert scale.counts.replies_lost == 2 * REPLIES_MAX


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_any_bytes_leave_it_working(pieces):
    scale = Scale(CALM, seed=1)
    now_s = LATER_S
    for piece in pieces:
        now_s += 1.0
        scale.receive(piece, now_s)
        scale.collect(now_s)
    now_s += 10 * STABILITY_S
    scale.receive(b"\r\n", now_s)
    said(scale, now_s)
    assert ask(scale, "I2", now_s=now_s + 100)[-1:] == ['I2 A "SB60001 60.000 kg"']


@pytest.mark.parametrize("text", ["12.5", "kg", "12,5 kg", "-1 kg", "1e3 kg", "1 stone", "1 pcs"])
def test_a_mass_that_is_none_is_named(text):
    with pytest.raises(WorldError, match="write a number and a unit"):
        parse_mass(text)


def test_more_than_there_is_cannot_be_taken_off(scale):
    scale.place(parse_mass("2 kg"), 0.0)
    with pytest.raises(WorldError, match="-3000 g on top of 2000 g"):
        scale.place(-parse_mass("3 kg"), 1.0)
    with pytest.raises(WorldError, match="is more than"):
        parse_mass("9" * 40 + " t")
