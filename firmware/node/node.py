"""A node: the only place that wires its parts together, and what they share."""

import asyncio
import time

from node import boots, limits
from node.acquire import Acquire
from node.calendar import Calendar
from node.clock import Clock
from node.commands import Commands
from node.config import Settings
from node.errors import InstrumentError, JournalError, LinkError, SettingsError
from node.health import Reporter
from node.signals import Signals
from node.storage import Storage
from node.supervisor import Supervisor
from node.uplink import Uplink
from protocol.limits import ID_BYTES
from protocol.messages import ROLE_SAMPLE, ROLE_STANDARD

FIRMWARE = "harmattan 0.1.0"


class Node:
    """The parts of one node and what they share.

    Args:
        board: of boards/.
        given: settings of node.json, checked.
    """

    def __init__(self, board: object, given: dict) -> None:
        self.board, self.boots_path = board, board.folder + "/boots"
        self.post = given["post"]
        self.name = given["node"]
        self.boot_id = board.random_bytes(ID_BYTES)
        self.clock = Clock(time.ticks_ms, time.ticks_diff, self.boot_id)
        self.calendar = Calendar(board.folder + "/time", board.set_wall_time)
        self.signals = Signals(board, given["language"])
        self.storage = Storage(self, board.feed_watchdog)
        self.journal = self.storage.journal
        self.settings = Settings(
            self.storage.flash.path + "/config.bin",
            given["integration_us"],
            given["scans"],
            given["window"],
            given["resend_ms"],
        )
        self.supervisor = Supervisor(board.log, self._failed, lambda: board.random_bytes(1)[0])
        instrument = given["instrument"]
        driver = load_driver(instrument["driver"])(board, instrument)
        self.acquire = Acquire(self, driver, instrument["excitation_pm"], instrument["laser_mw"])
        self.reporter = Reporter(self, self.acquire, self.supervisor, instrument, FIRMWARE)
        self.commands = Commands(self.clock, self.acquire.trigger, self._announce, self._reply)
        self.uplink = Uplink(self, given["broker"], given["wifi"], self.commands)
        self.acquire.identified = self._announce
        self.acquire.finished = self.commands.finish
        self.signals.changed = self.reporter.changed
        self.store = self.storage.store

    def _announce(self) -> None:
        self.uplink.want("birth")

    def _reply(self, result: object) -> None:
        self.uplink.reply(result)

    def status(self, online: bool) -> object:
        """Return the status message."""
        return self.reporter.status(online)

    def message(self, channel: str) -> object:
        """Return the message about this node for `channel`, as of now."""
        if channel == "birth":
            return self.reporter.birth()
        return self.reporter.health() if channel == "health" else self.reporter.status(True)

    def reconnect_count(self) -> int:
        """Return how often the link had to be made anew."""
        return max(self.uplink.connect_count - 1, 0)

    def heard(self, message: object) -> None:
        """Take note that the gateway itself answered: a `time` message of this boot."""

    def configure(self, config: object) -> bool:
        """Put a config in force; False when it is in force already.

        Raises:
            SettingsError: it cannot be used.
        """
        try:
            changed = self.settings.apply(config)
        except OSError as error:
            self.signals.fault("config", "config cannot be saved: %s; check the flash" % error)
            return False
        if changed:
            self.signals.clear("config")
        return changed

    def _failed(self, name: str, error: Exception) -> None:
        if isinstance(error, LinkError):
            name = "broker"
        elif isinstance(error, InstrumentError):
            name = "instrument"
        elif isinstance(error, JournalError):
            name = "journal"
        self.signals.fault(name, str(error) or error.__class__.__name__)
        self.reporter.changed()

    async def _press(self) -> None:
        while True:
            is_standard = await self.board.button()
            reason = self.acquire.trigger(None, ROLE_STANDARD if is_standard else ROLE_SAMPLE)
            if reason:
                self.board.log("button: %s" % reason)

    async def _repeat(self) -> None:
        """Measure every `period_s`; 0 means only when triggered."""
        last_ms = self.clock.uptime_ms()
        while True:
            await asyncio.sleep_ms(1000)  # short, so that a new period counts at once
            now_ms = self.clock.uptime_ms()
            period_ms = self.settings.period_s * 1000
            if not period_ms:
                last_ms = now_ms
            elif now_ms - last_ms >= period_ms:
                last_ms = now_ms
                self.acquire.trigger()

    def _follow_time(self) -> None:
        try:
            self.calendar.follow(self.clock.uptime_ms(), self.clock.time_ms())
        except OSError as error:
            self.board.log("the time cannot be saved: %s; check the flash" % error)

    async def _beat(self) -> None:
        proven = False
        self.calendar.restore()
        while True:
            self.board.feed_watchdog()
            self._follow_time()
            if self.clock.uptime_ms() >= limits.HEALTHY_MS and not proven:
                proven = True
                boots.clear(self.boots_path)
            await asyncio.sleep_ms(limits.HEARTBEAT_MS)

    async def run(self) -> None:
        """Run until the board asks to stop."""
        self.signals.show("starting", ("node", self.name), ("board", self.board.NAME))
        stop = asyncio.create_task(self.board.stop_requested())
        while not self.storage.open() and not stop.done():
            self.board.feed_watchdog()
            await asyncio.sleep_ms(limits.FLASH_RETRY_MS)
        try:
            self.settings.load()
        except SettingsError as error:
            self.signals.fault("config", str(error))
        add = self.supervisor.add
        add("beat", self._beat)
        link = add("uplink", self.uplink.run, limits.RECONNECT_MS_MIN, limits.RECONNECT_MS_MAX)
        self.uplink.entry = link
        add("health", lambda: self.reporter.run(self.uplink))
        add("button", self._press)
        add("period", self._repeat)
        laser = add("acquire", self.acquire.run, limits.RESTART_MS_MIN, limits.INSTRUMENT_MS_MAX)
        await stop
        laser.task.cancel()  # first of all: its way out switches the laser off
        self.uplink.leave()
        await self.supervisor.wait(link, limits.FAREWELL_MS_MAX)
        await self.supervisor.stop()
        self.storage.close()
        self.signals.show("stopped")


def load_driver(name: str) -> type:
    """Return class Driver of the instrument family `name`.

    Raises:
        SettingsError: there is no such family.
    """
    try:
        return __import__("drivers.%s.driver" % name, None, None, ("Driver",)).Driver
    except ImportError:
        raise SettingsError("node.json: instrument.driver is %r; see drivers/" % name)
