"""How late an event loop wakes a task that sleeps a millisecond at a time; for MicroPython.

    lateness.py

says `ready`, then a line for each wake-up that was more than LATE_US late, until it is ended: when
(ns since the epoch), how late, and how much of that was its own (both in microseconds). Such a loop
does nothing else, so what it feels is the machine.

A task is late because its own process did not come to it, or because the kernel had no processor
for the process. Of the latter Linux keeps the sum (`/proc/self/schedstat`, the second number);
where there is none, all counts as the loop's own.
"""

import asyncio
import sys
import time

LATE_US = 1_000
SCHEDSTAT = "/proc/self/schedstat"


class Lateness:
    """Watches the loop it runs in.

    Attributes:
        worst_us: the latest wake-up so far.
        own_us: the same without the time in which the kernel had no processor for the process.
    """

    def __init__(self) -> None:
        self.worst_us = self.own_us = 0
        self._file = _open_schedstat()  # type: ignore[no-untyped-call]

    def _waited_us(self) -> int:
        """Return for how long the process has waited for a processor so far."""
        if self._file is None:
            return 0
        self._file.seek(0)
        return int(self._file.read().split()[1]) // 1_000

    async def watch(self, told=None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Keep the worst until cancelled; `told` is called with each that is more than LATE_US."""
        while True:
            waited_us = self._waited_us()
            begun_us = time.ticks_us()  # type: ignore[attr-defined]
            await asyncio.sleep_ms(1)  # type: ignore[attr-defined]
            late_us = time.ticks_diff(time.ticks_us(), begun_us) - 1_000  # type: ignore[attr-defined]
            own_us = max(late_us - (self._waited_us() - waited_us), 0)
            self.worst_us = max(self.worst_us, late_us)
            self.own_us = max(self.own_us, own_us)
            if told is not None and late_us > LATE_US:
                told(time.time_ns(), late_us, own_us)


def _open_schedstat():  # type: ignore[no-untyped-def]  # noqa: ANN202
    try:
        return open(SCHEDSTAT)  # noqa: PTH123 - read at each wake-up
    except OSError:
        return None


def main() -> None:
    """Watch an idle loop."""
    print("ready")
    asyncio.run(Lateness().watch(print))


if __name__ == "__main__" and len(sys.argv) == 1:
    main()
