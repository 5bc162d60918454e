"""The nodes, as the gateway hears them."""

from typing import Final

from gateway.doctor.asking import each_node
from gateway.doctor.finding import Found, bad, check, look, ok, unknown
from gateway.doctor.scene import NodeLook, Scene
from gateway.errors import SettingsError
from gateway.fleet import nodes_file
from gateway.fleet.liveness import is_overdue
from gateway.ingest.quarantine import TEXTS
from gateway.journal.calibrations import read_newest
from gateway.journal.responses import read_response
from gateway.screening.verdict import INSTRUMENT_FAULTS
from gateway.units import DAY_S, age, named, span

SILENT_S_BAD: Final = DAY_S  # a lane is without its instrument for a whole day
EXPIRES_SHARE: Final = 0.1  # of calibration_days_max that is left: a working week of thirty days
SEQ_LAST: Final = (1 << 63) - 1  # beyond every record
REFUSALS: Final = (
    *("node_unknown", "topic_refused", "frame_refused", "kind_refused", "frame_overlong"),
    *("packet_oversize", "node_revoked", "topic_foreign"),
)


@check(
    "nodes.named",
    cause="The settings name no node, so that whoever speaks is refused.",
    remedy="Add a `[[nodes]]` table for each node to the settings and restart the gateway.",
)
def listed(scene: Scene) -> Found:
    """The settings name nodes."""
    names = [node.id for node in scene.settings.nodes]
    return ok(named(names)) if names else bad("no node may speak here")


@check(
    "nodes.silence",
    cause="It has no power, its network is out of reach, or it hangs.",
    remedy="Look at its lamps and its supply; restart it. `offline` was told by the broker: the"
    " node lost its connection. What it measured meanwhile is on its flash and comes later.",
)
def silence(scene: Scene) -> Found | list[Found]:
    """When each was heard last."""
    if not scene.running:
        return unknown(
            "no gateway runs: nobody hears the nodes",
            cause="See gateway.running.",
            remedy="Start the gateway.",
        )
    if scene.state is not None and scene.state.unlinked_ms:
        quiet = age(scene.state.unlinked_ms, scene.now_ms)
        return unknown(
            f"nobody hears the nodes: the gateway lost its broker {quiet}",
            cause="The gateway is not connected to its broker; the nodes may be well.",
            remedy="See broker.ours, broker.port and broker.restarts.",
        )
    linked_ms = scene.state.linked_ms if scene.state else 0
    started_ms = max(scene.start.started_ms[0], linked_ms)
    barred = scene.state.barred if scene.state else {}  # `nodes.quarantine` tells of these

    def found(node: NodeLook) -> Found | None:
        return None if node.id in barred else _silence(node, scene.now_ms, started_ms)

    return each_node(scene.nodes, found, "heard in time")


def _silence(node: NodeLook, now_ms: int, started_ms: int) -> Found:
    if node.seen_ms is None:
        return look(
            "never heard",
            node.id,
            cause="It was not started yet, or speaks to another post, broker or under another"
            " name.",
            remedy="Compare `post`, `node` and the broker's address in its node.json;"
            " `nodes.refused` says whether somebody else was refused.",
        )
    quiet_s = max(now_ms - node.seen_ms, 0) / 1_000
    text = f"heard {span(quiet_s)} ago"
    overdue = is_overdue(node.id, node.settings.health_s, node.seen_ms, started_ms, now_ms)
    is_long = quiet_s > SILENT_S_BAD
    if node.is_online and not overdue and not is_long:
        return ok(text, node.id)
    if node.seen_ms < started_ms and not overdue and not is_long:
        return ok(f"{text}; the gateway started {span((now_ms - started_ms) / 1_000)} ago", node.id)
    state = "silent" if node.is_online else "offline"
    text = f"{state}, {text}; expected every {node.settings.health_s} s"
    return bad(text, node.id) if is_long else look(text, node.id)


@check(
    "nodes.calibration",
    cause="No standard was measured lately, or the last one did not set the axis.",
    remedy="Put the standard before the probe and run `harmattan calibrate --node NODE`; until then"
    " its readings are inconclusive.",
)
def calibration(scene: Scene) -> Found | list[Found]:
    """How old each calibration is."""
    return each_node(scene.nodes, lambda node: _calibration(node, scene), "calibrated")


def _calibration(node: NodeLook, scene: Scene) -> Found | None:
    axis_id = node.birth.axis_id if node.birth else None
    if axis_id is None:
        return None
    kept = read_newest(scene.journal.connection, node.id, axis_id, INSTRUMENT_FAULTS)
    if kept is None:
        return bad("not calibrated", node.id)
    if kept.fault:
        return bad(f"failed: {kept.text}", node.id)
    age_s = abs(scene.now_ms - kept.measured_ms) / 1_000
    left_s = scene.settings.spectra.calibration_days_max * DAY_S - age_s
    text = f"{kept.standard_id} {span(age_s)} ago"
    if left_s < 0:
        return bad(f"expired: {text}", node.id)
    if left_s < EXPIRES_SHARE * scene.settings.spectra.calibration_days_max * DAY_S:
        return look(f"expires in {span(left_s)}: {text}", node.id)
    return ok(text, node.id)


