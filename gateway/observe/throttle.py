"""Keeps what repeats from filling the log; clock and timer are arguments.

A fault is told at once, then counted; of a state that changes often the last is always told.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

AGAIN_S = 60.0  # a technician who looks on sees a lasting fault within a minute
SUBJECTS_MAX = 256  # told apart; more come only from somebody who invents names
STATES_S = 60.0
STATES_MAX = 6  # in STATES_S: three outages with their ends; more is one fault that flickers


class Throttle:
    """Says of each fault whether to tell it; seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, name: str, subject: str, now_s: float, count: int = 1) -> int | None:
        """Return how many were kept quiet since the last was told; None: keep this one quiet.

        Args:
            name: of the fault.
            subject: whose fault it is.
            now_s: the clock now.
            count: how often it was since this was asked last.
        """
        told_s, quiet = self._told.get((name, subject), (None, 0))
        if told_s is not None and now_s - told_s < AGAIN_S:
            self._told[name, subject] = (told_s, quiet + count)
            return None
        self._told.pop((name, subject), None)  # so that the order is that of telling
        if len(self._told) >= SUBJECTS_MAX:
            del self._told[next(iter(self._told))]
        self._told[name, subject] = (now_s, count - 1)
        return quiet


class Timer(Protocol):
    """What `later` gives."""

    def cancel(self) -> None:
        """Have it not happen."""


class Flapping:
    """Tells the states of a thing that changes often: at once, but only so many a minute.

    Beyond that the latest waits until there is room, so that what was told last is how it is.

    Args:
        show: takes a state's name, its text and how many were kept quiet since the one before.
        now_s: a clock that never goes back, seconds.
        later: has a function called after so many seconds.
    """

    def __init__(
        self,
        show: Callable[[str, str, int], None],
        now_s: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._show, self._now_s, self._later = show, now_s, later
        self._told_s: deque[float] = deque(maxlen=STATES_MAX)
        self._waiting: tuple[str, str] | None = None
        self._timer: Timer | None = None
        self._quiet = 0

    def tell(self, name: str, text: str) -> None:
        """Tell a state now, or when there is room unless another follows until then."""
        self._quiet += self._waiting is not None
        self._waiting = (name, text)
        if self._timer is not None:
            return
        full = len(self._told_s) == STATES_MAX
        wait_s = self._told_s[0] + STATES_S - self._now_s() if full else 0.0
        if wait_s > 0:
            self._timer = self._later(wait_s, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Tell what waits; nothing is left behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting is None:
            return
        (name, text), quiet = self._waiting, self._quiet
        self._waiting, self._quiet = None, 0
        self._told_s.append(self._now_s())
        self._show(name, text, quiet)
