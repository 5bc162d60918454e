"""Protocol messages as typed structs: what the gateway decodes from a node and packs for it.

Rules of the file
- The layout is `protocol/messages.py`; a test holds every field of both against each other.
- `decode` accepts exactly the bytes that `protocol.messages.unpack` accepts and raises the same
  `ProtocolError` for all others. msgspec checks types, ranges and lengths; re-encoding checks that
  the form is the canonical one (SPEC.md 2.2), which costs about a microsecond.
"""

from typing import Annotated, Final

import msgspec

from protocol import limits, messages
from protocol.errors import LimitError, MalformedError, PackingError, ProtocolError
from protocol.packing import Unpacker

Identity = Annotated[bytes, msgspec.Meta(min_length=limits.ID_BYTES, max_length=limits.ID_BYTES)]
Count = Annotated[int, msgspec.Meta(ge=0, le=limits.INTEGER_MAX)]
Ordinal = Annotated[int, msgspec.Meta(ge=1, le=limits.INTEGER_MAX)]
Signed = Annotated[int, msgspec.Meta(ge=-limits.INTEGER_MAX, le=limits.INTEGER_MAX)]
U16 = Annotated[int, msgspec.Meta(ge=0, le=limits.U16_MAX)]
U16Positive = Annotated[int, msgspec.Meta(ge=1, le=limits.U16_MAX)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=limits.U32_MAX)]
U32Positive = Annotated[int, msgspec.Meta(ge=1, le=limits.U32_MAX)]
Quality = Annotated[int, msgspec.Meta(ge=messages.TIME_NONE, le=messages.TIME_GNSS)]
Window = Annotated[int, msgspec.Meta(ge=1, le=limits.WINDOW_RECORDS_MAX)]
Resend = Annotated[int, msgspec.Meta(ge=limits.RESEND_MS_MIN, le=limits.U32_MAX)]
Role = Annotated[int, msgspec.Meta(ge=messages.ROLE_SAMPLE, le=messages.ROLE_STANDARD)]
EventType = Annotated[int, msgspec.Meta(ge=messages.EVENT_CODE, le=messages.EVENT_WEIGHT)]
VerdictOutcome = Annotated[int, msgspec.Meta(ge=messages.VERDICT_CLEAR, le=messages.VERDICT_ALARM)]
Outcome = Annotated[int, msgspec.Meta(ge=messages.OUTCOME_DONE, le=messages.OUTCOME_EXPIRED)]
ExposureMode = Annotated[
    int, msgspec.Meta(ge=messages.EXPOSURE_MANUAL, le=messages.EXPOSURE_AUTOMATIC)
]
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
BytePositive = Annotated[int, msgspec.Meta(ge=1, le=255)]

_ASCII: Final = r"\A[ -~]*\Z"
Name = Annotated[str, msgspec.Meta(max_length=limits.NAME_CHARS_MAX, pattern=_ASCII)]
Fault = Annotated[str, msgspec.Meta(max_length=limits.FAULT_CHARS_MAX, pattern=_ASCII)]
Detail = Annotated[str, msgspec.Meta(max_length=limits.DETAIL_CHARS_MAX, pattern=_ASCII)]
VerdictDetail = Annotated[str, msgspec.Meta(max_length=limits.FINDING_CHARS_MAX, pattern=_ASCII)]
Symbology = Annotated[str, msgspec.Meta(max_length=limits.SYMBOLOGY_CHARS_MAX, pattern=_ASCII)]

Coefficients = Annotated[bytes, msgspec.Meta(max_length=4 * limits.COEFFICIENT_COUNT_MAX)]
Pixels = Annotated[bytes, msgspec.Meta(min_length=2, max_length=limits.PIXELS_BYTES_MAX)]
Content = Annotated[bytes, msgspec.Meta(max_length=limits.CONTENT_BYTES_MAX)]
Argument = Annotated[bytes, msgspec.Meta(max_length=limits.ARGUMENT_BYTES_MAX)]
Tail = Annotated[bytes, msgspec.Meta(max_length=limits.TAIL_BYTES_MAX)]
Ranges = Annotated[tuple[Count, ...], msgspec.Meta(max_length=2 * limits.RECEIPT_RANGES_MAX)]


