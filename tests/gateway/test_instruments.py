"""Goal: whoever installs a node finds every driver's wiring and settings without a network.

Method: the real command; what it says is held against the drivers' folders, the keys that node.json
really has, and the simulators that can really be started.
"""

import json
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
