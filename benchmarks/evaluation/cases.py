"""What is judged: every case is a row that says what it is, what is in it and how it was made.

A case holds names and seeds, no spectra, so that thousands travel cheaply to the workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.evaluation.split import Side

Group = Literal["measured", "left_out", "degraded", "listed", "benign", "world_left_out"]
GROUPS: tuple[Group, ...] = (
    "measured",
    "left_out",
    "degraded",
    "listed",
    "benign",
    "world_left_out",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Conditions of a synthetic case; of a measured one only what its kind sets.

    Attributes:
        snr: strongest band over noise, None = as measured.
        fraction: share of the area that is the target's, 1 = pure.
        container: what stands between.
        fluorescence: background over the strongest band.
        axis_error_cm1: half-width of the error drawn.
        resolution_cm1: line width.
    """

    snr: float | None = None
    fraction: float = 1.0
    container: str = "none"
    fluorescence: float = 0.0
    axis_error_cm1: float = 0.0
    resolution_cm1: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One spectrum to be judged.

    Attributes:
        case_id: unique name.
        group: which question it answers.
        kind: what was done to it.
        side: of the split.
        target: what is looked for: a file's substance name or a library id.
        right: library ids that name the target rightly; empty = in no table.
        truth: everything truly in it, as library ids, kin included.
        seed: words of the generator's seed.
        file: measured spectrum, "" = synthetic.
        second: measured spectrum added, "" = none.
        mixture: synthetic: (substance_id, share of the area); an empty id, or no entry at all, is a
            random pattern of bands.
        removed: library ids taken out of the library before it is judged.
        facts: conditions.
    """

    case_id: str
    group: Group
    kind: str
    side: Side
    target: str
    right: frozenset[str]
    truth: frozenset[str]
    seed: tuple[int, ...] = ()
    file: str = ""
    second: str = ""
    mixture: tuple[tuple[str, float], ...] = ()
    removed: frozenset[str] = frozenset()
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class HitRow:
    """One substance named, and whether it is there.

    Attributes:
        substance_id: named.
        raw: score of the engine.
        score: score of the verdict, calibrated.
        right: it, or its kin, is in the sample.
    """

    substance_id: str
    raw: float
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    Attributes:
        case: the case.
        verdict: alarm, inconclusive or clear; "error" when it was refused.
        reason_id: of the verdict, or the error's text.
        named: substances the alarm names.
        hits: as in the verdict, best first.
        pretend_found: with its substance on a list made up for the purpose, was it the alarm?
            None = not asked.
        pretend_false: alarms on made-up lists of which nothing is in the sample.
        pretend_asked: number of those lists.
        tried_alarms: one byte for each set of alarm thresholds tried: 1 = a false alarm, 2 = an
            alarm that names the target, 3 = on different lists both; empty unless choosing.
        tried_clears: one byte for each set of clearing thresholds tried: 1 = clear.
        seconds: taken by identification and screening.
    """

    case: Case
    verdict: str
    reason_id: str
    named: tuple[str, ...]
    hits: tuple[HitRow, ...]
    pretend_found: bool | None = None
    pretend_false: int = 0
    pretend_asked: int = 0
    tried_alarms: bytes = b""
    tried_clears: bytes = b""
    seconds: float = 0.0

    @property
    def alarm(self) -> bool:
        """The verdict is an alarm."""
        return self.verdict == "alarm"

    @property
    def detected(self) -> bool:
        """The alarm names the target or its kin."""
        return self.alarm and bool(self.case.right.intersection(self.named))

    @property
    def first_right(self) -> bool:
        """The substance named first is the target."""
        return bool(self.hits) and self.hits[0].substance_id in self.case.right
