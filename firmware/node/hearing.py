"""Whether the gateway answers at all: the broker takes everything, also what reaches nobody.

A gateway that does not run, or the certificate of another node, under which the broker drops what
this one says: both look like a link that works. What is to be answered (a birth by a time, a record
by a receipt) and is not for GATEWAY_SILENT_MS is a standing fault.
"""

from node import limits

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Node


class Hearing:
    """What was said to the gateway since it was last heard.

    Args:
        node: what the parts share: journal, signals, clock, uplink, name.
    """

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._asked_ms: int | None = None  # since when an answer is waited for
        self._seqs: set[int] = set()  # records that the broker took meanwhile; a window of them
        self._connect_count = 0

    def published(self, seq: int) -> None:
        """Show that the broker has a record, unless it was receipted meanwhile."""
        if self._node.journal.is_due(seq):
            self._node.signals.show("published", ("seq", seq))
            if len(self._seqs) < limits.UNACKED_MAX:  # it is never more, but when some are evicted
                self._seqs.add(seq)

    def heard(self) -> None:
        """Take note of a word of the gateway: a time, or a receipt of what is under way.

        Another receipt may be an old one, which the broker repeats at each connection.
        """
        self._asked_ms = None
        self._seqs.clear()
        self._node.signals.clear("gateway")

    def follow(self) -> None:
        """Look how long the gateway has been silent; call it once a second."""
        node, count = self._node, self._node.uplink.connect_count
        if count != self._connect_count:  # a birth went, which is to be answered
            self._connect_count, self._asked_ms = count, node.clock.uptime_ms()
            self._seqs.clear()
        elif node.signals.standing("broker"):
            self._asked_ms = None  # nothing is said, so nothing is answered
        elif self._asked_ms is None and self._seqs:
            self._asked_ms = node.clock.uptime_ms()
        if self._asked_ms is None or node.signals.standing("gateway"):
            return
        if node.clock.uptime_ms() - self._asked_ms >= limits.GATEWAY_SILENT_MS:
            node.signals.fault("gateway", self._text())

    def _text(self) -> str:
        minutes = limits.GATEWAY_SILENT_MS // 60_000
        return (
            "no answer for %d min, and the broker has %d records: is the gateway running, does it "
            "have a node %s, and is keys/node.der the certificate of %s?"
            % (minutes, len(self._seqs), self._node.name, self._node.name)
        )
