"""Messages: one kind per class, fields by position (SPEC.md section 3).

Rules of the file
- `FIELDS` is the layout. A field is appended, with a default, or it is not changed at all.
- The annotations repeat the layout for the type checker; a test holds them against `FIELDS`.
- Units are in the names; what has no unit is a count, an identity or a code listed above.
"""

from protocol import fields
from protocol.errors import KindError, LimitError, MalformedError, PackingError
from protocol.fields import (
    binary,
    boolean,
    identity,
    ranges,
    signed,
    text,
    unpack_values,
    unsigned,
)
from protocol.limits import (
    ARGUMENT_BYTES_MAX,
    COEFFICIENT_COUNT_MAX,
    CONTENT_BYTES_MAX,
    DETAIL_CHARS_MAX,
    FAULT_CHARS_MAX,
    FINDING_CHARS_MAX,
    INTEGER_MAX,
    MESSAGE_BYTES_MAX,
    NAME_CHARS_MAX,
    PIXELS_BYTES_MAX,
    RECEIPT_RANGES_MAX,
    RESEND_MS_MIN,
    SYMBOLOGY_CHARS_MAX,
    TAIL_BYTES_MAX,
    U16_MAX,
    U32_MAX,
    WINDOW_RECORDS_MAX,
)
from protocol.packing import Packer, Unpacker

Message = fields.Message

# How far a wall time can be trusted; ordering never depends on it.
TIME_NONE, TIME_RTC, TIME_GATEWAY, TIME_GNSS = range(4)

ROLE_SAMPLE, ROLE_DARK, ROLE_STANDARD = range(3)
FLAG_SATURATED, FLAG_INTERRUPTED, FLAG_UNVERIFIED, FLAG_EMPTY = 1, 2, 4, 8
EXPOSURE_MANUAL, EXPOSURE_AUTOMATIC = 0, 1
EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT = 1, 2, 3
ACTION_CAPTURE, ACTION_BIRTH, ACTION_IDENTIFY, ACTION_REBOOT = 1, 2, 3, 4
ACTION_LASER_OFF, ACTION_JOURNAL_REPORT, ACTION_LOG_TAIL = 5, 6, 7
ACTION_TARE, ACTION_ZERO, ACTION_WEIGH = 8, 9, 10
OUTCOME_DONE, OUTCOME_REFUSED, OUTCOME_FAILED, OUTCOME_EXPIRED = range(4)
VERDICT_CLEAR, VERDICT_INCONCLUSIVE, VERDICT_ALARM = range(3)

_TIME = (unsigned("time_ms", optional=1), unsigned("time_quality", TIME_GNSS))

# What every record kept in a node's flash journal begins with.
_RECORD = (
    (identity("journal_id"), unsigned("seq", low=1), identity("boot_id"), unsigned("uptime_ms"))
    + _TIME
    + (identity("inspection_id"),)
)


def unpack(frame: bytes | bytearray | memoryview, channel: str | None = None) -> Message:
    """Return the message in `frame`.

    Args:
        frame: one frame of at most MESSAGE_BYTES_MAX bytes.
        channel: where it came in; a message of another channel is refused. None: do not ask.

    Raises:
        ProtocolError: whatever is wrong with the bytes; nothing else is ever raised.
    """
    if len(frame) > MESSAGE_BYTES_MAX:
        raise LimitError(f"message of {len(frame)} bytes; at most {MESSAGE_BYTES_MAX}")
    unpacker = Unpacker(frame)
    given = unpacker.array() - 1
    if given < 0:
        raise MalformedError("empty array; a message begins with its kind")
    number = unpacker.integer(0, INTEGER_MAX)
    kind = KINDS.get(number)
    if kind is None:
        raise KindError(f"message kind {number} does not exist")
    if channel is not None and channel != kind.CHANNEL:
        raise KindError(f"{kind.__name__} came in on {channel}; it belongs on {kind.CHANNEL}")
    message = kind(*unpack_values(unpacker, kind, given))
    try:
        message.check()
    except LimitError as error:
        raise LimitError(f"{kind.__name__}: {error}")
    return message


class Record(Message):
    """What a node keeps in its flash journal until a receipt covers it."""

    journal_id: bytes
    seq: int
    boot_id: bytes
    uptime_ms: int
    time_ms: int | None
    time_quality: int
    inspection_id: bytes


