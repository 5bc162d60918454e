"""A drawing as SVG text, with the few shapes the pictures need.

Why not matplotlib: it neither shapes Arabic letters nor orders right-to-left text, it would triple
the size of the installation, and the gateway needs lines and labels only. The text stays text, so a
browser shapes, orders, searches and reads it aloud.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np

from gateway.spectra.spectrum import FloatArray

SVG = "http://www.w3.org/2000/svg"
FONTS = "'Noto Sans', 'Noto Sans Arabic', 'DejaVu Sans', Arial, sans-serif"

THINNED_PX = 0.12
"""A point nearer than this to the line between its neighbours is not seen."""

RIGHT_TO_LEFT = ("ar",)
ISOLATE_RTL, ISOLATE_END = "\u2067", "\u2069"
"""Unicode marks around right-to-left text; every renderer orders what lies between them by itself,
while the attribute `direction` moves the anchor in some and is ignored by others."""

ISOLATED = re.compile("\u2068[^\u2069]*\u2069")

WRITING_MARKS = "\u2066\u2067\u2068\u2069"
"""Isolates around words of another direction; all other control characters become blanks."""


class Drawing:
    """An SVG picture that grows shape by shape.

    Args:
        width_px: of the view box.
        language: of the text; decides the writing direction.
    """

    def __init__(self, width_px: int, language: str) -> None:
        self.language = language
        self.width_px = width_px
        self._root = ET.Element(
            "svg",
            {
                "xmlns": SVG,
                "width": str(width_px),
                "lang": language,
                "xml:lang": language,
                "role": "img",
                "font-family": FONTS,
            },
        )
        self.rectangle(0, 0, width_px, 0, fill="#ffffff")
        self._ground = self._root[0]

    @property
    def rtl(self) -> bool:
        """Whether the text runs from right to left."""
        return self.language in RIGHT_TO_LEFT

    def describe(self, title: str, description: str) -> None:
        """Title and description for screen readers; they come first in the file."""
        for number, (tag, text) in enumerate((("title", title), ("desc", description))):
            element = ET.Element(tag)
            element.text = printable(text)
            self._root.insert(number, element)

    def rectangle(self, x: float, y: float, width: float, height: float, **style: str) -> None:
        """A rectangle; style keys are SVG attributes with underscores for hyphens."""
        self._add("rect", style, x=x, y=y, width=width, height=height)

    def line(self, x1: float, y1: float, x2: float, y2: float, **style: str) -> None:
        """A straight line."""
        self._add("line", style, x1=x1, y1=y1, x2=x2, y2=y2)

    def curve(self, x: FloatArray, y: FloatArray, **style: str) -> None:
        """A curve through points, shape (n,) each, in pixels; points nobody sees are left out."""
        keep = thinned(x, y)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[keep], y[keep], strict=True))
        self._add("polyline", {"fill": "none", "stroke_linejoin": "round", **style}, points=points)

    def shape(self, points: tuple[tuple[float, float], ...], **style: str) -> None:
        """A closed shape."""
        self._add("polygon", style, points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points))

    def text(self, x: float, y: float, words: str, size: float, **style: str) -> None:
        """Words at a place; `text_anchor` counts from the left in every language."""
        shown = printable(words)
        if self.rtl:
            shown = f"{ISOLATE_RTL}{shown}{ISOLATE_END}"
        self._add("text", style, x=x, y=y, font_size=size).text = shown

    def running(self, y: float, words: str, size: float, margin: float, **style: str) -> float:
        """A paragraph over the whole width from the side where the language begins.

        Returns:
            Height of the next line.
        """
        x, anchor = (self.width_px - margin, "end") if self.rtl else (margin, "start")
        for row in wrapped(words, self.width_px - 2.0 * margin, size):
            self.text(x, y, row, size, text_anchor=anchor, **style)
            y += 1.35 * size
        return y

    def finish(self, height_px: float) -> str:
        """The file's text, with a view box as high as was drawn."""
        height = f"{height_px:.0f}"
        self._ground.set("height", height)
        self._root.set("height", height)
        self._root.set("viewBox", f"0 0 {self.width_px} {height}")
        ET.indent(self._root, " ")
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(
            self._root, encoding="unicode"
        )

    def _add(self, tag: str, style: dict[str, str], **attributes: float | str) -> ET.Element:
        element = ET.SubElement(self._root, tag)
        for key, value in {**attributes, **style}.items():
            shown = value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
            element.set("class" if key == "class_name" else key.replace("_", "-"), shown)
        return element


def thinned(x: FloatArray, y: FloatArray) -> FloatArray:
    """Indices of the points a curve needs: those off the straight line through the kept ones.

    Args:
        x: shape (n,), rising, pixels.
        y: shape (n,), pixels.
    """
    kept = [0]
    last = x.size - 1
    low, high = -np.inf, np.inf
    for at in range(1, x.size):
        # Slopes from the last kept point under which all points since lie near the line.
        run = x[at] - x[kept[-1]]
        rise = y[at] - y[kept[-1]]
        slope = rise / run if run > 0.0 else 0.0
        if not low <= slope <= high and at - 1 > kept[-1]:
            kept.append(at - 1)
            run, rise = x[at] - x[at - 1], y[at] - y[at - 1]
            low, high = -np.inf, np.inf
        if run > 0.0:
            low = max(low, (rise - THINNED_PX) / run)
            high = min(high, (rise + THINNED_PX) / run)
    if kept[-1] != last:
        kept.append(last)
    return np.array(kept)


def wrapped(words: str, width_px: float, size: float) -> list[str]:
    """Lines of about this width; letters are half as wide as high on the average.

    What stands between isolates is kept in one line: a mark whose partner is in the next line would
    turn the rest of its own line round.
    """
    room = max(int(width_px / (0.53 * size)), 8)
    rows: list[str] = []
    row = ""
    whole = ISOLATED.sub(lambda part: part.group().replace(" ", "\u00a0"), printable(words))
    for word in filter(None, whole.split(" ")):
        if row and len(row) + 1 + len(word) > room:
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}" if row else word
    return [*rows, row] if row else rows


def printable(words: str) -> str:
    """Text without the control characters that XML forbids and without other marks nobody sees."""
    return "".join(
        letter if letter.isprintable() or letter in WRITING_MARKS else " " for letter in words
    )
