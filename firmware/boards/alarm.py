"""The operating system's alarm clock as a watchdog, for the unix board."""

import ffi
import micropython

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Call

_SIGALRM = 14
_DEFAULT = 0

_libc = ffi.open(None)
_alarm = _libc.func("i", "alarm", "i")
_signal = _libc.func("p", "signal", "ip")
_signal_plain = _libc.func("p", "signal", "ii")


class AlarmClock:
    """Ends the program with SIGALRM when nobody feeds it.

    A second before, `hung` is called within whatever runs, if that is Python code at all.

    Args:
        watchdog_s: how long it waits, seconds, at least 1.
        hung: function without arguments.
    """

    def __init__(self, watchdog_s: int, hung: "Call") -> None:
        alarm, signal, schedule = _alarm, _signal_plain, micropython.schedule

        def tell(_: object) -> None:
            hung()

        def bite(_: int) -> None:
            # In a signal handler, so nothing is allocated here; it runs when all is lost anyway.
            signal(_SIGALRM, _DEFAULT)
            alarm(1)
            schedule(tell, 0)

        self._bite = ffi.callback("v", bite, "i", lock=True)
        self._watchdog_s = watchdog_s
        self.feed()

    def feed(self) -> None:
        """Begin the wait anew."""
        _signal(_SIGALRM, self._bite)
        _alarm(self._watchdog_s)
