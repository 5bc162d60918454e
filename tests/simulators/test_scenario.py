"""Goal: a scenario is described once and every instrument sees its side; what is wrong is named.

Method: the scenarios of the project; then one good file that is spoilt in one place at a time.
"""

import asyncio
from pathlib import Path

import pytest

from simulators import sides
from simulators.errors import ScenarioError
from simulators.faults import LINE_KINDS, FaultPlan
from simulators.line import Line
from simulators.scenario import SCENARIOS, load_scenario
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.models import MODELS
from simulators.world import load_substances

GOOD = """
title = "One sack"
[[sample]]
name = "salt"
title = "salt"
sample = "sodium_chloride"
verdict = "clear"
[[container]]
name = "box"
number = "CSQU3054383"
tare_kg = 2200
[[document]]
name = "driver"
type = "TD3"
issuer = "UTO"
surname = "ERIKSSON"
number = "L898902C3"
birth = 1974-08-12
expiry = 2031-04-15
[[consignment]]
name = "sack"
declared = "salt"
container = "box"
documents = ["driver"]
sample = "salt"
[[consignment.goods]]
title = "sack"
gtin = "4006381333931"
lot = "A1"
net_kg = "12.5"
[[act]]
name = "first"
consignment = "sack"
steps = [
  { scan = "container" },
  { scan = "goods", fault = "mute" },
  { read = "driver", fault = ["flip,at=2", "stall,seconds=0.1"] },
  { weigh = "goods" },
  { measure = "foot" },
]
"""
SPOILT = [  # what is replaced, by what, and what the complaint must hold
    (
        'sample = "sodium_chloride"',
        'sample = "sodium_clorid"',
        "sample 1: sample = 'sodium_clorid'",
    ),
    ('verdict = "clear"', 'verdict = "good"', "use one of clear, inconclusive, alarm"),
    ('verdict = "clear"', 'verdict = "clear"\nnames = "urea"', "a clear verdict names nothing"),
    ('"CSQU3054383"', '"CSQU3054384"', "container 1: number = 'CSQU3054384': check digit 4"),
    ("tare_kg = 2200", "tare_kg = -1", "tare_kg = -1: kilograms from 0"),
    ("tare_kg = 2200", "tara_kg = 2200", "tara_kg means nothing here: did you mean tare_kg"),
    ("birth = 1974-08-12", 'birth = "12 August"', "a date such as 1974-08-12"),
    ("birth = 1974-08-12\n", "", "document 1: birth is missing"),
    ('surname = "ERIKSSON"', 'surname = "Eriksson"', "surname 'Eriksson'"),
    ('type = "TD3"', 'type = "TD4"', "type = 'TD4': use one of"),
    ('container = "box"', 'container = "bax"', "container = 'bax': use one of box"),
    ('documents = ["driver"]', 'documents = ["pilot"]', "there is no document 'pilot'"),
    ('"4006381333931"', '"4006381333932"', "goods 1: gtin = '4006381333932': its check digit"),
    ('net_kg = "12.5"', 'net_kg = "1200"', "a code carries less than 1000 kg"),
    ('net_kg = "12.5"', "", "step"),  # nothing to weigh any more
    *(
        ('net_kg = "12.5"', f"net_kg = {value}", "goods 1: net_kg = ")
        for value in (
            *("nan", "inf", "-inf", "-1", "1e308", "9" * 30, "0.0000001", "true", "[1]", "{ }"),
            *('"nan"', '"sNaN"', '"inf"', '"1_0"', '" 1"', '"٣"', '""', '"x"', "1979-05-27"),
        )
    ),
    ("tare_kg = 2200", "tare_kg = nan", "container 1: tare_kg = nan: kilograms from 0"),
    ('lot = "A1"', f"lot = {'[' * 200}{']' * 200}", "[[[...: text of at most"),
    ('title = "One sack"', f"title = {'[' * 5_000}{']' * 5_000}", "too many brackets"),
    ('title = "One sack"', f"title = {'{ a = ' * 5_000}1{'}' * 5_000}", "too many brackets"),
    ('title = "One sack"', f"title = {'9' * 5_000}", "a number is too long"),
    ('title = "One sack"', 'title = "\\u001b[31m"', "printable characters is needed"),
    ('fault = "mute"', f'fault = "mute,at={"9" * 5_000}"', "at most 200 characters"),
    ('fault = "mute"', 'fault = "stall,at=2,at=3"', "at is given twice"),
    ('lot = "A1"', 'lot = "A 1"', "lot = 'A 1'"),
    ('{ measure = "foot" }', '{ measure = "hand" }', "steps 5: measure = 'hand': use one of"),
    ('{ measure = "foot" }', "{ }", "one of scan, read, weigh, measure is needed"),
    ('{ measure = "foot" }', '{ measure = "foot" }, { read = "driver" }', "before you measure"),
    (
        '{ measure = "foot" }',
        '{ measure = "foot" }, { scan = "goods" }',
        "act 1, steps 6: scan = 'goods': a node takes this for the next act",
    ),
    ('{ measure = "foot" }', '{ measure = "foot" }, { weigh = "goods" }', "before you measure"),
    (
        '{ measure = "foot" }',
        '{ measure = "foot" }, { measure = "button" }',
        "steps 6: measure = 'button': a node takes this for the next act: one act has one",
    ),
    ('fault = "mute"', 'fault = "moot"', "fault = 'moot': unknown fault 'moot'"),
    ('fault = "mute"', 'fault = "stall,seconds=x"', "must be numbers"),
    ('name = "first"', 'name = "The First"', "small letters, digits"),
    ('name = "driver"', 'name = "driver"\nwrong = "picture"', "wrong = 'picture'"),
    ('title = "One sack"', "title = 5", "title = 5: text of at most"),
    ('title = "One sack"', 'title = "One sack', "is not TOML"),
    ('consignment = "sack"', 'consignment = "sock"', "consignment = 'sock': use one of sack"),
]


