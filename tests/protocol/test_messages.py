"""Goal: what is packed is read back the same, and what a receiver would refuse is never packed.

Method: Hypothesis draws valid messages of every kind; each field in turn gets a value that the
layout does not allow. Evolution is tried on a kind of the test's own, an older and a newer one.
"""

import inspect

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import fields, limits, messages
from protocol.errors import KindError, LimitError, MalformedError, PackingError
from protocol.fields import BINARY, BOOLEAN, INTEGER, RANGES, TEXT
from protocol.packing import Packer
from tests.protocol.make_vectors import TYPICAL
from tests.protocol.strategies import any_message

ALL_KINDS = [messages.KINDS[number] for number in sorted(messages.KINDS)]


def typical(kind, **changes):
    """Return the typical message of a kind with some fields changed."""
    values = {**TYPICAL[kind.__name__], **changes}.values()
    return kind(*(tuple(value) if isinstance(value, list) else value for value in values))


# ------------------------------------------------------------------------------- there and back


@given(any_message())
def test_what_is_packed_is_read_back_the_same(message):
    """SPEC 3.1, SPEC 2.2: and the frame is what the msgpack package would write."""
    frame = message.pack()
    again = messages.unpack(frame, message.CHANNEL)
    assert again == message
    assert type(again) is type(message)
    listed = [list(value) if isinstance(value, tuple) else value for value in message.values()]
    assert frame == msgpack.packb([message.KIND, *listed], use_bin_type=True)
    assert len(frame) <= fields.frame_bytes_max(type(message)) <= limits.MESSAGE_BYTES_MAX


@given(any_message(), st.sampled_from([bytearray, memoryview]))
def test_a_frame_may_lie_in_any_buffer(message, form):
    """SPEC 1.2."""
    assert messages.unpack(form(message.pack())) == message


@given(any_message(), st.integers(0, 40))
def test_a_frame_is_written_where_the_caller_wants_it(message, offset):
    """SPEC 2.9: in the middle of a buffer, without touching what lies before and behind."""
    frame = message.pack()
    buffer = bytearray(b"\xaa" * (offset + len(frame) + 3))
    assert message.pack_into(buffer, offset) == offset + len(frame)
    assert bytes(buffer) == b"\xaa" * offset + frame + b"\xaa" * 3


@given(any_message(), st.data())
def test_a_buffer_that_is_too_small_is_refused(message, data):
    """SPEC 2.9."""
    frame = message.pack()
    buffer = bytearray(data.draw(st.integers(0, len(frame) - 1)))
    size = len(buffer)
    with pytest.raises(PackingError):
        message.pack_into(buffer)
    assert len(buffer) == size


def test_messages_compare_by_kind_and_value():
    """SPEC 6.1: equal messages are equal bytes, and can be found in a set."""
    one = typical(messages.Status)
    assert one == typical(messages.Status)
    assert one != typical(messages.Status, uptime_ms=9)
    assert one != "status"
    assert len({one, typical(messages.Status), typical(messages.Status, online=False)}) == 2
    assert repr(one) == f"Status(boot_id={one.boot_id!r}, online=True, uptime_ms=1204)"


# --------------------------------------------------------------------------------------- layout


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_annotations_repeat_the_layout(kind):
    """SPEC 3.2: what the type checker believes is what is on the wire."""
    declared = {}
    for cls in reversed(inspect.getmro(kind)):
        declared.update(inspect.get_annotations(cls))
    plain = {INTEGER: int, BOOLEAN: bool, TEXT: str, BINARY: bytes, RANGES: tuple[int, ...]}
    for name, form, _, _, optional in kind.FIELDS:
        assert declared[name] == (plain[form] | None if optional else plain[form]), name
    settings = {"KIND", "CHANNEL", "FIELDS", "DEFAULTS"}
    assert set(declared) - settings == {field[0] for field in kind.FIELDS}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_leaves_room_to_grow(kind):
    """SPEC 2.6, SPEC 2.7: fields and bytes are well within the bounds of a message."""
    assert len(kind.FIELDS) + 1 <= limits.ARRAY_ELEMENTS_MAX // 2
    assert fields.frame_bytes_max(kind) <= limits.MESSAGE_BYTES_MAX * 3 // 4


