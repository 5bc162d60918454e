"""The journal's log without SQLite: what it holds, whether it is of the file beside it.

SQLite does not ask that. Beside an empty file it deletes the log, even for somebody who only
looks; the log of another file it writes into this one. Both lose what was receipted. So whoever
opens a journal asks here first.

Reference: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4_096  # as every gateway had it
HEADER_BYTES: Final = 100
MAGIC: Final = b"SQLite format 3\0"
MODES: Final = slice(18, 20)  # in the header: how it is written; (1, 1) is without a log
LOG_HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
PIECE_BYTES: Final = 1 << 20  # read and written at once
LOG_MAGIC: Final = 0x377F0682  # with the lowest bit set: checksums of big-endian words


def log_of(path: Path) -> Path:
    """Return where the log of a journal lies."""
    return Path(f"{path}-wal")


def read_header(path: Path) -> bytes:
    """Return a file's header, empty when it has none."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return b""
    return header if len(header) == HEADER_BYTES else b""


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0: it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def misfit(path: Path, *, is_alone: bool) -> str:
    """Say why a journal must not be opened beside the log that lies there; empty: it may be.

    Args:
        path: the database file.
        is_alone: this process does not write it, so that it may be opened and closed here.

    Raises:
        OSError: they cannot be looked at.
    """
    log_bytes = size_of(log_of(path))
    if log_bytes <= LOG_HEADER_BYTES:
        return ""
    if not size_of(path):
        what = "is empty" if path.exists() else "is missing"
        return f"the file {what}, and beside it lies its log, of {log_bytes} bytes"
    header = read_header(path) if is_alone else b""
    # A backup, put back; a file that has a log says so before that is there.
    if header.startswith(MAGIC) and header[MODES] == b"\1\1" and any(read_log(path)):
        return (
            f"the file has no log of its own, but one of {log_bytes} bytes lies beside it: a backup"
            " was put there, and the log of the file before it was left"
        )
    return ""


def read_log(path: Path) -> Iterator[tuple[dict[int, int], int]]:
    """Yield what each commit in a journal's log has changed, as far as its checksums are good.

    Yields:
        Where in the log each page is, and how many pages the file has from then on.

    Raises:
        OSError: it cannot be read.
    """
    try:
        file = log_of(path).open("rb")
    except FileNotFoundError:
        return
    with file:
        header = file.read(LOG_HEADER_BYTES)
        if len(header) < LOG_HEADER_BYTES:
            return
        magic, _, page_bytes, _, salt, check = struct.unpack(">IIII8s8s", header)
        if magic & ~1 != LOG_MAGIC or page_bytes != PAGE_BYTES:
            return
        order = ">" if magic & 1 else "<"
        sums = _checked((0, 0), header[:24], order)
        if struct.pack(">II", *sums) != check:
            return
        fresh: dict[int, int] = {}
        while True:
            at = file.tell()
            frame = file.read(FRAME_HEADER_BYTES + PAGE_BYTES)
            if len(frame) < FRAME_HEADER_BYTES + PAGE_BYTES:
                return
            number, count, frame_salt, check = struct.unpack_from(">II8s8s", frame)
            sums = _checked(sums, frame[:8] + frame[FRAME_HEADER_BYTES:], order)
            if frame_salt != salt or struct.pack(">II", *sums) != check:
                return
            fresh[number] = at + FRAME_HEADER_BYTES
            if count:
                yield fresh, count
                fresh = {}


def write_again(path: Path) -> None:
    """Write what a journal's log holds over itself, so that it is surely on the disk.

    After a sync that failed the system may take for written what never reached the disk, and no
    later sync tries it again. Were that folded into the file, a power cut in the middle would leave
    half of it there, and nothing in the log to mend it with. Bytes that are the same may be torn.

    Args:
        path: the database file; nobody else writes it.

    Raises:
        OSError: the disk does not take it.
    """
    try:
        descriptor = os.open(log_of(Path(os.path.realpath(path))), os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        end = _end_of_turn(descriptor)
        for at in range(0, end, PIECE_BYTES):
            os.pwrite(descriptor, os.pread(descriptor, min(PIECE_BYTES, end - at), at), at)
        if end:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_of_turn(descriptor: int) -> int:
    """Return where the frames end that were written since the log began anew; 0: there are none."""
    header = os.pread(descriptor, LOG_HEADER_BYTES, 0)
    if len(header) < LOG_HEADER_BYTES:
        return 0
    salt, end = header[16:24], LOG_HEADER_BYTES
    while os.pread(descriptor, 8, end + 8) == salt:
        end += FRAME_HEADER_BYTES + PAGE_BYTES
    return end if end > LOG_HEADER_BYTES else 0


def _checked(sums: tuple[int, int], content: bytes, order: str) -> tuple[int, int]:
    """Return the log's checksum, carried on over some bytes."""
    one, two = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & 0xFFFFFFFF
        two = (two + words[at + 1] + one) & 0xFFFFFFFF
    return one, two
