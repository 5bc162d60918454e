"""Driver for spectrometers with one-letter commands over RS-232 (USB4000, Flame and their kin).

The life of a port: `open` -> `identify` -> `measure` ... -> `close`. After any InstrumentError the
owner calls `close` and begins again with `open`.

Laser: an external one on the lamp enable line. On immediately before the exposure, off after it on
every path, cancellation included, and off as soon as an instrument answers, because a node that
lost power in an exposure left it on. A hardware interlock independent of this program is still
required.

The checksum mode, off after power-on, marks the session: a spectrum without a checksum comes from
an instrument that was restarted or exchanged since `identify`, and is no answer. Constants are
asked for once a session: "?x" that lost its first byte would begin to overwrite one.

References: Flame manual 225-00000-000-11-201604, chapter 8; USB4000 data sheet
211-00000-000-05-201604.
"""

import asyncio
import struct
import time

from drivers.ocean_ascii.exchange import Exchange
from drivers.ocean_ascii.laser import Laser
from drivers.ocean_ascii.models import Instrument, choose_model, round_integration
from drivers.port import QUIET_MS
from node.errors import (
    ExposureRefused,
    InstrumentBusy,
    InstrumentGarbled,
    InstrumentRefused,
    InstrumentSilent,
    InstrumentUnsuited,
)
from protocol.limits import PIXELS_BYTES_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, InstrumentSettings, Port

FACTORY_BAUD = 9_600  # after power-on, unless the maker was asked for another
BAUD_CODES = {2_400: 0, 4_800: 1, 9_600: 2, 19_200: 3, 38_400: 4, 115_200: 6}
SERIAL, WAVELENGTH, NONLINEARITY, NONLINEARITY_ORDER = 0, 1, 6, 14
WAVELENGTH_COUNT, NONLINEARITY_ORDER_MAX = 4, 7
# All pixels; no compression; spectra are sent, not stored; no trigger; no smoothing; checksum.
MODES = (b"P\0\0", b"G\0\0", b"M\0\0", b"T\0\0", b"B\0\0", b"k\0\1")
_NO_PIXELS = memoryview(b"")


