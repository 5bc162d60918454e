"""The inspections that raised an alarm: their records go last when the flash is full."""

import os

from node.segment import append
from node.shelf import NEW_SUFFIX
from protocol.limits import ID_BYTES

ALARMS_MAX = 8  # the newest; an alarm older than eight others has been dealt with


class Alarms:
    """Identities of inspections, kept in a file.

    Args:
        path: of the file.
    Attributes:
        ids: the newest last, at most ALARMS_MAX.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.ids: list[bytes] = []

    def load(self) -> None:
        """Read the file, if there is one; whatever is no identity in it protects nothing."""
        self.ids = []
        try:
            with open(self._path, "rb") as file:
                content = file.read(ALARMS_MAX * ID_BYTES)
        except OSError:
            return
        for at in range(0, len(content) - ID_BYTES + 1, ID_BYTES):
            self.ids.append(content[at : at + ID_BYTES])

    def add(self, inspection_id: bytes) -> None:
        """Add one and save it.

        Raises:
            OSError: the medium fails; it counts until the next start all the same.
        """
        if inspection_id in self.ids:
            return
        self.ids = (self.ids + [bytes(inspection_id)])[-ALARMS_MAX:]
        append(self._path + NEW_SUFFIX, b"".join(self.ids), "wb")
        os.rename(self._path + NEW_SUFFIX, self._path)
