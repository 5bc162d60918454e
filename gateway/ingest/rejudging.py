"""Stored readings are judged again when the library or the lists have changed.

Goods that nobody could name yesterday may have a name today, and the lorry may still be in the
yard: the newest readings come first. Live readings come before all of them: the judges ask for one
step here only when nothing waits, and a step is one reading.

Killed anywhere, the next start goes on where the last kept step was. A difference and its alert are
committed in one step, once per run and reading; a reading without difference may be judged twice.
"""

import dataclasses
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gateway import wire
from gateway.alerts import alert as alerts
from gateway.errors import JournalError
from gateway.ingest.knowledge import Knowledge, Known
from gateway.journal import records, rejudgements
from gateway.journal.differences import read_progress
from gateway.journal.records import WANT_CALIBRATION, read_frame
from gateway.journal.rejudgements import Changed, Run, Step, Stored, Told
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.screening.verdict import Verdict

DAYS: Final = 90  # how far back; goods are rarely held or traced for longer
IDS_READ_MAX: Final = 64  # looked at at once: bounds memory, and how long the reader is busy
UNKEPT_MAX: Final = 16  # so many without difference are judged again after a kill; saves the disk

DAY_MS: Final = 86_400_000
FAILED: Final = "judgement_failed"

Settle = Callable[[alerts.Rejudged | None], records.Judgement]


@dataclasses.dataclass(frozen=True, slots=True)
class Fresh:
    """Today's verdict on a stored reading.

    Attributes:
        verdict: the decision.
        text: its sentence in the post's language.
        settle: makes a judgement with its alert of it.
    """

    verdict: Verdict
    text: str
    settle: Settle


Judge = Callable[[records.Pending], Awaitable[Fresh]]


