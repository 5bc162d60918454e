"""Goal: the bench of the serial line measures what it says.

Method: its figures from turns made up here, and one real round: the driver cannot be faster than
the line is paced.
"""

import asyncio
import shutil

import pytest

from benchmarks.firmware import serial


def test_best_and_median_of_made_up_turns():
    found = {
        "pixels": 2048,
        "line_us": 400_000,
        "turns": [
            (404_000, 3_000, 400_000, 1_000),
            (480_000, 30_000, 400_000, 2_000),
            (420_000, 5_000, 400_000, 9_000),
        ],
    }
    told = serial.figures(found)
    assert (told["to_line_best"], told["to_line_median"]) == (1.01, 1.05)
    assert (told["to_bare_best"], told["to_bare_median"]) == (1.01, 1.05)
    assert (told["stall_ms_best"], told["stall_ms_median"]) == (3, 5)
    assert (told["bare_stall_ms_best"], told["bare_stall_ms_median"]) == (1, 2)
    assert told["is_within"]
    found["turns"] = found["turns"][1:2]
    assert not serial.figures(found)["is_within"]


@pytest.mark.timeout(60)
def test_one_real_round(tmp_path, micropython_path, monkeypatch):
    assert shutil.which(str(micropython_path))
    monkeypatch.setenv("PATH", str(micropython_path.parent), prepend=":")
    told = serial.figures(asyncio.run(serial.measure(1, tmp_path)))
    assert (told["pixels"], told["rounds"], told["line_ms"]) == (2048, 1, 401.0)
    assert told["to_line_best"] >= 0.99
    assert told["bare_to_line_best"] >= 0.99
