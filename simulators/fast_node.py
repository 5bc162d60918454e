"""The firmware with its time running faster; for MicroPython: `fast_node.py DIR FACTOR`.

A link that is bad for hours is tried in minutes: every deadline, wait and back-off of the node is
FACTOR times shorter, while sockets and files stay what they are. The node's own code runs as it
is: `time` is replaced before it is imported, and the loop of asyncio is told the same ticks.
"""

import sys
import time as real
from asyncio import core  # type: ignore[attr-defined]  # MicroPython's

FOLDER, FACTOR = sys.argv[1], int(sys.argv[2])
_BEGUN_MS = real.ticks_ms()  # type: ignore[attr-defined]


class Time:
    """Stands for the module `time`; what is not about ticks is the real one's."""

    def __getattr__(self, name: str) -> object:
        """Return what the real module has."""
        return getattr(real, name)

    def ticks_ms(self) -> int:
        """Return milliseconds that pass FACTOR times faster."""
        passed_ms = real.ticks_diff(real.ticks_ms(), _BEGUN_MS)  # type: ignore[attr-defined]
        return int(real.ticks_add(_BEGUN_MS, passed_ms * FACTOR))  # type: ignore[attr-defined]


class Waiting:
    """Stands for asyncio's queue of streams, and waits FACTOR times shorter."""

    def __init__(self, queue: object) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> object:
        """Return what the real queue has."""
        return getattr(self._queue, name)

    def wait_io_event(self, wait_ms: int) -> None:
        """Wait until a stream is ready, or `wait_ms` of the node's time; -1: for ever."""
        real_ms = wait_ms if wait_ms < 0 else (wait_ms + FACTOR - 1) // FACTOR
        self._queue.wait_io_event(real_ms)  # type: ignore[attr-defined]


fast = Time()
sys.modules["time"] = fast  # type: ignore[assignment]
core.ticks = fast.ticks_ms
core._io_queue = Waiting(core._io_queue)  # noqa: SLF001 - nothing public leads there

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/firmware")
import main  # type: ignore[import-not-found]  # noqa: E402 - time comes first

sys.exit(main.start(FOLDER))
