"""`python -m benchmarks.evaluation [choose] [--quick] [--json] [--strict]`: score the pipeline.

Progress goes to standard error, tables to standard output; the last line is one JSON object. The
exit status is 0 when the run worked, whatever it found; with `--strict` 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from benchmarks.evaluation.cases import Outcome
from benchmarks.evaluation.choose import CRITERION, EFFORT, as_toml, combine, trials
from benchmarks.evaluation.figures import Scored, score_all
from benchmarks.evaluation.judging import Trials, judge_with_bar
from benchmarks.evaluation.plan import QUICK_SHARE, SEED, Effort, Planner, draw_up
from benchmarks.evaluation.plots import draw_all
from benchmarks.evaluation.report import as_record, show, write_cases, write_hits, write_rates
from benchmarks.evaluation.specimens import (
    REMEDY,
    REPOSITORY,
    Specimen,
    find_folder,
    load_spectra,
    read_index,
)
from benchmarks.evaluation.split import digest
from gateway.screening.thresholds import Record, load_thresholds, parse_thresholds
from gateway.screening.watchlists import Watchlists, load_watchlists
from gateway.spectra.library import Library, load_library
from gateway.spectra.spectrum import Spectrum

OUTPUT = Path(".run/eval")
THRESHOLDS = REPOSITORY / "gateway/screening/thresholds.toml"


def evaluate(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run everything and write the files; returns the last line's object."""
    bench = Bench.load()
    effort = Effort().scaled(_scale(arguments))
    cases = draw_up(bench.planner(effort), bench.specimens, bench.spectra, None)
    outcomes = judge_with_bar(cases, bench.folder, arguments.workers, "judging")
    scored = bench.score(outcomes)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    write_cases(outcomes, output / "cases.csv")
    write_hits(outcomes, output / "hits.csv")
    write_rates(scored, output / "rates.csv")
    draw_all(scored, output)
    show(scored, outcomes, console, whole=arguments.whole)
    console.print(f"every case, hit and rate, and the plots: {output}/")
    record = as_record(scored, bench.about(len(cases), load_thresholds().record.procedure))
    (output / "figures.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def choose(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Choose thresholds on the tuning side, write them, report on the other side."""
    bench = Bench.load()
    planner = bench.planner(EFFORT.scaled(_scale(arguments)))
    tried = trials(load_thresholds())
    cases = draw_up(planner, bench.specimens, bench.spectra, "tuning")
    outcomes = judge_with_bar(cases, bench.folder, arguments.workers, "tuning side", tried)
    record = Record(
        procedure="python -m benchmarks.evaluation choose",
        chosen_on=dt.datetime.now(dt.UTC).date().isoformat(),
        seed=SEED,
        library_version=bench.library.version,
        split_digest=bench.split,
        criterion=CRITERION,
    )
    chosen = combine(outcomes, tried, bench.watchlists.substance_ids, record)
    cases = draw_up(planner, bench.specimens, bench.spectra, "reporting")
    outcomes = judge_with_bar(
        cases, bench.folder, arguments.workers, "reporting side", Trials(in_force=chosen)
    )
    scored = bench.score(outcomes)
    figures = chosen.record.figures | {
        f"reporting_{entry.name}": entry.value for entry in scored.goals if entry.value is not None
    }
    chosen = msgspec.structs.replace(
        chosen, record=msgspec.structs.replace(chosen.record, figures=figures)
    )
    text = as_toml(chosen)
    parse_thresholds(text)
    target: Path = arguments.thresholds
    target.write_text(text, encoding="utf-8")
    show(scored, outcomes, console, whole=arguments.whole)
    console.print(text, markup=False)
    console.print(f"written: {target}")
    return as_record(scored, bench.about(len(cases), str(target)) | {"tuning": figures})


@dataclass(frozen=True, slots=True)
class Bench:
    """What both actions start from."""

    library: Library
    watchlists: Watchlists
    folder: Path | None
    specimens: tuple[Specimen, ...]
    spectra: dict[str, Spectrum]
    started_s: float

    @classmethod
    def load(cls) -> Bench:
        """Read library, lists and the folder of measured spectra."""
        started_s = time.monotonic()
        library, folder = load_library(), find_folder()
        if folder is None:
            sys.stderr.write(f"evaluation: no measured spectra, synthetic goods only; {REMEDY}\n")
        specimens = read_index(folder, library) if folder else ()
        spectra = load_spectra(folder, specimens) if folder else {}
        return cls(library, load_watchlists(), folder, specimens, spectra, started_s)

    @property
    def split(self) -> str:
        """Digest of the split of the folder."""
        return digest({entry.file: entry.side for entry in self.specimens})

    def planner(self, effort: Effort) -> Planner:
        """Who draws up the cases."""
        return Planner(self.library, self.watchlists, effort)

    def score(self, outcomes: Sequence[Outcome]) -> Scored:
        """Turn outcomes into figures, for the lists in force."""
        lists = {entry.list_id: entry for entry in self.watchlists.lists}
        pgs = frozenset(row.substance_id for row in lists["pgs"].entries)
        return score_all(outcomes, self.watchlists.substance_ids, pgs)

    def about(self, cases: int, thresholds: str) -> dict[str, Any]:
        """What was run, for the last line."""
        return {
            "seed": SEED,
            "cases": cases,
            "measured_spectra": len(self.specimens),
            "library_version": self.library.version,
            "thresholds": thresholds,
            "split_digest": self.split,
            "seconds": round(time.monotonic() - self.started_s, 1),
        }


def _scale(arguments: argparse.Namespace) -> float:
    return float(arguments.scale) * (QUICK_SHARE if arguments.quick else 1.0)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("action", nargs="?", default="evaluate", choices=("evaluate", "choose"))
    parser.add_argument("--quick", action="store_true", help="fewer draws, about a minute")
    parser.add_argument("--scale", type=_share, default=1.0, help="share of the draws, 0.01 to 10")
    parser.add_argument("--json", action="store_true", help="only the JSON object")
    parser.add_argument(
        "--whole", action="store_true", help="every substance against every condition"
    )
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a goal is missed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the files")
    parser.add_argument(
        "--thresholds", type=Path, default=THRESHOLDS, help="file that `choose` writes"
    )
    return parser.parse_args(words)


def _share(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 10.0:
        raise argparse.ArgumentTypeError(f"{text} is outside 0.01 to 10")
    return value


def main(words: Sequence[str] | None = None) -> int:
    """Run; 0 = it worked, 1 = `--strict` and a goal was missed."""
    arguments = parse(words)
    console = Console(highlight=False, width=110, quiet=arguments.json)
    actions: dict[str, Callable[[argparse.Namespace, Console], dict[str, Any]]] = {
        "evaluate": evaluate,
        "choose": choose,
    }
    record = actions[arguments.action](arguments, console)
    print(json.dumps(record), flush=True)
    return 1 if arguments.strict and record.get("goals_missed") else 0


if __name__ == "__main__":
    sys.exit(main())
