"""From committed readings to verdicts and alerts.

A verdict and its alert are committed in one step, and the alert's identity is the reading's: killed
anywhere, the post judges again and alerts once.
"""

import asyncio
import dataclasses
import hashlib
import struct
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import apsw
import msgspec
import numpy as np

from gateway import wire
from gateway.alerts import alert as alerts
from gateway.errors import JournalError
from gateway.fleet.roster import Roster
from gateway.ingest.glass import GlassError, evaluate_glass, is_glass
from gateway.ingest.rejudging import Rejudging, Settle
from gateway.journal import calibrations, records, responses
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.screening.explain import explain
from gateway.screening.frame import Frame, FrameError
from gateway.screening.judge import Verdict, judge, unjudged
from gateway.screening.standing import Standing, Trial, choose, correct_intensity
from gateway.screening.watchlists import Watchlists
from gateway.settings import LANGUAGES, Settings
from gateway.spectra.axis import AxisRecord
from gateway.spectra.calibrate import Calibration, calibrate
from gateway.spectra.errors import CalibrationError, LibraryError, SpectraError
from gateway.spectra.library import Library
from gateway.spectra.origin import Origin
from gateway.spectra.response import ResponseCurve
from gateway.spectra.standards import STANDARD_DEFAULT, find_standard
from protocol import messages

Result = TypeVar("Result")
DAY_MS = 86_400_000

PENDING_READ_MAX = 16  # judged before looking again who has waited longest

