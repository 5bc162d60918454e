"""Goal: whoever starts a simulator needs nothing but its `--help`, and what that says is so.

Method: the real programs. Their help is held against the tables and answers of the code; the
examples are pasted out of it into a shell.
"""

import importlib
import json
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from gateway.instruments import read_all
from simulators import faults, play, scenario, world
from simulators.faults import AUTHORITY_KINDS, KEYS, LINE_KINDS, Fault, FaultPlan, disturb
from simulators.scenario_keys import KEYS as SCENARIO_KEYS
from simulators.scenario_tables import Table
from simulators.spectrometer.__main__ import _models

INSTRUMENTS = ("spectrometer", "scanner", "document", "scale")
DEADLINE_S = 60


@pytest.fixture
def helped(monkeypatch):
    """What `--help` of a program says."""
    monkeypatch.setenv("COLUMNS", "80")

    def helped(name):
        module = f"simulators.{name}.__main__" if name in INSTRUMENTS else f"simulators.{name}"
        return importlib.import_module(module).build_parser().format_help()

    return helped


def words(text):
    return " ".join(text.split())


def rows(text, title):
    """Left and right column of a table of the help."""
    lines = text[text.index(title) :].splitlines()[1:]
    found = {}
    for line in lines:
        if not line.startswith("  "):
            break
        if not line.startswith("   "):
            left, _, right = line.strip().partition("  ")
            found[left] = right.strip()
        else:
            found[left] = f"{found[left]} {line.strip()}".strip()
    return found


@pytest.mark.parametrize("name", [*INSTRUMENTS, "play", "headquarters"])
def test_every_fault_and_every_key_is_explained(helped, name):
    kinds = AUTHORITY_KINDS if name == "headquarters" else LINE_KINDS
    assert rows(helped(name), "faults, KIND") == kinds
    told = rows(helped(name), "keys of a fault:")
    mine = {key for key, each in KEYS.items() if not each.kinds or set(each.kinds) & set(kinds)}
    assert set(told) == {f"{key}=" for key in mine}
    for key in mine:
        assert told[f"{key}="].startswith(KEYS[key].meaning)
        assert told[f"{key}="].endswith(f"default {getattr(Fault('mute'), key)}".removesuffix(".0"))


def test_a_key_changes_the_faults_it_is_said_to_and_no_others():
    data = bytes(range(100))

    def outcome(fault):
        return disturb(data, FaultPlan([fault], seed=3), check_at=90)

    for kind in LINE_KINDS:
        usual = Fault(kind)
        for key, other in (("bytes", 5), ("seconds", 7.0)):
            is_changed = outcome(usual) != outcome(replace(usual, **{key: other}))
            assert is_changed == (kind in KEYS[key].kinds), (kind, key)
    assert faults.explain_faults(AUTHORITY_KINDS, "deliveries").count("(delay)") == 1


class Started:
    """A program with its two outputs; whoever hangs is killed."""

    def __init__(self, command, folder):
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watch = threading.Timer(DEADLINE_S, self.process.terminate)  # a board ends its node
        self._watch.start()

    def say(self, *lines):
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().strip()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        out, err = self.process.communicate(timeout=DEADLINE_S)
        self._watch.cancel()
        return out, err


@pytest.fixture
def start():
    """Starts programs; one that a failed test has left is ended."""
    started = []

    def start(command, folder):
        started.append(Started(command, folder))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.end()


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_example_can_be_pasted_and_every_command_is_told(helped, start, name, tmp_path):
    text = helped(name).replace("/tmp/", f"{tmp_path}/")
    command, *lines = list(rows_of_example(text))
    more = " --model sr2" if name == "spectrometer" else ""  # it knows all commands then
    command = command.replace("python", shlex.quote(sys.executable), 1)
    program = start(f"{command} --world good_morning --act sugar{more}", tmp_path)
    assert program.line() == str(tmp_path / name)
    last = lines.index("status")
    program.say(*lines[: last + 1])
    status = json.loads(program.line())
    assert status["path"].startswith("/dev/")
    program.say("?", *lines[last + 1 :], "status")
    assert program.line()
    out, err = program.end()
    assert out == ""
    known = re.search(r"unknown command '\?': known are (.*)\n", err)
    assert not re.search(r"unknown|known are|cannot|Traceback|give ", err.replace(known[0], ""))
    told = rows(text, "commands on standard input")
    assert {row.split()[0] for row in told} == set(known[1].split(", "))
    assert all(told.values())
    (snippet,) = re.findall(r'(\{"driver".*\})', text)
    part = json.loads(snippet)
    about = read_all()[part["driver"]]
    assert set(part) <= {"driver", *about.settings}
    assert part["port"] == str(tmp_path / name)


