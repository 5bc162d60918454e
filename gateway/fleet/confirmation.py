"""Which nodes keep another config than they were sent. No clock: times enter as arguments."""

CONFIRM_MS_MAX = 60_000  # a slow link takes seconds; a node stores and confirms at once


class Confirmations:
    """The newest birth of each node, held against the config that was sent to it."""

    def __init__(self) -> None:
        self._differ_ms: dict[str, int] = {}  # node: since when its births name another version
        self._kept: dict[str, int] = {}  # node: that version
        self._told: dict[str, int] = {}  # node: version sent that was told to be refused

    def born(self, node: str, sent: int, kept: int, now_ms: int) -> None:
        """Take note of a birth.

        Args:
            node: that was born.
            sent: version of the config that it was sent.
            kept: version that is in force there.
            now_ms: Unix milliseconds.
        """
        if kept == sent:
            self._differ_ms.pop(node, None)
            self._told.pop(node, None)
        else:
            self._differ_ms.setdefault(node, now_ms)
        self._kept[node] = kept

    def refused(self, node: str, sent: int, now_ms: int) -> int | None:
        """Return the version that a node keeps although it was sent another one long enough ago.

        It is returned once for each version sent; otherwise, and when all is well, None.
        """
        since_ms = self._differ_ms.get(node)
        if since_ms is None or now_ms - since_ms < CONFIRM_MS_MAX or self._told.get(node) == sent:
            return None
        self._told[node] = sent
        return self._kept[node]