# Reasons that mean a fault of node or instrument, and what they are counted as.
UNUSABLE = {
    "no_axis": "axis_unknown",
    "bad_axis": "axis_refused",
    "wrong_pixel_count": "pixels_refused",
    "bad_reading": "reading_refused",
    "judgement_failed": "judgement_failed",
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Case:
    """All that a verdict is made from.

    Attributes:
        order: place of the reading among all readings.
        standard: what its command named, else what the node's settings say.
        kept: calibrations of its axis around it.
        response: intensity correction of its axis; None = never measured.
    """

    order: int
    received_ms: int
    reading: wire.Reading
    birth: wire.Birth | None
    dark: wire.Reading | None
    standard: str
    kept: tuple[calibrations.Kept, ...]
    response: calibrations.Kept | None = None

    @property
    def instrument(self) -> str:
        """Model and serial number, as far as the node has said."""
        return axis_record(self.birth).instrument.strip() if self.birth else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and its sentence in every language."""

    verdict: Verdict
    sentences: dict[str, str]


class Attempt(Protocol):
    """Gives None instead of what the evaluation raises, having logged it."""

    def __call__(self, work: Awaitable[Result]) -> Awaitable[Result | None]:
        """Do the work."""


def axis_record(birth: wire.Birth) -> AxisRecord:
    """Return the axis that a birth describes."""
    count = len(birth.coefficients_f32le) // 4
    return AxisRecord(
        coefficients_nm=struct.unpack(f"<{count}f", birth.coefficients_f32le),
        pixel_count=birth.pixel_count,
        excitation_nm=birth.excitation_pm / 1_000,
        resolution_cm1=birth.resolution_mcm1 / 1_000,
        full_scale_counts=birth.full_scale_counts,
        instrument=f"{birth.instrument_model} {birth.instrument_serial}",
    )


class Judging:
    """Judges what is pending, each node's readings in order, the nodes taking turns.

    Args:
        settings: of the post.
        journal: open.
        roster: asks a node for its birth.
        library: of substances.
        watchlists: in force.
        wanted: set when a reading awaits its verdict.
        alert_wanted: set by us when an alert is in the outbox.
        attempt: gives None instead of what the evaluation raises, having logged it.
        now_ms: the gateway's wall clock, Unix milliseconds.
        library_faults: parts of the library that are left out, for the status.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins
        self,
        settings: Settings,
        journal: Journal,
        roster: Roster,
        library: Library,
        watchlists: Watchlists,
        *,
        wanted: asyncio.Event,
        alert_wanted: asyncio.Event,
        attempt: Attempt,
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
        library_faults: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._roster = roster
        self._library = library
        self._watchlists = watchlists
        self._wanted = wanted
        self._alert_wanted = alert_wanted
        self._attempt = attempt
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="judging")
        # One thread: identification must not keep the loop from receipts, and has one core to use.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._rejudging = Rejudging(
            journal,
            library.version,
            watchlists.version,
            library_faults,
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
        while True:
            self._wanted.clear()
            pending = await self._journal.read(
                partial(records.read_pending, count_max=PENDING_READ_MAX)
            )
            for reading in pending:
                await self._judge(reading)
            if not pending and not await self._rejudge():
                await self._wanted.wait()

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
        judged = await self._judged(pending)
        verdict, text = judged.verdict, judged.sentences[self._settings.language]
        judgement = self._judgement(pending, judged)
        is_new = await self._journal.write(partial(records.insert_judgement, judgement=judgement))
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

    async def _judged(self, pending: records.Pending) -> Judged:
        """Return the verdict on one reading; inconclusive when the evaluation fails."""
        judged = None
        if pending.reading is not None:
            case = await self._journal.read(partial(self._gather, pending, pending.reading))
            if case.birth is None:
                self._roster.ask_birth(pending.node)
            loop = asyncio.get_running_loop()
            judged = await self._attempt(loop.run_in_executor(self._thread, self._evaluate, case))
        if judged is None:
            judged = _say(unjudged("judgement_failed", self._library, self._watchlists))
        return judged

    async def _judge_again(self, pending: records.Pending) -> tuple[Verdict, Settle]:
        """Return today's verdict on a stored reading, and what makes a judgement of it."""
        judged = await self._judged(pending)
        return judged.verdict, partial(self._judgement, pending, judged)

    def _evaluate(self, case: _Case) -> Judged:
        """Judge in the judges' thread; numpy lets the loop go on meanwhile."""
        verdict = judge(
            _counts(case.reading),
            axis=axis_record(case.birth) if case.birth else None,
            dark_counts=_counts(case.dark) if case.dark else None,
            full_scale_counts=case.reading.full_scale_counts,
            flags=case.reading.flags,
            library=self._library,
            watchlists=self._watchlists,
            standing=self._standing(case),
        )
        return _say(verdict)

    def _standing(self, case: _Case) -> Standing:
        """Return the calibration and the intensity correction that a reading stands on."""
        limits = self._settings.spectra
        found = choose(
            [_trial(kept) for kept in case.kept],
            order=case.order,
            received_ms=case.received_ms,
            days_max=limits.calibration_days_max,
            axis_uncertainty_cm1=limits.axis_uncertainty_cm1,
            instrument=case.instrument,
            standard=case.standard,
        )
        if case.response is None or case.birth is None:
            return found
        return correct_intensity(
            found,
            msgspec.json.decode(case.response.body, type=ResponseCurve),
            excitation_nm=axis_record(case.birth).excitation_nm,
            age_s=abs(case.received_ms - case.response.received_ms) / 1_000,
            days_max=limits.response_days_max,
        )

    def _evaluate_glass(self, case: _Case) -> calibrations.Kept:
        """Make a node's intensity correction; a fault is part of the answer."""
        directory = Path(self._settings.directory)
        try:
            curve = evaluate_glass(case.standard, directory, _frame(case), self._standing(case))
        except GlassError as error:
            return _failed(case, error.fault, str(error))
        body = msgspec.json.encode(curve)
        return calibrations.Kept(case.order, case.received_ms, case.standard, "", "", body)

    async def _correct(self, pending: records.Pending, case: _Case, axis_id: bytes) -> None:
        """Evaluate a measured glass and keep what came of it."""
        loop = asyncio.get_running_loop()
        kept = await self._attempt(loop.run_in_executor(self._thread, self._evaluate_glass, case))
        if kept is None:
            text = "the evaluation failed; measure the glass again and report the fault"
            kept = _failed(case, "evaluation_failed", text)
        await self._journal.write(
            partial(responses.insert_response, node=pending.node, axis_id=axis_id, kept=kept)
        )
        label = {**_label(pending), "glass": kept.standard_id}
        if kept.fault:
            self._log.warning("response_failed", **label, fault=kept.fault, text=kept.text)
        else:
            self._log.info("response_made", **label)

    async def _calibrate(self, pending: records.Pending, reading: wire.Reading) -> None:
        """Evaluate a measured standard and keep what came of it."""
        case = await self._journal.read(partial(self._gather, pending, reading))
        if case.birth is None:
            self._roster.ask_birth(pending.node)
        if is_glass(case.standard):
            await self._correct(pending, case, reading.axis_id)
            return
        loop = asyncio.get_running_loop()
        kept = await self._attempt(loop.run_in_executor(self._thread, _evaluate_standard, case))
        if kept is None:
            text = "the evaluation failed; measure the standard again and report the fault"
            kept = _failed(case, "evaluation_failed", text)
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

    def _gather(
        self, pending: records.Pending, reading: wire.Reading, connection: apsw.Connection
    ) -> _Case:
        """Return a reading with what the journal has about it."""
        node = pending.node
        usual = next(
            (entry.standard for entry in self._settings.nodes if entry.id == node),
            STANDARD_DEFAULT,
        )
        ordered = calibrations.read_order(connection, node, reading.inspection_id)
        return _Case(
            order=pending.record_id,
            received_ms=pending.received_ms,
            reading=reading,
            birth=records.read_axis_birth(connection, node, reading.axis_id),
            dark=records.read_dark(connection, node, reading),
            standard=ordered or usual,
            kept=calibrations.read_around(connection, node, reading.axis_id, pending.record_id),
            response=responses.read_response(connection, node, reading.axis_id, pending.record_id),
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
                # A time without a quality is none (SPEC.md 7.2).
                time_ms=reading.time_ms if reading.time_quality else None,
                time_quality=reading.time_quality,
                received_ms=pending.received_ms,
                verdict=verdict.verdict,
                hits=verdict.hits,
                sentences=judged.sentences,
                library_version=verdict.library_version,
                spectrum_sha256=hashlib.sha256(reading.pixels_u16le).hexdigest(),
                rejudged=rejudged,
            )
        )
        return dataclasses.replace(kept, alert_id=identity, alert_body=body)


