"""The picture of a verdict: spectrum, background, fit, components and labelled bands, as SVG.

Rules of the file
- Nothing is told by colour alone: components differ by dash and letter, bands by the row they are
  named in and the mark on it. The picture must read the same from a black-and-white printer.
- The verdict's own words and numbers are drawn, nothing is computed anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.catalogue import translate
from gateway.screening.account import calibration_line, library_line, quality_line
from gateway.screening.explain import explain, name_of
from gateway.screening.svg import Drawing
from gateway.screening.verdict import Verdict
from gateway.spectra.identification import Trace
from gateway.spectra.library import Library
from gateway.spectra.spectrum import FloatArray

LABELS = {
    "spectrum": "measured spectrum",
    "background": "background",
    "fit": "sum of what was recognised",
    "found": "at their place",
    "missing": "missing",
    "unexplained": "unexplained",
    "axis": "Raman shift in cm-1",
    "whole": "measured light with its background",
    "signal": "the same without background",
    "alarm": "ALARM",
    "inconclusive": "INCONCLUSIVE",
    "clear": "CLEAR",
}
"""Words in the picture -> msgid."""

WIDTH_PX, MARGIN_PX = 1000, 24
LEFT_PX, RIGHT_PX = 132, 976
UPPER_PX, ROW_PX, LOWER_PX = 150, 46, 250
"""Height of the upper panel, of one row of band names, and of the lower panel."""

NAME_PX = 11.5
"""Least distance between the names of two bands in a row."""

COMPONENTS_DRAWN_MAX = 6
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#8a2d7f", "#7a5c00", "#005f73")
DASHES = ("18 3", "9 3", "3 3", "12 3 3 3", "6 2 2 2 2 2", "1 3")
"""Line styles of the components; colours after Okabe and Ito, apart for colour-blind people too."""

BADGES = {
    "alarm": ("#b00020", "#ffffff", "6"),
    "inconclusive": ("#f4c20d", "#000000", "3"),
    "clear": ("#ffffff", "#000000", "1.5"),
}
"""Ground, letters and frame of the verdict's word."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """A coordinate field: data to pixels."""

    low_cm1: float
    high_cm1: float
    bottom: float
    top: float
    least: float
    most: float

    def x(self, shift_cm1: FloatArray | float) -> FloatArray:
        """Pixels of a Raman shift."""
        span = max(self.high_cm1 - self.low_cm1, 1e-9)
        share = (np.asarray(shift_cm1) - self.low_cm1) / span
        return np.asarray(LEFT_PX + (RIGHT_PX - LEFT_PX) * share)

    def y(self, light: FloatArray | float) -> FloatArray:
        """Pixels of an intensity."""
        share = (np.asarray(light) - self.least) / max(self.most - self.least, 1e-300)
        return np.asarray(self.bottom - (self.bottom - self.top) * share)


@dataclass(frozen=True, slots=True)
class _Name:
    """A band to be named: its place, the letter of its component ("" = none)."""

    shift_cm1: float
    letter: str
    colour: str


def draw(verdict: Verdict, trace: Trace, library: Library, language: str, title: str) -> str:
    """Draw one verdict.

    Args:
        verdict: the decision, whose words and bands are shown.
        trace: the curves.
        library: for names.
        language: en, fr, ar or es.
        title: of the measurement, such as its file's name.

    Returns:
        The text of an SVG file, under 300 kB.
    """
    shown = dict(list(trace.components.items())[:COMPONENTS_DRAWN_MAX])
    rows = _rows(verdict, list(shown))
    drawing = Drawing(WIDTH_PX, language)
    sentence = explain(verdict, language, library)
    drawing.describe(title, sentence)
    y = _head(drawing, verdict, sentence, title, language)
    y = _upper(drawing, trace, language, y + 20.0)
    y = _lower(drawing, trace, shown, rows, language, y + 34.0)
    y = _legend(drawing, shown, library, language, y + 44.0)
    for words in (
        quality_line(verdict, language),
        calibration_line(verdict, language, library),
        library_line(verdict, language),
    ):
        y = drawing.running(y, words, 12.0, MARGIN_PX, fill="#333333")
    return drawing.finish(y + 4.0)


def _word(name: str, language: str) -> str:
    return translate(LABELS[name], language)


def _head(drawing: Drawing, verdict: Verdict, sentence: str, title: str, language: str) -> float:
    """The verdict's word in a box, the file's name and the sentence; returns the height below."""
    ground, letters, frame = BADGES[verdict.verdict]
    word = _word(verdict.verdict, language)
    width = 30.0 + 13.0 * len(word)
    left = WIDTH_PX - MARGIN_PX - width if drawing.rtl else MARGIN_PX
    drawing.rectangle(left, 16, width, 34, fill=ground, stroke="#000000", stroke_width=frame)
    middle = left + 0.5 * width
    drawing.text(middle, 40, word, 19, fill=letters, font_weight="bold", text_anchor="middle")
    # A file's name is written in the direction it has, not in that of the language.
    name_at, anchor = (MARGIN_PX, "start") if drawing.rtl else (WIDTH_PX - MARGIN_PX, "end")
    drawing.text(name_at, 38, title[-70:], 12, fill="#333333", text_anchor=anchor)
    return drawing.running(76.0, sentence, 16.0, MARGIN_PX, fill="#000000")


