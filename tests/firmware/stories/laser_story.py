"""Every suspension of a measurement, struck in every way; lines say how many, and what was wrong.

Usage: laser_story.py REPOSITORY FOLDER RIG ACT STRIKES [BROKEN]. The spectrometer's task is the
real one: acquire, measure, looks, the guard, the driver and its frames, the waits. What a strike is
stands in `strikes`; where it falls is counted, not written down. One line for each way to strike:
the name, how often it struck, how often the laser was lit without it, and the complaints.
"""
# ruff: noqa: T201, PLC0415, E402, UP031, FBT003

import asyncio
import struct
import sys

REPOSITORY, FOLDER, RIG, ACT, STRIKES = sys.argv[1:6]
BROKEN = sys.argv[6:]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")
sys.path.insert(0, REPOSITORY + "/tests/firmware/stories")

import played
from played import Board, at_once, clock, strike
from played_instruments import DARK_COUNTS, RIGS

from node import errors, limits
from node.acquire import Acquire
from node.clock import Clock
from node.config import Settings
from node.inspection import Inspection
from node.looks import Looks
from node.signals import Signals
from protocol.messages import ROLE_DARK, ROLE_SAMPLE, ROLE_STANDARD, Config

HANG_MS = 15_000  # longer than the guard waits for a driver
SETTLE_MS = 100_000  # of virtual time, after which a case must have come to its end
DUTY_MS = 120_000  # of looks
LOOK_S_MS = 2_000  # a look has begun and ended by then
SLACK_MS = 10  # of the loop
INTEGRATION_US = 150_000
TELL_MS = 20  # from the guard's word to the driver's
LASER_S_MAX = 600
ROLES = {
    "manual": ROLE_SAMPLE,
    "automatic": ROLE_SAMPLE,
    "standard": ROLE_STANDARD,
    "dark": ROLE_DARK,
    "queue": ROLE_SAMPLE,
}
# Every class of error is raised once; elsewhere one of each kind.
OF_EACH_KIND = (
    "InstrumentSilent",
    "InstrumentRefused",
    "FlashRefused",
    "ValueError",
    "MemoryError",
)


class Journal:
    journal_id = b"journal1"
    next_seq = 1


class Node:
    """What Acquire asks of a node; its parts are the real ones, but for the journal."""

    boot_id = b"bootboot"

    def __init__(self, board, rig, act):
        mode = "automatic" if act == "automatic" else "manual"
        self.board = board
        self.clock = Clock(clock.ticks_ms, clock.ticks_diff, self.boot_id)
        self.signals = Signals(board, "en")
        exposure = (INTEGRATION_US, rig.scans)
        self.settings = Settings(FOLDER + "/config.bin", *exposure, 8, 5_000, mode)
        self.inspection = Inspection(board.random_bytes)
        self.journal = Journal()
        self.refuses = False
        self.stored = []
        self.darks = {}  # integration of each, by its number
        self.dark_missing = False
        given = {
            "instrument": {"excitation_pm": 785_000, "laser_mw": 100},
            "laser_s_max": LASER_S_MAX,
            "measure_s_max": 1,
        }
        settings = {"port": "PORT", "baud": 9_600, "model": "played", "laser_mw": 100}
        driver = __import__("drivers.%s.driver" % rig.driver, None, None, ("Driver",)).Driver
        self.acquire = Acquire(self, driver(board, Defaults(settings)), given, 50)

    def store(self, reading):
        if self.refuses:
            raise errors.FlashRefused("flash is full")
        if reading.role == ROLE_DARK:
            self.darks[self.journal.next_seq] = reading.integration_us
        elif self.darks.get(reading.dark_seq) != reading.integration_us:
            self.dark_missing = True
        counts = struct.unpack("<16H", reading.pixels_u16le)
        self.stored.append((reading.role, max(counts) > DARK_COUNTS))
        self.journal.next_seq += 1
        return self.journal.next_seq - 1


class Defaults(dict):
    """Settings of a driver: what is not given is the plainest of its kind."""

    def __getitem__(self, key):
        return self.get(key, 0)


