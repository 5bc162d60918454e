"""Counting boots that ended badly, so that a node that cannot stay up stays reachable.

Only a reset by the watchdog counts: where power is bad, lost power says nothing about the firmware.
After SAFE_BOOTS of them in a row the node waits SAFE_MS before it starts, long enough to reach it
with a cable. Running HEALTHY_MS clears the count.
"""

import os

from node.segment import append

SAFE_BOOTS = 5
SAFE_MS = 5 * 60 * 1000
RESET_WATCHDOG = 3  # machine.WDT_RESET on esp32 and rp2


def count(path: str, cause: int) -> int:
    """Note a boot and return how many in a row ended by the watchdog.

    Args:
        path: of the file with the count.
        cause: reset cause of this boot.
    """
    before = _read(path)
    bad = before + 1 if cause == RESET_WATCHDOG else 0
    if bad != before:
        append(path + ".new", b"%d" % bad, "wb")
        os.rename(path + ".new", path)
    return bad


def is_unsafe(path: str) -> bool:
    """Say whether the node shall wait before it starts."""
    return _read(path) >= SAFE_BOOTS


def clear(path: str) -> None:
    """Note that the node runs well."""
    if _read(path):
        os.remove(path)


def _read(path: str) -> int:
    """Return the count in the file, 0 when there is none that can be read."""
    try:
        with open(path, "rb") as file:
            return int(file.read(8))
    except (OSError, ValueError):
        return 0