def _axis(drawing: Drawing, panel: _Panel, *, numbered: bool) -> None:
    """Frame and ticks of a panel."""
    drawing.rectangle(
        LEFT_PX,
        panel.top,
        RIGHT_PX - LEFT_PX,
        panel.bottom - panel.top,
        fill="none",
        stroke="#000000",
        stroke_width="0.8",
    )
    span = panel.high_cm1 - panel.low_cm1
    step = next((one for one in (50, 100, 200, 500, 1000) if span / one <= 12.0), 2000)
    for tick in range(int(np.ceil(panel.low_cm1 / step)) * step, int(panel.high_cm1) + 1, step):
        x = float(panel.x(float(tick)))
        drawing.line(x, panel.bottom, x, panel.bottom + 5.0, stroke="#000000")
        if numbered:
            drawing.text(x, panel.bottom + 18.0, str(tick), 12, text_anchor="middle")


def _limits(*curves: FloatArray) -> tuple[float, float]:
    """Lowest and highest value of some curves, with a little room."""
    low = min(float(curve.min()) for curve in curves)
    high = max(float(curve.max()) for curve in curves)
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _upper(drawing: Drawing, trace: Trace, language: str, top: float) -> float:
    """What was measured, its background, and the fit on it; returns the height below."""
    whole = trace.background + trace.fit
    least, most = _limits(trace.intensity, whole)
    panel = _Panel(
        float(trace.axis_cm1[0]),
        float(trace.axis_cm1[-1]),
        top + UPPER_PX,
        top,
        least,
        most,
    )
    _axis(drawing, panel, numbered=False)
    drawing.text(LEFT_PX + 6.0, top - 5.0, _word("whole", language), 12, fill="#333333")
    x = panel.x(trace.axis_cm1)
    drawing.curve(x, panel.y(trace.intensity), stroke="#000000", stroke_width="1", id="spectrum")
    drawing.curve(
        x,
        panel.y(trace.background),
        stroke="#555555",
        stroke_width="1.6",
        stroke_dasharray="7 4",
        id="background",
    )
    return panel.bottom


def _lower(
    drawing: Drawing,
    trace: Trace,
    shown: dict[str, FloatArray],
    rows: dict[str, list[_Name]],
    language: str,
    top: float,
) -> float:
    """The light without background, fit and components, and above it the named bands."""
    signal = trace.intensity - trace.background
    least, most = _limits(signal, trace.fit, *shown.values())
    field_top = top + len(rows) * ROW_PX
    panel = _Panel(
        float(trace.axis_cm1[0]),
        float(trace.axis_cm1[-1]),
        field_top + LOWER_PX,
        field_top,
        least,
        most,
    )
    drawing.text(LEFT_PX + 6.0, top - 5.0, _word("signal", language), 12, fill="#333333")
    for number, (kind, names) in enumerate(rows.items()):
        _name_row(drawing, panel, trace, kind, names, top + number * ROW_PX, language)
    _axis(drawing, panel, numbered=True)
    x = panel.x(trace.axis_cm1)
    if shown:
        drawing.curve(
            x, panel.y(trace.fit), stroke="#9a9a9a", stroke_width="4", opacity="0.6", id="fit"
        )
    drawing.curve(x, panel.y(signal), stroke="#000000", stroke_width="1", id="signal")
    for number, (name, light) in enumerate(shown.items()):
        dash = {"stroke_dasharray": DASHES[number]} if DASHES[number] else {}
        drawing.curve(
            x,
            panel.y(light),
            stroke=COLOURS[number],
            stroke_width="1.8",
            id=f"component-{name}",
            **dash,
        )
    middle = 0.5 * (LEFT_PX + RIGHT_PX)
    drawing.text(middle, panel.bottom + 36.0, _word("axis", language), 12, text_anchor="middle")
    return panel.bottom


def _rows(verdict: Verdict, shown: list[str]) -> dict[str, list[_Name]]:
    """Bands to name by kind, in the order of the rows."""
    rows: dict[str, list[_Name]] = {"found": [], "missing": [], "unexplained": []}
    for hit in verdict.hits:
        known = hit.substance_id in shown
        place = shown.index(hit.substance_id) if known else 0
        letter, colour = (_letter(place), COLOURS[place]) if known else ("", "#000000")
        for band in hit.bands:
            if band.state in ("found", "missing"):
                shift = band.shift_cm1 if band.measured_cm1 is None else band.measured_cm1
                rows[band.state].append(_Name(shift, letter, colour))
    rows["unexplained"] = [_Name(shift, "", "#000000") for shift in verdict.unexplained_cm1]
    return rows


