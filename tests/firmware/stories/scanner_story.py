"""Prints what the scanner's parser makes of streams, whole and in pieces, and of noise.

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

from drivers.scanner import frames  # noqa: E402

CHUNK_BYTES = 64
CONTENT_MAX = 40
ALPHABET = b"]]]CEdQ01339\r\n\t\x1d\x02\x03AZ\xff\x00"


def told(code):
    """Return a code as one word."""
    if code.fault:
        return f"refused:{code.fault}:{code.number}"
    return code.symbology + ":" + hexlify(code.content).decode()


def parse(parser, stream, step):
    """Return what came of the stream, fed in pieces of `step`, and of the pause after it."""
    found = []
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        parser.feed(piece, len(piece))
        code = parser.next()
        while code is not None:
            found.append(told(code))
            code = parser.next()
        assert parser.pending_bytes <= len(stream)
    code = parser.end()
    if code is not None:
        found.append("|")
    while code is not None:
        found.append(told(code))
        code = parser.next()
    assert not parser.pending_bytes
    return found


class Random:
    """The same numbers on both interpreters."""

    def __init__(self, seed):
        self._state = seed

    def below(self, bound):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % bound


with open(sys.argv[3]) as file:
    cases = json.load(file)
for content_max, prefix, suffix, has_aim, stream in cases:
    made = (content_max, CHUNK_BYTES, prefix.encode(), suffix.encode(), has_aim)
    parser = frames.Parser(*made)
    whole = parse(parser, unhexlify(stream), CHUNK_BYTES)
    print(" ".join(whole), parser.refused_count, parser.ends)
    for step in (1, 7):
        again = frames.Parser(*made)
        assert parse(again, unhexlify(stream), step) == whole, (stream, step)
        assert again.dropped_bytes == parser.dropped_bytes, (stream, step)

random = Random(7)
parsers = [
    frames.Parser(CONTENT_MAX, CHUNK_BYTES, *more)
    for more in ((), (b"\x02", b"\x03", True), (b"", b"\r\n", True), (b"Q", b"33"))
]
noise = bytes([random.below(256) for _ in range(8_192)])
letters = bytes([ALPHABET[random.below(len(ALPHABET))] for _ in range(8_192)])
sums = [0, 0, 0]
for nth in range(int(sys.argv[4])):
    at = random.below(8_192)
    stream = (letters if nth % 3 else noise)[at : at + random.below(90)]
    parser = parsers[nth % len(parsers)]
    size = len(parser._buffer)
    parser.reset()
    found = parse(parser, stream, CHUNK_BYTES)
    if nth % 5 == 0:
        parser.reset()
        assert parse(parser, stream, 1 + nth % 7) == found, stream
    parser.reset()
    assert len(parser._buffer) == size
    good = [word for word in found if not word.startswith("refused") and word != "|"]
    assert max([len(word) for word in good] + [0]) <= 4 + 2 * CONTENT_MAX
    sums[0] += len(good)
    sums[1] += len(found) - len(good)
    # Whatever came before, the next code is found once its line is its own.
    start, end = [(b"", b"\r\n"), (b"\x02", b"\x03"), (b"", b"\r\n"), (b"Q", b"33")][nth % 4]
    sums[2] += "]Q1:6f6b" in parse(parser, stream + end + start + b"]Q1ok" + end, CHUNK_BYTES)
print("noise", sums)