class Stage:
    """One node for all cases; the instrument is plugged in anew where it has to be."""

    def __init__(self, rig, act):
        self.rig, self.act = rig, act
        self.port = rig.make()
        self.answers = []
        self.boot()

    def boot(self):
        """Start the node, as after a power cut; the instrument stays as it is."""
        self.board = Board(FOLDER, self.port, self.rig.feed)
        self.node = Node(self.board, self.rig, self.act)
        self.mode = self.node.settings.exposure_mode
        self.acquire = self.node.acquire
        self.acquire.finished = lambda *answer: self.answers.append(answer)
        self.task = self.looking = None
        self.failure = ""

    async def run(self):
        try:
            await self.acquire.run()
        except errors.NodeError as error:
            self.failure = "%s: %s" % (error.__class__.__name__, error)
        except (OSError, ValueError, MemoryError, RuntimeError) as error:
            self.failure = error.__class__.__name__

    async def ready(self):
        """Have the instrument identified and idle, and nothing left of the case before.

        Returns:
            Complaints: an instrument that is found again is first told that its laser be off.
        """
        strike.begin(0)
        self.board.close_chain()
        self.stop_looking()
        self.port.begin()
        self.node.refuses = False
        self.acquire.bar.lift()
        settings = self.node.settings
        settings.integration_us, settings.scans = INTEGRATION_US, self.rig.scans
        settings.exposure_mode = self.mode
        if self.task is None or self.task.done():
            self.failure = ""
            self.task = asyncio.create_task(self.run())
        for _ in range(1_000):
            if self.acquire.instrument is not None:
                break
            if self.task.done():
                self.task = asyncio.create_task(self.run())
            await asyncio.sleep_ms(20)
        found = [] if not self.board.light.is_on else ["light leaves the probe once it is found"]
        self.acquire.measure.darks.forget()
        self.node.stored.clear()
        self.node.darks.clear()
        self.node.dark_missing = False
        self.answers.clear()
        self.board.begin()
        self.hours_ms = self.laser_ms()
        return found

    def stop_looking(self):
        if self.looking is not None:
            self.looking.cancel()

    def laser_ms(self):
        """Return what upkeep has counted."""
        return sum([record[0] for record in self.acquire.upkeep._records.values()])

    def ask(self, look_s=3_600):
        """Have done what the case is about; looks every `look_s` seconds."""
        if self.act == "look":
            looks = Looks(self.node, {"sample": "laser", "look_s": look_s, "rise_counts": 0})
            self.node.inspection.of_sample(self.node.clock.uptime_ms())  # somebody has pressed
            self.looking = asyncio.create_task(looks.run(lambda: None))
            return
        for number in range(2 if self.act == "queue" else 1):
            self.acquire.trigger(b"command%d" % number, ROLES[self.act])

    def is_idle(self):
        acquire = self.acquire
        if acquire._triggers or acquire._darkening or acquire._between is not None:
            return False
        return acquire.laser._task is None

    async def settle(self):
        """Wait until the measurement is over, one way or another; say whether it is."""
        if self.act == "look":
            await asyncio.sleep_ms(LOOK_S_MS)
        until_ms = clock.now_ms + (HANG_MS if strike.holds else SETTLE_MS)
        while clock.now_ms < until_ms:
            await asyncio.sleep_ms(200)
            if self.task.done() or self.is_idle():
                return True
        return False

    async def measure(self, refuses_at=0, number=0, **struck):
        """Measure once, struck, or refused from one request on; return the complaints."""
        found = await self.ready()
        port, life = self.port, strike.life

        def refuse(requests):
            if requests == refuses_at:
                port.refusal = number

        port.on_request = refuse
        strike.begin(**struck)
        self.ask()
        is_over = await self.settle()
        self.board.note()
        self.count = strike.count
        if strike.life != life:  # it was reset, and starts anew
            self.boot()
            return found + await self.ready()
        # A task that hangs is the watchdog's to end; that the laser is off by then is asked below.
        if not is_over and not struck.get("holds"):
            found.append("it does not come to an end")
        return found

    def complaints(self, is_told):
        """Return what is wrong after a case.

        Args:
            is_told: the instrument can have been told that its laser be off.
        """
        found = self.left_on(is_told) + self.too_long(is_told)
        if (ROLE_DARK, True) in self.node.stored:
            found.append("light in a dark frame")
        if self.node.dark_missing:
            found.append("a sample has no dark frame")
        if ACT == "dark" and (self.board.line.count or self.board.light.count):
            found.append("laser in a dark frame")
        counted_ms, on_ms = self.laser_ms() - self.hours_ms, self.board.line.on_ms
        if not strike.holds and not on_ms <= counted_ms <= on_ms + limits.LASER_OFF_MS_MAX:
            found.append("%d ms of laser, %d counted" % (on_ms, counted_ms))
        return found

    def left_on(self, is_told):
        """Return what is on at the end and should not, or of which nobody was told."""
        board, found = self.board, []
        if board.line.is_on:
            found.append("the line is closed")
        if board.light.is_on and (is_told or self.rig.feed != "instrument"):
            found.append("light leaves the probe")
        if self.port.has_laser and is_told:
            found.append("the instrument has its laser on")
        if self.port.has_laser and not strike.holds and "laser may be on" not in self.failure:
            found.append("nobody is told that the laser may be on: %s" % self.failure)
        return found

    def too_long(self, is_told):
        """Return what was on for longer than the guard needs to see it, or again."""
        found = []
        bound_ms = limits.LASER_POLL_MS + SLACK_MS
        for what, watched in (("line", self.board.line), ("light", self.board.light)):
            if what == "light" and self.rig.feed == "instrument":  # it has to be told
                bound_ms += TELL_MS
            if watched.open_ms > bound_ms:
                found.append("%s for %d ms with the chain open" % (what, watched.open_ms))
            if watched.late_ms > bound_ms and (is_told or what == "line"):
                found.append("%s for %d ms too long" % (what, watched.late_ms))
            if watched.again:
                found.append("%s again though the chain was open" % what)
        return found


