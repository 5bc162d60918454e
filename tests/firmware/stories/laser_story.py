"""Every suspension of a measurement, struck in every way; lines say how many, and what was wrong.

The spectrometer's task is the real one: acquire, measure, the guard, the driver and its frames,
the waits. What a strike is stands in STRIKES; where it falls is counted, not written down.
"""
# ruff: noqa: T201, PLC0415, E402, UP031, FBT003

import asyncio
import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")
sys.path.insert(0, REPOSITORY + "/tests/firmware/stories")

import played
from played import Board, at_once, clock, strike

from drivers.obp.driver import Driver
from node import errors, limits
from node.acquire import Acquire
from node.clock import Clock
from node.config import Settings
from node.inspection import Inspection
from node.signals import Signals

HANG_MS = 15_000  # longer than the guard waits for a driver
SETTLE_MS = 100_000  # of virtual time, after which a case must have come to its end
EXPOSURE = (30_000, 2)
SLACK_MS = 10  # of the loop
OF_EACH_KIND = (
    "interlock opened",
    "interlock opened, and closed",
    "laser barred",
    "node stopped",
    "task hangs",
    "instrument mute",
    "line cut",
    "port lost",
    "raises InstrumentError",
    "raises ValueError",
)


class Journal:
    journal_id = b"journal1"
    next_seq = 1


class Node:
    """What Acquire asks of a node; its parts are the real ones, but for the journal."""

    boot_id = b"bootboot"

    def __init__(self, board, mode):
        self.board = board
        self.clock = Clock(clock.ticks_ms, clock.ticks_diff, self.boot_id)
        self.signals = Signals(board, "en")
        self.settings = Settings(FOLDER + "/config.bin", *EXPOSURE, 8, 5_000, mode)
        self.inspection = Inspection(board.random_bytes)
        self.journal = Journal()
        self.refuses = False
        self.stored = []
        given = {
            "instrument": {"excitation_pm": 785_000, "laser_mw": 100},
            "laser_s_max": 600,
            "measure_s_max": 1,
        }
        settings = {"port": "PORT", "baud": 115_200, "model": "", "pixels_max": 16}
        self.acquire = Acquire(self, Driver(board, Defaults(settings)), given, 50)

    def store(self, reading):
        if self.refuses:
            raise errors.FlashRefused("flash is full")
        self.stored.append(reading)
        self.journal.next_seq += 1
        return self.journal.next_seq - 1


class Defaults(dict):
    """Settings of a driver: what is not given is the plainest of its kind."""

    def __getitem__(self, key):
        return self.get(key, 0)


class Stage:
    """One node for all cases of a mode; the instrument is plugged in anew where it has to be."""

    def __init__(self, mode):
        self.board = Board(FOLDER)
        self.node = Node(self.board, mode)
        self.acquire = self.node.acquire
        self.task = None

    async def run(self):
        try:
            await self.acquire.run()
        except errors.NodeError as error:
            return error.__class__.__name__
        except (OSError, ValueError, MemoryError, RuntimeError) as error:
            return error.__class__.__name__
        return ""

    async def ready(self):
        """Have the instrument identified and idle, and nothing left of the case before."""
        strike.begin(0)
        self.board.port.begin()
        self.board.begin()
        self.node.refuses = False
        self.acquire.bar.lift()
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.run())
        while self.acquire.instrument is None:
            await asyncio.sleep_ms(20)
        self.acquire.measure.darks.forget()
        self.node.stored.clear()

    async def settle(self):
        """Wait until the measurement is over, one way or another; say whether it is."""
        until_ms = clock.now_ms + (HANG_MS if strike.holds else SETTLE_MS)
        while clock.now_ms < until_ms:
            await asyncio.sleep_ms(500)
            is_idle = not self.acquire._triggers and not self.acquire._darkening
            if self.task.done() or (is_idle and self.acquire.laser._task is None):
                return True
        return False

    async def measure(self, refuses_at=0, number=0, **struck):
        """Measure once, struck, or refused from one request on; return the complaints."""
        await self.ready()
        port = self.board.port

        def refuse(requests):
            if requests == refuses_at:
                port.refusal = number

        port.on_request = refuse
        strike.begin(**struck)
        assert not self.acquire.trigger()
        is_over = await self.settle()
        # A task that hangs is the watchdog's to end; that the laser is off by then is asked below.
        return [] if is_over or struck.get("holds") else ["it does not come to an end"]

    def complaints(self, is_told):
        """Return what is wrong after a case.

        Args:
            is_told: the instrument can have been told that its laser be off.
        """
        board, found = self.board, []
        if board.is_lit():
            found.append("light leaves the probe")
        if board.is_closed:
            found.append("the line is closed")
        if is_told and board.port.has_laser:
            found.append("the instrument has its laser on")
        if board.open_ms > limits.LASER_POLL_MS + SLACK_MS:
            found.append("light for %d ms with the interlock open" % board.open_ms)
        if board.late_ms > limits.LASER_POLL_MS + SLACK_MS:
            found.append("light for %d ms too long" % board.late_ms)
        taken = {dark.seq: dark.integration_us for dark in self.node.stored if dark.role == 1}
        samples = [reading for reading in self.node.stored if reading.role == 0]
        if not all(taken.get(one.dark_seq) == one.integration_us for one in samples):
            found.append("a sample has no dark frame")
        return found


