"""What the post is doing, for `harmattan status`; gateway/observe/screen.py draws it.

Reads the journal, and what a running gateway says of itself where the journal cannot be written
or read; works after it has died too. No row of records or verdicts is read: it answers as fast with
a million readings.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway import wire
from gateway.errors import JournalError, SettingsError
from gateway.fleet import nodes_file
from gateway.fleet.liveness import is_overdue
from gateway.fleet.nodes_file import NodesFile
from gateway.journal.calibrations import read_newest
from gateway.journal.darks import read_level
from gateway.journal.differences import Progress, read_progress
from gateway.journal.moments import read_moments
from gateway.journal.opening import fault, look_at, shut
from gateway.journal.records import read_frame
from gateway.journal.responses import read_response
from gateway.journal.tallies import read_tallies
from gateway.masking import mask_said
from gateway.observe.certificates import ahead, days_left, link_ends
from gateway.observe.condition import Condition, condition
from gateway.observe.keeping import read_keeping
from gateway.observe.showing import Own
from gateway.observe.state import State, read_state
from gateway.screening.verdict import INSTRUMENT_FAULTS
from gateway.screening.watchlists import clock_fault
from gateway.settings import NodeSettings, Settings

DAY_S = 86_400
SEQ_LAST = (1 << 63) - 1  # beyond every record
_SHOWN_APART = ("quarantine", "clock_ahead")  # by what holds now, not by what was kept
AHEAD_MS_MAX = 10_000  # a gateway that runs notices a clock that was set within a second


class NodeState(msgspec.Struct, frozen=True):
    """One node.

    Attributes:
        state: online; silent, when it is connected but was not heard for longer than
            gateway/fleet/liveness.py allows; offline; never, when it has not spoken yet; revoked;
            barred, while it is in quarantine; unknown, while no gateway runs that is connected to
            the broker.
        config_in_force: the node has confirmed the config that the gateway sends.
        fault: what it says of itself, empty when it is well.
        calibration: valid, expired, failed (the last standard it measured set no axis) or absent;
            of the axis that the node announced last. unneeded: it has no spectrometer.
        calibration_age_s: since the last standard was measured; None: never.
        calibration_text: the standard, or why it failed.
        response: valid, expired or absent: the correction of intensities by a measured glass.
        response_age_s: since the glass was measured; None: never.
        condition: of its newest health; None: it has sent none.
        label: what people call it; empty: by its id.
    """

    node: str
    state: str
    seen_ms: int | None
    instrument: str
    config_in_force: bool
    fault: str
    evicted_count: int
    records: int
    calibration: str = "absent"
    calibration_age_s: float | None = None
    calibration_text: str = ""
    response: str = "absent"
    response_age_s: float | None = None
    condition: Condition | None = None
    label: str = ""

    @property
    def is_well(self) -> bool:
        """Say whether nobody needs to look; at one that is revoked somebody has looked."""
        if self.state == "revoked":
            return True
        is_blamed = self.state not in {"online", "unknown"}
        return not is_blamed and not self.fault and self.calibration in {"valid", "unneeded"}


class Status(msgspec.Struct, frozen=True):
    """The post at a glance; counts are since the journal began.

    `clock_fault` says why this computer's clock cannot be right, empty when it can. `own` is the
    gateway and its disk. Where the journal cannot be read the nodes are not known.
    """

    post: str
    running: bool
    nodes: tuple[NodeState, ...]
    records: int
    pending: int
    verdicts: dict[str, int]
    alerts_delivered: int
    alerts_waiting: int
    alert_fault: str
    counters: dict[str, int]
    library: Progress | None = None
    clock_fault: str = ""
    own: Own = Own()

    @property
    def is_well(self) -> bool:
        """Say whether nobody needs to look now.

        It runs and is connected to its broker, all nodes are well and calibrated, no alert is
        stuck, the clock can be right, the disk takes everything, and no certificate is about to
        end.

        What was lost or refused long ago is shown, but does not make a post unwell for ever.
        """
        return (
            self.running
            and all(node.is_well for node in self.nodes)
            and not self.alert_fault
            and not self.clock_fault
            and self.own.is_well
            and not (self.library and self.library.faults)
        )


def read(settings: Settings, journal_path: Path, *, running: bool, now_ms: int) -> Status:
    """Return the status of the post.

    Args:
        settings: of the post.
        journal_path: its database.
        running: a gateway holds the post's folder.
        now_ms: wall clock, Unix milliseconds.

    Raises:
        JournalError: the journal cannot be read, and no gateway runs that tells more.
    """
    state = read_state(journal_path.parent) if running else None
    own = _own(settings, state, now_ms)
    try:
        linked_ms: int | None = state.linked_ms if state else 0
        if not running or own.unlinked_ms:
            linked_ms = None
        return _read_journal(
            settings, journal_path, own, running=running, linked_ms=linked_ms, now_ms=now_ms
        )
    except JournalError as error:
        if state is None:
            raise
        own = msgspec.structs.replace(own, journal_fault=str(error))
        return Status(settings.post, running, (), 0, 0, {}, 0, 0, "", {}, own=own)


def _own(settings: Settings, state: State | None, now_ms: int) -> Own:
    """Return what is known of the gateway itself without its journal."""
    own = Own(
        bytes_max=settings.journal.bytes_max,
        reserve_bytes=settings.journal.reserve_bytes,
        certificates=days_left(settings, now_ms),
    )
    if state is None:
        return own
    return msgspec.structs.replace(
        own,
        disk=state.disk,
        unlinked_ms=state.unlinked_ms,
        hangs=state.hangs,
        barred=state.barred,
        barred_count=state.barred_count,
    )


def _read_journal(
    settings: Settings,
    journal_path: Path,
    own: Own,
    *,
    running: bool,
    linked_ms: int | None,
    now_ms: int,
) -> Status:
    """Return the status of a post whose journal can be read.

    Raises:
        JournalError: it cannot.
    """
    connection = look_at(journal_path)
    try:
        found = _read(connection, settings, running=running, linked_ms=linked_ms, now_ms=now_ms)
        keeping = read_keeping(connection, journal_path.parent)
        fault_ahead = ahead(link_ends(settings), read_moments(connection, now_ms), now_ms)
    except apsw.Error as error:
        raise fault(journal_path, error) from error
    finally:
        shut(connection)
    # Who is in quarantine is the running gateway's to tell; what the journal holds of it is older.
    lasting = {name: held for name, held in keeping.postures.items() if name not in _SHOWN_APART}
    keeping = msgspec.structs.replace(keeping, postures=lasting)
    own = msgspec.structs.replace(own, keeping=keeping)
    # Nobody listens to them: that they are silent says nothing.
    nodes = tuple(
        msgspec.structs.replace(node, state="barred")
        if node.node in own.barred and node.state != "revoked"
        else node
        for node in found.nodes
    )
    clock = fault_ahead or found.clock_fault
    return msgspec.structs.replace(found, nodes=nodes, own=own, clock_fault=clock)


def _read(
    connection: apsw.Connection,
    settings: Settings,
    *,
    running: bool,
    linked_ms: int | None,
    now_ms: int,
) -> Status:
    connection.execute("BEGIN")  # one snapshot, so that the numbers agree
    tallies = read_tallies(connection)
    counts = tallies.get("record", {})
    states = _read_nodes(connection, settings, counts, linked_ms=linked_ms, now_ms=now_ms)
    made, delivered = (
        tallies.get(name, {}).get("", 0) for name in ("alert_made", "alert_delivered")
    )
    waiting = made - delivered
    return Status(
        post=settings.post,
        running=running,
        nodes=states,
        records=sum(counts.values()),
        pending=sum(tallies.get("pending", {}).values()),
        verdicts={kind: count for kind, count in tallies.get("verdict", {}).items() if count},
        alerts_delivered=delivered,
        alerts_waiting=waiting,
        alert_fault=_alert_fault(connection, settings, waiting),
        counters=dict(
            _rows(connection, "SELECT name, sum(count) FROM counters GROUP BY name ORDER BY name")
        ),
        library=read_progress(connection),
        clock_fault=clock_fault(dt.datetime.fromtimestamp(now_ms / 1_000, dt.UTC).date())
        or _went_back(states, now_ms),
    )


def _read_nodes(
    connection: apsw.Connection,
    settings: Settings,
    counts: dict[str, int],
    *,
    linked_ms: int | None,
    now_ms: int,
) -> tuple[NodeState, ...]:
    """Return the nodes of the settings; `counts` are the records of each."""
    said = _said(settings)
    rows = _rows(
        connection,
        "SELECT n.node, n.birth, n.health, n.online, n.seen_ms, c.frame"
        " FROM nodes n LEFT JOIN configs c ON c.node = n.node",
    )
    known = {row[0]: row for row in rows}
    return tuple(
        _calibrated(
            connection,
            _state(
                node,
                known.get(node.id),
                said,
                counts.get(node.id, 0),
                dark_counts=read_level(connection, node.id),
                linked_ms=linked_ms,
                now_ms=now_ms,
            ),
            known.get(node.id),
            now_ms=now_ms,
            days_max=settings.spectra.calibration_days_max,
            response_days_max=settings.spectra.response_days_max,
        )
        for node in settings.nodes
    )


def _alert_fault(connection: apsw.Connection, settings: Settings, waiting: int) -> str:
    """Say why alerts wait; empty when none was refused."""
    if waiting and not settings.authority.url:
        return "authority.url is empty; set it in the settings"
    faults = _rows(
        connection,
        "SELECT fault FROM alerts WHERE receipt IS NULL AND fault <> ''"
        " ORDER BY attempts DESC LIMIT 1",
    )
    # Attempts of an earlier version are kept with the whole address.
    return mask_said(faults[0][0], settings.authority.url) if faults else ""


def _went_back(states: tuple[NodeState, ...], now_ms: int) -> str:
    """Say that a node was heard in what this clock calls the future; empty when none was."""
    ahead_ms = max((state.seen_ms or 0 for state in states), default=0) - now_ms
    if ahead_ms <= AHEAD_MS_MAX:
        return ""
    return (
        f"this computer's clock went back: a node was heard {ahead_ms // 1_000} s after what it"
        " says now; set the clock. Which nodes are silent is not known until they are heard again"
    )


def _rows(connection: apsw.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _said(settings: Settings) -> NodesFile:
    """Return what people have said of the nodes; nothing where that cannot be read."""
    try:
        return nodes_file.read(Path(settings.directory))
    except SettingsError:
        return NodesFile()  # the running gateway logs it, and refuses whom it refused before


def _state(
    settings: NodeSettings,
    known: tuple[Any, ...] | None,
    said: NodesFile,
    records: int,
    *,
    dark_counts: int | None,
    linked_ms: int | None,
    now_ms: int,
) -> NodeState:
    """Return what the journal knows of one node; `linked_ms` is None when nobody can hear it."""
    _, birth_frame, health_frame, online, seen_ms, config_frame = known or (None,) * 6
    born, heard, config = map(read_frame, (birth_frame, health_frame, config_frame))
    birth = born if isinstance(born, wire.Birth) else None
    health = heard if isinstance(heard, wire.Health) else None
    state = "offline"
    if settings.id in said.revoked:
        state = "revoked"
    elif known is None:
        state = "never"
    elif linked_ms is None:
        state = "unknown"
    elif online:
        silent = is_overdue(settings.id, settings.health_s, seen_ms or 0, linked_ms, now_ms)
        state = "silent" if silent else "online"
    return NodeState(
        node=settings.id,
        state=state,
        seen_ms=seen_ms,
        instrument=f"{birth.instrument_model} {birth.instrument_serial}".strip() if birth else "",
        config_in_force=birth is not None
        and isinstance(config, wire.Config)
        and birth.config_version == config.version,
        fault=health.fault if health else "",
        evicted_count=health.evicted_count if health else 0,
        records=records,
        condition=condition(health, dark_counts) if health else None,
        label=said.label(settings.id),
    )


def _calibrated(
    connection: apsw.Connection,
    state: NodeState,
    row: tuple[Any, ...] | None,
    *,
    now_ms: int,
    days_max: int,
    response_days_max: int,
) -> NodeState:
    """Return the state with what is known of the node's calibration."""
    birth = read_frame(row[1]) if row else None
    if isinstance(birth, wire.Birth) and not birth.excitation_pm:
        return msgspec.structs.replace(state, calibration="unneeded")
    axis_id = birth.axis_id if isinstance(birth, wire.Birth) else None
    kept = read_newest(connection, state.node, axis_id, INSTRUMENT_FAULTS) if axis_id else None
    glass = read_response(connection, state.node, axis_id, SEQ_LAST) if axis_id else None
    if glass is not None:
        glass_age_s = abs(now_ms - glass.measured_ms) / 1_000
        state = msgspec.structs.replace(
            state,
            response="expired" if glass_age_s > response_days_max * DAY_S else "valid",
            response_age_s=glass_age_s,
        )
    if kept is None:
        return state
    age_s = abs(now_ms - kept.measured_ms) / 1_000
    found = "expired" if age_s > days_max * DAY_S else "valid"
    return msgspec.structs.replace(
        state,
        calibration="failed" if kept.fault else found,
        calibration_age_s=age_s,
        calibration_text=kept.text if kept.fault else kept.standard_id,
    )