class Birth(Message):
    """A node's certificate of being: who it is and which axis its spectra have. Retained."""

    KIND = 1
    CHANNEL = "birth"
    FIELDS = (
        (identity("boot_id"), unsigned("uptime_ms"))
        + _TIME
        + (
            identity("journal_id"),
            unsigned("oldest_seq", low=1),  # the node keeps no record below it
            unsigned("next_seq", low=1),
            text("firmware", NAME_CHARS_MAX),
            text("board", NAME_CHARS_MAX),
            unsigned("config_version", U32_MAX),  # 0: the settings it was provisioned with
            text("instrument_model", NAME_CHARS_MAX),  # empty: no instrument answers
            text("instrument_serial", NAME_CHARS_MAX),
            identity("axis_id", optional=1),
            unsigned("pixel_count", U16_MAX),
            unsigned("excitation_pm", U32_MAX),
            unsigned("resolution_mcm1", U32_MAX),  # full width at half maximum, 1e-3 cm^-1
            binary("coefficients_f32le", 0, 4 * COEFFICIENT_COUNT_MAX),
            unsigned("full_scale_counts", U32_MAX),
        )
    )

    boot_id: bytes
    uptime_ms: int
    time_ms: int | None
    time_quality: int
    journal_id: bytes
    oldest_seq: int
    next_seq: int
    firmware: str
    board: str
    config_version: int
    instrument_model: str
    instrument_serial: str
    axis_id: bytes | None
    pixel_count: int
    excitation_pm: int
    resolution_mcm1: int
    coefficients_f32le: bytes
    full_scale_counts: int

    def check(self) -> None:
        """Insist on whole coefficients and ordered sequence numbers."""
        if len(self.coefficients_f32le) % 4:
            raise LimitError("coefficients_f32le must hold whole 4-byte numbers")
        if self.next_seq < self.oldest_seq:
            raise LimitError("next_seq is below oldest_seq")


class Status(Message):
    """Online or offline. Retained; the offline form is the node's will."""

    KIND = 2
    CHANNEL = "status"
    FIELDS = (identity("boot_id"), boolean("online"), unsigned("uptime_ms"))

    boot_id: bytes
    online: bool
    uptime_ms: int


class Reading(Record):
    """One spectrum: raw detector counts, little-endian u16 per pixel."""

    KIND = 3
    CHANNEL = "reading"
    FIELDS = _RECORD + (
        unsigned("role", ROLE_STANDARD),
        identity("axis_id"),
        unsigned("integration_us", U32_MAX),
        unsigned("scans", U16_MAX, low=1),
        unsigned("laser_mw", U16_MAX),  # 0: off
        signed("temperature_mc"),
        unsigned("full_scale_counts", U32_MAX),
        unsigned("flags", U16_MAX),
        unsigned("dark_seq", low=1, optional=1),  # its dark frame, in the same journal
        binary("pixels_u16le", 2, PIXELS_BYTES_MAX),
    )

    role: int
    axis_id: bytes
    integration_us: int
    scans: int
    laser_mw: int
    temperature_mc: int | None
    full_scale_counts: int
    flags: int
    dark_seq: int | None
    pixels_u16le: bytes

    def check(self) -> None:
        """Insist on whole pixels."""
        if len(self.pixels_u16le) % 2:
            raise LimitError("pixels_u16le must hold whole 2-byte pixels")

    def pack_header_with(self, packer: Packer, pixel_bytes: int) -> int:
        """Write all but the pixels and return where they begin; `packer.end` is where they end.

        The driver reads the detector straight into `packer.buffer[start:packer.end]`, so a spectrum
        is never held twice; `self.pixels_u16le` is not looked at. What is known only afterwards
        (flags, temperature) is written by a second call: it leaves the pixels alone, and they stay
        where they are as long as no changed value needs another number of bytes.

        Args:
            packer: stands where the frame begins.
            pixel_bytes: size of the pixels in bytes, even, 2..PIXELS_BYTES_MAX.

        Raises:
            PackingError: as `pack_with`, or `pixel_bytes` is odd or out of range.
        """
        if pixel_bytes % 2 or not 2 <= pixel_bytes <= PIXELS_BYTES_MAX:
            raise PackingError(
                f"{pixel_bytes} bytes of pixels; an even number in 2..{PIXELS_BYTES_MAX} is needed"
            )
        self._pack_first(packer, len(self.FIELDS) - 1)
        return packer.reserve_binary(pixel_bytes)

    def pack_header_into(self, buffer: bytearray, pixel_bytes: int, offset: int = 0) -> int:
        """Do as `pack_header_with` in `buffer` from `offset` on; the frame ends behind the pixels.

        Raises:
            PackingError: as `pack_header_with`.
        """
        return self.pack_header_with(Packer(buffer, offset), pixel_bytes)


class Event(Record):
    """A scanned code, a read document or a weight."""

    KIND = 4
    CHANNEL = "event"
    FIELDS = _RECORD + (
        unsigned("event_type", EVENT_WEIGHT, low=EVENT_CODE),
        text("symbology", SYMBOLOGY_CHARS_MAX),  # such as ]C1; empty when the reader gives none
        binary("content", 0, CONTENT_BYTES_MAX),
        signed("mass_mg"),
        boolean("stable", optional=1),
    )

    event_type: int
    symbology: str
    content: bytes
    mass_mg: int | None
    stable: bool | None


