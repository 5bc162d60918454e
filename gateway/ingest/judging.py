"""From committed readings to verdicts and alerts.

A verdict and its alert are committed in one step, and the alert's identity is the reading's: killed
anywhere, the post judges again and alerts once.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import apsw
import msgspec

from gateway import wire
from gateway.alerts import alert as alerts
from gateway.errors import JournalError
from gateway.fleet.roster import Roster
from gateway.ingest.cases import (
    Case,
    evaluate,
    evaluate_response,
    evaluate_standard,
    failed,
    gather,
)
from gateway.ingest.glass import is_glass
from gateway.ingest.knowledge import Knowledge, Known
from gateway.ingest.rejudging import DAY_MS, Fresh, Rejudging
from gateway.ingest.turns import Head, Turns
from gateway.journal import calibrations, heads, records, responses
from gateway.journal.dating import Moment
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import BEAT_S_MAX
from gateway.screening.explain import explain
from gateway.screening.judge import Verdict, unjudged
from gateway.settings import LANGUAGES, Settings, SpectraSettings
from gateway.spectra.calibrate import Calibration
from gateway.spectra.library import Library
from protocol import limits, messages

Result = TypeVar("Result")

OUTCOMES = {
    "clear": messages.VERDICT_CLEAR,
    "inconclusive": messages.VERDICT_INCONCLUSIVE,
    "alarm": messages.VERDICT_ALARM,
}

# Reasons that mean a fault of node or instrument, and what they are counted as.
UNUSABLE = {
    "no_axis": "axis_unknown",
    "bad_axis": "axis_refused",
    "wrong_pixel_count": "pixels_refused",
    "bad_reading": "reading_refused",
    "judgement_failed": "judgement_failed",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, its sentence in every language, and when its reading was measured."""

    verdict: Verdict
    sentences: dict[str, str]
    moment: Moment | None = None


class Attempt(Protocol):
    """Gives None instead of what the evaluation raises, having logged it."""

    def __call__(self, work: Awaitable[Result]) -> Awaitable[Result | None]:
        """Do the work."""


