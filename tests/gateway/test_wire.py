"""Goal: the gateway's typed structs and the strict reader are one protocol.

Method: the layouts are held against each other field by field; 100,000 seeded frames must be
accepted by both with equal values, or refused by both with the same error.
"""

import collections
import json
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from protocol import messages
from protocol.errors import KindError, LimitError, MalformedError, PackingError, ProtocolError
from protocol.fields import BINARY, BOOLEAN, INTEGER, RANGES, TEXT
from tests.protocol import frames
from tests.protocol.make_vectors import TYPICAL
from tests.protocol.strategies import any_message

FRAMES = 100_000
SEED = 31_121_969  # another run than that of tests/protocol/test_frames.py
TYPES = {INTEGER: int, BOOLEAN: bool, TEXT: str, BINARY: bytes, RANGES: tuple[int, ...]}
ALL_KINDS = sorted(wire.KINDS)


def typed(number, **changes):
    """Return the typical struct of a kind with some fields changed."""
    values = {**TYPICAL[wire.KINDS[number].__name__], **changes}
    return wire.KINDS[number](
        **{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    )


def layout_of(struct):
    """Return a struct's layout as `protocol.messages` writes it."""
    layout = []
    for field in msgspec.structs.fields(struct):
        info = msgspec.inspect.type_info(field.type)
        optional = isinstance(info, msgspec.inspect.UnionType)
        if optional:
            (info,) = [
                part for part in info.types if not isinstance(part, msgspec.inspect.NoneType)
            ]
        match info:
            case msgspec.inspect.IntType(ge=low, le=high):
                layout.append((field.name, INTEGER, low, high, optional))
            case msgspec.inspect.BoolType():
                layout.append((field.name, BOOLEAN, 0, 1, optional))
            case msgspec.inspect.StrType(max_length=high, pattern=r"\A[ -~]*\Z"):
                layout.append((field.name, TEXT, 0, high, optional))
            case msgspec.inspect.BytesType(min_length=low, max_length=high):
                layout.append((field.name, BINARY, low or 0, high, optional))
            case msgspec.inspect.VarTupleType(max_length=high):
                layout.append((field.name, RANGES, 0, high, optional))
            case _:
                pytest.fail(f"{field.name} has a type of no form: {info}")
    return tuple(layout)


# --------------------------------------------------------------------------------------- layout


@pytest.mark.parametrize("number", ALL_KINDS)
def test_the_structs_have_the_layout_of_the_messages(number):
    """SPEC 3.1, SPEC 3.2: name, form, range, nil, one after another."""
    assert layout_of(wire.KINDS[number]) == messages.KINDS[number].FIELDS


def test_the_kinds_are_the_same():
    """SPEC 3.1."""
    assert set(wire.KINDS) == set(messages.KINDS)
    assert set(wire.KINDS.values()) == set(typing.get_args(wire.Message))
    for number, struct in wire.KINDS.items():
        assert struct.__name__ == messages.KINDS[number].__name__
        assert struct.__struct_config__.tag == number
        assert struct.__struct_config__.array_like
        assert struct.__struct_config__.frozen
    records = {
        kind.__name__ for kind in messages.KINDS.values() if issubclass(kind, messages.Record)
    }
    assert {struct.__name__ for struct in typing.get_args(wire.Record)} == records


# ------------------------------------------------------------------------------------ agreement


@pytest.fixture(scope="module")
def seeds(repository_path):
    """The golden vectors, cut into values."""
    vectors = json.loads((repository_path / "protocol/vectors/messages.json").read_text())
    return [frames.pieces(bytes.fromhex(vector["frame"])) for vector in vectors]


def outcome(read, frame):
    """Return what a reader makes of a frame: the message, or the error it raises."""
    try:
        return read(frame)
    except ProtocolError as error:
        return error


def test_both_readers_agree_on_any_frame(seeds):
    """SPEC 1.2, SPEC 1.3: accepted by both with equal values, or refused by both alike."""
    random = frames.Random(SEED)
    outcomes = collections.Counter()
    for _ in range(FRAMES):
        frame = frames.make(random, seeds)
        strict = outcome(messages.unpack, frame)
        message = outcome(wire.decode, frame)
        outcomes[type(message)] += 1
        if isinstance(message, ProtocolError):
            assert type(message) is type(strict), frame.hex()
            assert str(message) == str(strict), frame.hex()
        else:
            assert isinstance(strict, messages.Message), frame.hex()
            assert type(message).__name__ == type(strict).__name__
            assert list(msgspec.structs.astuple(message)) == strict.values(), frame.hex()
    assert set(outcomes) == {MalformedError, LimitError, KindError, *wire.KINDS.values()}
    assert min(outcomes.values()) > 200


@given(any_message())
def test_both_sides_write_the_same_bytes(message):
    """SPEC 1.3, SPEC 2.2."""
    frame = message.pack()
    struct = wire.decode(frame, message.CHANNEL)
    assert list(msgspec.structs.astuple(struct)) == message.values()
    assert wire.encode(struct) == frame


@given(st.binary(max_size=100))
def test_random_bytes_are_a_message_or_the_one_error(frame):
    """SPEC 1.2."""
    try:
        message = wire.decode(frame)
    except ProtocolError:
        return
    assert messages.unpack(frame).values() == list(msgspec.structs.astuple(message))


@given(st.integers(1, 12_000), st.sampled_from([b"\x91", b"\xdc\x00\x01", b"\x81\x00", b"\xdd"]))
def test_deep_nesting_is_refused(depth, header):
    """SPEC 2.6, SPEC 1.2: msgspec gives up with RecursionError, the caller never sees it."""
    frame = b"\x95\x02\xc4\x08" + bytes(8) + b"\xc3\x00" + header * depth
    with pytest.raises(ProtocolError):
        wire.decode(frame[:12_288])


@pytest.mark.parametrize("number", ALL_KINDS)
def test_a_message_is_taken_on_its_own_channel_only(number):
    """SPEC 5.4."""
    frame = wire.encode(typed(number))
    for other, kind in messages.KINDS.items():
        if other == number:
            assert wire.decode(frame, kind.CHANNEL) == typed(number)
        else:
            with pytest.raises(KindError, match=f"came in on {kind.CHANNEL}"):
                wire.decode(frame, kind.CHANNEL)


def test_a_fault_of_ours_would_be_told_as_one(monkeypatch):
    """SPEC 1.2: even readers that disagree end in the one error."""
    frame = wire.encode(typed(2))
    narrow = msgspec.msgpack.Decoder(wire.Birth)
    monkeypatch.setattr(wire, "_decoder", narrow)
    with pytest.raises(MalformedError, match="the two readers disagree about 9402c408"):
        wire.decode(frame)


# ------------------------------------------------------------------------------------- evolution


class Newer(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """A status, two fields later."""

    boot_id: bytes
    online: bool
    uptime_ms: int
    level: int | None = None
    name: str = "unnamed"


STATUS = b"\x02\xc4\x08" + bytes(8) + b"\xc3\x05"


@pytest.mark.parametrize(
    "frame, canonical",
    [
        (b"\x94" + STATUS, True),
        (b"\x95" + STATUS + b"\x07", True),
        (b"\x95" + STATUS + b"\xc0", True),
        (b"\x96" + STATUS + b"\x07\xa1n", True),
        (b"\x97" + STATUS + b"\x07\xa1n\xc3", True),
        (b"\x95" + STATUS + b"\xcc\x07", False),
        (b"\x96" + STATUS + b"\x07\xd9\x01n", False),
        (b"\x97" + STATUS + b"\x07\xa1n\xd0\x01", False),
        (b"\xdc\x00\x05" + STATUS + b"\x07", False),
    ],
)
def test_fields_fewer_or_more_must_be_canonical_too(frame, canonical):
    """SPEC 4.2, SPEC 4.3, SPEC 2.2: when the gateway is the newer or the older one."""
    message = msgspec.msgpack.decode(frame, type=Newer)
    form = msgspec.msgpack.encode(message)
    assert wire._is_canonical(frame, form, 5) is canonical


# --------------------------------------------------------------------------------------- sending


@pytest.mark.parametrize(
    "message",
    [
        typed(7, beyond=(18, 19)),
        typed(7, beyond=(19,)),
        typed(7, beyond=(19, 2**60)),
        typed(7, seq=-1),
        typed(7, seq=2**80),
        typed(7, journal_id=bytes(7)),
        typed(7, journal_id="a1b2c3d4"),
        typed(7, beyond=tuple(range(100, 168, 2))),
        typed(6, time_ms=1.5),
        typed(9, detail="sämple"),
        typed(9, detail="\ud800"),
        typed(10, window=33),
        typed(8, argument=bytes(257)),
        typed(1, oldest_seq=24),
        typed(3, pixels_u16le=bytes(3)),
    ],
)
def test_what_a_node_would_refuse_is_never_sent(message):
    """SPEC 2.9: the error names the kind."""
    with pytest.raises(PackingError, match=f"^{type(message).__name__} cannot be sent: "):
        wire.encode(message)
