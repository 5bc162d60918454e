"""Lamps, buzzer and display of a board as its pins and its I2C bus see them; for real MicroPython.

`machine` is a stand-in that records: pins keep their level, the bus knows one SSD1306, which keeps
its picture. The letters in it are read back by framebuf's own. One line is printed per fact.
"""
# ruff: noqa: T201

import sys

import framebuf

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

ADDRESS = 0x3C
PLAIN = "".join([chr(code) for code in range(0x20, 0x7F)])
ARGUMENTS = {0x20: 1, 0x21: 2, 0x22: 2, 0xA8: 1, 0xD3: 1, 0xDA: 1, 0xD5: 1, 0xD9: 1, 0xDB: 1}
ARGUMENTS.update({0x81: 1, 0x8D: 1})


LEVELS = {}


class Pin:
    OUT = 1

    def __init__(self, number, mode=None, value=None):
        self.number = number
        if value is not None:
            LEVELS[number] = int(value)

    def value(self, level):
        LEVELS[self.number] = int(level)


class Screen:
    """An SSD1306: nothing is seen before it was set up, lit and its charge pump begun."""

    def __init__(self):
        self.is_there = True
        self.cut_power()

    def cut_power(self):
        self.memory = bytearray(1024)
        self.settings = {}
        self.is_on = False

    def take(self, content):
        if content[0] == 0x40:
            assert self.settings[0x20] == [0], "addressing is horizontal"
            assert self.settings[0x21] == [0, 127]
            assert self.settings[0x22] == [0, 7]
            assert len(content) == 1025
            self.memory[:] = content[1:]
            return
        assert content[0] == 0, content[0]
        at = 1
        while at < len(content):
            code = content[at]
            count = ARGUMENTS.get(code, 0)
            self.settings[code] = list(content[at + 1 : at + 1 + count])
            self.is_on = code == 0xAF or (self.is_on and code != 0xAE)
            at += 1 + count
        assert at == len(content), "a command is cut"

    def read(self):
        """Return the rows of letters that are seen, without the empty ones at the end."""
        if not self.is_on or self.settings.get(0x8D) != [0x14]:
            return None
        rows = []
        for row in range(8):
            cells = [self.memory[row * 128 + 8 * c : row * 128 + 8 * c + 8] for c in range(16)]
            rows.append("".join([GLYPHS.get(bytes(cell), "?") for cell in cells]).rstrip())
        while rows and not rows[-1]:
            rows.pop()
        return rows


def glyphs():
    found = {}
    for letter in PLAIN:
        cell = bytearray(8)
        framebuf.FrameBuffer(cell, 8, 8, framebuf.MONO_VLSB).text(letter, 0, 0, 1)
        found[bytes(cell)] = letter
    return found


GLYPHS = glyphs()
SCREEN = Screen()


class I2C:
    def __init__(self, number, scl, sda, freq):
        print("bus", number, scl.number, sda.number, freq)

    def writeto(self, address, content):
        if address != ADDRESS or not SCREEN.is_there:
            raise OSError(19)
        SCREEN.take(bytes(content))


class Machine:
    pass


machine = Machine()
machine.Pin, machine.I2C = Pin, I2C
sys.modules["machine"] = machine

from boards import panel  # noqa: E402
from node.signals import Signals  # noqa: E402

LAMPS = {"ready": 16, "measuring": 17, "fault": 18}
BUZZER = 19


class Board:
    def __init__(self, wiring=(0, 21, 20, ADDRESS), buzzer=BUZZER):
        self.logged = []
        self.log = self.logged.append
        self.panel = panel.Panel(LAMPS, buzzer, wiring, self.log)

    def signal(self, lamp, _line, _word, text):
        self.panel.show(lamp, text)


def lit():
    return "".join([name[0] for name in ("ready", "measuring", "fault") if LEVELS[LAMPS[name]]])


def beats(board, count):
    """Return what is lit, and what sounds, in each second from now on."""
    seen = []
    for _ in range(count):
        seen.append(lit() + ("!" if LEVELS.get(BUZZER) else ""))
        board.panel.beat()
    return seen


def follow(language):
    """A reading from the trigger to its verdict, in the words of one language."""
    board = Board()
    signals = Signals(board, language)
    for name in ("ready", "measuring", "stored", "published", "sent"):
        signals.show(name)
        print(language, name, beats(board, 2), SCREEN.read())
    for outcome in ("clear", "inconclusive"):
        signals.show("verdict", words=(outcome,))
        print(language, outcome, beats(board, 5), SCREEN.read())


def alarm():
    """An alarm in the middle of measuring by itself."""
    board = Board()
    signals = Signals(board, "en")
    signals.show("ready")
    signals.show("verdict", words=("drill", "alarm"))
    signals.show("measuring")
    signals.show("stored")
    print("alarm", beats(board, 9), SCREEN.read())
    print("after", beats(board, 3), SCREEN.read())


def fault():
    board = Board()
    signals = Signals(board, "es")
    signals.show("ready")
    signals.fault(
        "broker", "127.0.0.1:8883 cannot be reached; is the gateway running, and are host"
    )
    print("fault", beats(board, 3), SCREEN.read())
    signals.show("ready")
    print("stands", beats(board, 2), SCREEN.read())
    signals.clear("broker")
    print("cleared", beats(board, 2), SCREEN.read())
    board.panel.blink(on=True)
    print("blink", lit())
    signals.again()
    print("again", lit())


def plug():
    """A display that is not there, and one that loses its power."""
    SCREEN.is_there = False
    board = Board()
    board.panel.show("ready", "ready")
    board.panel.show("measuring", "measuring")
    print("none", lit(), board.logged)
    SCREEN.is_there = True
    SCREEN.cut_power()
    beats(board, panel.RETRY_BEATS)
    print("found", SCREEN.read())
    bare = Board(None, None)
    bare.panel.show("alarm", "alarm")
    bare.panel.beat()
    print("bare", bare.logged)


for each in ("en", "fr", "ar", "es"):
    follow(each)
alarm()
fault()
plug()
print("rows", panel.broken("a " + 40 * "b" + " c", 16, 3), panel.broken("", 16, 8))
