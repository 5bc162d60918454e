"""How much room the disk under the journal has, and what an error says of the disk.

A small file, the ballast, lies beside the journal: on a disk that is full at the start its room is
what SQLite needs to open the file at all.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import apsw

from gateway.journal.condition import DiskState

BALLAST_NAME: Final = "journal.ballast"
BALLAST_BYTES: Final = 1_048_576  # SQLite's index of its log, and some transactions
FULL_BYTES: Final = 262_144  # with less, an I/O error means that there was no room
ROOM_BYTES: Final = 4 * FULL_BYTES  # a full disk with that much free again is only tight
FREED_SHARE: Final = 0.1  # of the reserve, that is free beyond it before readings are taken again
FREED_BYTES_MAX: Final = 64_000_000  # enough not to hover around the reserve, however large it is


class Space:
    """The disk under a folder.

    Args:
        folder: the journal's.
        reserve_bytes: with less than this free, only what is essential is written.
    """

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self.folder = folder
        self.reserve_bytes = reserve_bytes
        # Of the journal's log, as of the last transaction; see log.py.
        self.log_bytes = 0
        self.owed_bytes = 0  # that the file must grow by before the log is in it
        self.is_blocked = False  # it has become long, and cannot be folded in
        self.reader = ""  # who keeps it from that, as far as that is known
        self.tried_s = 0.0  # monotonic
        self._is_tight = False

    def free_bytes(self) -> int | None:
        """Return how much this user may still write; None: the folder does not say."""
        try:
            room = os.statvfs(self.folder)
        except OSError:
            return None
        return room.f_bavail * room.f_frsize

    def is_tight(self) -> bool:
        """Say whether less than the reserve is free; it passes when somewhat more is.

        What the file lacks for what is in its log is not free.
        """
        free, bound = self.free_bytes(), self.reserve_bytes
        if self._is_tight:
            bound += min(int(FREED_SHARE * self.reserve_bytes), FREED_BYTES_MAX)
        self._is_tight = free is not None and free - self.owed_bytes < bound
        return self._is_tight

    def is_full(self) -> bool:
        """Say whether there is no room worth the name."""
        free = self.free_bytes()
        return free is not None and free < ROOM_BYTES

    def has_files(self) -> bool:
        """Say whether another file can be made: some file systems have a fixed number."""
        try:
            room = os.statvfs(self.folder)
        except OSError:
            return True
        return not room.f_files or room.f_favail > 0

    def is_readonly(self) -> bool:
        """Say whether the file system takes no writes."""
        try:
            return bool(os.statvfs(self.folder).f_flag & os.ST_RDONLY)
        except OSError:
            return False

    def judge(self, error: BaseException | None, path: Path) -> DiskState | None:
        """Return what an error says of the disk; None: the disk is not what is wrong."""
        if isinstance(error, apsw.FullError):
            return DiskState.full
        if isinstance(error, apsw.ReadOnlyError):
            return DiskState.readonly
        if isinstance(error, apsw.CantOpenError):
            mine = path if path.exists() else path.parent
            if not self.is_readonly() and (path.is_dir() or not os.access(mine, os.R_OK | os.W_OK)):
                return None  # a folder or a right that somebody has to set
        elif not isinstance(error, apsw.IOError):
            return None
        if self.is_readonly():
            return DiskState.readonly
        if not self.has_files():
            return DiskState.full
        free = self.free_bytes()
        return DiskState.full if free is not None and free < FULL_BYTES else DiskState.failing

    def drop_ballast(self) -> bool:
        """Give the ballast's room away; say whether there was one."""
        try:
            (self.folder / BALLAST_NAME).unlink()
        except OSError:
            return False
        return True

    def keep_ballast(self) -> None:
        """Lay the ballast down again while there is room for it."""
        free, path = self.free_bytes(), self.folder / BALLAST_NAME
        if path.exists() or free is None or free < self.reserve_bytes + 2 * BALLAST_BYTES:
            return
        new = path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
            new.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()


def describe(state: DiskState, path: Path, space: Space, error: BaseException | None = None) -> str:
    """Return a state in one sentence with its remedy; empty when it is well."""
    free = space.free_bytes()
    room = "an unknown number of" if free is None else f"{free // 1_000_000}"
    kept = "readings stay on their nodes, alerts still go out"
    match state:
        case DiskState.well:
            return ""
        case DiskState.tight | DiskState.full if space.is_blocked and space.reader:
            return (
                f"the log of {path} has grown to {space.log_bytes // 1_000_000} MB and cannot be"
                f" folded in, because {space.reader} has been reading the journal for long; {room}"
                f" MB are free: {kept}; end that program"
            )
        case DiskState.tight:
            return (
                f"the disk under {path} has {room} MB free, less than the"
                f" {space.reserve_bytes // 1_000_000} MB that journal.reserve_bytes keeps for"
                f" alerts: {kept}; free space on it"
            )
        case DiskState.full:
            return _of_full(path, space, free, kept)
        case DiskState.readonly:
            return (
                f"{path} cannot be written, its disk is read-only: {kept}; look at the kernel's"
                " log, check the file system, mount it writable again"
            )
    if path.is_symlink() and not path.exists():
        return (
            f"{path} is a link to {path.readlink()}, which is not there: {kept}; mount its disk, or"
            " remove the link, and a new journal begins"
        )
    return (
        f"the disk under {path} fails ({error}): {kept}; look at the kernel's log and its cables,"
        " copy what is there, replace it"
    )


def _of_full(path: Path, space: Space, free: int | None, kept: str) -> str:
    """Return why a disk takes no more."""
    room = "an unknown number of" if free is None else f"{free // 1_000_000}"
    if not space.has_files():
        return (
            f"the disk under {path} has no room for another file (its inodes are used up,"
            f" {room} MB are free): {kept}; find the many small files on it"
            " (`du -x --inodes / | sort -n | tail`) and remove them"
        )
    if free is not None and free >= 4 * FULL_BYTES:
        return (
            f"the disk under {path} takes no more although {room} MB of it are free: {kept};"
            " raise the quota of the gateway's user or of its folder, or lift the file's limit"
        )
    return f"the disk under {path} is full ({room} MB free): {kept}; free space on it"
