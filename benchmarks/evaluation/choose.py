"""Choose the thresholds: the recorded procedure, on the tuning side only.

1. Every case of the tuning side is identified once and screened under every set of the grids.
2. A set of alarm thresholds is admissible when the one-sided 95 % upper bound of false alarms on
   benign goods is at most 0.6 per 1,000 (what just keeps the promised 1 on one draw breaks it on
   the next), and at most 1 % of the cases alarm whose substance was
   left out of the library, and at most 1 % of the made-up lists that a measured spectrum is not on.
   A limit that no set keeps cannot be kept by thresholds: it is replaced by the least that any of
   the remaining sets reached, plus a slack, and the record says so (`tuning_admissible = 0`).
3. Of the admissible ones that with the highest detection, the plain mean over the strata, is taken.
   Among those within `TIE` of it the fewest false alarms decide, then the strictest numbers: a
   difference smaller than the chance of the draw must not loosen a limit.
4. Clearing thresholds: of those that clear at most 0.5 % (upper bound) of the listed goods, pure or
   in a bag, and at most 5 % of those with 30 % of the area, the one that clears most benign goods;
   limits that no set keeps are replaced likewise.
5. Scores: the share of right hits by the engine's score, also of goods the library was made to
   forget, made monotone (isotonic regression, Ayer
   et al., Ann. Math. Stat. 26, 1955).
6. The file is written, the reporting side is judged with it, and its figures are added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import msgspec
import numpy as np
from scipy.optimize import isotonic_regression

from benchmarks.evaluation.cases import HitRow, Outcome
from benchmarks.evaluation.figures import PROMISED_FALSE_KINDS, upper_bound
from benchmarks.evaluation.judging import Trials
from benchmarks.evaluation.plan import Effort
from gateway.screening.thresholds import RANGES, Record, Thresholds

Entry = TypeVar("Entry")

ALARM_GRID: dict[str, tuple[float, ...]] = {
    "alarm_nats_min": (3.5, 4.6, 5.8, 7.0),
    "alarm_found_share_min": (0.5, 0.6, 0.7, 0.8),
    "alarm_share_min": (0.03, 0.05, 0.08),
    "margin_nats": (3.0, 4.5),
}
"""Loosest value first in each row. The loosest are not left to the tuning side, whose goods are in
the tables or made of random bands: goods that are in no table and made of the same groups as listed
substances raised an alarm in 21 of 6,000 cases with 2 and 2 nats, in 11 of 10,000 with 3.5 and 4.5
(docs/evaluation.md), while the tuning side saw no difference."""

CLEAR_GRID: dict[str, tuple[float, ...]] = {
    "possible_nats_min": (0.0, 1.0, 2.0),
    "snr_clear_min": (20.0, 30.0, 40.0),
}

CLEAR_STRICT = {"possible_nats_min": 1.0, "snr_clear_min": -1.0}
"""Which way each clearing threshold is stricter: a lower one holds back more, a higher one."""

HIDDEN_EXTRA_NATS = 2.4
"""With every principal band hidden ten times more evidence is asked, in every set."""

FALSE_UPPER_MAX = 0.6e-3
LEFT_OUT_MAX = 0.01
MADE_UP_FALSE_MAX = 0.01
TIE = 0.002
CLEARED_UPPER_MAX = 0.005
CLEARED_MIXTURE_MAX = 0.05
SLACK = 0.005
"""A limit that no set keeps is replaced by the least reached plus this, half of the limit: what
thresholds cannot mend must not cost all detection."""

CLEAR_SLACK = 0.001
"""The same for what is cleared: half a per cent more of it would be worth more than all it buys."""

KNOTS_MAX = 24
KNOT_HITS_MIN = 40
"""A knot rests on at least so many hits, so that its share is good to a few hundredths."""

EFFORT = Effort(
    key=40, side=16, look_alike=20, goods=12, mixtures=2500, unknowns=2500, left_out=2,
    listed_degraded=4,
)  # fmt: skip
"""Fewer listed goods and more benign ones than in a report: 4 of 17,004 keep the bound."""

CRITERION = (
    "highest mean detection over the strata; false alarms on benign goods at most "
    f"{1000.0 * FALSE_UPPER_MAX:g} per 1000 (one-sided 95 % bound), alarms of left-out substances "
    f"at most {100.0 * LEFT_OUT_MAX:g} %, false alarms on made-up lists at most "
    f"{100.0 * MADE_UP_FALSE_MAX:g} %"
)


def trials(present: Thresholds) -> Trials:
    """The sets to try: everything not on a grid stays as it is now, without a score map."""
    bare = msgspec.structs.replace(present, score_knots=())
    return Trials(
        alarms=tuple(_with_hidden(bare, values) for values in _sets(ALARM_GRID)),
        clears=tuple(msgspec.structs.replace(bare, **values) for values in _sets(CLEAR_GRID)),
    )


def _sets(grid: dict[str, tuple[float, ...]]) -> list[dict[str, float]]:
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def _with_hidden(bare: Thresholds, values: dict[str, float]) -> Thresholds:
    hidden = values["alarm_nats_min"] + HIDDEN_EXTRA_NATS
    return msgspec.structs.replace(bare, **values, alarm_nats_hidden_min=hidden)


@dataclass(frozen=True, slots=True)
class Mark:
    """What one set of alarm thresholds reached on the tuning side.

    Attributes:
        place: of the set among those tried.
        detection: mean over the strata, 0 to 1.
        false: false alarms on benign goods.
        benign: how many benign goods.
        false_upper: upper bound of their share.
        left_out: share of alarms with the substance left out.
        made_up_false: share of false alarms on made-up lists.
    """

    place: int
    detection: float
    false: int
    benign: int
    false_upper: float
    left_out: float
    made_up_false: float

    @property
    def admissible(self) -> bool:
        """It keeps every limit."""
        return (
            self.false_upper <= FALSE_UPPER_MAX
            and self.left_out <= LEFT_OUT_MAX
            and self.made_up_false <= MADE_UP_FALSE_MAX
        )


def mark_sets(outcomes: Sequence[Outcome], listed: frozenset[str]) -> list[Mark]:
    """Count what every set of alarm thresholds reached.

    Args:
        outcomes: of the tuning side, with `tried_alarms`.
        listed: library ids on a list.
    """
    strata: dict[str, list[bytes]] = defaultdict(list)
    benign, left_out, made_up = [], [], []
    for outcome in outcomes:
        case, tried = outcome.case, outcome.tried_alarms
        if not tried:
            continue
        if case.group == "listed" and not case.kind.startswith(("snr", "axis")):
            strata[case.kind].append(tried)
        elif case.group in ("measured", "degraded"):
            if outcome.pretend_found is not None or case.right & listed:
                strata[f"{case.group} {case.kind}"].append(tried)
            made_up.append(tried)
        elif case.group == "benign" and case.kind in PROMISED_FALSE_KINDS:
            benign.append(tried)
        elif case.group in ("left_out", "world_left_out") and not case.right & listed:
            left_out.append(tried)
    sets = max((len(o.tried_alarms) for o in outcomes), default=0)
    found = [_shares(rows, 2, sets) for rows in strata.values()]
    detection = np.mean(found, axis=0) if found else np.zeros(sets)
    false = (_shares(benign, 1, sets) * len(benign)).round().astype(int)
    unknown, wrong = _shares(left_out, 1, sets), _shares(made_up, 1, sets)
    return [
        Mark(
            place=place,
            detection=float(detection[place]),
            false=int(false[place]),
            benign=len(benign),
            false_upper=upper_bound(int(false[place]), len(benign)),
            left_out=float(unknown[place]),
            made_up_false=float(wrong[place]),
        )
        for place in range(sets)
    ]


def _shares(rows: list[bytes], bit: int, sets: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Share of the rows with this bit, for every set, shape (sets,)."""
    if not rows:
        return np.zeros(sets)
    marks = np.array([np.frombuffer(row, dtype=np.uint8) for row in rows])
    shares: np.ndarray[tuple[int], np.dtype[np.float64]] = ((marks & bit) > 0).mean(axis=0)
    return shares