class Birth(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """A node's certificate of being; see `protocol.messages.Birth`."""

    boot_id: Identity
    uptime_ms: Count
    time_ms: Count | None
    time_quality: Quality
    journal_id: Identity
    oldest_seq: Ordinal
    next_seq: Ordinal
    firmware: Name
    board: Name
    config_version: U32
    instrument_model: Name
    instrument_serial: Name
    axis_id: Identity | None
    pixel_count: U16
    excitation_pm: U32
    resolution_mcm1: U32
    coefficients_f32le: Coefficients
    full_scale_counts: U32


class Status(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """Online or offline; see `protocol.messages.Status`."""

    boot_id: Identity
    online: bool
    uptime_ms: Count


class Reading(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """One spectrum; see `protocol.messages.Reading`."""

    journal_id: Identity
    seq: Ordinal
    boot_id: Identity
    uptime_ms: Count
    time_ms: Count | None
    time_quality: Quality
    inspection_id: Identity
    role: Role
    axis_id: Identity
    integration_us: U32
    scans: U16Positive
    laser_mw: U16
    temperature_mc: Signed | None
    full_scale_counts: U32
    flags: U16
    dark_seq: Ordinal | None
    pixels_u16le: Pixels


class Event(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """A code, a document or a weight; see `protocol.messages.Event`."""

    journal_id: Identity
    seq: Ordinal
    boot_id: Identity
    uptime_ms: Count
    time_ms: Count | None
    time_quality: Quality
    inspection_id: Identity
    event_type: EventType
    symbology: Symbology
    content: Content
    mass_mg: Signed | None
    stable: bool | None

    def __repr__(self) -> str:  # `content` may be a document: it shows only where it is asked for
        return f"<Event {self.journal_id.hex()} {self.seq}, {len(self.content)} bytes>"


class Health(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """How the node is; see `protocol.messages.Health`."""

    boot_id: Identity
    uptime_ms: Count
    time_ms: Count | None
    time_quality: Quality
    supply_mv: U32 | None
    temperature_mc: Signed | None
    heap_free_bytes: Count
    journal_id: Identity
    oldest_seq: Ordinal
    next_seq: Ordinal
    journal_bytes: Count
    evicted_count: Count
    damaged_count: Count
    reconnect_count: Count
    failure_count: Count
    laser_on_s: Count
    reset_cause: Byte
    fault: Fault
    dark_counts: U16 | None = None
    calibration_age_h: U16 | None = None
    round_trip_ms: U16 | None = None


class Time(msgspec.Struct, array_like=True, tag=6, frozen=True):
    """The gateway's clock; see `protocol.messages.Time`."""

    time_ms: Count
    time_quality: Quality
    boot_id: Identity
    echo_uptime_ms: Count | None


class Receipt(msgspec.Struct, array_like=True, tag=7, frozen=True):
    """What is committed; see `protocol.messages.Receipt`."""

    journal_id: Identity
    seq: Count
    beyond: Ranges


class Command(msgspec.Struct, array_like=True, tag=8, frozen=True):
    """Something to do once; see `protocol.messages.Command`."""

    command_id: Identity
    action: BytePositive
    expires_ms: Count | None
    argument: Argument


class Result(msgspec.Struct, array_like=True, tag=9, frozen=True):
    """What became of a command; see `protocol.messages.Result`."""

    command_id: Identity
    outcome: Outcome
    detail: Detail
    tail: Tail = b""


class Config(msgspec.Struct, array_like=True, tag=10, frozen=True):
    """A node's settings; see `protocol.messages.Config`."""

    version: U32Positive
    integration_us: U32Positive
    scans: U16Positive
    period_s: U32
    health_s: U16Positive
    window: Window
    resend_ms: Resend
    exposure_mode: ExposureMode = messages.EXPOSURE_MANUAL


class Verdict(msgspec.Struct, array_like=True, tag=11, frozen=True):
    """What was judged; see `protocol.messages.Verdict`."""

    inspection_id: Identity
    outcome: VerdictOutcome
    drill: bool
    detail: VerdictDetail


Message = (
    Birth | Status | Reading | Event | Health | Time | Receipt | Command | Result | Config | Verdict
)
Record = Reading | Event

KINDS: Final[dict[int, type[Message]]] = {
    1: Birth,
    2: Status,
    3: Reading,
    4: Event,
    5: Health,
    6: Time,
    7: Receipt,
    8: Command,
    9: Result,
    10: Config,
    11: Verdict,
}

_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)
_encoder: Final = msgspec.msgpack.Encoder()

# The strict classes know the channel and the rules that one field alone cannot state.
_STRICT: Final = {kind: messages.KINDS[number] for number, kind in KINDS.items()}


def encode(message: Message) -> bytes:
    """Return the canonical frame of `message`.

    Raises:
        PackingError: a value is of the wrong type or outside its range.
    """
    try:
        frame = _encoder.encode(message)
        decode(frame)
    except (ProtocolError, OverflowError, TypeError, UnicodeEncodeError) as error:
        raise PackingError(f"{type(message).__name__} cannot be sent: {error}") from error
    return frame


def decode(payload: bytes, channel: str | None = None) -> Message:
    """Return the message in `payload`.

    Args:
        payload: one frame of at most MESSAGE_BYTES_MAX bytes.
        channel: where it came in; a message of another channel is refused. None: do not ask.

    Raises:
        ProtocolError: whatever is wrong with the bytes; nothing else is ever raised.
    """
    if len(payload) > limits.MESSAGE_BYTES_MAX:
        raise LimitError(f"message of {len(payload)} bytes; at most {limits.MESSAGE_BYTES_MAX}")
    try:
        message = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(payload, channel) from error
    strict = _STRICT[type(message)]
    if channel is not None and channel != strict.CHANNEL:
        raise _refusal(payload, channel)
    if not _is_canonical(payload, _encoder.encode(message), len(strict.FIELDS)):
        raise _refusal(payload, channel)
    if strict.check is not messages.Message.check:
        try:
            strict(*msgspec.structs.astuple(message)).check()
        except LimitError as error:
            raise LimitError(f"{strict.__name__}: {error}") from error
    return message


def _is_canonical(payload: bytes, form: bytes, known: int) -> bool:
    """Say whether `payload` is `form`, or `form` with fields fewer or more at its end.

    Args:
        payload: what msgspec has read to its end, but perhaps not in its shortest form.
        form: what msgspec read, encoded again with all `known` fields and only those.
        known: fields of this version, the kind not counted.
    """
    if form == payload:
        return True
    try:
        unpacker = Unpacker(payload)
        given = unpacker.array() - 1
        body = form[1 if known + 1 < 16 else 3 :]
        if given < known:  # the last fields have defaults and an older node did not send them
            return body.startswith(payload[unpacker.at :])
        if not payload.startswith(body, unpacker.at):
            return False
        unpacker.at += len(body)
        for _ in range(given - known):
            unpacker.skip()
    except ProtocolError:
        return False
    return True


def _refusal(payload: bytes, channel: str | None) -> ProtocolError:
    """Return the reason for refusing `payload`, in the words of the strict reader.

    Both ends then call the same fault by the same name. It is slower than msgspec, and bounded by
    the size of the frame.
    """
    try:
        messages.unpack(payload, channel)
    except ProtocolError as error:
        return error
    return MalformedError(
        f"the two readers disagree about {payload[:32].hex()}...: a fault of ours"
    )
