"""Goal: one press is one measurement, however the contact bounces; a stuck one measures nothing.

Method: levels of a pin look by look, as an oscilloscope shows them, on the boards' own class.
"""

import random

from boards.switches import HOLD_MS, POLL_MS, STEADY, Switch

OPEN, CLOSED = 1, 0
HOLD = HOLD_MS // POLL_MS


def presses(levels, names=("button", "hold")):
    """Return (look, press) of what a switch tells."""
    source = iter(levels)
    switch = Switch(lambda: next(source), names)
    return [(look, press) for look in range(len(levels)) if (press := switch.look())]


def told(levels, names=("button", "hold")):
    return [press for _, press in presses(levels, names)]


def test_a_short_press_tells_when_it_is_let_go():
    levels = [OPEN] * 5 + [CLOSED] * 10 + [OPEN] * 10
    assert presses(levels) == [(15 + STEADY - 1, "button")]


def test_a_press_that_is_held_tells_once_and_while_it_is_held():
    ((look, press),) = presses([OPEN] * 5 + [CLOSED] * (2 * HOLD) + [OPEN] * 10)
    assert press == "hold"
    assert look == 5 + HOLD - 1


def test_the_foot_switch_tells_at_once_and_never_twice():
    levels = [OPEN] * 5 + [CLOSED] * (2 * HOLD) + [OPEN] * 10
    assert presses(levels, ("foot", None)) == [(5 + STEADY - 1, "foot")]
    assert told(levels + levels, ("foot", None)) == ["foot", "foot"]


def test_a_contact_that_is_closed_from_the_start_measures_nothing():
    for names in (("button", "hold"), ("foot", None)):
        assert told([CLOSED] * (2 * HOLD), names) == []
        assert told([CLOSED] * 10 + [OPEN] * 10, names) == []


def test_spikes_shorter_than_the_bouncing_of_a_contact_are_no_press():
    spikes = ([OPEN] * 4 + [CLOSED] * (STEADY - 1)) * 50
    assert told(spikes) == []
    assert told(spikes, ("foot", None)) == []


def test_a_thousand_bouncing_presses_are_a_thousand():
    rng = random.Random(6)

    def bounce():
        return [rng.choice((OPEN, CLOSED)) for _ in range(STEADY - 1)]

    levels = [OPEN] * STEADY
    for _ in range(1_000):
        levels += bounce() + [CLOSED] * rng.randint(STEADY, 30)
        levels += bounce() + [OPEN] * rng.randint(STEADY, 30)
    assert told(levels) == ["button"] * 1_000
    assert told(levels, ("foot", None)) == ["foot"] * 1_000
