"""Plots of the figures as SVG: detection against every condition, and the reliability of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.evaluation.figures import FOUND_BY, FOUND_BY_SUBSTANCE, Bin, Rate, Scored, cells

INK, SOFT, THIN, MARK = "#1b1b1b", "#8a8a8a", "#cfcfcf", "#0b6e99"
SIZE_INCH = (6.0, 3.8)
LEVEL_NAMES_MAX = 7
"""More names than this do not fit side by side."""

HASH_SALT = "harmattan"
"""Without it the SVG's ids are random and equal figures give different files."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One plot: which table against what.

    Attributes:
        name: of the file.
        table: title of the rates.
        label: of the horizontal axis.
        title: of the plot.
        ordered: rows are numbers in order, joined by a line; else bars.
    """

    name: str
    table: str
    label: str
    title: str
    ordered: bool = True


CURVES: tuple[Curve, ...] = (
    Curve(
        "signal_to_noise",
        "found, listed, by signal to noise",
        "signal to noise of the strongest band",
        "Listed substances found, pure",
    ),
    Curve(
        "fraction",
        "found, listed, by share of the area",
        "share of the area under the bands",
        "Listed substances found, pure and in mixtures of two",
    ),
    Curve(
        "container",
        "found, listed, by container",
        "container",
        "Listed substances found through a container",
        ordered=False,
    ),
    Curve(
        "fluorescence",
        "found, listed, by fluorescence",
        "background over the strongest band",
        "Listed substances found, all samples",
    ),
    Curve(
        "axis_error",
        "found, listed, by axis error",
        "largest axis error in cm$^{-1}$; 2 is allowed for",
        "Listed substances found, pure",
    ),
    Curve(
        "resolution",
        "found, listed, by line width",
        "line width of the instrument in cm$^{-1}$",
        "Listed substances found, all samples",
    ),
    Curve(
        "degraded",
        "found, degraded, made-up lists",
        "degradation of measured spectra",
        "Measured substances found when listed for the purpose",
        ordered=False,
    ),
)


def draw_all(scored: Scored, folder: Path) -> list[Path]:
    """Write every plot that has figures; returns the files."""
    mpl.use("svg")
    written = []
    with mpl.rc_context({"svg.hashsalt": HASH_SALT, "svg.fonttype": "none", "font.size": 9.0}):
        for curve in CURVES:
            rows = scored.tables.get(curve.table)
            if rows:
                single = scored.tables.get(curve.table.replace(FOUND_BY, FOUND_BY_SUBSTANCE), {})
                figure = _detection(curve, rows, cells(single))
                written.append(_save(figure, folder / f"{curve.name}.svg"))
        if scored.bins:
            written.append(_save(_reliability(scored.bins), folder / "reliability.svg"))
    return written


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def _axes(title: str, label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4")
    axes.set_axisbelow(True)
    return figure, axes


def _detection(curve: Curve, rows: dict[str, Rate], single: dict[str, dict[str, Rate]]) -> Figure:
    """Rates with their intervals, one mark per condition; thin lines are single substances."""
    figure, axes = _axes(curve.title, curve.label)
    entries = [(name, entry) for name, entry in rows.items() if entry.value is not None]
    value = [100.0 * (entry.value or 0.0) for _, entry in entries]
    reach = [
        [max(0.0, v - 100.0 * e.low) for v, (_, e) in zip(value, entries, strict=True)],
        [max(0.0, 100.0 * e.high - v) for v, (_, e) in zip(value, entries, strict=True)],
    ]
    place = list(range(len(entries)))
    if curve.ordered:
        axes.plot(place, value, color=MARK, linewidth=1.5, zorder=2)
        _single_lines(axes, [name for name, _ in entries], single)
    axes.errorbar(place, value, yerr=reach, fmt="o", color=MARK, capsize=3.0, markersize=4.5)
    names = [_number(name) if curve.ordered else name.replace("_", " ") for name, _ in entries]
    axes.set_xticks(place, names)
    if len(names) > LEVEL_NAMES_MAX:
        axes.tick_params(axis="x", labelrotation=60.0)
        for label in axes.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    axes.set_ylim(0.0, 103.0)
    axes.set_ylabel("found, %, with 95 % interval")
    return figure


def _single_lines(axes: Axes, names: list[str], single: dict[str, dict[str, Rate]]) -> None:
    """A thin line for every substance, and the name of the one found least."""
    least: tuple[float, str, float] | None = None
    for substance, row in single.items():
        value = [(row[name].value if name in row else None) for name in names]
        points = [(at, 100.0 * v) for at, v in enumerate(value) if v is not None]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=THIN, linewidth=0.6, zorder=1)
        mean = sum(y for _, y in points) / len(points)
        if least is None or mean < least[0]:
            least = (mean, substance, points[0][1])
    if least is not None:
        axes.annotate(
            least[1].replace("_", " "),
            (0.0, least[2]),
            textcoords="offset points",
            xytext=(6.0, 3.0),
            color=SOFT,
            fontsize=7.5,
        )


def _number(text: str) -> str:
    return f"{float(text):g}"


def _reliability(bins: Sequence[Bin]) -> Figure:
    """Share of right hits against their score; on the line, a score is a probability."""
    figure, axes = _axes("Are scores probabilities?", "score of the hit")
    axes.plot([0.0, 1.0], [0.0, 1.0], color=SOFT, linewidth=1.0)
    score, right = [b.mean_score for b in bins], [b.right_share for b in bins]
    axes.plot(score, right, "o-", color=MARK, markersize=4.5, linewidth=1.0)
    for entry in bins:
        axes.annotate(
            str(entry.count),
            (entry.mean_score, entry.right_share),
            textcoords="offset points",
            xytext=(4.0, -11.0),
            color=SOFT,
        )
    axes.set_xlim(0.0, 1.02)
    axes.set_ylim(0.0, 1.05)
    axes.set_ylabel("share of such hits that are right")
    return figure
