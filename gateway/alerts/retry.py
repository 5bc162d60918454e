"""When an undelivered alert is tried again. Pure; seconds of a clock that never goes back.

Two kinds of failure, because they need opposite answers. When the *link* fails, all alerts wait
together, so that a thousand of them do not knock a thousand times on a dead line. When the
authority answers but will not confirm *one alert*, that one waits and the others go on. An alert
that was never tried goes at once in either case: an alarm is worth one attempt.
"""

DOUBLINGS_MAX = 20  # beyond that any wait has reached its bound


class Schedule:
    """Waits of the link and of single alerts; each doubles from `wait_s_min` up to `wait_s_max`."""

    def __init__(self, wait_s_min: float, wait_s_max: float) -> None:
        self._wait_s_min = wait_s_min
        self._wait_s_max = wait_s_max
        self._link_due_s = 0.0
        self._link_failures = 0
        self._due_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def link_waits(self, now_s: float) -> bool:
        """Say whether only alerts that were never tried may be sent now."""
        return self._link_failures > 0 and now_s < self._link_due_s

    def held(self, now_s: float) -> list[str]:
        """Return the alerts that have to wait on their own account."""
        return [alert_id for alert_id, due_s in self._due_s.items() if now_s < due_s]

    def next_s(self, now_s: float) -> float | None:
        """Return when something that waits now may be sent; None when nothing waits."""
        due_s = [due_s for due_s in self._due_s.values() if now_s < due_s]
        if self.link_waits(now_s):
            due_s.append(self._link_due_s)
        return min(due_s, default=None)

    def link_failed(self, now_s: float, jitter: float) -> float:
        """Note that the authority was not reached or takes nothing; return the wait in seconds.

        Args:
            now_s: the clock now.
            jitter: 0..1, spreads the attempts of many posts.
        """
        wait_s = self._wait_s(self._link_failures, jitter)
        self._link_failures += 1
        self._link_due_s = now_s + wait_s
        return wait_s

    def alert_failed(self, alert_id: str, now_s: float, jitter: float, *, refused: bool) -> float:
        """Note that the authority answered, but did not confirm an alert; return the wait.

        Args:
            alert_id: which alert.
            now_s: the clock now.
            jitter: 0..1.
            refused: it will not take the alert as it is. It is tried again after `wait_s_max`,
                because somebody may mend the other side, and no earlier.
        """
        self._link_failures = 0
        failures = self._failures.get(alert_id, 0)
        self._failures[alert_id] = failures + 1
        wait_s = self._wait_s(DOUBLINGS_MAX if refused else failures, jitter)
        self._due_s[alert_id] = now_s + wait_s
        return wait_s

    def delivered(self, alert_id: str) -> None:
        """Note a receipt: the link works, and the alert is forgotten."""
        self._link_failures = 0
        self._due_s.pop(alert_id, None)
        self._failures.pop(alert_id, None)

    def _wait_s(self, failures: int, jitter: float) -> float:
        wait_s = self._wait_s_min * 2.0 ** min(failures, DOUBLINGS_MAX)
        return min(wait_s, self._wait_s_max) * (0.75 + 0.25 * jitter)
