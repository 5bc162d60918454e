"""`python -m benchmarks.firmware`: what a node needs, on the unix board; the last line is JSON.

The node is the whole firmware in a real MicroPython: TLS with certificates of both sides to a real
mosquitto, a simulated spectrometer of 2048 pixels on a pseudo-terminal, a gateway that answers each
reading with a receipt. Its programs come in three forms: sources, compiled on the heap; .mpy files,
loaded onto the heap; and a ROMFS image mapped into memory, which stands in for programs in the
flash of a board. Objects are those of a 64-bit machine; a board's are half as large.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.firmware import bench as benches
from hardware import image

TOOLS = image.REPOSITORY / ".tools" / "bin"
SEARCH_READINGS, SEARCH_CUTS = 30, 4
HEAP_STEP_BYTES = 2_048
LOW_BYTES, HIGH_BYTES, WIDE_BYTES = 65_536, 1 << 20, 4 << 20
CUTS = 20
PROOFS_MAX = 8  # steps upwards when a heap that did for the search does not for the proof


def encode() -> dict[str, Any]:
    """Return speed and allocation of the encoder, beside a plain copy in the same process."""
    program = Path(__file__).with_name("encoding.py")
    done = subprocess.run(
        ["micropython", str(program), str(image.REPOSITORY)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def measure(readings: int, folder: Path) -> dict[str, Any]:
    """Search the smallest heaps and prove the one that counts.

    Args:
        readings: of the proof and of the count.
        folder: for everything that is written.
    """
    built = folder / "unix"
    image.build("unix", built)
    forms = {
        "source": image.FIRMWARE,
        "mpy": built / "tree",
        "mapped": built / "code.romfs",
    }
    found: dict[str, Any] = {"readings": readings, "reconnects": CUTS, "pixels": benches.PIXELS}
    async with benches.start_bench(folder) as bench:
        for form, code in forms.items():
            say(f"{form}: looking for the smallest heap")
            found[f"{form}_heap_bytes"] = await benches.smallest(
                bench, code, LOW_BYTES, HIGH_BYTES, HEAP_STEP_BYTES, SEARCH_READINGS, SEARCH_CUTS
            )
        mapped = forms["mapped"]
        say(f"mapped: {readings} readings, {CUTS} reconnects")
        found["mapped_heap_bytes"] = await prove(
            bench, mapped, found["mapped_heap_bytes"], readings
        )
        say("mapped: counting what is in use and what is taken")
        told = await benches.run(bench, mapped, WIDE_BYTES, readings, cuts=CUTS, count=True)
    return found | benches.figures(told)


async def prove(bench: benches.Bench, code: Path, heap_bytes: int, readings: int) -> int:
    """Return the smallest heap from `heap_bytes` on with which all readings are taken.

    Raises:
        NodeFailedError: not with PROOFS_MAX steps more either.
    """
    for _ in range(PROOFS_MAX):
        if await benches.runs(bench, code, heap_bytes, readings, CUTS):
            return heap_bytes
        heap_bytes += HEAP_STEP_BYTES
    raise benches.NodeFailedError(f"{heap_bytes} bytes do not do for {readings} readings")


def say(text: str) -> None:
    """Tell how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.firmware", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 readings instead of 1,000")
    readings = 100 if parser.parse_args().quick else 1_000
    os.environ["PATH"] = os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(readings, Path(folder))) | {"encoding": encode()}
    for name, value in figures.items():
        shown = value if isinstance(value, dict) else f"{value:,}"
        print(f"{name:<28} {shown}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
