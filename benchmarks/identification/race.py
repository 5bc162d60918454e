"""The race: the same spectra to every pipeline, turn by turn, and what each made of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.evaluation.cases import Case
from benchmarks.evaluation.figures import Goal, goal
from benchmarks.evaluation.judging import Desk, Trials, named, set_up, spectrum_of
from benchmarks.evaluation.plan import Effort, Planner
from benchmarks.evaluation.specimens import find_folder, read_index
from benchmarks.evaluation.split import Side
from benchmarks.identification.entries import enlarged, reduced
from benchmarks.identification.peers import (
    RESOLUTION_CM1,
    ArplsPeer,
    Peer,
    Question,
    RamanspyPeer,
    choose_limit,
    templates,
)
from gateway.identify import judge_spectrum
from gateway.screening.rules import screen
from gateway.screening.watchlists import Watchlists
from gateway.spectra.library import Library
from gateway.spectra.match import identify
from gateway.spectra.spectrum import Spectrum

SHIPPED = "shipped"
"""The library as it comes; accuracy is counted with it."""

SIZE_RACED = 170
"""Entries at which the pipelines are set against each other, part of the shipped library."""

SIZES_LARGE = (1_000, 10_000)

FASTER_MIN = 20.0
GROWTH_MAX = 10.0
WARM_UP = 3
"""Spectra before the clock counts: caches, lazy imports, the processor's pace."""

WHOLE = "product_with_quality"
"""The product as a file meets it, with the checks of quality that no peer makes; shown beside."""

RAMANSPY_ENTRIES_MAX = 1_000
"""Its quadratic programme has an unknown per entry; with 10,000 it wants gigabytes and minutes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to run.

    Attributes:
        sizes_large: numbers of entries beyond the shipped ones.
        timed: spectra timed at the raced and the shipped size.
        timed_large: spectra timed at each larger size; peers get a quarter of it.
        rounds: turns at the raced and the shipped size.
        effort: goods for the accuracy.
        every: of the goods are shown every first, second, third ...
    """

    sizes_large: tuple[int, ...]
    timed: int
    timed_large: int
    rounds: int
    effort: Effort
    every: int = 1


GOODS = Effort(
    key=3, side=2, look_alike=1, goods=1, mixtures=60, unknowns=30, left_out=1, listed_degraded=2,
    degraded_share=0.12,
)  # fmt: skip
FULL = Plan(SIZES_LARGE, timed=40, timed_large=16, rounds=3, effort=GOODS)
SHORT = Plan((), timed=20, timed_large=0, rounds=2, effort=GOODS.scaled(0.3), every=4)


def goods(desk: Desk, effort: Effort, folder: Path | None, side: Side) -> list[Case]:
    """Measured and synthetic cases of one side, with one line width for the synthetic ones."""
    planner = Planner(desk.library, desk.watchlists, effort)
    specimens = read_index(folder, desk.library) if folder else ()
    measured = planner.measured(specimens, desk.spectra, (side,))
    world = (*planner.listed_goods(side), *planner.benign_goods(side))
    return [
        *(case for case in measured if not case.removed),
        *(
            replace(case, facts=replace(case.facts, resolution_cm1=RESOLUTION_CM1))
            for case in world
            if case.kind not in ("snr_12", "axis_4", "look_alike_referred")
        ),
    ]


def lists_for(case: Case, desk: Desk) -> list[Watchlists]:
    """The lists a case is asked against: those in force, and for measured ones the made-up ones.

    Lists that hold something of the sample besides the target would count neither way.
    """
    lists = [desk.watchlists]
    if case.file:
        lists += [entry for entry, _ in desk.pretend]
    kept = []
    for entry in lists:
        on_list = entry.substance_ids
        if case.right & on_list or not case.truth & on_list:
            kept.append(entry)
    return kept


