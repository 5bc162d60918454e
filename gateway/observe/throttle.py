"""Keeps a fault that repeats from filling the log: each is told at once, then counted. Pure."""

AGAIN_S = 60.0  # a technician who looks on sees a lasting fault within a minute
SUBJECTS_MAX = 256  # told apart; more come only from somebody who invents names


class Throttle:
    """Says of each fault whether to tell it; seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, name: str, subject: str, now_s: float) -> int | None:
        """Return how many were kept quiet since the last was told; None: keep this one quiet.

        Args:
            name: of the fault.
            subject: whose fault it is.
            now_s: the clock now.
        """
        told_s, quiet = self._told.get((name, subject), (None, 0))
        if told_s is not None and now_s - told_s < AGAIN_S:
            self._told[name, subject] = (told_s, quiet + 1)
            return None
        self._told.pop((name, subject), None)  # so that the order is that of telling
        if len(self._told) >= SUBJECTS_MAX:
            del self._told[next(iter(self._told))]
        self._told[name, subject] = (now_s, 0)
        return quiet
