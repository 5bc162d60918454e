"""Any bytes into the OBP parser, seeded: `obp_streams_story.py REPOSITORY FOLDER COUNT VERSION`.

Streams are noise, noise with beginnings of frames in it, and good frames that are cut, doubled,
flipped and filled. Prints how many frames came out of them, and every broken promise.
"""
# ruff: noqa: T201

import random
import sys

REPOSITORY, FOLDER, COUNT, VERSION = sys.argv[1:5]
sys.path.insert(0, REPOSITORY + "/firmware")

from drivers.obp import frames  # noqa: E402

PAYLOAD_BYTES_MAX, CHUNK_BYTES = 300, 64
HELD_BYTES_MAX = frames.FRAME_BYTES_MIN + PAYLOAD_BYTES_MAX + CHUNK_BYTES

random.seed(20_160_503)


def draw(count):
    return bytes([random.getrandbits(8) for _ in range(count)])


GOOD = [
    frames.build(message_type, message_type, draw(size), 1, checked, int(VERSION))
    for message_type, size, checked in (
        (0x100, 8, True),
        (0x180101, 4, True),
        (0x110220, 4, False),
        (0x101100, 64, True),
        (0x101100, 300, True),
        (0x100928, 17, False),
    )
]
KNOWN = [(frame[8:12], frame[44:-20] or frame[24 : 24 + frame[23]]) for frame in GOOD]
LAST = frames.build(0x400001, 7, b"last", 1, version=int(VERSION))


def spoil(frame):
    """Return a good frame with something wrong."""
    at, kind = random.randrange(len(frame)), random.randrange(5)
    if kind == 0:
        return frame[:at]
    if kind == 1:
        return frame[:at] + frame[at + 1 + random.randrange(9) :]
    if kind == 2:
        return frame[:at] + draw(1 + random.randrange(9)) + frame[at:]
    if kind == 3:
        return frame[:at] + bytes([frame[at] ^ 1 << random.randrange(8)]) + frame[at + 1 :]
    return frame[:at] + frame


def stream():
    """Return one stream."""
    pieces = []
    for _ in range(random.randrange(4)):
        kind = random.randrange(5)
        if kind < 2:
            pieces.append(draw(random.randrange(90)))
        elif kind == 2:
            pieces.append(GOOD[0][:4] + draw(random.randrange(60)))
        elif kind == 3:
            pieces.append(spoil(random.choice(GOOD)))
        else:
            pieces.append(random.choice(GOOD))
    return b"".join(pieces)


def feed(parser, content):
    """Feed it in pieces of any size; return the frames, and complain of what is promised."""
    found, at = [], 0
    while at < len(content):
        piece = content[at : at + 1 + random.randrange(CHUNK_BYTES)]
        at += len(piece)
        parser.feed(piece, len(piece))
        frame = parser.next()
        while frame is not None:
            found.append((frame.verified, frame.message_type, bytes(frame.data)))
            frame = parser.next()
        if parser.pending_bytes > HELD_BYTES_MAX - CHUNK_BYTES:
            print("held", parser.pending_bytes)
    return found


parser = frames.Parser(PAYLOAD_BYTES_MAX, CHUNK_BYTES)
counts = [0, 0]
for number in range(int(COUNT)):
    for verified, message_type, data in feed(parser, stream()):
        counts[verified] += 1
        if verified and (message_type.to_bytes(4, "little"), data) not in KNOWN:
            print(number, "believed", message_type, data)
    parser.reset()
    if feed(parser, LAST) != [(True, 0x400001, b"last")]:
        print(number, "lost the next")
print("streams", COUNT, "verified", counts[1] > 0, "unverified", counts[0] > 0)
