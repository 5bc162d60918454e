"""A scripted node: it keeps each record until it is receipted, and sends again what is not."""

import asyncio
import contextlib
import secrets
import struct
import time
from typing import Final

import aiomqtt

from gateway import wire
from gateway.doctor.rehearsal import spectra
from gateway.doctor.rehearsal.heard import Heard
from gateway.ending import end
from protocol import messages, topics
from protocol.errors import ProtocolError

HOST: Final = "127.0.0.1"
AGAIN_S: Final = 0.5  # a real node waits longer; here somebody watches
CONNECT_AGAIN_S: Final = 0.1
AXIS_ID: Final = b"axis-one"


class Node:
    """One node of the rehearsal's post; `run` keeps it connected.

    Args:
        post: whose node it is.
        name: its own.
        port: of the broker.

    Attributes:
        receipted: sequence numbers, as receipts cover them.
    """

    def __init__(self, post: str, name: str, port: int) -> None:
        self.receipted: Heard[int] = Heard()
        self._post = post
        self._name = name
        self._port = port
        self._journal_id = secrets.token_bytes(8)
        self._boot_id = secrets.token_bytes(8)
        self._began_s = time.monotonic()
        self._next_seq = 1
        self._kept: dict[int, bytes] = {}
        self._wanted = asyncio.Event()

    @property
    def kept(self) -> list[int]:
        """The records that are not receipted, by number."""
        return sorted(self._kept)

    def measure(self, pixels: bytes, role: int = messages.ROLE_SAMPLE) -> int:
        """Keep a reading on the flash, to be sent; return its number."""
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        reading = wire.Reading(
            journal_id=self._journal_id,
            seq=seq,
            boot_id=self._boot_id,
            uptime_ms=self._uptime_ms(),
            time_ms=None,
            time_quality=messages.TIME_NONE,
            inspection_id=secrets.token_bytes(8),
            role=role,
            axis_id=AXIS_ID,
            integration_us=400_000,
            scans=1,
            laser_mw=100,
            temperature_mc=None,
            full_scale_counts=65_535,
            flags=0,
            dark_seq=None,
            pixels_u16le=pixels,
        )
        self._kept[seq] = wire.encode(reading)
        self._wanted.set()
        return seq

    async def covered(self, seq: int) -> None:
        """Return once a record is receipted."""
        await self.receipted.wait(lambda each: each == seq)

    async def run(self) -> None:
        """Stay connected, send and hear until cancelled."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._talk()
            await asyncio.sleep(CONNECT_AGAIN_S)

    async def _talk(self) -> None:
        client = aiomqtt.Client(HOST, self._port, identifier=f"{self._post}.{self._name}")
        async with client:
            await client.subscribe(self._topic("receipt"), qos=1)
            await self._publish(client, "birth", self._birth())
            status = wire.Status(self._boot_id, online=True, uptime_ms=self._uptime_ms())
            await self._publish(client, "status", wire.encode(status))
            sending = asyncio.create_task(self._send(client), name="rehearsal-send")
            try:
                async for message in client.messages:
                    self._hear(message.payload)
            finally:
                await end(sending)

    async def _send(self, client: aiomqtt.Client) -> None:
        """Send what is kept, and again what stays."""
        while True:
            self._wanted.clear()
            for frame in list(self._kept.values()):
                await self._publish(client, "reading", frame)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), AGAIN_S)

    async def _publish(self, client: aiomqtt.Client, channel: str, frame: bytes) -> None:
        await client.publish(self._topic(channel), frame, qos=1, retain=channel in topics.RETAINED)

    def _hear(self, payload: object) -> None:
        if not isinstance(payload, bytes) or not payload:
            return
        try:
            receipt = wire.decode(payload)
        except ProtocolError:
            return
        if not isinstance(receipt, wire.Receipt) or receipt.journal_id != self._journal_id:
            return
        pairs = list(zip(receipt.beyond[::2], receipt.beyond[1::2], strict=True))
        for seq in self.kept:
            if seq <= receipt.seq or any(first <= seq <= last for first, last in pairs):
                del self._kept[seq]
                self.receipted.add(seq)

    def _birth(self) -> bytes:
        return wire.encode(
            wire.Birth(
                boot_id=self._boot_id,
                uptime_ms=self._uptime_ms(),
                time_ms=None,
                time_quality=messages.TIME_NONE,
                journal_id=self._journal_id,
                oldest_seq=min(self._kept, default=self._next_seq),
                next_seq=self._next_seq,
                firmware="rehearsal",
                board="none",
                config_version=0,
                instrument_model="rehearsal",
                instrument_serial="1",
                axis_id=AXIS_ID,
                pixel_count=spectra.PIXELS,
                excitation_pm=int(1_000 * spectra.LASER_NM),
                resolution_mcm1=8_000,
                coefficients_f32le=struct.pack("<2f", *spectra.COEFFICIENTS),
                full_scale_counts=65_535,
            )
        )

    def _uptime_ms(self) -> int:
        return 10_000 + int(1_000 * (time.monotonic() - self._began_s))

    def _topic(self, channel: str) -> str:
        return f"{topics.PREFIX}{self._post}/{self._name}/{channel}"
