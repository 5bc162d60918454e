"""Write a file so that a kill or a power cut at any moment leaves the old content or the new."""

import contextlib
import errno
import os
from pathlib import Path

SECRET = 0o600  # mode of whatever opens a door: keys, password hashes


def shown(path: Path | str) -> str:
    r"""Return a path as text, also one whose bytes are no letters: those as `\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def not_utf8(path: Path | str) -> str:
    """Say that a path has bytes in it that no JSON, TOML or database takes; empty: it has none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return (
            f"{shown(path)}: this name is not UTF-8; rename the file or folder, or choose another"
        )
    return ""


def is_looped(path: Path) -> bool:
    """Say whether symbolic links on the way lead in a circle."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by a new file with this content, which is on the disk when this returns.

    Args:
        path: its folder exists.
        content: of the file.
        mode: of the file, whatever the umask.

    Raises:
        OSError: the folder cannot be written; the old file is as it was.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    write_new(part, content, mode=mode)
    part.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file that must not exist yet; its name is safe only after `sync_folder`.

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be written.
    """
    # Closed to others from its first moment: a mode that is set afterwards comes too late.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        give_to_owner(file.fileno(), path.parent)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make a folder that must not exist yet, for the owner of the one that it lies in.

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be made.
    """
    path.mkdir(mode=mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        give_to_owner(descriptor, path.parent)
    finally:
        os.close(descriptor)


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Give a file that root has made to the owner of its folder, who is to use it."""
    if os.geteuid() == 0:
        about = folder.stat()
        with contextlib.suppress(OSError):  # a file system without owners
            os.fchown(descriptor, about.st_uid, about.st_gid)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk.

    Raises:
        OSError: the disk does not do it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
