"""Seeded frames: random bytes and structure-aware mutations of the golden vectors.

MicroPython and CPython run this file unchanged and make the same frames from the same seed, so a
digest over frames and outcomes compares the two interpreters without moving the frames.
"""

import hashlib

from protocol.errors import ProtocolError

# Values in their canonical forms, around every boundary of the encoding.
CANONICAL = (
    b"\xc0",
    b"\xc2",
    b"\xc3",
    b"\x00",
    b"\x01",
    b"\x03",
    b"\x7f",
    b"\xcc\x80",
    b"\xcc\xff",
    b"\xcd\x01\x00",
    b"\xcd\xff\xff",
    b"\xce\x00\x01\x00\x00",
    b"\xce\xff\xff\xff\xff",
    b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
    b"\xcf\x00\x1f\xff\xff\xff\xff\xff\xff",
    b"\xff",
    b"\xe0",
    b"\xd0\xdf",
    b"\xd0\x80",
    b"\xd1\xff\x7f",
    b"\xd1\x80\x00",
    b"\xd2\xff\xff\x7f\xff",
    b"\xd2\x80\x00\x00\x00",
    b"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff",
    b"\xd3\xff\xe0\x00\x00\x00\x00\x00\x01",
    b"\xa0",
    b"\xa3Raw",
    b"\xbf" + b"x" * 31,
    b"\xd9\x20" + b"x" * 32,
    b"\xd9\xff" + b"~" * 255,
    b"\xc4\x00",
    b"\xc4\x01\x00",
    b"\xc4\x04\x00\x00\x80\x3f",
    b"\xc4\x08\x01\x02\x03\x04\x05\x06\x07\x08",
    b"\xc4\xff" + bytes(255),
    b"\xc5\x01\x00" + bytes(256),
    b"\x90",
    b"\x91\x00",
    b"\x92\xcd\x27\x10\xcd\x27\x11",
    b"\x94\x64\x64\xcc\xc8\xcc\xc9",
    b"\xdc\x00\x10" + bytes(16),
    b"\x91\x91\x00",
)

# The same values in longer forms, values just outside, types outside the subset, sizes that lie.
FOREIGN = (
    b"\xcc\x00",
    b"\xcc\x7f",
    b"\xcd\x00\xff",
    b"\xce\x00\x00\xff\xff",
    b"\xcf\x00\x00\x00\x00\xff\xff\xff\xff",
    b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd0\x00",
    b"\xd0\xe0",
    b"\xd1\xff\x80",
    b"\xd2\xff\xff\x80\x00",
    b"\xd3\xff\xff\xff\xff\x80\x00\x00\x00",
    b"\xd3\xff\xe0\x00\x00\x00\x00\x00\x00",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\xa1\x1f",
    b"\xa1\x7f",
    b"\xa2\xc3\xa4",
    b"\xa1\xff",
    b"\xd9\x03Raw",
    b"\xda\x00\x03Raw",
    b"\xdb\x00\x00\x00\x03Raw",
    b"\xdb\xff\xff\xff\xff",
    b"\xc5\x00\x01\x00",
    b"\xc6\x00\x00\x00\x01\x00",
    b"\xc6\xff\xff\xff\xff",
    b"\xc5\xff\xff",
    b"\xdc\x00\x01\x00",
    b"\xdc\xff\xff",
    b"\xdd\x00\x00\x00\x01\x00",
    b"\xdd\xff\xff\xff\xff",
    b"\x91\x91\x91\x00",
    b"\x91" * 40,
    b"\xdc\x00\x41" + bytes(65),
    b"\x80",
    b"\x81\x00\x00",
    b"\xde\x00\x01\x00\x00",
    b"\xdf\xff\xff\xff\xff",
    b"\xc1",
    b"\xc7\x00\x01",
    b"\xd4\x01\x00",
    b"\xd6\xff\x00\x00\x00\x01",
    b"\xca\x3f\x80\x00\x00",
    b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
)


class Random:
    """Marsaglia's xorshift32: the same numbers on both interpreters.

    Args:
        seed: 1..2**32-1.

    Reference: G. Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (14), 2003.
    """

    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        """Return a number in 0..count-1."""
        state = self.state
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        self.state = state
        return (state >> 3) % count

    def bytes(self, count):
        """Return `count` random bytes."""
        return bytes([self.below(256) for _ in range(count)])


_FIXED = {0xC4: 1, 0xC5: 2, 0xD9: 1}  # lead -> bytes of length that follow


def pieces(frame):
    """Cut a canonical frame into values; an array's piece is its header alone."""
    cut = []
    at = 0
    while at < len(frame):
        lead = frame[at]
        size = 1
        if 0xA0 <= lead <= 0xBF:
            size += lead & 0x1F
        elif lead in _FIXED:
            width = _FIXED[lead]
            size += width
            for i in range(width):
                size += frame[at + 1 + i] << (8 * (width - 1 - i))
        elif 0xCC <= lead <= 0xCF:
            size += 1 << (lead - 0xCC)
        elif 0xD0 <= lead <= 0xD3:
            size += 1 << (lead - 0xD0)
        elif lead == 0xDC:
            size += 2
        cut.append(frame[at : at + size])
        at += size
    return cut


def _count(header):
    """Return how many elements an array's header states; 0 for anything else."""
    if len(header) == 1 and header[0] & 0xF0 == 0x90:
        return header[0] & 0x0F
    if len(header) == 3 and header[0] == 0xDC:
        return header[1] << 8 | header[2]
    return 0