class Judging:
    """Judges what is pending: each node's readings in order, whoever was judged longest ago first.

    Readings that have a verdict and are pending again come when none waits for its first one.

    Args:
        settings: of the post.
        journal: open.
        roster: asks a node for its birth.
        knowledge: library and lists in force.
        wanted: set when a reading awaits its verdict, or knowledge has changed.
        alert_wanted: set by us when an alert is in the outbox.
        attempt: gives None instead of what the evaluation raises, having logged it.
        now_ms: the gateway's wall clock, Unix milliseconds.
        beat: called at every turn.

    Attributes:
        is_at_work: a reading that nobody has judged yet is being judged.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins
        self,
        settings: Settings,
        journal: Journal,
        roster: Roster,
        knowledge: Knowledge,
        *,
        wanted: asyncio.Event,
        alert_wanted: asyncio.Event,
        attempt: Attempt,
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._roster = roster
        self._knowledge = knowledge
        self._wanted = wanted
        self._alert_wanted = alert_wanted
        self._attempt = attempt
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="judging")
        self._beat = beat
        self.is_at_work = False
        self._turns = Turns()
        self._judged_to: dict[str, int] = {}  # of each node, the newest record with a verdict
        # One thread: identification must not keep the loop from receipts, and has one core to use.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._rejudging = Rejudging(
            journal,
            knowledge,
            judge=self._judge_again,
            alerted=alert_wanted.set,
            now_ms=now_ms,
            counters=counters,
            log=log,
        )

    async def run(self) -> None:
        """Judge until cancelled.

        Raises:
            JournalError: what is pending stays so.
        """
        try:
            await self._run()
        finally:
            self.is_at_work = False

    async def _run(self) -> None:
        while True:
            self._beat()
            self._wanted.clear()
            pending = await self._journal.read(self._next)
            self.is_at_work = pending is not None
            if pending is not None:
                await self._judge(pending)
                self._note(pending)
            elif not await self._rejudge():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S_MAX):
                        await self._wanted.wait()

    def _next(self, connection: apsw.Connection) -> records.Pending | None:
        """Return the reading whose turn it is; asked anew after every judgement."""
        fresh, again = [], []
        counts = heads.read_counts(connection)
        for node, record_id in records.read_heads(connection):
            if node not in self._judged_to:
                self._judged_to[node] = heads.read_judged_to(connection, node)
            judged_to = self._judged_to[node]
            count = counts.get(node, 1)
            if record_id > judged_to:
                fresh.append(Head(node, record_id, count))
                continue
            first = heads.read_head_after(connection, node, judged_to)
            if first is None:
                again.append(Head(node, record_id, count))
            else:
                count = heads.read_count_after(connection, node, judged_to)
                fresh.append(Head(node, first, count))
        chosen = self._turns.next(fresh or again)
        return None if chosen is None else records.read_pending_one(connection, chosen.record_id)

    def _note(self, pending: records.Pending) -> None:
        """Note that a reading has its verdict; until then it keeps its place."""
        before = self._judged_to.get(pending.node, 0)
        self._judged_to[pending.node] = max(before, pending.record_id)

    def close(self) -> None:
        """End the thread; what it was judging is judged again at the next start."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _rejudge(self) -> bool:
        """Judge one stored reading again; say whether there may be more to do now."""
        try:
            return await self._rejudging.step()
        except JournalError as error:  # live readings must not wait for this part's restart
            self._log.warning("rejudging_fault", text=f"{error}; tried after the next reading")
            return False

    async def _judge(self, pending: records.Pending) -> None:
        """Judge one reading and commit what follows from it."""
        if pending.reading is not None and pending.reading.role == messages.ROLE_STANDARD:
            await self._calibrate(pending, pending.reading)
            return
        if pending.is_told:
            changed = await self._rejudging.judge_again_now(pending)
            if changed is not None:
                self._tell_node(pending, changed)
            return
        if pending.is_damaged:
            self._counters.count("frame_damaged", pending.node)
        judged = await self._judged(pending)
        verdict, text = judged.verdict, self._text(judged)
        judgement = self._judgement(pending, judged)
        is_new = await self._journal.write(partial(_keep, judgement, pending, judged.moment))
        self._tell_node(pending, verdict)
        self._counters.count(f"verdict_{verdict.verdict}", pending.node)
        self._log.info(
            "verdict",
            **_label(pending),
            verdict=verdict.verdict,
            reason=verdict.reason_id,
            hits=[hit.substance_id for hit in verdict.hits],
            text=text,
        )
        if verdict.reason_id in UNUSABLE:
            self._counters.count(UNUSABLE[verdict.reason_id], pending.node)
            self._log.warning(UNUSABLE[verdict.reason_id], **_label(pending), text=text)
        if is_new:
            self._log.warning("alert", alert=judgement.alert_id, text=text)
            self._alert_wanted.set()

    def _tell_node(self, pending: records.Pending, verdict: Verdict) -> None:
        """Tell the node that measured; the officer there waits for it."""
        if pending.reading is not None:
            self._roster.tell_verdict(
                pending.node,
                pending.reading.inspection_id,
                OUTCOMES[verdict.verdict],
                _finding(verdict),
            )

    async def _judged(self, pending: records.Pending) -> Judged:
        """Return the verdict on one reading; inconclusive when the evaluation fails."""
        judged, known = None, self._knowledge.current
        if pending.reading is not None:
            case = await self._gather(pending, pending.reading)
            loop = asyncio.get_running_loop()
            judged = await self._attempt(
                loop.run_in_executor(self._thread, _evaluate, case, known, self._settings.spectra)
            )
            if judged is not None:
                judged = dataclasses.replace(judged, moment=case.moment)
        if judged is None:
            judged = _say(
                unjudged("judgement_failed", known.library, known.watchlists), known.library
            )
        return judged

    def _text(self, judged: Judged) -> str:
        """Return the sentence in the post's language."""
        return judged.sentences[self._settings.language]

    async def _gather(self, pending: records.Pending, reading: wire.Reading) -> Case:
        """Return a reading with what the journal has about it; ask for a missing axis."""
        case = await self._journal.read(
            partial(gather, settings=self._settings, pending=pending, reading=reading)
        )
        if case.birth is None:
            self._roster.ask_birth(pending.node)
        return case

    async def _judge_again(self, pending: records.Pending) -> Fresh:
        """Return today's verdict on a stored reading."""
        judged = await self._judged(pending)
        settle = partial(self._judgement, pending, judged)
        return Fresh(judged.verdict, self._text(judged), settle)

    async def _calibrate(self, pending: records.Pending, reading: wire.Reading) -> None:
        """Evaluate a measured standard and keep what came of it."""
        case = await self._gather(pending, reading)
        if is_glass(case.standard):
            await self._correct(pending, case, reading.axis_id)
            return
        loop = asyncio.get_running_loop()
        kept = await self._attempt(loop.run_in_executor(self._thread, evaluate_standard, case))
        if kept is None:
            text = "the evaluation failed; measure the standard again and report the fault"
            kept = failed(case, "evaluation_failed", text)
        days_max = self._settings.spectra.calibration_days_max
        await self._journal.write(
            partial(
                calibrations.insert_calibration,
                node=pending.node,
                axis_id=reading.axis_id,
                kept=kept,
                again_from_ms=pending.received_ms - days_max * DAY_MS,
            )
        )
        self._tell_calibration(pending, kept)

    async def _correct(self, pending: records.Pending, case: Case, axis_id: bytes) -> None:
        """Evaluate a measured glass and keep what came of it."""
        loop = asyncio.get_running_loop()
        kept = await self._attempt(
            loop.run_in_executor(self._thread, evaluate_response, case, self._settings)
        )
        if kept is None:
            text = "the evaluation failed; measure the glass again and report the fault"
            kept = failed(case, "evaluation_failed", text)
        await self._journal.write(
            partial(responses.insert_response, node=pending.node, axis_id=axis_id, kept=kept)
        )
        label = {**_label(pending), "glass": kept.standard_id}
        if kept.fault:
            self._log.warning("response_failed", **label, fault=kept.fault, text=kept.text)
        else:
            self._log.info("response_made", **label)

    def _tell_calibration(self, pending: records.Pending, kept: calibrations.Kept) -> None:
        """Count and log what came of a standard."""
        label = {**_label(pending), "standard": kept.standard_id}
        if kept.fault:
            self._counters.count("calibration_failed", pending.node)
            self._log.warning("calibration_failed", **label, fault=kept.fault, text=kept.text)
            return
        found = msgspec.json.decode(kept.body, type=Calibration)
        self._counters.count("calibration_made", pending.node)
        self._log.info(
            "calibration_made",
            **label,
            offset_cm1=found.offset_cm1,
            uncertainty_cm1=found.uncertainty_cm1,
            resolution_cm1=found.resolution_cm1,
            residual_cm1_rms=found.residual_cm1_rms,
        )

    def _judgement(
        self, pending: records.Pending, judged: Judged, rejudged: alerts.Rejudged | None = None
    ) -> records.Judgement:
        """Return the verdict as it is kept, with an alert when it is an alarm."""
        verdict, judged_ms = judged.verdict, self._now_ms()
        kept = records.Judgement(
            record_id=pending.record_id,
            verdict=verdict.verdict,
            reason_id=verdict.reason_id,
            explanation=msgspec.json.encode(verdict),
            judged_ms=judged_ms,
        )
        reading = pending.reading
        if verdict.verdict != "alarm" or reading is None:
            return kept
        moment = judged.moment or Moment(None, None, "none")
        identity = alerts.alert_id(self._settings.post, pending.node, reading)
        body = alerts.encode(
            alerts.Alert(
                alert_id=identity,
                post=self._settings.post,
                node=pending.node,
                journal_id=reading.journal_id.hex(),
                seq=reading.seq,
                inspection_id=reading.inspection_id.hex(),
                drill=False,
                time_ms=moment.time_ms,
                time_quality=reading.time_quality,
                received_ms=pending.received_ms,
                verdict=verdict.verdict,
                hits=verdict.hits,
                sentences=judged.sentences,
                library_version=verdict.library_version,
                spectrum_sha256=hashlib.sha256(reading.pixels_u16le).hexdigest(),
                rejudged=rejudged,
                time_source=moment.source,
                time_uncertainty_ms=moment.uncertainty_ms,
            )
        )
        return dataclasses.replace(kept, alert_id=identity, alert_body=body)


