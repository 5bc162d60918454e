"""Interlock, key and laser line of a board as its pins see them; for real MicroPython."""
# ruff: noqa: T201, E402

import sys

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

LEVELS = {}
TIMERS = []


class Pin:
    IN, OUT, PULL_UP = 0, 1, 2

    def __init__(self, number, mode, pull=None, value=None):
        self.number = number
        if mode == self.OUT:
            LEVELS[number] = value
        else:
            LEVELS.setdefault(number, 1 if pull == self.PULL_UP else None)

    def value(self, *level):
        if level:
            LEVELS[self.number] = level[0]
        return LEVELS[self.number]


class Timer:
    ONE_SHOT = 0

    def __init__(self, number):
        self.number = number

    def init(self, mode, period, callback):
        assert mode == self.ONE_SHOT
        self.period_ms, self.callback = period, callback
        TIMERS.append(self)

    def deinit(self):
        TIMERS.remove(self)


class Machine:
    Pin, Timer = Pin, Timer


sys.modules["machine"] = Machine
from boards.chain import Chain

LINE, INTERLOCK, KEY = 11, 12, 13


def log(line):
    print("log", line)


chain = Chain((LINE, INTERLOCK, KEY), 1, log)
print("begun", LEVELS[LINE], chain.permit())  # nothing is closed to ground yet
LEVELS[INTERLOCK] = 0
print("interlock closed", chain.permit())
LEVELS[KEY] = 0
print("key on", repr(chain.permit()))
chain.line(500)
print("line", LEVELS[LINE], [timer.period_ms for timer in TIMERS])
chain.line(700)
print("line again", LEVELS[LINE], [timer.period_ms for timer in TIMERS])
TIMERS[0].callback(TIMERS[0])
print("timer", LEVELS[LINE])
chain.line(500)
chain.line(0)
print("open", LEVELS[LINE], len(TIMERS))
chain = Chain((None, None, KEY), 1, log)
print("unwired", repr(chain.permit()), repr(chain.permit()))
LEVELS[KEY] = 1
chain.line(500)
print("key off", chain.permit(), len(TIMERS))
