"""Interlock, key and the line that feeds the laser, on pins; wiring: hardware/laser_safety.md.

Rules of the file
- What nobody drives is safe: the inputs are pulled up and closed to ground, so a broken wire reads
  as open; the output is pulled down outside, so a board that resets, hangs in reset or has no
  power feeds no laser.
- The line falls by a timer of the chip, too, where this program hangs while it is closed.
"""

import machine

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Log


class Chain:
    """The laser's chain at one board.

    Args:
        pins: of the line, the interlock and the key; None: not wired.
        timer: number of a free timer.
        log: function of one line.
    """

    def __init__(
        self, pins: "tuple[int | None, int | None, int | None]", timer: int, log: "Log"
    ) -> None:
        line, interlock, key = pins
        self._line: machine.Pin | None = None
        if line is not None:  # first of all: a reset came from somewhere
            self._line = machine.Pin(line, machine.Pin.OUT, value=0)
        self._timer_number = timer
        self._timer: machine.Timer | None = None
        self._inputs: list[tuple[str, machine.Pin]] = []
        for number, why in (
            (interlock, "interlock is open; close doors and covers"),
            (key, "laser key is off; turn it on"),
        ):
            if number is not None:
                pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
                self._inputs.append((why, pin))
        self._log: Log | None = log if None in pins else None  # that something is missing

    def permit(self) -> str:
        """Return why the laser may not be on, in plain words; empty: it may."""
        if self._log is not None:
            self._log("laser line, interlock or key is not wired: see hardware/laser_safety.md")
            self._log = None
        for why, pin in self._inputs:
            if pin.value():
                return why
        return ""

    def line(self, on_ms: int) -> None:
        """Close the line for at most `on_ms`; 0: open it."""
        if self._line is None:
            return
        if not on_ms:
            self._line.value(0)
        if self._timer is not None:
            self._timer.deinit()
            self._timer = None
        if on_ms:  # the limit first: what fails then has closed nothing
            self._timer = machine.Timer(self._timer_number)
            self._timer.init(mode=machine.Timer.ONE_SHOT, period=on_ms, callback=self._open)
            self._line.value(1)

    def _open(self, _timer: object) -> None:
        self._line.value(0)  # type: ignore[union-attr]  # wired, or there were no timer
