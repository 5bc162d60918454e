"""What the post knows of its nodes, for `harmattan nodes list` and `show`.

Reads the journal and files only; works while the gateway runs and after it has died.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway import certificates, wire
from gateway.errors import JournalError
from gateway.fleet import nodes_file
from gateway.fleet.confirmation import CONFIRM_MS_MAX
from gateway.fleet.nodes_file import Entry
from gateway.journal.healths import read_healths
from gateway.journal.opening import FILE_NAME, fault, look_at, shut
from gateway.journal.records import read_frame
from gateway.observe import status as observing
from gateway.observe.condition import Condition, condition
from gateway.observe.status import NodeState
from gateway.settings import Settings

LOSSES = ("record_lost", "record_changed", "message_dropped", "node_silent", "quarantined")
"""Counters that say what became of a node's words; shown where they are above zero."""


class Config(msgspec.Struct, frozen=True):
    """How a node's config is.

    Attributes:
        state: confirmed, the node has said that it is in force; waiting, it has not yet; refused,
            it has kept another although it heard of this one; none, it was never sent one.
        sent: version that the gateway sends.
        kept: version that the node named last.
    """

    state: str
    sent: int | None
    kept: int | None


class Moment(msgspec.Struct, frozen=True):
    """One health of the past."""

    received_ms: int
    condition: Condition
    fault: str


class Detail(msgspec.Struct, frozen=True):
    """All that is known of one node.

    Attributes:
        state: as in the status.
        revoked: since when it is refused, ISO 8601; empty: it is admitted.
        firmware: of the newest birth; empty: it was never born.
        board: it runs on.
        config: that it keeps.
        losses: counters of it that are above zero.
        certificates: of it that are known here: serial, and the last day or `revoked`.
        healths: the newest first.
    """

    state: NodeState
    revoked: str
    firmware: str
    board: str
    config: Config
    losses: dict[str, int]
    certificates: dict[str, str] = {}
    healths: tuple[Moment, ...] = ()


def read_all(
    settings: Settings,
    names: tuple[str, ...] | None,
    *,
    running: bool,
    now_ms: int,
    healths: int = 0,
) -> list[Detail]:
    """Return what is known of nodes.

    Args:
        settings: of the post.
        names: of the nodes; None: all, those too that are revoked and not in the settings.
        running: a gateway holds the post's folder.
        now_ms: wall clock, Unix milliseconds.
        healths: how many of the past to read.

    Raises:
        JournalError: the journal cannot be read.
        SettingsError: `nodes.toml` cannot be read.
    """
    path = Path(settings.directory) / FILE_NAME
    said = nodes_file.read(Path(settings.directory))
    status = observing.read(settings, path, running=running, now_ms=now_ms)
    if status.own.journal_fault:  # told by a gateway that runs without it
        raise JournalError(status.own.journal_fault)
    states = {state.node: state for state in status.nodes}
    gone = [name for name in said.nodes if name not in states]
    for name in gone:
        state = "revoked" if name in said.revoked else "removed"
        label = said.label(name)
        states[name] = NodeState(name, state, None, "", False, "", 0, 0, label=label)  # noqa: FBT003
    connection = look_at(path)
    try:
        return [
            _detail(connection, settings, states[name], said.nodes.get(name), healths)
            for name in (states if names is None else names)
        ]
    except apsw.Error as error:
        raise fault(path, error) from error
    finally:
        shut(connection)


def _detail(
    connection: apsw.Connection,
    settings: Settings,
    state: NodeState,
    said: Entry | None,
    healths: int,
) -> Detail:
    node = state.node
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT (SELECT birth FROM nodes WHERE node = ?1),"
        " (SELECT frame FROM configs WHERE node = ?1)",
        (node,),
    ).fetchall()
    birth, sent = map(read_frame, rows[0])
    counted: list[tuple[Any, ...]] = connection.execute(
        "SELECT name, count FROM counters WHERE subject = ? ORDER BY name", (node,)
    ).fetchall()
    counts = {str(name): int(count) for name, count in counted}
    born = birth if isinstance(birth, wire.Birth) else None
    revoked = "" if said is None or said.revoked is None else said.revoked.isoformat()
    return Detail(
        state,
        revoked,
        firmware=born.firmware if born else "",
        board=born.board if born else "",
        config=_config(born, sent if isinstance(sent, wire.Config) else None, state.seen_ms),
        losses={name: counts[name] for name in LOSSES if counts.get(name)},
        certificates=_certificates(settings, node, said.serials if said else ()) if healths else {},
        healths=tuple(
            Moment(received_ms, condition(health, None), health.fault)
            for received_ms, health in read_healths(connection, node, healths)
        )
        if healths
        else (),
    )


def _config(born: wire.Birth | None, sent: wire.Config | None, seen_ms: int | None) -> Config:
    if sent is None:
        return Config("none", None, born.config_version if born else None)
    if born is None:
        return Config("waiting", sent.version, None)
    if born.config_version == sent.version:
        return Config("confirmed", sent.version, born.config_version)
    # A version is the second in which it was made.
    is_late = (seen_ms or 0) > sent.version * 1_000 + CONFIRM_MS_MAX
    return Config("refused" if is_late else "waiting", sent.version, born.config_version)


def _certificates(settings: Settings, node: str, revoked: tuple[str, ...]) -> dict[str, str]:
    """Return the certificates of a node that are known here, as far as they can be read."""
    if not settings.broker.nodes.ca_file:
        return {}
    found, _ = certificates.issued_to(Path(settings.broker.nodes.ca_file).parent, node)
    told = {f"{one.serial_number:x}": one.not_valid_after_utc for one in found}
    return {
        serial: "revoked" if serial in revoked else until.astimezone(dt.UTC).date().isoformat()
        for serial, until in told.items()
    }
