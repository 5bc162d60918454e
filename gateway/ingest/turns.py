"""Whose reading is judged next: the node's that was judged the longest time ago. Pure.

A node's own readings stay in their order. A backlog of one node, or of all, delays the reading of
a node that was quiet by no more than the judgement that is under way.
"""

from collections.abc import Iterable
from typing import Final

NODES_MAX: Final = 2_000  # remembered: the nodes of a post, and as many that were removed from it


class Turns:
    """Remembers in which order the nodes were judged."""

    def __init__(self) -> None:
        self._judged: dict[str, int] = {}  # node: number of its last turn, ascending
        self._number = 0

    def next(self, heads: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
        """Choose among the nodes' next readings, and note the turn.

        Args:
            heads: of each node that has one, the first reading that awaits its verdict.

        Returns:
            The node and its reading; None when there is none.
        """
        chosen = min(heads, key=self._place, default=None)
        if chosen is not None:
            node = chosen[0]
            self._number += 1
            self._judged.pop(node, None)
            self._judged[node] = self._number
            if len(self._judged) > NODES_MAX:
                del self._judged[next(iter(self._judged))]
        return chosen

    def _place(self, head: tuple[str, int]) -> tuple[int, int]:
        """Return what is the lower, the earlier a reading is due.

        After a start no node was judged yet. The newest reading comes first then: somebody may
        stand beside it, the others have waited through an outage.
        """
        node, record_id = head
        return self._judged.get(node, 0), -record_id
