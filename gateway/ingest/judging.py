"""From committed readings to verdicts and alerts.

A verdict and its alert are committed in one step, and the alert's identity is the reading's: killed
anywhere, the post judges again and alerts once.
"""

import asyncio
import dataclasses
import hashlib
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import numpy as np

from gateway import wire
from gateway.alerts import alert as alerts
from gateway.errors import JournalError
from gateway.fleet.roster import Roster
from gateway.journal import records
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.screening.explain import explain
from gateway.screening.judge import Verdict, judge, unjudged
from gateway.screening.watchlists import Watchlists
from gateway.settings import LANGUAGES, Settings
from gateway.spectra.axis import AxisRecord
from gateway.spectra.library import Library

PENDING_READ_MAX = 16  # judged before looking again who has waited longest
ATTEMPTS_MAX = (
    3  # a reading that fails the judges this often gets "inconclusive", and the rest go on
)


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
        wanted: set when a reading awaits its verdict.
        alert_wanted: set by us when an alert is in the outbox.
        now_ms: the gateway's wall clock, Unix milliseconds.
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
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._roster = roster
        self._library = library
        self._watchlists = watchlists
        self._wanted = wanted
        self._alert_wanted = alert_wanted
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="judging")
        self._attempts: dict[int, int] = {}
        # One thread: identification must not keep the loop from receipts, and has one core to use.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")

    async def run(self) -> None:
        """Judge until cancelled."""
        while True:
            self._wanted.clear()
            pending = records.read_pending(self._journal, PENDING_READ_MAX)
            for reading in pending:
                await self._judge(reading)
            if not pending:
                await self._wanted.wait()

    def close(self) -> None:
        """End the thread; what it was judging is judged again at the next start."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _judge(self, pending: records.Pending) -> None:
        """Judge one reading and commit what follows from it."""
        attempt = self._attempts.get(pending.record_id, 0) + 1
        self._attempts[pending.record_id] = attempt
        if attempt > ATTEMPTS_MAX:
            verdict = unjudged("judgement_failed", self._library)
            self._counters.count("judgement_failed", pending.node)
        else:
            verdict = await self._verdict(pending)
        judgement = self._judgement(pending, verdict)
        try:
            is_new = await self._journal.write(
                partial(records.insert_judgement, judgement=judgement)
            )
        except JournalError:
            self._attempts[pending.record_id] -= 1  # the disk's fault, not the reading's
            raise
        del self._attempts[pending.record_id]
        self._counters.count(f"verdict_{verdict.verdict}", pending.node)
        self._log.info(
            "verdict",
            node=pending.node,
            seq=pending.reading.seq,
            journal=pending.reading.journal_id.hex(),
            inspection=pending.reading.inspection_id.hex(),
            verdict=verdict.verdict,
            reason=verdict.reason_id,
            hits=[hit.substance_id for hit in verdict.hits],
            text=explain(verdict, self._settings.language),
        )
        if is_new:
            self._log.warning("alert", alert=judgement.alert_id)
            self._alert_wanted.set()

    async def _verdict(self, pending: records.Pending) -> Verdict:
        reading = pending.reading
        birth = records.read_axis_birth(self._journal, pending.node, reading.axis_id)
        if birth is None:
            self._counters.count("axis_unknown", pending.node)
            self._roster.ask_birth(pending.node)
        dark = records.read_dark(self._journal, pending.node, reading)
        return await asyncio.get_running_loop().run_in_executor(
            self._thread,
            lambda: judge(
                _counts(reading),
                axis=axis_record(birth) if birth else None,
                dark_counts=_counts(dark) if dark else None,
                full_scale_counts=reading.full_scale_counts,
                flags=reading.flags,
                library=self._library,
                watchlists=self._watchlists,
                axis_uncertainty_cm1=self._settings.spectra.axis_uncertainty_cm1,
            ),
        )

    def _judgement(self, pending: records.Pending, verdict: Verdict) -> records.Judgement:
        """Return the verdict as it is kept, with an alert when it is an alarm."""
        judged_ms = self._now_ms()
        kept = records.Judgement(
            record_id=pending.record_id,
            verdict=verdict.verdict,
            reason_id=verdict.reason_id,
            explanation=msgspec.json.encode(verdict),
            judged_ms=judged_ms,
        )
        if verdict.verdict != "alarm":
            return kept
        reading = pending.reading
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
                time_ms=reading.time_ms,
                time_quality=reading.time_quality,
                received_ms=pending.received_ms,
                verdict=verdict.verdict,
                hits=verdict.hits,
                sentences={language: explain(verdict, language) for language in LANGUAGES},
                library_version=verdict.library_version,
                spectrum_sha256=hashlib.sha256(reading.pixels_u16le).hexdigest(),
            )
        )
        return dataclasses.replace(kept, alert_id=identity, alert_body=body)


def _counts(reading: wire.Reading) -> "np.ndarray[tuple[int], np.dtype[np.uint16]]":
    """Return the pixels, shape (n_pixel,), counts."""
    return np.frombuffer(reading.pixels_u16le, dtype="<u2")
