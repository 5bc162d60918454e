"""Spectrometers that are played, for the laser's story: each a port, its stream, and what answers.

They speak the real protocols, keep what they were told about their lasers, and see the light:
their spectra show whether it was on. `way` is what has become of them. A reset leaves the laser as
it was, which is the worst it can do.
"""
# ruff: noqa: UP031

import asyncio
import struct

from played import clock

from drivers.obp import frames
from drivers.obp.models import MODELS as OBP_MODELS
from drivers.obp2.models import MODELS as OBP2_MODELS
from drivers.ocean_ascii.models import MODELS as ASCII_MODELS

PIXELS = 16
DARK_COUNTS, RATE = 1_500, 2  # counts; counts in a microsecond of laser light
FULL_COUNTS = 65_535
TURN_MS = 3
LOOK_MS = 50  # between looks at what may have come
LATE_MS = 100_000

OBP_MODELS["played"] = (PIXELS, FULL_COUNTS, 22_000, 60_000_000)
OBP2_MODELS["played"] = (PIXELS, FULL_COUNTS, 10, 10_000_000, 1)
ASCII_MODELS["played"] = (PIXELS, 10, 65_535_000, ("PLAY",))


class Port:
    """What every instrument has.

    Attributes:
        has_laser: what it was told last, or: it switches none.
        way: "", or how it answers from now on: mute, deaf, lost, closed, garbage, late, defers.
        requests: how many it has taken.
        on_request: called with that number before it is answered.
    """

    name, baud = "PORT", 9_600
    SWITCHES = True  # a laser

    def __init__(self):
        self.stream = self
        self.board = None
        self.has_laser = False
        self.integration_us, self.scans = 10_000, 1
        self.begin()

    def begin(self):
        """Be well again; the laser stays as it is."""
        self.way, self.refusal = "", 0
        self.requests = 0
        self.on_request = None
        self._waiting = []  # (when, bytes)

    def reset(self):
        """Lose the exposure that is under way, and the settings."""
        self._waiting = []
        self.integration_us, self.scans = 10_000, 1

    def switch(self, is_on):
        self.board.note()
        self.has_laser = is_on
        self.board.note()

    def counts(self):
        """Return the counts of each pixel of a spectrum taken now, the brightest in the middle."""
        self.board.note()
        light = RATE * self.integration_us if self.board.light.is_on else 0
        return [min(DARK_COUNTS + light * (i + 1) // PIXELS, FULL_COUNTS) for i in range(PIXELS)]

    def answer(self, content, exposure_ms=0):
        """Have bytes come, as the way it answers has it."""
        if self.way == "mute":
            return
        if self.way == "garbage":
            content = bytes([byte ^ 0x55 for byte in content])
        after_ms = TURN_MS + exposure_ms
        if exposure_ms and self.way == "late":
            after_ms += LATE_MS
        self._waiting.append((clock.now_ms + after_ms, content))

    def close(self):
        self._waiting = []

    def write(self, content):
        if self.way == "lost":
            raise OSError(5)
        if self.way != "deaf":
            self.requests += 1
            if self.on_request is not None:
                self.on_request(self.requests)
            self.serve(bytes(content))

    async def drain(self):
        await asyncio.sleep_ms(1)

    async def readinto(self, buffer):
        while True:
            if self.way == "lost":
                raise OSError(5)
            if self.way == "closed":
                return 0
            for index, (due_ms, content) in enumerate(self._waiting):
                if due_ms <= clock.now_ms:
                    self._waiting.pop(index)
                    buffer[: len(content)] = content
                    return len(content)
            await asyncio.sleep_ms(LOOK_MS)


LAMP, LIGHT, LIGHT_SET, ABORT = 0x110410, 0x810021, 0x810031, 0x100000
INTEGRATION, SCANS, SPECTRUM = 0x110010, 0x120010, 0x101100
UNKNOWN, RESET, DEFERRED = 2, 9, 255  # error numbers
DEFERRAL_MS, DEFERRALS = 300, 20


class Module(Port):
    """OBP, with a laser module of its own (Ventana).

    Attributes:
        refusal: error number it answers everything with but "laser off" and abort; 0: none.
    """

    HAS_MODULE = True
    VERSION = frames.VERSION
    EXPOSURES = (SPECTRUM,)
    ANSWERS = {  # noqa: RUF012 - never changed
        0x100: b"PLAY0001",
        0x110220: struct.pack("<I", PIXELS),
        0x180100: b"\x01",
        0x180101: struct.pack("<f", 800.0),
        0x400001: struct.pack("<f", 20.0),
        LIGHT: b"\0",
    }

    def begin(self):
        super().begin()
        self._is_reset = False

    def reset(self):
        super().reset()
        self._is_reset = True

    def serve(self, frame):
        flags, _, kind, tag = struct.unpack_from("<HHII", frame, 4)
        data = frame[24 : 24 + frame[23]]
        self.set(kind, data)
        number = self.number_for(kind, data)
        exposure_ms = 0
        if kind in self.EXPOSURES and number in (0, DEFERRED):
            exposure_ms = self.integration_us * self.scans // 1000
        if number:
            content = self.failed(kind, tag, number)
        elif kind in self.EXPOSURES:
            content = self.build(kind, tag, self.spectrum(), frames.RESPONSE)
        elif kind in self.ANSWERS:
            content = self.build(kind, tag, self.ANSWERS[kind], frames.RESPONSE)
        elif flags & frames.ACK_REQUESTED:
            content = self.build(kind, tag, b"", frames.RESPONSE | frames.ACK)
        else:
            content = self.failed(kind, tag, UNKNOWN)
        for _ in range(DEFERRALS if number == DEFERRED else 1):
            self.answer(content, exposure_ms)
            exposure_ms += DEFERRAL_MS

    def build(self, kind, tag, data, flags, *, checked=True):
        return frames.build(kind, tag, data, flags, checked, self.VERSION)

    def set(self, kind, data):
        """Do what a message says; a laser that is refused is not switched on."""
        if kind == (LIGHT_SET if self.HAS_MODULE else LAMP):
            self.switch(data[-1] == 1 and not self.refusal and not self._is_reset)
        elif kind == INTEGRATION:
            self.integration_us = struct.unpack("<I", data)[0]
        elif kind == SCANS:
            self.scans = struct.unpack("<H", data)[0]

    def number_for(self, kind, data):
        """Return the error number that is the answer, 0: none."""
        if self._is_reset:
            self._is_reset = False
            return RESET
        if kind in (LIGHT, LIGHT_SET) and not self.HAS_MODULE:
            return UNKNOWN
        if kind in self.EXPOSURES and self.way == "defers":
            return DEFERRED
        is_urgent = kind == ABORT or (kind in (LAMP, LIGHT_SET) and data[-1] == 0)
        return 0 if is_urgent else self.refusal

    def failed(self, kind, tag, number):
        """Return an answer with an error number; it carries no checksum."""
        kind_of = 0 if number == DEFERRED else frames.NACK
        answer = bytearray(self.build(kind, tag, b"", frames.RESPONSE | kind_of, checked=False))
        answer[6:8] = struct.pack("<H", number)
        return bytes(answer)

    def spectrum(self):
        return struct.pack("<%dH" % PIXELS, *self.counts())


class Lamp(Module):
    """OBP, with an external laser on its lamp line (STS, HDX)."""

    HAS_MODULE = False


class NoLaser(Lamp):
    """The same, and nothing hangs on that line: the laser hangs on the node's own."""

    SWITCHES = False

    def switch(self, is_on):
        pass


class Later(NoLaser):
    """OBP 2, which switches no laser."""

    VERSION = 0x2000
    EXPOSURES = (0x1C00,)
    ANSWERS = {  # noqa: RUF012 - never changed
        0x100: b"PLAY0002",
        0x1100: struct.pack("<3f", 2, 800.0, 0.1),
        0x1200: struct.pack("<2f", 1, 1.0),
    }

    def set(self, kind, data):
        if kind == 0xC01:
            self.integration_us = struct.unpack("<I", data)[0]

    def spectrum(self):
        return bytes(32) + super().spectrum()


class Letters(Port):
    """One-letter commands, with an external laser on the lamp enable line (USB4000)."""

    CONSTANTS = {0: b"PLAY0003", 1: b"800.0", 6: b"1.0", 14: b"0"}  # noqa: RUF012 - never changed
    ACK, NAK = b"\x06", b"\x15"

    def __init__(self):
        self._values = {}
        self._is_binary = False
        super().__init__()

    def begin(self):
        super().begin()
        self._values = {b"J": bytes([0, self.has_laser])}

    def reset(self):
        super().reset()
        self._is_binary = False

    def serve(self, command):
        letter, value = command[:1], command[1:]
        if command == b"bB":
            self._is_binary = True
            self.answer(self.ACK)
        elif letter == b"\0":
            return  # ends what was cut short
        elif not self._is_binary or (self.refusal and command != b"J\0\0" and letter != b"?"):
            self.answer(self.NAK)
        elif letter == b"S":
            self._expose()
        elif letter == b"?":
            self._tell(command[1:2], command[2:])
        else:
            self._set(letter, value)

    def _set(self, letter, value):
        self._values[letter] = value
        if letter == b"J":
            self.switch(value[-1] == 1)
        elif letter == b"i":
            self.integration_us = struct.unpack(">I", value)[0]
        elif letter == b"A":
            self.scans = struct.unpack(">H", value)[0]
        self.answer(self.ACK)

    def _tell(self, letter, value):
        if letter == b"x":
            text = self.CONSTANTS.get(struct.unpack(">H", value)[0], b"0.1")
            self.answer(self.ACK + text + b"\r")
        else:
            self.answer(self.ACK + self._values.get(letter, b"\0\0"))

    def _expose(self):
        counts = [count * self.scans for count in self.counts()]
        head = struct.pack(">B7H", 2, 0xFFFF, 1, self.scans, 0, 0, 0, 0)
        tail = struct.pack(">HH", 0xFFFD, sum(counts) & 0xFFFF)
        pixels = struct.pack(">%dI" % PIXELS, *counts)
        self.answer(head + pixels + tail, self.integration_us * self.scans // 1000)


class LettersAlone(Letters):
    """The same, and nothing hangs on that line."""

    SWITCHES = False

    def switch(self, is_on):
        pass


class Rig:
    """An instrument and what feeds its laser.

    Args:
        driver: folder of drivers/.
        make: the instrument.
        feed: see played.Board.
    """

    def __init__(self, driver, make, feed):
        self.driver, self.make, self.feed = driver, make, feed
        self.scans = 1 if driver == "obp2" else 2


# An instrument's own laser without a line is not fit for an open probe (hardware/laser_safety.md),
# and yet somebody may wire it like that.
RIGS = {
    "module": Rig("obp", Module, "both"),
    "module alone": Rig("obp", Module, "instrument"),
    "lamp": Rig("obp", Lamp, "both"),
    "lamp alone": Rig("obp", Lamp, "instrument"),
    "line": Rig("obp", NoLaser, "line"),
    "letters": Rig("ocean_ascii", Letters, "both"),
    "letters alone": Rig("ocean_ascii", Letters, "instrument"),
    "letters, line": Rig("ocean_ascii", LettersAlone, "line"),
    "later": Rig("obp2", Later, "line"),
}
