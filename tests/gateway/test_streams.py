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
# Ctrl-C as soon as the command line begins to be loaded.
INTERRUPTED = """
import builtins, os, signal, sys
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


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(path, closed):
    line = f'exec "$0" -m gateway nodes rename {NODE} north -s "$1" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, str(path)],
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_while_it_loads():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, b"")
