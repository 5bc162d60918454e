"""The parts of a post, and what each is given: read this for how they hang together.

    _fleet      who may speak, who is heard, what is sent to the nodes
    _intake     broker, link to it, committer: a reading is on the disk, then receipted
    _decision   library, judges, forwarder: a verdict, an alert, a delivery
    _care       journal, retention, clock, counts
    _outlook    the watch, and who answers for metrics: they look at all the others

Each group knows those above it. Nothing runs here; gateway/post.py runs what `join` returns.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.fleet.ahead import Ahead
from gateway.fleet.liveness import Heard, Liveness
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.revocation import Revocation, broker_lines
from gateway.fleet.roster import Roster
from gateway.fleet.timekeeping import Timekeeping, monotonic_ms, time_quality
from gateway.fleet.watching import Watching
from gateway.forward.https import Forwarder
from gateway.ingest.arrivals import Arrivals
from gateway.ingest.broker import Broker
from gateway.ingest.committer import Committer
from gateway.ingest.gate import Gate
from gateway.ingest.judging import Judging
from gateway.ingest.knowledge import Knowledge
from gateway.ingest.link import Link
from gateway.ingest.shunning import Barred
from gateway.journal.postures import save_posture
from gateway.journal.retention import Limits
from gateway.journal.store import Journal
from gateway.journal.upkeep import Upkeep
from gateway.observe.certificates import link_ends
from gateway.observe.counters import Counters
from gateway.observe.counting import Counting
from gateway.observe.log import Lines, Log
from gateway.observe.metrics import Live, answer
from gateway.observe.notify import Notify
from gateway.observe.pulse import Pulse
from gateway.observe.scrape import Scrape
from gateway.observe.state import State, StateFile
from gateway.observe.watch import Watch
from gateway.settings import Settings
from gateway.supervisor import attempt, endure

Part = Callable[[], Coroutine[Any, Any, None]]


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds; a label, never an order."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Ground:
    """What every part stands on.

    Attributes:
        settings: of the post.
        journal: open.
        counters: of everything refused, lost or failed.
        log: of the post.
        lines: that write the log.
        pulse: what every part beats.
        notify: the way to the service supervisor.
        file: what the gateway says of itself to those who cannot read the journal.
    """

    settings: Settings
    journal: Journal
    counters: Counters
    log: Log
    lines: Lines
    pulse: Pulse
    notify: Notify
    file: StateFile

    @property
    def directory(self) -> Path:
        """The post's folder."""
        return Path(self.settings.directory)

    def beat(self, part: str) -> Callable[[], None]:
        """Return what a part calls at every turn."""
        return partial(self.pulse.beat, part)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a post.

    Attributes:
        running: what runs, by name, in the order in which it is started.
        close: ends what a part leaves behind in threads.
    """

    running: dict[str, Part]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Who may speak here, and how each is."""

    revocation: Revocation
    gate: Gate
    outgoing: Outgoing
    roster: Roster
    liveness: Liveness
    watching: Watching
    ahead: Ahead


@dataclass(frozen=True, slots=True)
class _Intake:
    """The way from a node to the disk."""

    arrivals: Arrivals
    broker: Broker | None
    link: Link
    committer: Committer


@dataclass(frozen=True, slots=True)
class _Decision:
    """The way from a reading to the authority."""

    knowledge: Knowledge
    judging: Judging
    forwarder: Forwarder

    def close(self) -> None:
        """End the threads."""
        self.judging.close()
        self.knowledge.close()


async def join(ground: Ground) -> Parts:
    """Make the parts and give each those it needs.

    Raises:
        JournalError: what is known of the nodes cannot be read.
    """
    judge_wanted = asyncio.Event()
    fleet = _fleet(ground, judge_wanted)
    await fleet.roster.load()
    decision = _decision(ground, fleet, judge_wanted)
    intake = _intake(ground, fleet, decision.judging, judge_wanted)
    running = {
        "revocation": fleet.revocation.run,
        "gate": fleet.gate.run,
        "liveness": fleet.watching.run,
        "link": intake.link.run,
        "committer": intake.committer.run,
        "judging": decision.judging.run,
        "knowledge": decision.knowledge.run,
        "forwarder": decision.forwarder.run,
    }
    if intake.broker is not None:
        running["broker"] = intake.broker.run
    # Last: the post is ready when the watch begins.
    running |= _care(ground, fleet) | _outlook(ground, fleet, intake)
    return Parts(running, decision.close)


