"""Uptime that never wraps, and wall time with a stated quality.

Rules of the file
- Uptime orders things; wall time is a label. A jump of the wall clock changes no wait and no order.
- The tick counter of a board wraps; `uptime_ms` must be asked more often than half its period
  (HEARTBEAT_MS does), and then counts on in 53 bits.
- Wall time comes from the gateway's `time` messages. The echo of our uptime tells how long the
  message may be under way: the truth lies within half the round trip of the estimate.
"""

from node import limits
from protocol.messages import TIME_NONE

if False:  # for the type checker: nothing of it is compiled
    from node.typed import TicksDiff, TicksMs, Time


class Clock:
    """One node's clock.

    Args:
        ticks_ms: function, free-running milliseconds, may wrap.
        ticks_diff: function of two ticks, their signed difference, wrap included.
        boot_id: 8 bytes; time messages for another boot are not ours.
    Attributes:
        quality: one of protocol.messages.TIME_*.
        refused_count: time messages that were not used.
        round_trip_ms: of the newest answer of the gateway, None before the first.
    """

    def __init__(self, ticks_ms: "TicksMs", ticks_diff: "TicksDiff", boot_id: bytes) -> None:
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._boot_id = boot_id
        self._last_ticks = ticks_ms()
        self._uptime_ms = 0
        self._offset_ms = 0  # wall time minus uptime
        self._uncertainty_ms = 0
        self._learned_ms = 0
        self.quality = TIME_NONE
        self.refused_count = 0
        self.round_trip_ms: int | None = None

    def uptime_ms(self) -> int:
        """Return milliseconds since the start of this boot."""
        ticks = self._ticks_ms()
        passed_ms = self._ticks_diff(ticks, self._last_ticks)
        if passed_ms > 0:
            self._uptime_ms += passed_ms
        self._last_ticks = ticks
        return self._uptime_ms

    def time_ms(self) -> "int | None":
        """Return Unix time in milliseconds, None while it is not known."""
        if self.quality == TIME_NONE:
            return None
        return self.uptime_ms() + self._offset_ms

    def uncertainty_ms(self) -> int:
        """Return half the width of the interval the truth lies in, grown by the crystal's drift."""
        age_ms = self.uptime_ms() - self._learned_ms
        return self._uncertainty_ms + age_ms * limits.DRIFT_PPM // 1_000_000

    def learn(self, message: "Time") -> bool:
        """Take a `time` message; say whether it set the clock.

        A message with a long round trip is not used while a better one is still better, unless the
        two disagree so much that the gateway's clock was corrected.
        """
        now_ms = self.uptime_ms()
        echo_ms = message.echo_uptime_ms
        if message.boot_id != self._boot_id or message.time_quality == TIME_NONE:
            return self._refuse()
        if echo_ms is None:
            round_trip_ms = limits.ROUND_TRIP_MS_MAX
        else:
            round_trip_ms = now_ms - echo_ms
            if not 0 <= round_trip_ms <= limits.ROUND_TRIP_MS_MAX:
                return self._refuse()
            self.round_trip_ms = round_trip_ms
        offset_ms = message.time_ms + round_trip_ms // 2 - now_ms
        uncertainty_ms = (round_trip_ms + 1) // 2
        if self.quality != TIME_NONE:
            step_ms = abs(offset_ms - self._offset_ms)
            stepped = step_ms > uncertainty_ms + self.uncertainty_ms() + limits.CLOCK_STEP_MS
            if uncertainty_ms > self.uncertainty_ms() and not stepped:
                return self._refuse()
        self._offset_ms = offset_ms
        self._uncertainty_ms = uncertainty_ms
        self._learned_ms = now_ms
        self.quality = message.time_quality
        return True

    def _refuse(self) -> bool:
        self.refused_count += 1
        return False
