"""Answers and spectra in streams of any bytes: `ocean_ascii_streams.py REPOSITORY FOLDER COUNT`.

Half of the streams are noise, half good frames with a few bytes changed, lost or put in. Whatever
came, buffers keep their size, and the next good frame is read right.
"""
# ruff: noqa: T201, UP031

import random
import struct
import sys

REPOSITORY, FOLDER, COUNT = sys.argv[1:4]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from drivers.ocean_ascii import frames  # noqa: E402

CHUNK_BYTES = 64
PIXELS = (1500, 65535, 0, 7, 1504, 2, 6, 21, 65533)


def build(scans):
    """Return a good spectrum whose mean counts are PIXELS."""
    sums = [value * scans for value in PIXELS]
    word = "I" if scans > 1 else "H"
    head = struct.pack(">B7H", 2, 0xFFFF, int(scans > 1), scans, 22, 0, 0, 0)
    body = struct.pack(">%d%s" % (len(sums), word), *sums)
    return head + body + struct.pack(">HH", 0xFFFD, sum(sums) & 0xFFFF)


def noise(length):
    return bytes([random.getrandbits(8) for _ in range(length)])


def spoil(frame):
    """Change a good frame in a few places."""
    for _ in range(1 + random.getrandbits(1)):
        at = random.getrandbits(16) % len(frame)
        rest = at + random.getrandbits(3)
        frame = frame[:at] + noise(random.getrandbits(3)) + frame[rest:]
        frame = frame or b"\2"
    return frame


def feed(parser, stream):
    at = 0
    while at < len(stream):
        count = 1 + random.getrandbits(6) % CHUNK_BYTES
        piece = stream[at : at + count]
        parser.feed(piece, len(piece))
        at += count


def try_spectrum(spectrum, sizes):
    scans = 1 + 2 * random.getrandbits(1)
    good = build(scans)
    spectrum.expect(len(PIXELS), scans)
    is_noise = random.getrandbits(1)
    stream = noise(random.getrandbits(7)) if is_noise else spoil(good)
    feed(spectrum, stream)
    if spectrum.is_sound and not is_noise:
        assert len(spectrum.pixels) == 2 * len(PIXELS)
    if not is_noise:
        spectrum.expect(len(PIXELS), scans)
    feed(spectrum, good)
    assert spectrum.is_sound, stream
    assert bytes(spectrum.pixels) == struct.pack("<%dH" % len(PIXELS), *PIXELS)
    assert (len(spectrum._window), len(spectrum._pixels)) == sizes


def try_answer(answer):
    size = (0, 2, 4, frames.TEXT)[random.getrandbits(2)]
    answer.expect(size)
    feed(answer, noise(random.getrandbits(6)))
    assert len(answer.data) <= frames.TEXT_BYTES_MAX
    answer.expect(size)
    data = b"-1.4200000e-05" if size == frames.TEXT else noise(size)
    feed(answer, b"\n\r> \6" + data + (b"\r" if size == frames.TEXT else b""))
    assert answer.is_whole
    assert answer.data == data
    assert len(answer._kept) == frames.TEXT_BYTES_MAX


def main():
    random.seed(1)
    spectrum = frames.Spectrum(len(PIXELS), CHUNK_BYTES)
    sizes = (len(spectrum._window), len(spectrum._pixels))
    answer = frames.Answer()
    for _ in range(int(COUNT)):
        if random.getrandbits(1):
            try_spectrum(spectrum, sizes)
        else:
            try_answer(answer)
    print("streams", COUNT)


main()
