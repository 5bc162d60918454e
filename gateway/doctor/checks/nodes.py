"""The nodes, as the gateway hears them and as they speak of themselves."""

from collections.abc import Callable, Iterable
from typing import Final

from gateway.doctor.finding import Found, Level, bad, check, look, ok, unknown
from gateway.doctor.scene import NodeLook, Scene
from gateway.doctor.units import DAY_S, named, size, span
from gateway.errors import SettingsError
from gateway.fleet import nodes_file
from gateway.ingest.quarantine import TEXTS
from gateway.journal.calibrations import read_newest
from gateway.journal.responses import read_response
from gateway.observe.condition import RESET_CAUSES
from gateway.screening.standing import INSTRUMENT_FAULTS
from gateway.wire import Health
from protocol import limits

SILENT_HEALTHS: Final = 3  # so many healths may be lost on a bad link
SILENT_S_BAD: Final = DAY_S  # a lane is without its instrument for a whole day
EXPIRES_SHARE: Final = 0.1  # of calibration_days_max that is left: a working week of thirty days
SUPPLY_MV_LOOK: Final = 3_500  # a lithium cell nearly empty; a 5 V line that is far too weak
SUPPLY_MV_BAD: Final = 3_200  # the radio's bursts pull it below what the board needs
SUPPLY_FALL: Final = 0.1  # of the highest within the history: a contact or a cable
WARM_MC, HOT_MC = 70_000, 85_000  # of a board: lasers lose their wavelength; out of specification
HEAP_BYTES_LOOK: Final = 2 * limits.MESSAGE_BYTES_MAX
HEAP_BYTES_BAD: Final = limits.MESSAGE_BYTES_MAX  # one message does not fit any more
BACKLOG_LOOK: Final = 200  # records without receipt: minutes of work, far from a full flash
STARTS_LOOK: Final = 3  # within its history; a technician restarts it once or twice
RECONNECTS_LOOK: Final = 30  # within its history: about one an hour
SEQ_LAST: Final = (1 << 63) - 1  # beyond every record
RESET_WATCHDOG: Final = 3
REFUSALS: Final = (
    *("node_unknown", "topic_refused", "frame_refused", "kind_refused", "frame_overlong"),
    *("packet_oversize", "node_revoked", "topic_foreign"),
)


def _each(
    nodes: Iterable[NodeLook], found: Callable[[NodeLook], Found | None], well: str
) -> Found | list[Found]:
    """Return what is not well at each node, or in one line that all are."""
    told = [each for each in map(found, nodes) if each is not None]
    unwell = [each for each in told if each.level is not Level.ok]
    if unwell:
        return unwell
    if len(told) == 1:
        return told[0]
    return ok(f"{len(told)} nodes: {well}" if told else "no node tells")


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
        return unknown("no gateway runs: nobody hears the nodes")
    return _each(scene.nodes, lambda node: _silence(node, scene.now_ms), "heard in time")


def _silence(node: NodeLook, now_ms: int) -> Found:
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
    expected_s = SILENT_HEALTHS * node.settings.health_s
    if node.is_online and quiet_s <= expected_s:
        return ok(text, node.id)
    state = "silent" if node.is_online else "offline"
    text = f"{state}, {text}; expected every {node.settings.health_s} s"
    return bad(text, node.id) if quiet_s > SILENT_S_BAD else look(text, node.id)


@check(
    "nodes.calibration",
    cause="No standard was measured lately, or the last one did not set the axis.",
    remedy="Put the standard before the probe and run `harmattan calibrate --node NODE`; until then"
    " its readings are inconclusive.",
)
def calibration(scene: Scene) -> Found | list[Found]:
    """How old each calibration is."""
    return _each(scene.nodes, lambda node: _calibration(node, scene), "calibrated")


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
    return _each(scene.nodes, lambda node: _response(node, scene), "no correction has expired")


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
        name = f"{node.birth.instrument_model} {node.birth.instrument_serial}".strip()
        return ok(name, node.id) if name else bad("no instrument answers", node.id)

    return _each(scene.nodes, found, "each has its instrument")


@check(
    "nodes.fault",
    cause="The node itself says what is wrong with it.",
    remedy="`harmattan command NODE log` has the whole sentence; docs/node.md explains each.",
)
def fault(scene: Scene) -> Found | list[Found]:
    """What each says is wrong with it."""
    return _each(scene.nodes, _told(_fault), "none tells a fault")


def _fault(node: NodeLook, health: Health) -> Found:
    return bad(health.fault, node.id) if health.fault else ok("tells no fault", node.id)


@check(
    "nodes.supply",
    cause="Its supply or battery is weak, or a cable or contact is bad.",
    remedy="Measure the supply under load; charge or replace the battery, use a short, thick"
    " cable.",
)
def supply(scene: Scene) -> Found | list[Found]:
    """What each says of its supply."""
    return _each(scene.nodes, _told(_supply), "supplied well")


def _supply(node: NodeLook, health: Health) -> Found | None:
    if health.supply_mv is None:
        return None
    text = f"{health.supply_mv / 1_000:.2f} V"
    if health.supply_mv < SUPPLY_MV_BAD:
        return bad(text, node.id)
    if health.supply_mv < SUPPLY_MV_LOOK:
        return look(text, node.id)
    highest = max((each.supply_mv or 0 for _, each in node.healths), default=0)
    if health.supply_mv < (1 - SUPPLY_FALL) * highest:
        return look(f"{text}, fallen from {highest / 1_000:.2f} V", node.id)
    return ok(text, node.id)


