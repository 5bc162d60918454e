"""Room in memory for the broker's files, while the post's own disk takes nothing.

What the broker is told is written when it changes. A post whose disk is full at its first start, or
after its settings were changed, would have no broker without that, and nobody would answer its
nodes. The folder is found by the path of the post's, and believed where the post's owner made it.
"""

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from gateway.ingest.written import write_if_changed

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - Linux; elsewhere there is none
NAME_CHARS: Final = 16  # of a digest: 64 bits tell the posts of a computer apart
OF_THE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def beside(path: Path) -> Path:
    """Return where a file of a post's folder lies while the disk takes nothing."""
    digest = hashlib.sha256(os.fsencode(path.parent.absolute())).hexdigest()
    return MEMORY / f"harmattan-{digest[:NAME_CHARS]}" / path.name


def write(path: Path, content: str, mode: int) -> Path:
    """Have a file of the post's folder hold `content`, or one in memory; return where it lies.

    Raises:
        OSError: neither can be written; what the disk said.
    """
    there = beside(path)
    try:
        write_if_changed(path, content, mode)
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        try:
            return write_apart(path, content, mode)
        except OSError:
            raise error from None
    if is_trusted(path):  # of an earlier start: whoever finds that one takes it for the newer
        with contextlib.suppress(OSError):
            there.unlink(missing_ok=True)
            there.parent.rmdir()
    return path


def write_apart(path: Path, content: str, mode: int) -> Path:
    """Have the file in memory hold `content`, whatever the disk would do; return where it lies.

    Raises:
        OSError: it cannot be written.
    """
    there = beside(path)
    try:
        _make(there.parent)
        write_if_changed(there, content, mode)
    except OSError:
        with contextlib.suppress(OSError):  # nothing is in it
            there.parent.rmdir()
        raise
    return there


def is_trusted(path: Path) -> bool:
    """Say whether what lies in memory beside a file is of the post: anybody may write there."""
    try:
        found, owner = beside(path).parent.lstat(), path.parent.stat().st_uid
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid in {owner, os.geteuid()}


def _make(folder: Path) -> None:
    """Make the folder, for this user alone; a broker that root starts becomes another.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "is somebody else's", str(folder))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
