"""Acquisition: a trigger in, one or two records in the journal.

The task opens the port, identifies the instrument and waits for triggers (button, command, period).
Each trigger gives a dark frame when none fits, then the sample frame; each is a `reading` record.
An InstrumentError ends the task: the supervisor says what it was and starts it again.
"""

import asyncio

from node import limits
from node.bar import LaserBar
from node.errors import FlashRefused, InstrumentError
from node.spectrum import Dark, axis_id, is_saturated
from node.upkeep import Upkeep
from node.waiting import within_ms
from protocol.limits import ID_BYTES
from protocol.messages import (
    FLAG_SATURATED,
    FLAG_UNVERIFIED,
    OUTCOME_DONE,
    OUTCOME_FAILED,
    ROLE_DARK,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    Reading,
)

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Call, Driver, Finished, Instrument, Node, Report

ROLE_NAMES = {ROLE_SAMPLE: "sample", ROLE_DARK: "dark", ROLE_STANDARD: "standard"}
IDENTIFY_MS = 5_000  # an idle instrument is asked who it is: an unplugged one is found before use
_UNCONFIRMED = "laser is barred, but the instrument does not confirm: use its key switch"


class Acquire:
    """The spectrometer of a node.

    Args:
        node: what the parts share.
        driver: of the instrument.
        excitation_pm: wavelength of the laser, picometre.
        laser_mw: its power at the sample, milliwatt.
    Attributes:
        instrument: what `identify` told, None while there is none.
        axis_id: identity of its axis, None while there is none.
        bar: keeps the laser off.
        upkeep: laser hours and standards of the instruments.
        dark: the newest dark frame.
        identified: called when another instrument answers than before.
        finished: called with (command_id, outcome, detail) when a commanded capture ended.
        report: called with the milliseconds that the next step may take beyond the usual.
    """

    def __init__(self, node: "Node", driver: "Driver", excitation_pm: int, laser_mw: int) -> None:
        self._node = node
        self._driver = driver
        self._excitation_pm = excitation_pm
        self._laser_mw = laser_mw
        self._triggers: list[tuple[bytes, bytes | None, int]] = []
        self._wake = asyncio.Event()
        self.dark = Dark()
        self.instrument: Instrument | None = None
        self.axis_id: bytes | None = None
        self._exposure: asyncio.Task[None] | None = None  # the task that measures, while it does
        self._darkening: list[bytes] = []  # commands that wait for the laser to be off
        self.bar = LaserBar(node.board.folder + "/laser.barred", node.board.log, node.signals)
        self.upkeep = Upkeep(node.board.folder + "/upkeep", node.board.log)
        self.identified: Call = lambda: None
        self.finished: Finished = lambda _id, _outcome, _detail: None
        self.report: Report = lambda _more_ms=0: None

    def trigger(self, command_id: "bytes | None" = None, role: int = ROLE_SAMPLE) -> str:
        """Ask for a measurement; return why there will be none, or an empty string.

        Args:
            command_id: who asked; it names the inspection. None: button or period.
            role: ROLE_SAMPLE; ROLE_STANDARD when a calibration standard is before the probe;
                ROLE_DARK for a dark frame alone.
        """
        if self._is_barred(role):
            return LaserBar.TEXT
        signals = self._node.signals
        if self.instrument is None:
            reason = signals.standing("instrument") or "instrument is not ready yet; wait"
            signals.fault("instrument", reason, repeat=True)
            return reason
        if len(self._triggers) >= limits.TRIGGERS_MAX:
            return "busy: %d measurements are waiting" % len(self._triggers)
        inspection_id = command_id or self._node.board.random_bytes(ID_BYTES)
        self._triggers.append((inspection_id, command_id, role))
        self._wake.set()
        return ""

    def press(self, role: int) -> str:
        """Do as `trigger` for somebody at the node, who may allow the laser again."""
        if self.bar.lift():
            self._node.board.log("the laser is allowed again: the button was pressed")
        return self.trigger(None, role)

    def darken(self, command_id: bytes) -> str:
        """Bar the laser and end what uses it; return why that cannot be confirmed, or "".

        `finished` tells when the instrument has confirmed.
        """
        self.bar.set()
        if self.instrument is None:
            return _UNCONFIRMED
        self._darkening.append(command_id)
        if self._exposure is not None and self._triggers[0][2] != ROLE_DARK:
            self._exposure.cancel()  # its way out switches the laser off
        self._wake.set()
        return ""

    async def run(self) -> None:
        """Measure for as long as the instrument works.

        Raises:
            InstrumentError: it does not.
            FlashRefused: a reading could not be stored.
        """
        self.dark.forget()
        try:
            await self._driver.open()
            while True:
                await self._identify()
                while await self._wait_trigger():
                    if self._darkening:
                        await self._darken()
                    else:
                        await self._inspect()
        finally:
            # Reached when the instrument failed and when the node stops.
            self.instrument = None
            await self._driver.close()
            while self._triggers:
                self._finish(OUTCOME_FAILED, "measurement failed")
            while self._darkening:
                self.finished(self._darkening.pop(0), OUTCOME_FAILED, _UNCONFIRMED)

    async def _identify(self) -> None:
        self.report(0)
        before = self.axis_id
        instrument = await self._driver.identify()
        is_new, self.instrument = self.instrument is None, instrument
        self.axis_id = axis_id(instrument, self._excitation_pm)
        self.upkeep.use(instrument.serial)
        self._node.signals.clear("instrument")
        if is_new:
            self._node.signals.show("ready", ("instrument", instrument.serial))
        if is_new or self.axis_id != before:
            self.identified()

    async def _wait_trigger(self) -> bool:
        """Wait for a trigger; False when it is time to ask the instrument who it is."""
        if not self._triggers and not self._darkening:
            self._wake.clear()
            try:
                await within_ms(self._wake.wait(), IDENTIFY_MS)
            except asyncio.TimeoutError:
                return False
        return True

    async def _inspect(self) -> None:
        """Serve the oldest trigger."""
        inspection_id, _, role = self._triggers[0]
        seq, settings = 0, self._node.settings
        taken = (settings.integration_us, settings.scans, self.axis_id)
        try:
            fits = role == ROLE_DARK or self.dark.fits(taken, self._node.clock.uptime_ms())
            if not fits and not self.bar.is_set:
                await self._take(ROLE_DARK, inspection_id)
            if not self._is_barred(role):
                seq = await self._take(role, inspection_id)
        except (InstrumentError, FlashRefused) as error:
            self._finish(OUTCOME_FAILED, str(error))
            raise
        if seq:
            self._finish(OUTCOME_DONE, "seq=%d" % seq)
        else:
            self._finish(OUTCOME_FAILED, LaserBar.TEXT)
            self._node.signals.show("ready", ("instrument", self.instrument.serial))  # type: ignore[union-attr]  # identified

    def _is_barred(self, role: int) -> bool:
        return self.bar.is_set and role != ROLE_DARK

    async def _darken(self) -> None:
        """Have the laser off, and answer who asked for it."""
        await self._driver.laser_off()
        while self._darkening:
            self.finished(self._darkening.pop(0), OUTCOME_DONE, LaserBar.TEXT)

    def _finish(self, outcome: int, detail: str) -> None:
        command_id = self._triggers.pop(0)[1]
        if command_id is not None:
            self.finished(command_id, outcome, detail)

    async def _take(self, role: int, inspection_id: bytes) -> int:
        """Expose once and store the reading; return its number, 0 when the laser was barred."""
        node, driver, settings = self._node, self._driver, self._node.settings
        integration_us, scans, is_dark = settings.integration_us, settings.scans, role == ROLE_DARK
        laser_mw = 0 if is_dark else self._laser_mw
        node.signals.show("measuring", ("role", ROLE_NAMES[role]))
        begun_ms = node.clock.uptime_ms()
        # "Deferred" begins the exposure's deadline anew.
        self.report((limits.DEFERRALS_MAX + 1) * (integration_us * scans // 1000))
        # A task of its own, so that barring the laser ends the exposure and nothing else.
        self._exposure = asyncio.create_task(driver.measure(integration_us, scans, laser_mw > 0))
        try:
            await self._exposure
        except asyncio.CancelledError:
            if not self._darkening:
                raise
            return 0
        finally:
            self._exposure = None
            if laser_mw:
                now_ms = node.clock.uptime_ms()
                self.upkeep.laser(now_ms - begun_ms, now_ms)
        self.report(0)
        full_scale_counts = self.instrument.full_scale_counts  # type: ignore[union-attr]  # identified
        flags = FLAG_UNVERIFIED if driver.unverified else 0
        if is_saturated(driver.pixels, full_scale_counts):
            flags |= FLAG_SATURATED
        journal, clock, uptime_ms = node.journal, node.clock, node.clock.uptime_ms()
        reading = Reading(
            journal.journal_id,
            journal.next_seq,
            node.boot_id,
            uptime_ms,
            clock.time_ms(),
            clock.quality,
            inspection_id,
            role,
            self.axis_id,
            integration_us,
            scans,
            laser_mw,
            driver.temperature_mc,
            full_scale_counts,
            flags,
            None if is_dark else self.dark.seq,
            driver.pixels,
        )
        seq = node.store(reading)
        if role == ROLE_STANDARD:
            self.upkeep.standard(uptime_ms, clock.time_ms())
        if is_dark:
            self.dark.keep(seq, driver.pixels, (integration_us, scans, self.axis_id), uptime_ms)
        return seq
