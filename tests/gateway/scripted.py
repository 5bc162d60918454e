"""A node that follows a script: it says what the test tells it to, with the protocol's own packer.

Nothing is sent that the test does not send, and nothing is sent twice: unlike the real firmware, so
that every answer of the gateway can be told apart.
"""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import aiomqtt
import numpy as np

from gateway.spectra.standards import load_standards
from protocol import messages, topics
from protocol.messages import (
    ROLE_DARK,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    TIME_NONE,
    Birth,
    Event,
    Health,
    Message,
    Reading,
    Receipt,
    Status,
    unpack,
)
from tests.gateway.running import NODE, POST
from tests.gateway.seen import DEADLINE_S, Seen

AGAIN_S = 1.0  # what no receipt covers by then may have been dropped by the broker
PIXEL_COUNT = 1024
FIRST_NM, LAST_NM = 800.71, 931.2  # 250 to 2000 cm^-1 at 785 nm
COEFFICIENTS = struct.pack("<2f", FIRST_NM, (LAST_NM - FIRST_NM) / (PIXEL_COUNT - 1))
AXIS = b"axis-one"
FLAT = np.full(PIXEL_COUNT, 500, dtype="<u2").tobytes()


@cache
def polystyrene(offset_cm1: float = 0.0) -> bytes:
    """Return counts of the calibration standard on an axis that is off, as a reading has them."""
    axis = 1e7 / 785.0 - 1e7 / np.linspace(FIRST_NM, LAST_NM, PIXEL_COUNT)
    light = np.full(PIXEL_COUNT, 0.02)
    for band in load_standards()["polystyrene"].bands:
        fwhm = np.hypot(7.0, band.fwhm_cm1)
        place = (axis - band.shift_cm1 - offset_cm1) / fwhm
        light += band.rel_height * np.exp(-4.0 * np.log(2.0) * place**2)
    counts = np.random.default_rng(1).poisson(20_000.0 * light)
    return counts.astype("<u2").tobytes()


