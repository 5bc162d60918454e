"""Whether this computer knows the time: ages of calibrations and times of alerts go by it."""

from typing import Final

from gateway import wire
from gateway.doctor.finding import Found, bad, check, look, ok
from gateway.doctor.scene import AHEAD, AHEAD_MS_MAX, NodeLook, Scene
from gateway.screening.watchlists import clock_behind
from gateway.units import span
from protocol.messages import TIME_GNSS

APART_S_LOOK: Final = 10.0  # a health may be under way for seconds on a bad link
APART_S_BAD: Final = 300.0  # alerts are dated wrong by more than an inspection takes


@check(
    "clock.edition",
    cause="The battery of the clock is empty, or there is none and no time service was reached.",
    remedy="Set the clock (`timedatectl set-time`), then replace the battery or give it a time"
    " service.",
)
def edition(scene: Scene) -> Found:
    """The clock is not behind the day this edition was made."""
    fault = clock_behind(scene.now.date())
    return bad(fault) if fault else ok(f"{scene.now:%Y-%m-%d %H:%M:%S} UTC")


@check(
    AHEAD,
    cause="The battery of the clock is empty, or its time service has the wrong epoch; by this"
    " clock certificates have ended that have not, and no node gets in.",
    remedy="Set the clock (`timedatectl set-time`), then see to its battery and time service; the"
    " nodes come back by themselves. If the post really was off so long: new certificates.",
)
def ahead(scene: Scene) -> Found:
    """It did not jump past the end of the certificates, nor past the life of this edition."""
    if scene.clock_ahead:
        return bad(scene.clock_ahead)
    return ok(f"{scene.now:%Y-%m-%d}: no certificate has ended by a jump of the clock")


@check(
    "clock.synchronised",
    cause="No time service runs, or none of its servers is reached.",
    remedy="Enable systemd-timesyncd or chrony with a server that is reached from here, or a GNSS"
    " receiver; a computer without network needs a battery clock.",
)
def synchronised(scene: Scene) -> Found:
    """A time service keeps it."""
    told = scene.machine.synchronised()
    has_battery = scene.machine.has_battery_clock()
    battery = "with a battery clock" if has_battery else "without a battery clock"
    if told is None:
        return look(f"this system does not say whether a time service keeps its clock, {battery}")
    if told:
        return ok(f"kept by a time service, {battery}")
    if has_battery:
        return look(f"no time service keeps it, {battery}")
    return bad(
        f"no time service keeps it, {battery}",
        cause="No time service is reached, and after a power cut the clock begins anywhere.",
    )


@check(
    "clock.nodes",
    cause="The computer's clock was set, or runs wrong; a node with GNSS knows better.",
    remedy="Set the clock and see to its time service; the gateway then corrects the nodes by"
    " itself.",
)
def nodes(scene: Scene) -> Found:
    """It agrees with when nodes were heard, and with those that have a time of their own."""
    newest_ms = max((node.seen_ms or 0 for node in scene.nodes), default=0)
    ahead_ms = newest_ms - scene.now_ms
    if ahead_ms > AHEAD_MS_MAX:
        return bad(f"a node was heard {span(ahead_ms / 1_000)} after what the clock says now")
    apart = [each for each in map(_apart_s, scene.nodes) if each is not None]
    if not apart:
        return ok("no node has a time of its own; none was heard in the future")
    name, worst_s = max(apart, key=lambda each: abs(each[1]))
    text = f"{worst_s:+.1f} s against the GNSS of {name}"
    if abs(worst_s) >= APART_S_BAD:
        return bad(text)
    return look(text) if abs(worst_s) >= APART_S_LOOK else ok(text)


def _apart_s(node: NodeLook) -> tuple[str, float] | None:
    """Return by how much the clock was ahead of a node with a time of its own."""
    for received_ms, health in reversed(node.healths):
        if _is_own(health) and health.time_ms is not None:
            return node.id, (received_ms - health.time_ms) / 1_000
    return None


def _is_own(health: wire.Health) -> bool:
    return health.time_quality == TIME_GNSS


@check(
    "clock.steps",
    cause="Somebody or a time service set the clock while the gateway ran.",
    remedy="Once after a start: nothing. Again and again: two time services fight; keep one.",
)
def steps(scene: Scene) -> Found:
    """How often it was set since the start."""
    count = sum(scene.since_start("clock_set").values())
    text = f"set {count} times since the start"
    return look(text) if count > 1 else ok(text)
