"""How the journal's disk is, followed from one transaction to the next and told when it changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.journal.condition import WRITABLE, Condition, DiskState
from gateway.journal.space import Space, describe

REOPEN_S: Final = 15.0  # of a disk that fails, before the file is opened anew: it may be back

Tell = Callable[[str, str], None]  # a counter's name, a sentence for the technician


class Watch:
    """The condition of the disk under one journal.

    Args:
        path: the database file.
        space: the room on its disk.
        now_ms: the gateway's wall clock, Unix milliseconds.
        tell: takes a counter's name and a sentence for the technician.
    """

    def __init__(self, path: Path, space: Space, now_ms: Callable[[], int], tell: Tell) -> None:
        self.condition = Condition()  # as of the last batch
        self.astray: str | None = None  # that the file is not at its path, and what to do
        self._path = path
        self._space = space
        self._now_ms = now_ms
        self._tell = tell
        self._reader = ""  # whom the condition names
        self._since_s = 0.0  # since when it holds, or was asked for last

    def note(self, state: DiskState, error: BaseException | None) -> None:
        """Note how the disk is; tell it when that has changed.

        Args:
            state: what the last batch, or the last opening, showed.
            error: what it showed it by; None: the batch is on the disk.
        """
        is_full = self.condition.state is DiskState.full
        if self.astray is not None and state in WRITABLE:
            state = DiskState.failing
        if is_full and state is DiskState.tight and self._space.is_full():
            return  # a small write that fits into the last bytes is no room
        text = self.astray or describe(state, self._path, self._space, error)
        reader = self.astray or ("" if state is DiskState.well else self._space.reader)
        if state is not self.condition.state:
            self.condition = Condition(state, self._now_ms(), text)
            self._since_s = asyncio.get_running_loop().time()
        elif reader != self._reader:  # the same for another cause
            self.condition = Condition(state, self.condition.since_ms, text)
        else:
            return
        self._reader = reader
        if state is DiskState.well:
            self._tell("disk_well", f"{self._path} is written again")
        else:
            self._tell("disk_unwell", text)

    def is_due(self, mended_s: float) -> bool:
        """Say whether the disk fails for so long that one may look if it is back; asking counts.

        Args:
            mended_s: when the file was opened anew last, on the loop's clock.
        """
        now_s = asyncio.get_running_loop().time()
        is_unwell = self.condition.state in {DiskState.failing, DiskState.readonly}
        is_long = now_s - max(self._since_s, mended_s) >= REOPEN_S
        if self.astray is not None or not is_unwell or not is_long:
            return False
        self._since_s = now_s
        return True
