"""Goal: what a scenario describes once is what the post keeps, whatever goes wrong at the lane.

Method: the bad morning, with a fault of every kind, at a real lane: node in MicroPython, mosquitto,
gateway. Its journal is then held against the world, and against a world that is another one.
"""

import asyncio
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from protocol import messages
from simulators import play
from simulators.audit import audit
from simulators.faults import LINE_KINDS
from simulators.lane import read_rows
from simulators.scenario import SCENARIOS, load_scenario
from simulators.world import load_substances

NODE = "lane-1"


@pytest.mark.timeout(280)
def test_a_bad_morning_leaves_the_truth_in_the_journal(tmp_path):
    scenario = load_scenario(SCENARIOS / "bad_morning.toml", load_substances())
    told = io.StringIO()
    console = Console(file=told, soft_wrap=True)
    played = asyncio.run(play.run(scenario, [], tmp_path / "lane", console, 1))
    assert not played.wrong
    done = list(played.done)
    assert len(done) == sum(len(act.steps) for act in scenario.acts.values())

    # Each fault was in somebody's way: the step was done again, or the node said what was wrong.
    kinds = {fault.kind for each in done for fault in each.step.faults}
    assert kinds == set(LINE_KINDS)
    for each in done:
        assert (each.tries > 1 or bool(each.faults)) == bool(each.step.faults), each.step
        assert all(
            text.split(": ")[0] in ("instrument", "laser_on", "scanner", "mt_sics")
            for text in each.faults
        )

    journal = tmp_path / "lane/post/state/journal.sqlite"
    assert audit(journal, NODE, done) == []
    records = [
        messages.unpack(frame) for (frame,) in read_rows(journal, "SELECT frame FROM records")
    ]
    codes = [r.content for r in records if isinstance(r, messages.Event) and r.event_type == 1]
    assert codes.count(b"CSQU3054383") == 2  # one for each act: no repetition was kept twice

    # The account and the logs hold nothing of a document.
    number = scenario.act("urea").consignment.documents[0].holder.number
    assert number not in told.getvalue()
    for path in (tmp_path / "lane").rglob("*"):
        if path.is_file() and "journal" not in str(path.relative_to(tmp_path / "lane")):
            assert number.encode() not in path.read_bytes(), path

    assert_doubts(journal, done)


def assert_doubts(journal, done):
    """What is not so is told: another truth, another act, a record that is missing or too many."""

    def doubted(index, **changes):
        other = [*done]
        other[index] = replace(done[index], **changes)
        return "\n".join(audit(journal, NODE, other))

    measured = next(i for i, each in enumerate(done) if each.step.verb == "measure")
    load = done[measured].act.consignment
    clear = replace(load.specimen, verdict="clear", names="")
    lied = replace(done[measured].act, consignment=replace(load, specimen=clear))
    assert "step 6: is judged alarm; the truth is clear" in doubted(measured, act=lied)
    other = replace(load.specimen, names="sucrose")
    named = replace(done[measured].act, consignment=replace(load, specimen=other))
    assert "names pp, urea; it is sucrose" in doubted(measured, act=named)
    assert "is a record of another kind" in doubted(0, step=done[2].step)
    assert "]C0 11 bytes are not ]d2" in doubted(0, step=done[1].step)
    assert "and not 10000000" in doubted(4, act=done[-1].act, step=done[-2].step)
    assert "acts sugar and urea share an inspection" in doubted(0, act=done[-1].act)
    missing = replace(done[0].stored, seq=999)
    assert "record 999 is not in the journal" in doubted(0, stored=missing)
    assert "belongs to no step" in "\n".join(audit(journal, NODE, done[1:]))


TWICE = """
[[sample]]
title = "sugar"
sample = "sucrose in ldpe"
verdict = "clear"
[[consignment]]
name = "bags"
declared = "sugar"
sample = "sugar"
[[consignment.goods]]
title = "bag"
gtin = "4006381333931"
mass_kg = 12
[[act]]
name = "one"
consignment = "bags"
steps = [{ weigh = "goods" }, { weigh = "goods" }, { measure = "button" }]
[[act]]
name = "two"
consignment = "bags"
steps = [{ weigh = "goods" }, { weigh = "goods" }]
"""
NOTHING = """
[[act]]
name = "three"
consignment = "bags"
steps = [{ weigh = "goods" }, { scan = "goods", fault = "mute,times=100" }, { weigh = "goods" }]
"""


@pytest.mark.timeout(180)
def test_the_same_mass_again_in_a_folder_used_before_and_a_step_that_comes_to_nothing(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(play, "TRIES_MAX", 2)

    def played(text, *words):
        (tmp_path / "bags.toml").write_text(text)
        words = [str(tmp_path / "bags.toml"), *words, "--directory", str(tmp_path / "lane")]
        status = play.main(words)
        return status, json.loads(capfd.readouterr().out.splitlines()[-1])

    status, summary = played(TWICE)
    assert (status, summary["wrong"], summary["steps"], summary["tries"]) == (0, [], 5, 5)
    status, summary = played(TWICE + NOTHING, "--act", "three", "--seed", "2")
    assert status == 1
    (wrong,) = summary["wrong"]
    assert wrong.startswith(
        "act three, step 2: nothing was stored in 2 tries; faults: none; signals: none; bytes"
    )
    assert (summary["steps"], summary["ok"]) == (1, False)


def test_a_scenario_that_cannot_be_played_is_one_sentence(tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "simulators.play", *words, "--directory", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    for words, complaint in (
        (["nowhere"], "nowhere.toml cannot be read"),
        (["good_morning", "--act", "evening"], "there is no act 'evening': known are sugar"),
        (["demo"], "has no [[act]] to play"),
    ):
        finished = run(*words)
        assert finished.returncode == 2
        assert complaint in finished.stderr
        assert "Traceback" not in finished.stderr
