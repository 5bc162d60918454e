"""The nodes, as they speak of themselves in their healths."""

from typing import Final

from gateway.doctor.asking import each_node, told_by
from gateway.doctor.finding import Found, bad, check, look, ok
from gateway.doctor.scene import NodeLook, Scene
from gateway.observe.condition import RESET_CAUSES
from gateway.units import size
from gateway.wire import Health
from protocol import limits

SUPPLY_MV_LOOK: Final = 3_500  # a lithium cell nearly empty; a 5 V line that is far too weak
SUPPLY_MV_BAD: Final = 3_200  # the radio's bursts pull it below what the board needs
SUPPLY_FALL: Final = 0.1  # of the highest within the history: a contact or a cable
WARM_MC, HOT_MC = 70_000, 85_000  # of a board: lasers lose their wavelength; out of specification
HEAP_BYTES_LOOK: Final = 2 * limits.MESSAGE_BYTES_MAX
HEAP_BYTES_BAD: Final = limits.MESSAGE_BYTES_MAX  # one message does not fit any more
BACKLOG_LOOK: Final = 200  # records without receipt: minutes of work, far from a full flash
STARTS_LOOK: Final = 3  # within its history; a technician restarts it once or twice
RECONNECTS_LOOK: Final = 30  # within its history: about one an hour
RESET_WATCHDOG: Final = 3


@check(
    "nodes.fault",
    cause="The node itself says what is wrong with it.",
    remedy="`harmattan command NODE log` has the whole sentence; `harmattan docs node`"
    " explains each.",
)
def fault(scene: Scene) -> Found | list[Found]:
    """What each says is wrong with it."""
    return each_node(scene.nodes, told_by(_fault), "none tells a fault")


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
    return each_node(scene.nodes, told_by(_supply), "supplied well")


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
    return each_node(scene.nodes, told_by(_temperature), "none is too warm")


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
    return each_node(scene.nodes, told_by(_memory), "memory left")


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
    return each_node(scene.nodes, told_by(_backlog), "little waits on their flash")


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
    return each_node(scene.nodes, lambda node: _lost(node, counted.get(node.id, 0)), "nothing lost")


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
    return each_node(scene.nodes, told_by(_restarts), "none starts again and again")


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
    return each_node(scene.nodes, told_by(_link), "connections hold")


def _link(node: NodeLook, health: Health) -> Found:
    counts = [each.reconnect_count for _, each in node.healths if each.boot_id == health.boot_id]
    again = max(health.reconnect_count - min(counts, default=0), 0)
    text = f"connected again {again} times within its history"
    return look(text, node.id) if again >= RECONNECTS_LOOK else ok(text, node.id)
