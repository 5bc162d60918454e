"""What the computer under the post says of itself, as far as it does.

The service sees no /proc but its own processes, so free memory is asked of the kernel directly.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

SYSTEM: Final = Path("/sys")
SENSORS_MAX: Final = 16  # looked at; a board has a handful


class Machine(msgspec.Struct, frozen=True):
    """The computer; None where it does not tell.

    Attributes:
        memory_free_bytes: not in use at all, not even as a cache.
        memory_bytes: all there is.
        temperature_c: of its hottest sensor, degree Celsius.
        undervoltage: its supply is, or was since it started, too low.
    """

    memory_free_bytes: int | None
    memory_bytes: int | None
    temperature_c: float | None
    undervoltage: bool | None


def look(system: Path = SYSTEM) -> Machine:
    """Return what the computer says now.

    Args:
        system: its sysfs.
    """
    page = _sysconf("SC_PAGE_SIZE")
    free, physical = _sysconf("SC_AVPHYS_PAGES"), _sysconf("SC_PHYS_PAGES")
    zones = sorted(system.glob("class/thermal/thermal_zone*/temp"))
    heats = [value for path in zones[:SENSORS_MAX] if (value := _number(path)) is not None]
    inputs = sorted(system.glob("class/hwmon/hwmon*/in*_lcrit_alarm"))
    alarms = [value for path in inputs[:SENSORS_MAX] if (value := _number(path)) is not None]
    return Machine(
        free * page if free is not None and page else None,
        physical * page if physical is not None and page else None,
        max(heats) / 1_000 if heats else None,
        any(alarms) if alarms else None,
    )


def _sysconf(name: str) -> int | None:
    try:
        value = os.sysconf(name)
    except (ValueError, OSError):  # not on this system
        return None
    return value if value >= 0 else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text()[:32])
    except (OSError, ValueError):  # sensors come and go
        return None
