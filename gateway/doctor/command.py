"""`harmattan doctor`."""

import sys
import time
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from gateway.doctor.examine import examine
from gateway.doctor.finding import Level
from gateway.doctor.machine import Machine
from gateway.doctor.scene import look_at
from gateway.doctor.showing import report, show
from gateway.lock import is_running
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
    """
    if rehearse:
        from gateway.doctor.rehearsal import command as rehearsal  # noqa: PLC0415 - loads aiohttp

        return rehearsal.run(settings, as_json=as_json, console=console)
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
