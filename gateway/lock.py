"""Who holds a post's folder: one gateway, until its process ends, however it ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import SettingsError

LOCK_NAME = "gateway.lock"
LOCK_S_MAX = 1.0  # `is_running` holds the lock for a moment; another gateway keeps it
LOCK_AGAIN_S = 0.05


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the post's folder: two gateways on one journal would both answer its nodes.

    Raises:
        SettingsError: the folder cannot be used, or another gateway holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"directory {directory}: {error.strerror}; choose a folder this user may write"
        ) from error
    try:
        deadline_s = time.monotonic() + LOCK_S_MAX
        while not _lock(descriptor):
            if time.monotonic() > deadline_s:
                raise SettingsError(
                    f"directory {directory}: another gateway runs there; stop it first, or give"
                    " this one a folder of its own"
                )
            time.sleep(LOCK_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def is_running(directory: Path) -> bool:
    """Say whether a gateway holds the post's folder now."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
