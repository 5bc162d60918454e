"""Goal: acts that cannot come out right on a lane are refused before anything starts.

Method: a scenario of short acts, and the steps that its acts are given.
"""

from itertools import product

import pytest

from simulators.errors import ScenarioError
from simulators.order import inspections, refuse_act, refuse_acts
from simulators.play import check
from simulators.scenario import SCENARIOS, load_scenario
from simulators.world import load_substances

LOAD = """
[[sample]]
title = "salt"
sample = "sodium_chloride"
verdict = "clear"
[[document]]
name = "driver"
type = "TD3"
issuer = "UTO"
surname = "ERIKSSON"
number = "L898902C3"
birth = 1974-08-12
expiry = 2031-04-15
[[consignment]]
name = "load"
declared = "salt"
documents = ["driver"]
sample = "salt"
[[consignment.goods]]
title = "sack"
gtin = "4006381333931"
mass_kg = MASS
"""
STEPS = {
    "s": '{ scan = "goods" }',
    "r": '{ read = "driver" }',
    "w": '{ weigh = "goods" }',
    "m": '{ measure = "button" }',
    "p": '{ measure = "present" }',
}
VERBS = {"s": "scan", "r": "read", "w": "weigh", "m": "measure"}
SHARED = "a node takes this for act act-1 still"


@pytest.fixture(scope="module")
def substances():
    return load_substances()


@pytest.fixture
def refused(tmp_path, substances):
    """What is said of acts, each written as a word of steps."""

    def refused(*acts, mass_kg="12.5", names=None):
        text = LOAD.replace("MASS", mass_kg)
        for number, act in enumerate(acts, start=1):
            steps = ", ".join(STEPS[letter] for letter in act)
            text += f'[[act]]\nname = "act-{number}"\nconsignment = "load"\nsteps = [{steps}]\n'
        (tmp_path / "world.toml").write_text(text)
        scenario = load_scenario(tmp_path / "world.toml", substances)
        try:
            check(scenario, [scenario.act(name) for name in names or scenario.acts])
        except ScenarioError as error:
            return str(error)
        return ""

    return refused


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_projects_own_scenarios_come_out_right(path, substances):
    scenario = load_scenario(path, substances)
    if scenario.acts:
        check(scenario, list(scenario.acts.values()))


def test_an_act_that_a_node_would_not_tell_from_the_one_before_is_refused(refused):
    for acts in (("sm", "sm"), ("swm", "w"), ("m", "m"), ("ms", "rs"), ("m", "r"), ("s",)):
        assert refused(*acts) == ""
    for acts in (("s", "s"), ("sw", "r"), ("m", "s"), ("sm", "w"), ("s", "m")):
        assert f"world.toml: act act-2, step 1: {SHARED}" in refused(*acts)
    assert f"act act-3, step 1: {SHARED.replace('1', '2')}" in refused("sm", "s", "s")


def test_acts_are_refused_in_the_order_in_which_they_are_played(refused):
    assert SHARED in refused("s", "m")
    assert refused("s", "m", names=["act-1"]) == ""
    assert refused("s", "m", names=["act-2", "act-1"]) != ""
    assert refused("sm", "sm", names=["act-2", "act-1"]) == ""
    assert "an act is played once: act-1, act-1" in refused("sm", names=["act-1", "act-1"])


def test_what_the_scale_of_the_lane_does_not_weigh_is_refused(refused):
    for mass_kg in ("0.03", "60"):
        assert refused("w", mass_kg=mass_kg) == ""
    for mass_kg in ("0.019", "0.0299", "60.001", "800"):
        told = refused("sw", mass_kg=mass_kg)
        assert f"act act-1, step 2: {mass_kg} kg: the scale of a lane that is played weighs" in told
        assert refused("sm", mass_kg=mass_kg) == ""  # nobody weighs it


def test_a_node_does_not_look_by_itself_before_somebody_has_measured(refused):
    assert "act act-1, step 2: measure = 'present': a node looks by itself only" in refused("sp")
    assert refused("sm", "sp") == ""
    assert refused("sm", "sp", names=["act-2"]) != ""


def test_acts_that_pass_are_told_apart_by_the_node():
    """Every pair of acts of up to three steps: each has one inspection, and they share none."""
    words = [word for size in (1, 2, 3) for word in product(VERBS.values(), repeat=size)]
    good = [list(word) for word in words if refuse_act(list(word)) is None]
    passed = 0
    for one, two in product(good, good):
        found = inspections(one + two)
        is_right = len(set(found[: len(one)])) == len(set(found[len(one) :])) == 1
        is_right = is_right and found[0] != found[-1]
        assert is_right == (refuse_acts([("one", one), ("two", two)]) is None)
        passed += is_right
    assert 0 < passed < len(good) ** 2
