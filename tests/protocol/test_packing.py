"""Goal: every value has exactly one encoding, and no bytes make the reader do more than read them.

Method: each form at its boundaries against the msgpack package; every longer form of a value;
buffers that are too small; headers that lie.
"""

import array

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.errors import LimitError, MalformedError, PackingError, ProtocolError
from protocol.packing import Packer, Unpacker
from tests.protocol.strategies import ascii_text, integers

ANY_INTEGER = integers(-limits.INTEGER_MAX, limits.INTEGER_MAX)
LEADS_OUTSIDE = [0xC1, 0xC6, *range(0xC7, 0xCC), *range(0xD4, 0xD9), 0xDA, 0xDB, 0xDD, 0xDE, 0xDF]


def packed(method: str, value: object) -> bytes:
    """Return what one method of the packer writes."""
    packer = Packer(bytearray(70_000))
    getattr(packer, method)(value)
    return bytes(packer.buffer[: packer.end])


@given(ANY_INTEGER)
def test_integers_have_their_shortest_form(value):
    """SPEC 2.2, SPEC 2.3."""
    frame = packed("integer", value)
    assert frame == msgpack.packb(value)
    unpacker = Unpacker(frame)
    assert unpacker.integer(-limits.INTEGER_MAX, limits.INTEGER_MAX) == value
    unpacker.finish()


@given(ANY_INTEGER)
def test_longer_forms_of_an_integer_are_refused(value):
    """SPEC 2.2."""
    shortest = packed("integer", value)
    longer = [
        bytes([0xCC + i]) + value.to_bytes(1 << i, "big")
        for i in range(4)
        if 0 <= value < 1 << (8 << i)
    ]
    longer += [
        bytes([0xD0 + i]) + value.to_bytes(1 << i, "big", signed=True)
        for i in range(4)
        if -(1 << (8 << i) - 1) <= value < 1 << (8 << i) - 1
    ]
    for frame in longer:
        if frame != shortest:
            with pytest.raises(MalformedError, match="shortest"):
                Unpacker(frame).integer(-limits.INTEGER_MAX, limits.INTEGER_MAX)


@pytest.mark.parametrize("value", [limits.INTEGER_MAX + 1, -limits.INTEGER_MAX - 1, 2**64])
def test_integers_of_more_than_53_bits_are_refused(value):
    """SPEC 2.3, SPEC 2.9."""
    with pytest.raises(PackingError, match="53 bits"):
        packed("integer", value)


@given(st.text(ascii_text, max_size=limits.TEXT_CHARS_MAX))
def test_text_has_its_shortest_form(value):
    """SPEC 2.2, SPEC 2.4."""
    frame = packed("text", value)
    assert frame == msgpack.packb(value)
    unpacker = Unpacker(frame)
    assert unpacker.text(limits.TEXT_CHARS_MAX) == value
    unpacker.finish()


@pytest.mark.parametrize("value", ["\n", "\x7f", "ä", "€", "\U0001f600", "x" * 256])
def test_text_that_cannot_be_said_is_refused(value):
    """SPEC 2.4, SPEC 2.9."""
    with pytest.raises(PackingError):
        packed("text", value)


def test_every_byte_outside_printable_ascii_is_refused_in_text():
    """SPEC 2.4."""
    for code in range(256):
        unpacker = Unpacker(b"\xa1" + bytes([code]))
        if 0x20 <= code <= 0x7E:
            assert unpacker.text(1) == chr(code)
        else:
            with pytest.raises(MalformedError):
                unpacker.text(1)


@pytest.mark.parametrize("size", [0, 1, 16, 17, 255, 256, 65_535])
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_byte_strings_have_their_shortest_form(size, form):
    """SPEC 2.2, SPEC 2.5."""
    value = bytes(i & 0xFF for i in range(size))
    frame = packed("binary", form(value))
    assert frame == msgpack.packb(value, use_bin_type=True)
    unpacker = Unpacker(frame)
    assert unpacker.binary(0, limits.BINARY_BYTES_MAX) == value
    unpacker.finish()


def test_a_byte_string_of_more_than_two_length_bytes_is_refused():
    """SPEC 2.5, SPEC 2.9."""
    with pytest.raises(PackingError, match="65536 bytes"):
        packed("binary", bytes(65_536))