def foreseen():
    """Return every class of error that a measurement can meet, and some that it should not."""
    found = []
    for name in dir(errors):
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, (errors.InstrumentError,)):
            found.append(kind("x", 1) if issubclass(kind, errors.InstrumentRefused) else kind("x"))
    found += [errors.FlashRefused("x"), errors.LaserStopped("x"), OSError(5), ValueError("x")]
    return found + [MemoryError("x")]  # noqa: RUF005 - MicroPython has no other way


def strikes(stage):
    """Return (name, what `Strike.begin` gets, whether the instrument can still be told "off")."""
    port, acquire, board, node = stage.port, stage.acquire, stage.board, stage.node

    def becomes(way):
        def change():
            port.way = way

        return change

    def cancel():
        at_once(stage.task.cancel)
        at_once(lambda: at_once(stage.task.cancel))  # as a node does that stops

    def refuse():
        node.refuses = True

    def die():
        strike.life += 1

    def configure():
        now_ms = node.clock.uptime_ms()
        version = node.settings.version + 1
        node.settings.apply(Config(version, 2 * INTEGRATION_US, 1, 0, 60, 8, 5_000), now_ms)

    found = [
        ("interlock opened", {"call": lambda: board.open_chain("interlock is open")}, True),
        ("interlock opened, and closed", {"call": lambda: wink(board, "interlock is open")}, True),
        ("key turned", {"call": lambda: board.open_chain("laser key is off")}, True),
        ("laser barred", {"call": lambda: at_once(lambda: acquire.darken(b"command9"))}, True),
        ("node stopped", {"call": cancel}, True),
        ("node reset", {"call": die}, True),
        ("config changed", {"call": configure}, True),
        ("flash refuses", {"call": refuse}, True),
        ("task hangs", {"holds": True}, False),
        ("instrument mute", {"call": becomes("mute")}, True),
        ("instrument garbles", {"call": becomes("garbage")}, True),
        ("instrument late", {"call": becomes("late")}, True),
        ("instrument defers", {"call": becomes("defers")}, True),
        ("instrument reset", {"call": port.reset}, stage.rig.driver != "ocean_ascii"),
        ("line cut", {"call": becomes("deaf")}, False),
        ("port lost", {"call": becomes("lost")}, False),
        ("port closed", {"call": becomes("closed")}, False),
    ]
    for error in foreseen():
        is_known = isinstance(error, (errors.InstrumentError, MemoryError))
        found.append(("raises %s" % error.__class__.__name__, {"error": error}, is_known))
    return found


def wink(board, why):
    board.open_chain(why)

    async def close():
        await asyncio.sleep_ms(2 * limits.LASER_POLL_MS)
        board.close_chain()

    played._create_task(close())