def within(
    entries: Iterable[Entry], measure: Callable[[Entry], float], limit: float, slack: float = SLACK
) -> list[Entry]:
    """Those within a limit, or, when there are none, those near the least reached."""
    listed = list(entries)
    least = min(measure(entry) for entry in listed)
    allowed = limit if least <= limit else least + slack
    return [entry for entry in listed if measure(entry) <= allowed]


def pick(marks: Sequence[Mark], sets: Sequence[Thresholds]) -> Mark:
    """The set that the criterion takes; see the rules of this file."""
    left = within(marks, lambda mark: mark.false_upper, FALSE_UPPER_MAX, slack=0.0)
    left = within(left, lambda mark: mark.left_out, LEFT_OUT_MAX)
    left = within(left, lambda mark: mark.made_up_false, MADE_UP_FALSE_MAX)
    best = max(mark.detection for mark in left)
    return min(
        (mark for mark in left if mark.detection >= best - TIE),
        key=lambda mark: (
            mark.false,
            mark.left_out + mark.made_up_false,
            tuple(-getattr(sets[mark.place], name) for name in ALARM_GRID),
        ),
    )


def pick_clear(outcomes: Sequence[Outcome], sets: Sequence[Thresholds]) -> tuple[int, bool]:
    """The set of clearing thresholds, and whether it keeps the limits."""
    listed = [o.tried_clears for o in outcomes if o.case.kind in ("pure", "bag")]
    mixed = [o.tried_clears for o in outcomes if o.case.kind == "mixture_30"]
    benign = [
        o.tried_clears
        for o in outcomes
        if o.case.group == "benign" and o.case.kind in PROMISED_FALSE_KINDS
    ]
    wrong, faint, right = (_shares(rows, 1, len(sets)) for rows in (listed, mixed, benign))
    bound = [upper_bound(round(float(share) * len(listed)), len(listed)) for share in wrong]
    places = within(range(len(sets)), lambda place: bound[place], CLEARED_UPPER_MAX, CLEAR_SLACK)
    places = within(places, lambda place: float(faint[place]), CLEARED_MIXTURE_MAX, CLEAR_SLACK)
    best = max(float(right[place]) for place in places)
    taken = min(
        (place for place in places if float(right[place]) >= best - TIE),
        key=lambda place: (
            bound[place],
            tuple(getattr(sets[place], name) * way for name, way in CLEAR_STRICT.items()),
        ),
    )
    return taken, bound[taken] <= CLEARED_UPPER_MAX and faint[taken] <= CLEARED_MIXTURE_MAX


