"""Counting: rates with their intervals, reliability of scores, and the goals beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from scipy.stats import beta

from benchmarks.evaluation.cases import HitRow, Outcome
from benchmarks.evaluation.degrade import KINDS

CONFIDENCE = 0.95
BINS = 10
"""Bins of the reliability table, each a tenth of the scores."""

ECE_MAX = 0.05
"""Scores are called calibrated when they are off by no more than this on average."""

PROMISED_FALSE_KINDS = (
    *("look_alike", "goods", "mixture_of_2", "mixture_of_3", "unknown", "beside_unknown"),
)
"""Benign kinds within the promised conditions; the others are shown beside."""


FOUND_BY = "found, listed, by"
FOUND_BY_SUBSTANCE = "found, by substance and"
"""Titles of the tables of detection against one condition; see `cells`."""

CELL = " | "
"""Parts substance and condition in the rows of the second kind of table."""


class Rate(msgspec.Struct, frozen=True):
    """A share counted, with its exact (Clopper-Pearson) 95 % interval.

    Attributes:
        count: how many were so.
        total: of how many.
        value: count / total; None of none.
        low: lower end of the interval.
        high: upper end.
    """

    count: int
    total: int
    value: float | None
    low: float
    high: float


def rate(marks: Iterable[bool]) -> Rate:
    """Count a share."""
    listed = list(marks)
    return share(sum(listed), len(listed))


def share(count: int, total: int) -> Rate:
    """`count` of `total` with the interval of Clopper and Pearson, Biometrika 26, 1934."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1.0 - tail, count + 1, total - count)) if count < total else 1.0
    value = round(count / total, 5) if total else None
    return Rate(count, total, value, round(low, 5), round(high, 5))


