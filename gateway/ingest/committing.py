"""What one batch of messages writes to the journal, inside the writer's transaction.

It may run twice (see gateway/journal/store.py) and changes nothing but the connection.
"""

from dataclasses import dataclass, field
from typing import Final

import apsw

from gateway import wire
from gateway.fleet.roster import JournalKey
from gateway.ingest.intake import Taken
from gateway.journal import calibrations, floors, records
from gateway.journal.darks import save_dark
from gateway.journal.dating import learn_boot, stamp_of
from protocol import messages
from protocol.delivery import Ledger

# What one message may raise; the next one does not. A disk's faults are not among them.
_UNKEEPABLE: Final = (
    MemoryError,
    apsw.NoMemError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    ArithmeticError,
    LookupError,
    ValueError,
)


class UnkeepableError(Exception):
    """One message cannot be committed; the cause says why."""

    def __init__(self, taken: Taken) -> None:
        super().__init__(taken.node)
        self.taken = taken


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that a node has no longer, and the journal not.

    Attributes:
        is_renewed: nothing of the node has come since this journal took the place of another: the
            node may have freed them because that one had receipted them.
    """

    taken: Taken
    oldest_seq: int
    count: int
    is_renewed: bool = False


@dataclass(slots=True)
class Outcome:
    """What one committed batch changed."""

    fresh: list[Taken] = field(default_factory=list)
    repeated: list[Taken] = field(default_factory=list)
    changed: list[Taken] = field(default_factory=list)  # of the repeated ones
    gaps: list[Gap] = field(default_factory=list)
    presences: list[Taken] = field(default_factory=list)
    ledgers: dict[JournalKey, Ledger] = field(default_factory=dict)
    darks: dict[str, Taken] = field(default_factory=dict)  # the newest of each node
    is_judge_wanted: bool = False


def touched(batch: list[Taken]) -> list[JournalKey]:
    """Return the journals that a batch speaks of, each once, in order of appearance."""
    keys: dict[JournalKey, None] = {}
    for taken in batch:
        if isinstance(taken.message, wire.Reading | wire.Event | wire.Birth | wire.Health):
            keys[taken.node, taken.message.journal_id] = None
    return list(keys)


def commit(
    connection: apsw.Connection,
    batch: list[Taken],
    keys: list[JournalKey],
    known: dict[JournalKey, int],
) -> Outcome:
    """Write one batch, in the order of its arrival.

    Args:
        connection: in the writer's transaction.
        batch: what has arrived.
        keys: the journals it speaks of.
        known: up to where those of them are complete whose ledger is at hand, as of before this
            batch. One batch late is safe: the ledger is rebuilt from the records above.
    """
    outcome = Outcome()
    for (node, journal_id), seq in known.items():
        if seq:
            records.save_floor(connection, node, journal_id, seq)
    for taken in batch:
        try:
            if isinstance(taken.message, wire.Reading | wire.Event):
                _keep_record(connection, taken, taken.message, outcome)
            else:
                _keep_presence(connection, taken, outcome)
        except _UNKEEPABLE as error:
            raise UnkeepableError(taken) from error
    for node, taken in outcome.darks.items():
        if isinstance(taken.message, wire.Reading):
            save_dark(connection, node, taken.message, taken.received_ms)
    for node, journal_id in keys:
        if (node, journal_id) not in known:
            ledger = records.read_ledger(connection, node, journal_id)
            outcome.ledgers[node, journal_id] = ledger
    return outcome


def _keep_record(
    connection: apsw.Connection, taken: Taken, record: wire.Record, outcome: Outcome
) -> None:
    """Commit a record once."""
    is_fresh = records.insert_record(connection, taken.node, record, taken.frame, taken.received_ms)
    (outcome.fresh if is_fresh else outcome.repeated).append(taken)
    if not is_fresh and not records.read_is_same(connection, taken.node, record, taken.frame):
        outcome.changed.append(taken)
    if is_fresh:
        _learn(connection, taken, record, None, outcome)
        if isinstance(record, wire.Reading) and record.role == messages.ROLE_DARK:
            outcome.darks[taken.node] = taken
    outcome.is_judge_wanted |= is_fresh and records.is_spectrum(record)


def _keep_presence(connection: apsw.Connection, taken: Taken, outcome: Outcome) -> None:
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
    outcome: Outcome,
) -> None:
    """Learn the time of a boot; what was judged by a wrong one is judged again."""
    if learn_boot(connection, taken.node, stamp_of(message), arrived_ms):
        outcome.is_judge_wanted |= calibrations.want_again(connection, taken.node)


def _raise_floor(
    connection: apsw.Connection, taken: Taken, word: wire.Birth | wire.Health, outcome: Outcome
) -> None:
    """Keep a node's word about its oldest record, and what is lost by it."""
    lost = records.raise_floor(connection, taken.node, word.journal_id, word.oldest_seq)
    if lost:
        is_renewed = floors.is_from_before(connection, taken.node, word.journal_id)
        outcome.gaps.append(Gap(taken, word.oldest_seq, lost, is_renewed))
