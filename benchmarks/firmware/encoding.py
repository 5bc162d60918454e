"""Times the encoder of a node beside a copy of the same bytes; for MicroPython: `encoding.py ROOT`.

Prints one JSON object: microseconds of one reading of 2048 pixels packed into its frame, of a
plain loop in `viper` that copies the same bytes word by word, their ratio (the median of rounds in
which the two alternate), and the bytes that packing takes from the locked heap.
"""

import gc
import json
import sys
import time

import micropython  # type: ignore[import-not-found]

sys.path[:0] = [sys.argv[1], sys.argv[1] + "/firmware"]

from node import frame  # type: ignore[import-not-found]  # noqa: E402
from protocol.messages import Reading  # noqa: E402

PIXEL_BYTES = 4_096
TURNS = 500
ROUNDS = 21


@micropython.viper  # type: ignore[untyped-decorator]
def copy_words(target, source, count: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Copy `count` words."""
    to, source_words = ptr32(target), ptr32(source)  # type: ignore[name-defined]  # noqa: F821
    for i in range(count):
        to[i] = source_words[i]


pixels = bytearray(PIXEL_BYTES)
for at in range(PIXEL_BYTES):
    pixels[at] = at * 7 & 0xFF
buffer, other = bytearray(4_470), bytearray(4_470)
reading = Reading(
    b"journal1",
    123_456,
    b"boot1234",
    86_400_000,
    1_795_219_200_123,
    2,
    b"inspect1",
    0,
    b"axis1234",
    400_000,
    1,
    100,
    -25_000,
    65_535,
    0,
    123_455,
    memoryview(pixels),
)
begin = frame.pack_reading(reading, buffer)
end = frame.PIXELS_AT + PIXEL_BYTES
if bytes(buffer[begin:end]) != reading.pack():
    raise ValueError("the encoder packs other bytes than the protocol")
words = (end - begin + 3) // 4

gc.collect()
gc.disable()
before = gc.mem_alloc()  # type: ignore[attr-defined]
micropython.heap_lock()
for _ in range(100):
    frame.pack_reading(reading, buffer)
micropython.heap_unlock()
taken = gc.mem_alloc() - before  # type: ignore[attr-defined]
gc.enable()

pairs = []
for _ in range(ROUNDS):
    begun = time.ticks_us()  # type: ignore[attr-defined]
    for _ in range(TURNS):
        frame.pack_reading(reading, buffer)
    between = time.ticks_us()  # type: ignore[attr-defined]
    for _ in range(TURNS):
        copy_words(other, buffer, words)
    ended = time.ticks_us()  # type: ignore[attr-defined]
    first = time.ticks_diff(between, begun)  # type: ignore[attr-defined]
    pairs.append((first / time.ticks_diff(ended, between), first / TURNS))  # type: ignore[attr-defined]
pairs.sort()
ratio, pack_us = pairs[ROUNDS // 2]
print(
    json.dumps(
        {
            "frame_bytes": end - begin,
            "pack_us": pack_us,
            "copy_us": pack_us / ratio,
            "ratio": ratio,
            "heap_locked_bytes": taken,
        }
    )
)
