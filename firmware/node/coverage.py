"""What the gateway's receipts cover of one journal."""

_RANGES_MAX = 32  # twice what one receipt states; the lowest are forgotten, and sent once more


class Coverage:
    """All receipts together: each stays true for ever (SPEC 6.11).

    Attributes:
        seq: every record up to it is covered, or will never come.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._beyond: list[tuple[int, int]] = []  # ranges above seq, ascending, with gaps between

    def take(self, seq: int, beyond: "tuple[int, ...]") -> bool:
        """Take a receipt; False when it says nothing new.

        Args:
            seq: every record up to it.
            beyond: first, last, first, last ... of ranges above `seq`.
        """
        before = (self.seq, self._beyond)
        ranges = self._beyond + [(beyond[i], beyond[i + 1]) for i in range(0, len(beyond), 2)]
        self.seq = max(self.seq, seq)
        merged: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if first <= self.seq + 1:
                self.seq = max(self.seq, last)
            elif merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        self._beyond = merged[-_RANGES_MAX:]
        return before != (self.seq, self._beyond)

    def settle(self, seq: int) -> None:
        """Note that nothing up to `seq` is kept that is not covered."""
        self.take(seq, ())

    def covers(self, seq: int) -> bool:
        """Say whether record `seq` is covered."""
        if seq <= self.seq:
            return True
        for first, last in self._beyond:  # noqa: SIM110 - a generator allocates
            if first <= seq <= last:
                return True
        return False
