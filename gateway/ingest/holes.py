"""Records that are missing for long while later ones come. Pure: times enter.

A node sends what is not receipted until it is, so a hole closes within minutes. One that stays is a
record that the node has and cannot read or send; nothing says so but the hole itself.
"""

from dataclasses import dataclass
from typing import Final

LASTING_S: Final = 600.0  # ten of the longest waits before a record is sent again


@dataclass(slots=True)
class Hole:
    """The lowest records that a node's journal lacks here.

    Attributes:
        node: whose.
        journal_id: of its flash.
        seq: the first that is missing.
        count: how many are missing below the newest that came.
        since_s: when it was first seen, by the caller's clock.
        is_told: it has lasted.
    """

    node: str
    journal_id: bytes
    seq: int
    count: int
    since_s: float
    is_told: bool = False

    @property
    def text(self) -> str:
        """Say what is missing and what to do."""
        return (
            f"node {self.node!r}: record {self.seq} is missing for more than"
            f" {LASTING_S / 60:.0f} minutes ({self.count} in all) while later ones come; look at"
            " its fault and its flash with `harmattan command NODE journal`. It stays missing until"
            " the node sends it or gives it up"
        )


class Holes:
    """Remembers of each node how long its lowest hole has been there."""

    def __init__(self) -> None:
        self._holes: dict[str, Hole] = {}

    def note(self, node: str, journal_id: bytes, seq: int, count: int, now_s: float) -> Hole | None:
        """Note up to where a journal is complete, after later records have come.

        Args:
            node: whose.
            journal_id: of its flash.
            seq: every record up to it is here.
            count: how many are missing between it and the newest one here.
            now_s: a clock that never goes back.

        Returns:
            A hole that has now lasted; each is returned once.
        """
        if not count:
            self._holes.pop(node, None)
            return None
        hole = self._holes.get(node)
        if hole is None or (hole.journal_id, hole.seq) != (journal_id, seq + 1):
            self._holes[node] = Hole(node, journal_id, seq + 1, count, now_s)
            return None
        hole.count = count
        if hole.is_told or now_s - hole.since_s < LASTING_S:
            return None
        hole.is_told = True
        return hole

    def states(self) -> dict[str, Hole]:
        """Return the holes that last, by node."""
        return {node: hole for node, hole in self._holes.items() if hole.is_told}