def rows_of_example(text):
    for line in text[text.index("example (paste it") :].splitlines()[1:]:
        if not line.startswith("  "):
            return
        yield line.strip()


def test_a_scale_answers_the_line_of_its_help(helped, start, tmp_path):
    text = helped("scale").replace("/tmp/", f"{tmp_path}/")
    program = start(f"{sys.executable} -m simulators.scale --link {tmp_path}/scale", tmp_path)
    assert program.line()
    line = re.search(r"in another terminal:\n  (.*)", text)[1]
    done = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=True, timeout=DEADLINE_S
    )
    assert done.stdout == "S S      0.000 kg\n"
    program.end()


def test_the_help_of_the_spectrometer_tells_samples_and_models(helped, substances):
    text = helped("spectrometer")
    forms = rows(text, "a sample:")
    assert set(forms) == {*world.FORMS, "SAMPLE in CONTAINER"}
    assert all(name in forms["SAMPLE in CONTAINER"] for name in world.CONTAINERS)
    for form in world.FORMS:
        if "FILE" not in form:
            assert world.parse_sample(form, substances)
    told = rows(text, "words that may follow it:")
    assert {key.rstrip("=") for key in told} == set(world.WORDS)
    for word, value in {"fluorescence": 0.5, "shade": 0.25, "seed": 3}.items():
        sample = world.parse_sample(f"urea in pp {word}={value}", substances)
        assert getattr(sample, word) == value
        assert word in world.WORDS
    for name, model in _models().items():
        assert words(f"{name}: {model.title}") in words(text)


def test_the_help_of_play_tells_every_key_that_a_scenario_is_asked_for(
    helped, monkeypatch, substances
):
    asked = {}
    close = Table.close

    def note(table):
        where = table.where.rpartition(", ")[2].rstrip(" 0123456789") if "," in table.where else ""
        asked.setdefault(where, set()).update(table._asked)
        close(table)

    monkeypatch.setattr(Table, "close", note)
    for path in scenario.SCENARIOS.glob("*.toml"):
        scenario.load_scenario(path, substances)
    text = helped("play")
    for title, keys in SCENARIO_KEYS.items():
        assert set(rows(text, f"{title}:")) == set(keys)
    names = ("sample", "container", "document", "consignment", "goods", "act", "steps")
    titles = [title for title in SCENARIO_KEYS if title != "top"]
    assert {name: asked[name] for name in names} == {
        name: set(SCENARIO_KEYS[title]) for name, title in zip(names, titles, strict=True)
    }
    assert asked[""] == {*SCENARIO_KEYS["top"], "sample", "container", "document"} | {
        "consignment",
        "act",
    }


def test_the_help_of_play_names_the_scenarios_and_its_example_can_be_played(helped, substances):
    text = helped("play")
    told = rows(text, "scenarios of the project:")
    assert set(told) == {path.stem for path in scenario.SCENARIOS.glob("*.toml")}
    line = text[text.index("example:") :].splitlines()[1]
    options = play.build_parser().parse_args(line.split()[3:])
    found = scenario.load_scenario(options.scenario, substances)
    assert [found.act(name) for name in options.act]


def test_the_board_of_the_example_runs_a_node_that_is_told_to_measure(helped, start, tmp_path):
    text = helped("board").replace("/tmp/", f"{tmp_path}/")
    lines = text[text.index("example, ") :].splitlines()[1:]
    last = lines.pop()
    *shell, board = lines
    subprocess.run(["/bin/sh", "-c", "\n".join(shell)], check=True, timeout=DEADLINE_S)
    program = start(board.strip().replace("python", shlex.quote(sys.executable), 1), tmp_path)
    switches = list(rows(text, "standard input is"))
    assert last.strip() in switches
    for switch in ("", *switches):  # at first the node says by itself that the port is missing
        program.say(*filter(None, [switch]))
        while not (said := program.line()).startswith("signal fault what=instrument"):
            assert said, program.end()
    _, err = program.end()
    assert all(f"{switch}: serial port {tmp_path}/spectrometer" in err for switch in switches)