class Node:
    """One node's words and what the gateway answers.

    Args:
        client: connected.
        name: of the node.
        journal_id: of its flash.
        boot_id: of this start.
    """

    def __init__(
        self, client: aiomqtt.Client, name: str, journal_id: bytes, boot_id: bytes
    ) -> None:
        self.client = client
        self.name = name
        self.journal_id = journal_id
        self.boot_id = boot_id
        self.heard: Seen[Message] = Seen()
        self.listening: asyncio.Task[None] | None = None

    async def publish(self, channel: str, frame: bytes, *, post: str = POST) -> None:
        """Send any bytes on any channel."""
        topic = f"{topics.PREFIX}{post}/{self.name}/{channel}"
        await self.client.publish(topic, frame, qos=1, retain=channel in topics.RETAINED)

    async def publish_until_ended(self, topic: str, frame: bytes) -> None:
        """Send the same bytes on any topic again and again, until the connection is ended."""

        async def publish() -> None:
            with contextlib.suppress(aiomqtt.MqttError):
                while True:
                    await self.client.publish(topic, frame, qos=1)

        publishing = asyncio.create_task(publish())
        async with asyncio.timeout(DEADLINE_S):
            await self.lost()
        publishing.cancel()
        await asyncio.wait([publishing])

    async def say(self, message: Message) -> None:
        """Send a message on its channel."""
        await self.publish(message.CHANNEL, message.pack())

    async def be_born(
        self,
        *,
        oldest_seq: int = 1,
        next_seq: int = 1,
        axis_id: bytes | None = AXIS,
        coefficients: bytes = COEFFICIENTS,
        pixel_count: int = PIXEL_COUNT,
        uptime_ms: int = 1_000,
        model: str = "instrument",
        excitation_pm: int = 785_000,
    ) -> None:
        """Announce the node."""
        await self.say(
            Birth(
                self.boot_id,
                uptime_ms,
                None,
                TIME_NONE,
                self.journal_id,
                oldest_seq,
                next_seq,
                "scripted 1",
                "unix",
                0,
                model,
                "1" if model else "",
                axis_id,
                pixel_count,
                excitation_pm,
                8_000,
                coefficients,
                65_535,
            )
        )

    async def deliver(self, record: Reading | Event) -> None:
        """Say a record again and again until a receipt covers it."""
        async with asyncio.timeout(DEADLINE_S):
            while record.seq not in self.covered():
                await self.say(record)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_S):
                        await self.heard.wait(lambda _: record.seq in self.covered())

    async def say_status(self, *, online: bool, boot_id: bytes | None = None) -> None:
        await self.say(Status(boot_id or self.boot_id, online, 1_000))

    async def say_health(self, *, oldest_seq: int = 1, next_seq: int = 1, fault: str = "") -> None:
        await self.say(
            Health(
                *(self.boot_id, 2_000, None, TIME_NONE, None, None, 100_000, self.journal_id),
                *(oldest_seq, next_seq, 4_096, 0, 0, 0, 0, 0, 0, fault),
            )
        )

    def reading(
        self,
        seq: int,
        *,
        pixels: bytes = FLAT,
        role: int = ROLE_SAMPLE,
        axis_id: bytes = AXIS,
        flags: int = 0,
        dark_seq: int | None = None,
        time: tuple[int | None, int] = (None, TIME_NONE),
        inspection_id: bytes = b"inspect1",
        journal_id: bytes | None = None,
    ) -> Reading:
        """Return a reading; `time` is in Unix milliseconds with its quality."""
        kept_in = journal_id or self.journal_id
        return Reading(
            *(kept_in, seq, self.boot_id, 5_000 + seq, *time, inspection_id),
            *(role, axis_id, 400_000, 1, 100, None, 65_535, flags, dark_seq, pixels),
        )

    async def measure_standard(
        self, seq: int = 1, *, inspection_id: bytes = b"inspect0", **changes: Any
    ) -> None:
        """Say a reading of polystyrene, in a journal of its own so that no number is used up."""
        reading = self.reading(
            seq,
            **{"pixels": polystyrene(), "role": ROLE_STANDARD, **changes},
            inspection_id=inspection_id,
            journal_id=b"standard",
        )
        await self.say(reading)

    def dark(self, seq: int, pixels: bytes = FLAT) -> Reading:
        """Return a dark frame: a record of full size that needs no verdict."""
        return self.reading(seq, pixels=pixels, role=ROLE_DARK)

    def event(self, seq: int, content: bytes = b"0123456789") -> Event:
        """Return a scanned code."""
        return Event(
            *(self.journal_id, seq, self.boot_id, 5_000 + seq, None, TIME_NONE, b"inspect1"),
            *(messages.EVENT_CODE, "]C1", content, None, None),
        )

    async def receipt(self, seq: int, beyond: tuple[int, ...] = (), *, count: int = 1) -> Receipt:
        """Return the `count`-th receipt of this journal that says exactly this."""
        wanted = Receipt(self.journal_id, seq, beyond)
        found = await self.heard.wait(lambda message: message == wanted, count)
        assert isinstance(found, Receipt)
        return found

    async def lost(self) -> None:
        """Return when the connection is lost."""
        assert self.listening is not None
        await asyncio.wait([self.listening])

    def covered(self) -> set[int]:
        """Return every sequence number that a receipt of this journal has covered."""
        found: set[int] = set()
        for message in self.heard.items:
            if isinstance(message, Receipt) and message.journal_id == self.journal_id:
                found.update(range(1, message.seq + 1))
                for first, last in zip(message.beyond[::2], message.beyond[1::2], strict=True):
                    found.update(range(first, last + 1))
        return found


@contextlib.asynccontextmanager
async def connected(
    port: int,
    name: str = NODE,
    *,
    journal_id: bytes = b"journal1",
    boot_id: bytes = b"boot-one",
    will: bool = False,
    tls: ssl.SSLContext | None = None,
    wait_s: float = 10.0,
) -> AsyncIterator[Node]:
    """Connect a scripted node to the broker at `port`."""
    offline = Status(boot_id, False, 0).pack()  # noqa: FBT003 - fields by position
    client = aiomqtt.Client(
        "127.0.0.1",
        port,
        identifier=f"{POST}.{name}",
        tls_context=tls,
        timeout=wait_s,
        will=aiomqtt.Will(f"{topics.PREFIX}{POST}/{name}/status", offline, 1, retain=True)
        if will
        else None,
    )
    async with client:
        node = Node(client, name, journal_id, boot_id)
        await client.subscribe(
            [(f"{topics.PREFIX}{POST}/{name}/{down}", 1) for down in topics.DOWN]
        )
        node.listening = asyncio.create_task(_listen(client, node))
        try:
            yield node
        finally:
            node.listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await node.listening


async def _listen(client: aiomqtt.Client, node: Node) -> None:
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        if message.payload:
            node.heard.add(unpack(message.payload, topics.parse(message.topic.value)[2]))