def test_health_is_short():
    """SPEC 3.8: whatever its values; the longest that can be packed are at their extremes."""
    assert fields.frame_bytes_max(messages.Health) == 199 <= limits.HEALTH_BYTES_MAX
    largest = dict(zip(TYPICAL["Health"], longest(), strict=True))
    assert len(typical(messages.Health, **largest).pack()) == 199


def longest():
    """Return the values that make a health as long as it can be."""
    for _, form, low, high, _ in messages.Health.FIELDS:
        if form == INTEGER:
            yield low if low < 0 else high
        else:
            yield "~" * high if form == TEXT else b"\xff" * high


def test_a_health_and_a_result_of_a_first_node_are_still_read():
    """SPEC 4.1, SPEC 4.2, SPEC 3.8, SPEC 3.12: the appended fields take their defaults."""
    for kind, count, defaults in ((messages.Health, 18, (None,) * 3), (messages.Result, 3, (b"",))):
        values = typical(kind).values()
        message = messages.unpack(msgpack.packb([kind.KIND, *values[:count]], use_bin_type=True))
        assert tuple(message.values()[count:]) == defaults
        assert message.values()[:count] == values[:count]


def test_identities_have_one_size():
    """SPEC 3.3."""
    for kind in ALL_KINDS:
        for name, form, low, high, _ in kind.FIELDS:
            if name.endswith("_id"):
                assert (form, low, high) == (BINARY, limits.ID_BYTES, limits.ID_BYTES), name


def test_units_are_in_the_names():
    """SPEC 3.2: an integer without a unit is a count, a number, a code or a version."""
    units = (
        "_ms",
        "_us",
        "_s",
        "_h",
        "_mw",
        "_mc",
        "_mv",
        "_mg",
        "_pm",
        "_mcm1",
        "_bytes",
        "_counts",
    )
    plain = ("seq", "_count", "_quality", "role", "scans", "flags", "_type", "_cause", "action")
    others = ("outcome", "version", "window", "_mode")
    for kind in ALL_KINDS:
        for name, form, *_ in kind.FIELDS:
            assert form != INTEGER or name.endswith(units + plain + others), name


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_wrong_number_of_values_is_refused(kind):
    """SPEC 4.4."""
    values = list(TYPICAL[kind.__name__].values())
    needed = len(values) - len(kind.DEFAULTS)
    with pytest.raises(PackingError, match=f"{kind.__name__} has {len(values)} fields"):
        kind(*values[: needed - 1])
    with pytest.raises(PackingError, match=f"{len(values) + 1} given"):
        kind(*values, None)


# -------------------------------------------------------------------------------------- refusals

NOT_OF_FORM = {
    INTEGER: ("1", b"1", 1.0, True, (1,)),
    BOOLEAN: (0, 1, "true", b""),
    TEXT: (b"text", 1, ("text",)),
    BINARY: ("text", 8, (0,) * 8),
    RANGES: (b"", "", 3, (19, "20"), (19, 20.0), (True, True), (-3, -2)),
}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_value_of_another_form_is_never_packed(kind):
    """SPEC 2.9, SPEC 3.2: and the error names the field."""
    for name, form, _, _, optional in kind.FIELDS:
        wrong = NOT_OF_FORM[form] if optional else (*NOT_OF_FORM[form], None)
        for value in wrong:
            with pytest.raises(PackingError, match=name):
                typical(kind, **{name: value}).pack()


