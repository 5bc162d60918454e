"""The bar on the laser: set by a command, lifted by hand at the node, kept across restarts.

While it is set a fault stands: a node that measures by itself would else just fall silent.

Whoever sets it from afar cannot see who stands before the probe; whoever presses the button can.
"""

import os

from node.segment import append
from node.shelf import exists

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Log, Signals


class LaserBar:
    """A file that is there while the laser must stay off.

    Args:
        path: of the file.
        log: function of one line.
        signals: show the fault.
    Attributes:
        is_set: whether the laser must stay off.
    """

    TEXT = "laser is barred by a command; press the node's button to allow it again"
    FAULT = "barred by order; press the node's button to allow it again"  # health shows 41 of it

    def __init__(self, path: str, log: "Log", signals: "Signals") -> None:
        self._path = path
        self._log = log
        self._signals = signals
        self.is_set = exists(path)

    def tell(self) -> None:
        """Have the fault stand while the laser is barred."""
        if self.is_set:
            self._signals.fault("laser", self.FAULT)

    def set(self) -> None:
        """Bar the laser; where that cannot be kept over a restart it is said."""
        self.is_set = True
        self.tell()
        try:
            append(self._path, b"barred\n", "wb")
        except OSError as error:
            self._log("the laser's bar is forgotten at a restart: %s; check the flash" % error)

    def lift(self) -> bool:
        """Allow the laser again; say whether it was barred."""
        if not self.is_set:
            return False
        self.is_set = False
        self._signals.clear("laser")
        try:
            os.remove(self._path)
        except OSError as error:
            self._log("the laser's bar returns at a restart: %s; check the flash" % error)
        return True
