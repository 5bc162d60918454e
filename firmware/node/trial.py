"""A config on trial: stored, in force, and taken back unless the gateway answers under it.

The names of the files are the state, so that each step is one rename and a power cut leaves the
state before or after it:

    config.bin       proven: the gateway was heard under it
    config.trial     on trial since this start
    config.tried     on trial since the start before: found once more, it is taken back
    config.refused   taken back: this version is not tried again until another one came

Each holds "Hc", the CRC-32 of the frame (little-endian), and the frame; older firmware wrote the
frame alone, and its files are read, too.
"""

import os
from binascii import crc32

from node import limits
from node.segment import append
from node.shelf import exists

_FILE_BYTES_MAX = 128
_MAGIC = b"Hc"  # no frame begins like this: those are arrays
_HEAD_BYTES = 6


class Trial:
    """The files, and how long the trial lasts.

    Args:
        path: of the proven config; the others have its name and another ending.
    Attributes:
        is_on: the config in force is on trial.
        is_taken_back: this start has taken one back.
    """

    def __init__(self, path: str) -> None:
        stem = path[:-4] if path.endswith(".bin") else path
        self._proven = path
        self._trial, self._tried = stem + ".trial", stem + ".tried"
        self._refused = stem + ".refused"
        self._begun_ms = 0
        self.is_on = self.is_taken_back = False

    def start(self) -> "tuple[bytes | None, bytes | None]":
        """Note a start; return the frames to use, the one on trial and the proven one.

        Raises:
            OSError: the medium fails.
        """
        self._begun_ms = 0
        self.is_taken_back = exists(self._tried)
        if self.is_taken_back:
            os.rename(self._tried, self._refused)
        if exists(self._trial):
            os.rename(self._trial, self._tried)
        self.is_on = exists(self._tried)
        return read(self._tried), read(self._proven)

    def refused(self) -> "bytes | None":
        """Return the frame of the config that was taken back last."""
        return read(self._refused)

    def begin(self, frame: bytes, now_ms: int) -> None:
        """Store a config and put it on trial.

        Raises:
            OSError: it could not be stored, so nothing has changed.
        """
        append(self._trial + ".new", seal(frame), "wb")
        if exists(self._refused):
            os.remove(self._refused)
        if exists(self._tried):
            os.rename(self._tried, self._trial)  # so that one rename replaces it
        os.rename(self._trial + ".new", self._trial)
        self.is_on, self._begun_ms = True, now_ms

    def is_over(self, now_ms: int) -> bool:
        """Say whether the gateway was not heard for too long."""
        return self.is_on and now_ms - self._begun_ms >= limits.CONFIG_TRIAL_MS

    def proves(self, echo_ms: "int | None", now_ms: int) -> bool:
        """Say whether an answer of the gateway ends the trial well.

        Args:
            echo_ms: uptime of what is answered: only what was sent under the config counts.
            now_ms: uptime.
        """
        return self.is_on and echo_ms is not None and self._begun_ms <= echo_ms <= now_ms

    def end(self, is_proven: bool) -> None:
        """Keep the config or take it back.

        Raises:
            OSError: the medium fails; the trial goes on.
        """
        found = self._proven  # what was proven may still turn out to be impossible
        for path in (self._tried, self._trial):
            if exists(path):
                found = path
        os.rename(found, self._proven if is_proven else self._refused)
        self.is_on = False


def _crc(frame: bytes) -> bytes:
    crc: bytes = crc32(frame).to_bytes(4, "little")
    return crc


def seal(frame: bytes) -> bytes:
    """Return what is stored of a frame."""
    return _MAGIC + _crc(frame) + frame


def unseal(content: bytes) -> "bytes | None":
    """Return the frame that `seal` was given, None when its checksum does not agree."""
    if content[:2] != _MAGIC:
        return content  # of older firmware, or no frame at all
    frame = content[_HEAD_BYTES:]
    return frame if _crc(frame) == content[2:_HEAD_BYTES] else None


def read(path: str) -> "bytes | None":
    """Return what the file holds, None when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError:
        return None
