"""Goal: the frame codec agrees with the published layout and survives any bytes.

Method: the vectors of the instrument's own documentation, frames packed here with a few lines of
`struct`, and hypothesis for noise, cuts and byte-wise feeding; the MD5 of the boards against
hashlib. The same facts go through MicroPython in a story.
"""

import hashlib
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.obp import frames
from drivers.obp.md5 import md5

CHUNK_BYTES = 256
PAYLOAD_BYTES_MAX = 2_048
VECTORS_PATH = Path(__file__).parents[3] / "simulators/obp_vectors.json"
VECTORS = {entry["name"]: entry for entry in json.loads(VECTORS_PATH.read_text())["vectors"]}


def parse(stream, step=CHUNK_BYTES):
    """Return every frame in `stream`, fed in pieces of `step` bytes, and the parser."""
    parser = frames.Parser(PAYLOAD_BYTES_MAX, CHUNK_BYTES)
    found = []
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        parser.feed(piece, len(piece))
        while (frame := parser.next()) is not None:
            found.append(
                (
                    *(frame.message_type, frame.flags, frame.error, frame.regarding),
                    *(frame.verified, bytes(frame.data)),
                )
            )
    return found, parser


def pack(message_type, data=b"", *, flags=1, error=0, regarding=0, checked=True):
    """Build a reply independently of the code under test."""
    short = data if len(data) <= 16 else b""
    payload = b"" if short else data
    head = struct.pack("<2sHHHII", b"\xc1\xc0", 0x1100, flags, error, message_type, regarding)
    head += bytes(6) + bytes([checked, len(short)]) + short.ljust(16, b"\0")
    body = head + struct.pack("<I", len(payload) + 20) + payload
    return body + (hashlib.md5(body).digest() if checked else bytes(16)) + b"\xc5\xc4\xc3\xc2"


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("get serial number request", (0x100, 0, b"", 0, False)),
        ("get serial number request with MD5", (0x100, 0, b"", 0, True)),
        ("set integration time 100000 us, no ACK", (0x110010, 0, b"\xa0\x86\x01\0", 0, False)),
        (
            "set integration time 100000 us, ACK requested",
            (0x110010, 7, b"\xa0\x86\x01\0", 4, False),
        ),
        ("get wavelength coefficient 2 request", (0x180101, 0, b"\x02", 0, False)),
        ("laser enable module 0 source 0 on, ACK requested", (0x810031, 9, b"\0\0\1", 4, False)),
        ("laser enable module 0 source 0 off, ACK requested", (0x810031, 10, b"\0\0\0", 4, False)),
    ],
)
def test_requests_are_those_of_the_data_sheet(name, arguments):
    assert frames.build(*arguments).hex() == VECTORS[name]["hex"]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("ACK reply to the previous", (0x110010, 3, 0, 7, False, b"")),
        ("NACK reply to the previous, error 6", (0x110010, 9, 6, 7, False, b"")),
        (
            "get wavelength coefficient 2 reply -4.1e-05",
            (0x180101, 1, 0, 0, False, struct.pack("<f", -4.1e-5)),
        ),
        ("serial number reply STS01234 with MD5", (0x100, 1, 0, 0, True, b"STS01234")),
        (
            "8-pixel raw spectrum reply in immediate-or-payload test (16 bytes: immediate)",
            (0x101100, 1, 0, 0, False, struct.pack("<8H", 1500, 1501, 1502, 1503, 16383, 0, 1, 2)),
        ),
    ],
)
def test_replies_are_read_as_the_data_sheet_means_them(name, expected):
    found, parser = parse(bytes.fromhex(VECTORS[name]["hex"]))
    assert found == [expected]
    assert parser.dropped_bytes == 0


