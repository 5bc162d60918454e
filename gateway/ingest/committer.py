"""From arrivals to the journal: group commit, then receipts. The order of this file matters.

1. Take everything that has arrived; commit it in one operation.
2. Only when it is on the disk: note it in the ledgers, send receipts, answer births and healths.
3. Wake the judges.
4. While they are at work, rest: an alarm is not judged late because there is too much to receipt.
   The nodes keep what waits. Only nodes that speak rarely are served then.
On a disk that takes nothing records are refused: no receipt is sent, so the nodes keep them. Births
and healths are answered all the same, by time, config and the receipts that hold, or nodes would
think that nobody is here; the newest of each node is committed when that works again. Then all
nodes are asked to send again what they keep.
A message that cannot be committed for a reason of its own is refused alone. If the journal fails in
another way, the same batch is tried again later.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import apsw

from gateway import wire
from gateway.errors import DiskError, JournalError
from gateway.fleet.roster import JournalKey, Roster
from gateway.ingest.arrivals import Arrivals
from gateway.ingest.committing import Gap, Outcome, UnkeepableError, commit, touched
from gateway.ingest.holes import Holes
from gateway.ingest.intake import Taken
from gateway.journal.postures import save_posture
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import BEAT_S_MAX
from gateway.settings import NODES_MAX

# 16 ms of work, for which a quiet node waits. 256 gives a tenth more a second, and 38 ms; 64 a
# quarter less, because each batch has a receipt for every node in it.
BATCH_MESSAGES_MAX: Final = 128
# While readings are judged: the rest after a batch, as a multiple of the time that it took. Both
# share one interpreter. Measured on two cores with ten times too much: without a rest the verdict
# on a quiet node's alarm takes 167 ms, and 3,700 readings a second are receipted; with 1: 87 ms and
# 2,900; with 2: 52 ms and 2,000; with 4: 37 ms and 1,350. Without any load it takes 18 ms.
REST_SHARE: Final = 2.0
REST_S_MAX: Final = 0.1  # a slow disk takes time, and leaves the interpreter alone meanwhile
# Between tries on a disk that took nothing; longer each time, so that one with hardly any room does
# not have all nodes send again and again.
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 10.0
UNWRITTEN_MAX: Final = 4 * NODES_MAX  # birth, health and status of every node, and some commands


class Committer:
    """Commits what arrives and answers for it.

    Args:
        journal: open.
        roster: keeps the ledgers and speaks to the nodes.
        arrivals: messages taken in.
        judge_wanted: set when a reading awaits its verdict.
        is_judging: says whether a reading is being judged.
        beat: called at every turn.
        now_s: a clock that never goes back, seconds.
        now_ms: the gateway's wall clock, Unix milliseconds.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins
        self,
        journal: Journal,
        roster: Roster,
        arrivals: Arrivals,
        judge_wanted: asyncio.Event,
        *,
        counters: Counters,
        log: Log,
        is_judging: Callable[[], bool] = lambda: False,
        beat: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._journal = journal
        self._roster = roster
        self._arrivals = arrivals
        self._judge_wanted = judge_wanted
        self._counters = counters
        self._log = log.bind(part="ingest")
        self._is_judging = is_judging
        self._beat = beat
        self._now_s = now_s
        self._now_ms = now_ms
        self._batch: list[Taken] = []
        self._rested_s = 0.0  # when the rest after a batch is over
        # What nodes said of themselves and the disk did not take, the newest of each kind.
        self._unwritten: dict[tuple[str, object], Taken] = {}
        self._is_refusing = False
        self._retry_s = RETRY_S_MIN
        self._try_at_s = 0.0
        self._holes = Holes()
        self._told_holes: str | None = ""  # not what it can be: the last life's word goes first

    async def run(self) -> None:
        """Commit batch after batch until cancelled.

        Raises:
            JournalError: the batch is kept and tried again by the next run.
        """
        while True:
            self._beat()
            if not self._batch:
                await self._gather()
            if self._is_refusing and self._now_s() < self._try_at_s:
                self._refuse()
            elif self._batch or self._unwritten:
                await self._commit_and_rest()
            elif self._is_refusing and self._journal.takes_readings:
                await self._resume()  # somebody else has written since
            await self._tell_holes()

    async def _gather(self) -> None:
        """Take what is the next batch; nothing when nothing has come for long."""
        while (rest_s := self._rested_s - self._now_s()) > 0.0:
            await self._arrivals.wait_rare(rest_s)
            self._batch = self._arrivals.take_rare(BATCH_MESSAGES_MAX)
            if self._batch:
                return
        await self._arrivals.wait(RETRY_S_MIN if self._is_refusing else BEAT_S_MAX)
        self._batch = self._arrivals.take(BATCH_MESSAGES_MAX)

    async def _commit_and_rest(self) -> None:
        """Commit what was taken; after what was not taken during a rest, rest again.

        Raises:
            JournalError: as `_commit_batch`.
        """
        begun_s = self._now_s()
        await self._commit_batch()
        if begun_s >= self._rested_s and self._is_judging():
            now_s = self._now_s()
            self._rested_s = now_s + min(REST_SHARE * (now_s - begun_s), REST_S_MAX)

    async def _commit_batch(self) -> None:
        """Commit what was taken, or refuse it; what cannot be kept alone is left out.

        Raises:
            JournalError: nothing of it is committed.
        """
        while True:
            batch = [*self._unwritten.values(), *self._batch]
            keys = touched(batch)
            known = self._roster.known(keys)
            try:
                outcome = await self._journal.write(
                    partial(commit, batch=batch, keys=keys, known=known), essential=False
                )
            except UnkeepableError as error:
                self._refuse_one(error)
                continue
            except DiskError as error:
                self._begin_refusing(error)
                self._refuse()
                return
            self._batch = []
            self._unwritten.clear()
            self._answer(keys, outcome)
            # A batch that had nothing new wrote nothing, and says nothing of the disk.
            if self._is_refusing and self._journal.takes_readings:
                await self._resume()
            return

    def _refuse_one(self, error: UnkeepableError) -> None:
        """Leave one message out of the batch; it is not receipted."""
        taken, cause = error.taken, error.__cause__
        self._batch = [held for held in self._batch if held is not taken]
        self._unwritten = {key: held for key, held in self._unwritten.items() if held is not taken}
        if isinstance(cause, MemoryError | apsw.NoMemError):
            name, remedy = "message_unaffordable", "end other programs, or give it more memory"
        else:
            name, remedy = "message_failed", "report it"
        self._counters.count(name, taken.node)
        self._log.error(
            name,
            **{"node": taken.node, **_label(taken)},
            text=f"a message of node {taken.node!r} cannot be committed on this computer"
            f" ({type(cause).__name__}: {cause}); its node sends it again. {remedy.capitalize()}",
        )

    def _begin_refusing(self, error: DiskError) -> None:
        """Note that the disk takes nothing; it is told once, until it has been well for a while."""
        now_s = self._now_s()
        if now_s - self._try_at_s > RETRY_S_MAX:
            self._retry_s = RETRY_S_MIN
        if not self._is_refusing and self._retry_s == RETRY_S_MIN:
            self._log.error("readings_refused", text=str(error))
        self._is_refusing = True
        self._try_at_s = now_s + self._retry_s
        self._retry_s = min(2.0 * self._retry_s, RETRY_S_MAX)

    def _refuse(self) -> None:
        """Keep nothing, promise nothing, and answer the nodes all the same."""
        batch, self._batch = self._batch, []
        spoken: dict[JournalKey, None] = {}
        for taken in batch:
            match taken.message:
                case wire.Reading() | wire.Event():
                    self._counters.count("record_deferred", taken.node)
                case wire.Result():
                    self._acknowledge(taken)
                case wire.Birth() | wire.Health() as word:
                    self._roster.greet(taken.node, word, retained=taken.retained)
                    spoken[taken.node, word.journal_id] = None
                    self._hold(taken, type(word))
                case wire.Command() as command:  # each names a standard of its own
                    self._hold(taken, command.command_id)
                case _:
                    self._hold(taken, type(taken.message))
        self._roster.send_receipts(self._roster.at_hand(spoken))

    def _hold(self, taken: Taken, subject: object) -> None:
        """Commit it later; then it says nothing about that moment, like a retained message."""
        self._unwritten.pop((taken.node, subject), None)
        self._unwritten[taken.node, subject] = dataclasses.replace(taken, retained=True)
        if len(self._unwritten) > UNWRITTEN_MAX:
            del self._unwritten[next(iter(self._unwritten))]

    async def _resume(self) -> None:
        """The disk takes readings again: have the nodes send what they kept.

        Raises:
            JournalError: it was for a moment only.
        """
        self._is_refusing = False
        self._log.info("readings_resumed", text="the disk takes readings again")
        await self._roster.resume()

    def _answer(self, keys: list[JournalKey], outcome: Outcome) -> None:
        """Say what is committed, to the nodes and to the log."""
        for key, ledger in outcome.ledgers.items():
            self._roster.adopt(key, ledger)
        for taken in outcome.fresh:
            self._note(taken)
        self._log_committed(outcome.fresh)
        for taken in outcome.repeated:
            self._note(taken)
            self._counters.count("record_repeated", taken.node)
        for taken in outcome.changed:
            self._tell_changed(taken)
        for gap in outcome.gaps:
            self._tell_lost(gap)
        for taken in outcome.presences:
            self._acknowledge(taken)
        self._note_holes(keys)
        self._roster.send_receipts(keys)
        if outcome.is_judge_wanted:
            self._judge_wanted.set()

    def _log_committed(self, fresh: list[Taken]) -> None:
        """Say what is committed, in one line for each node's journal."""
        lines: dict[JournalKey, list[Taken]] = {}
        for taken in fresh:
            if isinstance(taken.message, wire.Reading | wire.Event):
                lines.setdefault((taken.node, taken.message.journal_id), []).append(taken)
        for records_of in lines.values():
            first = records_of[0].message
            self._log.info(
                "record_committed",
                **_label(records_of[-1]),
                first_seq=getattr(first, "seq", 0),
                count=len(records_of),
            )

    def _note_holes(self, keys: list[JournalKey]) -> None:
        """Look for records that are missing for long."""
        now_s = self._now_s()
        for node, journal_id in keys:
            seq, missing = self._roster.missing((node, journal_id))
            hole = self._holes.note(node, journal_id, seq, missing, now_s)
            if hole is not None:
                self._counters.count("record_missing", node, hole.count)
                self._log.warning(
                    "record_missing", node=node, seq=hole.seq, count=hole.count, text=hole.text
                )

    async def _tell_holes(self) -> None:
        """Keep for other processes which records are missing, whenever that changes."""
        told = "\n".join(hole.text for hole in self._holes.states().values()) or None
        if told == self._told_holes:
            return
        save = partial(save_posture, name="record_missing", text=told, now_ms=self._now_ms())
        with contextlib.suppress(JournalError):
            await self._journal.write(save)
            self._told_holes = told

    def _note(self, taken: Taken) -> None:
        """Note a committed record in its ledger."""
        if isinstance(taken.message, wire.Reading | wire.Event):
            self._roster.committed(taken.node, taken.message.journal_id, taken.message.seq)

    def _tell_changed(self, taken: Taken) -> None:
        self._counters.count("record_changed", taken.node)
        self._log.error(
            "record_changed",
            **_label(taken),
            text=f"node {taken.node!r} sent a record again with other bytes; the first ones are"
            " kept: its flash is a restored copy, or its firmware is at fault; format its journal",
        )

    def _tell_lost(self, gap: Gap) -> None:
        node = gap.taken.node
        if gap.is_renewed:
            self._counters.count("record_bygone", node, gap.count)
            self._log.warning(
                "record_bygone",
                node=node,
                count=gap.count,
                text=f"node {node!r} no longer has {gap.count} of the records below"
                f" {gap.oldest_seq}, and this journal, which took the place of a damaged one or is"
                " a backup, has them not: they had been receipted before, the node is not at"
                " fault; look for them in the journal that was there before",
            )
            return
        self._counters.count("record_lost", node, gap.count)
        self._log.error(
            "record_lost",
            node=node,
            count=gap.count,
            text=f"node {node!r} no longer has {gap.count} of the records below {gap.oldest_seq}:"
            " its flash was full or damaged before they got here; look at its health and its link",
        )

    def _warn_refused(self, node: str) -> None:
        versions = self._roster.refused_config(node)
        if versions is not None:
            sent, kept = versions
            self._log.warning(
                "config_refused",
                node=node,
                sent=sent,
                kept=kept,
                text=f"node {node!r} keeps config {kept} although it was sent {sent}: it cannot use"
                " it, or did not hear the gateway under it; look at its fault and its link, then"
                " start the gateway again, which sends it as a new version",
            )

    def _acknowledge(self, taken: Taken) -> None:
        """Answer what a node says of itself."""
        node, retained = taken.node, taken.retained
        match taken.message:
            case wire.Birth() as birth:
                self._roster.born(node, birth, retained=retained)
                self._log.info(
                    "node_born",
                    node=node,
                    instrument=birth.instrument_model,
                    config_version=birth.config_version,
                    retained=retained,
                )
            case wire.Health() as health:
                self._roster.heard(node, health, retained=retained)
                self._warn_refused(node)
                if health.fault:
                    self._log.warning("node_fault", node=node, text=health.fault)
            case wire.Status() as status:
                self._log.info("node_status", node=node, online=status.online, retained=retained)
            case wire.Result() as result:
                self._log.info(
                    "command_result", node=node, outcome=result.outcome, detail=result.detail
                )
            case wire.Command():
                self._log.info("standard_ordered", node=node)
            case _:
                pass


def _label(taken: Taken) -> dict[str, object]:
    """Return how a record is named in the log."""
    record = taken.message
    if not isinstance(record, wire.Reading | wire.Event):
        return {}
    return {
        "node": taken.node,
        "journal": record.journal_id.hex(),
        "seq": record.seq,
        "inspection": record.inspection_id.hex(),
        "form": type(record).__name__.lower(),
    }