def _say(verdict: Verdict) -> Judged:
    """Return the verdict with its sentences."""
    return Judged(verdict, {language: explain(verdict, language) for language in LANGUAGES})


def _frame(case: _Case) -> Frame:
    """Return what the node sent, as judging and calibrating read it."""
    return Frame(
        _counts(case.reading),
        axis_record(case.birth) if case.birth else None,
        _counts(case.dark) if case.dark else None,
        case.reading.full_scale_counts,
    )


def _evaluate_standard(case: _Case) -> calibrations.Kept:
    """Calibrate by a node's measured standard; a fault is part of the answer."""
    frame = _frame(case)
    try:
        standard = find_standard(case.standard)
    except LibraryError as error:
        return _failed(case, "unknown_standard", str(error))
    try:
        found = calibrate(
            frame.as_spectrum(0.0),
            standard,
            origin=Origin(
                instrument=case.instrument,
                measured_ms=case.received_ms,
                measured_from="post",
                excitation_nm=frame.axis.excitation_nm if frame.axis else None,
            ),
        )
    except FrameError as error:
        text = f"the reading of {case.standard} cannot be used ({error}); measure it again"
        return _failed(case, error.reason_id, text)
    except CalibrationError as error:
        return _failed(case, error.fault, str(error))
    except SpectraError as error:
        return _failed(case, "bad_reading", str(error))
    body = msgspec.json.encode(found)
    return calibrations.Kept(case.order, case.received_ms, found.standard_id, "", "", body)


def _failed(case: _Case, fault: str, text: str) -> calibrations.Kept:
    return calibrations.Kept(case.order, case.received_ms, case.standard, fault, text, b"")


def _trial(kept: calibrations.Kept) -> Trial:
    """Return a kept calibration as the rules look at it."""
    fault, found = kept.fault, None
    try:
        found = msgspec.json.decode(kept.body, type=Calibration) if kept.body else None
    except msgspec.DecodeError:
        fault = "unreadable"
    return Trial(kept.record_id, kept.received_ms, kept.standard_id, fault, found)


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


def _counts(reading: wire.Reading) -> "np.ndarray[tuple[int], np.dtype[np.uint16]]":
    """Return the pixels, shape (n_pixel,), counts."""
    return np.frombuffer(reading.pixels_u16le, dtype="<u2")
