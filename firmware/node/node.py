"""A node: the only place that wires its parts together, and what they share."""

import asyncio
import gc
import time

from node import boots, limits
from node.acquire import ROLE_NAMES, Acquire
from node.calendar import Calendar
from node.clock import Clock
from node.commands import Commands
from node.config import Settings
from node.errors import FlashRefused, InstrumentError, JournalError, LinkError, SettingsError
from node.flash import Flash
from node.health import Reporter
from node.identity import Identity
from node.journal import Journal
from node.signals import Signals
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
        self.flash = Flash(board.flash_devices(), board.folder)
        self.board, self.boots_path = board, board.folder + "/boots"
        self.post = given["post"]
        self.name = given["node"]
        self.boot_id = board.random_bytes(ID_BYTES)
        self.clock = Clock(time.ticks_ms, time.ticks_diff, self.boot_id)
        self.calendar = Calendar(board.folder + "/time", board.set_wall_time)
        self.signals = Signals(board, given["language"])
        self.settings = Settings(
            self.flash.path + "/config.bin",
            given["integration_us"],
            given["scans"],
            given["window"],
            given["resend_ms"],
        )
        self.journal = Journal(
            self.flash.path + "/journal",
            board.BUDGET,
            board.random_bytes,
            board.sync_folder,
            board.feed_watchdog,
        )
        self.identity = Identity(board.folder + "/identity")
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
        self.journal.lost = self._lost

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

    def store(self, message: object) -> int:
        """Put a record into the journal, tell the officer and the uplink; return its number.

        Raises:
            FlashRefused: it could not be stored.
        """
        try:
            seq = self.journal.append(message)
        except FlashRefused as error:
            if self.flash.condemn(error):
                self.board.log("partition %s is used no more after a restart" % self.flash.name)
            raise
        self.signals.show(
            "stored",
            ("seq", seq),
            ("journal", self.journal.journal_id),
            ("inspection", message.inspection_id),
            ("role", ROLE_NAMES.get(getattr(message, "role", None), "sample")),
        )
        self.uplink.stored()
        gc.collect()
        return seq

    def _lost(self) -> None:
        """Tell that records are gone that nobody has received."""
        self.signals.fault(
            "journal",
            "unsent records are lost: %d spectra, %d scans, %d of alarms for want of room, %d "
            "damaged; restore the link to the gateway, then check the flash"
            % (tuple(self.journal.evicted_by_rank[1:]) + (self.journal.damaged_count,)),
        )
        self.reporter.changed()

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
        while not self._open_journal() and not stop.done():
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
        self.flash.close()
        self.signals.show("stopped")

    def _open_journal(self) -> bool:
        """Open the journal; without one nothing can be promised, so the node waits for it."""
        try:
            self.flash.open(self.journal)
            self.identity.load()
            missing = self.identity.compare(self.journal)
        except (JournalError, OSError) as error:
            self.signals.fault("journal", str(error))
            return False
        self.journal.rolled = self._rolled
        self.signals.clear("journal")
        if self.journal.notice:
            self.signals.fault("journal", self.journal.notice)
        notices = "; ".join(text for text in (self.flash.notice, missing) if text)
        if notices:  # a part of its own: receipts do not clear it
            self.signals.fault("flash", notices)
        self.board.log("%s; %d erasures" % (self.journal.report(), self.flash.erase_count))
        return True

    def _rolled(self) -> None:
        """Keep what must be known outside the journal; once per segment, for it is a write."""
        try:
            self.identity.note(self.journal)
            self.flash.save_wear()
        except OSError as error:
            self.board.log("identity and wear cannot be saved: %s" % error)


def load_driver(name: str) -> type:
    """Return class Driver of the instrument family `name`.

    Raises:
        SettingsError: there is no such family.
    """
    try:
        return __import__("drivers.%s.driver" % name, None, None, ("Driver",)).Driver
    except ImportError:
        raise SettingsError("node.json: instrument.driver is %r; see drivers/" % name)
