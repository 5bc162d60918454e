"""`python -m benchmarks [NAME...]`: run benchmarks, print a table for each, one JSON object last.

Progress goes to standard error, tables and JSON to standard output.
"""

import argparse
import importlib
import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import benchmarks

# What the benchmarks start is found where make puts it; this is for a bare `python -m benchmarks`.
TOOLS = Path(__file__).resolve().parent.parent / ".tools" / "bin"


def find() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return every benchmark by the name of its module."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name.startswith("_"):
            continue
        measure = getattr(importlib.import_module(f"benchmarks.{module.name}"), "measure", None)
        if measure is not None:
            found[module.name] = measure
    return found


def show(name: str, figures: dict[str, Any], console: Console) -> None:
    """Print one benchmark's figures."""
    table = Table(title=name, title_justify="left", show_header=False)
    for key, value in figures.items():
        table.add_row(key, f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)


def main() -> int:
    """Run what is asked for; 0 when all of it could be measured, 2 for an unknown name."""
    found = find()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(found)}; all")
    names = parser.parse_args().names or list(found)
    unknown = [name for name in names if name not in found]
    if unknown:
        sys.stderr.write(f"benchmarks: no {unknown[0]!r}; there are {', '.join(found)}\n")
        return 2
    os.environ["PATH"] = os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")])
    console = Console(highlight=False, width=100)
    results: dict[str, Any] = {"cpus": os.cpu_count(), "python": sys.version.split()[0]}
    for name in names:
        print(f"{name}: measuring ...", file=sys.stderr, flush=True)
        started_s = time.monotonic()
        results[name] = found[name]()
        taken_s = time.monotonic() - started_s
        print(f"{name}: done in {taken_s:.0f} s", file=sys.stderr, flush=True)
        show(name, results[name], console)
    print(json.dumps(results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
