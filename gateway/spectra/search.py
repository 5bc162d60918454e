"""Find the entries of the library that one spectrum needs, one on top of the other.

Entries are accepted one by one, by most evidence in what is still unexplained, following the best
few ways at a time; then each is chosen again, now that the others are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gateway.spectra.bands import MeasuredBands
from gateway.spectra.evidence import (
    HEIGHT_FACTOR,
    BandState,
    Evidence,
    believe,
    free_heights,
    weigh,
)
from gateway.spectra.library import Library
from gateway.spectra.mixture import render, render_heights
from gateway.spectra.prepare import Prepared
from gateway.spectra.scene import AxisBelief, Scene, narrow, see, shortlist
from gateway.spectra.spectrum import FloatArray

MISSING = int(BandState.MISSING)

NATS_MIN = 2.3
"""Evidence to accept a substance: ten to one after counting all looks."""

NATS_MORE_MIN = 2.3
"""The same for each further one. What is named only to explain what a large component leaves over
gets a low score, and the rules ask more of it than of the first."""

COMPONENTS_MAX = 6
"""More components than this cannot be told apart at hand-held resolution."""

SHARE_MIN = 0.03
"""Smallest component over the strongest band; the tables leave out weak bands of this size."""

WAYS_MAX = 3
"""Ways followed at a time, and entries tried next on each."""

WAYS_REFINED_MAX = 2
"""Of the finished ways, those that are refined and compared to the end."""

WAY_NATS = 6.0
"""An entry with so much less evidence than the best is not tried in its place."""

REFINE_ROUNDS = 2
"""Choices settle in one round, the second confirms; each costs one weighing per substance."""

REFINE_GAIN_NATS = 0.5
"""A rival must be this much better to take a place, or two equals would swap for ever."""

SHORTLIST_MAX = 400
"""Entries of a large library that are weighed again and again; the others have fewer bands in their
places than these. More than the shipped tables hold, so that these are always weighed whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """An accepted entry: its light, and what its bands say of the axis (precision, pull)."""

    index: int
    template: FloatArray
    nats: float = 0.0
    axis: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Search:
    """The search in one spectrum; what was weighed is kept, the same question comes again.

    Attributes:
        scene, library: with the shortlist of entries that bands at their places speak for.
        whole_scene, whole_library: with all of them.
    """

    scene: Scene
    library: Library
    whole_scene: Scene
    whole_library: Library
    weighed: dict[frozenset[Accepted], Evidence] = field(default_factory=dict)

    def weigh(self, others: list[Accepted]) -> Evidence:
        """Weigh all entries on top of these accepted ones."""
        key = frozenset(others)
        if key not in self.weighed:
            model = self.total(others)
            self.weighed[key] = weigh(self.scene, model, self.axis(others))
        return self.weighed[key]

    def axis(self, others: list[Accepted]) -> AxisBelief:
        """What these accepted ones say of the axis."""
        return believe(self.scene.axis, tuple(entry.axis for entry in others))

    def total(self, accepted: list[Accepted]) -> FloatArray:
        """Their light, shape (n,)."""
        model = np.zeros_like(self.scene.prepared.grid_cm1)
        for entry in accepted:
            model = model + entry.template
        return model

    def open(self, evidence: Evidence, others: list[Accepted]) -> FloatArray:
        """Nats of the entries that may come on top: no second state of an accepted substance."""
        nats = evidence.nats.copy()
        for entry in others:
            for index in self.library.places[self.library.entries[entry.index].substance_id]:
                nats[index] = -np.inf
        return nats

    def accept(self, evidence: Evidence, index: int, others: list[Accepted]) -> Accepted:
        """Render one entry where it was found."""
        free = free_heights(self.scene, self.total(others))
        told = float(evidence.precision[index]), float(evidence.pull[index])
        light = _template(self.scene, evidence, index, free)
        return Accepted(index, light, float(evidence.nats[index]), told)


