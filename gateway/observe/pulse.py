"""Which parts of the post still turn: each beats at every turn of its loop.

A part that waits for work wakes at least every BEAT_S_MAX to beat. Whoever feeds a watchdog asks
which part has been silent for too long.
"""

from collections.abc import Callable

BEAT_S_MAX = 10.0


class Pulse:
    """Remembers when each part beat last.

    Args:
        now_s: a monotonic clock, seconds.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._last_s: dict[str, float] = {}

    def beat(self, part: str) -> None:
        """Note that `part` turns."""
        self._last_s[part] = self._now_s()

    def renew(self, part: str) -> None:
        """Note that `part` waits to be started again; counts only for one that beats by itself."""
        if part in self._last_s:
            self.beat(part)

    def silences(self) -> dict[str, float]:
        """Return how long ago each part beat, in s."""
        return self.silent(-1.0)

    def silent(self, silence_s_max: float) -> dict[str, float]:
        """Return the parts that have not beaten for longer than that, with their silence in s."""
        now_s = self._now_s()
        return {
            part: now_s - last_s
            for part, last_s in self._last_s.items()
            if now_s - last_s > silence_s_max
        }
