"""Goal: whoever starts the scale from a command line can put something on it, and learns his slips.

Method: the real program; a client reads its port.
"""

import json
import os
import subprocess
import sys
import tty

import pytest

from simulators.scale.__main__ import main


def test_from_start_to_stop(repository_path, tmp_path):
    command = [sys.executable, "-m", "simulators.scale", "--link", str(tmp_path / "port")]
    with subprocess.Popen(
        [*command, "--load", "2 kg", "--baud", "115200"],
        cwd=repository_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        path = process.stdout.readline().strip()
        assert path == str(tmp_path / "port")
        for line in ("place 1.5 kg", "tare now", "place a stone", "shake x", "status"):
            process.stdin.write(line + "\n")
        process.stdin.flush()
        status = json.loads(process.stdout.readline())
        port = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            tty.setraw(port)
            os.write(port, b"I2\r\n")
            answer = b""
            while not answer.endswith(b"\n"):
                answer += os.read(port, 100)
        finally:
            os.close(port)
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert answer == b'I2 A "SB60001 60.000 kg"\r\n'
    assert status["load_g"] == "3500.0"
    assert "carries 2000 g" in said
    assert "key 'tare now': known are tare, zero, print" in said
    assert "mass 'a stone': write a number and a unit, as 12.5 kg" in said
    assert "shake 'x': give a number between 0 and 3600" in said


@pytest.mark.parametrize(
    "arguments, what",
    [
        (["--capacity", "1 g", "--readability", "1 g"], "a scale has 100 to"),
        (["--load", "heavy"], "mass 'heavy'"),
        (["--settle", "0"], "--settle 0: give 0.01 to 1000"),
        (["--wind", "-1"], "wind '-1'"),
        (["--fault", "gremlin"], "unknown fault 'gremlin'"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(capsys, arguments, what):
    assert main(arguments) == 2
    assert what in capsys.readouterr().err