def _keep(
    judgement: records.Judgement,
    pending: records.Pending,
    moment: Moment | None,
    connection: apsw.Connection,
) -> bool:
    """Keep a verdict and its alert, in the writer's transaction; say whether the alert is new."""
    is_new = records.insert_judgement(connection, judgement)
    calibrations.want_if_moved(connection, judgement, pending, moment)
    return is_new


def _evaluate(case: Case, known: Known, spectra: SpectraSettings) -> Judged:
    return _say(evaluate(case, known, spectra), known.library)


def _say(verdict: Verdict, library: Library) -> Judged:
    """Return the verdict with its sentences, in the names of the library it was made with."""
    sentences = {language: explain(verdict, language, library) for language in LANGUAGES}
    return Judged(verdict, sentences)


def _finding(verdict: Verdict) -> str:
    """Return what was found in a few words: listed substances first; without any the reason."""
    hits = sorted(verdict.hits, key=lambda hit: not hit.lists)
    shown: list[str] = []
    chars = 0
    for hit in hits:
        chars += len(hit.substance_id) + 2
        if shown and chars - 2 > limits.FINDING_CHARS_MAX:
            break
        shown.append(hit.substance_id)
    return ", ".join(shown) or verdict.reason_id


def _label(pending: records.Pending) -> dict[str, object]:
    """Return how a reading is named in the log."""
    reading = pending.reading
    if reading is None:
        return {"node": pending.node, "record": pending.record_id}
    return {
        "node": pending.node,
        "seq": reading.seq,
        "journal": reading.journal_id.hex(),
        "inspection": reading.inspection_id.hex(),
    }