@check(
    "nodes.temperature",
    cause="It stands in the sun, or next to what heats.",
    remedy="Shade it and give it air; a warm laser shifts its wavelength, then calibrations fail.",
)
def temperature(scene: Scene) -> Found | list[Found]:
    """How warm each is."""
    return _each(scene.nodes, _told(_temperature), "none is too warm")


def _temperature(node: NodeLook, health: Health) -> Found | None:
    if health.temperature_mc is None:
        return None
    text = f"{health.temperature_mc / 1_000:.0f} \N{DEGREE SIGN}C"
    if health.temperature_mc >= HOT_MC:
        return bad(text, node.id)
    return look(text, node.id) if health.temperature_mc >= WARM_MC else ok(text, node.id)


@check(
    "nodes.memory",
    cause="Its firmware runs from sources instead of compiled, or its buffers are too large.",
    remedy="Flash the image of `python -m hardware.image`; lower `instrument.pixels_max` in"
    " node.json.",
)
def memory(scene: Scene) -> Found | list[Found]:
    """How much memory each has left."""
    return _each(scene.nodes, _told(_memory), "memory left")


def _memory(node: NodeLook, health: Health) -> Found:
    text = f"{size(health.heap_free_bytes)} free"
    if health.heap_free_bytes < HEAP_BYTES_BAD:
        return bad(text, node.id)
    return look(text, node.id) if health.heap_free_bytes < HEAP_BYTES_LOOK else ok(text, node.id)


@check(
    "nodes.backlog",
    cause="The gateway refuses readings (`disk`), or the link is too slow for what is measured.",
    remedy="See to the disk first; else let the node measure less often (`period_s`), or mend the"
    " link.",
)
def backlog(scene: Scene) -> Found | list[Found]:
    """How many records wait on each node's flash."""
    return _each(scene.nodes, _told(_backlog), "little waits on their flash")


def _backlog(node: NodeLook, health: Health) -> Found:
    depth = max(health.next_seq - health.oldest_seq, 0)
    text = f"{depth} records wait in {size(health.journal_bytes)}"
    return look(text, node.id) if depth >= BACKLOG_LOOK else ok(text, node.id)


@check(
    "nodes.lost",
    cause="Its flash was full before it could deliver, or is wearing out.",
    remedy="See `nodes.backlog` and its link. Damaged records that grow: replace the board.",
)
def lost(scene: Scene) -> Found | list[Found]:
    """Records that a node gave up lately: within its history, or by the gateway's count."""
    counted = scene.since_start("record_lost")
    return _each(scene.nodes, lambda node: _lost(node, counted.get(node.id, 0)), "nothing lost")


def _lost(node: NodeLook, counted: int) -> Found | None:
    if node.health is None:
        return None
    newest = node.health
    oldest = node.healths[0][1] if node.healths else newest
    evicted = max(newest.evicted_count - oldest.evicted_count, 0)
    damaged = max(newest.damaged_count - oldest.damaged_count, 0)
    total = f"{newest.evicted_count} evicted and {newest.damaged_count} damaged in its life"
    if evicted or damaged or counted:
        return bad(
            f"lately {evicted} evicted, {damaged} damaged, {counted} missed here; {total}", node.id
        )
    return ok(total, node.id)


@check(
    "nodes.restarts",
    cause="Its supply breaks down when the laser or the radio starts, or its firmware crashes.",
    remedy="`harmattan command NODE log` tells the last words before a crash; check its supply.",
)
def restarts(scene: Scene) -> Found | list[Found]:
    """How often each started lately."""
    return _each(scene.nodes, _told(_restarts), "none starts again and again")


def _restarts(node: NodeLook, health: Health) -> Found:
    boots = len({each.boot_id for _, each in node.healths})
    cause = RESET_CAUSES.get(health.reset_cause, "unknown")
    text = f"{max(boots, 1)} starts in its history, the last by {cause}"
    if boots > STARTS_LOOK or health.reset_cause == RESET_WATCHDOG:
        return look(text, node.id)
    return ok(text, node.id)


@check(
    "nodes.link",
    cause="Its radio is at the edge of the network, or another transmitter disturbs it.",
    remedy="Move the access point or the antenna; use a cable where one can be laid.",
)
def link(scene: Scene) -> Found | list[Found]:
    """How often each had to connect again."""
    return _each(scene.nodes, _told(_link), "connections hold")


def _link(node: NodeLook, health: Health) -> Found:
    counts = [each.reconnect_count for _, each in node.healths if each.boot_id == health.boot_id]
    again = max(health.reconnect_count - min(counts, default=0), 0)
    text = f"connected again {again} times within its history"
    return look(text, node.id) if again >= RECONNECTS_LOOK else ok(text, node.id)


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

    return _each(scene.nodes, found, "configs in force")


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


def _told(
    found: Callable[[NodeLook, Health], Found | None],
) -> Callable[[NodeLook], Found | None]:
    """Return the same question, not asked of a node that has sent no health."""

    def ask(node: NodeLook) -> Found | None:
        return None if node.health is None else found(node, node.health)

    return ask
