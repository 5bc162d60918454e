"""Goal: whoever installs a node finds every driver's wiring and settings without a network.

Method: the real command; what it says is held against the drivers' folders, the keys that node.json
really has, those that driver and node really read, and the simulators that can really be started.
"""

import ast
import json
import re
import shlex
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import SettingsError
from gateway.instruments import SECTION, read, read_all

FIRMWARE_KEYS = "import sys, json; sys.path[:0] = sys.argv[1:3]; from node.settings import _KEYS"


@pytest.fixture(scope="module")
def keys(repository_path):
    """The keys of node.json's sections, as the firmware has them."""
    code = f"{FIRMWARE_KEYS}; print(json.dumps({{s: [k[0] for k in r] for s, r in _KEYS.items()}}))"
    paths = [str(repository_path / "firmware"), str(repository_path)]
    told = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(told.stdout)


def ask(*words):
    return CliRunner().invoke(app, ["instruments", *words])


def families(repository_path):
    found = (repository_path / "firmware/drivers").glob("*/driver.py")
    return {path.parent.name for path in found}


def test_every_driver_is_listed(repository_path):
    told = ask("--json")
    assert told.exit_code == 0
    assert set(json.loads(told.stdout)) == families(repository_path)
    listed = ask().stdout
    assert all(name in listed for name in families(repository_path))


def test_a_driver_says_its_wiring_and_its_settings():
    for name, about in read_all().items():
        told = " ".join(ask(name).stdout.split())
        assert about.wiring
        assert all(pin in told for row in about.wiring for pin in row[:2]), name
        assert all(key in told for key in about.settings), name


def test_settings_are_keys_of_node_json(keys):
    for name, about in read_all().items():
        section = SECTION.get(about.kind, "readers")
        assert {"port", "baud"} <= set(about.settings), name
        assert set(about.settings) <= set(keys[section]), name


def read_by_driver(folder):
    """The settings that a driver's modules read: `settings["key"]`."""
    found = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_key = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
            if is_key and ast.unparse(node.value).endswith("settings"):
                found.add(node.slice.value)
    return found


def read_by_node(firmware):
    """The settings of a spectrometer that the node itself reads: power, axis, buffers."""
    text = "".join(path.read_text() for path in (firmware / "node").glob("*.py"))
    return set(re.findall(r"""instrument(?:"\])?\["(\w+)"\]""", text)) - {"driver"}


def not_had(folder):
    """The settings that a driver refuses, as its models.py says."""
    path = folder / "models.py"
    for statement in ast.parse(path.read_text()).body if path.exists() else ():
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "NOT_HAD":
            return set(ast.literal_eval(statement.value))
    return set()


def test_every_setting_that_is_read_is_listed_and_no_other(repository_path, keys):
    firmware = repository_path / "firmware"
    everywhere = read_by_node(firmware)
    assert {"laser_mw", "excitation_pm", "resolution_mcm1", "pixels_max", "baud"} == everywhere
    for name, about in read_all().items():
        folder = firmware / "drivers" / name
        is_spectrometer = about.kind == "spectrometer"
        wanted = read_by_driver(folder) | (everywhere if is_spectrometer else set())
        assert set(about.settings) == wanted, name
        idle = {"driver", "cooler_c"}  # the one chose it; the other means nothing without `cooler`
        if is_spectrometer:  # what it does not do is refused, not passed over
            assert not_had(folder) == set(keys["instrument"]) - wanted - idle, name


def test_the_usual_rate_is_one_it_has():
    for name, about in read_all().items():
        assert not about.bauds or about.baud in about.bauds, name


def test_its_simulator_can_be_started(repository_path):
    for name, about in read_all().items():
        python, *words = shlex.split(about.simulator)
        assert python == "python", name
        done = subprocess.run(
            [sys.executable, *words, "--help"],
            cwd=repository_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert all(option in done.stdout for option in ("--fault", "--seed", "--link", "unplug"))


def test_a_name_that_is_none_is_answered_with_near_ones():
    told = ask("obq")
    assert isinstance(told.exception, SettingsError)
    assert "there is no driver 'obq'; try obp" in str(told.exception)


@pytest.mark.parametrize(
    "text, what",
    [
        ("kind = 1", "kind"),
        ("kind = 'kettle'", "kettle"),
        ("kind = 'scale'", "title"),
        ("[", "end of document"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, text, what):
    path = tmp_path / "about.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"about.toml: .*{what}"):
        read(path)
