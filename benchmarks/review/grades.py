"""What a comparison says about each grade, as rows of grades.csv.

To be run on an edition *before* it is corrected with the same measurements (`--tables FOLDER`):
afterwards every band agrees, which says nothing about bands nobody has measured yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.review.compare import Comparison, GradeFigure, grade_figures, interval

EARLIER_CHECKED = 158
EARLIER_MISSING = 23
"""An earlier test of bands listed from memory against open measurements: of 158 bands (height 0.2
and more, 27 substances) 135 had a measured band within 4 cm^-1. Counted with grade C."""

PRIOR_BANDS = 10
PRIOR_MISSING_D = 3
D_CHECKED = 1
D_MISSING = 1
"""Grade D: one band lies in a measured range (1090 of glass) and is not there. So little is taken
together with the first edition's guess of 0.30, which counts as ten bands."""

UNMEASURED_FACTOR = 2.0
"""Places of grade D are taken to be twice as uncertain as those of grade C: not measured."""

LN_HEIGHT_D = 0.92
"""... and heights to be within a factor of 2.5 in two cases of three: not measured."""


@dataclass(frozen=True, slots=True)
class GradeRow:
    """Figures of one grade for grades.csv; `checked` 0 when none could be checked."""

    grade: str
    missing_chance: float
    low: float
    high: float
    checked: int
    missing: int
    position_error_cm1: float
    ln_height_spread: float


def grade_rows(comparisons: list[Comparison]) -> list[GradeRow]:
    """Rows A to D from the bands that are independent of what they are compared with.

    Args:
        comparisons: of an edition with measurements it was not corrected with.
    """
    figures = {figure.grade: figure for figure in grade_figures(comparisons, independent=True)}
    a = _measured(figures["A"], 0, 0)
    c = _measured(figures["C"], EARLIER_CHECKED, EARLIER_MISSING)
    # Heights differ between instruments by more than six bands of one grade can show.
    c_height = max(c.ln_height_spread, a.ln_height_spread)
    c = GradeRow(
        "C", c.missing_chance, c.low, c.high, c.checked, c.missing, c.position_error_cm1, c_height
    )
    b = GradeRow(
        "B",
        math.sqrt(a.missing_chance * c.missing_chance),
        a.low,
        c.high,
        0,
        0,
        math.sqrt(a.position_error_cm1 * c.position_error_cm1),
        a.ln_height_spread,
    )
    d = GradeRow(
        "D",
        (D_MISSING + PRIOR_MISSING_D) / (D_CHECKED + PRIOR_BANDS),
        *interval(D_MISSING + PRIOR_MISSING_D, D_CHECKED + PRIOR_BANDS),
        D_CHECKED,
        D_MISSING,
        UNMEASURED_FACTOR * c.position_error_cm1,
        LN_HEIGHT_D,
    )
    return [a, b, c, d]


def _measured(figure: GradeFigure, checked: int, missing: int) -> GradeRow:
    checked, missing = figure.checked + checked, figure.missing + missing
    low, high = interval(missing, checked)
    return GradeRow(
        figure.grade,
        missing / checked if checked else math.nan,
        low,
        high,
        checked,
        missing,
        figure.offset_cm1_rms,
        figure.ln_height_spread,
    )