def _fleet(ground: Ground, judge_wanted: asyncio.Event) -> _Fleet:
    settings, counters, log = ground.settings, ground.counters, ground.log
    revocation = Revocation(
        ground.directory, counters=counters, log=log, beat=ground.beat("revocation")
    )
    first_end_ms = min(link_ends(settings, only_own=True).values(), default=None)
    quality = partial(time_quality, ends_ms=first_end_ms)
    outgoing = Outgoing(settings.post, now_ms, quality)
    liveness = Liveness({node.id: node.health_s for node in settings.nodes})
    roster = Roster(settings, ground.journal, outgoing, now_ms=now_ms, quality=quality)
    gate = Gate(
        frozenset(node.id for node in settings.nodes),
        revoked=revocation.current,
        counters=counters,
        log=log,
        save=partial(_save_quarantine, ground.journal),
        released=roster.resume_node,
        beat=ground.beat("gate"),
    )
    watching = Watching(
        liveness,
        revoked=revocation.current,
        barred=gate.barred,
        now_ms=monotonic_ms,
        wall_ms=now_ms,
        counters=counters,
        log=log,
        beat=ground.beat("liveness"),
    )
    ahead = Ahead(
        settings,
        ground.journal,
        now_ms=now_ms,
        judge=judge_wanted.set,
        counters=counters,
        log=log,
    )
    return _Fleet(revocation, gate, outgoing, roster, liveness, watching, ahead)


async def _save_quarantine(journal: Journal, text: str | None) -> None:
    """Keep who is in quarantine for whoever looks at the post from outside.

    Raises:
        JournalError: it is not kept.
    """
    await journal.write(partial(save_posture, name="quarantine", text=text, now_ms=now_ms()))


def _intake(
    ground: Ground, fleet: _Fleet, judging: Judging, judge_wanted: asyncio.Event
) -> _Intake:
    settings, counters, log = ground.settings, ground.counters, ground.log
    arrivals = Arrivals(settings.ingest)
    broker = None if settings.broker.external else _broker(ground, fleet)
    link = Link(
        settings,
        arrivals=arrivals,
        gate=fleet.gate,
        endure=partial(endure, "link", counters=counters, log=log),
        secret=lambda: broker.secret if broker else None,
        outgoing=fleet.outgoing,
        announce=fleet.roster.announce,
        watching=fleet.watching,
        broker_ready=broker.ready if broker else None,
        now_ms=now_ms,
        counters=counters,
        log=log,
        beat=ground.beat("link"),
    )
    committer = Committer(
        ground.journal,
        fleet.roster,
        arrivals,
        judge_wanted,
        counters=counters,
        log=log,
        is_judging=lambda: judging.is_at_work,
        beat=ground.beat("committer"),
        now_ms=now_ms,
    )
    return _Intake(arrivals, broker, link, committer)


def _broker(ground: Ground, fleet: _Fleet) -> Broker:
    settings = ground.settings
    return Broker(
        settings.broker,
        ground.directory,
        counters=ground.counters,
        log=ground.log,
        post=settings.post,
        nodes=[node.id for node in settings.nodes],
        node_lines=partial(broker_lines, settings.broker),
        revoked=fleet.revocation.current,
        barred=Barred(fleet.gate.barred, fleet.gate.changed),
        misbehaved=lambda node, count: fleet.gate.note(node, "topic_foreign", count),
        beat=ground.beat("broker"),
        clock_fault=lambda: fleet.ahead.text,
    )


