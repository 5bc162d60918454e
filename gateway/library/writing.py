"""Write into the library's folder so that a kill costs nothing and a running gateway notices."""

from __future__ import annotations

from pathlib import Path

from gateway import files
from gateway.spectra.errors import LibraryError

MARK = "changed"
"""Empty file whose time says when a command changed the folder; a gateway looks at it often."""


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a kill at any moment leaves the old content or the new.

    Raises:
        LibraryError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, content, mode=mode)
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}; choose a folder you may write") from error


def mark_changed(directory: Path) -> None:
    """Tell a running gateway to look at the folder now, not within a minute.

    Raises:
        LibraryError: the folder cannot be written.
    """
    if directory.is_dir():
        write_whole(directory / MARK, b"")
