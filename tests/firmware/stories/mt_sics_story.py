"""MT-SICS lines, weights and 10,000 random streams; both interpreters print the same.

Arguments: path of the vectors.
"""
# ruff: noqa: T201, PTH123 - it runs on MicroPython

import json
import sys

REPOSITORY, _, VECTORS = sys.argv[1:4]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from drivers.mt_sics import frames  # noqa: E402

CHUNK_BYTES = 256
STREAMS = 10_000
PIECES = (
    b"S S     12.500 kg\r\n",
    b"S D -0.1 g\n",
    b"S +\r",
    b'I4 A "B1',
    b"ES\r\n",
    b"\r\n",
    b" ",
    b'"',
    b"S S 1.2.3 kg\r\n",
    b"S S +- kg\r\n",
    b"S S - \r\n",
    b"T S 999999999999 t\r\n",
    b"S S 9999999999999 t\r\n",
    b"x" * 90,
)


class Random:
    """The same numbers on every interpreter (Numerical Recipes, ranqd1)."""

    def __init__(self, seed):
        self._state = seed

    def below(self, bound):
        self._state = (self._state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        return (self._state >> 8) % bound


def answers(parser, stream, step):
    """Return what a stream says when it comes in pieces of `step` bytes."""
    found = []
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        parser.feed(piece, len(piece))
        line = parser.next()
        while line is not None:
            answer = frames.read(line)
            if answer is not None:
                told = (answer.command, answer.status, answer.mass_mg, answer.step_mg, answer.text)
                found.append(told)
            line = parser.next()
        assert parser.pending_bytes <= frames.LINE_BYTES_MAX
    return found


def read_vectors():
    with open(VECTORS) as file:
        for vector in json.load(file)["mt_sics"]:
            raw = vector["raw"].encode()
            print(vector["raw"].strip(), answers(frames.Parser(CHUNK_BYTES), raw, len(raw)))


def read_noise():
    """Random bytes, and lines cut and joined at random; one parser for all of them."""
    random, parser = Random(1), frames.Parser(CHUNK_BYTES)
    size, counts = len(parser._buffer), [0, 0, 0]
    for number in range(STREAMS):
        stream = b""
        for _ in range(random.below(6)):
            piece = PIECES[random.below(len(PIECES))]
            if not random.below(4):
                piece = bytes([random.below(256) for _ in range(random.below(24))])
            elif not random.below(4):
                piece = piece[random.below(3) : len(piece) - random.below(3)]
            stream += piece
        for command, _, mass_mg, _, _ in answers(parser, stream, 1 + number % CHUNK_BYTES):
            counts[0] += 1
            counts[1] += command in frames.ERRORS
            if mass_mg is not None:
                counts[2] += 1
                assert abs(mass_mg) <= (1 << 53) - 1
    assert len(parser._buffer) == size
    print(STREAMS, "streams:", counts, "dropped", parser.dropped_bytes)


read_vectors()
read_noise()
