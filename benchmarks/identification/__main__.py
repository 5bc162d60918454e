"""`python -m benchmarks.identification [--without-ramanspy] [--short]`: run the race.

Progress goes to standard error, a table to standard output; the last line is one JSON object. The
exit status is 0 when everything could be measured, 2 when RamanSPy cannot be had.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Before NumPy comes in: threads of the matrix libraries would be measured, not the pipelines.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from rich.console import Console
from rich.table import Table

from benchmarks.evaluation.specimens import REPOSITORY
from benchmarks.identification.peers import PeerError, provide_ramanspy
from benchmarks.identification.race import FULL, SHIPPED, SHORT, run

ENVIRONMENT = REPOSITORY / ".tools" / "ramanspy"


def main(words: Sequence[str] | None = None) -> int:
    """Run; 0 = measured, 2 = RamanSPy cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identification")
    parser.add_argument("--without-ramanspy", action="store_true", help="the other peer only")
    parser.add_argument("--short", action="store_true", help="the shipped library only, few goods")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="of RamanSPy")
    arguments = parser.parse_args(words)
    try:
        interpreter = (
            None if arguments.without_ramanspy else provide_ramanspy(arguments.environment)
        )
        record = run(SHORT if arguments.short else FULL, interpreter)
    except PeerError as error:
        sys.stderr.write(f"bench-identify: {error}\n")
        return 2
    console = Console(highlight=False, width=100)
    table = Table(title=f"identification, {record['cores']} cores", title_justify="left", box=None)
    for column in ("entries", "pipeline", "median ms", "95 % ms", "detection", "false alarms"):
        table.add_column(column, justify="left" if column == "pipeline" else "right")
    for size, pipelines in record["sizes"].items():
        for name, times in pipelines.items():
            accuracy = record["accuracy"].get(name, {}) if size == SHIPPED else {}
            shares = [accuracy.get(key) for key in ("detection", "false_alarms")]
            table.add_row(
                f"{size} ({record['entries_shipped']})" if size == SHIPPED else size,
                name,
                f"{times['ms_median']:.2f}",
                f"{times['ms_p95']:.2f}",
                *("" if share is None else f"{100.0 * share:.1f} %" for share in shares),
            )
    console.print(table)
    print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
