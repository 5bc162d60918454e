"""The numbers the rules decide by: chosen by a recorded procedure, read from `thresholds.toml`.

The file is written by `python -m benchmarks.evaluation choose` and by nothing else; its record says
when, from which seed, library and split, and what was reached. See docs/evaluation.md.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from importlib.resources import files

import msgspec

FILE_BYTES_MAX = 65_536
"""A few dozen numbers and their record are far smaller; a larger file is something else."""

KNOTS_MAX = 64
"""An isotonic map of a few thousand hits has fewer steps than this."""

NATS_ABS_MAX = 60.0
"""exp(60) to one is beyond any evidence a spectrum can give."""


class ThresholdsError(ValueError):
    """The thresholds are missing, malformed, or outside their ranges."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the values came about.

    Attributes:
        procedure: what wrote the file.
        chosen_on: ISO date.
        seed: of the synthetic world and the degradations.
        library_version: tables in use.
        split_digest: SHA-256 of the rule that parts tuning from reporting, 16 hex digits.
        criterion: the stated criterion, in words.
        figures: name -> figure reached, keys starting with tuning_ or reporting_.
    """

    procedure: str
    chosen_on: str = ""
    seed: int = 0
    library_version: str = ""
    split_digest: str = ""
    criterion: str = ""
    figures: dict[str, float] = msgspec.field(default_factory=dict)


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The numbers the rules of `gateway.screening.rules` decide by.

    Attributes:
        alarm_nats_min: evidence for an alarm after counting all looks; 4.6 = 100 to 1.
        alarm_nats_hidden_min: the same when every principal band lies beneath another substance.
        alarm_found_share_min: of the band intensity that is neither hidden nor too faint, the part
            that must be found, 0 to 1.
        alarm_seen_share_min: of the band intensity that is not too faint, the part that must be
            found and not hidden, 0 to 1; else three satellites at their places.
        alarm_share_min: smallest part of the signal; smaller components drown in the bands that
            the tables leave out of the large ones, 0 to 1.
        possible_nats_min: evidence of a listed substance, seen by a principal band, that keeps a
            measurement from being clear.
        possible_nats_hidden_min: the same when its principal bands lie beneath another substance.
        margin_nats: two explanations closer than this are not separable, 0 to 20.
        snr_alarm_min: strongest band over noise below which matching is not dependable.
        snr_clear_min: the same for clear, which takes more.
        score_knots: (score of the engine, share of such hits that were right), both 0 to 1, rising;
            between them straight lines. Empty = scores are taken as they are.
        record: how the values came about.
    """

    alarm_nats_min: float
    alarm_nats_hidden_min: float
    alarm_found_share_min: float
    alarm_seen_share_min: float
    alarm_share_min: float
    possible_nats_min: float
    possible_nats_hidden_min: float
    margin_nats: float
    snr_alarm_min: float
    snr_clear_min: float
    score_knots: tuple[tuple[float, float], ...] = ()
    record: Record

    def calibrated(self, score: float) -> float:
        """Probability that a hit with this score of the engine is right, 0 to 1."""
        knots = self.score_knots
        if not knots:
            return score
        if score <= knots[0][0]:
            return knots[0][1]
        for (low, at_low), (high, at_high) in itertools.pairwise(knots):
            if score <= high:
                share = (score - low) / (high - low)
                # Rounding must not lift a score above the next knot's.
                return min(at_low + (at_high - at_low) * share, at_high)
        return knots[-1][1]


RANGES: dict[str, tuple[float, float]] = {
    "alarm_nats_min": (0.0, NATS_ABS_MAX),
    "alarm_nats_hidden_min": (0.0, NATS_ABS_MAX),
    "alarm_found_share_min": (0.0, 1.0),
    "alarm_seen_share_min": (0.0, 1.0),
    "alarm_share_min": (0.0, 1.0),
    "possible_nats_min": (-NATS_ABS_MAX, NATS_ABS_MAX),
    "possible_nats_hidden_min": (-NATS_ABS_MAX, NATS_ABS_MAX),
    "margin_nats": (0.0, 20.0),
    "snr_alarm_min": (0.0, 1000.0),
    "snr_clear_min": (0.0, 1000.0),
}
"""Lowest and highest value of each number."""


def parse_thresholds(text: str) -> Thresholds:
    """Read thresholds from TOML text and check them.

    Raises:
        ThresholdsError: naming the number, its value and its range.
    """
    if len(text.encode()) > FILE_BYTES_MAX:
        raise ThresholdsError(f"thresholds are larger than {FILE_BYTES_MAX} bytes; choose anew")
    try:
        found = msgspec.toml.decode(text, type=Thresholds)
    except (ValueError, RecursionError) as error:
        raise ThresholdsError(f"thresholds.toml: {error}; choose anew") from None
    for name, (low, high) in RANGES.items():
        value = getattr(found, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise ThresholdsError(
                f"thresholds.toml: {name} is {value}, outside {low:g} to {high:g}; choose anew"
            )
    _check_order(found)
    return found


def _check_order(found: Thresholds) -> None:
    """Raise ThresholdsError where two numbers contradict each other."""
    for low, high in (
        ("alarm_nats_min", "alarm_nats_hidden_min"),
        ("possible_nats_min", "alarm_nats_min"),
        ("snr_alarm_min", "snr_clear_min"),
    ):
        if getattr(found, low) > getattr(found, high):
            raise ThresholdsError(
                f"thresholds.toml: {low} {getattr(found, low):g} is above {high} "
                f"{getattr(found, high):g}; choose anew"
            )
    knots = found.score_knots
    inside = all(0.0 <= value <= 1.0 for knot in knots for value in knot)
    rising = all(low[0] < high[0] and low[1] <= high[1] for low, high in itertools.pairwise(knots))
    if len(knots) > KNOTS_MAX or not inside or not rising:
        raise ThresholdsError(
            f"thresholds.toml: score_knots must be at most {KNOTS_MAX} pairs within 0 to 1, "
            "rising; choose anew"
        )


@lru_cache(maxsize=1)
def load_thresholds() -> Thresholds:
    """Read the thresholds that come with the package.

    Raises:
        ThresholdsError: the file is missing or malformed.
    """
    path = files("gateway.screening").joinpath("thresholds.toml")
    if not path.is_file():
        raise ThresholdsError("thresholds.toml is missing; install the package again")
    return parse_thresholds(path.read_text(encoding="utf-8"))
