"""Which measured spectra may tune and which only report: a rule, not a choice.

Rule, in order:

1. A source is an instrument of a collection. A source with spectra of at least `SUBSTANCES_MIN`
   substances is parted by specimen, and all its spectra of one substance are one specimen; a
   smaller source stays whole, because its spectra share one axis error and one response.
2. The unit (source, or source and substance) goes to the side its hash says.

Synthetic goods have no file: their side is the first word of their seed, so that no draw of a
substance's heights, places and widths is on both sides.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

Side = Literal["tuning", "reporting"]
SIDES: tuple[Side, Side] = ("tuning", "reporting")

RULE = "harmattan-split-1"
"""Part of every hash: another rule is another split."""

SUBSTANCES_MIN = 20
"""A source with fewer has too few specimens to be parted."""


def units(rows: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Name the unit of each spectrum.

    Args:
        rows: (file, source, substance) of every spectrum.

    Returns:
        file -> unit.
    """
    listed = list(rows)
    substances: dict[str, set[str]] = defaultdict(set)
    for _, source, substance in listed:
        substances[source].add(substance)
    return {
        file: f"{source}|{substance}" if len(substances[source]) >= SUBSTANCES_MIN else source
        for file, source, substance in listed
    }


def side_of(unit: str) -> Side:
    """The side a unit falls on."""
    return SIDES[hashlib.sha256(f"{RULE}|{unit}".encode()).digest()[0] & 1]


def digest(sides: dict[str, Side]) -> str:
    """Name a split by its rule and what it did with each file, 16 hex digits."""
    text = "\n".join([RULE, *(f"{file} {side}" for file, side in sorted(sides.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def part_of(name: str, parts: int) -> int:
    """Which of `parts` groups a name belongs to, 0 to parts - 1, by its hash."""
    return int.from_bytes(hashlib.sha256(f"{RULE}|{name}".encode()).digest()[:4], "big") % parts


def side_seed(side: Side) -> int:
    """First word of the seed of everything drawn for this side."""
    return SIDES.index(side)
