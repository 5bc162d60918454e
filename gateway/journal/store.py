"""The journal: one writer with natural group commit, readers beside it, and a disk that may fail.

Rules of the file
- One connection writes, in its own thread, and each lane reads with its own: the event loop waits
  for no disk, and nobody who reads waits for the writer or for another lane.
- Everything that arrives during one fsync is the next batch, and a batch is one transaction.
- `synchronous=FULL`: when `write` returns, the bytes are on the disk.
- A batch in which an operation fails is undone as a whole and done again one operation at a time,
  so that a failure is nobody else's. An operation may therefore run twice, and must change nothing
  but the connection that it is given.
- Where the disk is short of room only what is essential is tried. `condition` says how the disk is;
  it is well again with the first transaction that has put something on it.
- A damaged file is set aside, whoever meets the damage. The batch that met it is done again on the
  fresh file, which has what could be read of the old one under the same ids.
- A file that was deleted or exchanged while it is open is put back from the open connection.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import apsw

from gateway.errors import DiskError, JournalError
from gateway.journal import batches, integrity, place
from gateway.journal.batches import REFUSED, UNFOLDED, Tried
from gateway.journal.beginning import Begun, begin
from gateway.journal.condition import Condition, DiskState
from gateway.journal.lanes import LANE_NAMES, Lane, LaneName
from gateway.journal.opening import (
    FILE_NAME,
    SCHEMA_VERSION,
    SCHEMA_VERSION_MIN,
    connect,
    fault,
    is_damage,
    shut,
)
from gateway.journal.postures import save_posture
from gateway.journal.queue import Job, Queue
from gateway.journal.space import Space
from gateway.journal.watch import Tell, Watch

__all__ = [
    "FILE_NAME",
    "SCHEMA_VERSION",
    "SCHEMA_VERSION_MIN",
    "Journal",
    "connect",
    "fault",
]

LOOK_S: Final = 2.0  # between looks at a disk that nobody writes to
MEND_S_MIN: Final = 60.0  # a file that is damaged sooner again lies on a disk that fails

Result = TypeVar("Result")


def _tell_nobody(name: str, text: str) -> None:
    """Leave what happens untold, where nobody listens."""


def wall_ms() -> int:
    """Return the wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Journal:
    """The open journal: `await write(operation)` returns when the operation is on the disk.

    Args:
        path: the database file; created when missing.
        reserve_bytes: of the disk; with less than this free only what is essential is written.
        now_ms: the gateway's wall clock, Unix milliseconds.
        tell: takes a counter's name and a sentence for the technician, on the event loop.
    """

    def __init__(
        self,
        path: Path,
        *,
        reserve_bytes: int = 0,
        now_ms: Callable[[], int] = wall_ms,
        tell: Tell | None = None,
    ) -> None:
        self.path = path
        self.is_unclean = False  # the gateway before did not close it
        self.space = Space(path.parent, reserve_bytes)
        self._now_ms = now_ms
        self._tell: Tell = tell or _tell_nobody
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal-writer")
        self._lanes = {name: Lane(path, name, lambda: self._writing is None) for name in LANE_NAMES}
        self._writing: apsw.Connection | None = None
        # Since when the log of a gateway that was killed is not folded into the file; None: it is.
        self._unfolded_s: float | None = None
        self._is_open = False
        self._queue = Queue()
        self._watch = Watch(path, self.space, now_ms, self._tell)
        self._flight: asyncio.Future[Tried] | None = None
        self._mending: asyncio.Future[None] | None = None
        self._mended_s = -MEND_S_MIN
        self._held: str | None = None  # why readings are refused although there is room
        self._noted: str | None = None  # the condition that the file itself tells of
        self._place = place.Place(None, None)
        self._returning: asyncio.Task[None] | None = None  # the file is being put back

    @property
    def condition(self) -> Condition:
        """How the disk is, as of the last batch."""
        return self._watch.condition

    @property
    def flight(self) -> "asyncio.Future[Tried] | None":
        """The transaction under way; None when there is none."""
        return self._flight

    @property
    def waiting(self) -> int:
        """How many operations wait for the next transactions."""
        return len(self._queue)

    @property
    def takes_readings(self) -> bool:
        """Say whether nothing is known that would have a reading refused."""
        is_well = self.condition.state is DiskState.well
        return is_well and self._held is None and self._unfolded_s is None

    async def open(self) -> None:
        """Open the file and check it; `close` also after a failure.

        On a disk that takes nothing it is open for reading only, which `condition` says, and
        `look` opens it for writing as soon as that works.

        Raises:
            JournalError: the file cannot be used: it is of another version, or not ours to write.
        """
        self._is_open = True
        await self._begin(None)

    async def _begin(self, damage: BaseException | None) -> None:
        """Open the file for writing, or learn why that cannot be."""
        loop = asyncio.get_running_loop()
        work = partial(begin, self.path, self.space, self._now_ms(), damage)
        begun: Begun = await loop.run_in_executor(self._writer, work)
        for text in begun.told:
            self._tell("journal_damaged", text)
        self._writing = begun.connection
        if begun.connection is not None:
            self._place, self._watch.astray = place.Place.opened(self.path), None
        self._unfolded_s = None if begun.is_folded else loop.time()
        self._watch.note(begun.state, begun.error)
        if begun.connection is not None:
            self.is_unclean |= begun.is_unclean
            for lane in self._lanes.values():  # they may look at the file that was there before
                await lane.drop()

    async def close(self) -> None:
        """Write what waits, then close the file. Whoever comes later gets a JournalError."""
        self._is_open = False
        for task in (self._returning, self._mending):
            if task is not None:
                await asyncio.wait([task])
        while self._flight is not None:
            await asyncio.wait([self._flight])
        writing, self._writing = self._writing, None
        # The writer last: the last connection to close folds the write-ahead log into the file.
        for lane in self._lanes.values():
            with contextlib.suppress(RuntimeError):  # closed before
                await lane.drop()
            lane.end()
        if writing is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._writer, batches.end, writing, self.path, self._place)
            self._place.close()
        self._writer.shutdown(wait=False)

    async def write(
        self, operation: Callable[[apsw.Connection], Result], *, essential: bool = True
    ) -> Result:
        """Run `operation` in the next batch; return its result once the batch is on the disk.

        Cancelling the wait does not undo the operation.

        Args:
            operation: gets the connection, in a transaction.
            essential: also while less than the reserve is free. Readings are not: their nodes keep
                them.

        Raises:
            DiskError: the disk takes it not, or not now.
            JournalError: nothing of the operation is in the journal.
            Exception: what `operation` itself raised; nothing of it is in the journal.
        """
        if self._held is not None and not essential:
            raise DiskError(self._held)
        await self._queue.enter()
        if not self._is_open:
            self._queue.leave()
            raise JournalError(f"journal {self.path} is closed; start the gateway again")
        done = self._queue.add(operation, is_essential=essential)
        self._go_on()
        result: Result = await asyncio.shield(done)
        return result

    async def read(
        self, question: Callable[[apsw.Connection], Result], *, lane: LaneName = "judging"
    ) -> Result:
        """Return the answer of `question`, which sees what is committed and must only look.

        Raises:
            JournalError: the file cannot be read.
        """
        for is_last in (False, True):
            if self._mending is not None:
                await asyncio.wait([self._mending])
            if not self._is_open:
                raise JournalError(f"journal {self.path} is closed; start the gateway again")
            try:
                return await self._lanes[lane].ask(question)
            except (apsw.Error, JournalError) as error:
                cause = error if isinstance(error, apsw.Error) else error.__cause__
                # A look at the bare file, without its log, proves nothing.
                is_damaged = cause is not None and is_damage(cause) and self._writing is not None
                if cause is not None and is_damaged and not is_last and self.renew(cause):
                    continue
                if isinstance(error, JournalError):
                    raise
                raise fault(self.path, error) from error
        raise AssertionError

    def hold(self, text: str | None) -> None:
        """Have everything refused that is not essential, for this reason; None: no more."""
        self._held = text

    async def look(self) -> None:
        """Look at the disk: note how it is, and try again what it did not take.

        Raises:
            JournalError: the file that is there now is none of ours.
        """
        if self._mending is not None or not self._is_open:
            return
        if self._writing is None:
            await self._begin(None)
        elif await self._is_back():
            self._mending = asyncio.get_running_loop().create_task(
                self._mend(None), name="journal-reopen"
            )
            await asyncio.wait([self._mending])
        if self._watch.astray is not None:
            self._go_back()
        condition = self.condition
        note = partial(
            save_posture, name="disk", text=condition.text or None, now_ms=self._now_ms()
        )
        with contextlib.suppress(JournalError):
            if not condition.is_writable:  # only what the disk really takes ends that
                await self.write(integrity.note_open)
            if self._noted != condition.text or not condition.is_writable:
                await self.write(note)
                self._noted = condition.text
            else:
                await self.write(lambda _: None)
            if self.condition.state is DiskState.well:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._writer, self.space.keep_ballast)

    async def _is_back(self) -> bool:
        """Say whether a disk that failed for long takes files again, so that ours may be back."""
        if not self._watch.is_due(self._mended_s):
            return False
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, place.takes_files, self.path.parent)

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Look at the disk until cancelled; `beat` is called at every turn.

        Raises:
            JournalError: as `look`.
        """
        while True:
            beat()
            await self.look()
            await asyncio.sleep(LOOK_S)

    # -------------------------------------------------------------------------------------- batches

    def _go_on(self) -> None:
        """Send the next batch to the writer's thread, unless one is there."""
        if self._flight is not None or self._mending is not None:
            return
        if self._writing is None:
            self._queue.refuse(DiskError(self.condition.text))
            return
        batch = self._queue.take()
        if not batch:
            return
        loop = asyncio.get_running_loop()
        unfolded_s = None if self._unfolded_s is None else loop.time() - self._unfolded_s
        jobs = [(job.operation, job.is_essential) for job in batch]
        where = (self.path, self._place)
        work = partial(batches.commit, self._writing, where, self.space, jobs, unfolded_s)
        self._flight = loop.run_in_executor(self._writer, work)
        self._flight.add_done_callback(partial(self._settle, batch))

    def _settle(self, batch: list[Job], flight: "asyncio.Future[Tried]") -> None:
        """Answer for a batch that has ended, and begin the next."""
        self._flight = None
        error = flight.exception()
        if error is None:
            self._answer(batch, flight.result())
        elif is_damage(error) and self.renew(error):
            self._queue.put_back(batch, is_apart=False)
        else:
            self._fail(batch, error)
        self._go_on()

    def _answer(self, batch: list[Job], tried: Tried) -> None:
        """Give the results of a batch that is on the disk."""
        if tried.is_folded:
            self._unfolded_s = None
        if tried.is_astray:
            self._go_back()
        if tried.is_written or self.condition.is_writable:
            self._watch.note(DiskState.tight if tried.is_tight else DiskState.well, None)
        refused = self.condition.text if tried.is_folded else UNFOLDED
        for job, result in zip(batch, tried.results, strict=True):
            if result is REFUSED:
                job.done.set_exception(DiskError(refused))
            else:
                job.done.set_result(result)

    def _fail(self, batch: list[Job], error: BaseException) -> None:
        """Find out whose fault it was, or say that it was the disk's."""
        state = self.space.judge(error, self.path)
        if is_damage(error):  # of a file that is just made
            state = DiskState.failing
        if state is not None:
            if state is not DiskState.full:  # what is open is of no use any more, wherever it lies
                self._watch.astray = None
            self._watch.note(state, error)
        told = fault(self.path, error) if isinstance(error, apsw.Error) else error
        if state is not None:  # readings need no second try: their nodes keep them
            told = DiskError(f"{told}; {self.condition.text}") if is_damage(error) else told
            for job in batch:
                if not job.is_essential:
                    job.done.set_exception(told)
            batch = [job for job in batch if job.is_essential]
        if len(batch) > 1:
            self._queue.put_back(batch, is_apart=True)
        elif batch:
            batch[0].done.set_exception(told)

    # -------------------------------------------------------------------------------------- damage

    def renew(self, damage: BaseException) -> bool:
        """Set the file aside and go on with a fresh one; say whether that is done.

        It is not for a file that is damaged again at once: then the disk fails.

        Args:
            damage: what was found.
        """
        if self._mending is not None:
            return True
        loop = asyncio.get_running_loop()
        if self._writing is not None and self._place.is_left(self.path):
            self._go_back()  # what is damaged may be none of ours
            return False
        if not self._is_open or loop.time() - self._mended_s < MEND_S_MIN:
            return False
        self._mended_s = loop.time()
        self._mending = loop.create_task(self._mend(damage), name="journal-mend")
        return True

    async def _mend(self, damage: BaseException | None) -> None:
        """Open the file anew, a damaged one after it is set aside."""
        try:
            await self._let_go()
            await self._begin(damage)
        except JournalError as error:
            self._watch.note(DiskState.failing, error)
        finally:
            self._mending = None
            self._go_on()

    async def _let_go(self) -> None:
        """Close every connection once nothing is under way."""
        while self._flight is not None:
            await asyncio.wait([self._flight])
        for lane in self._lanes.values():
            await lane.drop()
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.get_running_loop().run_in_executor(self._writer, shut, writing)
            self._place.close()

    def _go_back(self) -> None:
        """Put the file back at its path; batches go on meanwhile, readings wait on their nodes.

        Where what is open is damaged as well, it is set aside.
        """
        if self._watch.astray is None:
            self._watch.astray = place.describe(self.path, None)
        if self._returning is None and self._mending is None and self._writing is not None:
            loop = asyncio.get_running_loop()
            self._returning = loop.create_task(self._return(), name="journal-return")

    async def _return(self) -> None:
        loop, copy, writing = asyncio.get_running_loop(), None, self._writing
        try:
            if writing is None:
                return
            begin_copy = partial(place.Copy, writing, self.path, self._place)
            copy = await loop.run_in_executor(self._writer, begin_copy)
            while not await loop.run_in_executor(self._writer, copy.step):
                if self._mending is not None:
                    return
                await asyncio.sleep(0)
            await self._take_place(copy)
            copy = None
        except (JournalError, apsw.Error, OSError) as error:
            self._watch.astray = place.describe(self.path, error)
            self._watch.note(DiskState.failing, error)
            if is_damage(error) and self._mending is None:
                self._mended_s = loop.time()
                self._mending = loop.create_task(self._mend(error), name="journal-mend")
        finally:
            if copy is not None:
                await loop.run_in_executor(self._writer, copy.drop)
            self._returning = None
            self._go_on()

    async def _take_place(self, copy: place.Copy) -> None:
        """Let the copy take its place, and go on with it."""
        while self._mending is not None:
            await asyncio.wait([self._mending])
        loop = asyncio.get_running_loop()
        self._mending = mending = loop.create_future()
        try:
            while self._flight is not None:
                await asyncio.wait([self._flight])
            folder = await loop.run_in_executor(self._writer, copy.finish)
            await self._let_go()
            self._tell(
                "journal_displaced",
                place.told(self.path, folder, is_overwritten=copy.is_overwritten),
            )
            await self._begin(None)
        finally:
            self._mending = None
            mending.set_result(None)
