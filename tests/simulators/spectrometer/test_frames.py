"""Goal: frames are exactly those of the protocol, and no bytes can hide a good one.

Method: the published vectors in both directions; then Hypothesis: any bytes, any cut of the stream.
"""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.spectrometer.frames import (
    FRAME_DEADLINE_S,
    HEADER_BYTES,
    Error,
    Flag,
    Frame,
    FrameReader,
    Rejection,
    encode,
)

VECTORS = {
    vector["name"]: vector
    for vector in json.loads((Path(__file__).parent.parent / "obp_vectors.json").read_text())[
        "vectors"
    ]
}
# What each vector is, in words of the simulator.
KNOWN = {
    "get serial number request": Frame(0x100),
    "get corrected spectrum request, protocol 0x1000": Frame(0x101000, version=0x1000),
    "set integration time 100000 us, no ACK": Frame(0x110010, b"\xa0\x86\x01\x00"),
    "set integration time 100000 us, ACK requested": Frame(
        0x110010, b"\xa0\x86\x01\x00", Flag.ACK_REQUESTED, regarding=7
    ),
    "ACK reply to the previous": Frame(0x110010, b"", Flag.RESPONSE | Flag.ACK, regarding=7),
    "NACK reply to the previous, error 6": Frame(
        0x110010, b"", Flag.RESPONSE | Flag.NACK, Error.INVALID_PAYLOAD, regarding=7
    ),
    "get wavelength coefficient 2 request": Frame(0x180101, b"\x02"),
    "get wavelength coefficient 2 reply -4.1e-05": Frame(
        0x180101, bytes.fromhex("6af72bb8"), Flag.RESPONSE
    ),
    "get serial number request with MD5": Frame(0x100, checksum_type=1),
    "serial number reply STS01234 with MD5": Frame(
        0x100, b"STS01234", Flag.RESPONSE, checksum_type=1
    ),
    "8-pixel raw spectrum reply in immediate-or-payload test (16 bytes: immediate)": Frame(
        0x101100, bytes.fromhex("dc05dd05de05df05ff3f000001000200"), Flag.RESPONSE
    ),
    "1024-pixel raw spectrum reply with MD5 (pixels 1500+(i mod 7))": Frame(
        0x101100,
        b"".join((1500 + i % 7).to_bytes(2, "little") for i in range(1024)),
        Flag.RESPONSE,
        checksum_type=1,
    ),
    "laser enable module 0 source 0 on, ACK requested": Frame(
        0x810031, b"\0\0\1", Flag.ACK_REQUESTED, regarding=9
    ),
    "laser enable module 0 source 0 off, ACK requested": Frame(
        0x810031, b"\0\0\0", Flag.ACK_REQUESTED, regarding=10
    ),
}
SERIAL_REQUEST = encode(Frame(0x100, regarding=0xDEADBEEF))


def test_every_vector_is_used():
    assert {*KNOWN, "corrupted MD5 (must be rejected)"} == VECTORS.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_encodes_the_vector(name):
    wire, vector = encode(KNOWN[name]), VECTORS[name]
    assert len(wire) == vector["length"]
    if "hex" in vector:
        assert wire.hex() == vector["hex"]
    else:
        assert hashlib.sha256(wire).hexdigest() == vector["sha256"]
        assert wire[:HEADER_BYTES].hex() == vector["header_hex"]
        assert wire[-20:-4].hex() == vector["md5_hex"]


@pytest.mark.parametrize("name", KNOWN)
def test_decodes_the_vector(name):
    reader = FrameReader(request_payload_max=65_536)
    wire = encode(KNOWN[name])
    assert reader.feed(wire, 0.0) == [KNOWN[name]]
    assert reader.deadline_s is None
    assert reader.discarded_bytes == 0


def test_rejects_the_corrupted_vector():
    wire = bytes.fromhex(VECTORS["corrupted MD5 (must be rejected)"]["hex"])
    (item,) = FrameReader().feed(wire, 0.0)
    assert isinstance(item, Rejection)
    assert (item.error, item.frame.message_type) == (Error.BAD_CHECKSUM, 0x100)


