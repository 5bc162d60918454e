"""Records, deadlines and commands of one boot while the gateway's clock jumps; runs on both.

For each start of the tick counter and each jump it prints one line: what must not depend on them,
and behind ` | ` the wall time that the records got, relative to the gateway's clock.
"""
# ruff: noqa: T201

import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")
sys.path.insert(0, REPOSITORY + "/tests/firmware/stories")


class NoTime:
    """Stands for module `time`: a board's clock may begin in 1970 or 2000, so nobody asks it."""

    def __getattr__(self, name):
        raise AssertionError("time." + name)


sys.modules["time"] = NoTime()

from journal_parts import make, read_all  # noqa: E402

from node.clock import Clock  # noqa: E402
from node.commands import Commands  # noqa: E402
from node.pace import Pace  # noqa: E402
from protocol.delivery import Window  # noqa: E402
from protocol.messages import (  # noqa: E402
    ACTION_BIRTH,
    ACTION_IDENTIFY,
    ACTION_LASER_OFF,
    EVENT_CODE,
    OUTCOME_DONE,
    TIME_GATEWAY,
    Command,
    Event,
    Time,
    unpack,
)

PERIOD = 1 << 30  # ticks of a 32-bit MicroPython wrap there
BOOT_ID = b"bootboot"
NOW_MS = 1_795_000_000_000
YEAR_MS = 365 * 86_400_000
JUMPS_MS = (0, 1_000, -1_000, 3_600_000, -3_600_000, 86_400_000, -86_400_000, YEAR_MS, -YEAR_MS)
JUMPS_MS += (10 * YEAR_MS, -10 * YEAR_MS, -NOW_MS + 60_000, 946_684_800_000 - NOW_MS)
STARTS = (0, PERIOD - 5_000, PERIOD // 2 - 5_000)


class Desk:
    """One boot of a node, and the gateway's clock."""

    def __init__(self, start, folder):
        self.true_ms = start
        self.start = start
        self.wall_ms = NOW_MS  # of the gateway, as it begins
        self.clock = Clock(self.ticks, diff, BOOT_ID)
        self.pace = Pace(diff, self.ticks())
        self.window = Window(8, 5_000)
        self.outcomes = []
        self.commands = Commands(self.clock, self.reply, folder + ".commands", print)
        self.births = 0
        self.commands.actions = {
            ACTION_BIRTH: self.birth,
            ACTION_IDENTIFY: lambda _: (OUTCOME_DONE, ""),
            ACTION_LASER_OFF: lambda _: (OUTCOME_DONE, ""),
        }
        self.journal = make(folder)
        self.facts = []

    def ticks(self):
        return self.true_ms % PERIOD

    def gateway_ms(self):
        return self.wall_ms + self.true_ms - self.start

    def birth(self, _):
        self.births += 1
        return OUTCOME_DONE, ""

    def reply(self, result):
        self.outcomes.append(result.outcome)

    def command_meanwhile(self):
        """Have commands come between the jump and the time; say what holds after any jump.

        Darkness and a birth are done; another one is done, or refused for the time's sake and then
        the time is asked for.
        """
        self.command(10, 30_000, ACTION_LASER_OFF)
        self.command(11, -30_000, ACTION_LASER_OFF)
        self.command(12, 30_000, ACTION_BIRTH)
        births = self.births
        self.command(13, 30_000)
        outcomes, self.outcomes = self.outcomes, self.outcomes[:-4]
        return outcomes[-4:-1], (outcomes[-1] == OUTCOME_DONE) != (self.births > births)

    def tell_time(self):
        """Have the gateway answer a birth; 100 ms there and back."""
        asked_ms = self.clock.uptime_ms()
        self.true_ms += 50
        message = Time(self.gateway_ms(), TIME_GATEWAY, BOOT_ID, asked_ms)
        self.true_ms += 50
        self.clock.learn(message)

    def store(self):
        """Store an event, send it, and note every deadline."""
        clock, seq = self.clock, self.journal.next_seq
        event = Event(
            self.journal.journal_id,
            seq,
            BOOT_ID,
            clock.uptime_ms(),
            clock.time_ms(),
            clock.quality,
            b"inspect!",
            EVENT_CODE,
            "]C1",
            b"x",
            None,
            None,
        )
        self.journal.append(event)
        now_ms = clock.uptime_ms()
        self.window.admit(seq, now_ms)
        self.window.sent(seq, now_ms)
        self.pace.sent(seq, 100, self.ticks())
        self.facts.append((seq, now_ms, self.window.due_in_ms(now_ms)))
        self.true_ms += 700
        self.facts.append((self.pace.is_stuck(self.ticks()), self.pace.has_room(self.ticks())))
        self.pace.acknowledged(seq, self.ticks())

    def command(self, number, left_ms, action=ACTION_IDENTIFY):
        """Have a command come that the gateway lets expire in `left_ms`."""
        expires_ms = max(self.gateway_ms() + left_ms, 0)
        self.commands.take(Command(b"%08d" % number, action, expires_ms, b""))


def diff(later, earlier):
    return (later - earlier + PERIOD // 2) % PERIOD - PERIOD // 2


def main():
    for index, start in enumerate(STARTS):
        for number, jump_ms in enumerate(JUMPS_MS):
            desk = Desk(start, FOLDER + "/clock" + str(index * len(JUMPS_MS) + number))
            desk.store()  # before anybody told the time
            desk.tell_time()
            desk.store()
            desk.command(1, 30_000)
            desk.command(2, -30_000)
            desk.wall_ms += jump_ms
            desk.true_ms += 10_000
            desk.store()  # the gateway's clock has jumped, the node does not know
            meanwhile = desk.command_meanwhile()
            desk.tell_time()
            desk.store()
            desk.command(3, 30_000)
            desk.command(4, -30_000)
            desk.true_ms += 4_000
            due = desk.window.due(desk.clock.uptime_ms())
            records = [
                unpack(frame, "event") for _, frame in sorted(read_all(desk.journal).items())
            ]
            identity = [(record.seq, record.uptime_ms, record.boot_id) for record in records]
            labels = [record.time_ms and record.time_ms - desk.wall_ms for record in records]
            print((desk.facts, due, identity, desk.outcomes, meanwhile), "|", labels)


main()
