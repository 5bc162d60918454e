"""A file that takes the room away, on the real disk and for a moment."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARGIN_BYTES_MAX: Final = 512_000_000  # other programs write meanwhile; more than they do in 20 s
MARGIN_BYTES_MIN: Final = 24_000_000
RESERVE_BYTES_MAX: Final = 10**12  # of the settings


@dataclass(frozen=True, slots=True)
class Plan:
    """How the disk is made to be full.

    Attributes:
        reserve_bytes: of the rehearsal's post: nearly all that is free now.
        ballast_bytes: what is taken away then.
        fault: why it cannot be done; empty when it can.
    """

    reserve_bytes: int = 0
    ballast_bytes: int = 0
    fault: str = ""


def plan(free_bytes: int, real_reserve_bytes: int) -> Plan:
    """Return how to make a disk look full whose real post must not notice.

    Args:
        free_bytes: of the disk now.
        real_reserve_bytes: that the real post needs, twice to be safe.
    """
    if not hasattr(os, "posix_fallocate"):
        return Plan(fault="this system cannot take room away at once")
    spare = free_bytes - 2 * real_reserve_bytes
    margin = min(MARGIN_BYTES_MAX, spare // 4)
    if margin < MARGIN_BYTES_MIN:
        return Plan(fault="too little is free to take some of it away for a moment")
    if free_bytes - margin > RESERVE_BYTES_MAX:
        return Plan(fault="more is free than a reserve can be set to")
    return Plan(free_bytes - margin, 2 * margin)


def free_bytes(folder: Path) -> int:
    """Return what is free on the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Ballast:
    """Takes room on the disk of a folder until `drop`.

    Args:
        folder: where its file lies.
        count_bytes: of the file.
    """

    def __init__(self, folder: Path, count_bytes: int) -> None:
        self._path = folder / "ballast"
        self._count = count_bytes

    def take(self) -> None:
        """Take the room.

        Raises:
            OSError: there is not as much.
        """
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._count)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def drop(self) -> None:
        """Give the room back."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
