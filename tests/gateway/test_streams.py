"""Goal: output that cannot be written is one sentence and status 2; 1 means: somebody should look.

Method: real commands in processes of their own, on a disk that is full, closed streams, a terminal
that knows few letters, and Ctrl-C while they still load.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from gateway.journal.store import FILE_NAME, connect
from tests.gateway.running import NODE, write_settings

LABEL = "معبر é 😀"
FULL = "harmattan: the output cannot be written: No space left on device\n"
UNREAD = "harmattan: the output cannot be written: Broken pipe\n"
CLOSED = "harmattan: the output cannot be written: Bad file descriptor\n"
# Ctrl-C as soon as the command line begins to be loaded; in the background it would be ignored.
INTERRUPTED = """
import builtins, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
load = builtins.__import__
def interrupted(name, *arguments, **named):
    if name == "gateway.cli":
        os.kill(os.getpid(), signal.SIGINT)
    return load(name, *arguments, **named)
builtins.__import__ = interrupted
from gateway.__main__ import main
main()
"""


@pytest.fixture
def path(tmp_path, free_port):
    settings = write_settings(tmp_path, free_port)
    (tmp_path / "state").mkdir(mode=0o700)
    connect(tmp_path / "state" / FILE_NAME).close()
    return settings


def harmattan(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        timeout=100,
        check=False,
        **{"capture_output": True, **options},
    )


@pytest.mark.parametrize(
    "arguments",
    [("status", "-s"), ("status", "--json", "-s"), ("doctor", "-s"), ("nodes", "list", "-s")],
    ids=" ".join,
)
def test_a_full_disk_behind_the_output(path, arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = harmattan(
            *arguments, path, capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr.decode()) == (2, FULL)


def test_help_on_a_full_disk_too():
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = harmattan("--help", capture_output=False, stdout=full, stderr=subprocess.PIPE)
        mute = harmattan("--help", capture_output=False, stdout=full, stderr=full)
    assert (done.returncode, done.stderr.decode()) == (2, FULL)
    assert mute.returncode == 2


def test_letters_that_a_terminal_does_not_know(path):
    assert harmattan("nodes", "rename", NODE, LABEL, "-s", path).returncode == 0
    for arguments in (("nodes", "list"), ("nodes", "list", "--json")):
        done = harmattan(*arguments, "-s", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
        assert done.stderr == b""
        assert b"\\u0645" in done.stdout
    assert LABEL in json.dumps(json.loads(done.stdout), ensure_ascii=False)  # still JSON


def through_a_shell(path, words, streams):
    return subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m gateway {words} -s "$1" {streams}', sys.executable, str(path)],
        capture_output=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    "closed, status, said",
    [
        (">&-", 2, CLOSED),
        ("<&- >&-", 2, CLOSED),
        ("2>&-", 0, ""),
        ("<&-", 0, ""),
        ("<&- >&- 2>&-", 2, ""),
    ],
)
def test_streams_that_are_closed(path, closed, status, said):
    """What it was to do is done; that nobody was told is a fault, as with any other program."""
    done = through_a_shell(path, f"nodes rename {NODE} north", closed)
    assert (done.returncode, done.stderr.decode()) == (status, said)
    label = json.loads(harmattan("nodes", "list", "--json", "-s", path).stdout)[0]["state"]["label"]
    assert label == "north"


def into_no_reader(*words):
    """Run a command into a pipe that nobody reads; return its status and what it complains of."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = harmattan(*words, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    "words",
    ["status", "status --json", "doctor", "nodes list", f"nodes show {NODE}", "nodes list --json"],
)
def test_a_pipe_that_nobody_reads(path, words):
    assert into_no_reader(*words.split(), "-s", path) == (2, UNREAD)


def test_library_and_docs_into_a_pipe_that_nobody_reads():
    for words in ("library list", "library show acetone", "docs", "--help", "library --help"):
        assert into_no_reader(*words.split()) == (2, UNREAD), words


def test_ctrl_c_while_it_loads():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, b"")