class Driver:
    """One spectrometer on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: `port`, `baud`, and `model` where the serial number does not tell it.
    Attributes:
        pixels: the newest spectrum, little-endian u16 each, averaged over its scans; valid until
            the next call.
        temperature_mc: None: these instruments tell none.
        unverified: False: every spectrum has a checksum.
    """

    KIND = "spectrometer"

    def __init__(self, board: "Board", settings: "InstrumentSettings") -> None:
        self._board = board
        self._settings = settings
        self._port: Port | None = None
        self._instrument: Instrument | None = None
        self._busy_until_ms = 0  # end of an exposure that nobody waits for
        self._busy_ms = 0  # its length; 0: there is none
        self._pixels_max = min(board.BUDGET["pixels_bytes_max"], PIXELS_BYTES_MAX) // 2
        self._exchange = Exchange(self._pixels_max)
        self._laser = Laser(self._exchange)
        self.pixels = _NO_PIXELS
        self.temperature_mc: int | None = None
        self.unverified = False

    @property
    def laser_uncertain(self) -> bool:
        """Whether the laser was switched on, and "off" is not confirmed."""
        return self._laser.is_uncertain

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self._reopen(self._settings["baud"])

    def _reopen(self, baud: int) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
        self._port = self._board.open_serial(self._settings["port"], baud)
        self._exchange.open(self._port)

    async def identify(self) -> Instrument:
        """Ask the instrument what it is; the first time after `open` also switch its laser off.

        Returns:
            The instrument; the same object as before until the port is closed.
        Raises:
            InstrumentError: it does not answer, or this firmware cannot use it.
        """
        if self._instrument is not None:
            if await self._exchange.ask(b"?J", 2) != b"\0\0":
                await self.laser_off()
            return self._instrument
        await self._find()
        await self.laser_off()
        await self._await_idle()
        try:
            for command in MODES:
                await self._exchange.ask(command)
        except InstrumentRefused as error:
            told = "instrument on %s is still exposing: %s; it will be ready when that is over"
            raise InstrumentBusy(told % (self._settings["port"], error), error.number)
        serial = (await self._exchange.constant(SERIAL)).strip()
        model = choose_model(self._settings, serial, self._pixels_max)
        coefficients = await self._coefficients(WAVELENGTH, WAVELENGTH_COUNT)
        order = int(await self._number(NONLINEARITY_ORDER))
        order = min(max(order, 0), NONLINEARITY_ORDER_MAX)
        nonlinearity = await self._coefficients(NONLINEARITY, order + 1)
        self._instrument = Instrument(model, serial, coefficients, nonlinearity)
        return self._instrument

    async def _find(self) -> None:
        """Bring the instrument to the baud rate of the settings and to binary data mode."""
        baud = self._settings["baud"]
        for tried in (baud, FACTORY_BAUD, baud):
            if self._port.baud != tried:  # type: ignore[union-attr]  # `open` was
                self._reopen(tried)
            try:
                await self._exchange.wake()
            except (InstrumentSilent, InstrumentGarbled, InstrumentRefused):
                continue  # LineNoisy is not: at another rate it is noise as well
            if tried != baud:
                await self._change_baud(baud)
            return
        raise InstrumentSilent(
            "instrument on %s answers neither at %d nor at %d baud; check its power, cable and "
            "baud rate" % (self._settings["port"], baud, FACTORY_BAUD)
        )

    async def _change_baud(self, baud: int) -> None:
        """Change the baud rate: agreed upon at the old one, confirmed at the new one."""
        if baud not in BAUD_CODES:
            raise InstrumentUnsuited(
                "instrument on %s cannot change to %d baud; set instrument.baud to one of %s"
                % (self._settings["port"], baud, ", ".join([str(b) for b in sorted(BAUD_CODES)]))
            )
        command = b"K" + struct.pack(">H", BAUD_CODES[baud])
        await self._exchange.request(command)
        self._reopen(baud)
        await asyncio.sleep_ms(QUIET_MS)
        await self._exchange.request(command)

    async def _coefficients(self, first: int, count: int) -> bytes:
        found = b""
        for index in range(first, first + count):
            found += struct.pack("<f", await self._number(index))
        return found

    async def _number(self, index: int) -> float:
        text = await self._exchange.constant(index)
        try:
            value = float(text)
        except ValueError:
            raise self._uncalibrated(index, text)
        if not -1e30 < value < 1e30:  # NaN fails this too
            raise self._uncalibrated(index, text)
        return value

    def _uncalibrated(self, index: int, text: str) -> InstrumentUnsuited:
        return InstrumentUnsuited(
            "instrument on %s: constant %d is '%s'; have it calibrated"
            % (self._settings["port"], index, text)
        )

    async def measure(self, integration_us: int, scans: int, laser_on: bool) -> None:
        """Expose once; `pixels` then are the spectrum.

        Args:
            integration_us: of one scan, microseconds; the instrument rounds it to 10, above 655 ms
                to 1000.
            scans: averaged.
            laser_on: False for a dark frame.
        Raises:
            ExposureRefused: the instrument does not do that.
            InstrumentError: no spectrum; the laser is off as far as the port allows.
            LaserUncertain: there is a spectrum, but "laser off" was not confirmed.
        """
        self.pixels = _NO_PIXELS
        await self._await_idle()
        try:
            value = struct.pack(">I", round_integration(integration_us))
            await self._exchange.ask(b"i" + value, confirm=True)
            await self._exchange.ask(b"A" + struct.pack(">H", scans), confirm=True)
        except InstrumentRefused as error:
            told = "the instrument refuses integration_us %d with scans %d: %s"
            raise ExposureRefused(told % (integration_us, scans, error), error.number)
        # The detector runs freely: the scan under way when the command comes may not count.
        busy_ms = integration_us * (scans + 1) // 1000 + 1
        complete = False
        try:
            if laser_on:
                await self._laser.on()
            self._busy_ms = busy_ms
            self._busy_until_ms = time.ticks_add(time.ticks_ms(), busy_ms)
            count = self._instrument.pixel_count  # type: ignore[union-attr]  # after `identify`
            self.pixels = await self._exchange.expose(count, scans, busy_ms)
            self._busy_ms = 0
            complete = True
        finally:
            # Reached (1) after a spectrum, (2) after an InstrumentError, (3) when the task is
            # cancelled. In 2 and 3 the instrument may still be exposing: there is no abort.
            if laser_on:
                await self._laser.off(complete)

    async def _await_idle(self) -> None:
        """Wait for the end of an exposure that nobody waited for, and pass over its spectrum."""
        if not self._busy_ms:
            return
        left_ms = time.ticks_diff(self._busy_until_ms, time.ticks_ms())
        # Ticks come round after days: an end that lies days back may look like one to come.
        await asyncio.sleep_ms(min(max(left_ms, 0), self._busy_ms) + QUIET_MS)
        await self._exchange.settle()
        self._busy_ms = 0

    async def laser_off(self) -> None:
        """Switch the laser off, whatever it is.

        Raises:
            LaserUncertain: the instrument did not confirm.
        """
        await self._laser.off()

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = self._instrument = None
