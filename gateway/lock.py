"""Who holds a post's folder: one gateway, until its process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import SettingsError

LOCK_NAME = "gateway.lock"
LOCK_S_MAX = 1.0  # `is_running` holds the lock for a moment; another gateway keeps it
LOCK_AGAIN_S = 0.05
DISK_FAULTS = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the post's folder: two gateways on one journal would both answer its nodes.

    On a disk that takes nothing, not even the lock's file, the folder itself is held: a post whose
    disk is full still has alerts to send.

    Raises:
        SettingsError: the folder cannot be used, or another gateway holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptors = _open(directory)
    except (FileExistsError, NotADirectoryError) as error:
        raise no_folder(directory) from error
    except OSError as error:
        raise SettingsError(
            f"directory {directory}: {error.strerror}; choose a folder this user may write"
        ) from error
    try:
        deadline_s = time.monotonic() + LOCK_S_MAX
        for descriptor in descriptors:
            while not _lock(descriptor):
                if time.monotonic() > deadline_s:
                    raise SettingsError(
                        f"directory {directory}: another gateway runs there; stop it first, or give"
                        " this one a folder of its own"
                    )
                time.sleep(LOCK_AGAIN_S)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def no_folder(directory: Path) -> SettingsError:
    """Return what is wrong when a post's folder is a file."""
    return SettingsError(
        f"directory {directory}: a file has this name, or one of the folders on the way; set"
        " `directory` to a folder in the settings"
    )


def check_folder(directory: Path) -> None:
    """Insist that the post's folder, where there is one, is a folder: to look needs no more.

    Raises:
        SettingsError: it is a file.
    """
    try:
        is_folder = stat.S_ISDIR(directory.stat().st_mode)
    except NotADirectoryError as error:
        raise no_folder(directory) from error
    except OSError:
        return  # not there, or not to be looked at: whoever needs it says so
    if not is_folder:
        raise no_folder(directory)


def _open(directory: Path) -> list[int]:
    """Open what is held: the folder, and the lock's file where there is one or one can be made."""
    descriptors = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY)]
    path = directory / LOCK_NAME
    try:
        descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            os.close(descriptors[0])
            raise
        with contextlib.suppress(OSError):
            descriptors.append(os.open(path, os.O_RDONLY))
    return descriptors


def is_running(directory: Path) -> bool:
    """Say whether a gateway holds the post's folder now."""
    for path in (directory / LOCK_NAME, directory):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            if not _lock(descriptor):
                return True
        finally:
            os.close(descriptor)
    return False


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
