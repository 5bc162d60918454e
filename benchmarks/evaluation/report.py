"""Show the figures: in the terminal, as CSV, as one JSON object."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.evaluation.cases import Outcome
from benchmarks.evaluation.figures import FOUND_BY_SUBSTANCE, Goal, Rate, Scored, cells

CASE_COLUMNS = (
    "case_id", "group", "kind", "side", "target", "file", "second", "mixture", "snr", "fraction",
    "container", "fluorescence", "axis_error_cm1", "resolution_cm1", "verdict", "reason_id",
    "named", "detected", "first", "first_right", "pretend_found", "pretend_false", "ms",
)  # fmt: skip


def show(scored: Scored, outcomes: Sequence[Outcome], console: Console, *, whole: bool) -> None:
    """Print goals and tables.

    Args:
        scored: the figures.
        outcomes: for the rows of the measured spectra.
        console: where to print.
        whole: every substance against every condition; else against the kinds of goods only.
    """
    clean = [o for o in outcomes if o.case.group == "measured"]
    if clean:
        _show_measured(clean, console)
    for title, rows in scored.tables.items():
        if not title.startswith(FOUND_BY_SUBSTANCE):
            _show_rates(title, rows, console)
        elif whole or title.endswith(" kind"):
            _show_cells(title, rows, console)
    if scored.bins:
        table = Table(title="scores, reporting side", title_justify="left", box=None)
        for name in ("scored", "hits", "mean score", "share right"):
            table.add_column(name, justify="right")
        for entry in scored.bins:
            table.add_row(
                f"{entry.low:.1f} to {entry.high:.1f}",
                str(entry.count),
                f"{entry.mean_score:.3f}",
                f"{entry.right_share:.3f}",
            )
        console.print(table)
    _show_goals(scored.goals, console)


def _show_measured(clean: list[Outcome], console: Console) -> None:
    """Every measured spectrum a row; a first name that is wrong in red."""
    table = Table(title="measured spectra", title_justify="left", box=None)
    for name in ("file", "side", "verdict", "reason", "named first", "score"):
        table.add_column(name, no_wrap=True)
    for outcome in clean:
        first = outcome.hits[0] if outcome.hits else None
        right = not outcome.case.right or outcome.first_right
        table.add_row(
            outcome.case.file.removesuffix(".csv"),
            outcome.case.side,
            outcome.verdict,
            outcome.reason_id,
            Text(first.substance_id if first else "-", style="" if right else "bold red"),
            f"{first.score:.2f}" if first else "",
        )
    console.print(table)


def _show_cells(title: str, rows: dict[str, Rate], console: Console) -> None:
    """Substances down, conditions across, per cent found in the cells."""
    found = cells(rows)
    conditions = list(dict.fromkeys(name for entry in found.values() for name in entry))
    table = Table(title=f"{title}, %", title_justify="left", box=None)
    table.add_column("")
    for name in conditions:
        table.add_column(name, justify="right")
    for substance, entry in found.items():
        shown = (entry[name].value if name in entry else None for name in conditions)
        table.add_row(
            substance, *("" if value is None else f"{100.0 * value:.0f}" for value in shown)
        )
    console.print(table)


def _show_rates(title: str, rows: dict[str, Rate], console: Console) -> None:
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    for name, entry in rows.items():
        if entry.value is not None:
            table.add_row(
                name,
                f"{entry.count} of {entry.total}",
                f"{100.0 * entry.value:.1f} %",
                Text(f"{100.0 * entry.low:.1f} to {100.0 * entry.high:.1f}", style="dim"),
            )
    console.print(table)


def _show_goals(goals: Sequence[Goal], console: Console) -> None:
    table = Table(title="goals", title_justify="left", box=None)
    for name in ("figure", "measured", "goal", "cases", ""):
        table.add_column(name)
    words = {True: Text("met", style="green"), False: Text("not met", style="bold red")}
    for entry in goals:
        table.add_row(
            entry.name,
            "-" if entry.value is None else f"{entry.value:.4g}",
            f"{'at least' if entry.sense == 'min' else 'at most'} {entry.goal:g}",
            str(entry.of),
            Text("not measured", style="dim") if entry.met is None else words[entry.met],
        )
    console.print(table)


def write_cases(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write one line per case."""
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(CASE_COLUMNS)
        for outcome in outcomes:
            case, facts = outcome.case, outcome.case.facts
            writer.writerow(
                (
                    case.case_id,
                    case.group,
                    case.kind,
                    case.side,
                    case.target,
                    case.file,
                    case.second,
                    " ".join(f"{key}:{amount:.3g}" for key, amount in case.mixture),
                    facts.snr,
                    facts.fraction,
                    facts.container,
                    facts.fluorescence,
                    facts.axis_error_cm1,
                    facts.resolution_cm1,
                    outcome.verdict,
                    outcome.reason_id,
                    " ".join(outcome.named),
                    int(outcome.detected),
                    outcome.hits[0].substance_id if outcome.hits else "",
                    int(outcome.first_right),
                    "" if outcome.pretend_found is None else int(outcome.pretend_found),
                    outcome.pretend_false,
                    round(1e3 * outcome.seconds, 2),
                )
            )


def write_hits(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write one line per hit: its score and whether it is right."""
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(("case_id", "side", "substance_id", "raw", "score", "right"))
        for outcome in outcomes:
            for hit in outcome.hits:
                writer.writerow(
                    (
                        outcome.case.case_id,
                        outcome.case.side,
                        hit.substance_id,
                        round(hit.raw, 5),
                        round(hit.score, 5),
                        int(hit.right),
                    )
                )


def write_rates(scored: Scored, path: Path) -> None:
    """Write every rate of every table."""
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(("table", "row", "count", "total", "value", "low", "high"))
        for title, rows in scored.tables.items():
            for name, entry in rows.items():
                writer.writerow(
                    (title, name, entry.count, entry.total, entry.value, entry.low, entry.high)
                )


def as_record(scored: Scored, about: dict[str, Any]) -> dict[str, Any]:
    """The last line: what was run, every goal, every rate that is not by substance."""
    goals = {entry.name: msgspec.to_builtins(entry) for entry in scored.goals}
    for entry in goals.values():
        del entry["name"]
    missed = [entry.name for entry in scored.goals if entry.met is False]
    return {
        **about,
        "goals": goals,
        "goals_met": sum(entry.met is True for entry in scored.goals),
        "goals_missed": missed,
        "goals_not_measured": [entry.name for entry in scored.goals if entry.met is None],
        "rates": {
            title: {name: entry.value for name, entry in rows.items()}
            for title, rows in scored.tables.items()
            if not title.startswith(FOUND_BY_SUBSTANCE)
        },
        "scores": [msgspec.to_builtins(entry) for entry in scored.bins],
    }