@pytest.fixture(scope="module")
def substances():
    return load_substances()


def load(text, tmp_path, substances):
    path = tmp_path / "world.toml"
    path.write_text(text)
    return load_scenario(path, substances)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_projects_own_scenarios_can_be_played(path, substances):
    scenario = load_scenario(path, substances)
    assert scenario.title
    for act in scenario.acts.values():
        for step in act.steps:
            assert sides.expected(act, step)
    assert load_scenario(Path(path.stem), substances).path == path


def test_one_scenario_has_a_fault_of_every_kind(substances):
    acts = load_scenario(Path("bad_morning"), substances).acts.values()
    kinds = {fault.kind for act in acts for step in act.steps for fault in step.faults}
    assert kinds == set(LINE_KINDS)


def test_every_instrument_sees_its_side(tmp_path, substances):
    scenario = load(GOOD, tmp_path, substances)
    act = scenario.act("first")
    seen = {
        kind: [str(sides.shown(act, step)) for step in sides.steps_of(act, kind)]
        for kind in sides.KINDS
    }
    assert seen["scanner"] == ["]C0CSQU3054383", "]d20104006381333931310301250010A1"]
    assert seen["document"] == ["a document TD3"]
    assert seen["scale"] == ["12.5 kg"]
    assert "sodium_chloride" in seen["spectrometer"][0]
    assert [fault.kind for fault in act.steps[2].faults] == ["flip", "stall"]
    records = [sides.expected(act, step) for step in act.steps]
    assert records[2].content.decode().split("\n")[0].startswith("P<UTOERIKSSON<<<")
    assert records[2].symbology == "TD3"
    altered = GOOD.replace('number = "L898902C3"', 'number = "L898902C3"\nwrong = "birth"')
    act = load(altered, tmp_path, substances).act("first")
    assert sides.expected(act, act.steps[2]).symbology == "TD3?"
    assert records[3].mass_mg == 12_500_000
    assert records[4].verdict == "clear"


@pytest.mark.parametrize("old, new, complaint", SPOILT, ids=lambda text: text[:24])
def test_what_cannot_be_right_is_named_with_its_place(old, new, complaint, tmp_path, substances):
    assert old in GOOD
    with pytest.raises(ScenarioError) as told:
        load(GOOD.replace(old, new, 1), tmp_path, substances)
    assert complaint in str(told.value)
    assert "world.toml" in str(told.value)


def test_a_file_that_is_not_there_names_those_that_are(substances):
    with pytest.raises(ScenarioError, match=r"nothing\.toml cannot be read.*demo, diverted"):
        load_scenario(Path("nothing"), substances)


def test_two_things_of_one_name_are_refused(tmp_path, substances):
    twice = GOOD + GOOD[GOOD.index("[[sample]]") : GOOD.index("[[container]]")]
    with pytest.raises(ScenarioError, match="it is taken by a table before"):
        load(twice, tmp_path, substances)


def test_a_side_shows_step_by_step_and_brings_the_faults_of_the_step(tmp_path, substances):
    act = load(GOOD, tmp_path, substances).act("first")
    line = Line(Spectrometer(MODELS["ventana_785"], substances))  # any instrument has a line
    plans, things = [], []
    line.trouble = plans.append
    side = sides.Side(act, "document", line, things.append)
    assert side.next() == "step 3: a document TD3, with flip, stall"
    assert [thing.kind for thing in things] == ["TD3"]
    (plan,) = plans
    assert isinstance(plan, FaultPlan)
    assert [fault.kind for fault in plan.next()] == ["stall"]
    assert [fault.kind for fault in plan.next()] == ["flip"]
    with pytest.raises(ScenarioError, match="act first has no further step"):
        side.next()


def test_the_spectrometers_program_shows_its_side(tmp_path, substances):
    (tmp_path / "world.toml").write_text(GOOD)

    async def story():
        program = await asyncio.create_subprocess_exec(
            *("python", "-m", "simulators.spectrometer"),
            *("--world", str(tmp_path / "world.toml"), "--act", "first"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(30):
                await program.stdout.readline()
                program.stdin.write(b"next\nnext\nstatus\n")
                status = await program.stdout.readline()
                program.terminate()
                told = await program.stderr.read()
        finally:
            if program.returncode is None:
                program.kill()
            await program.wait()
        return status, told.decode()

    status, told = asyncio.run(story())
    assert b'"sample": "sodium_chloride"' in status
    assert "step 5: sodium_chloride" in told
    assert "has no further step for this instrument" in told
