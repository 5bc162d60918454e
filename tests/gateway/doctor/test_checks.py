"""Goal: every check fails when what it looks at is wrong, and is well when it is well.

Method: a post with real keys and a real database, well in everything; each case of `cases.py`
breaks one thing for real and asks one check. A post that a real gateway runs is asked everything.
"""

import contextlib
import os

import pytest

from gateway.doctor.finding import Level, Subject
from gateway.ingest.program import find_leftovers
from gateway.journal.starts import save_start
from tests.gateway.doctor.breaking import authority, counted, leftover, other_program
from tests.gateway.doctor.building import CHECKS, DAY_MS
from tests.gateway.doctor.cases import CASES

NEEDS_A_GATEWAY = {"broker.port", "broker.nodes", "outbox.reachable"}
"""What only answers where something runs; test_doctor.py asks them there."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.says[:20]}")
def test_what_is_wrong_is_found(well, case):
    before = {each.value for each in well.ask(case.name)}
    done = case.breaks(well)
    with done if hasattr(done, "__enter__") else contextlib.nullcontext():
        found = well.ask(case.name, running=case.running, at_ms=well.at_ms + case.later_ms)
    assert any(each.level == case.level and case.says in each.value for each in found), found
    for each in found:
        assert each.id == case.name
        assert each.cause
        assert each.remedy
        assert each.page == f"harmattan docs doctor#{case.name.replace('.', '-')}"
    if case.level != Level.ok and case.name not in NEEDS_A_GATEWAY and case.running:
        assert before.isdisjoint({each.value for each in found if each.level == case.level})


@pytest.mark.parametrize(
    "name, said", [("connection_refused", "no place"), ("connection_flood", "came faster")]
)
def test_who_floods_the_nodes_listener_is_looked_for(well, monkeypatch, name, said):
    """That it answers is asked of a real one in test_doctor.py."""
    monkeypatch.setattr("gateway.doctor.checks.broker.answers", lambda _host, _port: "")
    monkeypatch.setattr("gateway.doctor.checks.broker.find_leftovers", lambda _path: [1])
    assert well.ask("broker.nodes")[0].level == Level.ok
    counted(name, count=9)(well)
    (found,) = well.ask("broker.nodes")
    assert found.level == Level.look
    assert said in found.value
    assert "9 " in found.value
    assert "take it off the network" in found.remedy


def test_a_start_that_a_clock_ahead_noted_hides_no_silent_node(well):
    future_ms = well.at_ms + 20 * 365 * DAY_MS
    well.change(lambda c: save_start(c, future_ms, well.digest()))
    found = well.ask("nodes.silence", at_ms=well.at_ms + DAY_MS // 24)
    assert {each.level for each in found} == {Level.look}


def test_a_node_in_quarantine_is_not_told_as_silent(well):
    well.write_state(barred={"lane-1": "overflow"}, barred_count=1)
    found = well.ask("nodes.silence", at_ms=well.at_ms + DAY_MS // 24)
    assert [(each.about, each.level) for each in found] == [("lane-2", Level.look)]
    assert [each.about for each in well.ask("nodes.quarantine")] == ["lane-1"]


@pytest.mark.parametrize("name", ["broker.port", "broker.ours"])
def test_a_broker_that_ends_or_begins_meanwhile_is_no_other_program(well, monkeypatch, name):
    """It is gone when its process is looked for, or was not there yet."""
    with leftover(well) as child:
        looks = []

        def find(path):
            looks.append(path)
            if is_killed:
                child.kill()
                child.wait()
            return find_leftovers(path) if len(looks) > 1 or is_killed else []

        monkeypatch.setattr("gateway.doctor.checks.broker.find_leftovers", find)
        is_killed = False
        (begun,) = well.ask(name)
        assert begun.level == Level.ok
        assert len(looks) > 1
        is_killed = True
        (ended,) = well.ask(name)
        assert "another program" not in ended.value
        assert name != "broker.port" or "is started again" in ended.value


def test_every_check_is_made_to_fail():
    assert set(CHECKS) == {case.name for case in CASES}
    assert {case.name for case in CASES if case.level in {"look", "bad"}} == set(CHECKS)


def test_there_are_enough_and_every_subject_has_some():
    assert len(CHECKS) >= 25
    assert {each.subject for each in CHECKS.values()} == set(Subject)


@pytest.mark.parametrize("name", sorted(set(CHECKS) - NEEDS_A_GATEWAY))
def test_what_is_well_is_told_so(well, name):
    (found,) = well.ask(name)
    assert found.level == Level.ok, found


def test_the_outbox_is_well_with_an_authority_that_answers(well):
    with authority(well):
        for name in ("outbox.reachable", "outbox.certificate"):
            (found,) = well.ask(name)
            assert found.level == Level.ok, found


def test_a_port_that_our_broker_answers_is_well(well):
    with leftover(well), other_program(well.ports[1]):
        for name in ("broker.port", "broker.nodes"):
            (found,) = well.ask(name)
            assert found.level == Level.ok, found


def test_a_file_of_the_right_owner_needs_no_other(well):
    """Its rights were taken away: chown would change nothing."""
    path = well.keys / "gateway.pem"
    if os.geteuid() == 0:  # whom no rights bind
        for each in (well.state, path):
            os.chown(each, 65_534, 65_534)
    path.chmod(0)
    found = {each.about: each for each in well.ask("certificates.modes")}["gateway.pem"]
    assert found.level == Level.bad
    assert "mode 000: its owner, the gateway's user" in found.value
    assert f"chmod 600 {path}" in found.remedy
    assert "chown" not in found.remedy