def _letter(place: int) -> str:
    return "ABCDEF"[place]


def _name_row(
    drawing: Drawing,
    panel: _Panel,
    trace: Trace,
    kind: str,
    names: list[_Name],
    top: float,
    language: str,
) -> None:
    """One row of band names with their marks and leaders down to the bands."""
    bottom = top + ROW_PX
    drawing.line(LEFT_PX, bottom, RIGHT_PX, bottom, stroke="#cccccc", stroke_width="0.6")
    drawing.text(LEFT_PX - 22.0, top + 28.0, _word(kind, language), 12, text_anchor="end")
    _mark(drawing, kind, LEFT_PX - 12.0, top + 24.0, "#000000")
    signal = trace.intensity - trace.background
    inside = [one for one in names if panel.low_cm1 <= one.shift_cm1 <= panel.high_cm1]
    inside.sort(key=lambda one: one.shift_cm1)
    places = _apart([float(panel.x(one.shift_cm1)) for one in inside])
    for name, x in zip(inside, places, strict=False):
        band_x = float(panel.x(name.shift_cm1))
        crest = float(panel.y(np.interp(name.shift_cm1, trace.axis_cm1, signal)))
        dash = {"found": "", "missing": "2 3", "unexplained": "5 3"}[kind]
        style = {"stroke": name.colour, "stroke_width": "0.7", "opacity": "0.75"}
        if dash:
            style["stroke_dasharray"] = dash
        drawing.line(x, bottom - 2.0, band_x, panel.top, **style)
        drawing.line(band_x, panel.top, band_x, max(crest - 4.0, panel.top), **style)
        _mark(drawing, kind, band_x, max(crest - 7.0, panel.top + 6.0), name.colour)
        words = f"{name.shift_cm1:.0f}{name.letter}"
        drawing.text(
            x + 3.5,
            bottom - 5.0,
            words,
            10.5,
            transform=f"rotate(-90 {x + 3.5:.1f} {bottom - 5.0:.1f})",
            fill=name.colour,
            class_name=f"band {kind}",
        )


def _apart(places: list[float]) -> list[float]:
    """Rising places moved just so far that their names do not touch, inside the field."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + NAME_PX) if moved else place)
    # What ran over the right end is pushed back from there.
    limit = RIGHT_PX - 4.0
    for at in range(len(moved) - 1, -1, -1):
        moved[at] = min(moved[at], limit)
        limit = moved[at] - NAME_PX
    return [place for place in moved if place >= LEFT_PX - 4.0]


def _mark(drawing: Drawing, kind: str, x: float, y: float, colour: str) -> None:
    """The mark of a kind: full triangle at its place, cross missing, open diamond unexplained."""
    if kind == "found":
        points = ((x - 4.0, y - 4.0), (x + 4.0, y - 4.0), (x, y + 4.0))
        drawing.shape(points, fill=colour, class_name="mark found")
    elif kind == "missing":
        drawing.line(x - 4, y - 4, x + 4, y + 4, stroke=colour, stroke_width="1.6")
        drawing.line(x - 4, y + 4, x + 4, y - 4, stroke=colour, stroke_width="1.6")
    else:
        corners = ((x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y))
        drawing.shape(corners, fill="#ffffff", stroke=colour, class_name="mark unexplained")


def _legend(
    drawing: Drawing, shown: dict[str, FloatArray], library: Library, language: str, top: float
) -> float:
    """Which line is what; returns the height below."""
    entries: list[tuple[str, dict[str, str]]] = [
        (_word("spectrum", language), {"stroke": "#000000", "stroke_width": "1"}),
        (
            _word("background", language),
            {"stroke": "#555555", "stroke_width": "1.6", "stroke_dasharray": "7 4"},
        ),
    ]
    if shown:
        fit = {"stroke": "#9a9a9a", "stroke_width": "4", "opacity": "0.6"}
        entries.append((_word("fit", language), fit))
    for number, name in enumerate(shown):
        style = {"stroke": COLOURS[number], "stroke_width": "1.8"}
        if DASHES[number]:
            style["stroke_dasharray"] = DASHES[number]
        entries.append((f"{_letter(number)}: {name_of(name, language, library)}", style))
    x, y = float(MARGIN_PX), top + 16.0
    for words, style in entries:
        width = 62.0 + 7.0 * len(words)
        if x + width > WIDTH_PX - MARGIN_PX and x > MARGIN_PX:
            x, y = float(MARGIN_PX), y + 20.0
        drawing.line(x, y - 4.0, x + 38.0, y - 4.0, **style)
        drawing.text(x + 44.0, y, words, 12)
        x += width
    return y + 26.0