def search_in(
    prepared: Prepared, measured: MeasuredBands, library: Library, axis_uncertainty_cm1: float
) -> Search:
    """Open the search in one spectrum."""
    heights = render_heights(library, prepared.resolution_cm1)
    scene = see(prepared, measured, library, axis_uncertainty_cm1, heights)
    if len(library.entries) <= SHORTLIST_MAX:
        return Search(scene, library, scene, library)
    keep = shortlist(scene, SHORTLIST_MAX)
    smaller = library.subset(keep)
    return Search(narrow(scene, keep, smaller.arrays), smaller, scene, library)


def accept(search: Search) -> list[Accepted]:
    """Accept entry after entry until none is worth it, following the best few ways at a time.

    Two substances together can look like a third that is neither; whoever takes only the best one
    at each step never finds them again. A way is as good as the sum of its entries' evidence.
    """
    smallest = SHARE_MIN * float(max(search.scene.prepared.smooth.max(), 0.0))
    ways: list[list[Accepted]] = [[]]
    ended: list[list[Accepted]] = []
    for _ in range(COMPONENTS_MAX):
        longer: dict[frozenset[int], list[Accepted]] = {}
        for way in ways:
            following = _following(search, way, smallest)
            if not following:
                ended.append(way)
            for entry in following:
                longer.setdefault(frozenset(one.index for one in [*way, entry]), [*way, entry])
        ways = sorted(longer.values(), key=_worth, reverse=True)[:WAYS_MAX]
    finished = sorted([*ended, *ways], key=_worth, reverse=True)[:WAYS_REFINED_MAX]
    return max((refine(search, way) for way in finished), key=_worth, default=[])


def _following(search: Search, way: list[Accepted], smallest: float) -> list[Accepted]:
    """The entries worth accepting next: the best and those that come near it."""
    evidence = search.weigh(way)
    nats = search.open(evidence, way)
    nats[evidence.amount < smallest] = -np.inf
    best = float(nats.max(initial=-np.inf))
    if best < (NATS_MORE_MIN if way else NATS_MIN):
        return []
    near = np.flatnonzero(nats >= max(best - WAY_NATS, NATS_MORE_MIN if way else NATS_MIN))
    near = near[np.argsort(-nats[near], kind="stable")]
    return [search.accept(evidence, int(index), way) for index in near[:WAYS_MAX]]


def _worth(way: list[Accepted]) -> float:
    return sum(entry.nats for entry in way)


def _template(scene: Scene, evidence: Evidence, index: int, free: FloatArray) -> FloatArray:
    """Render one entry with its bands moved to where they were found.

    Heights follow the measurement within the factor the tables are uncertain by.
    """
    bands, measured = scene.bands, scene.measured
    rows = scene.rows_of(index)
    expected = evidence.amount[index] * scene.rel_visible[rows]
    match = evidence.match[rows]
    found = match >= 0
    shift = bands.shift_cm1[rows].copy()
    shift[found] = measured.shift_cm1[match[found]]
    height = expected.copy()
    share = scene.rel_visible[rows] / np.maximum(scene.rel_merged[rows], 1e-6)
    seen = np.maximum(free[match[found]] * share[found], expected[found] / HEIGHT_FACTOR)
    height[found] = np.minimum(seen, expected[found] * HEIGHT_FACTOR)
    shown = (height > 0.0) & (evidence.state[rows] != MISSING)
    width = scene.width_cm1[rows]
    return render(scene.prepared.grid_cm1, shift[shown], height[shown], width[shown])


def refine(search: Search, accepted: list[Accepted]) -> list[Accepted]:
    """Let each accepted entry be chosen again, now that the others are known.

    The first choice was made in the whole light: a mixture from the tables may have taken the place
    of its parts, and an amount may contain another substance's band.
    """
    chosen = list(accepted)
    for _ in range(REFINE_ROUNDS if len(accepted) > 1 else 0):
        before = [entry.index for entry in chosen]
        for place in range(len(chosen)):
            others = [entry for number, entry in enumerate(chosen) if number != place]
            evidence = search.weigh(others)
            nats = search.open(evidence, others)
            best = int(np.argmax(nats))
            if nats[best] < nats[chosen[place].index] + REFINE_GAIN_NATS:
                best = chosen[place].index
            chosen[place] = search.accept(evidence, best, others)
        if [entry.index for entry in chosen] == before:
            break
    return chosen
