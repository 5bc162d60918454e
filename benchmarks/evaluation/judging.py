"""Judge cases as the product does: `identify`, then `screen`, nothing in between."""

from __future__ import annotations

import csv
import datetime as dt
import io
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.evaluation.cases import Case, HitRow, Outcome
from benchmarks.evaluation.degrade import degrade
from benchmarks.evaluation.specimens import load_spectra, read_index, read_kin
from benchmarks.evaluation.split import part_of
from gateway.screening.rules import screen
from gateway.screening.thresholds import Thresholds, load_thresholds
from gateway.screening.verdict import Verdict
from gateway.screening.watchlists import Entry, Watchlist, Watchlists, load_watchlists
from gateway.spectra.errors import SpectraError
from gateway.spectra.identification import Identification
from gateway.spectra.library import TABLES, Library, build_library, load_library
from gateway.spectra.match import identify
from gateway.spectra.spectrum import Spectrum
from simulators.forward import World, expose, measure, unknown

PRETEND_PARTS = 3
"""Made-up lists: each holds a third of the measured substances, about as many as the real lists."""

ID_COLUMNS = ("substance_id", "confounder_id")
"""Columns of the library's tables that name a substance."""

CHUNK = 16
"""Cases sent to a worker at once: some 0.3 s of work."""

LIBRARIES_KEPT = 2
"""Libraries with something left out come one after the other, so few are needed at a time."""

PRETEND_DATE = dt.date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Trials:
    """Sets of thresholds to try on every case besides those in force.

    Attributes:
        alarms: the loosest first: what is no alarm under it is none under any other.
        clears: sets that differ in what they clear.
        in_force: decide the verdicts; None = those of the package.
    """

    alarms: tuple[Thresholds, ...] = ()
    clears: tuple[Thresholds, ...] = ()
    in_force: Thresholds | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker judges with.

    Attributes:
        library: complete.
        watchlists: in force.
        spectra: measured spectra by file.
        kin: see `specimens.read_kin`.
        pretend: made-up lists, each with the ids on it.
        trials: thresholds to try as well; usually none.
    """

    library: Library
    watchlists: Watchlists
    spectra: dict[str, Spectrum]
    kin: dict[str, frozenset[str]]
    pretend: tuple[tuple[Watchlists, frozenset[str]], ...]
    trials: Trials


def set_up(folder: Path | None, trials: Trials) -> Desk:
    """Load everything a worker needs.

    Args:
        folder: of the measured spectra; None = only synthetic cases will come.
        trials: thresholds to try.
    """
    library = load_library()
    specimens = read_index(folder, library) if folder else ()
    families = {entry.right for entry in specimens if entry.right}
    on_list: list[set[str]] = [set() for _ in range(PRETEND_PARTS)]
    for family in families:
        if all(library[key].category != "packaging" for key in family):
            on_list[part_of(min(family), PRETEND_PARTS)] |= family
    return Desk(
        library=library,
        watchlists=load_watchlists(),
        spectra=load_spectra(folder, specimens) if folder else {},
        kin=read_kin(),
        pretend=tuple((pretend_list(ids), frozenset(ids)) for ids in on_list if ids),
        trials=trials,
    )


def pretend_list(substance_ids: set[str]) -> Watchlists:
    """A watchlist made up for a measurement, as if these substances were precursors."""
    entries = tuple(Entry(substance_id=key) for key in sorted(substance_ids))
    return Watchlists((Watchlist("pretend", "pretend", PRETEND_DATE, "made up", entries),))


@lru_cache(maxsize=LIBRARIES_KEPT)
def library_without(removed: frozenset[str]) -> Library:
    """The shipped library as if it had never heard of these substances."""
    folder = files("gateway.spectra").joinpath("tables")
    texts = {name: folder.joinpath(f"{name}.csv").read_text("utf-8") for name in TABLES}
    return build_library({name: drop_rows(text, removed) for name, text in texts.items()})


def drop_rows(text: str, removed: frozenset[str]) -> str:
    """A table's text without the rows that name one of these substances."""
    rows = csv.reader(io.StringIO(text, newline=""))
    columns = next(rows)
    places = [at for at, name in enumerate(columns) if name in ID_COLUMNS]
    kept = [row for row in rows if not removed.intersection(row[at] for at in places)]
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows([columns, *kept])
    return written.getvalue()


def spectrum_of(case: Case, desk: Desk) -> Spectrum:
    """Measure the case: read, degrade or simulate it."""
    rng = np.random.default_rng(case.seed) if case.seed else None
    if case.file:
        clean = desk.spectra[case.file]
        if rng is None:
            return clean
        return degrade(clean, case.kind, rng, desk.spectra[case.second] if case.second else None)
    if rng is None or case.facts.snr is None or case.facts.resolution_cm1 is None:
        raise ValueError(f"{case.case_id} has no seed, signal to noise or line width")
    world = World(
        axis_error_cm1=case.facts.axis_error_cm1,
        resolution_cm1=case.facts.resolution_cm1,
        fluorescence=case.facts.fluorescence,
        fluorescence_low=1.0,
        share="area",
    )
    if not case.mixture:
        return expose(unknown(rng, world), case.facts.snr, rng, world)
    return measure(
        desk.library, dict(case.mixture), case.facts.snr, rng, world, case.facts.container
    )


