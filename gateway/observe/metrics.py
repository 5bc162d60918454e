"""Metrics of a post in Prometheus' text format: every loss, every limit, and what fills up.

Rules of the file
- What is counted comes from gateway/observe/counters.py as `harmattan_NAME_total`, since the start
  of the gateway; how it stands is a gauge of GAUGES. docs/metrics.md explains each, and says of
  every bound in the code by which metric it shows.
- A gauge whose value is not known is left out, never zero.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.errors import JournalError
from gateway.journal.condition import DiskState
from gateway.journal.queue import OPERATIONS_MAX
from gateway.journal.store import Journal
from gateway.observe.certificates import days_left
from gateway.observe.counters import NAMES
from gateway.observe.figures import Figures, read_figures
from gateway.observe.log import LINES_MAX
from gateway.observe.machine import Machine, look
from gateway.observe.state import State
from gateway.observe.versions import versions
from gateway.settings import NODES_MAX, Settings
from protocol import limits

SERIES_MAX: Final = 2 * NODES_MAX  # of one name; subjects are nodes and parts, and a few strangers
PREFIX: Final = "harmattan_"

GAUGES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    # name: what it is; labels
    "up_since_seconds": ("Unix time when the gateway was started", ()),
    "limit": (
        "A bound that holds here; `harmattan docs metrics` names the figure it bounds",
        ("name",),
    ),
    # The disk and the journal.
    "disk_state": ("1 for the state that holds, 0 for the others", ("state",)),
    "disk_free_bytes": ("What this user may still fill of the journal's disk", ()),
    "journal_readable": ("1 when the figures of the journal could be read, else 0", ()),
    "journal_used_bytes": ("Pages of the journal that hold something", ()),
    "journal_file_bytes": ("The journal's file; emptied pages are used again", ()),
    "journal_wal_bytes": ("The journal's write-ahead log", ()),
    "journal_waiting_operations": ("Operations that wait for the journal's writer", ()),
    "journal_evicted_bytes": ("Frames that were emptied for room or age, since it began", ()),
    "journal_evicted_records": ("Records whose frame was emptied, since the journal began", ()),
    "journal_deleted_records": ("Emptied records whose row was removed, since it began", ()),
    "journal_damaged": ("Journals that were set aside and are still in the folder", ()),
    "journal_checked_seconds": ("Unix time of the last full check of the journal", ()),
    "journal_check_failed": ("1 when the last full check found damage", ()),
    "posture": ("1 while a lasting state holds that somebody should know of", ("name",)),
    # Readings and alerts.
    "records": ("Records of a node that were ever committed", ("node",)),
    "pending_records": ("Readings of a node that await their verdict", ("node",)),
    "verdicts": ("Readings by the verdict that holds", ("verdict",)),
    "outbox_alerts": ("Alerts without the authority's receipt", ()),
    "outbox_oldest_age_seconds": ("Age of the oldest alert without receipt; 0: none waits", ()),
    "outbox_attempts": ("Failed deliveries of the alert that failed most often", ()),
    "alerts_made": ("Alerts made since the journal began", ()),
    "arrivals_messages": ("Messages that wait to be committed", ()),
    "arrivals_bytes": ("Bytes of these messages", ()),
    "arrivals_nodes": ("Nodes that have messages waiting to be committed", ()),
    "outgoing_letters": ("Messages to nodes that wait for the broker", ()),
    "log_waiting_lines": ("Lines of the log that wait to be written", ()),
    "rejudging_records": ("Stored readings judged again by the newest run", ()),
    "library_faults": ("Parts of the library and lists that are not in use for a fault", ()),
    # Nodes.
    "nodes": ("Nodes in the settings", ()),
    "broker_connected": ("1 while the gateway is connected to its broker, else 0", ()),
    "node_online": ("1 while a node is connected to the broker", ("node",)),
    "node_heard_seconds": ("Unix time when a node was last heard itself", ("node",)),
    "node_silent": ("1 while a node that is expected is not heard", ("node",)),
    "node_quarantined": ("1 while a node is not listened to, and why", ("node", "cause")),
    "node_missing_records": ("Holes among a node's committed records", ("node",)),
    "node_waiting_records": ("Records that a node holds for a receipt, by its health", ("node",)),
    "node_journal_bytes": ("Bytes that a node's journal holds, by its health", ("node",)),
    "node_evicted_records": ("Records that a node gave up for room, by its health", ("node",)),
    "node_damaged_records": ("Records that a node's flash lost, by its health", ("node",)),
    "node_reconnects": ("Times a node has connected anew, by its health", ("node",)),
    "node_supply_volts": ("Supply of a node, by its health", ("node",)),
    "node_temperature_celsius": ("Temperature of a node's board, by its health", ("node",)),
    "node_heap_free_bytes": ("Free memory of a node, by its health", ("node",)),
    "node_faulty": ("1 while a node says that something is wrong with it", ("node",)),
    # The gateway and its computer.
    "part_silent_seconds": ("How long ago a part of the gateway turned last", ("part",)),
    "certificate_days": ("Days until the first certificate of a file ends", ("setting",)),
    "certificate_unreadable": ("1 for a certificate file that cannot be read", ("setting",)),
    "memory_free_bytes": ("Memory of the computer that is not in use at all", ()),
    "memory_bytes": ("Memory of the computer", ()),
    "temperature_celsius": ("The computer's hottest sensor", ()),
    "undervoltage": ("1 when the computer's supply is, or was, too low", ()),
}


class Live(msgspec.Struct, frozen=True):
    """What the running gateway knows by itself; None, empty or absent where it does not.

    Attributes:
        state: what it says of itself.
        counts: by counter and subject, since the start.
        silences_s: how long ago each part turned.
        arrivals: messages, bytes and nodes that wait to be committed.
        outgoing: letters to nodes that wait for the broker.
        operations: that wait for the journal's writer.
        lines: of the log that wait to be written.
        silent: nodes that are expected and not heard; others are heard.
        missing: holes among the committed records, by node.
    """

    state: State
    counts: dict[tuple[str, str], int]
    silences_s: dict[str, float] = {}
    arrivals: tuple[int, int, int] = (0, 0, 0)
    outgoing: int = 0
    operations: int = 0
    lines: int = 0
    silent: dict[str, bool] = {}
    missing: dict[str, int] = {}


class Sample(msgspec.Struct, frozen=True):
    """One value of a gauge."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


