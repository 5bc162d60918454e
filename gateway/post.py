"""A post: the only place where the gateway's parts are wired together.

Start: lock -> journal -> what is known of the nodes -> broker, link, committer, judges, forwarder.
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
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import JournalError, SettingsError
from gateway.fleet.liveness import Heard, Liveness
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.revocation import Revocation, broker_lines
from gateway.fleet.roster import Roster
from gateway.fleet.timekeeping import Timekeeping, monotonic_ms
from gateway.fleet.watching import Watching
from gateway.forward.https import Forwarder
from gateway.ingest.arrivals import Arrivals
from gateway.ingest.broker import CONFIGURATION_NAME, Broker, find_leftovers, find_program
from gateway.ingest.committer import Committer
from gateway.ingest.gate import Gate
from gateway.ingest.judging import Judging
from gateway.ingest.knowledge import Knowledge
from gateway.ingest.link import Link
from gateway.journal.postures import save_posture
from gateway.journal.records import save_counters
from gateway.journal.retention import Limits
from gateway.journal.starts import digest, save_start
from gateway.journal.store import FILE_NAME, Journal
from gateway.journal.upkeep import Upkeep
from gateway.lock import locked
from gateway.observe.counters import NAMES, Counters
from gateway.observe.log import Lines, Log
from gateway.observe.metrics import Live, answer
from gateway.observe.notify import Notify
from gateway.observe.pulse import Pulse
from gateway.observe.scrape import Scrape
from gateway.observe.state import State, StateFile
from gateway.observe.watch import Watch
from gateway.settings import Settings
from gateway.settings_faults import SettingError
from gateway.spectra.errors import SpectraError
from gateway.spectra.standards import load_standards
from gateway.supervisor import attempt, end, endure, supervise

COUNTERS_S = 5.0  # a crash forgets at most this much counting; records are never counted on
# Our own broker and the link to it cost nothing to try, and an officer may be waiting behind them.
LOCAL_WAIT_S_MAX = {"broker": 2.0, "link": 2.0}
STOP_S_MAX = 4.5  # half a second is usual; a stop that hangs is cut short, as by a power cut

Part = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class _Outside:
    """What a post is watched by."""

    notify: Notify
    file: StateFile
    pulse: Pulse


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds; a label, never an order."""
    return time.time_ns() // 1_000_000


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
    lines.close()
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
        JournalError: the journal cannot be opened.
        BrokerError: there is no broker program.
    """
    directory = Path(settings.directory)
    if not settings.broker.external:
        find_program(settings.broker.program)  # better said now than every 30 s from a task
    outside = _Outside(notify or Notify(), StateFile(directory), Pulse(time.monotonic))
    counters = Counters()
    journal = Journal(
        directory / FILE_NAME,
        reserve_bytes=settings.journal.reserve_bytes,
        now_ms=now_ms,
        tell=partial(_tell_journal, counters, log.bind(part="journal")),
    )
    try:
        await journal.open()
        with contextlib.suppress(JournalError):  # a full disk must not keep a post from starting
            await journal.write(
                partial(save_start, now_ms=now_ms(), settings_digest=digest(settings))
            )
        await _run_parts(settings, journal, stop, counters, log, lines, outside)
        with contextlib.suppress(JournalError):  # a full disk must not keep a post from stopping
            await _save_counters(journal, counters, lines)
    finally:
        await journal.close()
        outside.file.remove()
        outside.notify.close()
    log.info("stopped", post=settings.post)


def _tell_journal(counters: Counters, log: Log, name: str, text: str) -> None:
    """Count and log what the journal says of its disk and of its file."""
    if name in NAMES:
        counters.count(name)
        log.error(name, text=text)
    else:
        log.info(name, text=text)


async def _run_parts(
    settings: Settings,
    journal: Journal,
    stop: asyncio.Event,
    counters: Counters,
    log: Log,
    lines: Lines,
    outside: _Outside,
) -> None:
    """Wire the parts together and run them until `stop` is set."""
    pulse = outside.pulse
    arrivals = Arrivals(settings.ingest)
    revocation = Revocation(
        Path(settings.directory),
        counters=counters,
        log=log,
        beat=partial(pulse.beat, "revocation"),
    )
    gate = Gate(
        frozenset(node.id for node in settings.nodes),
        revoked=revocation.current,
        counters=counters,
        log=log,
        save=partial(_save_posture, journal, "quarantine"),
        beat=partial(pulse.beat, "gate"),
    )
    judge_wanted, alert_wanted = asyncio.Event(), asyncio.Event()
    outgoing = Outgoing(settings.post, now_ms)
    roster = Roster(settings, journal, outgoing, now_ms=now_ms)
    await roster.load()
    broker = None
    if not settings.broker.external:
        broker = Broker(
            settings.broker,
            Path(settings.directory),
            counters=counters,
            log=log,
            post=settings.post,
            nodes_count=len(settings.nodes),
            node_lines=partial(broker_lines, settings.broker),
            revoked=revocation.current,
            misbehaved=partial(gate.note, cause="topic_foreign"),
            beat=partial(pulse.beat, "broker"),
        )
    liveness = Liveness({node.id: node.health_s for node in settings.nodes})
    watching = Watching(
        liveness,
        revoked=revocation.current,
        now_ms=monotonic_ms,
        wall_ms=now_ms,
        counters=counters,
        log=log,
        beat=partial(pulse.beat, "liveness"),
    )
    link = Link(
        settings,
        arrivals=arrivals,
        gate=gate,
        endure=partial(endure, "link", counters=counters, log=log),
        secret=lambda: broker.secret if broker else None,
        outgoing=outgoing,
        announce=roster.announce,
        watching=watching,
        broker_ready=broker.ready if broker else None,
        now_ms=now_ms,
        counters=counters,
        log=log,
        beat=partial(pulse.beat, "link"),
    )
    committer = Committer(
        journal,
        roster,
        arrivals,
        judge_wanted,
        counters=counters,
        log=log,
        beat=partial(pulse.beat, "committer"),
        now_ms=now_ms,
    )
    check_standards(settings)
    knowledge = Knowledge(
        settings, changed=judge_wanted.set, now_ms=now_ms, counters=counters, log=log
    )
    judging = Judging(
        settings,
        journal,
        roster,
        knowledge,
        wanted=judge_wanted,
        alert_wanted=alert_wanted,
        attempt=partial(attempt, "judging", counters=counters, log=log),
        now_ms=now_ms,
        counters=counters,
        log=log,
        beat=partial(pulse.beat, "judging"),
    )
    forwarder = Forwarder(
        settings.authority,
        journal,
        alert_wanted,
        now_ms=now_ms,
        counters=counters,
        log=log,
        beat=partial(pulse.beat, "forwarder"),
    )
    timekeeping = Timekeeping(
        now_ms=now_ms, set_by=roster.correct_time, counters=counters, log=log, pulse=pulse
    )
    upkeep = Upkeep(
        journal,
        Limits(settings.journal.bytes_max, settings.journal.days_max),
        now_ms=now_ms,
        count=counters.count,
        beat=partial(pulse.beat, "upkeep"),
    )
    parts: dict[str, Part] = {
        "revocation": revocation.run,
        "journal": partial(journal.run, beat=partial(pulse.beat, "journal")),
        "upkeep": upkeep.run,
        "gate": gate.run,
        "liveness": watching.run,
        "link": link.run,
        "committer": committer.run,
        "judging": judging.run,
        "knowledge": knowledge.run,
        "forwarder": forwarder.run,
        "clock": timekeeping.run,
        "counters": partial(_keep_counters, journal, counters, lines, pulse),
    }
    if broker is not None:
        parts["broker"] = broker.run
    # Last: the post is ready when the watch begins.
    parts |= _observers(
        settings,
        journal,
        arrivals,
        gate,
        watching,
        outgoing,
        roster,
        liveness,
        outside,
        counters,
        log,
        lines,
    )
    if not settings.nodes:
        log.warning("nodes_missing", text="no node may speak here; add [[nodes]] to the settings")
    log.info("started", post=settings.post, nodes=[node.id for node in settings.nodes])
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                supervise(
                    name,
                    part,
                    stop=stop,
                    counters=counters,
                    log=log,
                    wait_s_max=None if broker is None else LOCAL_WAIT_S_MAX.get(name),
                    beat=partial(pulse.renew, name),
                ),
                name=name,
            )
            for name, part in parts.items()
        ]
        await stop.wait()
        outside.notify.tell("STOPPING=1")
        await end(tasks)
    judging.close()
    knowledge.close()


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


def _observers(  # noqa: PLR0913, PLR0917 - everything that is looked at
    settings: Settings,
    journal: Journal,
    arrivals: Arrivals,
    gate: Gate,
    watching: Watching,
    outgoing: Outgoing,
    roster: Roster,
    liveness: Liveness,
    outside: _Outside,
    counters: Counters,
    log: Log,
    lines: Lines,
) -> dict[str, Part]:
    """Return the parts that look at the others: the watch, and who answers for metrics."""
    started_ms, pulse = now_ms(), outside.pulse

    def state() -> State:
        barred = {node: found.cause for node, found in gate.states().items()}
        return State(
            settings.directory,
            os.getpid(),
            started_ms,
            disk=journal.condition,
            barred=barred,
            barred_count=len(barred),
            linked_ms=watching.linked_ms,
        )

    def live() -> Live:
        waiting = arrivals.sizes()
        return Live(
            state(),
            counters.totals(),
            pulse.silences(),
            arrivals=(waiting.messages, waiting.bytes, waiting.nodes),
            outgoing=len(outgoing),
            operations=journal.waiting,
            lines=lines.waiting,
            silent={
                node: found.heard is Heard.silent
                for node, found in liveness.states(monotonic_ms()).items()
                if found.heard is not Heard.unknown
            },
            missing=roster.holes(),
        )

    watch = Watch(
        outside.notify,
        pulse,
        flight=lambda: journal.flight,
        state=state,
        file=outside.file,
        now_s=time.monotonic,
        counters=counters,
        log=log,
    )
    parts: dict[str, Part] = {"watch": watch.run}
    if settings.observe.metrics_port:
        parts["metrics"] = Scrape(
            settings.observe.metrics_port,
            lambda: attempt(
                "metrics", answer(settings, journal, live, now_ms), counters=counters, log=log
            ),
            partial(pulse.beat, "metrics"),
        ).run
    return parts


async def _save_posture(journal: Journal, name: str, text: str | None) -> None:
    """Keep a lasting state of the post for whoever looks at it from outside.

    Raises:
        JournalError: it is not kept.
    """
    await journal.write(partial(save_posture, name=name, text=text, now_ms=now_ms()))


async def _keep_counters(journal: Journal, counters: Counters, lines: Lines, pulse: Pulse) -> None:
    """Move the counts into the journal now and then.

    Raises:
        JournalError: the counts are kept in memory.
    """
    while True:
        pulse.beat("counters")
        await asyncio.sleep(COUNTERS_S)
        await _save_counters(journal, counters, lines)


async def _save_counters(journal: Journal, counters: Counters, lines: Lines) -> None:
    if lines.dropped:
        dropped, lines.dropped = lines.dropped, 0
        counters.count("log_dropped", amount=dropped)
    fresh = counters.take()
    if not fresh:
        return
    try:
        await journal.write(partial(save_counters, counts=fresh))
    except JournalError:
        counters.give_back(fresh)
        raise
