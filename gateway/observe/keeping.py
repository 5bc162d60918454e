"""How the journal is kept: room, eviction, checks, damage, and states that last."""

import os
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.journal.postures import Posture, read_postures
from gateway.journal.setting_aside import damaged_folders
from gateway.journal.store import FILE_NAME


class Keeping(msgspec.Struct, frozen=True):
    """How the journal is kept.

    Attributes:
        used_bytes: of the file's pages that hold something.
        file_bytes: of the file; it does not shrink, emptied pages are used again.
        wal_bytes: of the write-ahead log.
        free_bytes: of the disk that this user may fill; None: it cannot be told.
        evicted: readings that were emptied since the journal began.
        evicted_bytes: of their frames.
        deleted: rows of emptied readings that were removed since the journal began.
        evicted_ms: when the last was emptied; None: never.
        checked_ms: when the whole file was last checked; None: never.
        check_fault: what that found; empty: nothing.
        postures: lasting states that somebody should know of.
        damaged: folders with journals that were set aside.
    """

    used_bytes: int
    file_bytes: int
    wal_bytes: int
    free_bytes: int | None
    evicted: int
    evicted_bytes: int
    deleted: int
    evicted_ms: int | None
    checked_ms: int | None
    check_fault: str
    postures: dict[str, Posture]
    damaged: tuple[str, ...]


def read_keeping(connection: apsw.Connection, directory: Path) -> Keeping:
    """Return how the journal of a post's folder is kept."""
    page_bytes: int = connection.pragma("page_size")
    pages: int = connection.pragma("page_count")
    empty: int = connection.pragma("freelist_count")
    evicted = _row(connection, "SELECT evicted, bytes, deleted, evicted_ms FROM retention")
    checked = _row(connection, "SELECT checked_ms, fault FROM integrity")
    count, count_bytes, deleted, evicted_ms = evicted or (0, 0, 0, None)
    checked_ms, check_fault = checked or (None, "")
    return Keeping(
        used_bytes=(pages - empty) * page_bytes,
        file_bytes=pages * page_bytes,
        wal_bytes=_size(directory / f"{FILE_NAME}-wal"),
        free_bytes=free_bytes(directory),
        evicted=count,
        evicted_bytes=count_bytes,
        deleted=deleted,
        evicted_ms=evicted_ms,
        checked_ms=checked_ms,
        check_fault=check_fault,
        postures=read_postures(connection),
        damaged=tuple(folder.name for folder in damaged_folders(directory)),
    )


def free_bytes(directory: Path) -> int | None:
    """Return how much of the disk this user may still fill; None: it cannot be told."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _row(connection: apsw.Connection, query: str) -> tuple[Any, ...] | None:
    return next(iter(connection.execute(query).fetchall()), None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
