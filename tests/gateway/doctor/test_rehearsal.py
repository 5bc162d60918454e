"""Goal: the rehearsal practises on a real post apart, tells what it saw, and leaves nothing behind.

Method: the real command in the folder of a post at rest: once through, once with a broker that is
not there, once ended in the middle. What lies in the folder and which processes run is compared.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from gateway import settings
from gateway.doctor.rehearsal import command, play
from gateway.doctor.rehearsal.authority import StandIn
from gateway.doctor.rehearsal.ballast import MARGIN_BYTES_MAX, Ballast, Plan, free_bytes, plan
from gateway.doctor.rehearsal.node import Node
from gateway.doctor.rehearsal.stage import (
    LOCK_NAME,
    MARK,
    PORTS,
    Stage,
    folder_on,
    free_port,
)
from tests.gateway.doctor.test_doctor import picture

GB = 10**9


def start(path, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "doctor", "--rehearse", "-s", str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running_in(folder):
    """Return the command lines of all processes that name a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(line)
    return found


def without_times(found):
    """A folder's own time changes when something was in it."""
    return {name: (size, mode, digest) for name, (size, _, mode, digest) in found.items()}


@pytest.mark.timeout(360)
def test_a_rehearsal_comes_out_well_and_leaves_nothing_behind(well):
    before = without_times(picture(well.folder))
    for _ in range(3):  # this disk is others' too
        child = start(well.path, "--json")
        printed, said = child.communicate(timeout=110)
        told = json.loads(printed)
        if not any("other programs" in each["text"] for each in told["steps"]):
            break
    assert [(each["name"], each["outcome"]) for each in told["steps"]] == [
        (name, "ok") for name in play.STEPS
    ], told
    assert (child.returncode, told["outcome"], said) == (0, "ok", "")
    assert told["post"] == "post-1"
    assert all(each["text"] for each in told["steps"])
    assert without_times(picture(well.folder)) == before
    assert not running_in(well.folder)


def test_what_fails_is_told_and_cleaned_up(well):
    text = well.path.read_text().replace("[broker]", "[broker]\nprogram = 'no-such-broker'")
    well.path.write_text(text)
    child = start(well.path)
    printed, _ = child.communicate(timeout=110)
    assert child.returncode == 2
    first = " ".join(printed.splitlines()[0].split())
    assert first.startswith("failed")
    assert "broker program 'no-such-broker' is not on PATH" in first
    assert not list(well.state.glob("rehearsal-*"))


def test_one_that_is_ended_cleans_up(well):
    child = start(well.path, "--json")
    while not list(well.state.glob("rehearsal-*/state/mosquitto.conf")):
        assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    printed, _ = child.communicate(timeout=60)
    told = json.loads(printed)
    assert child.returncode == 2
    assert (told["outcome"], told["steps"][-1]["name"]) == ("failed", "interrupted")
    assert not list(well.state.glob("rehearsal-*"))
    assert not running_in(well.state)


@pytest.mark.parametrize("killed", [True, False], ids=["its reader too", "its reader alone"])
def test_what_a_power_cut_left_behind_is_removed(well, killed):
    left = well.state / "rehearsal-before"
    (left / "state").mkdir(parents=True)
    (left / MARK).touch()
    if killed:
        (left / "gateway.lock").touch()
    with folder_on(well.state) as folder:
        assert not left.exists()
        assert (folder / MARK).is_file()
    assert not folder.exists()


def test_a_folder_that_only_has_such_a_name_is_left_alone(well):
    notes = well.state / "rehearsal-notes"
    notes.mkdir()
    (notes / "notes.txt").write_text("of the technician")
    (well.state / "rehearsal-empty").mkdir()
    (well.state / "rehearsal-link").symlink_to(notes)
    before = picture(well.state)
    with folder_on(well.state):
        assert (notes / "notes.txt").read_text() == "of the technician"
    assert without_times(picture(well.state)) == without_times(before)


def test_two_at_once_do_not_spoil_each_other(well):
    with folder_on(well.state) as folder:
        child = start(well.path)
        printed, said = child.communicate(timeout=60)
        assert (child.returncode, printed) == (2, "")
        assert said == (
            f"harmattan: directory {well.state}: a rehearsal is under way there; wait for its end"
            " (a minute)\n"
        )
        assert (folder / MARK).is_file()
    (well.state / LOCK_NAME).touch()  # of one that was killed
    with folder_on(well.state) as folder:
        assert folder.is_dir()
    assert not (well.state / LOCK_NAME).exists()


def test_a_disk_that_is_nearly_full_is_not_practised_on():
    full = plan(200 * 10**6, 64 * 10**6)
    assert "too little is free" in full.fault
    assert "more is free" in plan(2_000 * GB, 64 * 10**6).fault
    for free in (GB, 20 * GB, 900 * GB):
        found = plan(free, 64 * 10**6)
        assert not found.fault
        left = free - found.ballast_bytes
        assert left < found.reserve_bytes < free  # full while it lies there, and not before
        assert left > 2 * 64 * 10**6  # the post itself does not notice
        assert found.ballast_bytes <= 2 * MARGIN_BYTES_MAX


@pytest.mark.parametrize("free", [0, 200_000])
def test_a_disk_without_room_for_a_post_is_told_as_that(well, monkeypatch, capsys, free):
    """It was a fault of the output, or thirty seconds without a word about the disk."""
    monkeypatch.setattr(play, "free_bytes", lambda _: free)
    loaded = settings.load(well.path)
    before = without_times(picture(well.folder))
    assert command.run(loaded, as_json=True, console=Console()) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["outcome"]) for each in told["steps"]] == [(play.START, "left out")]
    assert "free on the post's disk" in told["steps"][0]["text"]
    assert without_times(picture(well.folder)) == before


def test_settings_that_cannot_be_written_are_a_step_that_failed(well, monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(play, "write_settings", fail)
    assert command.run(settings.load(well.path), as_json=True, console=Console()) == 2
    (step,) = json.loads(capsys.readouterr().out)["steps"]
    assert step["text"] == "[Errno 28] No space left on device"


def test_room_that_others_took_meanwhile_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(play, "ROOM_S_MAX", 0.0)
    (tmp_path / "state").mkdir()
    reserve = Plan(2 * free_bytes(tmp_path), 1)
    scene = play._Scene(
        tmp_path, Stage(tmp_path / "post.toml"), Node("p", "n", 1), StandIn(), reserve
    )
    scene.ballast.take()
    with pytest.raises(play.RehearsalError, match="other programs took the room"):
        asyncio.run(scene.free())
    assert not (tmp_path / "ballast").exists()


def test_the_ballast_takes_room_and_gives_it_back(tmp_path):
    ballast = Ballast(tmp_path, 5_000_000)
    ballast.drop()  # before it was taken
    ballast.take()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 5_000_000
    ballast.drop()
    assert not list(tmp_path.iterdir())


def test_ports_are_not_those_that_a_connection_may_get_by_itself():
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() in PORTS
    assert max(PORTS) < first


def test_the_worst_step_is_the_outcome(monkeypatch, well, capsys):
    async def run(self):
        self.steps = [step("ok"), step("left out")]
        return self.steps

    def step(outcome):
        return play.Step("one", play.Outcome(outcome), 1.0, "text")

    monkeypatch.setattr(play.Play, "run", run)
    assert command.run(settings.load(well.path), as_json=True, console=None) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "left out"
    assert asyncio.run(play.Play(settings.load(well.path), print).run())
