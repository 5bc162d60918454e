"""The journal's first moment: open it for writing, or say why not; set a damaged one aside.

Nothing here ends the gateway but a file of another version and a folder without rights: those a
person set. Everything that a disk does by itself is told and tried again.
"""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from gateway.errors import JournalError
from gateway.journal import integrity, setting_aside
from gateway.journal.condition import DiskState
from gateway.journal.damaged import insist_on_own_log, newest_without_log
from gateway.journal.logged import write_again
from gateway.journal.opening import BUSY_MS, connect, is_damage, shut, transaction
from gateway.journal.postures import save_posture
from gateway.journal.space import Space

FOLD_MS: Final = 200  # waited for somebody who reads the log: a start has three seconds in all
TRIES_MAX: Final = 4  # with the ballast given away, and with a fresh file


@dataclass(slots=True)
class Begun:
    """What came of opening the journal.

    Attributes:
        connection: to write with; None: the disk takes nothing now.
        state: of the disk.
        error: why there is no connection.
        is_unclean: the gateway before did not close the file.
        is_folded: what the log held is surely on the disk: it is in the file, or was closed in
            order. Where it is not, `fold_in` comes before anything is written.
        told: a sentence for each file that was set aside.
    """

    connection: apsw.Connection | None = None
    state: DiskState = DiskState.well
    error: BaseException | None = None
    is_unclean: bool = False
    is_folded: bool = True
    told: list[str] = field(default_factory=list)


def begin(path: Path, space: Space, now_ms: int, damage: BaseException | None = None) -> Begun:
    """Open the journal for writing.

    Args:
        path: the database file; created when missing.
        space: the disk it lies on.
        now_ms: wall clock, Unix milliseconds.
        damage: why the file that is there has to be set aside; None: it need not.

    Raises:
        JournalError: the file is of another version, or not ours to write.
    """
    begun, told = Begun(), ""
    for is_last in (*(False,) * (TRIES_MAX - 1), True):
        try:
            if damage is not None:
                told = setting_aside.renew(path, damage)
                damage = None
                begun.told.append(told)
            setting_aside.finish(path)
            without_log = newest_without_log(path)  # before this process has locks on it
            begun.connection = connection = connect(path)
            _check(connection)  # first: a disk that is full takes nothing, and can be read
            insist_on_own_log(connection, without_log)
            begun.is_folded = False
            write_again(path)
            begun.is_folded = fold_in(connection)
            begun.is_unclean = _note(connection, told, now_ms)
            begun.is_folded |= not begun.is_unclean
        except (JournalError, apsw.Error, OSError) as error:
            begun.error = error.__cause__ if isinstance(error, JournalError) else error
            is_damaged = is_damage(begun.error)
            state = _judge(begun.error, path, space)
            if is_damaged and not told and not is_last:
                damage = begun.error
            elif state is None:
                _let_go(begun)
                raise
            elif state is not DiskState.full or is_last or not space.drop_ballast():
                begun.state = state
                if is_damaged:
                    _let_go(begun)
                break
            _let_go(begun)
            continue
        break
    return begun


def _judge(error: BaseException | None, path: Path, space: Space) -> DiskState | None:
    if is_damage(error):  # of a file that is just made
        return DiskState.failing
    if isinstance(error, OSError):  # a damaged file cannot be set aside
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return DiskState.full
        return DiskState.readonly if space.is_readonly() else DiskState.failing
    return space.judge(error, path)


def _let_go(begun: Begun) -> None:
    connection, begun.connection = begun.connection, None
    if connection is not None:
        shut(connection)


def _check(connection: apsw.Connection) -> None:
    """Look whether the file is whole, as far as that is quick.

    Raises:
        apsw.CorruptError: it is damaged.
    """
    found = integrity.check_start(connection)
    if found:
        raise apsw.CorruptError(found)


def fold_in(connection: apsw.Connection, *, wait_ms: int = FOLD_MS) -> bool:
    """Write what the log holds into the file, so that it is on the disk, and begin the log anew.

    After a sync that failed the system may take for written what never reached the disk. Read from
    the log it looks committed, a repeated record would be receipted, and a power cut would take it.

    Args:
        connection: in no transaction.
        wait_ms: for somebody who reads the log.

    Returns:
        Whether that is done: not while somebody else reads the log.

    Raises:
        apsw.IOError: the disk takes it not.
    """
    connection.set_busy_timeout(wait_ms)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(BUSY_MS)
    return True


def _note(connection: apsw.Connection, told: str, now_ms: int) -> bool:
    """Note that the file is open, and what happened to the one before; say whether it was open.

    Where this is refused the connection is good all the same: what there is can be read.
    """
    with transaction(connection):
        if told:
            save_posture(connection, setting_aside.POSTURE, told, now_ms)
        return integrity.note_open(connection)
