"""What the writer's thread does: commit a batch, and close the file in order.

A batch is one transaction. What is not essential is left out of it where the disk is short of room,
where the file is not at its path any more, and while it is not sure that what a killed gateway left
in the log is on the disk.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from gateway.journal import floors, integrity, log, place
from gateway.journal.beginning import fold_in
from gateway.journal.opening import shut, transaction
from gateway.journal.retention import SPARE_BYTES, spare_bytes
from gateway.journal.space import Space

UNFOLDED_S_MAX: Final = 60.0  # then readings are taken all the same: who reads may have forgotten
UNFOLDED: Final = (
    "another program reads the journal that was not closed in order: readings stay on their nodes"
    " until what it holds is surely on the disk, a minute at most; let that program end"
)
REFUSED: Final = object()  # instead of the result of an operation that was not tried

Operation = Callable[[apsw.Connection], Any]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a batch.

    Attributes:
        is_folded: the log of a gateway that was killed is in the file, or was waited for enough.
        is_tight: the disk is short of room.
        is_written: something was put on the disk.
        is_astray: the file is not at its path any more.
        results: of the operations, in order; REFUSED for what was not tried.
    """

    is_folded: bool
    is_tight: bool
    is_written: bool
    is_astray: bool
    results: list[Any]


def commit(
    connection: apsw.Connection,
    where: tuple[Path, place.Place],
    space: Space,
    jobs: list[tuple[Operation, bool]],
    unfolded_s: float | None,
) -> Tried:
    """Commit a batch, or what of it is essential when the disk is short of room.

    Args:
        connection: to write with.
        where: its path, and what lay there when it was opened.
        space: the disk.
        jobs: the operations, and whether each is essential.
        unfolded_s: for how long the log of a killed gateway has waited to be folded in; None: not.
    """
    is_folded = unfolded_s is None or fold_in(connection) or unfolded_s > UNFOLDED_S_MAX
    path, opened = where
    is_astray = opened.is_left(path)
    if not is_astray:
        log.relieve(connection, path, space)
        log.insist_on_room(space)
    # Free pages of the file take readings without needing more of the disk, if they get there.
    is_tight = space.is_tight() and (space.is_blocked or spare_bytes(connection) < SPARE_BYTES)
    takes_all = is_folded and not is_tight and not is_astray
    tried = [essential or takes_all for _, essential in jobs]
    operations = [job for (job, _), is_tried in zip(jobs, tried, strict=True) if is_tried]
    before = _pages_written(connection)
    results = iter(_commit(connection, operations) if operations else ())
    is_written = _pages_written(connection) > before
    answers = [next(results) if is_try else REFUSED for is_try in tried]
    if not is_astray and opened.is_left(path):  # since then: no reading of these is receipted
        is_astray = True
        answers = [
            answer if essential else REFUSED
            for (_, essential), answer in zip(jobs, answers, strict=True)
        ]
    return Tried(is_folded, is_tight, is_written, is_astray, answers)


def _pages_written(connection: apsw.Connection) -> int:
    """Return how many pages have gone to the disk so far: a row with its old values sends none."""
    written, _ = connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)
    return written


def _commit(connection: apsw.Connection, operations: list[Operation]) -> list[Any]:
    """Run operations as one transaction; what any of them raises undoes them all."""
    with transaction(connection):
        return [operation(connection) for operation in operations]


def end(connection: apsw.Connection, path: Path, opened: place.Place) -> None:
    """Close the writer's connection, having noted how far it is and that this is no crash."""
    with contextlib.suppress(apsw.Error), transaction(connection):
        floors.raise_all(connection)
        integrity.note_closed(connection)
    if opened.is_left(path):
        with contextlib.suppress(apsw.Error, OSError):  # the last moment to save what is open
            place.put_back(connection, path, opened)
    try:
        # A close would fold the log in as well, and hold the interpreter until that is on the disk:
        # on a slow one no timer and no signal would come through.
        if fold_in(connection, wait_ms=0):
            connection.close(force=True)
    except apsw.Error:
        pass  # the next start folds it in
    shut(connection)
