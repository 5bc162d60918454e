"""Files that are whole or absent, and one setup at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provision.terminal import SetupError, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S_MAX = 900.0  # a whole setup over a slow line; longer means that the other one hangs
POLL_S = 0.5


def digest(path: Path) -> str:
    """Give the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that it is seen with its whole content or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.replace(path)


def read_stamp(path: Path) -> dict[str, str]:
    """Read a stamp; empty when it is absent or unreadable, which means: do the work again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_stamp(path: Path, stamp: dict[str, str]) -> None:
    """Record for which inputs the work is done."""
    write_whole(path, json.dumps(stamp, indent=1, sort_keys=True) + "\n")


def put_folder(fresh: Path, final: Path) -> None:
    """Give a finished folder its final name, in place of an older one."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    fresh.rename(final)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a lock file while setting up, so that two `make` in one tree do not meet.

    Raises:
        SetupError: another setup has held it for longer than `WAIT_S_MAX`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + WAIT_S_MAX
    told = False
    with path.open("a", encoding="utf-8") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupError(
                        f"another setup has held {path} for {WAIT_S_MAX:.0f} s; "
                        "end it and try again"
                    ) from None
                if not told:
                    say("another setup is at work in this folder; waiting for it")
                    told = True
                time.sleep(POLL_S)
        yield
