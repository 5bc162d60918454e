"""`python -m benchmarks.firmware.serial`: how fast a spectrum comes over a serial line.

A simulated spectrometer of 2048 pixels on a pseudo-terminal paced at 115,200 baud, the driver in a
real MicroPython, in turns with it in the same process a bare reader of the same bytes, and all the
time beside it, in a process of its own, an event loop that does nothing. The last line is one JSON
object:

    to_line       what the driver takes over the bit times of all bytes, both ways, and the exposure
    to_bare       the same over what the bare reader took in the same round
    stall_ms      how late the event loop woke a task at the worst, in a round
    own_stall_ms  the same without the time in which the kernel had no processor for the process
    bare_...      of the bare reader; idle_...: of the loop that does nothing, while the driver read

Judged are the median of `to_line` (TO_LINE_MAX) and the worst `stall_ms` of all rounds
(STALL_MS_MAX):

    within   both hold                                                              exit status 0
    beyond   the driver is too slow, or held its loop up                                        1
    machine  a bound does not hold, and the machine is to blame: the bare reader was as slow, or in
             each round that stalled the kernel withheld the processor (own_stall_ms is within the
             bound) or the loop that does nothing stalled on its own, too. Measure again         2
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.firmware.bench import MODEL
from hardware import image
from simulators.line import Reply
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.world import load_substances

BAUD = 115_200
TOOLS = image.REPOSITORY / ".tools" / "bin"
PROGRAM = Path(__file__).with_name("reading.py")
IDLE = Path(__file__).with_name("lateness.py")
FRAME_BYTES_MIN, HEAD_BYTES = 64, 44  # of a frame of the Ocean Binary Protocol
HEAP_BYTES = 393_216  # small, so that garbage is collected; the sources are compiled on it, too
IDLE_BYTES_MAX = 1 << 24  # of what the idle loop says: its pipe must not fill
ROUND_S_MAX = 25.0
TO_LINE_MAX, STALL_MS_MAX = 1.05, 20.0
STATUSES = {"within": 0, "beyond": 1, "machine": 2}

Late = tuple[int, int, int]  # when (ns since the epoch), how late, how late on its own (us)


class Sending(Spectrometer):
    """The simulated spectrometer, which keeps the check sum of each spectrum that it sends.

    Attributes:
        sent: CRC-32 of the pixels.
    """

    def __init__(self, now_s: float) -> None:
        super().__init__(MODEL, load_substances(), seed=1, now_s=now_s, baud=BAUD)
        self.sent: list[int] = []

    def collect(self, now_s: float) -> list[Reply]:
        """Return what is to be sent by now."""
        replies = super().collect(now_s)
        for reply in replies:
            if len(reply.data) == FRAME_BYTES_MIN + 2 * MODEL.pixel_count:
                pixels = reply.data[HEAD_BYTES : HEAD_BYTES + 2 * MODEL.pixel_count]
                self.sent.append(zlib.crc32(pixels))
        return replies


@contextlib.asynccontextmanager
async def idle_loop() -> AsyncIterator[list[Late]]:
    """Run the loop that does nothing; its wake-ups that were late are there when it has ended."""
    found: list[Late] = []
    process = await asyncio.create_subprocess_exec(
        *("micropython", str(IDLE)), stdout=asyncio.subprocess.PIPE, limit=IDLE_BYTES_MAX
    )
    stdout: asyncio.StreamReader = process.stdout  # type: ignore[assignment]  # it is a pipe
    try:
        async with asyncio.timeout(ROUND_S_MAX):
            await stdout.readline()
        yield found
    finally:
        process.terminate()
        said = (await stdout.read()).decode()
        await process.wait()
    for line in said.split("\n")[:-1]:  # the last one may have been cut
        at_ns, late_us, own_us = map(int, line.split())
        found.append((at_ns, late_us, own_us))


async def measure(rounds: int, folder: Path) -> dict[str, Any]:
    """Return what the program in MicroPython found, and in `idle` what the idle loop felt.

    Args:
        rounds: spectra of each kind.
        folder: for the port.

    Raises:
        RuntimeError: it failed, or the driver gave a spectrum that was not sent.
    """
    device = Sending(asyncio.get_running_loop().time())
    async with SpectrometerLine(device, link=folder / "port") as line, idle_loop() as idle:
        process = await asyncio.create_subprocess_exec(
            *("micropython", "-X", f"heapsize={HEAP_BYTES}", str(PROGRAM)),
            *(str(image.REPOSITORY), str(folder), str(line.link), str(BAUD), str(rounds)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(rounds * ROUND_S_MAX):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"the reader failed: {err.decode()[-1000:]}")
    found: dict[str, Any] = json.loads(out)
    # One before the first round; then each of the driver's is followed by one of the bare reader.
    if [turn["crc"] for turn in found["turns"]] != device.sent[1::2]:
        raise RuntimeError("the driver gave other spectra than were sent")
    return {**found, "idle": idle}


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Return ratios, stalls and the judgement of what `measure` found."""
    line_us, turns = found["line_us"], found["turns"]
    told: dict[str, Any] = {"pixels": found["pixels"], "baud": BAUD, "rounds": len(turns)}
    told["line_ms"] = round(line_us / 1000, 1)
    driver, bare = ([turn[name] for turn in turns] for name in ("driver", "bare"))
    ratios = {
        "to_line": [turn[0] / line_us for turn in driver],
        "to_bare": [own[0] / other[0] for own, other in zip(driver, bare, strict=True)],
        "bare_to_line": [turn[0] / line_us for turn in bare],
    }
    for name, values in ratios.items():
        told[f"{name}_best"] = round(min(values), 4)
        told[f"{name}_median"] = round(statistics.median(values), 4)
        told[f"{name}_worst"] = round(max(values), 4)
    idle = [_idle_during(found["idle"], turn[3], turn[4]) for turn in driver]
    stalls = {
        "stall_ms": [turn[1] / 1000 for turn in driver],
        "own_stall_ms": [turn[2] / 1000 for turn in driver],
        "bare_stall_ms": [turn[1] / 1000 for turn in bare],
        "idle_stall_ms": [late_us / 1000 for late_us, _ in idle],
        "idle_own_stall_ms": [own_us / 1000 for _, own_us in idle],
    }
    for name, values in stalls.items():
        told[f"{name}_median"] = round(statistics.median(values), 3)
        told[f"{name}_max"] = round(max(values), 3)
    late = [at for at, value in enumerate(stalls["stall_ms"]) if value > STALL_MS_MAX]
    by_machine = [
        at
        for at in late
        if stalls["own_stall_ms"][at] <= STALL_MS_MAX
        or stalls["idle_own_stall_ms"][at] > STALL_MS_MAX
    ]
    told |= {"rounds_stalled": len(late), "rounds_stalled_by_machine": len(by_machine)}
    told["outcome"] = _outcome(told)
    return told


def _idle_during(idle: list[Late], begun_ns: int, ended_ns: int) -> tuple[int, int]:
    """Return how late, and how late on its own, the idle loop was at the worst in that time."""
    # A wake-up that was late says so when it is over.
    felt = [each for each in idle if begun_ns <= each[0] <= ended_ns + each[1] * 1_000]
    return max((each[1] for each in felt), default=0), max((each[2] for each in felt), default=0)


def _outcome(told: dict[str, Any]) -> str:
    is_slow = told["to_line_median"] > TO_LINE_MAX
    is_bare_slow = told["bare_to_line_median"] > TO_LINE_MAX
    stalled = told["rounds_stalled"]
    if (is_slow and not is_bare_slow) or stalled > told["rounds_stalled_by_machine"]:
        return "beyond"
    return "machine" if is_slow or stalled else "within"


def main() -> int:
    """Measure and print; the exit status is one of STATUSES."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.firmware.serial", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=15, help="spectra of each kind")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        told = figures(asyncio.run(measure(max(options.rounds, 1), Path(folder))))
    for name, value in told.items():
        print(f"{name:<26} {value}")
    print(json.dumps(told))
    return STATUSES[told["outcome"]]


if __name__ == "__main__":
    sys.exit(main())