def judge_case(case: Case, desk: Desk) -> Outcome:
    """Judge one case; a spectrum the product refuses is an outcome too."""
    try:
        library = library_without(case.removed) if case.removed else desk.library
        spectrum = spectrum_of(case, desk)
        start = time.perf_counter()
        found = identify(spectrum, library)
        verdict = screen(found, desk.watchlists, library, thresholds=desk.trials.in_force)
        taken = time.perf_counter() - start
    except SpectraError as error:
        return Outcome(case, "error", str(error), (), ())
    found_pretend, false, asked = _pretend(case, desk, library, found)
    bare = msgspec.structs.replace(desk.trials.in_force or load_thresholds(), score_knots=())
    unmapped = screen(found, desk.watchlists, library, thresholds=bare)
    return Outcome(
        case=case,
        verdict=verdict.verdict,
        reason_id=verdict.reason_id,
        named=named(verdict),
        hits=tuple(
            HitRow(hit.substance_id, raw.score, hit.score, hit.substance_id in case.truth)
            for raw, hit in zip(unmapped.hits, verdict.hits, strict=True)
        ),
        pretend_found=found_pretend,
        pretend_false=false,
        pretend_asked=asked,
        tried_alarms=_try_alarms(case, desk, library, found),
        tried_clears=_try_clears(desk, library, found),
        seconds=taken,
    )


def named(verdict: Verdict) -> tuple[str, ...]:
    """Substances an alarm names; empty for other verdicts."""
    ids = verdict.parameters.get("substance_ids", ()) if verdict.verdict == "alarm" else ()
    return ids if isinstance(ids, tuple) else ()


def _pretend(
    case: Case, desk: Desk, library: Library, found: Identification
) -> tuple[bool | None, int, int]:
    """Screen with the made-up lists: was the substance the alarm, and was anything else?"""
    if case.group not in ("measured", "degraded"):
        return None, 0, 0
    hit: bool | None = None
    false = asked = 0
    for lists, ids in desk.pretend:
        if case.truth & ids and not case.right & ids:
            continue
        verdict = screen(found, lists, library, thresholds=desk.trials.in_force)
        if case.right & ids:
            hit = bool(case.right.intersection(named(verdict)))
        else:
            asked += 1
            false += verdict.verdict == "alarm"
    return hit, false, asked


def _try_alarms(case: Case, desk: Desk, library: Library, found: Identification) -> bytes:
    """What each set of alarm thresholds makes of it; see Outcome.

    For measured spectra the made-up list of the substance is used as well: the folder holds too few
    listed substances to tune anything by. Lists without it count the false alarms.
    """
    if not desk.trials.alarms:
        return b""
    lists = [desk.watchlists]
    if case.group in ("measured", "degraded"):
        lists += [entry for entry, ids in desk.pretend if case.right & ids or not case.truth & ids]
    marks = np.zeros(len(desk.trials.alarms), dtype=np.uint8)
    for entry in lists:
        on_list = entry.substance_ids
        for place, limits in enumerate(desk.trials.alarms):
            verdict = screen(found, entry, library, thresholds=limits)
            if verdict.verdict == "alarm":
                if case.right.intersection(named(verdict)):
                    marks[place] |= 2
                elif not case.truth & on_list:
                    marks[place] |= 1
            elif place == 0:
                break  # no alarm under the loosest set is none under any
    return marks.tobytes()


def _try_clears(desk: Desk, library: Library, found: Identification) -> bytes:
    """Which sets of clearing thresholds clear it."""
    return bytes(
        screen(found, desk.watchlists, library, thresholds=limits).verdict == "clear"
        for limits in desk.trials.clears
    )


_DESK: list[Desk] = []
"""The worker's own desk; filled once when the worker starts."""


def _start(folder: Path | None, trials: Trials) -> None:
    _DESK[:] = [set_up(folder, trials)]


def _judge_here(case: Case) -> Outcome:
    return judge_case(case, _DESK[0])


def judge_all(
    cases: Sequence[Case],
    folder: Path | None,
    *,
    workers: int,
    trials: Trials | None = None,
) -> Iterator[Outcome]:
    """Judge cases on several cores; outcomes come in the order of the cases.

    Args:
        cases: to be judged.
        folder: of the measured spectra.
        workers: processes; 1 judges here.
        trials: thresholds to try as well.
    """
    trials = trials or Trials()
    if workers <= 1:
        desk = set_up(folder, trials)
        for case in cases:
            yield judge_case(case, desk)
        return
    # Spawned, not forked: the bar's thread is running, and forked libraries keep their threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (folder, trials)) as pool:
        yield from pool.map(_judge_here, cases, chunksize=CHUNK)


def judge_with_bar(
    cases: Sequence[Case],
    folder: Path | None,
    workers: int,
    title: str,
    trials: Trials | None = None,
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
        for outcome in judge_all(cases, folder, workers=workers, trials=trials):
            outcomes.append(outcome)
            progress.advance(bar)
    return outcomes