@pytest.mark.parametrize(
    "offset, value, error",
    [
        (2, 0x55, Error.BAD_PROTOCOL),  # version 0x1155
        (42, 0x01, Error.TOO_LARGE),  # a payload of 64 kB
        (22, 0x07, Error.UNKNOWN_CHECKSUM),
        (23, 17, Error.LENGTH_MISMATCH),  # 17 bytes of immediate data
    ],
)
def test_names_what_is_wrong(offset, value, error):
    wire = bytearray(SERIAL_REQUEST)
    wire[offset] = value
    (item, *_) = FrameReader().feed(bytes(wire), 0.0)
    assert isinstance(item, Rejection)
    assert item.error is error
    assert item.frame.regarding == 0xDEADBEEF


def test_payload_too_long_to_announce():
    with pytest.raises(ValueError, match="65537 bytes"):
        encode(Frame(0x100, bytes(65_537)))


def test_half_a_frame_is_given_up_after_its_deadline():
    reader = FrameReader()
    reader.feed(SERIAL_REQUEST[:50], 10.0)
    assert reader.deadline_s == 10.0 + FRAME_DEADLINE_S
    assert reader.expire(10.0 + FRAME_DEADLINE_S / 2) == []
    assert reader.deadline_s is not None
    assert reader.expire(10.0 + FRAME_DEADLINE_S) == []
    assert reader.deadline_s is None
    assert reader.discarded_bytes == 50


def test_a_frame_swallowed_by_a_false_header_is_found_at_the_deadline():
    # A header that promises 200 bytes of payload swallows the request behind it.
    greedy = bytearray(SERIAL_REQUEST[:HEADER_BYTES])
    greedy[40:44] = (220).to_bytes(4, "little")
    reader = FrameReader()
    assert reader.feed(bytes(greedy) + SERIAL_REQUEST, 0.0) == []
    assert reader.expire(FRAME_DEADLINE_S) == [Frame(0x100, regarding=0xDEADBEEF)]


def test_a_frame_inside_one_with_a_bad_checksum_is_found():
    # The length of a damaged header may reach exactly to the end of the next frame.
    damaged = bytearray(encode(Frame(0x101100, checksum_type=1))[:HEADER_BYTES])
    damaged[40:44] = len(SERIAL_REQUEST).to_bytes(4, "little")
    rejection, found = FrameReader().feed(bytes(damaged) + SERIAL_REQUEST, 0.0)
    assert isinstance(rejection, Rejection)
    assert rejection.error is Error.BAD_CHECKSUM
    assert found == Frame(0x100, regarding=0xDEADBEEF)


@given(st.binary(max_size=2000))
def test_any_bytes_are_survived_and_bounded(noise):
    reader = FrameReader()
    reader.feed(noise, 0.0)
    reader.expire(FRAME_DEADLINE_S)
    assert reader.deadline_s is None
    assert reader.feed(SERIAL_REQUEST, 2.0)[-1] == Frame(0x100, regarding=0xDEADBEEF)


_pieces = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from([SERIAL_REQUEST, SERIAL_REQUEST[:44], b"\xc1\xc0\x00\x11", b"\xc1"]),
        st.builds(
            lambda cut, bit: bytes(
                byte ^ (1 << (bit % 8)) * (index == cut % 64)
                for index, byte in enumerate(SERIAL_REQUEST)
            ),
            st.integers(0, 63),
            st.integers(0, 7),
        ),
    ),
    max_size=8,
)


@given(_pieces, st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_cutting_the_stream_changes_nothing(pieces, cuts):
    stream = b"".join(pieces)
    whole = FrameReader()
    expected = whole.feed(stream, 0.0) + whole.expire(FRAME_DEADLINE_S)
    reader, found, start = FrameReader(), [], 0
    for index in range(len(stream)):
        size = cuts[index % len(cuts)]
        found += reader.feed(stream[start : start + size], 0.0)
        start += size
        if start >= len(stream):
            break
    found += reader.expire(FRAME_DEADLINE_S)
    assert found == expected


@given(
    st.builds(
        Frame,
        message_type=st.integers(0, 2**32 - 1),
        data=st.binary(max_size=256),
        flags=st.integers(0, 0x3F),
        error=st.integers(0, 0xFFFF),
        regarding=st.integers(0, 2**32 - 1),
        checksum_type=st.sampled_from([0, 1]),
        version=st.sampled_from([0x1000, 0x1100]),
    ),
    st.binary(max_size=100).filter(lambda noise: b"\xc1" not in noise),
)
def test_what_is_encoded_is_found_behind_noise(frame, noise):
    assert FrameReader().feed(noise + encode(frame), 0.0) == [frame]
