"""The computer under the post."""

import os
from typing import Final

from gateway.doctor.finding import Found, bad, check, look, ok, unknown
from gateway.doctor.scene import Scene
from gateway.units import named, size

MEMORY_BYTES_LOOK: Final = 150_000_000  # a second gateway's worth: an upgrade, a backup still fit
MEMORY_BYTES_BAD: Final = 40_000_000  # below it the kernel begins to end programs
WARM_C: Final = 75.0  # small computers slow down from 80 degrees on
HOT_C: Final = 85.0  # and are out of their specification
CRITICAL_MARGIN_C: Final = 5.0
LOAD_LOOK: Final = 1.5  # programs that want to run for each core, over a quarter of an hour
LOAD_BAD: Final = 4.0


@check(
    "machine.memory",
    cause="Other programs run on this computer, or one of them grows.",
    remedy="See what takes it (`ps aux --sort -rss | head`); stop what is not the post's.",
)
def memory(scene: Scene) -> Found:
    """How much memory can be had."""
    found = scene.machine.memory_bytes()
    if found is None:
        return unknown("this system does not say how much memory is free")
    free, total = found
    text = f"{size(free)} of {size(total)} can be had"
    if free < MEMORY_BYTES_BAD:
        return bad(text)
    return look(text) if free < MEMORY_BYTES_LOOK else ok(text)


@check(
    "machine.temperature",
    cause="The case stands in the sun, its openings are covered, or a fan stands still.",
    remedy="Shade and air; clean the fan. Above its limit the computer slows down, then stops.",
)
def temperature(scene: Scene) -> Found:
    """How warm it is."""
    sensors = scene.machine.temperatures()
    if not sensors:
        return ok("no sensor")
    worst = max(sensors, key=lambda each: each.celsius - (each.critical_celsius or HOT_C))
    value, critical = worst.celsius, worst.critical_celsius
    limit = critical if critical is not None else HOT_C
    text = f"{value:.0f} \N{DEGREE SIGN}C at {worst.name}, critical {limit:.0f}"
    if value >= limit - (CRITICAL_MARGIN_C if critical is not None else 0.0):
        return bad(text)
    return look(text) if value >= min(WARM_C, limit - 2 * CRITICAL_MARGIN_C) else ok(text)


@check(
    "machine.undervoltage",
    cause="The supply is too weak, its cable too thin or too long, or the battery is empty.",
    remedy="Use the supply made for this computer, a short cable, and a charged battery.",
)
def undervoltage(scene: Scene) -> Found:
    """Whether an alarm for a low supply is raised."""
    alarms = scene.machine.undervoltages()
    if not alarms:
        return ok("no sensor")
    raised = [name for name, is_raised in alarms if is_raised]
    if raised:
        return bad(f"undervoltage at {named(raised)}")
    return ok(f"no undervoltage at {named([name for name, _ in alarms])}")


@check(
    "machine.load",
    cause="Other programs compute here, or readings come faster than one core judges them.",
    remedy="See what runs (`top`); `database.pending` says whether readings wait to be judged.",
)
def load(scene: Scene) -> Found:
    """How busy it was over the last quarter of an hour."""
    cores = os.cpu_count() or 1
    share = scene.machine.load()[2] / cores
    text = f"{share:.1f} programs want each of {cores} cores, over 15 minutes"
    if share >= LOAD_BAD:
        return bad(text)
    return look(text) if share >= LOAD_LOOK else ok(text)
