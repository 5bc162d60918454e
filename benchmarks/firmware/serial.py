"""`python -m benchmarks.firmware.serial`: how fast a spectrum comes over a serial line.

A simulated spectrometer of 2048 pixels on a pseudo-terminal paced at 115,200 baud, the driver in a
real MicroPython, and beside it in the same process a bare reader of the same bytes. The last line
is one JSON object:

    to_line   what the driver takes over the bit times of all bytes, both ways, plus the exposure
    to_bare   the same over what the bare reader took in the same round
    stall_ms  how long the event loop was held up at the worst, in a round

each of the best round and of the median one; `bare_stall_ms` is what the machine does to a loop
that does nothing. Whatever else runs on the machine adds to all of them.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.firmware.bench import MODEL
from hardware import image
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.world import load_substances

BAUD = 115_200
TOOLS = image.REPOSITORY / ".tools" / "bin"
PROGRAM = Path(__file__).with_name("reading.py")
HEAP_BYTES = 393_216  # small, so that garbage is collected; the sources are compiled on it, too
ROUND_S_MAX = 25.0
TO_LINE_MAX, STALL_MS_MAX = 1.05, 20.0


async def measure(rounds: int, folder: Path) -> dict[str, Any]:
    """Return what the program in MicroPython found.

    Args:
        rounds: spectra of each kind.
        folder: for the port.

    Raises:
        RuntimeError: it failed.
    """
    substances = load_substances()
    now_s = asyncio.get_running_loop().time()
    device = Spectrometer(MODEL, substances, seed=1, now_s=now_s, baud=BAUD)
    async with SpectrometerLine(device, link=folder / "port") as line:
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
    return found


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Return ratios and stalls, best and median, of what the program found."""
    line_us, turns = found["line_us"], found["turns"]
    to_line = sorted(turn[0] / line_us for turn in turns)
    to_bare = sorted(turn[0] / turn[2] for turn in turns)
    bare_to_line = sorted(turn[2] / line_us for turn in turns)
    stalls = sorted(turn[1] / 1000 for turn in turns)
    bare_stalls = sorted(turn[3] / 1000 for turn in turns)
    told: dict[str, Any] = {"pixels": found["pixels"], "baud": BAUD, "rounds": len(turns)}
    told["line_ms"] = round(line_us / 1000, 1)
    for name, values in (
        ("to_line", to_line),
        ("to_bare", to_bare),
        ("bare_to_line", bare_to_line),
        ("stall_ms", stalls),
        ("bare_stall_ms", bare_stalls),
    ):
        told[f"{name}_best"] = round(values[0], 4)
        told[f"{name}_median"] = round(statistics.median(values), 4)
    told["is_within"] = (
        told["to_line_best"] <= TO_LINE_MAX and told["stall_ms_best"] <= STALL_MS_MAX
    )
    return told


def main() -> int:
    """Measure and print; exit status 1 when no round was within the bounds."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.firmware.serial", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=15, help="spectra of each kind")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        told = figures(asyncio.run(measure(max(options.rounds, 1), Path(folder))))
    for name, value in told.items():
        print(f"{name:<22} {value}")
    print(json.dumps(told))
    return 0 if told["is_within"] else 1


if __name__ == "__main__":
    sys.exit(main())
