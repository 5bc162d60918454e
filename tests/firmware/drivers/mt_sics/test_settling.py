"""Goal: what an officer puts on the scale is one record, whatever hand, wind and warmth do.

Method: stories of looks, a quarter of a second apart, at a scale with 1 g readability.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mt_sics.settling import Settling

STEP_MG = 5_000  # five counts of a gram
DRUM = 12_500_000


def records(*looks):
    """Return what becomes a record of (mass in milligrams, whether stable)."""
    settling = Settling()
    return [mass_mg for mass_mg, is_stable in looks if settling.take(mass_mg, STEP_MG, is_stable)]


def rest(mass_mg, looks=3):
    return [(mass_mg, True)] * looks


def swing(*masses_mg):
    return [(mass_mg, False) for mass_mg in masses_mg]


@pytest.mark.parametrize(
    "looks, told",
    [
        pytest.param([*rest(0), (9_000_000, False), *rest(DRUM, 40)], [DRUM], id="put on"),
        pytest.param([*rest(DRUM), *rest(0), *rest(DRUM)], [DRUM, DRUM], id="and again"),
        pytest.param(
            [*rest(DRUM), *swing(3_000, -2_000), *rest(DRUM)], [DRUM, DRUM], id="never at rest"
        ),
        pytest.param(
            [*rest(DRUM), *swing(4_600_000, 1_200_000, -400_000), *rest(DRUM)],
            [DRUM, DRUM],
            id="another one as soon as the first was off",
        ),
        pytest.param(
            [*rest(DRUM), *swing(-3_000_000, 15_000_000, 1_000_000, 13_000_000), *rest(DRUM)],
            [DRUM],
            id="jolts through nothing",
        ),
        pytest.param(
            [*rest(DRUM), *swing(2_000_000, 1_300_000, 1_300_000), *rest(DRUM)],
            [DRUM],
            id="half carried while it was shifted",
        ),
        pytest.param(
            [*rest(20_000), *swing(9_000, 9_000), *rest(20_000)], [20_000] * 2, id="a little twice"
        ),
        pytest.param([*rest(20_000), *swing(12_000, 12_000), *rest(20_000)], [20_000], id="touch"),
        pytest.param([(DRUM, True)], [], id="one look is not enough"),
        pytest.param([(DRUM, True), (DRUM + 1_000_000, True)], [], id="a spoilt digit"),
        pytest.param(
            [*rest(DRUM), (22_500_000, True), *rest(DRUM)], [DRUM], id="a spoilt digit later"
        ),
        pytest.param([*rest(DRUM), (15_000_000, False), *rest(DRUM)], [DRUM], id="touched"),
        pytest.param([*rest(DRUM), (0, True), *rest(DRUM)], [DRUM], id="lifted for a moment"),
        pytest.param(
            [*rest(15_000_000), *rest(DRUM)], [15_000_000, DRUM], id="leaned on, then right"
        ),
        pytest.param([*rest(DRUM), *rest(DRUM + STEP_MG)], [DRUM], id="within a step"),
        pytest.param(
            [(DRUM + mg, True) for mg in range(0, 100_000, 500)], [DRUM + 500], id="warmth"
        ),
        pytest.param([(DRUM, False)] * 40, [], id="wind"),
        pytest.param([*rest(19_000), *rest(-19_000), *rest(0)], [], id="around nothing"),
        pytest.param([*rest(20_000)], [20_000], id="a little"),
        pytest.param(
            [*rest(DRUM), *rest(0), *rest(4_000_000), *rest(-DRUM), *rest(0)],
            [DRUM, 4_000_000],
            id="tared, filled, taken off",
        ),
        pytest.param([*rest(DRUM), *rest(5_000_000)], [DRUM, 5_000_000], id="a part taken off"),
    ],
)
def test_what_becomes_a_record(looks, told):
    assert records(*looks) == told


def test_a_forgotten_tare_is_told_when_something_is_put_on():
    settling = Settling()
    for looks, is_below in (
        (rest(0), False),
        (rest(-DRUM), False),  # what was tared is taken off
        (rest(-2_500_000), True),  # something lighter is put on
        (rest(-2_501_000), True),
        (rest(-DRUM), False),
        (rest(1_000_000), False),
    ):
        for mass_mg, is_stable in looks:
            settling.take(mass_mg, STEP_MG, is_stable)
        assert settling.is_below == is_below
    settling = Settling()
    for mass_mg, is_stable in rest(-DRUM) + rest(-2_500_000):
        settling.take(mass_mg, STEP_MG, is_stable)
    settling.note(0)  # it was zeroed
    assert not settling.is_below


def test_a_scale_that_shows_no_weight_between_two_looks_is_not_empty():
    settling = Settling()
    told = []
    for look in (*rest(DRUM), *swing(0), None, *swing(0), *rest(DRUM)):
        if look is None:
            settling.disturb()
        elif settling.take(look[0], STEP_MG, look[1]):
            told.append(look[0])
    assert told == [DRUM]


def test_what_swings_through_nothing_does_not_hide_a_forgotten_tare():
    settling = Settling()
    for mass_mg, is_stable in (*rest(0), *rest(-DRUM), *swing(0, 0), *rest(-2_500_000)):
        settling.take(mass_mg, STEP_MG, is_stable)
    assert settling.is_below


def test_what_somebody_recorded_is_not_recorded_again():
    settling = Settling()
    settling.note(DRUM)
    assert not any(settling.take(*look) for look in [(DRUM, STEP_MG, True)] * 5)


@given(st.lists(st.tuples(st.integers(-(10**8), 10**8), st.booleans()), max_size=40))
def test_whatever_is_seen_a_record_was_stable_twice_and_is_no_repetition(looks):
    settling, before, told = Settling(), None, None
    for mass_mg, is_stable in looks:
        if settling.take(mass_mg, STEP_MG, is_stable):
            assert is_stable
            assert before is not None
            assert abs(before - mass_mg) <= STEP_MG
            assert mass_mg >= 4 * STEP_MG
            told = mass_mg
        before = mass_mg if is_stable else None
    assert told is None or told > 0
