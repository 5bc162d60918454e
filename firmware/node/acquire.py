"""Acquisition: a trigger in, one or two records in the journal.

The task opens the port, identifies the instrument and waits for triggers (button, command, period).
Each trigger gives a dark frame when none fits, then the sample frame; each is a `reading` record.
An
InstrumentError ends the task: the supervisor says what it was and starts it again.
"""

import asyncio
from hashlib import sha256

from node import limits
from node.errors import FlashRefused, InstrumentError
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

ROLE_NAMES = {ROLE_SAMPLE: "sample", ROLE_DARK: "dark", ROLE_STANDARD: "standard"}
IDENTIFY_MS = 5_000  # an idle instrument is asked who it is: an unplugged one is found before use


class Acquire:
    """The spectrometer of a node.

    Args:
        node: what the parts share: board, clock, journal, settings, signals, boot_id, random_bytes.
        driver: of the instrument, with `open`, `identify`, `measure`, `close`.
        excitation_pm: wavelength of the laser, picometre.
        laser_mw: its power at the sample, milliwatt.
    Attributes:
        instrument: what `identify` told, None while there is none.
        axis_id: identity of its axis, None while there is none.
        laser_on_ms: sum of all exposures with laser since boot.
        identified: called when another instrument answers than before.
        finished: called with (command_id, outcome, detail) when a commanded capture ended.
        report: called with the milliseconds that the next step may take beyond the usual.
    """

    def __init__(self, node: object, driver: object, excitation_pm: int, laser_mw: int) -> None:
        self._node = node
        self._driver = driver
        self._excitation_pm = excitation_pm
        self._laser_mw = laser_mw
        self._triggers: list[tuple[bytes, bytes | None, int]] = []
        self._wake = asyncio.Event()
        self._dark = None  # seq, integration_us, scans, uptime_ms, axis_id
        self.instrument = None
        self.axis_id = None
        self.laser_on_ms = 0
        self.identified = None
        self.finished = None
        self.report = lambda more_ms: None

    def trigger(self, command_id: "bytes | None" = None, role: int = ROLE_SAMPLE) -> str:
        """Ask for a measurement; return why there will be none, or an empty string.

        Args:
            command_id: who asked; it names the inspection. None: button or period.
            role: ROLE_SAMPLE, or ROLE_STANDARD when a calibration standard is before the probe.
        """
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

    async def run(self) -> None:
        """Measure for as long as the instrument works.

        Raises:
            InstrumentError: it does not.
            FlashRefused: a reading could not be stored.
        """
        self._dark = None  # whoever is plugged in now may be another, or have become cold
        try:
            await self._driver.open()
            while True:
                await self._identify()
                while await self._wait_trigger():
                    await self._inspect()
        finally:
            # Reached when the instrument failed and when the node stops.
            self.instrument = None
            await self._driver.close()
            while self._triggers:
                self._finish(OUTCOME_FAILED, "measurement failed")

    async def _identify(self) -> None:
        self.report(0)
        before = self.axis_id
        instrument = await self._driver.identify()
        is_new = self.instrument is None
        self.instrument = instrument
        self.axis_id = axis_id(instrument, self._excitation_pm)
        self._node.signals.clear("instrument")
        if is_new:
            self._node.signals.show("ready", ("instrument", instrument.serial))
        if (is_new or self.axis_id != before) and self.identified is not None:
            self.identified()

    async def _wait_trigger(self) -> bool:
        """Wait for a trigger; False when it is time to ask the instrument who it is."""
        if not self._triggers:
            self._wake.clear()
            try:
                await within_ms(self._wake.wait(), IDENTIFY_MS)
            except asyncio.TimeoutError:
                return False
        return True

    async def _inspect(self) -> None:
        """Serve the oldest trigger."""
        inspection_id, _, role = self._triggers[0]
        try:
            if not self._has_dark():
                await self._take(ROLE_DARK, inspection_id)
            seq = await self._take(role, inspection_id)
        except (InstrumentError, FlashRefused) as error:
            self._finish(OUTCOME_FAILED, str(error))
            raise
        self._finish(OUTCOME_DONE, "seq=%d" % seq)

    def _finish(self, outcome: int, detail: str) -> None:
        command_id = self._triggers.pop(0)[1]
        if command_id is not None and self.finished is not None:
            self.finished(command_id, outcome, detail)

    def _has_dark(self) -> bool:
        """Say whether the newest dark frame fits: this axis, this exposure, not too old."""
        if self._dark is None:
            return False
        _, integration_us, scans, uptime_ms, axis = self._dark
        settings = self._node.settings
        age_ms = self._node.clock.uptime_ms() - uptime_ms
        return (
            axis == self.axis_id
            and integration_us == settings.integration_us
            and scans == settings.scans
            and age_ms < limits.DARK_AGE_MS_MAX
        )

    async def _take(self, role: int, inspection_id: bytes) -> int:
        """Expose once and store the reading; return its sequence number."""
        node, driver, settings = self._node, self._driver, self._node.settings
        integration_us, scans = settings.integration_us, settings.scans
        is_dark = role == ROLE_DARK
        laser_mw = 0 if is_dark else self._laser_mw
        node.signals.show("measuring", ("role", ROLE_NAMES[role]))
        begun_ms = node.clock.uptime_ms()
        # "Deferred" begins the exposure's deadline anew.
        self.report((limits.DEFERRALS_MAX + 1) * (integration_us * scans // 1000))
        try:
            await driver.measure(integration_us, scans, laser_mw > 0)
        finally:
            if laser_mw:
                self.laser_on_ms += node.clock.uptime_ms() - begun_ms
        self.report(0)
        full_scale_counts = self.instrument.full_scale_counts
        flags = FLAG_UNVERIFIED if driver.unverified else 0
        if is_saturated(driver.pixels, full_scale_counts):
            flags |= FLAG_SATURATED
        journal, clock = node.journal, node.clock
        uptime_ms = clock.uptime_ms()
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
            None if is_dark or self._dark is None else self._dark[0],
            driver.pixels,
        )
        seq = node.store(reading)
        if is_dark:
            self._dark = (seq, integration_us, scans, uptime_ms, self.axis_id)
        return seq


def axis_id(instrument: object, excitation_pm: int) -> bytes:
    """Return the identity of a wavelength axis: the same coefficients give the same 8 bytes."""
    digest = sha256(instrument.coefficients_f32le)
    digest.update(b"%d %d " % (instrument.pixel_count, excitation_pm))
    digest.update(instrument.serial.encode())
    return digest.digest()[:ID_BYTES]


def is_saturated(pixels_u16le: memoryview, full_scale_counts: int) -> bool:
    """Say whether any pixel reaches full scale.

    Args:
        pixels_u16le: little-endian u16 each.
        full_scale_counts: counts at which the converter ends.
    """
    high = full_scale_counts >> 8
    for i in range(1, len(pixels_u16le), 2):
        if (
            pixels_u16le[i] >= high
            and (pixels_u16le[i] << 8 | pixels_u16le[i - 1]) >= full_scale_counts
        ):
            return True
    return False