def just_outside(form, low, high):
    """Return the values next to the range of a field."""
    if form == INTEGER:
        return [low - 1, high + 1]
    if form == TEXT:
        return ["x" * (high + 1), "ä"]
    if form == BINARY:
        return [bytes(high + 1)] + ([bytes(low - 1)] if low else [])
    if form == RANGES:
        return [tuple(range(100, 100 + 2 * high + 4, 2))]
    return []


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_value_just_outside_its_range_is_never_packed(kind):
    """SPEC 2.9, SPEC 3.2."""
    for name, form, low, high, _ in kind.FIELDS:
        for value in just_outside(form, low, high):
            with pytest.raises(PackingError):
                typical(kind, **{name: value}).pack()


@pytest.mark.parametrize(
    "message",
    [
        typical(messages.Birth, coefficients_f32le=bytes(6)),
        typical(messages.Birth, oldest_seq=24, next_seq=23),
        typical(messages.Reading, pixels_u16le=bytes(5)),
        typical(messages.Receipt, beyond=(19,)),
        typical(messages.Receipt, beyond=(18, 19)),
        typical(messages.Receipt, beyond=(20, 19)),
        typical(messages.Receipt, beyond=(19, 20, 21, 22)),
        typical(messages.Receipt, beyond=(30, 31, 19, 20)),
    ],
)
def test_fields_that_contradict_each_other_are_never_packed(message):
    """SPEC 3.4, SPEC 3.6, SPEC 3.10, SPEC 2.9."""
    with pytest.raises(LimitError):
        message.check()
    with pytest.raises(PackingError):
        message.pack()


@pytest.mark.parametrize(
    "frame, words",
    [
        (b"\x94\x02\xc4\x07", r"Status\.boot_id: byte string of 7 bytes outside 8\.\.8"),
        (b"\x94\x02\xc4\x08" + bytes(8) + b"\x07", r"Status\.online: byte 0x07 where a truth"),
        (b"\x91\x02", "Status with 0 of its 3 fields"),
        (b"\x91\x0c", "message kind 12 does not exist"),
        (b"\x95\x02\xc4\x08" + bytes(8) + b"\xc2\x00\xc1", r"Status\.an appended field: byte 0xc1"),
    ],
)
def test_a_refusal_names_the_thing_and_its_value(frame, words):
    """SPEC 1.4: what is counted can also be understood."""
    with pytest.raises((LimitError, MalformedError, KindError), match=words):
        messages.unpack(frame)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_message_is_taken_on_its_own_channel_only(kind):
    """SPEC 5.4."""
    frame = typical(kind).pack()
    for other in ALL_KINDS:
        if other is kind:
            assert messages.unpack(frame, other.CHANNEL) == typical(kind)
        else:
            with pytest.raises(KindError, match=f"{kind.__name__} came in on {other.CHANNEL}"):
                messages.unpack(frame, other.CHANNEL)


def test_flags_and_actions_without_a_meaning_are_read():
    """SPEC 4.6."""
    known = (
        messages.FLAG_SATURATED
        | messages.FLAG_INTERRUPTED
        | messages.FLAG_UNVERIFIED
        | messages.FLAG_EMPTY
    )
    frame = typical(messages.Reading, flags=0xFFFF).pack()
    assert messages.unpack(frame).flags & known == known
    assert messages.unpack(typical(messages.Command, action=200).pack()).action == 200


# ------------------------------------------------------------------------------------- evolution


class Old(messages.Message):
    """A kind as it was released."""

    KIND = 100
    CHANNEL = "old"
    FIELDS = (fields.unsigned("level"), fields.text("name", 8))


class New(messages.Message):
    """The same kind, two fields later."""

    KIND = 100
    CHANNEL = "old"
    FIELDS = (*Old.FIELDS, fields.unsigned("gain", optional=1), fields.unsigned("turns"))
    DEFAULTS = (None, 1)


@pytest.fixture
def known(monkeypatch):
    """A function that makes the decoder know one of the two."""
    return lambda kind: monkeypatch.setitem(messages.KINDS, 100, kind)