def _decision(ground: Ground, fleet: _Fleet, judge_wanted: asyncio.Event) -> _Decision:
    settings, counters, log = ground.settings, ground.counters, ground.log
    alert_wanted = asyncio.Event()
    knowledge = Knowledge(
        settings, changed=judge_wanted.set, now_ms=now_ms, counters=counters, log=log
    )
    judging = Judging(
        settings,
        ground.journal,
        fleet.roster,
        knowledge,
        wanted=judge_wanted,
        alert_wanted=alert_wanted,
        attempt=partial(attempt, "judging", counters=counters, log=log),
        now_ms=now_ms,
        counters=counters,
        log=log,
        beat=ground.beat("judging"),
    )
    forwarder = Forwarder(
        settings.authority,
        ground.journal,
        alert_wanted,
        now_ms=now_ms,
        counters=counters,
        log=log,
        beat=ground.beat("forwarder"),
    )
    return _Decision(knowledge, judging, forwarder)


def _tell_of_node(log: Log, name: str, node: str, text: str) -> None:
    log.warning(name, node=node, text=text)


def _care(ground: Ground, fleet: _Fleet) -> dict[str, Part]:
    bounds = ground.settings.journal
    upkeep = Upkeep(
        ground.journal,
        Limits(bounds.bytes_max, bounds.days_max),
        now_ms=now_ms,
        count=ground.counters.count,
        tell=partial(_tell_of_node, ground.log.bind(part="upkeep")),
        beat=ground.beat("upkeep"),
    )
    timekeeping = Timekeeping(
        now_ms=now_ms,
        set_by=fleet.roster.correct_time,
        note=fleet.ahead.note,
        counters=ground.counters,
        log=ground.log,
        pulse=ground.pulse,
    )
    counting = Counting(ground.journal, ground.counters, ground.lines, ground.beat("counters"))
    return {
        "journal": partial(ground.journal.run, beat=ground.beat("journal")),
        "upkeep": upkeep.run,
        "clock": timekeeping.run,
        "counters": counting.run,
    }


def _outlook(ground: Ground, fleet: _Fleet, intake: _Intake) -> dict[str, Part]:
    settings, journal = ground.settings, ground.journal
    started_ms = now_ms()

    def state() -> State:
        barred = {node: found.cause for node, found in fleet.gate.states().items()}
        return State(
            settings.directory,
            os.getpid(),
            started_ms,
            disk=journal.condition,
            barred=barred,
            barred_count=len(barred),
            linked_ms=fleet.watching.linked_ms,
            unlinked_ms=fleet.watching.unlinked_ms,
        )

    watch = Watch(
        ground.notify,
        ground.pulse,
        flight=lambda: journal.flight,
        state=state,
        file=ground.file,
        now_s=time.monotonic,
        changed=fleet.watching.changed,
        counters=ground.counters,
        log=ground.log,
    )
    parts: dict[str, Part] = {"watch": watch.run}
    if settings.observe.metrics_port:
        live = partial(_live, ground, fleet, intake, state)
        parts["metrics"] = Scrape(
            settings.observe.metrics_port,
            lambda: attempt(
                "metrics",
                answer(settings, journal, live, now_ms),
                counters=ground.counters,
                log=ground.log,
            ),
            ground.beat("metrics"),
        ).run
    return parts


def _live(ground: Ground, fleet: _Fleet, intake: _Intake, state: Callable[[], State]) -> Live:
    """Return what only the running gateway knows."""
    waiting = intake.arrivals.sizes()
    return Live(
        state(),
        ground.counters.totals(),
        ground.pulse.silences(),
        arrivals=(waiting.messages, waiting.bytes, waiting.nodes),
        outgoing=len(fleet.outgoing),
        operations=ground.journal.waiting,
        lines=ground.lines.waiting,
        silent={
            node: found.heard is Heard.silent
            for node, found in fleet.liveness.states(monotonic_ms()).items()
            if found.heard is not Heard.unknown
        },
        missing=fleet.roster.holes(),
    )