class Health(Message):
    """How the node is: at most HEALTH_BYTES_MAX bytes."""

    KIND = 5
    CHANNEL = "health"
    FIELDS = (
        (identity("boot_id"), unsigned("uptime_ms"))
        + _TIME
        + (
            unsigned("supply_mv", U32_MAX, optional=1),
            signed("temperature_mc"),
            unsigned("heap_free_bytes"),
            identity("journal_id"),
            unsigned("oldest_seq", low=1),
            unsigned("next_seq", low=1),
            unsigned("journal_bytes"),
            unsigned("evicted_count"),
            unsigned("damaged_count"),
            unsigned("reconnect_count"),
            unsigned("failure_count"),
            unsigned("laser_on_s"),
            unsigned("reset_cause", 255),
            text("fault", FAULT_CHARS_MAX),  # the newest fault in short, empty when there is none
            unsigned("dark_counts", U16_MAX, optional=1),  # mean of the newest dark frame
            unsigned("calibration_age_h", U16_MAX, optional=1),  # since a standard was measured
            unsigned("round_trip_ms", U16_MAX, optional=1),
        )
    )
    DEFAULTS = (None, None, None)

    boot_id: bytes
    uptime_ms: int
    time_ms: int | None
    time_quality: int
    supply_mv: int | None
    temperature_mc: int | None
    heap_free_bytes: int
    journal_id: bytes
    oldest_seq: int
    next_seq: int
    journal_bytes: int
    evicted_count: int
    damaged_count: int
    reconnect_count: int
    failure_count: int
    laser_on_s: int
    reset_cause: int
    fault: str
    dark_counts: int | None
    calibration_age_h: int | None
    round_trip_ms: int | None


class Time(Message):
    """The gateway's clock; the echo lets the node measure the round trip."""

    KIND = 6
    CHANNEL = "time"
    FIELDS = (
        unsigned("time_ms"),
        unsigned("time_quality", TIME_GNSS),
        identity("boot_id"),
        unsigned("echo_uptime_ms", optional=1),
    )

    time_ms: int
    time_quality: int
    boot_id: bytes
    echo_uptime_ms: int | None


class Receipt(Message):
    """What the gateway has committed; only this lets a node free a record. Retained."""

    KIND = 7
    CHANNEL = "receipt"
    FIELDS = (
        identity("journal_id"),
        unsigned("seq"),  # every record up to it is committed or will never come
        ranges("beyond", RECEIPT_RANGES_MAX),  # first, last, first, last ...
    )

    journal_id: bytes
    seq: int
    beyond: tuple[int, ...]

    def check(self) -> None:
        """Insist on pairs, each behind the one before with a gap between."""
        beyond = self.beyond
        if len(beyond) % 2:
            raise LimitError("beyond must hold pairs of first and last")
        floor = self.seq
        for i in range(0, len(beyond), 2):
            if not floor + 1 < beyond[i] <= beyond[i + 1]:
                raise LimitError("beyond must ascend above seq with gaps between its ranges")
            floor = beyond[i + 1]


class Command(Message):
    """Something the node shall do once; repeated with the same id it is answered, not repeated."""

    KIND = 8
    CHANNEL = "command"
    FIELDS = (
        identity("command_id"),
        unsigned("action", 255, low=1),
        unsigned("expires_ms", optional=1),  # wall time; a node without wall time ignores it
        binary("argument", 0, ARGUMENT_BYTES_MAX),
    )

    command_id: bytes
    action: int
    expires_ms: int | None
    argument: bytes


class Result(Message):
    """What became of a command."""

    KIND = 9
    CHANNEL = "result"
    FIELDS = (
        identity("command_id"),
        unsigned("outcome", OUTCOME_EXPIRED),
        text("detail", DETAIL_CHARS_MAX),
        binary("tail", 0, TAIL_BYTES_MAX),  # what was asked for: a report, the end of the log
    )
    DEFAULTS = (b"",)

    command_id: bytes
    outcome: int
    detail: str
    tail: bytes


class Config(Message):
    """A node's settings, whole; the node confirms by its birth's `config_version`. Retained."""

    KIND = 10
    CHANNEL = "config"
    FIELDS = (
        unsigned("version", U32_MAX, low=1),
        unsigned("integration_us", U32_MAX, low=1),
        unsigned("scans", U16_MAX, low=1),
        unsigned("period_s", U32_MAX),  # 0: measure only when triggered
        unsigned("health_s", U16_MAX, low=1),
        unsigned("window", WINDOW_RECORDS_MAX, low=1),
        unsigned("resend_ms", U32_MAX, low=RESEND_MS_MIN),
        unsigned("exposure_mode", EXPOSURE_AUTOMATIC),
    )
    DEFAULTS = (EXPOSURE_MANUAL,)

    version: int
    integration_us: int
    scans: int
    period_s: int
    health_s: int
    window: int
    resend_ms: int
    exposure_mode: int


class Verdict(Message):
    """What the gateway judged of an inspection; it is told once, to a node that is there."""

    KIND = 11
    CHANNEL = "verdict"
    FIELDS = (
        identity("inspection_id"),
        unsigned("outcome", VERDICT_ALARM),
        boolean("drill"),
        text("detail", FINDING_CHARS_MAX),
    )

    inspection_id: bytes
    outcome: int
    drill: bool
    detail: str


KINDS: dict[int, type[Message]] = {
    kind.KIND: kind
    for kind in (Birth, Status, Reading, Event, Health, Time, Receipt, Command, Result, Config)
    + (Verdict,)
}
