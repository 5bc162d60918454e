"""The guard of the laser: who has it on, for how long, and what ends it.

Rules of the file
- The laser is on within `expose` and nowhere else: the line that feeds it (`board.laser_line`,
  see hardware/laser_safety.md) is closed before the driver is asked to measure, and open again
  whatever ends the measurement.
- A task of its own looks at interlock, key and time every LASER_POLL_MS. It opens the line first
  and ends the measurement then, so a driver that hangs in a wait, or on its way out, keeps no
  laser on. The line has a limit of its own besides, where the board has a timer for it.
- What switches the laser off at the instrument may have to wait behind a spectrum on the line.
- It is on while the spectrum is on the line, too: only then is the exposure known to be over.
- Who needs no laser (a dark frame) needs no permission.
- Closing interlock or key lights nothing: what opened while somebody's wish was waiting, or while a
  dark frame was taken for it, is kept in `opened` (acquire.py), and the wish has failed.
"""

import asyncio

from node import limits
from node.bar import LaserBar
from node.errors import LaserStopped, LaserUncertain, NodeError

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Coroutine, Driver, Node
    from node.upkeep import Upkeep


_TOO_LONG = (
    "exposure of %d ms and %d ms for a spectrum on the line are longer than laser_s_max of "
    "node.json allows, %d s; a higher baud rate shortens the latter"
)


