"""Acquisition: triggers in, one after the other, and what became of each out.

The task opens the port, identifies the instrument and waits for triggers (button, command, period);
`measure.py` serves each.
An InstrumentError ends the task: the supervisor says what it was and starts it again.
"""

import asyncio

from node import limits
from node.bar import LaserBar
from node.errors import LASER_ON, ExposureRefused, FlashRefused, InstrumentError, LaserStopped
from node.laser import Laser
from node.measure import Measure
from node.spectrum import axis_id
from node.upkeep import Upkeep
from node.vigil import Vigil, Wish
from node.waiting import within_ms
from protocol.messages import EXPOSURE_MANUAL, OUTCOME_DONE, OUTCOME_FAILED, ROLE_DARK, ROLE_SAMPLE

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Call, Driver, Finished, Given, Instrument, Look, Node, Report

IDENTIFY_MS = 5_000  # an idle instrument is asked who it is: an unplugged one is found before use
_UNCONFIRMED = "laser is barred, but the instrument does not confirm: use its key switch"


class Acquire:
    """The spectrometer of a node.

    Args:
        node: what the parts share.
        driver: of the instrument; None: there is none, or this is safe mode.
        given: settings of node.json.
        transfer_ms: what a spectrum takes on the line.
    Attributes:
        instrument: what `identify` told, None while there is none.
        axis_id: identity of its axis, None while there is none.
        laser: has the laser on, and off.
        bar: keeps it off.
        measure: takes the frames.
        upkeep: laser hours and standards of the instruments.
        identified: called when another instrument answers than before.
        finished: called with (command_id, outcome, detail) when a commanded capture ended.
        report: called with the milliseconds that the next step may take beyond the usual.
    """

    def __init__(self, node: "Node", driver: "Any", given: "Given", transfer_ms: int) -> None:
        self._node = node
        self._driver: Driver = driver
        self._excitation_pm = given["instrument"]["excitation_pm"]
        self._triggers: list[Wish] = []  # the oldest is served; the others wait
        self._wake = asyncio.Event()
        self._between: Look | None = None
        self.instrument: Instrument | None = None
        self.axis_id: bytes | None = None
        self._darkening: list[bytes] = []  # commands that wait for the laser to be off
        self.upkeep = Upkeep(node.board.folder + "/upkeep", node.board.log)
        power_mw, laser_ms_max = given["instrument"]["laser_mw"], given["laser_s_max"] * 1000
        self.laser = Laser(node, self.upkeep, power_mw, laser_ms_max, transfer_ms)
        self.bar = self.laser.bar
        self._vigil = Vigil(node.board, self.laser, self._triggers)
        measure_ms_max = given["measure_s_max"] * 1000
        if power_mw:
            measure_ms_max = min(measure_ms_max, max(self.laser.exposure_ms_max, 1))
        self.measure = Measure(
            node,
            driver,
            self.laser,
            self.upkeep,
            measure_ms_max,
            lambda more_ms=0: self.report(more_ms),
        )
        self.identified: Call = lambda: None
        self.finished: Finished = lambda _id, _outcome, _detail: None
        self.report: Report = lambda _more_ms=0: None

    def trigger(self, command_id: "bytes | None" = None, role: int = ROLE_SAMPLE) -> str:
        """Ask for a measurement; return why there will be none, or an empty string.

        Args:
            command_id: who asked. None: button, foot switch, period or a look.
            role: ROLE_SAMPLE; ROLE_STANDARD when a calibration standard is before the probe;
                ROLE_DARK for a dark frame alone.
        """
        if self.bar.is_set and role != ROLE_DARK:
            return LaserBar.TEXT
        signals = self._node.signals
        if self.instrument is None:
            part = LASER_ON if signals.standing(LASER_ON) else "instrument"
            reason = signals.standing(part) or "instrument is not ready yet; wait"
            signals.fault(part, reason, repeat=True)
            return reason
        reason = "" if role == ROLE_DARK else self.laser.refusal()
        if reason:
            signals.fault("laser", reason, repeat=True)
            return reason
        if len(self._triggers) >= limits.TRIGGERS_MAX:
            return "busy: %d measurements are waiting" % len(self._triggers)
        inspection = self._node.inspection
        inspection_id = inspection.alone(command_id)
        if role == ROLE_SAMPLE:
            inspection_id = inspection.of_sample(self._node.clock.uptime_ms(), command_id)
        self._vigil.begin()
        self._triggers.append(Wish(inspection_id, command_id, role))
        self._wake.set()
        return ""

    def between(self, look: "Look") -> bool:
        """Have the idle instrument used for something that leaves no record; False: it is not idle.

        Args:
            look: coroutine function of the driver.
        """
        is_idle = self.instrument is not None and not self._triggers and self._between is None
        if is_idle:
            self._between = look
            self._wake.set()
        return is_idle

    def darken(self, command_id: bytes) -> str:
        """Bar the laser and end what uses it; return why that cannot be confirmed, or "".

        `finished` tells when the instrument has confirmed.
        """
        self.bar.set()
        if self.instrument is None:
            return _UNCONFIRMED
        self._darkening.append(command_id)
        self.laser.stop(LaserBar.TEXT)
        self._wake.set()
        return ""

    async def run(self) -> None:
        """Measure for as long as the instrument works.

        Raises:
            InstrumentError: it does not.
            FlashRefused: a reading could not be stored.
        """
        self.measure.darks.forget()
        try:
            await self._driver.open()
            while True:
                await self._identify()
                while await self._wait_trigger():
                    if self._darkening:
                        await self._darken()
                    elif self._triggers:
                        await self._inspect()
                    elif self._between is not None:
                        await self._between(self._driver)
                        self._between = None
                        break  # it was not idle, and is asked who it is all the same
        finally:
            # Reached when the instrument failed and when the node stops.
            self.instrument = self._between = None
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
        self.measure.use(instrument, self.axis_id)
        self.upkeep.use(instrument.serial)
        self.laser.settle()
        self._node.signals.clear("instrument")
        if not getattr(self._driver, "laser_uncertain", False):  # it has confirmed "off"
            self._node.signals.clear(LASER_ON)
        caution = getattr(self._driver, "caution", None)  # not every family has one
        if caution is None:
            self._node.signals.clear("detector")
        else:
            self._node.signals.fault("detector", str(caution))
        if is_new:
            self._node.signals.show("ready", ("instrument", instrument.serial))
        if is_new or self.axis_id != before:
            self.identified()

    async def _wait_trigger(self) -> bool:
        """Wait for a trigger; False when it is time to ask the instrument who it is."""
        if not self._triggers and not self._darkening and self._between is None:
            self._wake.clear()
            try:
                await within_ms(self._wake.wait(), IDENTIFY_MS)
            except asyncio.TimeoutError:
                return False
        return True

    async def _inspect(self) -> None:
        """Serve the oldest trigger."""
        wish, settings = self._triggers[0], self._node.settings
        version = settings.version
        self._vigil.serve(wish)
        try:
            seq = await self.measure.serve(wish.role, wish.inspection_id)
        except LaserStopped as stopped:  # the instrument is well: it goes on
            self._finish(OUTCOME_FAILED, str(stopped))
            if not self.bar.is_set:
                self._node.signals.fault("laser", str(stopped))
            self._node.signals.show("ready", ("instrument", self.instrument.serial))  # type: ignore[union-attr]  # identified
        except (InstrumentError, FlashRefused) as error:
            self._finish(OUTCOME_FAILED, str(error))
            # Its own numbers were refused: not what the automatic mode chose, nor a look's.
            is_own = settings.exposure_mode == EXPOSURE_MANUAL and settings.version == version
            if is_own and isinstance(error, ExposureRefused):
                self._node.tuning.refused(str(error))
            raise
        else:
            self._finish(OUTCOME_DONE, "seq=%d" % seq)

    async def _darken(self) -> None:
        """Have the laser off, and answer who asked for it."""
        await self._driver.laser_off()
        while self._darkening:
            self.finished(self._darkening.pop(0), OUTCOME_DONE, LaserBar.TEXT)

    def _finish(self, outcome: int, detail: str) -> None:
        wish = self._triggers.pop(0)
        self._vigil.serve(None)
        inspection = self._node.inspection
        if outcome == OUTCOME_FAILED:
            inspection.missed(wish.inspection_id)
        inspection.ended(wish.inspection_id, self._node.clock.uptime_ms())
        if wish.command_id is not None:
            self.finished(wish.command_id, outcome, detail)