async def answer(
    settings: Settings, journal: Journal, live: Callable[[], Live], now_ms: Callable[[], int]
) -> bytes:
    """Return the metrics of a running post, whatever its disk does."""
    directory = Path(settings.directory)
    try:
        figures = await journal.read(partial(read_figures, directory=directory), lane="views")
    except JournalError:
        figures = None
    machine = await asyncio.to_thread(look)
    certificates = await asyncio.to_thread(days_left, settings, now_ms())
    return render(settings, live(), figures, machine, certificates, now_ms())


def render(
    settings: Settings,
    live: Live,
    figures: Figures | None,
    machine: Machine,
    certificates: Mapping[str, float | None],
    now_ms: int,
) -> bytes:
    """Return everything in Prometheus' text format 0.0.4.

    Args:
        settings: of the post.
        live: what the gateway knows.
        figures: of the journal; None: it could not be read.
        machine: the computer.
        certificates: setting -> days left.
        now_ms: wall clock, Unix milliseconds.
    """
    samples = [*_of_live(settings, live), *_of_machine(machine, certificates)]
    samples.append(Sample("journal_readable", float(figures is not None)))
    if figures is not None:
        samples += [*_of_journal(figures, now_ms), *_of_nodes(settings, figures, live.state)]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Families(settings.post, live.counts, samples))
    return generate_latest(registry)


class _Families(Collector):
    """Hands ready samples to the library, which writes them."""

    def __init__(
        self, post: str, counts: Mapping[tuple[str, str], int], samples: Iterable[Sample]
    ) -> None:
        self._post = post
        self._counts = counts
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        build = InfoMetricFamily(PREFIX + "build", "What runs here")
        build.add_metric([], {**versions(), "post": self._post})
        yield build
        yield from self._counters()
        families: dict[str, GaugeMetricFamily] = {}
        for name, (meaning, labels) in GAUGES.items():
            families[name] = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
        for sample in self._samples:
            family = families[sample.name]
            if len(family.samples) < SERIES_MAX:
                family.add_metric(sample.labels, sample.value)
        yield from families.values()

    def _counters(self) -> Iterator[Metric]:
        by_name: dict[str, dict[str, int]] = {}
        for (name, subject), count in self._counts.items():
            by_name.setdefault(name, {})[subject] = count
        for name, meaning in NAMES.items():
            family = CounterMetricFamily(PREFIX + name, meaning, labels=("subject",))
            # What was never counted shows as zero: a rule can be written before the first loss.
            for subject, count in list(by_name.get(name, {"": 0}).items())[:SERIES_MAX]:
                family.add_metric((subject,), count)
            yield family


def _of_live(settings: Settings, live: Live) -> Iterator[Sample]:
    state = live.state
    yield Sample("up_since_seconds", state.started_ms / 1_000)
    for name, bound in bounds(settings).items():
        yield Sample("limit", bound, (name,))
    for disk in DiskState:
        yield Sample("disk_state", float(disk is state.disk.state), (disk.value,))
    yield Sample("broker_connected", float(not state.unlinked_ms))
    yield Sample("nodes", len(settings.nodes))
    for name, value in zip(("messages", "bytes", "nodes"), live.arrivals, strict=True):
        yield Sample(f"arrivals_{name}", value)
    yield Sample("outgoing_letters", live.outgoing)
    yield Sample("journal_waiting_operations", live.operations)
    yield Sample("log_waiting_lines", live.lines)
    for part, silence_s in live.silences_s.items():
        yield Sample("part_silent_seconds", silence_s, (part,))
    for node, cause in state.barred.items():
        yield Sample("node_quarantined", 1, (node, cause))
    for node, silent in live.silent.items():
        yield Sample("node_silent", float(silent), (node,))
    for node, missing in live.missing.items():
        yield Sample("node_missing_records", missing, (node,))


