"""Measuring: exposures of one act, each frame that is worth keeping a record in the journal.

Rules of the file
- Each shot has its dark frame before it, which is stored; the sample names it. One that fits is
  not taken again.
- In the automatic mode shots are taken until the plan keeps one; the others leave nothing but
  their dark frames.
- Between two looks at a piece of a spectrum the loop has a turn.
- A reading states what was used, and says of itself whether it is saturated, empty, interrupted,
  or came without a checksum.
"""

import asyncio

from node import limits
from node.errors import LaserStopped
from node.exposure import SCANS_MAX, Plan, is_nothing, settable
from node.spectrum import Darks, Look
from protocol.messages import (
    EXPOSURE_MANUAL,
    FLAG_EMPTY,
    FLAG_INTERRUPTED,
    FLAG_SATURATED,
    FLAG_UNVERIFIED,
    ROLE_DARK,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    Reading,
)

if False:  # for the type checker: nothing of it is compiled
    from node.laser import Laser
    from node.typed import Driver, Instrument, Node, Report
    from node.upkeep import Upkeep

ROLE_NAMES = {ROLE_SAMPLE: "sample", ROLE_DARK: "dark", ROLE_STANDARD: "standard"}


def unit_us(instrument: "Instrument") -> int:
    """Return what an integration must be a multiple of."""
    return getattr(instrument, "integration_us_step", 1)  # not every family has one


def nearest(integration_us: int, instrument: "Instrument") -> int:
    """Return the integration next to this one that the instrument does."""
    return settable(integration_us, instrument.integration_us_range, unit_us(instrument))