@check(
    "nodes.response",
    cause="The certified glass was measured too long ago.",
    remedy="Measure it again: `harmattan calibrate --node NODE --certificate FILE`. Until then"
    " intensities are not corrected.",
)
def response(scene: Scene) -> Found | list[Found]:
    """How old each correction of intensities is."""
    return each_node(scene.nodes, lambda node: _response(node, scene), "no correction has expired")


def _response(node: NodeLook, scene: Scene) -> Found | None:
    axis_id = node.birth.axis_id if node.birth else None
    if axis_id is None:
        return None
    kept = read_response(scene.journal.connection, node.id, axis_id, SEQ_LAST)
    if kept is None:
        return ok("none is used", node.id)
    age_s = abs(scene.now_ms - kept.measured_ms) / 1_000
    if age_s > scene.settings.spectra.response_days_max * DAY_S:
        return look(f"expired: measured {span(age_s)} ago", node.id)
    return ok(f"measured {span(age_s)} ago", node.id)


@check(
    "nodes.instrument",
    cause="The instrument is off, its cable is loose, or it does not answer.",
    remedy="Check the instrument's supply and cable, then restart the node.",
)
def instrument(scene: Scene) -> Found | list[Found]:
    """Each has its instrument."""

    def found(node: NodeLook) -> Found | None:
        if node.birth is None:
            return None
        if not node.birth.excitation_pm:
            return ok("has no spectrometer", node.id)
        name = f"{node.birth.instrument_model} {node.birth.instrument_serial}".strip()
        return ok(name, node.id) if name else bad("no instrument answers", node.id)

    return each_node(scene.nodes, found, "each has its instrument")


@check(
    "nodes.missing",
    cause="The node keeps a record that it cannot read or send any more.",
    remedy="Look at `nodes.fault`; `harmattan command NODE journal` tells how its flash is."
    " Formatting"
    " it gives the record up.",
)
def missing(scene: Scene) -> Found | list[Found]:
    """No record is missing for long while later ones came."""
    told = scene.postures.get("record_missing", "")
    if not told:
        return ok("none is missing for long")
    return [look(line) for line in told.splitlines()]


@check(
    "nodes.config",
    cause="It has not been heard since the settings changed, or it took the config back because it"
    " did not hear the gateway under it.",
    remedy="Wait until it is online; `config_refused` in the log has its reason. A restart of the"
    " gateway sends it as a new version.",
)
def config(scene: Scene) -> Found | list[Found]:
    """Each has confirmed the settings that are sent to it."""

    def found(node: NodeLook) -> Found | None:
        if node.birth is None or node.config_version is None:
            return None
        if node.birth.config_version == node.config_version:
            return ok("in force", node.id)
        return look("not confirmed", node.id)

    return each_node(scene.nodes, found, "configs in force")


@check(
    "nodes.quarantine",
    cause="It misbehaves: its own firmware is at fault, or somebody else speaks with its"
    " certificate.",
    remedy="The sentence says what it did. Update its firmware; it is heard again by itself. If it"
    " is not in your hands: `harmattan nodes revoke NODE`.",
)
def quarantine(scene: Scene) -> Found | list[Found]:
    """No node is in quarantine."""
    if scene.state is None or not scene.state.barred_count:
        return ok("none is in quarantine")
    found = [
        bad(f"not listened to: {TEXTS.get(cause, cause)}", node)
        for node, cause in sorted(scene.state.barred.items())
    ]
    more = scene.state.barred_count - len(found)
    return found + [bad(f"and {more} more")] * bool(more)


@check(
    "nodes.revoked",
    cause="It was revoked and still stands in the settings, or `nodes.toml` was damaged.",
    remedy="A node that does not come back: take it out of the settings. One that does: `harmattan"
    " nodes` admits it again with new keys. A damaged file: mend the place it names.",
)
def revoked(scene: Scene) -> Found | list[Found]:
    """No node of the settings is revoked."""
    try:
        file = nodes_file.read(scene.directory)
    except SettingsError as error:
        return bad(str(error))
    names = [node.id for node in scene.settings.nodes if node.id in file.revoked]
    if names:
        return [look("revoked, and still in the settings", name) for name in names]
    return ok(f"{len(file.revoked)} nodes are revoked, none of the settings")


@check(
    "nodes.refused",
    cause="Somebody speaks who is not in the settings, or in a way that no firmware of ours does.",
    remedy="The log names each (`node_unknown`, `frame_refused`, ...); add it to the settings,"
    " update it, or take it off the network.",
)
def refused(scene: Scene) -> Found:
    """What was refused since the start."""
    counts = {}
    for name in REFUSALS:
        count = sum(scene.since_start(name).values())
        if count:
            counts[name] = count
    if counts:
        return look(named([f"{name} {count}" for name, count in counts.items()]))
    return ok("nothing was refused since the start")