def bounds(settings: Settings) -> dict[str, float]:
    """Return the bounds that a figure of GAUGES runs up against, by the name of that figure."""
    return {
        "journal_used_bytes": settings.journal.bytes_max,
        "journal_days": settings.journal.days_max,
        "disk_reserve_bytes": settings.journal.reserve_bytes,
        "journal_waiting_operations": OPERATIONS_MAX,
        "log_waiting_lines": LINES_MAX,
        "nodes": NODES_MAX,
        "node_messages_per_second": settings.ingest.node_messages_per_s,
        "node_bytes_per_second": settings.ingest.node_bytes_per_s,
        "message_bytes": limits.MESSAGE_BYTES_MAX,
        "window_records": limits.WINDOW_RECORDS_MAX,
    }


def _of_machine(machine: Machine, certificates: Mapping[str, float | None]) -> Iterator[Sample]:
    for name, value in (
        ("memory_free_bytes", machine.memory_free_bytes),
        ("memory_bytes", machine.memory_bytes),
        ("temperature_celsius", machine.temperature_c),
        ("undervoltage", machine.undervoltage),
    ):
        if value is not None:
            yield Sample(name, float(value))
    for setting, days in certificates.items():
        yield Sample("certificate_unreadable", float(days is None), (setting,))
        if days is not None:
            yield Sample("certificate_days", days, (setting,))


def _of_journal(figures: Figures, now_ms: int) -> Iterator[Sample]:
    tallies, keeping = figures.tallies, figures.keeping
    for name, tally in (("records", "record"), ("pending_records", "pending")):
        for node, count in tallies.get(tally, {}).items():
            yield Sample(name, count, (node,))
    for verdict, count in tallies.get("verdict", {}).items():
        yield Sample("verdicts", count, (verdict,))
    made, delivered = (
        tallies.get(name, {}).get("", 0) for name in ("alert_made", "alert_delivered")
    )
    yield Sample("alerts_made", made)
    yield Sample("outbox_alerts", made - delivered)
    oldest_ms = now_ms if figures.oldest_alert_ms is None else figures.oldest_alert_ms
    yield Sample("outbox_oldest_age_seconds", max(0, now_ms - oldest_ms) / 1_000)
    yield Sample("outbox_attempts", figures.alert_attempts)
    yield Sample("journal_used_bytes", keeping.used_bytes)
    yield Sample("journal_file_bytes", keeping.file_bytes)
    yield Sample("journal_wal_bytes", keeping.wal_bytes)
    yield Sample("journal_evicted_records", keeping.evicted)
    yield Sample("journal_evicted_bytes", keeping.evicted_bytes)
    yield Sample("journal_deleted_records", keeping.deleted)
    yield Sample("journal_damaged", len(keeping.damaged))
    yield Sample("journal_check_failed", float(bool(keeping.check_fault)))
    if keeping.checked_ms is not None:
        yield Sample("journal_checked_seconds", keeping.checked_ms / 1_000)
    if keeping.free_bytes is not None:
        yield Sample("disk_free_bytes", keeping.free_bytes)
    for name in keeping.postures:
        yield Sample("posture", 1, (name,))
    if figures.library is not None:
        yield Sample("rejudging_records", figures.library.judged)
        yield Sample("library_faults", len(figures.library.faults))


# Name of the gauge -> what it is in a health, and how many of its units make one of the gauge's.
_HEALTH: Final[tuple[tuple[str, Callable[..., float | None], float], ...]] = (
    ("node_waiting_records", lambda health: max(health.next_seq - health.oldest_seq, 0), 1),
    ("node_journal_bytes", lambda health: health.journal_bytes, 1),
    ("node_evicted_records", lambda health: health.evicted_count, 1),
    ("node_damaged_records", lambda health: health.damaged_count, 1),
    ("node_reconnects", lambda health: health.reconnect_count, 1),
    ("node_supply_volts", lambda health: health.supply_mv, 1_000),
    ("node_temperature_celsius", lambda health: health.temperature_mc, 1_000),
    ("node_heap_free_bytes", lambda health: health.heap_free_bytes, 1),
    ("node_faulty", lambda health: float(bool(health.fault)), 1),
)


def _of_nodes(settings: Settings, figures: Figures, state: State) -> Iterator[Sample]:
    for node in settings.nodes:
        known = figures.nodes.get(node.id)
        if not state.unlinked_ms:  # else what the journal says of it is old
            yield Sample("node_online", float(known is not None and known.online), (node.id,))
        if known is None:
            continue
        if known.seen_ms is not None:
            yield Sample("node_heard_seconds", known.seen_ms / 1_000, (node.id,))
        if known.health is not None:
            for name, read, scale in _HEALTH:
                value = read(known.health)
                if value is not None:
                    yield Sample(name, value / scale, (node.id,))
