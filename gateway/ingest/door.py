"""The gateway's own way into its broker: a socket file in the post's folder.

A port can be filled by any program that reaches it, with connections that say nothing, and then the
gateway itself finds no place. The file's folder can be entered by the gateway's user alone.
"""

import contextlib
import os
import pwd
import re
import resource
from pathlib import Path
from typing import Final, Literal

from gateway.settings import Settings

FOLDER: Final = "broker"  # in the post's folder
NAME: Final = "own.sock"
ROOTS_BROKER: Final = "nobody"  # whom a broker becomes that root started
# What fits into `sockaddr_un`, and what mosquitto's configuration can say: it splits at blanks.
_SAYABLE: Final = re.compile(rb"/[!-~]{1,106}")

Way = tuple[str, int, Literal["tcp", "unix"]]


def path_in(directory: Path) -> Path | None:
    """Return where a broker may have its socket in the post's folder; None: nowhere."""
    path = directory.absolute() / FOLDER / NAME
    return path if _SAYABLE.fullmatch(os.fsencode(path)) else None


def prepare(directory: Path) -> Path | None:
    """Make the folder for a broker that is about to start; return where its socket is to be.

    Returns:
        None where there can be none: the way is too long, or whom a broker of root becomes may not
        go it.

    Raises:
        OSError: it cannot be made.
    """
    path, is_root = path_in(directory), os.geteuid() == 0
    if path is None:
        return None
    path.unlink(missing_ok=True)  # of an earlier start, perhaps another user's
    if is_root and not all(folder.stat().st_mode & 0o001 for folder in path.parents[1:]):
        return None
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if is_root:
        found = pwd.getpwnam(ROOTS_BROKER)
        os.chown(path.parent, found.pw_uid, found.pw_gid)
    return path


def way(settings: Settings) -> Way:
    """Return address, port and transport for a client of the post on this computer."""
    broker = settings.broker
    path = None if broker.external else path_in(Path(settings.directory))
    if path is not None and path.is_socket():
        return str(path), broker.port, "unix"
    return broker.host, broker.port, "tcp"


def widen() -> None:
    """Let a broker that is about to start have more connections than the 1,024 of a shell.

    It takes the bound from us: once it runs as another user, nobody may raise it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a system with a bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
