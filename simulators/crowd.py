"""Many nodes in one process: as a post sees them, each is a node; inside, each is a few lines.

What a post depends on is kept: a journal that is bounded and gives up its oldest records when it
is full, counted and told as `oldest_seq`; a window of unreceipted records; a record is sent again
after growing waits, and at once when the connection is new or the gateway says that it is; birth,
status with a will, health; nothing but a receipt frees a record. What happens inside a real node
(flash, instrument, small heap) is not: for that there is the real firmware.

Rules of the file
- Times come from the loop's clock; chance is the caller's.
- A record's bytes are made when they are sent, by `Make`, and are the same every time.
- One connection is one `asyncio.Protocol` with just the MQTT 3.1.1 that is needed: a thousand of
  them fit one process, and the generator is not what is measured.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Iterable

from gateway import wire
from protocol import limits, messages, topics
from protocol.delivery import Window
from protocol.errors import ProtocolError
from simulators import scenes

AXIS_ID = b"axis-one"
FIRMWARE = "crowd 1"
HEALTH_S = 5.0  # real nodes take five minutes; a floor that rises under load is to be told sooner
TICK_S = 0.05  # between looks at what is due again
CONNECT_AGAIN_S = 0.2  # after a connection that ended or was not made
KEEP_ALIVE_S = 60

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PING = 1, 2, 3, 4, 8, 9, 12

DARK, SAMPLE, STANDARD, CODE = "dark", "sample", "standard", "code"
CHANNELS = {kind: messages.KINDS[number].CHANNEL for number, kind in wire.KINDS.items()}
Make = Callable[["CrowdNode", int, str], wire.Record]


def text(value: str) -> bytes:
    """Return an MQTT string."""
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """Return an MQTT control packet."""
    size, head = len(body), bytes([kind << 4 | flags])
    while True:
        size, digit = size >> 7, size & 0x7F
        head += bytes([digit | 0x80 if size else digit])
        if not size:
            return head + body


def split(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """Return first byte, body and rest of the first whole packet in `buffer`, None before."""
    size = shift = 0
    for at in range(1, min(5, len(buffer))):
        digit = buffer[at]
        size |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            end = at + 1 + size
            if len(buffer) < end:
                return None
            return buffer[0], buffer[at + 1 : end], buffer[end:]
    return None


class Kept:
    """A node's journal: what no receipt covers yet, oldest first, at most `count_max` records.

    Attributes:
        next_seq: of the next record.
        evicted_count: records given up for room.
    """

    def __init__(self, count_max: int) -> None:
        self.next_seq = 1
        self.evicted_count = 0
        self._count_max = count_max
        self._records: dict[int, str] = {}  # seq -> what it is, ascending

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, seq: int) -> str:
        return self._records[seq]

    @property
    def oldest_seq(self) -> int:
        """Return the lowest number that is still kept, or the next one."""
        return next(iter(self._records), self.next_seq)

    def __contains__(self, seq: int) -> bool:
        return seq in self._records

    def append(self, what: str) -> None:
        """Keep a record; the oldest one is given up for it when there is no room."""
        if len(self._records) >= self._count_max:
            del self._records[self.oldest_seq]
            self.evicted_count += 1
        self._records[self.next_seq] = what
        self.next_seq += 1

    def after(self, seq: int) -> int | None:
        """Return the lowest number above `seq` that is kept, None when there is none."""
        if seq + 1 in self._records:  # nearly always: numbers follow each other
            return seq + 1
        return next((kept for kept in self._records if kept > seq), None)

    def free(self, seqs: Iterable[int]) -> None:
        """Forget what is receipted."""
        for seq in seqs:
            self._records.pop(seq, None)


class CrowdNode(asyncio.Protocol):
    """One node; `run` keeps it connected until it is cancelled.

    Args:
        post: it belongs to.
        name: of the node.
        port: of the broker, on loopback.
        make: gives the record of a number.
        journal_id: of its flash, 8 bytes.
        pixel_count: of its instrument.
        kept_max: records its journal holds.
        window: unreceipted records in flight.
        resend_ms: until the first repetition.
        freed: told of records that a receipt has covered.
        told: told of verdicts.

    Attributes:
        kept: its journal.
        receipted: how many records receipts have covered.
    """

    def __init__(  # noqa: PLR0913 - what makes nodes differ
        self,
        post: str,
        name: str,
        port: int,
        *,
        make: Make,
        journal_id: bytes,
        pixel_count: int = 1_024,
        kept_max: int = 500,
        window: int = limits.WINDOW_RECORDS,
        resend_ms: int = limits.RESEND_MS,
        freed: Callable[["CrowdNode", list[int]], None] = lambda _node, _seqs: None,
        told: Callable[["CrowdNode", wire.Verdict], None] = lambda _node, _verdict: None,
    ) -> None:
        self.name = name
        self.journal_id = journal_id
        self.boot_id = b"boot-one"
        self.pixel_count = pixel_count
        self.kept = Kept(kept_max)
        self.receipted = 0
        self.is_ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._place = ("127.0.0.1", port)
        self._prefix = f"{topics.PREFIX}{post}/{name}/"
        self._client_id = f"{post}.{name}"
        self._make = make
        self._freed = freed
        self._told = told
        self._window = Window(window, resend_ms)
        self._admitted = 0
        self._buffer = b""
        self._packet_id = 0
        self._sent: dict[int, int] = {}  # packet id -> seq, until the broker has it
        self._transport: asyncio.Transport | None = None
        self._begun_s = asyncio.get_running_loop().time()

    # ------------------------------------------------------------------------------- for the crowd

    def add(self, what: str) -> int:
        """Measure something; return its number."""
        seq = self.kept.next_seq
        self.add_all([what])
        return seq

    def add_all(self, measured: Iterable[str]) -> None:
        """Measure several things at once."""
        for what in measured:
            self.kept.append(what)
        self.pump()

    async def run(self) -> None:
        """Keep connected, send again what is due, and say now and then how it is."""
        loop, health_s = asyncio.get_running_loop(), 0.0
        while True:
            self._lost.clear()
            with contextlib.suppress(OSError):
                await loop.create_connection(lambda: self, *self._place)
                health_s = loop.time()
                while not self._lost.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._lost.wait(), TICK_S)
                    if self.is_ready.is_set() and loop.time() > health_s + HEALTH_S:
                        health_s = loop.time()
                        self._say(self._health())
                        self._write(packet(PING, 0, b""))
                    self.pump()
            await asyncio.sleep(CONNECT_AGAIN_S)

    def pump(self) -> None:
        """Send what the window and the connection take."""
        if not self.is_ready.is_set():
            return
        now_ms = self.uptime_ms
        while self._window.has_room:
            seq = self.kept.after(self._admitted)
            if seq is None:
                break
            self._admitted = seq
            self._window.admit(seq, now_ms)
        while (seq := self._window.due(now_ms)) is not None:
            if seq not in self.kept:  # given up since; a real node too notices it only now
                self._window.drop(seq)
                continue
            record = self._make(self, seq, self.kept[seq])
            self._window.hold(seq)
            self._sent[self._say(record)] = seq

    @property
    def uptime_ms(self) -> int:
        """Return milliseconds since it was made."""
        return int((asyncio.get_running_loop().time() - self._begun_s) * 1_000)

    # -------------------------------------------------------------------------------- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, with a will."""
        if not isinstance(transport, asyncio.Transport):
            return
        self._transport = transport
        self._buffer = b""
        self._sent.clear()
        offline = wire.encode(wire.Status(self.boot_id, online=False, uptime_ms=0))
        will = text(f"{self._prefix}status") + struct.pack(">H", len(offline)) + offline
        # A clean session; the will retained and at least once.
        flags = 0x02 | 0x04 | 0x08 | 0x20
        hello = text("MQTT") + bytes([4, flags]) + struct.pack(">H", KEEP_ALIVE_S)
        self._write(packet(CONNECT, 0, hello + text(self._client_id) + will))

    def connection_lost(self, _: Exception | None) -> None:
        """Note that there is no connection."""
        self.is_ready.clear()
        self._transport = None
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        """Take packets."""
        self._buffer += data
        while (found := split(self._buffer)) is not None:
            first, body, self._buffer = found
            kind = first >> 4
            if kind == CONNACK:
                wishes = b"".join(text(self._prefix + down) + b"\x01" for down in topics.DOWN)
                self._write(packet(SUBSCRIBE, 2, struct.pack(">H", 1) + wishes))
            elif kind == SUBACK:
                self._be_born()
            elif kind == PUBACK:
                seq = self._sent.pop(struct.unpack(">H", body[:2])[0], None)
                if seq is not None:
                    self._window.sent(seq, self.uptime_ms)
            elif kind == PUBLISH:
                self._take(first, body)

    # -------------------------------------------------------------------------------------- inside

    def _be_born(self) -> None:
        """Announce itself; everything unreceipted is due."""
        self._window.reconnected(self.uptime_ms)
        self._say(
            wire.Birth(
                *(self.boot_id, self.uptime_ms, None, 0, self.journal_id),
                *(self.kept.oldest_seq, self.kept.next_seq, FIRMWARE, "unix", 0),
                *("instrument", "1", AXIS_ID, self.pixel_count, scenes.EXCITATION_PM),
                *(scenes.RESOLUTION_MCM1, scenes.coefficients(self.pixel_count), 65_535),
            )
        )
        self._say(wire.Status(self.boot_id, online=True, uptime_ms=self.uptime_ms))
        self.is_ready.set()
        self.pump()

    def _health(self) -> wire.Health:
        kept = self.kept
        return wire.Health(
            boot_id=self.boot_id,
            uptime_ms=self.uptime_ms,
            time_ms=None,
            time_quality=messages.TIME_NONE,
            supply_mv=None,
            temperature_mc=None,
            heap_free_bytes=100_000,
            journal_id=self.journal_id,
            oldest_seq=kept.oldest_seq,
            next_seq=kept.next_seq,
            journal_bytes=2 * self.pixel_count * len(kept),
            evicted_count=kept.evicted_count,
            damaged_count=0,
            reconnect_count=0,
            failure_count=0,
            laser_on_s=0,
            reset_cause=0,
            fault="",
        )

    def _take(self, first: int, body: bytes) -> None:
        """Take a message of the gateway's."""
        (length,) = struct.unpack_from(">H", body)
        channel = body[2 : 2 + length].decode().rsplit("/", 1)[-1]
        at = 2 + length
        if first & 0x06:
            self._write(packet(PUBACK, 0, body[at : at + 2]))
            at += 2
        try:
            message = wire.decode(body[at:], channel)
        except ProtocolError:
            return  # a node takes no notice of what it does not understand
        if isinstance(message, wire.Receipt) and message.journal_id == self.journal_id:
            freed = self._window.receipt(message.seq, message.beyond)
            if freed:
                self.kept.free(freed)
                self.receipted += len(freed)
                self._freed(self, freed)
                self.pump()
        elif isinstance(message, wire.Time) and message.echo_uptime_ms is None:
            self._window.reconnected(self.uptime_ms)  # the gateway is new (SPEC.md 7.5)
            self.pump()
        elif isinstance(message, wire.Verdict):
            self._told(self, message)

    def _say(self, message: wire.Message) -> int:
        """Publish a message on its channel; return the packet's id."""
        channel = CHANNELS[type(message)]
        self._packet_id = self._packet_id % 65_535 + 1
        head = text(self._prefix + channel) + struct.pack(">H", self._packet_id)
        retain = 1 if channel in topics.RETAINED else 0
        self._write(packet(PUBLISH, 0x02 | retain, head + wire.encode(message)))
        return self._packet_id

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def inspection_of(seq: int) -> bytes:
    """Return the inspection that a record of this number belongs to."""
    return seq.to_bytes(limits.ID_BYTES, "big")


def make(
    node: CrowdNode, seq: int, what: str, *, substance_id: str = "urea", dark_seq: int | None = None
) -> wire.Record:
    """Return the record of a number: the usual `Make`."""
    head = (node.journal_id, seq, node.boot_id, 1_000 + seq, None, messages.TIME_NONE)
    inspection_id = inspection_of(seq)
    if what == CODE:
        content = f"{node.name}-{seq}".encode()
        return wire.Event(*head, inspection_id, messages.EVENT_CODE, "]C1", content, None, None)
    role, pixels = _frame(what, substance_id, node.pixel_count)
    dark = dark_seq if what == SAMPLE else None
    return wire.Reading(
        *head, inspection_id, role, AXIS_ID, 400_000, 1, 100, None, 65_535, 0, dark, pixels
    )


def _frame(what: str, substance_id: str, pixel_count: int) -> tuple[int, bytes]:
    """Return role and pixels of a reading."""
    if what == DARK:
        return messages.ROLE_DARK, scenes.dark(pixel_count)
    if what == STANDARD:
        return messages.ROLE_STANDARD, scenes.standard(pixel_count)
    return messages.ROLE_SAMPLE, scenes.substance(substance_id, pixel_count)
