"""Whose reading is judged next. Pure.

A node's own readings stay in their order; among the nodes two rules take turns.
- *Fair*: the node that was judged the longest time ago. Nobody is passed over twice by another.
- *Short*: the node with the fewest readings waiting. Whoever measures no faster than it is judged
  is not to wait behind those that work off a backlog, however often it measures.
So a backlog of one node, or of all, delays the reading of a node without one by the judgement that
is under way and at most one more, and nobody's backlog waits for ever.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

NODES_MAX: Final = 2_000  # remembered: the nodes of a post, and as many that were removed from it


class Head(NamedTuple):
    """The first of a node's readings that awaits its verdict.

    Attributes:
        node: whose.
        record_id: of the reading; a later one has a higher number.
        waiting: how many of the node's readings wait.
    """

    node: str
    record_id: int
    waiting: int


class Turns:
    """Remembers in which order the nodes were judged."""

    def __init__(self) -> None:
        self._judged: dict[str, int] = {}  # node: number of its last turn, ascending
        self._number = 0

    def next(self, heads: Iterable[Head]) -> Head | None:
        """Choose among the nodes' next readings, and note the turn.

        Args:
            heads: one of each node that has any.

        Returns:
            The one whose turn it is; None when there is none.
        """
        order = self._short if self._number % 2 else self._fair
        chosen = min(heads, key=order, default=None)
        if chosen is not None:
            self._number += 1
            self._judged.pop(chosen.node, None)
            self._judged[chosen.node] = self._number
            if len(self._judged) > NODES_MAX:
                del self._judged[next(iter(self._judged))]
        return chosen

    def _fair(self, head: Head) -> tuple[int, int]:
        """Return what is the lower the longer ago a node was judged; the fresher one of two."""
        return self._judged.get(head.node, 0), -head.record_id

    def _short(self, head: Head) -> tuple[int, int, int]:
        """Return what is the lower the fewer readings wait."""
        return head.waiting, *self._fair(head)
