"""Push button and foot switch: contacts that bounce, looked at every POLL_MS. Pure.

Rules of the file
- A contact counts as closed or open when STEADY looks in a row agree: bouncing is shorter.
- One press gives one answer, and none before the contact was seen open: a switch that is stuck, or
  held while the board starts, measures nothing.
- The button tells when it is let go, or when it was held for HOLD_MS: that announces a calibration
  standard. The foot switch tells at once, and holding it means nothing.
"""

POLL_MS = 20
STEADY = 3  # 60 ms outlast the bouncing of a push button
HOLD_MS = 3_000  # longer than anybody presses by accident

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Callable


class Switch:
    """One contact to ground.

    Args:
        level: function that returns the pin's level, 0: closed.
        names: what a short press is called, and a long one; None: it makes no difference.
    """

    def __init__(self, level: "Callable[[], int]", names: "tuple[str, str | None]") -> None:
        self._level = level
        self._short, self._long = names
        self._steady = 0  # looks in a row that differ from what holds
        self._is_closed = True  # until it was seen open
        self._is_told = True
        self._held = 0  # looks since it closed

    def look(self) -> str:
        """Look at the contact; return the press that this look completes, empty: none."""
        self._held += 1
        self._steady = 0 if (self._level() == 0) == self._is_closed else self._steady + 1
        if self._steady == STEADY:
            self._steady = 0
            self._is_closed = not self._is_closed
            if self._is_closed:
                self._is_told, self._held = False, STEADY
                if self._long is None:
                    return self._tell(self._short)
            elif not self._is_told:
                return self._tell(self._short)
        elif self._long is not None and not self._is_told and self._held * POLL_MS >= HOLD_MS:
            return self._tell(self._long)
        return ""

    def _tell(self, name: str) -> str:
        self._is_told = True
        return name