class Laser:
    """The laser of a node's spectrometer.

    Args:
        node: what the parts share: board, clock, signals.
        upkeep: counts how long it was on.
        on_ms_max: of one exposure and the transfer of its spectrum.
        transfer_ms: what a spectrum takes on the line.
    Attributes:
        bar: set and lifted by people.
        opened: why what is asked for now may not have the laser any more, empty: it may.
        power_mw: at the sample; 0: there is none.
    """

    def __init__(
        self, node: "Node", upkeep: "Upkeep", power_mw: int, on_ms_max: int, transfer_ms: int
    ) -> None:
        self._node = node
        self._upkeep = upkeep
        self._on_ms_max = on_ms_max
        self._transfer_ms = transfer_ms
        self._task: asyncio.Task[None] | None = None  # that measures with it, while it does
        self._why = ""  # it must not be on any more
        self._is_ending = self._is_hung = False
        self._until_ms = 0  # uptime at which the exposure is over, or else is ended
        self.opened = ""
        self.power_mw = power_mw
        self.bar = LaserBar(node.board.folder + "/laser.barred", node.board.log, node.signals)

    @property
    def exposure_ms_max(self) -> int:
        """The longest exposure; less than 0: a transfer takes longer than it may be on."""
        return self._on_ms_max - self._transfer_ms

    def refusal(self, exposure_ms: int = 0) -> str:
        """Return why the laser may not be on now, empty: it may.

        Args:
            exposure_ms: of what is meant.
        """
        if not self.power_mw:
            return ""
        if self.bar.is_set:
            return LaserBar.TEXT
        if exposure_ms > self.exposure_ms_max:
            return _TOO_LONG % (exposure_ms, self._transfer_ms, self._on_ms_max // 1000)
        return self._node.board.laser_permit()

    def told(self) -> str:
        """Return `refusal`, and have the fault stand while it holds; the bar has one of its own."""
        why = self.refusal()
        if why and not self.bar.is_set:
            self._node.signals.fault("laser", why)
        elif not why:
            self._node.signals.clear("laser")
        return why

    def settle(self) -> None:
        """Take a fault back that was told and holds no more."""
        if self._node.signals.standing("laser"):
            self.told()

    def stop(self, why: str) -> bool:
        """End an exposure that uses the laser; False: there is none."""
        if self._task is None:
            return False
        self._node.board.laser_line(0)
        if not self._why:
            self._why = why
            self._end()
        return True

    async def over(self, why: str) -> None:
        """Stop whatever uses it, and wait for as long as that may take."""
        while self.stop(why):
            if self._node.clock.uptime_ms() > self._until_ms + 2 * limits.LASER_CUT_MS:
                return
            await asyncio.sleep_ms(limits.LASER_POLL_MS)

    def _end(self) -> None:
        """Cancel what measures, once: a second time would cut its way out short."""
        if not self._is_ending:
            self._is_ending = True
            off_ms = self._transfer_ms + limits.LASER_OFF_MS_MAX
            self._until_ms = self._node.clock.uptime_ms() + off_ms
            self._task.cancel()  # type: ignore[union-attr]  # an exposure is under way

    async def expose(self, driver: "Driver", integration_us: int, scans: int) -> str:
        """Have the laser on while something is measured.

        Returns:
            Why the laser had to be off before the end all the same; empty: it was on.
        Raises:
            LaserStopped: it may not be on, or had to be switched off.
            LaserUncertain: the driver does not come to an end, or the instrument does not confirm
                that its laser is off.
            InstrumentError: of the driver.
        """
        clock, line = self._node.clock, self._node.board.laser_line
        exposure_ms = integration_us * scans // 1000
        why = self.opened or self.refusal(exposure_ms)
        if why:
            raise LaserStopped(why)
        begun_ms = clock.uptime_ms()
        on_ms = 2 * exposure_ms + self._transfer_ms + limits.LASER_SLACK_MS
        self._why, self._is_ending, self._until_ms = "", False, begun_ms + on_ms
        self._is_hung = False
        done = asyncio.Event()
        outcome: list[NodeError | None] = []
        watch: asyncio.Task[None] | None = None
        try:  # from here on: to close the line, or to make a task, may fail for want of memory
            line(on_ms)
            # Not awaited itself: whoever cancels the caller, and be it twice, ends it in order.
            self._task = asyncio.create_task(
                _measure(driver.measure(integration_us, scans, True), done, outcome)
            )
            watch = asyncio.create_task(self._watch(done))
            await self._wait(done)
        finally:
            line(0)
            task, self._task = self._task, None
            if watch is not None:
                watch.cancel()
            elif task is not None:
                task.cancel()  # it has not begun, and must not without its guard
            now_ms = clock.uptime_ms()
            self._upkeep.laser(now_ms - begun_ms, now_ms)
        if self._is_hung or not task.done():
            raise LaserUncertain("driver does not end: %s; use the key switch" % self._why)
        if not outcome and not self._why:
            await task  # it is done: this raises what nobody foresaw
        error = outcome[0] if outcome else LaserStopped(self._why)
        if error is not None:
            if getattr(driver, "laser_uncertain", False) and not isinstance(error, LaserUncertain):
                raise LaserUncertain("laser may be on: %s; use the key switch" % error)
            raise error
        return self._why or self.refusal()

    async def _wait(self, done: asyncio.Event) -> None:
        """Wait for the end of the exposure; cancelled, for its way out first."""
        is_cancelled = False
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                is_cancelled = True
                self._node.board.laser_line(0)
                self._end()
        if is_cancelled:
            raise asyncio.CancelledError

    async def _watch(self, done: asyncio.Event) -> None:
        """Guard the exposure; where that ends before it does, whatever the reason, it ends, too."""
        try:
            await self._look(done)
        finally:
            if self._task is not None:
                self.stop("its guard failed, which the log tells; measure again")

    async def _look(self, done: asyncio.Event) -> None:
        """Stop the exposure when the laser may not be on any more."""
        while True:
            await asyncio.sleep_ms(limits.LASER_POLL_MS)
            late_ms = self._node.clock.uptime_ms() - self._until_ms
            is_late = late_ms > 0
            if self._is_ending:
                task = self._task
                # It was cancelled before it began, or the driver hangs: nobody waits any more.
                if task is None or task.done() or late_ms > limits.LASER_CUT_MS:
                    done.set()
                elif is_late:  # cut its way out short: its port will be closed
                    self._is_hung = True
                    task.cancel()
                continue
            why = self.refusal()
            if not why and is_late:
                why = "it was on for longer than the exposure needs; check the instrument"
            if why:
                self.stop(why)


async def _measure(
    measuring: "Coroutine[Any, Any, None]", done: asyncio.Event, outcome: "list[NodeError | None]"
) -> None:
    try:
        await measuring
        outcome.append(None)
    except NodeError as error:
        outcome.append(error)
    finally:
        done.set()
