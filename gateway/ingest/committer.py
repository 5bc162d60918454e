"""From arrivals to the journal: group commit, then receipts. The order of this file matters.

1. Take everything that has arrived; commit it in one operation.
2. Only when it is on the disk: note it in the ledgers, send receipts, answer births and healths.
3. Wake the judges.
If the commit fails, the same batch is tried again later; no receipt is sent, so nodes keep it all.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import apsw

from gateway import wire
from gateway.fleet.roster import JournalKey, Roster
from gateway.ingest.arrivals import Arrivals
from gateway.ingest.intake import Taken
from gateway.journal import calibrations, records
from gateway.journal.darks import save_dark
from gateway.journal.dating import learn_boot, stamp_of
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import BEAT_S_MAX
from protocol import messages
from protocol.delivery import Ledger

BATCH_MESSAGES_MAX = 256  # 3 MB of the longest messages in one transaction


@dataclass(frozen=True, slots=True)
class _Gap:
    """Records that a node gave up before they were committed."""

    taken: Taken
    oldest_seq: int
    count: int


@dataclass(slots=True)
class _Outcome:
    """What one committed batch changed."""

    fresh: list[Taken] = field(default_factory=list)
    repeated: list[Taken] = field(default_factory=list)
    changed: list[Taken] = field(default_factory=list)  # of the repeated ones
    gaps: list[_Gap] = field(default_factory=list)
    presences: list[Taken] = field(default_factory=list)
    ledgers: dict[JournalKey, Ledger] = field(default_factory=dict)
    is_judge_wanted: bool = False


class Committer:
    """Commits what arrives and answers for it.

    Args:
        journal: open.
        roster: keeps the ledgers and speaks to the nodes.
        arrivals: messages taken in.
        judge_wanted: set when a reading awaits its verdict.
    """

    def __init__(
        self,
        journal: Journal,
        roster: Roster,
        arrivals: Arrivals,
        judge_wanted: asyncio.Event,
        *,
        counters: Counters,
        log: Log,
    ) -> None:
        self._journal = journal
        self._roster = roster
        self._arrivals = arrivals
        self._judge_wanted = judge_wanted
        self._counters = counters
        self._log = log.bind(part="ingest")
        self._batch: list[Taken] = []

    async def run(self) -> None:
        """Commit batch after batch until cancelled.

        Raises:
            JournalError: the batch is kept and tried again by the next run.
        """
        while True:
            if not self._batch:
                await self._arrivals.wait(BEAT_S_MAX)
            self._batch += self._arrivals.take(BATCH_MESSAGES_MAX - len(self._batch))
            keys = _touched(self._batch)
            known = self._roster.known(keys)
            outcome = await self._journal.write(
                partial(_commit, batch=self._batch, keys=keys, known=known)
            )
            self._batch = []
            self._answer(keys, outcome)

    def _answer(self, keys: list[JournalKey], outcome: _Outcome) -> None:
        """Say what is committed, to the nodes and to the log."""
        for key, ledger in outcome.ledgers.items():
            self._roster.adopt(key, ledger)
        for taken in outcome.fresh:
            self._note(taken)
            self._log.info("record_committed", **_label(taken))
        for taken in outcome.repeated:
            self._note(taken)
            self._counters.count("record_repeated", taken.node)
        for taken in outcome.changed:
            self._tell_changed(taken)
        for gap in outcome.gaps:
            self._tell_lost(gap)
        for taken in outcome.presences:
            self._acknowledge(taken)
        self._roster.send_receipts(keys)
        if outcome.is_judge_wanted:
            self._judge_wanted.set()

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

    def _tell_lost(self, gap: _Gap) -> None:
        node = gap.taken.node
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


def _touched(batch: list[Taken]) -> list[JournalKey]:
    """Return the journals that a batch speaks of, each once, in order of appearance."""
    keys: dict[JournalKey, None] = {}
    for taken in batch:
        if isinstance(taken.message, wire.Reading | wire.Event | wire.Birth | wire.Health):
            keys[taken.node, taken.message.journal_id] = None
    return list(keys)


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


def _commit(
    connection: apsw.Connection,
    batch: list[Taken],
    keys: list[JournalKey],
    known: dict[JournalKey, int],
) -> _Outcome:
    """Write one batch, in the order of its arrival.

    Args:
        connection: in the writer's transaction.
        batch: what has arrived.
        keys: the journals it speaks of.
        known: up to where those of them are complete whose ledger is at hand, as of before this
            batch. One batch late is safe: the ledger is rebuilt from the records above.
    """
    outcome = _Outcome()
    for (node, journal_id), seq in known.items():
        if seq:
            records.save_floor(connection, node, journal_id, seq)
    for taken in batch:
        if isinstance(taken.message, wire.Reading | wire.Event):
            _keep_record(connection, taken, taken.message, outcome)
        else:
            _keep_presence(connection, taken, outcome)
    for node, journal_id in keys:
        if (node, journal_id) not in known:
            ledger = records.read_ledger(connection, node, journal_id)
            outcome.ledgers[node, journal_id] = ledger
    return outcome


def _keep_record(
    connection: apsw.Connection, taken: Taken, record: wire.Record, outcome: _Outcome
) -> None:
    """Commit a record once."""
    is_fresh = records.insert_record(connection, taken.node, record, taken.frame, taken.received_ms)
    (outcome.fresh if is_fresh else outcome.repeated).append(taken)
    if not is_fresh and not records.read_is_same(connection, taken.node, record, taken.frame):
        outcome.changed.append(taken)
    if is_fresh:
        _learn(connection, taken, record, None, outcome)
        if isinstance(record, wire.Reading) and record.role == messages.ROLE_DARK:
            save_dark(connection, taken.node, record, taken.received_ms)
    outcome.is_judge_wanted |= is_fresh and records.is_spectrum(record)


def _keep_presence(connection: apsw.Connection, taken: Taken, outcome: _Outcome) -> None:
    """Keep what a node says of itself, and what follows from it."""
    node, seen_ms = taken.node, None if taken.retained else taken.received_ms
    match taken.message:
        case wire.Birth() as birth:
            is_wanted = records.save_birth(connection, node, birth, taken.frame, seen_ms)
            outcome.is_judge_wanted |= is_wanted
            _raise_floor(connection, taken, birth, outcome)
            _learn(connection, taken, birth, seen_ms, outcome)
        case wire.Health() as health:
            records.save_health(connection, node, taken.frame, seen_ms)
            _raise_floor(connection, taken, health, outcome)
            _learn(connection, taken, health, seen_ms, outcome)
        case wire.Status() as status:
            if not records.save_status(connection, node, status, seen_ms):
                return
        case wire.Command() as command:
            # Our own commands come back too; only those that name a standard are of use.
            if not calibrations.save_order(connection, node, command, taken.received_ms):
                return
        case _:
            pass
    outcome.presences.append(taken)


def _learn(
    connection: apsw.Connection,
    taken: Taken,
    message: wire.Birth | wire.Health | wire.Record,
    arrived_ms: int | None,
    outcome: _Outcome,
) -> None:
    """Learn the time of a boot; what was judged by a wrong one is judged again."""
    if learn_boot(connection, taken.node, stamp_of(message), arrived_ms):
        outcome.is_judge_wanted |= calibrations.want_again(connection, taken.node)


def _raise_floor(
    connection: apsw.Connection, taken: Taken, word: wire.Birth | wire.Health, outcome: _Outcome
) -> None:
    """Keep a node's word about its oldest record, and what is lost by it."""
    lost = records.raise_floor(connection, taken.node, word.journal_id, word.oldest_seq)
    if lost:
        outcome.gaps.append(_Gap(taken, word.oldest_seq, lost))
