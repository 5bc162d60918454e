"""Goal: what a person asks of a simulator's program is done, or refused in one sentence.

Method: the real programs, in processes of their own where it matters.
"""

import importlib
import os
import subprocess
import sys

import pytest

from gateway.ingest import program
from simulators import headquarters, play
from simulators.node import find_micropython
from simulators.programs import ProgramError

INSTRUMENTS = ["spectrometer", "scanner", "document", "scale"]
DEEP = "title = " + "[" * 5_000 + "]" * 5_000
# Starts a module as `python -m` does, in a tree into which `make tools` has fetched nothing.
WITHOUT_TOOLS = """\
import pathlib, runpy, sys
from gateway.ingest import program
program._TREE = pathlib.Path("/nowhere")
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
WRONG = [
    ("--seed", "-1"),
    ("--seed", "9" * 5_000),
    ("--baud", "0"),
    ("--fault", "stall,seconds=nan"),
    ("--fault", "garbage,at=1,at=2"),
    ("--fault", "garbage,at=" + "9" * 5_000),
    ("--link", "/dev/null/x"),
    ("--link", ""),
    ("--link", "x" * 300),
    ("--world", "good_morning"),
    ("--world", "good_morning", "--act", "x"),
    ("--world", "{deep}", "--act", "x"),
    ("--world", "/dev/zero", "--act", "x"),
]
WRONG_OF_ONE = [
    ("spectrometer", "--laser-line", "x"),
    ("spectrometer", "--mix", "urea=0.5"),
    ("spectrometer", "--sample", "measured /dev/zero"),
    ("spectrometer", "--replay", "/dev/zero"),
    ("spectrometer", "--fluorescence", "nan"),
    ("spectrometer", "--laser-drift", "nan"),
    ("scanner", "--prefix", r"\xzz"),
    ("scanner", "--pace", "nan"),
    ("document", "--misread", "nan"),
    ("scale", "--load", "nan kg"),
    ("scale", "--capacity", "1e30 kg"),
]


def refuse(capfd, module, arguments):
    """Run a program that has to refuse; return its sentence."""
    try:
        status = importlib.import_module(f"simulators.{module}").main(arguments)
    except SystemExit as end:  # of argparse
        status = end.code
    said = capfd.readouterr()
    assert (status, said.out) == (2, "")
    assert "Traceback" not in said.err
    return said.err.splitlines()[-1]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda each: " ".join(each)[:40])
@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_wrong_arguments_are_refused_in_a_sentence(capfd, tmp_path, kind, arguments):
    (tmp_path / "deep.toml").write_text(DEEP)
    arguments = [each.format(deep=tmp_path / "deep.toml") for each in arguments]
    assert refuse(capfd, f"{kind}.__main__", arguments)


@pytest.mark.parametrize("arguments", WRONG_OF_ONE, ids=" ".join)
def test_what_one_instrument_cannot_be_is_refused_in_a_sentence(capfd, arguments):
    kind, *rest = arguments
    assert refuse(capfd, f"{kind}.__main__", rest)


def test_a_port_that_is_none_is_refused(capfd, tmp_path):
    for port in ("-1", "65536", "x", "9" * 5_000):
        told = refuse(capfd, "headquarters", ["--directory", str(tmp_path), "--port", port])
        assert f"give 0 to {headquarters.PORT_MAX}" in told


def test_what_cannot_be_played_leaves_no_folder(capfd, tmp_path, monkeypatch):
    (tmp_path / "deep.toml").write_text(DEEP)
    (tmp_path / "made").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "made"))
    for path in ("nothing", str(tmp_path / "deep.toml"), "demo"):
        assert play.main([path]) == 2
        assert len(capfd.readouterr().err.splitlines()) == 1
    assert not list((tmp_path / "made").iterdir())


def test_what_make_tools_has_fetched_is_found_without_make(tmp_path, monkeypatch):
    """As after `. .venv/bin/activate`, whose PATH knows nothing of .tools."""
    fetched = tmp_path / ".tools/bin/micropython"
    fetched.parent.mkdir(parents=True)
    fetched.write_text("#!/bin/sh\n")
    fetched.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(program, "_TREE", tmp_path)
    assert find_micropython() == str(fetched)
    fetched.unlink()
    with pytest.raises(ProgramError, match="run `make tools`"):
        find_micropython()


@pytest.mark.parametrize(
    "command", [["simulators.board", "."], ["simulators.play", "good_morning"], ["simulators.demo"]]
)
def test_without_micropython_one_sentence_says_what_to_do(tmp_path, command):
    module, *words = command
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TOOLS, module, *words],
        env={**os.environ, "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "micropython is neither on PATH nor in .tools/bin; run `make tools`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shell", ["exec {} < /dev/null > /dev/full", "exec {} 0<&- > /dev/full"])
def test_without_standard_output_or_input_it_says_so(shell):
    command = f"{sys.executable} -m simulators.scale"
    done = subprocess.run(
        ["/bin/sh", "-c", shell.format(command)], capture_output=True, timeout=60, check=False
    )
    assert b"standard output cannot be written: No space left on device\n" in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.returncode == 2


def test_a_command_that_cannot_be_done_leaves_the_program_running(tmp_path):
    link = tmp_path / "folder" / "port"
    link.parent.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators.spectrometer", "--link", str(link)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdin.write(b"present measured a\0b\nnext\nstatus\n")
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"{")
    link.unlink()
    link.parent.rmdir()  # where the cable's link would be put back
    _, said = process.communicate(b"unplug 0\n", timeout=60)
    assert process.returncode == 2
    assert b"is not text; a two-column CSV file is expected" in said
    assert b"unknown command 'next'; it goes with --world and --act" in said
    assert said.splitlines()[-1].startswith(b"cannot provide the port")
    assert b"Traceback" not in said


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_a_link_takes_no_files_place(tmp_path, kind):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    done = subprocess.run(
        [sys.executable, "-m", f"simulators.{kind}", "--link", str(precious)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "is there and no link; name another path" in done.stderr
    assert "Traceback" not in done.stderr
    assert precious.read_text() == "kept"
