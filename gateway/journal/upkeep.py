"""What the journal needs now and then: room for new readings, and a look whether it is whole.

Both go in small steps between other people's batches and questions.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import apsw

from gateway.errors import DiskError
from gateway.journal import excess, integrity, setting_aside
from gateway.journal.postures import read_postures, save_posture
from gateway.journal.retention import Evicted, Limits, evict
from gateway.journal.store import Journal

STEP_S: Final = 0.02  # between steps: others have the writer for most of the time
IDLE_S: Final = 5.0  # between looks while there is nothing to do
AGED_S: Final = 60.0  # between steps for age only: a clock that is wrong for an hour takes 6,000
TRIMMED_S: Final = 60.0  # between looks for nodes that invent axes or journals
NEVER_DAYS: Final = 1_000_000  # nothing goes for its age
POSTURE: Final = "journal_kept_full"

Count = Callable[[str, str, int], None]
Tell = Callable[[str, str, str], None]  # a counter's name, a node, a sentence for the technician


def _tell_nobody(name: str, node: str, text: str) -> None:
    """Leave what happens untold, where nobody listens."""


class Upkeep:
    """Evicts what has to go, and checks the whole file when that is due.

    Args:
        journal: open.
        limits: by the settings.
        now_ms: the gateway's wall clock, Unix milliseconds.
        count: takes a counter's name, a subject and an amount.
        tell: takes what a node is at fault for.
        beat: called at every turn.
    """

    def __init__(
        self,
        journal: Journal,
        limits: Limits,
        *,
        now_ms: Callable[[], int],
        count: Count,
        tell: Tell = _tell_nobody,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._limits = limits
        self._now_ms = now_ms
        self._count = count
        self._tell_node = tell
        self._beat = beat
        self._aged_s = float("-inf")
        self._swept: dict[int, int] = {}  # how far it was looked for old records
        self._trimmed_s = float("-inf")
        self._is_noted = False  # that only protected records are left
        self._check: _Check | None = None

    async def run(self) -> None:
        """Look after the journal until cancelled.

        Raises:
            JournalError: it cannot be read or written; what was begun goes on next time.
        """
        while True:
            self._beat()
            is_busy = await self.evict()
            is_busy |= await self.trim()
            is_busy |= await self.check()
            await asyncio.sleep(STEP_S if is_busy else IDLE_S)

    async def evict(self) -> bool:
        """Do one step of retention; say whether there is more to do now.

        Raises:
            JournalError: nothing was evicted.
        """
        now_s = asyncio.get_running_loop().time()
        is_for_age = now_s - self._aged_s >= AGED_S
        space = self._journal.space
        is_tight = space.is_tight()
        if is_tight and space.is_blocked:  # to empty something frees nothing then
            return False
        limits = self._limits if is_for_age else Limits(self._limits.bytes_max, NEVER_DAYS)
        try:
            step = await self._journal.write(
                partial(
                    evict,
                    now_ms=self._now_ms(),
                    limits=limits,
                    is_tight=is_tight,
                    swept=self._swept,
                )
            )
        except DiskError:  # it has said so; retention needs room to make room
            return False
        if is_for_age:
            self._aged_s = now_s
            self._swept |= step.swept
            await self._forget_damage()
        for kind, count in step.counts.items():
            self._count("record_evicted", kind, count)
        await self._tell(step)
        return (step.is_over or step.is_short) and not step.is_stuck

    async def trim(self) -> bool:
        """Forget axes and journals of which a node has too many; say whether there are more.

        Raises:
            JournalError: nothing was forgotten.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._trimmed_s < TRIMMED_S:
            return False
        found = await self._journal.read(excess.read_excess, lane="views")
        if found is None:
            self._trimmed_s = now_s
            return False
        try:
            counts = await self._journal.write(partial(excess.forget, excess=found))
        except DiskError:
            return False
        for name, count in counts.items():
            self._count(name, found.node, count)
            if not found.has_more:  # once, after the last of many steps
                self._tell_node(name, found.node, excess.TEXTS[name].format(node=found.node))
        return True

    async def _forget_damage(self) -> None:
        """End the state of a damaged journal once somebody has taken its folder away."""
        if setting_aside.damaged_folders(self._journal.path.parent):
            return
        postures = await self._journal.read(read_postures, lane="views")
        if setting_aside.POSTURE in postures:
            forget = partial(
                save_posture, name=setting_aside.POSTURE, text=None, now_ms=self._now_ms()
            )
            await self._journal.write(forget)

    async def _tell(self, step: Evicted) -> None:
        """Have readings refused while nothing is left that may go for them."""
        text = None
        is_full = step.is_over and step.is_stuck
        if is_full:
            text = (
                "the journal has reached journal.bytes_max and holds only what must not go (alerts"
                " and readings that await their verdict): readings stay on their nodes, alerts"
                " still go out; raise journal.bytes_max, or look why alerts and verdicts wait"
            )
        self._journal.hold(text)
        if is_full != self._is_noted:
            note = partial(save_posture, name=POSTURE, text=text, now_ms=self._now_ms())
            await self._journal.write(note)
            self._is_noted = is_full

    async def check(self) -> bool:
        """Do one step of a full check, if one is due; say whether there is more of it.

        Raises:
            JournalError: the file cannot be read.
        """
        if not self._journal.condition.is_writable:  # a bare file proves nothing
            return False
        if self._check is None:
            checked_ms = await self._journal.read(integrity.read_checked_ms, lane="views")
            age_ms = None if checked_ms is None else abs(self._now_ms() - checked_ms)
            is_due = age_ms is None or age_ms > integrity.CHECK_EVERY_MS
            if not (is_due or self._journal.is_unclean):
                return False
            self._check, self._journal.is_unclean = _Check(), False
        fault, is_done = await self._journal.read(self._check.step, lane="views")
        if fault:
            self._journal.renew(apsw.CorruptError(fault))
            self._check = None
        elif is_done:
            save = partial(integrity.save_checked, found=self._check.found, now_ms=self._now_ms())
            await self._journal.write(save)
            self._check = None
        return self._check is not None


class _Check:
    """A full check under way: where it is, and what it has found."""

    def __init__(self) -> None:
        self.found = integrity.Found()
        self._small = list(integrity.SMALL_TABLES)
        # Of each large table its rows, then the entries of each of its indexes.
        self._large: list[tuple[str, integrity.Index | None]] = [
            (table, index)
            for table, large in integrity.LARGE_TABLES.items()
            for index in (*reversed(large.indexes), None)
        ]
        self._after: integrity.Key | None = None

    def step(self, connection: apsw.Connection) -> tuple[str, bool]:
        """Look at one small table, or at the next rows or index entries of a large one.

        Returns:
            What is damaged, and whether everything has been looked at.
        """
        try:
            if self._small:
                return integrity.check_table(connection, self._small.pop(), is_full=True), False
            if not self._large:
                return "", True
            table, index = self._large[-1]
            if index is None:
                fault, after = integrity.check_rows(connection, table, self._after, self.found)
            else:
                fault, after = integrity.check_entries(connection, table, index, self._after)
        except UnicodeDecodeError as error:
            return f"text that is none: {error}", False
        self._after = after
        if after is None:
            self._large.pop()
        return fault, False
