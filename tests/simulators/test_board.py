"""Goal: a board starts a node again when it should, and tells it why; otherwise it ends with it.

Method: the causes of every way to end; the command with a node that cannot start, and with one that
is asked to stop.
"""

import json
import signal
import subprocess
import sys

import pytest

from simulators.board import HARD_RESET, POWER_ON, RESET_STATUS, WATCHDOG, reset_cause

SETTINGS = {
    "post": "post1",
    "node": "lane1",
    "broker": {"host": "127.0.0.1", "port": 9},
    "instrument": {"port": "/dev/none"},
}


@pytest.mark.parametrize(
    "status, cause",
    [
        (0, None),
        (2, None),
        (RESET_STATUS, HARD_RESET),
        (-signal.SIGKILL, POWER_ON),
        (-signal.SIGTERM, POWER_ON),
        (-signal.SIGALRM, WATCHDOG),
        (-signal.SIGSEGV, WATCHDOG),
    ],
)
def test_how_a_program_ended_says_how_the_next_start_comes_about(status, cause):
    assert reset_cause(status) == cause


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "simulators.board", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_node_that_cannot_start_is_not_started_again(tmp_path):
    output, complaint = start(tmp_path).communicate(timeout=60)
    assert "node.json cannot be read" in complaint
    assert output == ""


def test_a_board_that_is_asked_to_stop_lets_the_node_say_goodbye(tmp_path):
    (tmp_path / "node.json").write_text(json.dumps(SETTINGS))
    board = start(tmp_path)
    lines = [board.stdout.readline() for _ in range(2)]
    assert lines[0].startswith("signal starting")
    board.send_signal(signal.SIGTERM)
    output, _ = board.communicate(timeout=60)
    assert output.endswith('signal stopped word="stopped"\n')
    assert board.returncode == 0
