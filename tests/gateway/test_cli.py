"""Goal: a command that cannot do its work says why in one sentence, and its status says so too.

Method: the command line in this process, on posts that cannot start.
"""

import json
import os
import subprocess
import sys

import pytest

from gateway import cli
from gateway.journal.store import FILE_NAME, connect
from gateway.library import folder
from gateway.spectra.errors import LibraryError
from tests.gateway.running import write_settings


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["harmattan", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return run


ASKED_OFTEN = """
import sys
from gateway import cli
sys.argv = ["harmattan", *sys.argv[1:]]
try:
    cli.main()
finally:
    print(*sorted({"numpy", "scipy", "aiohttp"} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize("command", [["status"], ["nodes", "list"], ["--help"]])
def test_what_is_asked_often_loads_nothing_of_spectra(tmp_path, free_port, command):
    """They take most of a second to load, on small computers several."""
    path = write_settings(tmp_path, free_port)
    (tmp_path / "state").mkdir()
    connect(tmp_path / "state" / FILE_NAME).close()
    settings = [] if command == ["--help"] else ["--settings", path]
    asked = [sys.executable, "-c", ASKED_OFTEN, *command, *settings]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    assert said.stdout
    assert said.stderr == "\n"


def test_settings_that_are_wrong(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    path.write_text(path.read_text().replace("[broker]", "[brokr]"))
    for command in ("run", "status"):
        code, printed, said = call(command, "--settings", path)
        assert (code, printed) == (2, "")
        assert said == (
            f"harmattan: settings {path}, line 3: brokr is not a setting; did you mean broker?\n"
        )


def test_a_broker_program_that_is_not_there(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    path.write_text(path.read_text().replace("[broker]", '[broker]\nprogram = "nosuchbroker"'))
    code, _, said = call("run", "--settings", path)
    assert code == 2
    assert said.startswith("harmattan: broker program 'nosuchbroker' is not on PATH; run `make")


def test_a_journal_that_is_damaged(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_text("a letter, not a database " * 99)
    code, printed, said = call("status", "--settings", path)
    assert (code, printed) == (2, "")
    assert "is not a database; the file is damaged: start the gateway" in said
    assert said.count("\n") == 1


def test_a_folder_that_is_a_file(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    (tmp_path / "state").write_text("in the way")
    code, _, said = call("run", "--settings", path)
    assert code == 2
    assert f"directory {tmp_path / 'state'}: a file has this name" in said


def test_an_installation_that_is_damaged(call, tmp_path, free_port, monkeypatch):
    def fail():
        raise LibraryError("substances.csv: urea lacks a name in fr")

    monkeypatch.setattr(folder, "load_library", fail)
    code, _, said = call("run", "--settings", write_settings(tmp_path, free_port))
    assert code == 2
    assert said.endswith("urea lacks a name in fr; install the package again\n")


def test_a_post_that_was_never_started(call, tmp_path, free_port):
    code, printed, said = call(
        "status", "--json", "--settings", write_settings(tmp_path, free_port)
    )
    assert (code, printed) == (2, "")
    assert "does not exist; `harmattan run` makes it at its first start" in said


def test_identify_is_at_hand(call, tmp_path):
    spectrum = tmp_path / "nothing.csv"
    spectrum.write_text("raman_shift_cm1,intensity\n")
    code, printed, _ = call("identify", "--json", spectrum)
    assert code == 2
    assert json.loads(printed)["error"]


def test_identify_draws_and_explains(call, tmp_path):
    spectrum = tmp_path / "flat.csv"
    spectrum.write_text("".join(f"{200 + 2 * i},512\n" for i in range(900)))
    plot = tmp_path / "why.svg"
    code, printed, _ = call("identify", "--explain", "--language", "fr", "--plot", plot, spectrum)
    assert code == 0
    assert "NON CONCLUANT" in printed
    assert "Mesure : non évaluée." in printed
    assert plot.read_text("utf-8").startswith("<?xml")
    code, _, said = call("identify", "--plot", plot, spectrum, spectrum)
    assert code == 2
    assert "draw one at a time" in said


def test_a_standard_that_is_none_is_named_with_its_line(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    path.write_text(path.read_text() + 'standard = "chalk"\n')
    os.umask(0o022)
    code, _, said = call("run", "--settings", path)
    assert os.umask(0o022) == 0o077
    assert code == 2
    assert f"settings {path}, line 15: nodes[1].standard = 'chalk' is none; use one of" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("doctor",),
        ("doctor", "--rehearse"),
        ("nodes", "list"),
        ("backup", "b.sqlite"),
        ("export", "e.zip"),
        ("run",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", ["state", "file/state"])
def test_a_post_s_folder_that_is_a_file(call, tmp_path, free_port, arguments, name):
    path = write_settings(tmp_path, free_port)
    path.write_text(path.read_text().replace('"state"', f'"{name}"'))
    (tmp_path / name.partition("/")[0]).touch()
    code, printed, said = call(*arguments, "--settings", path)
    assert (code, printed) == (2, "")
    assert said == (
        f"harmattan: directory {tmp_path / name}: a file has this name, or one of the folders on"
        " the way; set `directory` to a folder in the settings\n"
    )


def test_bytes_of_a_command_line_that_are_no_text(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    (tmp_path / "state").mkdir()
    connect(tmp_path / "state" / FILE_NAME).close()
    target = tmp_path / "e.zip"
    code, printed, said = call("export", target, "--node", "lane\udcff", "--settings", path)
    assert (code, printed) == (2, "")
    assert said == "harmattan: 'lane\\udcff' is not UTF-8; write it anew\n"
    assert not target.exists()
