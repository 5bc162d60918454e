"""A post: the only place where the gateway's parts are wired together.

Start: lock -> journal -> what is known of the nodes -> broker, link, committer, judges, forwarder.
Each runs under its own supervisor in one TaskGroup. Stop: cancel them, keep the counters, close.
A kill at any moment is a stop too: everything promised is in the journal, the next start goes on.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gateway.errors import JournalError, SettingsError
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.roster import Roster
from gateway.forward.https import Forwarder
from gateway.ingest.broker import Broker, find_program
from gateway.ingest.committer import Committer
from gateway.ingest.intake import Taken
from gateway.ingest.judging import Judging
from gateway.ingest.link import ARRIVALS_MAX, Link
from gateway.journal.records import save_counters
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.screening.watchlists import load_watchlists
from gateway.settings import Settings
from gateway.spectra.library import load_library
from gateway.supervisor import supervise

JOURNAL_NAME = "journal.sqlite"
LOCK_NAME = "gateway.lock"
COUNTERS_S = 5.0  # a crash forgets at most this much counting; records are never counted on


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds; a label, never an order."""
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the post's folder: two gateways on one journal would both answer its nodes.

    Raises:
        SettingsError: the folder cannot be used, or another gateway holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"directory {directory}: {error.strerror}; choose a folder this user may write"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SettingsError(
            f"directory {directory}: another gateway runs there; stop it first"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def is_running(directory: Path) -> bool:
    """Say whether a gateway holds the post's folder now."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


async def run(settings: Settings, log: Log) -> None:
    """Run the post until SIGTERM or SIGINT.

    Raises:
        SettingsError: the folder is in use or cannot be used.
        JournalError: the journal cannot be opened.
        BrokerError: there is no broker program.
    """
    directory = Path(settings.directory)
    with locked(directory):
        if not settings.broker.external:
            find_program(settings.broker.program)  # better said now than every 30 s from a task
        journal = Journal(directory / JOURNAL_NAME)
        await journal.open()
        try:
            await _run_parts(settings, journal, directory, log)
        finally:
            await journal.close()
    log.info("stopped", post=settings.post)


async def _run_parts(settings: Settings, journal: Journal, directory: Path, log: Log) -> None:
    counters = Counters()
    arrivals: asyncio.Queue[tuple[Taken, bool]] = asyncio.Queue(ARRIVALS_MAX)
    judge_wanted, alert_wanted = asyncio.Event(), asyncio.Event()
    outgoing = Outgoing(settings.post)
    roster = Roster(settings, journal, outgoing, now_ms=now_ms, counters=counters, log=log)
    await roster.load()
    link = Link(
        settings,
        arrivals=arrivals,
        outgoing=outgoing,
        announce=roster.announce,
        counters=counters,
        log=log,
    )
    committer = Committer(
        journal, roster, arrivals, judge_wanted, now_ms=now_ms, counters=counters, log=log
    )
    judging = Judging(
        settings,
        journal,
        roster,
        load_library(),
        load_watchlists(),
        wanted=judge_wanted,
        alert_wanted=alert_wanted,
        now_ms=now_ms,
        counters=counters,
        log=log,
    )
    forwarder = Forwarder(
        settings.authority, journal, alert_wanted, now_ms=now_ms, counters=counters, log=log
    )
    parts = {
        "link": link.run,
        "committer": committer.run,
        "judging": judging.run,
        "forwarder": forwarder.run,
        "counters": lambda: _keep_counters(journal, counters),
    }
    if not settings.broker.external:
        parts["broker"] = Broker(settings.broker, directory, log).run
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log.info("started", post=settings.post, nodes=[node.id for node in settings.nodes])
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(supervise(name, part, counters=counters, log=log), name=name)
            for name, part in parts.items()
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()
    judging.close()
    with contextlib.suppress(JournalError):  # a full disk must not keep a post from stopping
        fresh = counters.take()
        await journal.write(partial(save_counters, counts=fresh))


async def _keep_counters(journal: Journal, counters: Counters) -> None:
    """Move the counts into the journal now and then."""
    while True:
        await asyncio.sleep(COUNTERS_S)
        fresh = counters.take()
        if fresh:
            await journal.write(partial(save_counters, counts=fresh))
