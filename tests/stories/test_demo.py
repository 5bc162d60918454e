"""Goal: `make demo` shows the whole chain, ends by itself and judges itself by its exit status.

Method: run the program as a newcomer does and read its last line; then give it a truth that is
wrong and see that it says so.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from simulators import demo


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulators.demo", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(180)
def test_every_sample_gets_its_verdict_and_every_alarm_arrives_once(tmp_path):
    finished = run_demo("--directory", str(tmp_path))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    summary = json.loads(finished.stdout.splitlines()[-1])
    assert summary["ok"]
    assert summary["samples_presented"] >= 6
    assert summary["readings_committed"] == summary["samples_presented"]
    assert summary["receipts"] == summary["records_committed"]
    assert summary["alerts_received"] == summary["alarms"] > 0
    verdicts = {row["sample"]: row["verdict"] for row in summary["verdicts"]}
    assert verdicts["sugar"] == verdicts["washing soda"] == "clear"
    assert verdicts["empty holder"] == "inconclusive"


@pytest.mark.timeout(180)
def test_without_its_calibration_the_same_demo_decides_nothing(tmp_path):
    finished = run_demo("--directory", str(tmp_path), "--uncalibrated")
    assert finished.returncode == 1, finished.stdout + finished.stderr
    summary = json.loads(finished.stdout.splitlines()[-1])
    assert {row["verdict"] for row in summary["verdicts"]} == {"inconclusive"}
    assert summary["readings_committed"] == summary["samples_presented"] >= 6
    assert summary["alerts_received"] == summary["alarms"] == 0
    # What would have been alarms is named all the same.
    assert finished.stdout.count("It would be an alarm, but the instrument is not calibrated") >= 3


@pytest.mark.timeout(180)
def test_a_wrong_verdict_fails_the_demo(tmp_path, monkeypatch, capsys):
    def wrong(acts):
        """Claim that sugar is acetone, and leave out the rest."""
        return [replace(acts[0], verdict="alarm", names="acetone")]

    load_acts = demo.load_acts
    monkeypatch.setattr(demo, "load_acts", lambda substances: wrong(load_acts(substances)))
    monkeypatch.setattr(sys, "argv", ["demo", "--directory", str(tmp_path)])
    assert demo.main() == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not summary["ok"]
    assert summary["alerts_exactly_once"]


def processes(part: str) -> list[int]:
    """The ids of the processes whose command line holds `part`."""
    listing = subprocess.run(
        ["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, timeout=10, check=True
    )
    lines = [line.strip().partition(" ") for line in listing.stdout.splitlines()]
    return [int(pid) for pid, _, command in lines if part in command]


@pytest.mark.timeout(180)
def test_whoever_kills_its_parts_from_outside_loses_and_doubles_nothing(tmp_path):
    """At a line of the account, end one part with SIGKILL, as a person at the terminal may."""
    state = tmp_path / "post"
    victims = {
        "washing soda": f"run --settings {state / 'post.toml'}",
        "acetone": str(tmp_path / "node"),
        "baking soda": f"-c {state / 'state' / 'mosquitto.conf'}",
        "urea in a woven": f"run --settings {state / 'post.toml'}",
    }
    killed = 0
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "simulators.demo", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as demonstration:
        lines = []
        for line in demonstration.stdout:
            lines.append(line)
            for title in [title for title in victims if line.startswith(title)]:
                for pid in processes(victims.pop(title)):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
    assert demonstration.returncode == 0, "".join(lines)
    assert killed == 4
    summary = json.loads(lines[-1])
    assert summary["ok"]
    assert summary["readings_committed"] == summary["samples_presented"]
    assert summary["alerts_received"] == summary["alarms"] >= 4
    assert not processes(str(tmp_path)), "something is left running"


@pytest.mark.timeout(180)
def test_a_gateway_killed_while_it_starts_is_started_again(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "simulators.demo", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as demonstration:
        starting = []
        while not starting and demonstration.poll() is None:
            starting = processes(f"run --settings {tmp_path / 'post' / 'post.toml'}")
        for pid in starting:
            os.kill(pid, signal.SIGKILL)
        lines = list(demonstration.stdout)
    assert starting
    assert demonstration.returncode == 0, "".join(lines)
    assert json.loads(lines[-1])["ok"]
    assert not processes(str(tmp_path)), "something is left running"