def _header(count):
    return bytes([0x90 | count]) if count < 16 else bytes([0xDC, count >> 8 & 0xFF, count & 0xFF])


def _inflate(random, piece):
    """Return `piece` with a header that states more than there is, or the same in a longer form."""
    lead = piece[0]
    if lead & 0xF0 == 0x90 or lead == 0xDC:
        headers = (
            b"\xdc\x00\x00",
            b"\xdc\xff\xff",
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\x7f\xff\xff\xff",
        )
        return headers[random.below(4)]
    if 0xA0 <= lead <= 0xBF:
        body = piece[1:]
        headers = (
            bytes([0xD9, len(body) & 0xFF]),
            b"\xd9\xff",
            b"\xda\x00\x20",
            b"\xdb\xff\xff\xff\xff",
        )
        return headers[random.below(4)] + body
    if lead in _FIXED:
        body = piece[1 + _FIXED[lead] :]
        size = len(body)
        headers = (
            bytes([0xC5, size >> 8 & 0xFF, size & 0xFF]),
            bytes([0xC6, 0, 0, size >> 8 & 0xFF, size & 0xFF]),
            b"\xc5\xff\xff",
            b"\xc6\x7f\xff\xff\xff",
            bytes([0xC4, (size + 1) & 0xFF]),
        )
        return headers[random.below(5)] + body
    if lead < 0x80:
        return (b"\xcc", b"\xcd\x00", b"\xd0", b"\xd1\x00")[random.below(4)] + piece
    return bytes([lead ^ 1]) + piece[1:]


def _retouch(random, piece):
    """Return `piece` with another body of the same size."""
    if piece[0] == 0xC4 and len(piece) > 2:
        return piece[:2] + random.bytes(len(piece) - 2)
    if 0xCC <= piece[0] <= 0xD3:
        return piece[:1] + random.bytes(len(piece) - 1)
    return bytes([random.below(256)]) + piece[1:]


def _append(random, cut):
    """Append fields as a newer sender would, now and then with a wrong count or foreign values."""
    more = 1 + random.below(3)
    pool = FOREIGN if random.below(4) == 0 else CANONICAL
    for _ in range(more):
        cut.append(pool[random.below(len(pool))])
    cut[0] = _header(_count(cut[0]) + (more if random.below(4) else random.below(70)))


def _mutate_values(random, cut):
    """Change one thing in a list of pieces, mostly keeping the frame well formed."""
    at = random.below(len(cut))
    what = random.below(10)
    if what < 3:
        cut[at] = CANONICAL[random.below(len(CANONICAL))]
    elif what == 3:
        cut[at] = FOREIGN[random.below(len(FOREIGN))]
    elif what == 4:
        cut[at] = _inflate(random, cut[at])
    elif what == 5:
        other = random.below(len(cut))
        cut[at], cut[other] = cut[other], cut[at]
    elif what == 6 and len(cut) > 1:
        cut.pop()
        cut[0] = _header(max(0, _count(cut[0]) - random.below(2)))
    elif what == 7:
        _append(random, cut)
    elif what == 8:
        cut[at] = _retouch(random, cut[at])
    else:
        cut.insert(at, cut[random.below(len(cut))])


def _mutate_bytes(random, frame):
    """Change one thing without regard for structure."""
    what = random.below(4)
    at = random.below(len(frame) + 1)
    if what == 0:
        return frame[:at]
    if what == 1:
        return frame[:at] + random.bytes(1 + random.below(4)) + frame[at:]
    if what == 2:
        return frame[:at] + bytes([random.below(256)]) + frame[at + 1 :]
    return frame[:at] + frame[at + 1 + random.below(8) :]


def make(random, seeds):
    """Return one frame.

    Args:
        random: a `Random`.
        seeds: canonical frames, each as a list of pieces (see `pieces`).
    """
    if random.below(16) == 0:
        return random.bytes(random.below(40))
    cut = list(seeds[random.below(len(seeds))])
    if random.below(12) == 0:  # the head of one, the tail of another
        other = seeds[random.below(len(seeds))]
        cut = cut[: random.below(len(cut) + 1)] + list(other[random.below(len(other)) :])
    if random.below(4):
        for _ in range(1 + random.below(3)):
            _mutate_values(random, cut)
    frame = b"".join(cut)
    if random.below(4) == 0:
        for _ in range(1 + random.below(2)):
            frame = _mutate_bytes(random, frame)
    return frame


def outcome(unpack, frame):
    """Return what `unpack` makes of `frame`: the canonical bytes it read, or the error's name.

    Anything but ProtocolError goes through to the caller: it is a fault.
    """
    try:
        return unpack(frame).pack()
    except ProtocolError as error:
        return error.__class__.__name__.encode()


def digest(unpack, seeds, seed, count):
    """Return hex digests over frames and outcomes: one per thousand frames, over all before it."""
    random = Random(seed)
    running = hashlib.sha256()
    lines = []
    for i in range(count):
        frame = make(random, seeds)
        running.update(frame)
        running.update(outcome(unpack, frame))
        if i % 1000 == 999 or i == count - 1:
            link = running.digest()  # MicroPython's sha256 ends with its digest
            lines.append("".join([f"{byte:02x}" for byte in link[:8]]))
            running = hashlib.sha256(link)
    return lines
