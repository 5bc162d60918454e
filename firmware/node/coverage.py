"""What the gateway's receipts cover of one journal."""


class Coverage:
    """The newest receipt.

    Attributes:
        seq: every record up to it is covered.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._beyond: tuple[int, ...] = ()

    def take(self, seq: int, beyond: tuple[int, ...]) -> bool:
        """Take a receipt; False when a newer one came before it.

        Args:
            seq: every record up to it.
            beyond: first, last, first, last ... of ranges above `seq`.
        """
        if seq < self.seq:
            return False
        self.seq = seq
        self._beyond = tuple(beyond)
        return True

    def covers(self, seq: int) -> bool:
        """Say whether record `seq` is covered."""
        beyond = self._beyond
        for i in range(0, len(beyond), 2):
            if beyond[i] <= seq <= beyond[i + 1]:
                return True
        return seq <= self.seq