def score_map(hits: Iterable[HitRow]) -> tuple[tuple[float, float], ...]:
    """Knots from the engine's score to the share of such hits that were right.

    Args:
        hits: of the tuning side.

    Returns:
        (score, share), strictly rising in the first, not falling in the second; empty for too few.
    """
    ordered = sorted((hit.raw, hit.right) for hit in hits)
    if len(ordered) < KNOT_HITS_MIN:
        return ()
    size = KNOT_HITS_MIN
    while len(knots := _knots(ordered, size)) > KNOTS_MAX:
        size *= 2
    return knots


def _knots(ordered: list[tuple[float, bool]], size: int) -> tuple[tuple[float, float], ...]:
    """Isotonic fit of blocks of `size` hits; blocks that it makes equal become one knot."""
    blocks: list[list[tuple[float, bool]]] = []
    for entry in ordered:
        # Equal scores must not be parted: no map could tell them apart.
        if not blocks or (len(blocks[-1]) >= size and blocks[-1][-1][0] != entry[0]):
            blocks.append([])
        blocks[-1].append(entry)
    if len(blocks) > 1 and len(blocks[-1]) < KNOT_HITS_MIN:
        blocks[-2] += blocks.pop()
    # One success and one failure more (Laplace), so that no score promises certainty.
    share = [(sum(right for _, right in b) + 1.0) / (len(b) + 2.0) for b in blocks]
    rising = isotonic_regression(share, weights=[float(len(b)) for b in blocks]).x
    merged: dict[float, list[float]] = {}
    for block, value in zip(blocks, rising, strict=True):
        merged.setdefault(round(float(value), 4), []).extend(raw for raw, _ in block)
    found: list[tuple[float, float]] = []
    for value, raws in merged.items():
        score = round(float(np.mean(raws)), 6)
        if not found or score > found[-1][0]:
            found.append((score, value))
    return tuple(found)


HEADER = (
    "# Written by `python -m benchmarks.evaluation choose`; see docs/evaluation.md. "
    "Do not edit by hand."
)


def as_toml(chosen: Thresholds) -> str:
    """The text of thresholds.toml."""
    record = chosen.record
    lines = [
        HEADER,
        *(f"{name} = {getattr(chosen, name):g}" for name in RANGES),
        "score_knots = [",
        *(f"    [{score:.6g}, {share:.6g}]," for score, share in chosen.score_knots),
        "]",
        "",
        "[record]",
        f'procedure = "{record.procedure}"',
        f'chosen_on = "{record.chosen_on}"',
        f"seed = {record.seed}",
        f'library_version = "{record.library_version}"',
        f'split_digest = "{record.split_digest}"',
        f'criterion = "{record.criterion}"',
        "",
        "[record.figures]",
        *(f"{name} = {value!r}" for name, value in record.figures.items()),
    ]
    return "\n".join(lines) + "\n"


def combine(
    outcomes: Sequence[Outcome], tried: Trials, listed: frozenset[str], record: Record
) -> Thresholds:
    """Apply the whole procedure to the outcomes of the tuning side.

    Args:
        outcomes: of the tuning side.
        tried: the sets they were screened under.
        listed: library ids on a list.
        record: date, seed, versions; figures are added.
    """
    mark = pick(mark_sets(outcomes, listed), tried.alarms)
    place, kept = pick_clear(outcomes, tried.clears)
    knots = score_map(hit for o in outcomes for hit in o.hits)
    figures = {
        "tuning_admissible": float(mark.admissible),
        "tuning_clear_admissible": float(kept),
        "tuning_detection": round(mark.detection, 4),
        "tuning_false_alarms": float(mark.false),
        "tuning_benign": float(mark.benign),
        "tuning_false_alarms_per_1000_upper": round(1e3 * mark.false_upper, 3),
        "tuning_left_out_alarms": round(mark.left_out, 5),
        "tuning_made_up_list_false_alarms": round(mark.made_up_false, 5),
    }
    return msgspec.structs.replace(
        tried.alarms[mark.place],
        **{name: getattr(tried.clears[place], name) for name in CLEAR_GRID},
        score_knots=knots,
        record=msgspec.structs.replace(record, figures=figures),
    )