def is_wanted(name):
    if STRIKES == "every":
        return True
    if STRIKES in ("kinds", "ways", "errors"):
        is_error = name.startswith("raises ")
        return name[7:] in OF_EACH_KIND if is_error else STRIKES != "errors"
    return name == STRIKES


async def strike_all():
    """Strike at every suspension; print one line for each way to strike."""
    rig = RIGS[RIG]
    stage = Stage(rig, ACT)
    for _ in range(2):  # the first is another: it meets the instrument
        await stage.measure(at=0)
    total = stage.count
    print("suspensions", total, stage.board.line.count)
    names = [name for name, _, _ in strikes(stage) if is_wanted(name)]
    for name in names:
        wrong, at, struck = {}, 0, 0
        while at < total or stage.count >= at:  # a case may have more of them than the others
            at += 1
            (what, is_told) = next(found[1:] for found in strikes(stage) if found[0] == name)
            found = await stage.measure(at=at, **what)
            if stage.count < at:
                continue
            struck += 1
            for complaint in found + stage.complaints(is_told):
                wrong.setdefault(complaint, []).append(at)
            if BROKEN and wrong:  # that is what is asked then
                break
            if strike.holds:  # what hangs is left behind, and what waits for it
                strike.life += 1
                stage, count = Stage(rig, ACT), stage.count
                stage.count = count
        for complaint in [] if BROKEN else await well(stage):
            wrong[complaint] = []
        print(name, struck, wrong)


async def refuse_all():
    """Have the instrument refuse with every error number from every request on."""
    from drivers.obp import exchange

    stage = Stage(RIGS[RIG], ACT)
    await stage.measure(at=0)
    requests = stage.port.requests
    print("suspensions", stage.count, stage.board.line.count)
    numbers = [int(line.split(" ")[0]) for line in exchange._ERRORS.strip().split("\n")]
    wrong = {}
    for number in [number for number in numbers if number]:
        for at in range(1, requests + 1):
            found = await stage.measure(at=0, refuses_at=at, number=number)
            for complaint in found + stage.complaints(True):
                wrong.setdefault(complaint, []).append((number, at))
    for complaint in await well(stage):
        wrong[complaint] = []
    print("refused", (len(numbers) - 1) * requests, wrong)


async def count_duty():
    """Look as often as may be; print how often the line was closed, for how long, of how long."""
    stage = Stage(RIGS[RIG], ACT)
    await stage.ready()
    begun_ms = clock.now_ms
    stage.ask(look_s=1)
    await asyncio.sleep_ms(DUTY_MS)
    stage.board.note()
    print("duty", stage.board.line.count, stage.board.line.on_ms, clock.now_ms - begun_ms)


async def well(stage):
    """Do it with nothing in the way; complain if that gives nothing, or leaves light."""
    found = await stage.measure(at=0) + stage.complaints(True)
    if not stage.node.stored and ACT != "look":
        found.append("nothing after it")
    elif ACT not in ("look", "dark") and stage.node.stored[-1] != (ROLES[ACT], True):
        found.append("no light after it")
    return found


def break_guard(how):
    """Take one of the guard's means away, so that somebody must notice."""
    from node.laser import Laser

    async def sleep(*_arguments):
        await asyncio.sleep_ms(SETTLE_MS)

    async def nothing(*_arguments, **_named):
        pass

    if how == "nobody looks":
        Laser._watch = sleep
    elif how == "the driver forgets":
        from drivers.obp.laser import Laser as Switch

        Switch.off = nothing
    elif how == "the lamp is forgotten":
        from drivers.ocean_ascii.laser import Laser as Switch

        Switch.off = nothing
    elif how == "the line stays":
        Board.laser_line = lambda board, on_ms: board.line.set(True, board)
    elif how == "nobody keeps vigil":
        from node.vigil import Vigil

        Vigil._look = sleep
    elif how == "no rest":
        from node import looks

        looks.DUTY = 0
    elif how == "hours are forgotten":
        from node.upkeep import Upkeep

        Upkeep.laser = lambda *_: None


async def main():
    if BROKEN:
        break_guard(BROKEN[0])
    if STRIKES == "refused":
        await refuse_all()
    elif STRIKES == "duty":
        await count_duty()
    else:
        await strike_all()


asyncio.run(main())
