"""What is asked for, and whether interlock and key stayed closed while it waited and was done.

Rules of the file
- Closing interlock or key lights nothing (hardware/laser_safety.md, manual reset): where they open
  while a measurement waits, or while a dark frame is taken for it, that measurement fails.
- The guard in `laser.py` looks while the laser is on; this one looks while it may come to be on.
"""

import asyncio

from node import limits

if False:  # for the type checker: nothing of it is compiled
    from node.laser import Laser
    from node.typed import Board


class Wish:
    """A measurement that was asked for.

    Attributes:
        inspection_id: the act it belongs to.
        command_id: who asked; None: somebody at the node, or the period.
        role: what for.
        opened: why the laser may not be on for it any more, empty: it may.
    """

    def __init__(self, inspection_id: bytes, command_id: "bytes | None", role: int) -> None:
        self.inspection_id, self.command_id, self.role = inspection_id, command_id, role
        self.opened = ""


class Vigil:
    """A look at interlock and key every LASER_POLL_MS while anything is asked for.

    Args:
        board: tells of them.
        laser: is told what opened.
        wishes: list of what is asked for; whoever owns it adds and takes away.
    """

    def __init__(self, board: "Board", laser: "Laser", wishes: "list[Wish]") -> None:
        self._board = board
        self._laser = laser
        self._wishes = wishes
        self._served: Wish | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look from now on: something is about to be asked for."""
        if self._laser.power_mw and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._look())

    def serve(self, wish: "Wish | None") -> None:
        """Note which wish is being served, None: none is."""
        self._served = wish
        self._laser.opened = wish.opened if wish is not None else ""

    async def _look(self) -> None:
        try:
            while True:  # what asked for it adds it first
                await asyncio.sleep_ms(limits.LASER_POLL_MS)
                if not self._wishes:
                    return
                self._note(self._board.laser_permit())
        finally:
            self._note("its guard failed, which the log tells; measure again")

    def _note(self, why: str) -> None:
        for wish in self._wishes if why else ():
            wish.opened = wish.opened or why
        if self._served is not None:
            self._laser.opened = self._served.opened
