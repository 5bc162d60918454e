"""Counts of everything refused, repeated, lost or failed; kept in the journal across restarts."""

from collections import Counter


class Counters:
    """Counts by name and node; `take` hands over what is not yet kept.

    Names are what happened, in the past tense: `frame_malformed`, `record_duplicate`.
    """

    def __init__(self) -> None:
        self._fresh: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, node: str = "", amount: int = 1) -> None:
        """Add to one count."""
        self._fresh[name, node] += amount

    def take(self) -> dict[tuple[str, str], int]:
        """Return what was counted since the last call."""
        fresh, self._fresh = dict(self._fresh), Counter()
        return fresh
