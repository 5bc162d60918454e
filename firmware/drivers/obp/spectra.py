"""Exposures: how long, how often, and the message that brings the spectrum.

A QE Pro gives its spectra from a buffer, behind 32 bytes of metadata; others at once. Which message
a model knows is found when it is first asked. Whoever calls this sees to the laser.
"""

import asyncio
import struct
import time

from drivers.obp.exchange import NOT_READY, RESET
from drivers.obp.facts import METADATA_BYTES
from node import limits
from node.errors import (
    ExposureRefused,
    InstrumentBusy,
    InstrumentFailed,
    InstrumentRefused,
    InstrumentUnsuited,
)

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange
    from drivers.obp.models import Instrument
    from node.typed import InstrumentSettings

BUFFER_CLEAR = 0x0010_0830
SPECTRUM_BUFFERED = 0x0010_0928
SPECTRUM_CORRECTED = 0x0010_1000
SPECTRUM_RAW = 0x0010_1100
INTEGRATION = 0x0011_0000
INTEGRATION_SET = 0x0011_0010
SCANS_SET = 0x0012_0010
_UNKNOWN, _NOTHING_YET = 2, 12
_BUFFER_LOOK_MS = 50
_PIXELS_AT_ONCE = 128  # made 16 bits wide: some 5 ms on a board; the loop runs in between


class Spectra:
    """The exposures of one instrument.

    Args:
        exchange: asks the instrument.
        settings: `port`, `corrected`.
    """

    def __init__(self, exchange: "Exchange", settings: "InstrumentSettings") -> None:
        self._exchange = exchange
        self._settings = settings
        self._instrument: Instrument  # since `use`
        self._is_buffered = False

    def use(self, instrument: "Instrument") -> None:
        """Take spectra of this instrument from now on."""
        self._instrument = instrument
        self._is_buffered = instrument.shift > 0

    async def set(self, integration_us: int, scans: int) -> None:
        """Set the exposure; again when the instrument forgot the first half of it in a reset.

        Raises:
            ExposureRefused: it does not do that.
            InstrumentError: it does not answer.
        """
        ask, step = self._exchange.ask, self._instrument.integration_us_step
        try:
            for is_last in (False, True):
                resets = self._exchange.reset_count
                await ask(INTEGRATION_SET, struct.pack("<I", integration_us), True)
                await ask(SCANS_SET, struct.pack("<H", scans), True, after_reset=not is_last)
                if self._exchange.reset_count == resets:
                    break
            taken_us = integration_us
            if step > 1:
                taken_us = int.from_bytes(bytes(await ask(INTEGRATION)), "little")
        except (InstrumentBusy, InstrumentFailed):
            raise
        except InstrumentRefused as error:
            if error.number == RESET:
                raise
            told = "the instrument refuses integration_us %d with scans %d: %s; it takes %d to %d"
            shortest_us, longest_us = self._instrument.integration_us_range
            told %= integration_us, scans, error, shortest_us, longest_us
            raise ExposureRefused(told, error.number)
        if taken_us != integration_us:
            told = "the instrument made integration_us %d of %d; use a multiple of %d"
            raise ExposureRefused(told % (taken_us, integration_us, step), 0)

    async def take(self, exposure_ms: int) -> memoryview:
        """Expose; return the bytes of the pixels, which stay where they are until the next release.

        Args:
            exposure_ms: integration times scans.
        Raises:
            InstrumentError: there is no spectrum.
        """
        found = self._instrument
        size = found.pixel_bytes * found.pixel_count
        data = None
        if self._is_buffered and not self._settings["corrected"]:
            try:
                data = await self._expose_buffered(exposure_ms, size + METADATA_BYTES)
            except InstrumentRefused as error:
                if error.number != _UNKNOWN:
                    raise
                self._is_buffered = False
        if data is None:
            data = await self._expose_now(exposure_ms, size)
        beside = len(data) - size
        if beside not in (0, METADATA_BYTES, 2 * METADATA_BYTES):
            raise InstrumentUnsuited(
                "instrument on %s sent %d bytes of pixels instead of %d; name its model in "
                "instrument.model" % (self._settings["port"], len(data), size)
            )
        self._exchange.hold()
        return data[beside:]

    async def _expose_now(self, exposure_ms: int, size: int) -> memoryview:
        is_corrected = self._settings["corrected"]
        message_type = SPECTRUM_CORRECTED if is_corrected else SPECTRUM_RAW
        try:
            return await self._exchange.request(message_type, b"", size, exposure_ms)
        except InstrumentRefused as error:
            if error.number != _UNKNOWN:
                raise
            raise InstrumentUnsuited(
                "%s; set instrument.corrected to %s in node.json"
                % (error, "false" if is_corrected else "true")
            )

    async def _expose_buffered(self, exposure_ms: int, size: int) -> memoryview:
        """Take the next spectrum out of the instrument's buffer; none older is left in it."""
        exchange = self._exchange
        await exchange.ask(BUFFER_CLEAR, setting=True)
        wait_ms = 2 * exposure_ms + limits.LINE_SLACK_MS
        deadline_ms = time.ticks_add(time.ticks_ms(), wait_ms)
        while True:
            try:
                return await exchange.request(SPECTRUM_BUFFERED, b"", size, exposure_ms)
            except InstrumentRefused as error:
                is_late = time.ticks_diff(deadline_ms, time.ticks_ms()) <= 0
                if error.number not in (NOT_READY, _NOTHING_YET) or is_late:
                    raise
            await asyncio.sleep_ms(_BUFFER_LOOK_MS)


async def narrow(pixels: memoryview, shift: int) -> memoryview:
    """Return little-endian u32 pixels as u16, the lowest `shift` bits left out.

    Args:
        pixels: bytes that may be changed: the result takes their place.
        shift: 1 to 8. What does not fit into 16 bits then is 65,535.
    """
    count = len(pixels) // 4
    for begin in range(0, count, _PIXELS_AT_ONCE):
        for pixel in range(begin, min(begin + _PIXELS_AT_ONCE, count)):
            at = 4 * pixel
            value = (pixels[at] | pixels[at + 1] << 8 | pixels[at + 2] << 16) >> shift
            if pixels[at + 3] or value > 0xFFFF:
                value = 0xFFFF
            pixels[2 * pixel] = value & 0xFF
            pixels[2 * pixel + 1] = value >> 8
        await asyncio.sleep_ms(0)
    return pixels[: 2 * count]