def upper_bound(count: int, total: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of a share, 0 to 1; 1 when nothing was counted."""
    return float(beta.ppf(confidence, count + 1, total - count)) if count < total else 1.0


@dataclass(frozen=True, slots=True)
class Bin:
    """One row of the reliability table."""

    low: float
    high: float
    count: int
    mean_score: float
    right_share: float


def reliability(hits: Sequence[HitRow]) -> tuple[tuple[Bin, ...], float | None]:
    """How often hits of a score are right, and the expected calibration error.

    Returns:
        Non-empty bins from low to high; the mean of |score - share right| over the hits, by bins
        (Naeini et al., AAAI 2015), None without hits.
    """
    if not hits:
        return (), None
    score = np.array([hit.score for hit in hits])
    right = np.array([hit.right for hit in hits], dtype=np.float64)
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    bins = []
    error = 0.0
    for number in range(BINS):
        inside = place == number
        if inside.any():
            mean, true = float(score[inside].mean()), float(right[inside].mean())
            bins.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), mean, true))
            error += float(inside.mean()) * abs(mean - true)
    return tuple(bins), round(error, 4)


def false_alarm(outcome: Outcome, listed: frozenset[str]) -> bool | None:
    """Whether the alarm is false; None where something listed is in the sample."""
    return None if outcome.case.truth & listed else outcome.alarm


def by(
    outcomes: Iterable[Outcome],
    key: Callable[[Outcome], object],
    mark: Callable[[Outcome], bool | None],
) -> dict[str, Rate]:
    """Rates of a mark by a key, kinds of degradation in their order, others sorted.

    Outcomes whose mark is None do not count.
    """
    counted: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        value = mark(outcome)
        if value is not None:
            counted[str(key(outcome))].append(value)
    return {name: rate(counted[name]) for name in sorted(counted, key=_place)}


def cells(rows: dict[str, Rate]) -> dict[str, dict[str, Rate]]:
    """A table by substance and condition as substance -> condition -> rate."""
    found: dict[str, dict[str, Rate]] = {}
    for name, entry in rows.items():
        substance, _, condition = name.partition(CELL)
        found.setdefault(substance, {})[condition] = entry
    return found


def _place(name: str) -> tuple[int, str]:
    return (KINDS.index(name) if name in KINDS else -1, name)


class Goal(msgspec.Struct, frozen=True):
    """A figure beside what it should be.

    Attributes:
        name: of the figure.
        value: measured; None = could not be measured here.
        goal: what it should be.
        sense: "min" = at least, "max" = at most.
        met: None = not measured.
        of: how many cases it rests on.
    """

    name: str
    value: float | None
    goal: float
    sense: Literal["min", "max"]
    met: bool | None
    of: int


def goal(
    name: str, value: float | None, limit: float, sense: Literal["min", "max"], of: int
) -> Goal:
    """Set a figure beside its goal."""
    if value is None or of == 0:
        return Goal(name, None, limit, sense, None, of)
    met = value >= limit if sense == "min" else value <= limit
    return Goal(name, round(value, 5), limit, sense, met, of)


class Scored(msgspec.Struct, frozen=True):
    """All figures of one run.

    Attributes:
        goals: what was promised, in order.
        tables: title -> row -> rate.
        bins: reliability of the scores on the reporting side.
        calibration_error: of them.
        hits: how many hits that rests on.
    """

    goals: tuple[Goal, ...]
    tables: dict[str, dict[str, Rate]]
    bins: tuple[Bin, ...]
    calibration_error: float | None
    hits: int


def score_all(outcomes: Sequence[Outcome], listed: frozenset[str], pgs: frozenset[str]) -> Scored:
    """Turn outcomes into figures.

    Args:
        outcomes: of every case.
        listed: library ids on a list.
        pgs: those of the Global Shield list.
    """
    group: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        group[outcome.case.group].append(outcome)
    hits = [hit for o in outcomes if _scores_count(o) for hit in o.hits]
    bins, error = reliability(hits)
    goals = (
        *_measured_goals(group["measured"], group["left_out"], listed),
        *_degraded_goals(group["degraded"], listed),
        *_world_goals(group["listed"], group["benign"], group["world_left_out"], pgs),
        goal("calibration_error_of_scores", error, ECE_MAX, "max", len(hits)),
    )
    return Scored(goals, _tables(group, listed), bins, error, len(hits))


def _scores_count(outcome: Outcome) -> bool:
    """Scores are judged on the reporting side; a substance in no table counts as a wrong hit.

    Runs with a substance left out of the library belong to them: most goods are in no library.
    """
    return outcome.case.side == "reporting"


def _measured_goals(
    clean: list[Outcome], left_out: list[Outcome], listed: frozenset[str]
) -> tuple[Goal, ...]:
    concern = [o for o in clean if o.case.right & listed]
    harmless = [o for o in clean if not o.case.truth & listed]
    known = [o for o in clean if o.case.right]
    return (
        goal(
            "measured_listed_found", rate(o.detected for o in concern).value, 1.0, "min",
            len(concern),
        ),
        goal(
            "measured_false_alarms", float(sum(o.alarm for o in harmless)), 1.0, "max",
            len(harmless),
        ),
        goal(
            "measured_top1", rate(o.first_right for o in known).value, 0.97, "min", len(known)
        ),
        goal(
            "measured_inconclusive", rate(o.verdict == "inconclusive" for o in clean).value, 0.10,
            "max", len(clean),
        ),
        goal(
            "measured_left_out_alarms", rate(o.alarm for o in left_out).value, 0.01, "max",
            len(left_out),
        ),
    )  # fmt: skip


def _degraded_goals(degraded: list[Outcome], listed: frozenset[str]) -> tuple[Goal, ...]:
    concern = [o for o in degraded if o.case.right & listed]
    harmless = [o for o in degraded if not o.case.truth & listed]
    pretend = [o for o in degraded if o.pretend_found is not None]
    asked = sum(o.pretend_asked for o in degraded)
    false = share(sum(o.pretend_false for o in degraded), asked)
    return (
        goal(
            "degraded_detection", rate(o.detected for o in concern).value, 0.85, "min",
            len(concern),
        ),
        goal(
            "degraded_false_alarms", rate(o.alarm for o in harmless).value, 0.01, "max",
            len(harmless),
        ),
        goal(
            "degraded_detection_made_up_lists",
            rate(bool(o.pretend_found) for o in pretend).value, 0.85, "min", len(pretend),
        ),
        goal("degraded_false_alarms_made_up_lists", false.value, 0.01, "max", asked),
    )  # fmt: skip


def _world_goals(
    concern: list[Outcome],
    benign: list[Outcome],
    left_out: list[Outcome],
    pgs: frozenset[str],
) -> tuple[Goal, ...]:
    found = []
    shield = [o for o in concern if o.case.target in pgs]
    for kind, limit in (("pure", 0.99), ("bag", 0.95), ("mixture_30", 0.90)):
        rows = [o for o in shield if o.case.kind == kind]
        rates = by(rows, lambda o: o.case.target, lambda o: o.detected)
        worst = min((r.value for r in rates.values() if r.value is not None), default=None)
        found.append(goal(f"world_{kind}_worst_substance", worst, limit, "min", len(rows)))
        overall = rate(o.detected for o in rows).value
        found.append(goal(f"world_{kind}_all", overall, limit, "min", len(rows)))
    promised = [o for o in benign if o.case.kind in PROMISED_FALSE_KINDS]
    alarms = rate(o.alarm for o in promised)
    thousand = None if alarms.value is None else 1000.0 * alarms.value
    unlisted = [o for o in left_out if o.case.kind == "harmless"]
    return (
        *found,
        goal("world_false_alarms_per_1000", thousand, 1.0, "max", len(promised)),
        goal(
            "world_left_out_alarms", rate(o.alarm for o in unlisted).value, 0.01, "max",
            len(unlisted),
        ),
    )  # fmt: skip


def _tables(group: dict[str, list[Outcome]], listed: frozenset[str]) -> dict[str, dict[str, Rate]]:
    """Every rate by every condition, for people and for the file."""
    concern, degraded = group["listed"], group["degraded"]
    promised = [o for o in concern if o.case.kind not in ("snr_12", "axis_4")]
    plain = [o for o in concern if o.case.kind in ("pure", "snr_12")]
    mixed = [o for o in promised if o.case.kind != "bag"]
    bags = [o for o in concern if o.case.kind in ("pure", "bag")]
    axis = [o for o in concern if o.case.kind in ("pure", "axis_4")]
    tables: dict[str, dict[str, Rate]] = {}
    conditions: tuple[tuple[str, list[Outcome], Callable[[Outcome], object]], ...] = (
        ("kind", concern, lambda o: o.case.kind),
        ("signal to noise", plain, lambda o: f"{o.case.facts.snr or 0.0:03.0f}"),
        ("share of the area", mixed, lambda o: f"{o.case.facts.fraction:.1f}"),
        ("container", bags, lambda o: o.case.facts.container),
        ("fluorescence", promised, lambda o: f"{o.case.facts.fluorescence:02.0f}"),
        ("axis error", axis, lambda o: f"{o.case.facts.axis_error_cm1:.0f}"),
        ("line width", promised, lambda o: f"{o.case.facts.resolution_cm1 or 0.0:02.0f}"),
    )
    for title, rows, key in conditions:
        tables[f"{FOUND_BY} {title}"] = by(rows, key, lambda o: o.detected)
        tables[f"{FOUND_BY_SUBSTANCE} {title}"] = by(
            rows, _with_substance(key), lambda o: o.detected
        )
    tables["cleared although listed, by kind"] = by(
        concern, lambda o: o.case.kind, lambda o: o.verdict == "clear"
    )
    tables["false alarms, synthetic, by kind"] = by(
        group["benign"], lambda o: o.case.kind, lambda o: o.alarm
    )
    tables["inconclusive, synthetic benign, by kind"] = by(
        group["benign"], lambda o: o.case.kind, lambda o: o.verdict == "inconclusive"
    )
    tables["alarms, left out"] = by(
        [*group["left_out"], *group["world_left_out"]],
        lambda o: f"{o.case.group}, {'listed' if o.case.right & listed else 'not listed'}",
        lambda o: o.alarm,
    )
    tables["found, degraded, real lists"] = by(
        (o for o in degraded if o.case.right & listed),
        lambda o: o.case.kind,
        lambda o: o.detected,
    )
    tables["found, degraded, made-up lists"] = by(
        degraded, lambda o: o.case.kind, lambda o: o.pretend_found
    )
    tables["false alarms, degraded, real lists"] = by(
        degraded, lambda o: o.case.kind, lambda o: false_alarm(o, listed)
    )
    tables["false alarms, degraded, made-up lists"] = {
        kind: share(sum(o.pretend_false for o in rows), sum(o.pretend_asked for o in rows))
        for kind, rows in _grouped(degraded).items()
    }
    tables["top-1, degraded"] = by(
        (o for o in degraded if o.case.right and not o.case.second),
        lambda o: o.case.kind,
        lambda o: o.first_right,
    )
    tables |= _by_side(group["measured"], listed)
    return {title: rows for title, rows in tables.items() if rows}


def _with_substance(key: Callable[[Outcome], object]) -> Callable[[Outcome], str]:
    return lambda outcome: f"{outcome.case.target}{CELL}{key(outcome)}"


def _by_side(clean: list[Outcome], listed: frozenset[str]) -> dict[str, dict[str, Rate]]:
    """The measured spectra, tuning and reporting sides apart."""
    return {
        "measured, top-1, by side": by(
            (o for o in clean if o.case.right), lambda o: o.case.side, lambda o: o.first_right
        ),
        "measured, found on made-up lists, by side": by(
            clean, lambda o: o.case.side, lambda o: o.pretend_found
        ),
        "measured, inconclusive, by side": by(
            clean, lambda o: o.case.side, lambda o: o.verdict == "inconclusive"
        ),
        "measured, false alarms, by side": by(
            clean, lambda o: o.case.side, lambda o: false_alarm(o, listed)
        ),
    }


def _grouped(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.case.kind].append(outcome)
    return {name: found[name] for name in sorted(found, key=_place)}
