"""Files that are written as a whole or not at all, and only when they change."""

import contextlib
import os
from pathlib import Path


def write_if_changed(path: Path, content: str, mode: int) -> bool:
    """Have `path` hold `content`; say whether it had to be written.

    A file that holds it already is left alone: a full disk then keeps nobody from starting.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text() == content and path.stat().st_mode & 0o777 == mode:
            return False
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)  # left by a kill; the mode below is that of a new file only
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, mode)  # whatever the umask is
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    return True
