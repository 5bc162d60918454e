"""A post's life: the folder is held, the journal opened, the parts run, and all is closed again.

Start: lock -> journal -> what is known of the nodes -> the parts of gateway/parts.py.
Each runs under its own supervisor in one TaskGroup, watched by the watch that feeds the service
supervisor's watchdog. Stop: cancel them, keep the counters, close.
A kill at any moment is a stop too: everything promised is in the journal, the next start goes on.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import JournalError, SettingsError
from gateway.ingest.broker import CONFIGURATION_NAME, find_leftovers, find_program
from gateway.journal.starts import digest, save_start
from gateway.journal.store import FILE_NAME, Journal
from gateway.lock import locked
from gateway.observe.counters import NAMES, Counters
from gateway.observe.counting import Counting
from gateway.observe.log import Lines, Log
from gateway.observe.notify import Notify
from gateway.observe.pulse import Pulse
from gateway.observe.state import StateFile
from gateway.observe.throttle import Flapping
from gateway.parts import Ground, join, now_ms
from gateway.settings import Settings
from gateway.settings_faults import SettingError
from gateway.spectra import peaks
from gateway.spectra.errors import SpectraError
from gateway.spectra.standards import load_standards
from gateway.supervisor import end, supervise

# Our own broker and the link to it cost nothing to try, and an officer may be waiting behind them.
LOCAL_WAIT_S_MAX = {"broker": 2.0, "link": 2.0}
DISK_STATES = frozenset({"disk_unwell", "disk_well"})  # what else the journal tells, happened once
STOP_S_MAX = 4.25  # half a second is usual; a stop that hangs is cut short, as by a power cut
LAST_LINES_S_MAX = 0.5  # then, for the log: a stop takes less than 5 s, whoever does not read it


def serve(settings: Settings, log: Log, lines: Lines) -> None:
    """Run the post until SIGTERM or SIGINT.

    Raises:
        SettingsError: the folder is in use or cannot be used.
        JournalError: the journal cannot be opened.
        BrokerError: there is no broker program.
    """
    notify = Notify.from_environment()

    async def until_signal() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def stop_soon() -> None:
            cut = threading.Timer(STOP_S_MAX, _cut_short, (settings, log, lines))
            cut.daemon = True
            cut.start()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop_soon)
        loop.set_exception_handler(partial(_tell_fault, log))
        await run(settings, stop, log, lines, notify)

    with locked(Path(settings.directory)):
        asyncio.run(until_signal())


def _cut_short(settings: Settings, log: Log, lines: Lines) -> None:
    """End a stop that hangs: whatever was promised is on the disk, the next start goes on."""
    log.warning("stop_cut_short", text=f"not stopped after {STOP_S_MAX:g} s; ended as by a kill")
    for pid in find_leftovers(Path(settings.directory) / CONFIGURATION_NAME):
        with contextlib.suppress(OSError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
    lines.close(LAST_LINES_S_MAX)
    os._exit(0)


def _tell_fault(log: Log, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio would print: an error in a library's callback, which no task sees."""
    log.warning("loop_fault", text=f"{context['message']}: {context.get('exception')!r}")


async def run(
    settings: Settings,
    stop: asyncio.Event,
    log: Log,
    lines: Lines,
    notify: Notify | None = None,
) -> None:
    """Run the post until `stop` is set; the caller holds its folder.

    Args:
        settings: of the post.
        stop: set when it is to end.
        log: of the post.
        lines: that write the log.
        notify: the way to the service supervisor; None: there is none.

    Raises:
        SettingsError: a node's standard is none.
        JournalError: the journal cannot be opened.
        BrokerError: there is no broker program.
    """
    directory = Path(settings.directory)
    if not settings.broker.external:
        find_program(settings.broker.program)  # better said now than every 30 s from a task
    check_standards(settings)
    counters, journal_log = Counters(), log.bind(part="journal")
    loop = asyncio.get_running_loop()
    states = Flapping(partial(_show_journal, journal_log), loop.time, loop.call_later)
    journal = Journal(
        directory / FILE_NAME,
        reserve_bytes=settings.journal.reserve_bytes,
        now_ms=now_ms,
        tell=partial(_tell_journal, counters, journal_log, states),
    )
    ground = Ground(
        settings,
        journal,
        counters,
        log,
        lines,
        Pulse(time.monotonic),
        notify or Notify(),
        StateFile(directory),
    )
    try:
        await journal.open()
        with contextlib.suppress(JournalError):  # a full disk must not keep a post from starting
            await journal.write(
                partial(save_start, now_ms=now_ms(), settings_digest=digest(settings))
            )
        await _run_parts(ground, stop)
        with contextlib.suppress(JournalError):  # a full disk must not keep a post from stopping
            await Counting(journal, counters, lines).save()
    finally:
        await journal.close()
        states.flush()
        ground.file.remove()
        ground.notify.close()
    log.info("stopped", post=settings.post)


def _tell_journal(counters: Counters, log: Log, states: Flapping, name: str, text: str) -> None:
    """Count and log what the journal says of its disk and of its file."""
    if name in NAMES:
        counters.count(name)
    if name in DISK_STATES:
        states.tell(name, text)
    else:
        _show_journal(log, name, text)


def _show_journal(log: Log, name: str, text: str, unmentioned: int = 0) -> None:
    (log.error if name in NAMES else log.info)(name, text=text, unmentioned=unmentioned)


async def _run_parts(ground: Ground, stop: asyncio.Event) -> None:
    """Run the parts, each under its supervisor, until `stop` is set."""
    settings, log = ground.settings, ground.log
    parts = await join(ground)
    if not settings.nodes:
        log.warning("nodes_missing", text="no node may speak here; add [[nodes]] to the settings")
    log.info("started", post=settings.post, nodes=[node.id for node in settings.nodes])
    asyncio.get_running_loop().run_in_executor(None, peaks.load)
    waits_s_max = {} if settings.broker.external else LOCAL_WAIT_S_MAX
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                supervise(
                    name,
                    part,
                    stop=stop,
                    counters=ground.counters,
                    log=log,
                    wait_s_max=waits_s_max.get(name),
                    beat=partial(ground.pulse.renew, name),
                ),
                name=name,
            )
            for name, part in parts.running.items()
        ]
        await stop.wait()
        ground.notify.tell("STOPPING=1")
        await end(tasks)
    parts.close()


def check_standards(settings: Settings) -> None:
    """Insist that every node's standard is one.

    Raises:
        SettingsError: it is not, or the shipped table of standards is faulty.
    """
    try:
        known = load_standards()
    except SpectraError as error:
        raise SettingsError(f"this installation: {error}; install the package again") from error
    for index, node in enumerate(settings.nodes):
        if node.standard not in known:
            key = f"nodes[{index}].standard"
            raise SettingError(
                key, f"{key} = {node.standard!r} is none; use one of {', '.join(sorted(known))}"
            )
