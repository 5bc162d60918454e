"""What the computer under the post says of itself; Linux tells all of it, others a part."""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.observe.machine import SYSTEM, Sensor, monitors, undervoltages, zones

_STA_UNSYNC: Final = 0x0040  # <linux/timex.h>: nobody disciplines the clock
_TIMEX_BYTES: Final = 512  # more than any kernel's struct timex


class _Timex(ctypes.Structure):
    """The head of Linux' `struct timex`; see adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * _TIMEX_BYTES),
    )


def is_synchronised() -> bool | None:
    """Say whether the kernel's clock is disciplined by a time service; None: it does not tell."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        timex = _Timex()
        if library.adjtimex(ctypes.byref(timex)) < 0:  # modes 0: only reads
            return None
    except (OSError, AttributeError):
        return None
    return not timex.status & _STA_UNSYNC


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the computer is asked.

    Attributes:
        system: its sysfs.
        processes: its procfs.
        synchronised: says whether a time service keeps the clock; None: not known.
        load: the load of 1, 5 and 15 minutes.
    """

    system: Path = SYSTEM
    processes: Path = Path("/proc")
    synchronised: Callable[[], bool | None] = is_synchronised
    load: Callable[[], tuple[float, float, float]] = os.getloadavg

    def memory_bytes(self) -> tuple[int, int] | None:
        """Return how much memory can be had and how much there is; None: not known."""
        found = {}
        try:
            for line in self.processes.joinpath("meminfo").read_text().splitlines():
                name, _, value = line.partition(":")
                found[name] = value.split()
            return (
                int(found["MemAvailable"][0]) * 1_024,
                int(found["MemTotal"][0]) * 1_024,
            )
        except (OSError, KeyError, IndexError, ValueError):
            return None

    def temperatures(self) -> list[Sensor]:
        """Return every sensor of temperature."""
        return [*zones(self.system), *monitors(self.system)]

    def undervoltages(self) -> list[tuple[str, bool]]:
        """Return name and state of each alarm for a supply that is too low."""
        return undervoltages(self.system)

    def has_battery_clock(self) -> bool:
        """Say whether the computer keeps the time while it has no power."""
        return any(self.system.glob("class/rtc/rtc*"))
