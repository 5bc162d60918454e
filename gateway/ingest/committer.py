"""From arrivals to the journal: group commit, then receipts. The order of this file matters.

1. Take everything that has arrived; commit it in one operation.
2. Only when it is on the disk: note it in the ledgers, send receipts, answer births and healths.
3. Wake the judges.
If the commit fails, the same batch is tried again later; no receipt is sent, so nodes keep it all.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import apsw

from gateway import wire
from gateway.fleet.roster import Roster
from gateway.ingest.intake import Taken
from gateway.journal import records
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log

BATCH_MESSAGES_MAX = 256  # 3 MB of the longest messages in one transaction


@dataclass(slots=True)
class _Outcome:
    """What one committed batch changed."""

    fresh: list[records.Arrival] = field(default_factory=list)
    repeated: list[records.Arrival] = field(default_factory=list)
    axes: list[str] = field(default_factory=list)


class Committer:
    """Commits what arrives and answers for it.

    Args:
        arrivals: messages and whether the broker had retained them.
        judge_wanted: set when a reading awaits its verdict.
        now_ms: the gateway's wall clock, Unix milliseconds.
    """

    def __init__(
        self,
        journal: Journal,
        roster: Roster,
        arrivals: asyncio.Queue[tuple[Taken, bool]],
        judge_wanted: asyncio.Event,
        *,
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
    ) -> None:
        self._journal = journal
        self._roster = roster
        self._arrivals = arrivals
        self._judge_wanted = judge_wanted
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="ingest")
        self._batch: list[tuple[Taken, bool]] = []

    async def run(self) -> None:
        """Commit batch after batch until cancelled.

        Raises:
            JournalError: the batch is kept and tried again by the next run.
        """
        while True:
            if not self._batch:
                self._batch.append(await self._arrivals.get())
            while len(self._batch) < BATCH_MESSAGES_MAX and not self._arrivals.empty():
                self._batch.append(self._arrivals.get_nowait())
            outcome: _Outcome = await self._journal.write(
                partial(_commit, batch=self._batch, floors=self._floors(), now_ms=self._now_ms())
            )
            batch, self._batch = self._batch, []
            self._answer(batch, outcome)

    def _floors(self) -> list[tuple[str, bytes, int]]:
        """Return how far the journals of this batch are complete, as known before it.

        One batch late is safe: after a crash the ledger is rebuilt from the records above.
        """
        touched = {
            (taken.node, taken.message.journal_id)
            for taken, _ in self._batch
            if isinstance(taken.message, wire.Reading | wire.Event | wire.Birth | wire.Health)
        }
        return [(*key, self._roster.seq(*key)) for key in sorted(touched)]

    def _answer(self, batch: list[tuple[Taken, bool]], outcome: _Outcome) -> None:
        """Say what is committed, to the nodes and to the log."""
        for arrival in outcome.fresh:
            record = arrival.record
            self._log.info(
                "record_committed",
                node=arrival.node,
                journal=record.journal_id.hex(),
                seq=record.seq,
                inspection=record.inspection_id.hex(),
                form=type(record).__name__.lower(),
            )
        for arrival in outcome.fresh + outcome.repeated:
            self._roster.committed(arrival.node, arrival.record.journal_id, arrival.record.seq)
        for arrival in outcome.repeated:
            self._counters.count("record_repeated", arrival.node)
        for node, journal_id in {
            (arrival.node, arrival.record.journal_id)
            for arrival in outcome.fresh + outcome.repeated
        }:
            self._roster.send_receipt(node, journal_id)
        for taken, retained in batch:
            self._acknowledge(taken.node, taken.message, retained=retained)
        if outcome.axes or any(records.is_sample(arrival.record) for arrival in outcome.fresh):
            self._judge_wanted.set()

    def _acknowledge(self, node: str, message: wire.Message, *, retained: bool) -> None:
        """Answer what a node says of itself."""
        match message:
            case wire.Birth() as birth:
                self._roster.born(node, birth, retained=retained)
                self._log.info("node_born", node=node, instrument=birth.instrument_model)
            case wire.Health() as health:
                self._roster.heard(node, health, retained=retained)
            case wire.Status() as status:
                self._log.info("node_status", node=node, online=status.online)
            case wire.Result() as result:
                self._log.info(
                    "command_result", node=node, outcome=result.outcome, detail=result.detail
                )
            case _:
                pass


def _commit(
    connection: apsw.Connection,
    batch: list[tuple[Taken, bool]],
    floors: list[tuple[str, bytes, int]],
    now_ms: int,
) -> _Outcome:
    """Write one batch, in the order of its arrival."""
    outcome = _Outcome()
    for node, journal_id, seq in floors:
        records.save_floor(connection, node, journal_id, seq)
    for taken, _ in batch:
        match taken.message:
            case wire.Reading() | wire.Event() as record:
                arrival = records.Arrival(taken.node, record, taken.frame, now_ms)
                (fresh,) = records.insert_arrivals(connection, [arrival])
                (outcome.fresh if fresh else outcome.repeated).append(arrival)
            case wire.Birth() as birth:
                if records.save_birth(connection, taken.node, birth, taken.frame, now_ms):
                    outcome.axes.append(taken.node)
            case wire.Health():
                records.save_health(connection, taken.node, taken.frame, now_ms)
            case wire.Status() as status:
                records.save_presence(connection, taken.node, now_ms, online=status.online)
            case _:
                pass
    return outcome