@dataclass(slots=True)
class Tally:
    """Accuracy of one pipeline."""

    found: int = 0
    concern: int = 0
    false: int = 0
    benign: int = 0

    def count(self, *, concern: bool, alarm: bool) -> None:
        """Add one answer."""
        if concern:
            self.concern += 1
            self.found += alarm
        else:
            self.benign += 1
            self.false += alarm

    def as_record(self) -> dict[str, float | int | None]:
        """Shares for the last line."""
        return {
            "detection": round(self.found / self.concern, 4) if self.concern else None,
            "false_alarms": round(self.false / self.benign, 4) if self.benign else None,
            "of_listed": self.concern,
            "of_benign": self.benign,
        }


def product_accuracy(cases: Sequence[Case], desk: Desk, library: Library) -> Tally:
    """What `identify` and `screen` make of the cases."""
    tally = Tally()
    for case in cases:
        found = identify(spectrum_of(case, desk), library)
        for lists in lists_for(case, desk):
            verdict = screen(found, lists, library)
            concern = bool(case.right & lists.substance_ids)
            right = bool(case.right.intersection(named(verdict)))
            tally.count(concern=concern, alarm=right if concern else verdict.verdict == "alarm")
    return tally


def questions(cases: Sequence[Case], desk: Desk, library: Library, peer: Peer) -> list[Question]:
    """A peer's answers as questions that a limit decides."""
    asked = []
    for case in cases:
        shares, _ = peer.shares(spectrum_of(case, desk))
        for lists in lists_for(case, desk):
            on_list = lists.substance_ids
            asked.append(
                Question(
                    shares=shares,
                    listed=_places(library, on_list),
                    right=_places(library, case.right & on_list),
                )
            )
    return asked


def _places(library: Library, substance_ids: frozenset[str]) -> tuple[int, ...]:
    """Where these substances stand in the library; one may stand there in several states."""
    return tuple(at for at, key in enumerate(library.active_ids) if key in substance_ids)


def peer_accuracy(asked: Sequence[Question], limit: float) -> Tally:
    """Detection and false alarms of a peer at its limit."""
    tally = Tally()
    for question in asked:
        concern = bool(question.right)
        alarm = question.found(limit) if concern else question.false(limit)
        tally.count(concern=concern, alarm=alarm)
    return tally


def time_turns(
    spectra: Sequence[Spectrum],
    library: Library,
    lists: Watchlists,
    peers: dict[str, Peer],
    rounds: int,
    warm_up: int = WARM_UP,
) -> dict[str, list[float]]:
    """Seconds of every pipeline, spectrum by spectrum, in turns so that all share the weather."""
    taken: dict[str, list[float]] = {"product": [], WHOLE: [], **{name: [] for name in peers}}
    for number in range(rounds):
        for place, spectrum in enumerate(spectra):
            start = time.perf_counter()
            screen(identify(spectrum, library), lists, library)
            seconds = {"product": time.perf_counter() - start}
            start = time.perf_counter()
            judge_spectrum(spectrum, library, lists)
            seconds[WHOLE] = time.perf_counter() - start
            seconds |= {name: peer.shares(spectrum)[1] for name, peer in peers.items()}
            if number or place >= min(warm_up, len(spectra) - 1):
                for name, value in seconds.items():
                    taken[name].append(value)
    return taken


