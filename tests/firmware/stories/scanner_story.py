"""Prints what the scanner's driver makes of streams, whole and in pieces, and of noise.

Arguments: a JSON file of [[content_max, prefix, suffix, has_aim, stream in hex], ...], and how many
random streams to feed. `|` in a case's output is a pause after which nothing came.
"""
# ruff: noqa: T201, PTH123 - it runs on MicroPython

import json
import sys
from binascii import hexlify, unhexlify

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from drivers.scanner import bursts, frames  # noqa: E402

CHUNK_BYTES = 64
CONTENT_MAX = 40
WORDS = (
    b"]|]C1|]d2|]Q1|]E0|4006381333931|0|1|3|33|9|Q|A|Z|\r\n|\r|\n|\t|\x1d|\x02|\x03|\xff|\x00"
    b"|\r\n]E04006381333931\r\n|\r\n]Q1a\r\n]Q1b\r\n|\x02]E04006381333931\x03|\x02]Q1a\x03\x02]d2b\x03"
    b"|Qa33Qa33Qb33Q33|]E04006381333931\r\n]C1a\r\n]E04006381333931\r\n"
).split(b"|")


def told(code):
    """Return a code as one word."""
    if code.fault:
        return f"refused:{code.fault}:{code.number}"
    return code.symbology + ":" + hexlify(code.content).decode()


def made_of(content_max, prefix, suffix, has_aim):
    """Return a parser, and the whole codes of its lines, as the driver has them."""
    parser = frames.Parser(content_max, CHUNK_BYTES, prefix, suffix, has_aim)
    return parser, bursts.Codes(parser, has_aim or prefix != b"")


def parse(parser, codes, stream, step):
    """Return what came of the stream, fed in pieces of `step`, and of the pause after it."""
    found = []

    def take(code):
        while code is not None:
            found.append(told(code))
            code = codes.next()

    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        parser.feed(piece, len(piece))
        take(codes.next())
        assert parser.pending_bytes <= len(stream)
    count = len(found)
    while codes.is_open:
        take(codes.end())
    if len(found) > count:
        found.insert(count, "|")
    assert not parser.pending_bytes
    return found


class Random:
    """The same numbers on both interpreters."""

    def __init__(self, seed):
        self._state = seed

    def below(self, bound):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % bound


def reset(parser, codes):
    """Begin anew, as the driver does when the port was opened."""
    parser.reset()
    codes.reset()


with open(sys.argv[3]) as file:
    cases = json.load(file)
for content_max, prefix, suffix, has_aim, stream in cases:
    made = (content_max, prefix.encode(), suffix.encode(), has_aim)
    parser, codes = made_of(*made)
    whole = parse(parser, codes, unhexlify(stream), CHUNK_BYTES)
    print(" ".join(whole), parser.refused_count, parser.ends)
    for step in (1, 7):
        again, codes = made_of(*made)
        assert parse(again, codes, unhexlify(stream), step) == whole, (stream, step)
        assert again.dropped_bytes == parser.dropped_bytes, (stream, step)

random = Random(7)
readers = [
    made_of(CONTENT_MAX, *more)
    for more in (
        (b"", b"", False),
        (b"\x02", b"\x03", True),
        (b"", b"\r\n", True),
        (b"Q", b"33", False),
    )
]
noise = bytes([random.below(256) for _ in range(8_192)])
letters = b"".join([WORDS[random.below(len(WORDS))] for _ in range(8_192)])
sums = [0, 0, 0]
for nth in range(int(sys.argv[4])):
    at = random.below(8_192)
    stream = (letters if nth % 5 else noise)[at : at + random.below(90)]
    parser, codes = readers[nth % len(readers)]
    size = len(parser._buffer)
    reset(parser, codes)
    found = parse(parser, codes, stream, CHUNK_BYTES)
    if nth % 3 == 0:
        reset(parser, codes)
        assert parse(parser, codes, stream, 1 + nth % 7) == found, stream
    reset(parser, codes)
    assert len(parser._buffer) == size
    good = [word for word in found if not word.startswith("refused") and word != "|"]
    assert max([len(word) for word in good] + [0]) <= 4 + 2 * CONTENT_MAX
    sums[0] += len(good)
    sums[1] += len(found) - len(good)
    # Whatever came before, the next code is found once its line is its own, and where nothing
    # tells codes apart, once there was a pause.
    start, end = [(b"", b"\r\n"), (b"\x02", b"\x03"), (b"", b"\r\n"), (b"Q", b"33")][nth % 4]
    before, line = stream + end, start + b"]Q1ok" + end
    if nth % 4 == 0:
        parse(parser, codes, before, CHUNK_BYTES)
        before = b""
    word = "]Q1:6f6b" if nth % 4 in (1, 2) else ":5d51316f6b"
    sums[2] += word in parse(parser, codes, before + line, CHUNK_BYTES)
print("noise", sums)