def test_a_whole_spectrum_is_read():
    vector = VECTORS["1024-pixel raw spectrum reply with MD5 (pixels 1500+(i mod 7))"]
    pixels = struct.pack("<1024H", *(1500 + i % 7 for i in range(1024)))
    frame = (
        bytes.fromhex(vector["header_hex"])
        + pixels
        + bytes.fromhex(vector["md5_hex"])
        + b"\xc5\xc4\xc3\xc2"
    )
    assert hashlib.sha256(frame).hexdigest() == vector["sha256"]
    assert parse(frame)[0] == [(0x101100, 1, 0, 0, True, pixels)]


def test_a_corrupted_checksum_is_refused():
    found, parser = parse(bytes.fromhex(VECTORS["corrupted MD5 (must be rejected)"]["hex"]))
    assert found == []
    assert parser.rejected_frames == 1
    assert parser.dropped_bytes == 64


@pytest.mark.parametrize(
    "offset, value",
    [
        (2, 0x33),  # version
        (22, 2),  # checksum type
        (23, 17),  # immediate length
        (40, 19),  # bytes remaining below the tail
        (42, 1),  # 65556 bytes remaining: allowed by the protocol, not by this model
        (60, 0),  # footer
    ],
)
def test_a_header_that_cannot_be_one_costs_nothing_behind_it(offset, value):
    bad = bytearray(pack(0x100, b"first", checked=False))
    bad[offset] = value
    found, _ = parse(bytes(bad) + pack(0x101, b"second"))
    assert [frame[-1] for frame in found] == [b"second"]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.sampled_from([b"\xc1", b"\xc1\xc0", b"\xc1\xc0\x00\x11"]),
            st.binary(max_size=300).map(lambda data: pack(0x101100, data)),
            st.binary(max_size=16).map(lambda data: pack(0x100, data, checked=False)),
        ),
        max_size=8,
    ),
    st.integers(1, CHUNK_BYTES),
)
def test_any_bytes_give_the_same_frames_however_they_are_cut(pieces, step):
    stream = b"".join(pieces)
    whole, whole_parser = parse(stream)
    cut, cut_parser = parse(stream, step)
    assert cut == whole
    assert cut_parser.dropped_bytes == whole_parser.dropped_bytes
    assert whole_parser.pending_bytes <= PAYLOAD_BYTES_MAX + frames.FRAME_BYTES_MIN


@given(st.binary(max_size=200), st.binary(min_size=17, max_size=200))
def test_noise_before_a_frame_never_hides_the_frames_behind_it(noise, data):
    # Noise may contain a false start that swallows a frame's length at most: with enough good
    # frames behind it the last is always found.
    stream = noise + pack(0x101100, data) * 40
    found, _ = parse(stream)
    assert found[-1][-1] == data


def test_what_does_not_fit_is_a_fault_of_the_caller():
    parser = frames.Parser(0, 16)
    for _ in range(5):
        parser.feed(bytes(16), 16)
    with pytest.raises(ValueError, match="16 bytes do not fit"):
        parser.feed(bytes(16), 16)


@given(st.binary(max_size=300))
def test_the_boards_md5_is_hashlibs(content):
    assert md5(content).digest() == hashlib.md5(content).digest()


def test_both_interpreters_read_the_same(run_story):
    lines = run_story("frames_story.py", str(VECTORS_PATH), interpreter="cpython")
    assert len(lines) > len(VECTORS)
    assert lines == run_story("frames_story.py", str(VECTORS_PATH))
    built = {
        line[6:].rpartition(" ")[0]: line.endswith("True") for line in lines if "built" in line
    }
    # What nobody builds here: an older version, a refusal; and what is no frame at all.
    other = {name for name in VECTORS if "0x1000" in name or "NACK" in name}
    assert built == {name: name not in other for name in VECTORS if "corrupted" not in name}


def test_ten_thousand_streams_harm_nothing(run_story):
    lines = run_story("obp_streams_story.py", "10000", str(frames.VERSION), heap="512k")
    assert lines == ["streams 10000 verified True unverified True"]
