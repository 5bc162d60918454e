"""The journal of a post held against the world: what was played must be there, once, and no more.

Acts are told apart by their inspections: one each, and none shared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol import messages
from protocol.messages import Event, Reading
from simulators.lane import Judged, Stored, read_judged, read_rows
from simulators.scenario import Act, Step
from simulators.sides import Record, expected, shown

MASS_TOLERANCE_MG: Final = 5_000  # noise and drift of a scale that shows grams


@dataclass(frozen=True, slots=True)
class Done:
    """One step that was played.

    Attributes:
        stored: what the node called stored.
        tries: how often the officer had to do it.
        faults: what the node said was wrong meanwhile.
    """

    act: Act
    step: Step
    stored: Stored
    tries: int = 1
    faults: tuple[str, ...] = ()


def newest(journal: Path, node: str) -> dict[str, int]:
    """Return the newest record of each journal of a node that a gateway's journal holds."""
    found: dict[str, int] = {}
    for name, seq in _records(journal, node):
        found[name] = max(seq, found.get(name, 0))
    return found


def _records(journal: Path, node: str) -> dict[tuple[str, int], Event | Reading]:
    found: dict[tuple[str, int], Event | Reading] = {}
    for (frame,) in read_rows(journal, "SELECT frame FROM records WHERE node = ?", node):
        record = messages.unpack(frame)
        if isinstance(record, Event | Reading):
            found[record.journal_id.hex(), record.seq] = record
    return found


def audit(
    journal: Path, node: str, done: Sequence[Done], before: Mapping[str, int] | None = None
) -> list[str]:
    """Return what is not as the world demands, a sentence each; empty: everything is.

    Args:
        journal: of the gateway.
        node: that was played on; since `before` it has done nothing else but calibrate.
        done: everything that was played, in order.
        before: what `newest` said before the first step; a node sends what is older first.
    """
    records = {
        (name, seq): record
        for (name, seq), record in _records(journal, node).items()
        if seq > (before or {}).get(name, 0)
    }
    verdicts = {(each.journal, each.seq): each for each in read_judged(journal)}
    wrong: list[str] = []
    for each in done:
        key = (each.stored.journal, each.stored.seq)
        where = f"act {each.act.name}, step {each.step.number}"
        found = records.get(key)
        if found is None:
            wrong.append(f"{where}: record {each.stored.seq} is not in the journal")
            continue
        wrong += [f"{where}: {text}" for text in _compare(each, found, verdicts.get(key))]
    return [*wrong, *_inspections(done), *_others(records.values(), done)]


def _compare(done: Done, record: Event | Reading, judged: Judged | None) -> Iterable[str]:
    """Yield what of one record is not what the step has to leave."""
    want = expected(done.act, done.step)
    if record.inspection_id.hex() != done.stored.inspection:
        yield f"inspection {record.inspection_id.hex()} and not {done.stored.inspection}"
    if want.event_type is None:
        yield from _compare_verdict(want, record, judged)
    elif not isinstance(record, Event) or record.event_type != want.event_type:
        yield "is a record of another kind"
    elif want.mass_mg is not None:
        if record.mass_mg is None or abs(record.mass_mg - want.mass_mg) > MASS_TOLERANCE_MG:
            yield f"{record.mass_mg} mg and not {want.mass_mg}"
        elif not record.stable:
            yield "is a weight that had not come to rest"
    elif (record.symbology, record.content) != (want.symbology, want.content):
        # What a document says is told to nobody, right or wrong.
        yield f"{record.symbology} {len(record.content)} bytes are not {shown(done.act, done.step)}"


def _compare_verdict(want: Record, record: Event | Reading, judged: Judged | None) -> Iterable[str]:
    """Yield what is wrong with a reading of a sample, and with what it was judged."""
    if not isinstance(record, Reading) or record.role != messages.ROLE_SAMPLE:
        yield "is no reading of a sample"
    elif judged is None:
        yield "has no verdict"
    elif judged.verdict != want.verdict:
        yield f"is judged {judged.verdict}; the truth is {want.verdict}"
    elif want.names and want.names not in judged.hits:
        yield f"names {', '.join(judged.hits) or 'nothing'}; it is {want.names}"


def _inspections(done: Sequence[Done]) -> Iterable[str]:
    """Yield where records of one act differ in their inspection, or two acts share one."""
    by_act: dict[str, set[str]] = {}
    for each in done:
        by_act.setdefault(each.act.name, set()).add(each.stored.inspection)
    for name, found in by_act.items():
        if len(found) > 1:
            yield f"act {name} has {len(found)} inspections"
    names = list(by_act)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if by_act[name] & by_act[other]:
                yield f"acts {name} and {other} share an inspection"


def _others(records: Iterable[Event | Reading], done: Sequence[Done]) -> Iterable[str]:
    """Yield records that nobody made: neither a step, nor a dark frame or standard."""
    known = {(each.stored.journal, each.stored.seq) for each in done}
    for record in records:
        role = record.role if isinstance(record, Reading) else messages.ROLE_SAMPLE
        if role == messages.ROLE_SAMPLE and (record.journal_id.hex(), record.seq) not in known:
            yield f"record {record.seq} belongs to no step"