class Rejudging:
    """Goes through the stored readings, one at a time, as often as it is asked.

    Args:
        journal: open.
        knowledge: library and lists in force.
        judge: gives today's verdict on a reading.
        alerted: told when an alert is in the outbox.
        now_ms: the gateway's wall clock, Unix milliseconds.
    """

    def __init__(
        self,
        journal: Journal,
        knowledge: Knowledge,
        *,
        judge: Judge,
        alerted: Callable[[], None],
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
    ) -> None:
        self._journal = journal
        self._knowledge = knowledge
        self._known: Known | None = None  # what the run is made with
        self._judge = judge
        self._alerted = alerted
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="rejudging")
        self._run: Run | None = None
        self._waiting: deque[int] = deque()
        self._below_id = 0
        self._judged = 0  # since the last kept step
        self._failed = 0
        self._old_in_row = 0

    async def step(self) -> bool:
        """Judge one stored reading again, or look for the next; False when none is left.

        Raises:
            JournalError: what was not kept is done again.
        """
        try:
            return await self._step()
        except JournalError:
            self._run = None  # go on from what is kept
            raise

    async def _step(self) -> bool:
        run = await self._current_run()
        if run.is_ended:
            return False
        if not self._waiting:
            return await self._look(run)
        record_id = self._waiting[0]
        stored = await self._journal.read(partial(rejudgements.read_stored, record_id=record_id))
        if stored is not None:
            await self._judge_again(run, stored)
        self._waiting.popleft()
        return True

    async def _current_run(self) -> Run:
        """The run with what is known now; knowledge may have changed since the last step."""
        known = self._knowledge.current
        if self._run is None or known is not self._known:
            self._run = await self._begin(known)
            self._known = known
        return self._run

    async def _begin(self, known: Known) -> Run:
        """Go on with the run of this knowledge, or begin one."""
        now_ms = self._now_ms()
        run = await self._journal.write(
            partial(
                rejudgements.begin_run,
                library_version=known.library.version,
                lists_version=known.lists_version,
                since_ms=now_ms - DAYS * DAY_MS,
                now_ms=now_ms,
                faults=known.faults,
            )
        )
        self._below_id = run.below_id
        self._waiting.clear()
        self._judged = self._failed = self._old_in_row = 0
        self._log.info("library_noted", library=known.library.version, faults=len(known.faults))
        if not run.is_ended:
            self._log.info("rejudging", run=run.run_id, library=known.library.version)
        return run

    async def _look(self, run: Run) -> bool:
        """Find the next readings that are young enough; end the run when there are none."""
        found = await self._journal.read(
            partial(
                rejudgements.read_next,
                below_id=self._below_id,
                count_max=IDS_READ_MAX,
            )
        )
        for record_id, received_ms in found:
            if received_ms >= run.since_ms:
                self._old_in_row = 0
                self._waiting.append(record_id)
            else:
                self._old_in_row += 1
        if not self._waiting and found:
            self._below_id = found[-1][0]
        if found and self._old_in_row < rejudgements.OLD_IN_ROW_MAX:
            return True
        if self._waiting:
            return True
        await self._end(run)
        return False

    async def _end(self, run: Run) -> None:
        step = self._take_step(0)
        await self._journal.write(
            partial(rejudgements.end_run, run_id=run.run_id, step=step, now_ms=self._now_ms())
        )
        self._run = dataclasses.replace(run, below_id=0, is_ended=True)
        progress = await self._journal.read(read_progress)
        if progress is not None:
            self._log.info(
                "rejudged",
                run=run.run_id,
                library=progress.library_version,
                judged=progress.judged,
                changed=progress.changed,
                raised=progress.raised,
                lowered=progress.lowered,
            )

    async def _judge_again(self, run: Run, stored: Stored) -> None:
        """Judge one reading; keep and tell what is different."""
        before = rejudgements.told(stored.explanation)
        reading = read_frame(stored.frame)
        if before is not None and isinstance(reading, wire.Reading):
            if self._is_same_knowledge(run, before):
                await self._keep(run, stored.record_id)
                return
            pending = records.Pending(stored.record_id, stored.node, stored.received_ms, reading)
            fresh = await self._judge(pending)
            self._judged += 1
            self._counters.count("rejudged", stored.node)
            if fresh.verdict.reason_id != FAILED:
                await self._compare(run, stored, before, fresh)
                return
        self._failed += 1
        self._counters.count("rejudged_failed", stored.node)
        await self._keep(run, stored.record_id)

    def _is_same_knowledge(self, run: Run, before: Told) -> bool:
        """Whether the newest verdict was made with the library and the lists in use."""
        return before.library_version == run.library_version and not run.lists_changed

    async def _compare(self, run: Run, stored: Stored, before: Told, fresh: Fresh) -> None:
        changed = self._difference(stored, before, fresh)
        if changed is None:
            await self._keep(run, stored.record_id)
            return
        is_new = await self._journal.write(
            partial(
                rejudgements.save_step,
                run_id=run.run_id,
                step=self._take_step(stored.record_id),
                changed=changed,
            )
        )
        self._tell(stored, before, fresh, changed.judgement.alert_id if is_new else None)

    async def judge_again_now(self, pending: records.Pending) -> Verdict | None:
        """Judge a reading again whose calibration has come; the verdict of the time stays.

        Returns:
            The new verdict where it differs, else None.

        Raises:
            JournalError: it stays pending.
        """
        run = await self._current_run()
        stored = await self._journal.read(
            partial(rejudgements.read_stored, record_id=pending.record_id)
        )
        before = rejudgements.told(stored.explanation) if stored is not None else None
        fresh = await self._judge(pending)
        self._counters.count("rejudged", pending.node)
        changed = None
        if stored is not None and before is not None and fresh.verdict.reason_id != FAILED:
            changed = self._difference(stored, before, fresh)
        calibration = fresh.verdict.calibration
        is_new = await self._journal.write(
            partial(
                rejudgements.save_now,
                run_id=run.run_id,
                record_id=pending.record_id,
                is_calibrated=calibration is not None and calibration.state == "valid",
                changed=changed,
            )
        )
        if stored is not None and before is not None and changed is not None:
            self._tell(stored, before, fresh, changed.judgement.alert_id if is_new else None)
        return fresh.verdict if changed is not None else None

    def _difference(self, stored: Stored, before: Told, fresh: Fresh) -> Changed | None:
        """What is different now; None when nothing is, or only our knowledge of the calibration."""
        verdict = fresh.verdict
        hits = {hit.substance_id for hit in verdict.hits}
        if verdict.verdict == before.verdict and hits == set(before.substance_ids):
            return None
        if stored.is_unrecorded and verdict.reason_id in WANT_CALIBRATION:
            # When it was judged nobody kept calibrations: that none is known says nothing new, a
            # listed substance that nobody named then does.
            named = verdict.parameters.get("substance_ids", ())
            if not set(named if isinstance(named, tuple) else ()) - set(before.substance_ids):
                return None
        is_raised = verdict.verdict == "alarm" != before.verdict
        mark = alerts.Rejudged(before.verdict, before.library_version, self._now_ms())
        judgement = fresh.settle(mark if is_raised else None)
        return Changed(stored.explanation, before.verdict, judgement)

    def _tell(self, stored: Stored, before: Told, fresh: Fresh, new_alert_id: str | None) -> None:
        """Count and log one difference."""
        verdict = fresh.verdict
        hits = [hit.substance_id for hit in verdict.hits]
        self._counters.count("rejudged_changed", stored.node)
        if verdict.verdict == "alarm" != before.verdict:
            self._counters.count("rejudged_raised", stored.node)
        if before.verdict == "alarm" != verdict.verdict:
            self._counters.count("rejudged_lowered", stored.node)
        self._log.warning(
            "verdict_changed",
            node=stored.node,
            record=stored.record_id,
            verdict_before=before.verdict,
            verdict=verdict.verdict,
            reason=verdict.reason_id,
            hits_before=list(before.substance_ids),
            hits=hits,
            library_before=before.library_version,
            library=verdict.library_version,
            text=fresh.text,
        )
        if new_alert_id is not None:
            self._log.warning("alert", alert=new_alert_id, rejudged=True, text=fresh.text)
            self._alerted()

    async def _keep(self, run: Run, record_id: int) -> None:
        """Go past a reading without difference; keep that now and then."""
        self._below_id = record_id
        if self._judged < UNKEPT_MAX:
            return
        step = self._take_step(record_id)
        await self._journal.write(partial(rejudgements.save_step, run_id=run.run_id, step=step))

    def _take_step(self, below_id: int) -> Step:
        """What was done since the last step; counted on from here."""
        step = Step(below_id, self._judged, self._failed)
        self._below_id, self._judged, self._failed = below_id, 0, 0
        return step
