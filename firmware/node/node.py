"""A node: the only place that wires its parts together, and what they share."""

import asyncio
import time

from node import limits, safe
from node.acquire import Acquire
from node.actions import Actions
from node.attend import Attend
from node.clock import Clock
from node.commands import Commands
from node.config import Settings
from node.errors import part_of
from node.health import Reporter
from node.hearing import Hearing
from node.inspection import Inspection
from node.loading import load_driver
from node.logring import LogRing
from node.pulse import Pulse
from node.signals import Signals
from node.storage import Storage
from node.supervisor import Supervisor
from node.triggers import Triggers
from node.tuning import Tuning
from node.uplink import Uplink
from protocol.limits import ID_BYTES

if False:  # for the type checker: nothing of it is compiled
    from node import typed

FIRMWARE = "harmattan 0.1.0"
_STOPS = "the node stops"
_BAUD_BITS = 10  # of one byte on a serial line, start and stop included


class Node:
    """The parts of one node and what they share.

    Args:
        board: of boards/.
        given: settings of node.json, checked.
        boot: this start, and what those before it came to.
    Attributes:
        is_safe: nothing is measured, see `safe.py`.
        has_instrument: a spectrometer is meant to hang on it; else there is no button either.
        readers: what hangs on it beside the spectrometer, by name.
    """

    def __init__(self, board: "typed.Board", given: "typed.Given", boot: "typed.Boot") -> None:
        self.board, self.boot, self.is_safe = board, boot, boot.is_unsafe
        self.post = given["post"]
        self.name = given["node"]
        self.boot_id = board.random_bytes(ID_BYTES)
        self.clock = Clock(time.ticks_ms, time.ticks_diff, self.boot_id)
        ring = LogRing(board.log, self.clock.uptime_ms, limits.LOG_BYTES)
        board.log = ring.write  # type: ignore[method-assign]  # from here on, whoever logs
        self.signals = Signals(board, given["language"])
        self.supervisor = Supervisor(board.log, self._failed, lambda: board.random_bytes(1)[0])
        self.pulse = Pulse(self)
        self.storage = Storage(self, self.pulse.feed, self.is_safe)
        self.store = self.storage.store
        path = self.storage.flash.path + "/config.bin"
        self.settings = Settings(
            path,
            given["integration_us"],
            given["scans"],
            given["window"],
            given["resend_ms"],
            given["exposure"],
        )
        self.tuning = Tuning(self)
        self.configure, self.heard = self.tuning.configure, self.tuning.heard
        instrument = given["instrument"]
        self.has_instrument = instrument["driver"] != ""
        self.inspection = Inspection(board.random_bytes, given["papers_first"], self.has_instrument)
        self._transfer_ms = 2 * board.BUDGET["pixels_bytes_max"] * _BAUD_BITS * 1000
        self._transfer_ms //= instrument["baud"]
        self._looks = given["triggers"]
        driver = None
        if self.has_instrument and not self.is_safe:
            driver = self._load_driver("spectrometer", instrument)
        self.acquire = Acquire(self, driver, given, self._transfer_ms)
        self.readers: dict[str, Attend] = {}
        for reader in [] if self.is_safe else given["readers"]:
            name = reader["driver"]
            while name in self.readers:
                name += "'"
            self.readers[name] = Attend(self, name, self._load_driver("reader", reader))
        self.reporter = Reporter(self, self.acquire, self.supervisor, instrument, FIRMWARE)
        self.commands = Commands(self.clock, self._reply, board.folder + "/commands", board.log)
        self.actions = Actions(self, ring)
        self.commands.actions = self.actions.known(self.has_instrument)
        commands = safe.Gate(self.commands, self._reply) if self.is_safe else self.commands
        self.uplink = Uplink(self, given["broker"], given["wifi"], commands)
        self.hearing = Hearing(self)
        self.uplink.published = self.hearing.published
        self.acquire.identified = self._announce
        self.acquire.finished = self.commands.finish
        self.signals.changed = self.reporter.changed
        self._ending = asyncio.Event()
        self._is_restarting = False
        self._laser: typed.Entry | None = None
        self._health: typed.Entry  # since `run`
        boot.running = self.supervisor.running

    def _load_driver(self, kind: str, settings: "typed.Any") -> "typed.Any":
        self.boot.begin("driver")
        driver = load_driver(settings["driver"], kind)(self.board, settings)
        self.boot.begin("program")
        return driver

    @property
    def journal(self) -> "typed.AnyJournal":
        """Return the journal; a Backlog while there is none, and in safe mode."""
        return self.storage.journal

    def _announce(self) -> None:
        self.uplink.want("birth")

    def _reply(self, result: "typed.Result") -> None:
        self.uplink.reply(result)

    def status(self, online: bool) -> "typed.Message":
        """Return the status message."""
        return self.reporter.status(online)

    def message(self, channel: str) -> "typed.Message":
        """Return the message about this node for `channel`, as of now."""
        if channel == "birth":
            return self.reporter.birth()
        return self.reporter.health() if channel == "health" else self.reporter.status(True)

    def want(self, channel: str) -> None:
        """Have a message sent; the task `health` asks, and may now wait for its interval."""
        self._health.report(self.settings.health_s * 1000)
        self.uplink.want(channel)

    def reconnect_count(self) -> int:
        """Return how often the link had to be made anew."""
        return max(self.uplink.connect_count - 1, 0)

    def restart(self, is_trial: bool = False) -> None:
        """Start the board anew: laser off, farewell, and no crash is counted.

        Args:
            is_trial: it leaves safe mode for one full start.
        """
        self.boot.asked(is_trial)
        self._is_restarting = True
        self._ending.set()

    def _failed(self, name: str, error: Exception, traced: str) -> None:
        if traced:
            told = "failures by task: %s\n%s" % (self.supervisor.summary(), traced)
            self.boot.note(name, told)
        name = name if name in self.readers else part_of(error) or name
        text = str(error) or error.__class__.__name__
        if traced:
            text += "; started again, have the log and the file `crash` looked at"
        self.signals.fault(name, text, is_logged=True)  # by the supervisor
        self.reporter.changed()

    async def run(self) -> bool:
        """Run until the board asks to stop, or `restart` was called; say whether it was that."""
        self.signals.show("starting", ("node", self.name), ("board", self.board.NAME))
        stop = asyncio.create_task(self._wait_stop())
        self.boot.begin("journal")
        is_open = self.storage.open()
        self.boot.begin("")
        self.tuning.load()
        self.pulse.tell_start()
        add = self.supervisor.add
        self.pulse.entry = add("beat", self.pulse.run)
        self.uplink.entry = link = add(
            "uplink",
            self.uplink.run,
            limits.RECONNECT_MS_MIN,
            limits.RECONNECT_MS_MAX,
            limits.LINK_SILENCE_MS,
        )
        self.uplink.report = link.report
        self._health = add("health", lambda: self.reporter.run(self))
        self._add("actions", self.actions.run)
        if not is_open:
            self._add("journal", self._wait_journal)
        elif not self.is_safe:
            self._measure()
        await self._ending.wait()
        stop.cancel()
        self.board.feed_watchdog()
        if self._laser is not None:
            self._laser.task.cancel()  # first of all: its way out switches the laser off
            self.acquire.laser.stop(_STOPS)
        self.uplink.leave()
        await self.supervisor.wait(link, limits.FAREWELL_MS_MAX)
        await self.acquire.laser.over(_STOPS)  # behind a spectrum on a slow line
        await self.supervisor.stop()
        self.acquire.upkeep.close(self.clock.uptime_ms())
        self.storage.close()
        self.signals.show("stopped")
        return self._is_restarting

    async def _wait_stop(self) -> None:
        await self.board.stop_requested()
        self._ending.set()

    def _add(
        self, name: str, run: "typed.Run", restart_ms_max: int = limits.RESTART_MS_MAX
    ) -> None:
        """Supervise a task that is given the function by which it reports."""
        restart_ms_min = limits.RESTART_MS_MIN
        entry = self.supervisor.add(name, lambda: run(entry.report), restart_ms_min, restart_ms_max)

    def _measure(self) -> None:
        """Begin what needs a journal."""
        for name, reader in self.readers.items():
            self._add(name, reader.run, limits.INSTRUMENT_MS_MAX)
        if not self.has_instrument:
            return
        triggers = Triggers(self)
        self._add("button", triggers.press)
        self._add("period", triggers.repeat)
        if self._looks["sample"] != "off":
            from node.looks import Looks  # noqa: PLC0415 - most nodes have none

            self._add("looks", Looks(self, self._looks).run)
        self._laser = self.supervisor.add(
            "acquire",
            self.acquire.run,
            limits.RESTART_MS_MIN,
            limits.INSTRUMENT_MS_MAX,
            limits.INSTRUMENT_SILENCE_MS + self._transfer_ms,
        )
        self.acquire.report = self._laser.report

    async def _wait_journal(self, report: "typed.Report") -> None:
        """Try again to open the journal; the gateway is told meanwhile, and nothing is measured."""
        while not self.storage.open():
            report()
            await asyncio.sleep_ms(limits.FLASH_RETRY_MS)
        self.tuning.load()
        self._measure()
        self._announce()
