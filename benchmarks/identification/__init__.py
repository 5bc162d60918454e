"""How long one identification takes and how good it is, beside what a scientist would write.

`python -m benchmarks.identification` (make bench-identify) runs the product and two standard
pipelines on the same spectra, turn by turn in one run: RamanSPy with its first published protocol
and its non-negative unmixing, and pybaselines' arPLS with scipy's non-negative least squares.
`measure()` is the short form for `python -m benchmarks`, without RamanSPy.
"""

import json
import subprocess
import sys
from typing import Any


def measure() -> dict[str, Any]:
    """Time identification beside arPLS with NNLS, at the shipped library only.

    In a process of its own: the threads of the matrix libraries can be bound only before they load.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.identification", "--short", "--without-ramanspy"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record
