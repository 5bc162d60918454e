"""Disks as a power cut may leave them, rebuilt from a recorder's log.

What a disk keeps: a file's bytes that were written before its last sync, and the names that a
folder had at its last sync. Of everything later each sector and each name may be there or not. What
was written before a sync that failed is taken for written by the system and is never brought to the
disk, unless it is written again; programs still read it.
What is simplified: a rename is one step, a sector that is not the last is whole.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR_BYTES = 512
HOWS = ("kept", "dropped", "drawn")  # what becomes of that which is not synced
CHANCES = (0.1, 0.5, 0.9)  # of a loose sector to be there, in one image


@dataclass(slots=True)
class Content:
    """A file apart from its names."""

    synced: bytearray = field(default_factory=bytearray)
    loose: list[tuple[Any, ...]] = field(default_factory=list)
    given_up: list[tuple[Any, ...]] = field(default_factory=list)  # by a sync that failed

    def sync(self) -> None:
        """Make what was written safe."""
        for late in self.loose:
            apply(self.synced, late)
            self._write_over(late)
        self.loose.clear()

    def fail_to_sync(self) -> None:
        """Take what was written for safe, though it is not; only the file's length is."""
        for late in self.loose:
            self._write_over(late)
            if late[0] == "write":
                self.given_up += _pieces(late)
            else:
                apply(self.synced, late)
        self.loose.clear()

    def _write_over(self, late: tuple[Any, ...]) -> None:
        """Forget what was given up of a place that is written again."""
        begin = late[2]
        end = begin + len(late[3]) if late[0] == "write" else 1 << 62
        self.given_up = [
            piece for piece in self.given_up if piece[2] + len(piece[3]) <= begin or end <= piece[2]
        ]

    def cached(self) -> bytearray:
        """Return what programs read."""
        left = bytearray(self.synced)
        for late in (*self.given_up, *self.loose):
            apply(left, late)
        return left


class Disk:
    """Follows a log, operation by operation.

    Args:
        files: names and bytes that were there, and synced, before the log begins.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self._synced_names: dict[str, Content] = {
            name: Content(bytearray(content)) for name, content in files.items()
        }
        self._names = dict(self._synced_names)
        self._loose_names: list[tuple[tuple[str, ...], Content | None]] = []

    def do(self, operation: tuple[Any, ...]) -> bool:
        """Follow one operation; say whether what is safely there may be another thing now."""
        match operation:
            case ("sync", name):
                if name in self._names:
                    self._names[name].sync()
                return True
            case ("fail_to_sync", name):
                if name in self._names:
                    self._names[name].fail_to_sync()
                return True
            case ("syncdir", folder):
                self._sync_names(folder)
                return True
            case ("write" | "truncate", name, *_):
                self._names[name].loose.append(operation)
            case ("create" | "delete" | "rename", *_):
                self._change_names(operation)
        return False

    def _change_names(self, step: tuple[str, ...]) -> None:
        if step[0] == "rename" and step[1] not in self._names:
            return  # a folder: what is in it is not followed
        content = Content() if step[0] == "create" else self._names.get(step[1])
        _rename(self._names, step, content)
        self._loose_names.append((step, content))

    def _sync_names(self, folder: str) -> None:
        rest = []
        for step, content in self._loose_names:
            if any(name.rpartition("/")[0] == folder for name in step[1:]):
                _rename(self._synced_names, step, content)
            else:
                rest.append((step, content))
        self._loose_names = rest

    def cut(self, how: str, rng: random.Random) -> dict[str, bytes]:
        """Return names and bytes after a power cut.

        Args:
            how: one of HOWS.
            rng: draws, when it is `drawn`.
        """
        names = dict(self._synced_names)
        for step, content in self._survivors(how, rng):
            _rename(names, step, content)
        chance = rng.choice(CHANCES)
        hole = rng.randbytes(SECTOR_BYTES) if rng.random() < 0.5 else bytes(SECTOR_BYTES)
        files = {}
        for name, content in names.items():
            left = bytearray(content.synced)
            if how == "kept":
                for late in content.loose:
                    apply(left, late)
            elif how == "drawn":
                _draw(left, [*content.given_up, *content.loose], chance, hole, rng)
            files[name] = bytes(left)
        return files

    def after_kill(self) -> dict[str, bytes]:
        """Return names and bytes as the next start reads them while the power stays."""
        return {name: bytes(content.cached()) for name, content in self._names.items()}

    def _survivors(
        self, how: str, rng: random.Random
    ) -> list[tuple[tuple[str, ...], Content | None]]:
        """Return the changes of names that reached the disk.

        A file system with a journal keeps their order; one without keeps any of them.
        """
        if how == "kept":
            return self._loose_names
        if how == "dropped" or not self._loose_names:
            return []
        if rng.random() < 0.5:
            return self._loose_names[: rng.randrange(len(self._loose_names) + 1)]
        return [step for step in self._loose_names if rng.random() < 0.5]


def _rename(names: dict[str, Content], step: tuple[str, ...], content: Content | None) -> None:
    match step:
        case ("create", name):
            if content is not None:
                names[name] = content
        case ("delete", name):
            names.pop(name, None)
        case ("rename", old, new):
            if content is not None:
                if names.get(old) is content:
                    del names[old]
                names[new] = content


def apply(content: bytearray, operation: tuple[Any, ...], hole: bytes = b"") -> None:
    """Do a write or a truncation to a file's bytes; what lies between is filled with `hole`."""
    if operation[0] == "truncate":
        del content[operation[2] :]
        return
    _, _, offset, written = operation
    missing = offset - len(content)
    if missing > 0:
        fill = hole * (missing // len(hole) + 1) if hole else bytes(missing)
        content.extend(fill[:missing])
    content[offset : offset + len(written)] = written


def _draw(
    left: bytearray,
    loose: list[tuple[Any, ...]],
    chance: float,
    hole: bytes,
    rng: random.Random,
) -> None:
    """Apply those sectors of loose writes that are drawn; the last of them only in part."""
    kept = [piece for entry in loose for piece in _pieces(entry) if rng.random() < chance]
    if kept and kept[-1][0] == "write" and rng.random() < 0.5:
        _, name, offset, written = kept[-1]
        kept[-1] = ("write", name, offset, written[: rng.randrange(len(written) + 1)])
    for piece in kept:
        apply(left, piece, hole)


def _pieces(operation: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Split a write into the disk's sectors, which reach it each on its own."""
    if operation[0] != "write":
        yield operation
        return
    _, name, offset, written = operation
    at = 0
    while at < len(written):
        end = min(len(written), at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES)
        yield ("write", name, offset + at, written[at:end])
        at = end


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    """Write an image's files into an empty folder."""
    for name, content in files.items():
        path = folder / name
        if "/" in name:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