def run(plan: Plan, ramanspy: Path | None) -> dict[str, Any]:
    """Run the whole race.

    Args:
        plan: how much.
        ramanspy: interpreter of the environment that has it; None = without.

    Returns:
        Times in ms, ratios, accuracies and goals, for the last line.
    """
    folder = find_folder()
    desk = set_up(folder, Trials())
    report = goods(desk, plan.effort, folder, "reporting")[:: plan.every]
    tune = goods(desk, plan.effort, folder, "tuning")[:: plan.every]
    synthetic = [case for case in report if not case.file]
    step = max(1, len(synthetic) // plan.timed)
    chosen = synthetic[::step][: plan.timed]
    timed = [spectrum_of(case, desk) for case in chosen]
    shown = sorted({name for case in chosen for name in case.truth})
    record: dict[str, Any] = {
        "cores": os.cpu_count(),
        "entries_shipped": len(desk.library.entries),
        "spectra": len(report),
        "spectra_timed": len(timed),
        "sizes": {},
        "accuracy": {},
    }
    libraries: dict[str, Callable[[], Library]] = {
        str(SIZE_RACED): lambda: reduced(desk.library, SIZE_RACED, shown),
        SHIPPED: lambda: desk.library,
        **{str(size): partial(enlarged, size) for size in plan.sizes_large},
    }
    for size, make in libraries.items():
        library = make()
        sys.stderr.write(f"identification: {len(library.entries)} entries ...\n")
        rows = templates(library)
        peers: dict[str, Peer] = {"arpls_nnls": ArplsPeer(rows)}
        if ramanspy is not None and len(library.active_ids) <= RAMANSPY_ENTRIES_MAX:
            with RamanspyPeer(ramanspy, rows) as side:
                peers["ramanspy_nnls"] = side
                _one_size(record, size, plan, library, desk, timed, peers, (tune, report))
        else:
            _one_size(record, size, plan, library, desk, timed, peers, (tune, report))
    return record | _ratios(record, plan)


def _one_size(
    record: dict[str, Any],
    size: str,
    plan: Plan,
    library: Library,
    desk: Desk,
    timed: list[Spectrum],
    peers: dict[str, Peer],
    sides: tuple[list[Case], list[Case]],
) -> None:
    """Time one size; at the shipped one count the accuracy too."""
    lists = desk.watchlists
    if size in (str(SIZE_RACED), SHIPPED):
        taken = time_turns(timed, library, lists, peers, plan.rounds)
    else:
        few = timed[: max(2, plan.timed_large // 4)]
        taken = time_turns(few, library, lists, peers, 1, warm_up=1)
        more = time_turns(timed[: plan.timed_large], library, lists, {}, 1)
        taken |= {name: more[name] for name in ("product", WHOLE)}
    if size == SHIPPED:
        tune, report = sides
        record["accuracy"]["product"] = product_accuracy(report, desk, library).as_record()
        for name, peer in peers.items():
            limit = choose_limit(questions(tune, desk, library, peer))
            tally = peer_accuracy(questions(report, desk, library, peer), limit)
            record["accuracy"][name] = tally.as_record() | {"limit": round(limit, 4)}
    record["sizes"][size] = {
        name: {
            "ms_median": round(1e3 * float(np.median(values)), 3),
            "ms_p95": round(1e3 * float(np.percentile(values, 95)), 3),
            "turns": len(values),
        }
        for name, values in taken.items()
    }


def _ratios(record: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Ratios and goals from the times and accuracies."""
    sizes, accuracy = record["sizes"], record["accuracy"]
    first = sizes[str(SIZE_RACED)]
    peers = [name for name in first if name not in ("product", WHOLE)]
    faster = min(peers, key=lambda name: float(first[name]["ms_median"]))
    ratio = first[faster]["ms_median"] / max(first["product"]["ms_median"], 1e-9)
    growth = None
    if plan.sizes_large:
        last = sizes[str(plan.sizes_large[-1])]["product"]["ms_median"]
        growth = last / max(first["product"]["ms_median"], 1e-9)
    own, best = accuracy["product"], [accuracy[name] for name in peers]
    detection = _difference(own["detection"], [entry["detection"] for entry in best], max)
    false = _difference(own["false_alarms"], [entry["false_alarms"] for entry in best], min)
    count = record["spectra_timed"]
    goals: tuple[Goal, ...] = (
        goal("times_faster_than_faster_peer", ratio, FASTER_MIN, "min", count),
        goal("time_10000_over_170", growth, GROWTH_MAX, "max", count),
        goal("detection_above_best_peer", detection, 0.0, "min", own["of_listed"]),
        goal("false_alarms_above_best_peer", false, 0.0, "max", own["of_benign"]),
    )
    return {
        "faster_peer": faster,
        "goals": {
            entry.name: {k: v for k, v in msgspec.to_builtins(entry).items() if k != "name"}
            for entry in goals
        },
    }


def _difference(own: float | None, others: list[float | None], best: Any) -> float | None:  # noqa: ANN401 - min or max
    known = [value for value in others if value is not None]
    return None if own is None or not known else own - float(best(known))
