"""Goal: the bench of the serial line measures what it says, and blames whom it should.

Method: its judgement of turns made up here, and one real round: the spectrum is the one that was
sent, and neither reader can be faster than the line is paced.
"""

import asyncio
import shutil
import subprocess

import pytest

from benchmarks.firmware import serial

SECOND_NS = 1_000_000_000
RATIOS = ("to_line", "to_bare", "bare_to_line")
STALLS = ("stall_ms", "own_stall_ms", "bare_stall_ms", "idle_stall_ms", "idle_own_stall_ms")
SHAPE = {
    *("pixels", "baud", "rounds", "line_ms", "outcome"),
    *("rounds_stalled", "rounds_stalled_by_machine"),
    *(f"{name}_{of}" for name in RATIOS for of in ("best", "median", "worst")),
    *(f"{name}_{of}" for name in STALLS for of in ("median", "max")),
}


def found(*turns, idle=()):
    """Return what is judged; of each turn the driver's time, stall and own stall, the bare time."""
    made = []
    for at, (took_ms, stall_ms, own_ms, bare_ms) in enumerate(turns):
        begun_ns = at * SECOND_NS
        driver = [
            took_ms * 1000,
            stall_ms * 1000,
            own_ms * 1000,
            begun_ns,
            begun_ns + SECOND_NS // 2,
        ]
        bare = [bare_ms * 1000, 1_000, 1_000, begun_ns, begun_ns]
        made.append({"driver": driver, "bare": bare, "crc": 0})
    return {"pixels": 2048, "line_us": 400_000, "turns": made, "idle": list(idle)}


GOOD = (404, 3, 2, 400)


def test_the_median_of_the_time_and_the_worst_stall_are_told():
    told = serial.figures(found(GOOD, (480, 19, 19, 400), (412, 5, 4, 400)))
    assert set(told) == SHAPE
    assert [told[f"to_line_{of}"] for of in ("best", "median", "worst")] == [1.01, 1.03, 1.2]
    assert (told["stall_ms_median"], told["stall_ms_max"]) == (5, 19)
    assert (told["rounds_stalled"], told["outcome"]) == (0, "within")


@pytest.mark.parametrize(
    "turns, outcome",
    [
        ([GOOD, GOOD, (500, 1, 1, 400)], "within"),
        ([GOOD, (500, 1, 1, 400), (500, 1, 1, 400)], "beyond"),
        ([GOOD, (500, 1, 1, 500), (500, 1, 1, 500)], "machine"),
        ([GOOD, GOOD, GOOD, (404, 21, 21, 400)], "beyond"),
        ([GOOD, GOOD, GOOD, (404, 40, 3, 400)], "machine"),
        ([GOOD, (404, 40, 3, 400), (404, 25, 24, 400)], "beyond"),
        ([(500, 25, 25, 500)], "beyond"),
    ],
)
def test_one_stall_of_the_driver_is_too_many_and_the_machine_s_own_is_told_apart(turns, outcome):
    told = serial.figures(found(*turns))
    assert told["outcome"] == outcome
    assert told["rounds_stalled"] == sum(turn[1] > 20 for turn in turns)


@pytest.mark.parametrize(
    "felt, outcome",
    [
        ((300_000_000, 30_000, 30_000), "machine"),
        ((510_000_000, 30_000, 30_000), "machine"),  # began before the turn had ended
        ((300_000_000, 30_000, 1_000), "beyond"),  # the kernel withheld the processor from it alone
        ((800_000_000, 30_000, 30_000), "beyond"),  # at another time
    ],
)
def test_what_the_idle_loop_feels_at_the_same_time_is_the_machine(felt, outcome):
    told = serial.figures(found((404, 30, 30, 400), idle=[felt]))
    assert told["outcome"] == outcome


def test_a_loop_that_is_held_up_by_its_own_process_is_late_on_its_own(micropython_path, tmp_path):
    program = tmp_path / "held.py"
    program.write_text(
        "import asyncio, sys, time\n"
        f"sys.path.insert(0, {str(serial.image.REPOSITORY)!r})\n"
        "from benchmarks.firmware.lateness import Lateness\n"
        "async def main():\n"
        "    lateness = Lateness()\n"
        "    watching = asyncio.create_task(lateness.watch())\n"
        "    await asyncio.sleep_ms(10)\n"
        "    time.sleep_ms(30)\n"
        "    await asyncio.sleep_ms(3)\n"
        "    print(lateness.worst_us, lateness.own_us)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [micropython_path, program], capture_output=True, text=True, check=True, timeout=30
    )
    worst_us, own_us = map(int, done.stdout.split())
    assert worst_us >= 20_000  # it slept for 30 ms, whatever the machine did besides
    assert 0 < own_us <= worst_us


@pytest.mark.timeout(60)
def test_one_real_round(tmp_path, micropython_path, monkeypatch):
    assert shutil.which(str(micropython_path))
    monkeypatch.setenv("PATH", str(micropython_path.parent), prepend=":")
    measured = asyncio.run(serial.measure(1, tmp_path))  # compares the spectra
    told = serial.figures(measured)
    assert set(told) == SHAPE
    assert (told["pixels"], told["rounds"], told["line_ms"]) == (2048, 1, 401.0)
    assert told["to_line_best"] >= 0.99
    assert told["bare_to_line_best"] >= 0.99
    assert 0 <= told["own_stall_ms_max"] <= told["stall_ms_max"]
    assert told["outcome"] in serial.STATUSES