def test_missing_fields_take_their_defaults(known):
    """SPEC 4.2."""
    known(New)
    assert messages.unpack(Old(7, "a").pack()) == New(7, "a", None, 1)
    assert messages.unpack(msgpack.packb([100, 7, "a", 3])) == New(7, "a", 3, 1)
    assert messages.unpack(New(7, "a", 3, 0).pack()) == New(7, "a", 3, 0)
    assert New(7, "a") == New(7, "a", None, 1)


def test_appended_fields_are_passed_over(known):
    """SPEC 4.3."""
    known(Old)
    assert messages.unpack(New(7, "a", 3, 0).pack()) == Old(7, "a")


def test_appended_fields_must_follow_the_encoding_all_the_same(known):
    """SPEC 4.3."""
    known(Old)
    frame = Old(7, "a").pack()
    for tail in (b"\xcc\x05", b"\xc1", b"\xa1\x00", b"\x81\x00\x00", b"\xca\x00\x00\x00\x00"):
        with pytest.raises(MalformedError, match=r"Old\.an appended field"):
            messages.unpack(b"\x94" + frame[1:] + tail)


def test_fields_without_a_default_are_required(known):
    """SPEC 4.4."""
    known(New)
    with pytest.raises(MalformedError, match="New with 1 of its 4 fields"):
        messages.unpack(msgpack.packb([100, 7]))
    with pytest.raises(PackingError, match="New has 4 fields, 1 given"):
        New(7)


# --------------------------------------------------------------- pixels straight into the frame


@given(st.binary(min_size=2, max_size=600), st.integers(0, 30))
def test_pixels_can_be_read_straight_into_the_frame(pixels, offset):
    """SPEC 3.6: the header is written first, the driver fills in the pixels."""
    pixels += bytes(len(pixels) % 2)
    reading = typical(messages.Reading, pixels_u16le=b"")
    buffer = bytearray(b"\xaa" * 800)
    at = reading.pack_header_into(buffer, len(pixels), offset)
    buffer[at : at + len(pixels)] = pixels
    reading.pixels_u16le = pixels
    assert buffer[offset : at + len(pixels)] == reading.pack()
    assert set(buffer[:offset] + buffer[at + len(pixels) :]) <= {0xAA}


def test_the_header_can_be_written_again_around_the_pixels():
    """SPEC 3.6: saturation is known only when the pixels are there."""
    pixels = b"\xff\x3f" * 100
    reading = typical(messages.Reading, flags=0, temperature_mc=24_000)
    packer = Packer(bytearray(fields.frame_bytes_max(messages.Reading)))
    at = reading.pack_header_with(packer, len(pixels))
    packer.buffer[at : packer.end] = pixels
    reading.flags = messages.FLAG_SATURATED
    reading.temperature_mc = 25_500
    packer.rewind()
    assert reading.pack_header_with(packer, len(pixels)) == at
    read = messages.unpack(memoryview(packer.buffer)[: packer.end])
    assert (read.flags, read.temperature_mc, read.pixels_u16le) == (1, 25_500, pixels)


@pytest.mark.parametrize("size", [0, 1, 3, limits.PIXELS_BYTES_MAX + 2])
def test_pixels_of_an_impossible_size_are_refused(size):
    """SPEC 3.6, SPEC 2.9."""
    with pytest.raises(PackingError, match=f"^{size} bytes of pixels"):
        typical(messages.Reading).pack_header_into(bytearray(9_000), size)


@pytest.mark.parametrize("pixel_bytes", [2, 2_048, limits.PIXELS_BYTES_MAX])
def test_packing_around_the_pixels_takes_no_heap_on_micropython(on_micropython, pixel_bytes):
    """SPEC 1.3: with the heap locked; one allocation would raise MemoryError."""
    answer = on_micropython("pack_without_heap", pixel_bytes=pixel_bytes)
    assert answer["same"] is True
    assert answer["bytes"] > pixel_bytes
