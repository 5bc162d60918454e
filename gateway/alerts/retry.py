"""When an undelivered alert is tried again. Pure; seconds of a clock that never goes back."""


class Schedule:
    """Waits per alert: the first is `wait_s_min`, each doubles up to `wait_s_max`.

    An alert that the authority refuses waits `wait_s_max` at once: it is tried again, because
    somebody may mend the other side, but it must not crowd out the others.
    """

    def __init__(self, wait_s_min: float, wait_s_max: float) -> None:
        self._wait_s_min = wait_s_min
        self._wait_s_max = wait_s_max
        self._due_s: dict[str, float] = {}
        self._attempts: dict[str, int] = {}

    def due(self, alert_id: str, now_s: float) -> bool:
        """Say whether an alert may be sent now; one never heard of may."""
        return self._due_s.get(alert_id, now_s) <= now_s

    def failed(self, alert_id: str, now_s: float, *, refused: bool, jitter: float) -> float:
        """Note a failure and return the wait in seconds.

        Args:
            alert_id: which alert.
            now_s: the clock now.
            refused: the authority will not take it as it is.
            jitter: 0..1, spreads the retries of many posts.
        """
        attempts = self._attempts.get(alert_id, 0)
        self._attempts[alert_id] = attempts + 1
        wait_s = self._wait_s_max if refused else self._wait_s_min * 2.0 ** min(attempts, 20)
        wait_s = min(wait_s, self._wait_s_max) * (0.75 + 0.25 * jitter)
        self._due_s[alert_id] = now_s + wait_s
        return wait_s

    def delivered(self, alert_id: str) -> None:
        """Forget an alert."""
        self._due_s.pop(alert_id, None)
        self._attempts.pop(alert_id, None)

    def next_s(self) -> float | None:
        """Return when the next alert that has failed is due, or None."""
        return min(self._due_s.values(), default=None)