class Measure:
    """What the spectrometer is used for.

    Args:
        node: what the parts share: board, clock, journal, settings, signals.
        driver: of the instrument.
        laser: its guard.
        upkeep: is told of standards.
        measure_ms_max: integration x scans that the automatic mode may choose.
        report: called with the milliseconds that the next step may take beyond the usual.
    Attributes:
        darks: dark frames of this boot and port session.
    """

    def __init__(
        self,
        node: "Node",
        driver: "Driver",
        laser: "Laser",
        upkeep: "Upkeep",
        measure_ms_max: int,
        report: "Report",
    ) -> None:
        self._node = node
        self._driver = driver
        self._laser = laser
        self._upkeep = upkeep
        self._measure_ms_max = measure_ms_max
        self._report = report
        self._instrument: Instrument = None  # type: ignore[assignment]  # until `use`
        self._axis_id = b""
        self._used: tuple[int, int] | None = None  # exposure of the newest sample in this mode
        self.darks = Darks()

    def use(self, instrument: "Instrument", axis_id: bytes) -> None:
        """Take note of the instrument that answers, and of the identity of its axis."""
        if instrument is not self._instrument:  # another, or the same after a reset
            self.darks.forget()
        self._instrument, self._axis_id = instrument, axis_id

    async def serve(self, role: int, inspection_id: bytes) -> int:
        """Measure, and return the number of the reading that was asked for.

        Raises:
            InstrumentError: there is none.
            LaserStopped: the laser may not be on, or had to be switched off.
            FlashRefused: it could not be stored.
        """
        settings = self._node.settings
        is_manual = settings.exposure_mode == EXPOSURE_MANUAL
        given = (settings.integration_us, settings.scans)
        if role == ROLE_DARK:
            exposure = given
            if not is_manual:
                exposure = self._used or (nearest(given[0], self._instrument), given[1])
            return (await self._dark(exposure, inspection_id))[0]
        why = self._laser.opened or self._laser.refusal()
        if why:
            raise LaserStopped(why)
        if not is_manual:
            return await self._choose(role, inspection_id)
        dark_seq, dark = await self._dark_for(given, inspection_id)
        look, flags = await self._expose(given, role, dark)
        full_scale_counts = self._instrument.full_scale_counts
        is_empty = is_nothing(look.rise_counts, look.stands, full_scale_counts, given[0])
        if is_empty and not flags & FLAG_INTERRUPTED:
            flags |= FLAG_EMPTY
        return self._store(role, given, flags, dark_seq, inspection_id)

    async def _choose(self, role: int, inspection_id: bytes) -> int:
        """Expose as the signal asks for; store the shot that is kept."""
        found = self._instrument
        plan = Plan(
            found.integration_us_range,
            found.full_scale_counts,
            self._measure_ms_max,
            getattr(found, "scans_max", SCANS_MAX),
            unit_us(found),
        )
        while True:
            exposure = (plan.integration_us, plan.scans)
            dark_seq, dark = await self._dark_for(exposure, inspection_id)
            if plan.shorten(dark.mean_counts):
                continue
            look, flags = await self._expose(exposure, role, dark)
            is_kept = plan.judge(look.high_counts, look.band_counts, look.stands, look.is_saturated)
            if is_kept or flags & FLAG_INTERRUPTED:
                break
        if plan.is_empty and not flags & FLAG_INTERRUPTED:
            flags |= FLAG_EMPTY
        self._used = exposure
        return self._store(role, exposure, flags, dark_seq, inspection_id)

    async def _dark_for(
        self, exposure: "tuple[int, int]", inspection_id: bytes
    ) -> "tuple[int, Look]":
        """Return number and look of the dark frame for a sample; take one where none fits."""
        found = self.darks.find(
            exposure, self._axis_id, self._driver.temperature_mc, self._node.clock.uptime_ms()
        )
        return found or await self._dark(exposure, inspection_id)

    async def _dark(self, exposure: "tuple[int, int]", inspection_id: bytes) -> "tuple[int, Look]":
        look, flags = await self._expose(exposure, ROLE_DARK)
        seq = self._store(ROLE_DARK, exposure, flags, None, inspection_id)
        self.darks.keep(
            seq,
            exposure,
            self._axis_id,
            self._driver.temperature_mc,
            self._node.clock.uptime_ms(),
            look,
        )
        return seq, look

    async def _expose(
        self, exposure: "tuple[int, int]", role: int, dark: "Look | None" = None
    ) -> "tuple[Look, int]":
        """Expose once; return what the driver's pixels show, beside the dark frame, and flags."""
        driver, (integration_us, scans), why = self._driver, exposure, ""
        self._node.signals.show(
            "measuring",
            ("role", ROLE_NAMES[role]),
            ("integration_us", integration_us),
            ("scans", scans),
        )
        # "Deferred" begins the exposure's deadline anew.
        self._report((limits.DEFERRALS_MAX + 1) * (integration_us * scans // 1000))
        if role == ROLE_DARK or not self._laser.power_mw:
            await driver.measure(integration_us, scans, False)
        else:
            why = await self._laser.expose(driver, integration_us, scans)
        self._report(0)
        count = len(driver.pixels) // 2
        spare = None if dark else self.darks.spare  # who measured beside that dark frame is done
        look = Look(self._instrument.full_scale_counts, count, dark, spare)
        for first in range(0, count, limits.LOOK_PIXELS):
            look.take(driver.pixels, first, min(first + limits.LOOK_PIXELS, count))
            await asyncio.sleep_ms(0)
        flags = FLAG_UNVERIFIED if driver.unverified else 0
        if look.is_saturated:
            flags |= FLAG_SATURATED
        if why:
            self._node.signals.fault("laser", why)
            flags |= FLAG_INTERRUPTED
        return look, flags

    def _store(
        self,
        role: int,
        exposure: "tuple[int, int]",
        flags: int,
        dark_seq: "int | None",
        inspection_id: bytes,
    ) -> int:
        """Store the driver's newest spectrum; return the number of its reading."""
        node, driver = self._node, self._driver
        journal, clock, uptime_ms = node.journal, node.clock, node.clock.uptime_ms()
        seq = node.store(
            Reading(
                journal.journal_id,
                journal.next_seq,
                node.boot_id,
                uptime_ms,
                clock.time_ms(),
                clock.quality,
                inspection_id,
                role,
                self._axis_id,
                exposure[0],
                exposure[1],
                0 if role == ROLE_DARK else self._laser.power_mw,
                driver.temperature_mc,
                self._instrument.full_scale_counts,
                flags,
                dark_seq,
                driver.pixels,
            )
        )
        if flags & (FLAG_EMPTY | FLAG_INTERRUPTED):
            node.inspection.missed(inspection_id)
        elif role == ROLE_STANDARD:
            self._upkeep.standard(uptime_ms, clock.time_ms())
        return seq
