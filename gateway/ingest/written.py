"""Files of the broker that are written only when they change."""

import contextlib
from pathlib import Path

from gateway.files import write_whole


def write_if_changed(path: Path, content: str, mode: int) -> bool:
    """Have `path` hold `content`; say whether it had to be written.

    A file that holds it already is left alone: a full disk then keeps nobody from starting.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text() == content and path.stat().st_mode & 0o777 == mode:
            return False
    write_whole(path, content.encode(), mode=mode)
    return True
