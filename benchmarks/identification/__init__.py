"""How long one identification takes and how good it is, beside what a scientist would write.

`python -m benchmarks.identification` (make bench-identify) runs the product and two standard
pipelines on the same spectra, turn by turn in one run: RamanSPy with its first published protocol
and its non-negative unmixing, and pybaselines' arPLS with scipy's non-negative least squares.
`measure()` is the short form for `python -m benchmarks`, without RamanSPy.
"""

from typing import Any


def measure() -> dict[str, Any]:
    """Time identification beside arPLS with NNLS, at the shipped library only."""
    from benchmarks.identification.race import SHORT, run  # noqa: PLC0415

    return run(SHORT, ramanspy=None)