def foreseen():
    """Return every class of error that a measurement can meet, and some that it should not."""
    found = []
    for name in dir(errors):
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, (errors.InstrumentError,)):
            found.append(kind("x", 1) if issubclass(kind, errors.InstrumentRefused) else kind("x"))
    found += [errors.FlashRefused("x"), OSError(5), ValueError("x"), MemoryError("x")]
    return found


def strikes(stage):
    """Return (name, what `Strike.begin` gets, whether the instrument can still be told "off")."""
    port, acquire, board = stage.board.port, stage.acquire, stage.board

    def becomes(way):
        def change():
            port.way = way

        return change

    def cancel():
        at_once(stage.task.cancel)
        at_once(lambda: at_once(stage.task.cancel))  # as a node does that stops

    def refuse():
        stage.node.refuses = True

    found = [
        ("interlock opened", {"call": board.open_interlock}, True),
        ("interlock opened, and closed", {"call": lambda: wink(board)}, True),
        ("laser barred", {"call": lambda: at_once(lambda: acquire.darken(b"command1"))}, True),
        ("node stopped", {"call": cancel}, True),
        ("flash refuses", {"call": refuse}, True),
        ("task hangs", {"holds": True}, False),
        ("instrument mute", {"call": becomes("mute")}, True),
        ("instrument garbles", {"call": becomes("garbage")}, True),
        ("instrument late", {"call": becomes("late")}, True),
        ("instrument defers", {"call": becomes("defers")}, True),
        ("line cut", {"call": becomes("deaf")}, False),
        ("port lost", {"call": becomes("lost")}, False),
        ("port closed", {"call": becomes("closed")}, False),
    ]
    for error in foreseen():
        is_known = isinstance(error, errors.InstrumentError)
        found.append(("raises %s" % error.__class__.__name__, {"error": error}, is_known))
    return found


def wink(board):
    board.open_interlock()

    async def close():
        await asyncio.sleep_ms(2 * limits.LASER_POLL_MS)
        board.open_since_ms = None

    played._create_task(close())


async def strike_all(mode, is_wanted=lambda _: True):
    """Strike at every suspension; print one line for each way to strike."""
    stage = Stage(mode)
    await stage.measure(at=0)
    total = strike.count
    print(mode, "suspensions", total, "readings", len(stage.node.stored), stage.board.closings)
    names = [name for name, _, _ in strikes(stage) if is_wanted(name)]
    for name in names:
        wrong, at = {}, 1
        while True:
            (what, is_told) = next(found[1:] for found in strikes(stage) if found[0] == name)
            found = await stage.measure(at=at, **what)
            if strike.count < at:
                break
            for complaint in found + stage.complaints(is_told):
                wrong.setdefault(complaint, []).append(at)
            if strike.holds:  # what hangs is left behind
                stage.task.cancel()
                stage = Stage(mode)
            at += 1
        wrong.update(await well(stage))
        print(mode, name, at - 1, wrong)


async def refuse_all(mode):
    """Have the instrument refuse with every error number from every request on."""
    from drivers.obp import exchange

    stage = Stage(mode)
    await stage.measure(at=0)
    requests = stage.board.port.requests
    numbers = [int(line.split(" ")[0]) for line in exchange._ERRORS.strip().split("\n")]
    wrong = {}
    for number in numbers:
        for at in range(1, requests + 1):
            found = await stage.measure(at=0, refuses_at=at, number=number)
            for complaint in found + stage.complaints(True):
                wrong.setdefault(complaint, []).append((number, at))
    wrong.update(await well(stage))
    print(mode, "refused", len(numbers) * requests, wrong)


async def well(stage):
    """Measure with nothing in the way; complain if that gives nothing."""
    await stage.measure(at=0)
    return {} if stage.node.stored and not stage.board.is_lit() else {"nothing after it": []}


def break_guard(how):
    """Take one of the guard's means away, so that somebody must notice."""
    from node.laser import Laser

    async def sleep(*_arguments):
        await asyncio.sleep_ms(SETTLE_MS)

    if how == "nobody looks":
        Laser._watch = sleep
    elif how == "the driver forgets":
        from drivers.obp.laser import Laser as Switch

        Switch.off = sleep
    elif how == "the line stays":
        Board.laser_line = lambda board, on_ms: setattr(board, "is_closed", True)


async def main():
    if len(sys.argv) > 3:
        break_guard(sys.argv[3])
        await strike_all("manual", lambda name: name == "interlock opened")
        return
    await strike_all("manual")
    await refuse_all("manual")
    await strike_all("automatic", lambda name: name in OF_EACH_KIND)


asyncio.run(main())
