"""`python -m benchmarks.evaluation [choose] [--quick] [--json] [--strict]`: score the pipeline.

Progress goes to standard error, tables to standard output; the last line is one JSON object. The
exit status is 0 when the run worked, whatever it found; with `--strict` 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.evaluation.cases import Case, Outcome
from benchmarks.evaluation.figures import score_all
from benchmarks.evaluation.judging import judge_all
from benchmarks.evaluation.plan import QUICK_SHARE, SEED, Effort, Planner, draw_up
from benchmarks.evaluation.report import as_record, show, write_cases, write_hits, write_rates
from benchmarks.evaluation.specimens import REMEDY, find_folder, load_spectra, read_index
from benchmarks.evaluation.split import digest
from gateway.screening.thresholds import Thresholds, load_thresholds
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library

OUTPUT = Path(".run/eval")


def run_cases(
    cases: Sequence[Case],
    folder: Path | None,
    workers: int,
    title: str,
    candidates: tuple[Thresholds, ...] = (),
) -> list[Outcome]:
    """Judge all cases with a bar on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    outcomes = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(title, total=len(cases))
        for outcome in judge_all(cases, folder, workers=workers, candidates=candidates):
            outcomes.append(outcome)
            progress.advance(bar)
    return outcomes


def evaluate(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run everything and write the files; returns the last line's object."""
    started_s = time.monotonic()
    library, watchlists, folder = load_library(), load_watchlists(), find_folder()
    if folder is None:
        sys.stderr.write(f"evaluation: no measured spectra, synthetic goods only; {REMEDY}\n")
    specimens = read_index(folder, library) if folder else ()
    spectra = load_spectra(folder, specimens) if folder else {}
    effort = Effort().scaled(QUICK_SHARE if arguments.quick else arguments.scale)
    planner = Planner(library, watchlists, effort)
    cases = draw_up(planner, specimens, spectra, None)
    outcomes = run_cases(cases, folder, arguments.workers, "judging")
    pgs = frozenset(
        row.substance_id for entry in watchlists.lists if entry.list_id == "pgs"
        for row in entry.entries
    )  # fmt: skip
    scored = score_all(outcomes, watchlists.substance_ids, pgs)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    write_cases(outcomes, output / "cases.csv")
    write_hits(outcomes, output / "hits.csv")
    write_rates(scored, output / "rates.csv")
    show(scored, outcomes, console, whole=arguments.whole)
    record = as_record(
        scored,
        {
            "seed": SEED,
            "cases": len(cases),
            "measured_spectra": len(specimens),
            "library_version": library.version,
            "thresholds": load_thresholds().record.procedure,
            "split_digest": digest({entry.file: entry.side for entry in specimens}),
            "quick": bool(arguments.quick),
            "seconds": round(time.monotonic() - started_s, 1),
        },
    )
    (output / "figures.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("action", nargs="?", default="evaluate", choices=("evaluate",))
    parser.add_argument("--quick", action="store_true", help="fewer draws, about a minute")
    parser.add_argument("--scale", type=_share, default=1.0, help="share of the draws, 0.01 to 4")
    parser.add_argument("--json", action="store_true", help="only the JSON object")
    parser.add_argument("--whole", action="store_true", help="every spectrum and substance a row")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a goal is missed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the files")
    return parser.parse_args(words)


def _share(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 4.0:
        raise argparse.ArgumentTypeError(f"{text} is outside 0.01 to 4")
    return value


def main(words: Sequence[str] | None = None) -> int:
    """Run; 0 = it worked, 1 = `--strict` and a goal was missed."""
    arguments = parse(words)
    console = Console(highlight=False, width=110, quiet=arguments.json)
    actions: dict[str, Callable[[argparse.Namespace, Console], dict[str, Any]]] = {
        "evaluate": evaluate
    }
    record = actions[arguments.action](arguments, console)
    print(json.dumps(record), flush=True)
    return 1 if arguments.strict and record.get("goals_missed") else 0


if __name__ == "__main__":
    sys.exit(main())