@pytest.mark.parametrize("count", [0, 1, 15, 16, limits.ARRAY_ELEMENTS_MAX])
def test_array_headers_have_their_shortest_form(count):
    """SPEC 2.2, SPEC 2.6."""
    frame = packed("array", count)
    assert frame == msgpack.packb([None] * count)[: len(frame)]
    assert Unpacker(frame).array() == count


def test_arrays_of_more_elements_are_refused():
    """SPEC 2.6, SPEC 2.9."""
    count = limits.ARRAY_ELEMENTS_MAX + 1
    with pytest.raises(PackingError):
        packed("array", count)
    with pytest.raises(LimitError):
        Unpacker(msgpack.packb([None] * count)).array()


@pytest.mark.parametrize("lead", LEADS_OUTSIDE)
@pytest.mark.parametrize(
    "read",
    [
        lambda unpacker: unpacker.array(),
        lambda unpacker: unpacker.boolean(),
        lambda unpacker: unpacker.integer(-1, 1),
        lambda unpacker: unpacker.text(8),
        lambda unpacker: unpacker.binary(0, 8),
        lambda unpacker: unpacker.skip(),
    ],
)
def test_leads_outside_the_subset_are_refused_everywhere(lead, read):
    """SPEC 2.1."""
    with pytest.raises(MalformedError):
        read(Unpacker(bytes([lead]) + bytes(16)))


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            ANY_INTEGER,
            st.text(ascii_text, max_size=40),
            st.binary(max_size=300),
            st.lists(ANY_INTEGER, max_size=20),
        ),
        max_size=20,
    )
)
def test_any_value_of_the_subset_is_passed_over_whole(value):
    """SPEC 4.3."""
    unpacker = Unpacker(msgpack.packb(value, use_bin_type=True))
    unpacker.skip()
    unpacker.finish()


def test_nesting_is_bounded():
    """SPEC 2.6: an appended field stands in the message, so it may nest one level less."""
    for depth in range(1, 6):
        unpacker = Unpacker(b"\x91" * depth + b"\xc0")
        if depth < limits.DEPTH_MAX:
            unpacker.skip()
            unpacker.finish()
        else:
            with pytest.raises(LimitError, match="nested"):
                unpacker.skip()


@given(st.binary(max_size=40), st.integers(0, 5))
def test_reading_any_bytes_ends_in_a_value_or_in_the_one_error(frame, which):
    """SPEC 1.2."""
    unpacker = Unpacker(frame)
    reads = (
        unpacker.array,
        unpacker.boolean,
        lambda: unpacker.integer(-limits.INTEGER_MAX, limits.INTEGER_MAX),
        lambda: unpacker.text(limits.TEXT_CHARS_MAX),
        lambda: unpacker.binary(0, limits.BINARY_BYTES_MAX),
        unpacker.skip,
    )
    try:
        reads[which]()
    except ProtocolError:
        return
    assert 0 < unpacker.at <= len(frame)


@pytest.mark.parametrize("room", range(12))
def test_the_packer_never_writes_beyond_its_buffer(room):
    """SPEC 2.9: a message that does not fit is refused, and what lies behind stays untouched."""
    buffer = bytearray(room)
    packer = Packer(buffer)
    with pytest.raises(PackingError, match=f"its buffer has {room}"):
        packer.binary(b"ten bytes!")
    assert len(buffer) == room


def test_a_view_of_longer_elements_is_refused_and_resizes_nothing():
    """SPEC 2.9: `buffer[a:b] = view` would have made the buffer longer."""
    buffer = bytearray(300)
    for count in (4, 100):
        with pytest.raises(PackingError, match="memoryview"):
            Packer(buffer).binary(memoryview(array.array("H", range(count))))
        assert len(buffer) == 300


def test_a_reserved_byte_string_is_filled_by_the_caller():
    """SPEC 2.5: the bytes travel straight into the frame."""
    packer = Packer(bytearray(400), 3)
    at = packer.reserve_binary(300)
    packer.buffer[at : at + 300] = bytes(range(256)) + bytes(44)
    assert packer.end == at + 300
    assert packer.buffer[3 : packer.end] == packed("binary", bytes(range(256)) + bytes(44))


def test_a_rewound_packer_begins_anew():
    """SPEC 2.9: one packer serves one buffer for ever."""
    packer = Packer(bytearray(8))
    for _ in range(3):
        packer.rewind(2)
        packer.integer(300)
        assert packer.end == 5
        assert bytes(packer.buffer[2:5]) == b"\xcd\x01\x2c"
