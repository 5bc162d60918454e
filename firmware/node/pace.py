"""How fast a connection may be fed, learned from what the broker acknowledges. No clock, no socket.

Rules of the file
- A socket takes tens of kilobytes at once, which are minutes of a slow link: pings, receipts and
  resend deadlines would stand behind them. So records follow acknowledgements, not the socket.
- Under way is at most one message more than was acknowledged within RECENT_MS: one at first, two
  where each takes longer than that, and a whole window within a few round trips of a fast link.
- What is under way takes its time at the slowest rate served; only beyond that is silence a fault.
- PUBACK says that the broker has a message. That paces; it frees nothing.
- What is remembered of acknowledgements has its memory from the start: it grows with nothing.
"""

from node import limits

if False:  # for the type checker: nothing of it is compiled
    from node.typed import TicksDiff

_ID, _SIZE = range(2)


class Pace:
    """The messages under way on one connection.

    Args:
        ticks_diff: function of two ticks, their signed difference in milliseconds.
        now_ms: ticks.
    Attributes:
        unacked_bytes: of the messages the broker has not acknowledged.
    """

    def __init__(self, ticks_diff: "TicksDiff", now_ms: int) -> None:
        self._diff = ticks_diff
        self._flight: list[tuple[int, int]] = []  # (packet identifier, bytes), in order
        self._acked_ms = [0] * limits.UNACKED_MAX  # a ring: ticks of the newest acknowledgements
        self._acked_bytes = [0] * limits.UNACKED_MAX  # of each; 0: none, or long ago
        self._next = 0  # the place in the ring that is written next
        self._progress_ms = now_ms
        self.unacked_bytes = 0

    @property
    def unacked_count(self) -> int:
        """Messages the broker has not acknowledged."""
        return len(self._flight)

    def sent(self, packet_id: int, size: int, now_ms: int) -> None:
        """Note that a message of `size` bytes is handed to the socket."""
        if not self._flight:
            self._progress_ms = now_ms
        self._flight.append((packet_id, size))
        self.unacked_bytes += size

    def acknowledged(self, packet_id: int, now_ms: int) -> bool:
        """Note a PUBACK; False when nothing with this identifier is under way."""
        for index, message in enumerate(self._flight):
            if message[_ID] == packet_id:
                self._flight.pop(index)
                self.unacked_bytes -= message[_SIZE]
                self._acked_ms[self._next] = now_ms
                self._acked_bytes[self._next] = message[_SIZE]
                self._next = (self._next + 1) % limits.UNACKED_MAX
                self._progress_ms = now_ms
                return True
        return False

    def has_room(self, now_ms: int) -> bool:
        """Say whether another record may follow what is under way."""
        for index, size in enumerate(self._acked_bytes):
            if size and self._diff(now_ms, self._acked_ms[index]) >= limits.PACE_RECENT_MS:
                self._acked_bytes[index] = 0
        return self.unacked_bytes <= sum(self._acked_bytes)

    def silence_ms_max(self) -> int:
        """Return how long nothing may be heard, milliseconds."""
        return limits.SILENCE_MS_MAX + self.unacked_bytes * limits.SLOW_MS_PER_KB // 1000

    def is_stuck(self, now_ms: int) -> bool:
        """Say whether the broker acknowledges nothing, although it may answer pings."""
        waited_ms = self._diff(now_ms, self._progress_ms)
        return bool(self._flight) and waited_ms >= self.silence_ms_max()
