"""Goal: any bytes whatsoever give a message or `ProtocolError`, on both interpreters the same.

Method: 100,000 seeded frames, random ones and mutations of the golden vectors that know their
structure (values swapped, lengthened, appended, counts and sizes that lie, two frames spliced,
bytes cut, flipped and inserted). MicroPython makes 20,000 of them itself; digests are compared.
"""

import collections
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from protocol import fields, limits, messages
from protocol.errors import ProtocolError
from tests.protocol import frames

FRAMES = 100_000
SEED = 20_270_101
FRAMES_MICROPYTHON = 20_000
READING_BYTES_MAX = 40_000  # what reading one frame may take: some copies of the longest message


@pytest.fixture(scope="module")
def seeds(accepted):
    """The vectors, cut into values."""
    return [frames.pieces(bytes.fromhex(vector["frame"])) for vector in accepted]


def test_vectors_are_cut_into_whole_values(accepted, seeds):
    """SPEC 2.1: the mutations know the structure they change."""
    for vector, cut in zip(accepted, seeds, strict=True):
        assert b"".join(cut) == bytes.fromhex(vector["frame"])
        assert len(cut) > len(vector["values"]) - vector.get("missing", 0)


def says_more(frame, message):
    """Say whether `frame` is that of `message` with appended fields; insist that it is no other.

    One with fewer fields is that of an older sender: its fields are those of `message` too.
    """
    again = message.pack()
    if again == frame:
        return False
    body = again[1 if again[0] < 0xA0 else 3 :]
    begin = 1 if frame[0] < 0xA0 else 3
    if len(frame) - begin < len(body) and message.DEFAULTS:
        assert body.startswith(frame[begin:])
        return False
    assert frame[begin : begin + len(body)] == body
    assert len(frame) > begin + len(body)
    return True


def test_any_frame_is_a_message_or_the_one_error(seeds):
    """SPEC 1.2, SPEC 2.2: and an accepted frame is the only one that says what it says."""
    random = frames.Random(SEED)
    outcomes = collections.Counter()
    kinds = collections.Counter()
    for _ in range(FRAMES):
        frame = frames.make(random, seeds)
        try:
            message = messages.unpack(frame)
        except ProtocolError as error:
            outcomes[type(error).__name__] += 1
            continue
        outcomes["accepted"] += 1
        kinds[type(message)] += 1
        outcomes["with appended fields"] += says_more(frame, message)
    # The run means something only if it reaches all there is to reach.
    assert outcomes["accepted"] > FRAMES // 10
    assert outcomes["with appended fields"] > FRAMES // 100
    assert min(outcomes[name] for name in ("MalformedError", "LimitError", "KindError")) > 1_000
    assert set(kinds) == set(messages.KINDS.values())
    assert min(kinds.values()) > 200


def test_micropython_comes_to_the_same_outcomes(on_micropython, seeds):
    """SPEC 1.3: the digest is over frames, values and error classes, in their order."""
    ours = frames.digest(messages.unpack, seeds, SEED, FRAMES_MICROPYTHON)
    theirs = on_micropython("fuzz", seed=SEED, count=FRAMES_MICROPYTHON)
    assert len(theirs) == FRAMES_MICROPYTHON // 1_000
    assert theirs == ours


@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_the_one_error(frame):
    """SPEC 1.2: Hypothesis looks for what the seeded run did not think of."""
    try:
        message = messages.unpack(frame)
    except ProtocolError:
        return
    says_more(frame, message)


def test_a_frame_beyond_the_bound_is_refused_unread():
    """SPEC 2.7."""
    frame = bytes(limits.MESSAGE_BYTES_MAX + 1)
    for read in (messages.unpack, wire.decode):
        with pytest.raises(ProtocolError, match="message of 12289 bytes; at most 12288"):
            read(frame)


@pytest.mark.parametrize("read", [messages.unpack, wire.decode])
def test_sizes_that_lie_reserve_no_memory(seeds, refused, read):
    """SPEC 2.8, SPEC 1.2: every header of every vector claims up to 4 GB."""
    lies = [b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"]
    lies += [b"\xdf\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xc5\xff\xff", b"\xdc\xff\xff"]
    tried = [bytes.fromhex(vector["frame"]) for vector in refused]
    for cut in seeds[:: len(seeds) // 12]:
        for at in range(len(cut)):
            tried += [b"".join([*cut[:at], lie, *cut[at + 1 :]]) for lie in lies]
    assert len(tried) > 500
    tracemalloc.start()
    try:
        for frame in tried:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            with pytest.raises(ProtocolError):
                read(frame)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < READING_BYTES_MAX, frame[:40].hex()
    finally:
        tracemalloc.stop()


def test_the_largest_message_is_read_with_few_copies():
    """SPEC 1.2: memory is a small multiple of the frame."""
    reading = messages.Reading(
        *(bytes(8), 1, bytes(8), 0, None, 0, bytes(8), 0, bytes(8), 1, 1, 0, None, 0, 0, None),
        bytes(limits.PIXELS_BYTES_MAX),
    )
    frame = reading.pack()
    assert len(frame) <= fields.frame_bytes_max(messages.Reading)
    for read in (messages.unpack, wire.decode):
        tracemalloc.start()
        try:
            read(frame)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * len(frame)
