"""`harmattan doctor`."""

import os
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from gateway.doctor.finding import Level
from gateway.doctor.machine import Machine
from gateway.doctor.scene import look_at
from gateway.doctor.showing import report, show
from gateway.errors import SettingsError
from gateway.lock import LOCK_NAME, check_folder, is_running
from gateway.settings import Settings

EXIT_STATUS: Final = {Level.ok: 0, Level.look: 1, Level.unknown: 2, Level.bad: 2}


def run(
    settings: Settings,
    settings_path: Path,
    *,
    as_json: bool,
    everything: bool,
    rehearse: bool,
    console: Console,
) -> int:
    """Examine the post, or rehearse, and tell; return the exit status.

    0 all is well, 1 somebody should look, 2 something is bad or cannot be told.

    Raises:
        SettingsError: the post's folder is none, or this user may not look into it.
    """
    check_folder(Path(settings.directory))
    if rehearse:
        from gateway.doctor.rehearsal import command as rehearsal  # noqa: PLC0415 - loads aiohttp

        return rehearsal.run(settings, as_json=as_json, console=console)
    from gateway.doctor.examine import examine  # noqa: PLC0415 - loads scipy

    _check_rights(Path(settings.directory))
    now_ms = time.time_ns() // 1_000_000
    running = is_running(Path(settings.directory))
    scene = look_at(settings, settings_path, now_ms=now_ms, running=running, machine=Machine())
    try:
        told = report(settings.post, now_ms, examine(scene))
    finally:
        scene.journal.close()
    if as_json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        show(told, console, everything=everything)
    return EXIT_STATUS[Level(told.level)]


def _check_rights(directory: Path) -> None:
    """Insist on a user who may look: for another everything would seem to be missing."""
    for path, rights in ((directory, os.R_OK | os.X_OK), (directory / LOCK_NAME, os.R_OK)):
        try:
            path.stat()
        except FileNotFoundError:
            continue
        except PermissionError:
            allowed = False
        else:
            allowed = os.access(path, rights, effective_ids=os.access in os.supports_effective_ids)
        if not allowed:
            raise SettingsError(
                f"{path}: this user may not look there; run the doctor as the user of the gateway,"
                " or as root"
            )
