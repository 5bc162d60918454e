"""Packs readings with the encoder of the node and with the message's own code, and compares.

Prints how many frames are equal, how many readings the encoder leaves to the message, and what
packing takes from the heap (MicroPython only). Arguments: REPOSITORY FOLDER VECTORS SEED COUNT.
"""
# ruff: noqa: T201, PTH123 - it runs on MicroPython

import gc
import json
import sys
from binascii import unhexlify

REPOSITORY, _, VECTORS, SEED, COUNT = sys.argv[1:]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")
sys.path.insert(0, REPOSITORY + "/tests/protocol")

from frames import Random  # noqa: E402

from node import frame  # noqa: E402
from protocol.errors import PackingError  # noqa: E402
from protocol.messages import Reading, unpack  # noqa: E402

buffer, wanted = bytearray(8_600), bytearray(8_600)
EDGES = [1 << bits for bits in (0, 5, 7, 8, 15, 16, 29, 30, 31, 32, 40, 52)]
EDGES += [(1 << bits) - 1 for bits in (5, 7, 8, 15, 16, 30, 31, 32, 40, 53)]


def compare(reading):
    """Return "equal", "unlike" or "left": the encoder did not want it."""
    try:
        begin = frame.pack_reading(reading, buffer)
    except frame.UNUSUAL:
        begin = 0
    if not begin:
        return "left"
    end = reading.pack_into(wanted)
    found = buffer[begin : frame.PIXELS_AT + len(reading.pixels_u16le)]
    return "equal" if found == wanted[:end] else "unlike"


def count(readings):
    """Return how often each answer came."""
    found = {"equal": 0, "unlike": 0, "left": 0}
    for reading in readings:
        found[compare(reading)] += 1
    return "{equal} equal, {unlike} unlike, {left} left".format(**found)


def from_vectors():
    """Return the readings of the golden vectors."""
    with open(VECTORS) as file:
        vectors = json.load(file)
    return [unpack(unhexlify(v["frame"])) for v in vectors if v["kind"] == "Reading"]


class Drawn:
    """Random readings, numbers around the edges of the encoding as often as others."""

    def __init__(self, seed):
        self._random = Random(seed)

    def below(self, limit):
        """Return a number in 0..limit-1."""
        return self._random.below(limit)

    def number(self, bits, low=0):
        """Return an unsigned number of at most `bits` bits."""
        if self.below(2):
            fitting = [edge for edge in EDGES if edge < 1 << bits]
            return fitting[self.below(len(fitting))]
        value = 0
        for _ in range(self.below((bits + 7) // 8) + 1):
            value = value << 8 | self.below(256)
        return max(value & ((1 << bits) - 1), low)

    def signed(self):
        """Return a temperature, or None."""
        value = self.number(31)
        return (value, -value, ~value, None)[self.below(4)]

    def some_bytes(self, size):
        """Return so many bytes."""
        return bytes([self.below(256) for _ in range(size)])

    def reading(self, pixels=None):
        """Return a reading; `pixels` as they are."""
        if pixels is None:
            pixels = self.some_bytes(2 * (1 + self.below(200)))
        return Reading(
            self.some_bytes(8),
            self.number(53, 1),
            self.some_bytes(8),
            self.number(53),
            None if self.below(4) == 0 else self.number(53),
            self.below(4),
            self.some_bytes(8),
            self.below(3),
            self.some_bytes(8),
            self.number(32),
            self.number(16, 1),
            self.number(16),
            self.signed(),
            self.number(32),
            self.number(16),
            None if self.below(3) == 0 else self.number(53, 1),
            pixels,
        )


def spoilt(reading):
    """Yield readings that the message refuses, one wrong value each."""
    wrong = (
        ("seq", (0, -1, 1 << 53)),
        ("uptime_ms", (-1, 1 << 53)),
        ("time_ms", (-1, 1 << 53)),
        ("time_quality", (4, -1)),
        ("role", (3, -1)),
        ("integration_us", (1 << 32, -1)),
        ("scans", (0, 1 << 16)),
        ("laser_mw", (1 << 16,)),
        ("flags", (1 << 16, -1)),
        ("temperature_mc", ("warm",)),
        ("dark_seq", (0, 1 << 53)),
        ("journal_id", (b"short", b"far too long", None)),
        ("pixels_u16le", (b"", b"odd", bytes(8_194))),
    )
    for name, values in wrong:
        right = getattr(reading, name)
        for value in values:
            setattr(reading, name, value)
            yield reading
        setattr(reading, name, right)


drawn = Drawn(int(SEED))
print("vectors:", count(from_vectors()))
print("random:", count([drawn.reading() for _ in range(int(COUNT))]))
piece = drawn.some_bytes(256)
print("sizes:", count([drawn.reading(piece * 32), drawn.reading(piece[:2])]))
refused = 0
for reading in spoilt(drawn.reading()):
    try:
        reading.pack_into(wanted)
    except PackingError:
        refused += compare(reading) == "left"
print("refused:", refused)

if sys.implementation.name == "micropython":
    import micropython

    holder = bytearray(44 + 4_096)
    for at in range(len(holder)):
        holder[at] = at * 7 & 0xFF
    reading = drawn.reading(memoryview(holder)[44:])
    reading.time_ms, reading.seq = 1_795_219_200_123, (1 << 52) + 1
    assert compare(reading) == "equal"
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    micropython.heap_lock()
    try:
        frame.pack_reading(reading, buffer)
    finally:
        micropython.heap_unlock()
    print("allocated:", gc.mem_alloc() - before)
    micropython.heap_lock()
    try:
        reading.pack_into(wanted)
        print("the lock holds nothing")
    except MemoryError:
        micropython.heap_unlock()
        print("locked: the message's own code needs the heap")
