"""What changed from one library to another: entries, facts, specimens, moved bands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.spectra.library import Band, Library, Substance
from gateway.spectra.specimen import TEXT_FIELDS, Specimen

SAME_BAND_CM1_MAX = 12.0
"""Two tabulated bands this near are one that moved; grade D windows reach this far."""

SHIFT_CM1_MIN = 0.05
RATIO_MIN = 1.02
"""Smaller changes of height are rounding."""

FACTS = ("cas", "formula", "hs2022", "un_number", "state", "raman_active", "category")


@dataclass(frozen=True, slots=True)
class BandMove:
    """One band of a table that is not what it was; a side is None when it came or went."""

    state: str
    before_cm1: float | None
    after_cm1: float | None
    rel_intensity_before: float | None
    rel_intensity_after: float | None
    grade_before: str
    grade_after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One substance that is in both.

    Attributes:
        substance_id: which.
        facts: field -> (before, after).
        bands: moved, added and removed ones, by position.
        specimens_added: ids.
        specimens_removed: ids.
        specimens_changed: ids; the numbers are the same, what is said of them is not.
    """

    substance_id: str
    facts: dict[str, tuple[str, str]] = field(default_factory=dict)
    bands: tuple[BandMove, ...] = ()
    specimens_added: tuple[str, ...] = ()
    specimens_removed: tuple[str, ...] = ()
    specimens_changed: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (
            self.facts
            or self.bands
            or self.specimens_added
            or self.specimens_removed
            or self.specimens_changed
        )


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two libraries.

    Attributes:
        version: what it is called.
        substances: by id.
        tables: (substance id, state) -> bands, without those of specimens.
        specimens: by id.
    """

    version: str
    substances: Mapping[str, Substance]
    tables: Mapping[tuple[str, str], tuple[Band, ...]]
    specimens: Mapping[str, Specimen]


@dataclass(frozen=True, slots=True)
class Differences:
    """All that differs between two libraries.

    Attributes:
        before, after: what they are called.
        added, removed: ids of substances.
        changed: substances that are in both.
        names: English names of all these, as they are now.
    """

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Change, ...]
    names: dict[str, str]

    @property
    def is_different(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed)


def side_of(library: Library, specimens: Mapping[str, Specimen]) -> Side:
    """A library as a side of a comparison."""
    tables = {
        (entry.substance_id, entry.state): entry.bands
        for entry in library.entries
        if entry.specimen_id is None
    }
    return Side(library.version, library.substances, tables, specimens)


def compare(before: Side, after: Side) -> Differences:
    """Compare two libraries, substance by substance, in the order of their ids."""
    one, other = set(before.substances), set(after.substances)
    added, removed = tuple(sorted(other - one)), tuple(sorted(one - other))
    changes = (_change(key, before, after) for key in sorted(one & other))
    changed = tuple(change for change in changes if not change.is_empty)
    known = {**before.substances, **after.substances}
    told = (*added, *removed, *(change.substance_id for change in changed))
    return Differences(
        before.version,
        after.version,
        added,
        removed,
        changed,
        {key: known[key].name_in("en") for key in told},
    )


def _change(substance_id: str, before: Side, after: Side) -> Change:
    old, new = before.substances[substance_id], after.substances[substance_id]
    facts = {
        name: (getattr(old, name), getattr(new, name))
        for name in FACTS
        if getattr(old, name) != getattr(new, name)
    }
    facts |= {
        f"name_{language}": (old.names[language], new.names[language])
        for language in old.names
        if old.names[language] != new.names[language]
    }
    held, holds = (
        {key: found for key, found in side.specimens.items() if found.substance_id == substance_id}
        for side in (before, after)
    )
    return Change(
        substance_id,
        facts,
        _table_moves(substance_id, before, after),
        tuple(sorted(holds.keys() - held.keys())),
        tuple(sorted(held.keys() - holds.keys())),
        tuple(
            sorted(
                key
                for key in held.keys() & holds.keys()
                if any(getattr(held[key], n) != getattr(holds[key], n) for n in TEXT_FIELDS)
            )
        ),
    )


def _table_moves(substance_id: str, before: Side, after: Side) -> tuple[BandMove, ...]:
    """What moved in the tables of a substance, state by state."""
    states = [key[1] for key in (*before.tables, *after.tables) if key[0] == substance_id]
    moves: list[BandMove] = []
    for state in dict.fromkeys(states):
        old, new = (side.tables.get((substance_id, state), ()) for side in (before, after))
        moves += _band_moves(state, old, new)
    return tuple(moves)


def _band_moves(state: str, before: tuple[Band, ...], after: tuple[Band, ...]) -> list[BandMove]:
    """Pair each band with the nearest free one of the other side, nearest pairs first."""
    pairs = sorted(
        (abs(new.shift_cm1 - old.shift_cm1), i, j)
        for i, old in enumerate(before)
        for j, new in enumerate(after)
        if abs(new.shift_cm1 - old.shift_cm1) <= SAME_BAND_CM1_MAX
    )
    free_old, free_new = set(range(len(before))), set(range(len(after)))
    moves = []
    for _, i, j in pairs:
        if i in free_old and j in free_new:
            free_old.discard(i)
            free_new.discard(j)
            if not _same(before[i], after[j]):
                moves.append(_move(state, before[i], after[j]))
    moves += [_move(state, before[i], None) for i in free_old]
    moves += [_move(state, None, after[j]) for j in free_new]
    return sorted(moves, key=lambda move: move.after_cm1 or move.before_cm1 or 0.0)


def _same(old: Band, new: Band) -> bool:
    heights = sorted((old.rel_intensity, new.rel_intensity))
    return (
        abs(new.shift_cm1 - old.shift_cm1) < SHIFT_CM1_MIN
        and heights[1] < RATIO_MIN * heights[0]
        and old.grade == new.grade
    )


def _move(state: str, old: Band | None, new: Band | None) -> BandMove:
    return BandMove(
        state,
        old.shift_cm1 if old else None,
        new.shift_cm1 if new else None,
        round(old.rel_intensity, 3) if old else None,
        round(new.rel_intensity, 3) if new else None,
        old.grade if old else "",
        new.grade if new else "",
    )
