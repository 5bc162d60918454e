"""What the computer under the post says of itself, as far as it does.

The service sees no /proc but its own processes, so free memory is asked of the kernel directly.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

SYSTEM: Final = Path("/sys")
SENSORS_MAX: Final = 16  # of a kind that are looked at; a board has a handful
WORD_CHARS_MAX: Final = 40  # of a name or a number


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
    heats = [sensor.celsius for sensor in zones(system)]
    alarms = [is_raised for _, is_raised in undervoltages(system)]
    return Machine(
        free * page if free is not None and page else None,
        physical * page if physical is not None and page else None,
        max(heats) if heats else None,
        any(alarms) if alarms else None,
    )


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor of temperature.

    Attributes:
        name: as the system calls it.
        celsius: now, degree Celsius.
        critical_celsius: where the computer stops; None: it does not say.
    """

    name: str
    celsius: float
    critical_celsius: float | None


def zones(system: Path) -> list[Sensor]:
    """Return the thermal zones of a sysfs: the processor's, on most boards."""
    found = []
    for place in sorted(system.glob("class/thermal/thermal_zone*"))[:SENSORS_MAX]:
        value = _number(place / "temp")
        if value is not None:
            name = _word(place / "type") or place.name
            found.append(Sensor(name, value / 1_000, _critical(place)))
    return found


def monitors(system: Path) -> list[Sensor]:
    """Return the other sensors of temperature of a sysfs: disks, supplies, boards."""
    found = []
    for place in sorted(system.glob("class/hwmon/hwmon*/temp*_input"))[:SENSORS_MAX]:
        value = _number(place)
        limit = _number(place.with_name(place.name.replace("_input", "_crit")))
        if value is not None:
            name = f"{_word(place.parent / 'name')} {place.name.removesuffix('_input')}"
            found.append(Sensor(name, value / 1_000, limit / 1_000 if limit else None))
    return found


def undervoltages(system: Path) -> list[tuple[str, bool]]:
    """Return name and state of each alarm of a sysfs for a supply that is too low."""
    found = []
    for place in sorted(system.glob("class/hwmon/hwmon*/in*_lcrit_alarm"))[:SENSORS_MAX]:
        value = _number(place)
        if value is not None:
            name = f"{_word(place.parent / 'name')} {place.name.partition('_')[0]}"
            found.append((name, value != 0))
    return found


def _critical(zone: Path) -> float | None:
    """Return the critical trip point of a thermal zone in degree Celsius."""
    for place in zone.glob("trip_point_*_type"):
        if _word(place) == "critical":
            value = _number(place.with_name(place.name.replace("_type", "_temp")))
            return value / 1_000 if value and value > 0 else None
    return None


def _sysconf(name: str) -> int | None:
    try:
        value = os.sysconf(name)
    except (ValueError, OSError):  # not on this system
        return None
    return value if value >= 0 else None


def _word(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(WORD_CHARS_MAX).strip()
    except OSError:  # sensors come and go
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_word(path))
    except ValueError:
        return None
