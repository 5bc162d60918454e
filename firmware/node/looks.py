"""The trigger *sample present*: a look at the probe now and then, a measurement when one has come.

Rules of the file
- A look is the shortest exposure of the instrument, once without the laser and once with it where
  node.json says so; it leaves no record. The task `acquire` does it between measurements.
- Its laser has the same guard as every other: bar, interlock, key, time limit, hours. Where the
  board has no interlock wired there are no looks with the laser: nobody may be near.
- The laser is on for at most a DUTY-th of the time: after a look it rests DUTY times as long.
- The laser lights by itself only after a person has had a sample measured, since the start and
  since interlock or key were last open: closing them lights nothing (manual reset).
"""

import asyncio

from node import limits
from node.errors import LaserStopped
from node.measure import nearest
from node.presence import PART, Presence, cap, rise, total
from protocol.limits import U16_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Driver, Node, Report, TriggerSettings

LOOK_US = 22_000  # more than one period of the mains' light; the least that common models take
DUTY = 20  # 5 %: a window stays cool, a laser lives, and a fault has little light to show
_UNGUARDED = "no looks with the laser: this board has no interlock wired; see docs/node.md"


class Looks:
    """Looks for samples at the probe of one node.

    Args:
        node: what the parts share: acquire, board, clock, inspection.
        settings: section `triggers` of node.json.
    """

    def __init__(self, node: "Node", settings: "TriggerSettings") -> None:
        self._node = node
        self._has_laser = settings["sample"] == "laser"
        self._look_ms = settings["look_s"] * 1000
        self._rise_counts = settings["rise_counts"]
        self._presence = Presence()
        self._serial = ""  # of the instrument that was looked through
        self._dark_counts: int | None = None  # mean of the newest look without the laser
        self._due_ms = 0
        self._halted: int | None = 0  # samples measured until then: looks wait for another one

    async def run(self, report: "Report") -> None:
        """Have a look taken whenever one is due."""
        node = self._node
        if self._has_laser and getattr(node.board, "INTERLOCK_PIN", 0) is None:
            node.board.log(_UNGUARDED)
            return
        while True:
            report()
            await asyncio.sleep_ms(limits.LASER_POLL_MS)  # no opening of the interlock is missed
            if not self._permitted() or node.clock.uptime_ms() < self._due_ms:
                continue
            if node.acquire.between(self._look):
                self._due_ms = node.clock.uptime_ms() + self._look_ms

    async def _look(self, driver: "Driver") -> None:
        """Look once and draw the conclusion; called by the task `acquire`.

        Raises:
            InstrumentError: of the driver.
        """
        node, presence = self._node, self._presence
        instrument, laser = node.acquire.instrument, node.acquire.laser
        if instrument is None:
            return
        if instrument.serial != self._serial:
            self._serial, self._dark_counts = instrument.serial, None
            presence.forget()
        sample_count = node.inspection.sample_count  # before the look: somebody may press during it
        full_scale_counts = instrument.full_scale_counts
        integration_us = nearest(LOOK_US, instrument)
        node.acquire.report(0)
        await driver.measure(integration_us, 1, False)
        level = -await self._level(driver, full_scale_counts)
        self._dark_counts = -level // PART
        if self._has_laser:
            if self._halted is not None:  # interlock or key opened during the dark half
                return
            begun_ms = node.clock.uptime_ms()
            node.acquire.report(0)
            try:
                await laser.expose(driver, integration_us, 1)
            except LaserStopped:
                self._halt()
                return
            on_ms = node.clock.uptime_ms() - begun_ms
            self._due_ms = max(self._due_ms, begun_ms + on_ms * (DUTY + 1))
            level += await self._level(driver, full_scale_counts)
        least = rise(self._rise_counts, full_scale_counts)
        if presence.look(level, least, sample_count):
            reason = node.acquire.trigger()
            if reason:
                node.board.log("sample present: %s" % reason)

    def _permitted(self) -> bool:
        """Say whether a look may be taken."""
        if not self._has_laser:
            return True
        laser, node = self._node.acquire.laser, self._node
        if node.board.laser_permit():
            self._halt()
        elif self._halted is not None and self._halted != node.inspection.sample_count:
            self._halted = None
        return self._halted is None and laser.power_mw > 0 and not laser.refusal(LOOK_US // 1000)

    def _halt(self) -> None:
        """Look no more until somebody has a sample measured; what is there then was that one."""
        sample_count = self._node.inspection.sample_count
        if self._halted != sample_count:
            self._halted = sample_count
            self._presence.handled(sample_count)
            self._node.board.log("looks for samples rest until somebody presses")

    async def _level(self, driver: "Driver", full_scale_counts: int) -> int:
        """Return the mean of the driver's pixels in 1/PART counts; the loop has turns between."""
        highest = U16_MAX
        if self._dark_counts is not None:
            highest = cap(self._dark_counts, full_scale_counts)
        pixels = driver.pixels
        size, sum_counts = len(pixels), 0
        for begin in range(0, size, 2 * limits.LOOK_PIXELS):
            sum_counts += total(pixels, begin, min(begin + 2 * limits.LOOK_PIXELS, size), highest)
            await asyncio.sleep_ms(0)
        return PART * sum_counts // (size // 2)
