"""The journal's log: how long it is, what it owes the file, and who keeps it from being folded in.

While another program reads, what is committed stays in the log. All of it must still fit into the
file one day, so what the file lacks for that is as good as used: a log that were let grow over the
whole disk could never be folded in again.
"""

import contextlib
import fcntl
import os
import struct
import sys
import time
from pathlib import Path
from typing import Final

import apsw

from gateway.journal.beginning import FOLD_MS, fold_in
from gateway.journal.opening import LOG_BYTES_MAX
from gateway.journal.space import ROOM_BYTES, Space

TIGHT_BYTES: Final = 8_388_608  # on a disk that is short of room: twice what it has by itself
AGAIN_S: Final = 1.0  # between tries to fold it in: each goes through the whole log
LOCKS: Final = Path("/proc/locks")
DESCRIPTORS: Final = Path("/proc/self/fd")
_FLOCK: Final = "@hhqqi0q"  # struct flock with 64 bits: type, whence, start, length, pid
READ_LOCKS: Final = range(123, 128)  # of SQLite, in the -shm: one for each moment that is read
READERS_MAX: Final = 3  # named


def relieve(connection: apsw.Connection, path: Path, space: Space) -> None:
    """Fold a log in that has become long, and note in `space` what comes of it.

    Args:
        connection: the writer's, in no transaction.
        path: the database file.
        space: the disk it lies on.

    Raises:
        apsw.IOError: the disk takes it not.
    """
    _measure(connection, path, space)
    if space.log_bytes <= (TIGHT_BYTES if space.is_tight() else LOG_BYTES_MAX):
        space.is_blocked, space.reader = False, ""
        return
    now_s = time.monotonic()
    if space.is_blocked and now_s - space.tried_s < AGAIN_S:
        return
    space.tried_s = now_s
    wait_ms = 0 if space.is_blocked else FOLD_MS
    try:
        is_folded = _fold_in(connection, space, wait_ms)
        space.reader = "" if is_folded else named(readers(path)) or "another program"
    except apsw.FullError:
        is_folded, space.reader = False, ""
    space.is_blocked = not is_folded
    _measure(connection, path, space)


def insist_on_room(space: Space) -> None:
    """Refuse to make a log longer that only just fits into the file.

    Raises:
        apsw.FullError: it would not fit any more.
    """
    free = space.free_bytes()
    if space.is_blocked and free is not None and free < space.owed_bytes + ROOM_BYTES:
        raise apsw.FullError("what the journal's log holds would not fit into the file any more")


def _fold_in(connection: apsw.Connection, space: Space, wait_ms: int) -> bool:
    try:
        return fold_in(connection, wait_ms=wait_ms)
    except apsw.FullError:
        if not space.drop_ballast():
            raise
    return fold_in(connection, wait_ms=0)


def _measure(connection: apsw.Connection, path: Path, space: Space) -> None:
    pages = int(connection.pragma("page_count")) * int(connection.pragma("page_size"))
    space.owed_bytes = max(0, pages - _size(path))
    space.log_bytes = size_of_log(path)


def size_of_log(path: Path) -> int:
    """Return how long the log of a journal is, bytes."""
    return _size(Path(f"{os.path.realpath(path)}-wal"))  # it lies beside what a link leads to


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def readers(path: Path) -> list[int]:
    """Return the processes that read a journal now, but for this one; empty: nobody knows.

    As a service with few rights the gateway sees no /proc/locks. The system then tells one holder
    of each lock, through the descriptor that SQLite has open. Never through one of our own: to
    close it would drop every lock that this process has on the file.
    """
    try:
        found = Path(f"{os.path.realpath(path)}-shm").stat()
    except OSError:
        return []
    try:
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return _holders(found)
    pids = set()
    for line in lines:
        words = line.split()
        if len(words) < 8 or words[1] == "->" or words[3] != "READ":
            continue
        _, _, inode = words[5].rpartition(":")  # the device is another one on some file systems
        if inode == str(found.st_ino) and _number(words[6]) in READ_LOCKS:
            pids.add(_number(words[4]))
    return sorted(pids - {0, os.getpid()})


def _holders(shared: os.stat_result) -> list[int]:
    """Return who holds a lock of readers on the file, one for each lock, by an open descriptor."""
    if sys.platform != "linux":
        return []  # the layout below is Linux's
    descriptor = _open_descriptor(shared)
    pids = set()
    for byte in READ_LOCKS if descriptor is not None else ():
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        try:
            answer = fcntl.fcntl(descriptor or 0, fcntl.F_GETLK, asked)
        except OSError:  # SQLite has just closed it
            return []
        kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
        if kind == fcntl.F_RDLCK:
            pids.add(pid)
    return sorted(pids - {0, os.getpid()})  # 0: of another container


def _open_descriptor(about: os.stat_result) -> int | None:
    """Return a descriptor by which this process has a file open; None: there is none."""
    with contextlib.suppress(OSError):
        for each in DESCRIPTORS.iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(int(each.name)), about):
                    return int(each.name)
    return None


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else 0


def named(pids: list[int]) -> str:
    """Return what these processes are called, for a sentence; empty when there are none."""
    names = []
    for pid in pids[:READERS_MAX]:
        name = ""  # another user's, which a service with few rights does not see
        with contextlib.suppress(OSError):
            name = f" ({Path(f'/proc/{pid}/comm').read_text(errors='replace').strip()})"
        names.append(f"process {pid}{name}")
    more = f" and {len(pids) - READERS_MAX} more" if len(pids) > READERS_MAX else ""
    return ", ".join(names) + more
