"""Driver for spectrometers that speak version 2 of the Ocean Binary Protocol (SR, HR2, ST).

The life of a port: `open` -> `identify` -> `measure` ... -> `close`. After any InstrumentError the
owner calls `close` and begins again with `open`. Frames and exchange are those of `drivers/obp`.

Laser: an external one, fed by the node's own laser line only (`node/laser.py`), for no message is
known that switches one. The guard closes that line before `measure` and opens it after it; nothing
is sent for it here. A board without that line cannot have such a laser.

No message is known that ends an exposure, either: after one that nobody waits for any more, the
next begins when that is over.

References: python-seabreeze, pyseabreeze/protocol.py (OBP2Protocol), features/spectrometer.py (SR4,
ST), features/nonlinearity.py. What it does not say, docs/simulators.md decides.
"""

import asyncio
import struct
import time

from drivers.obp.exchange import RESET, Exchange
from drivers.obp2.facts import METADATA_BYTES, check_settings, floats, models_of
from drivers.obp2.models import Instrument
from node.errors import (
    ExposureRefused,
    InstrumentBusy,
    InstrumentFailed,
    InstrumentGarbled,
    InstrumentRefused,
    InstrumentUnsuited,
)
from protocol.limits import NAME_CHARS_MAX, PIXELS_BYTES_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, InstrumentSettings, Port

VERSION = 0x2000
SERIAL_NUMBER = 0x100
INTEGRATION_SET = 0xC01
WAVELENGTHS = 0x1100
NONLINEARITIES = 0x1200
SPECTRUM = 0x1C00
_LOOK_VALUE, _LOOK_MS = 10_000, 100  # every model takes it, as 10 ms or, in units of 10 us, 100 ms
_NO_PIXELS = memoryview(b"")


class Driver:
    """One spectrometer on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: section `instrument` of node.json: `port`, `baud`, `model`, `laser_mw`.
    Attributes:
        pixels: the newest spectrum, little-endian u16 each; where the port's bytes came in, and
            valid until the next call.
        temperature_mc: None: no message is known that tells one.
        unverified: the newest spectrum came without a checksum.
    """

    KIND = "spectrometer"

    def __init__(self, board: "Board", settings: "InstrumentSettings") -> None:
        self._board = board
        self._settings = settings
        self._port: Port | None = None
        self._instrument: Instrument | None = None
        self._reset_count = 0
        self._busy_until_ms = 0  # end of an exposure that nobody waits for
        self._busy_ms = 0  # what it takes; 0: there is none
        pixels_bytes_max = min(board.BUDGET["pixels_bytes_max"], PIXELS_BYTES_MAX)
        self._spectrum_bytes = pixels_bytes_max + METADATA_BYTES  # once identified: exactly
        self._exchange = Exchange(self._spectrum_bytes, VERSION)
        self._pixels_max = pixels_bytes_max // 2
        self.pixels = _NO_PIXELS
        self.temperature_mc: int | None = None
        self.unverified = False

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        await self.close()
        self._port = self._board.open_serial(self._settings["port"], self._settings["baud"])
        self._exchange.open(self._port)

    async def identify(self) -> Instrument:
        """Ask the instrument what it is; the first time after `open` also take a dark spectrum.

        Returns:
            The instrument; the same object as before while its serial number is the same.
        Raises:
            InstrumentError: it does not answer, or this firmware cannot use it.
        """
        check_settings(self._settings, self._board)
        self._exchange.release()
        await self._await_idle()
        serial = _printable(await self._exchange.ask(SERIAL_NUMBER))
        known = self._instrument
        is_reset = self._exchange.reset_count != self._reset_count
        if known is not None and known.serial == serial and not is_reset:
            return known
        self._reset_count = self._exchange.reset_count
        coefficients = await floats(self._exchange, self._settings, "wavelength", WAVELENGTHS)
        try:
            nonlinearity = await floats(
                self._exchange, self._settings, "nonlinearity", NONLINEARITIES
            )
        except (InstrumentBusy, InstrumentFailed):
            raise
        except InstrumentUnsuited:
            nonlinearity = b""
        except InstrumentRefused as error:
            if error.number == RESET:
                raise
            nonlinearity = b""
        models = await self._look()
        self._instrument = Instrument(models, serial, coefficients, nonlinearity)
        return self._instrument

    async def _look(self) -> "list[str]":
        """Take a spectrum without laser; return the models that send one of its length."""
        self._spectrum_bytes = 2 * self._pixels_max + METADATA_BYTES
        await self._exchange.ask(INTEGRATION_SET, struct.pack("<I", _LOOK_VALUE), True)
        try:
            data = await self._expose(_LOOK_MS)
        except InstrumentGarbled as error:
            raise InstrumentGarbled(
                "%s; or it has more pixels than instrument.pixels_max of node.json, %d"
                % (error, self._pixels_max)
            )
        models = models_of(len(data), self._settings)
        self._spectrum_bytes = len(data)
        return models

    async def measure(self, integration_us: int, scans: int, laser_on: bool) -> None:  # noqa: ARG002
        """Expose once; `pixels` and `unverified` then describe the spectrum.

        Args:
            integration_us: microseconds; that of an ST is rounded down to 10.
            scans: 1.
            laser_on: nothing is sent for it: the laser's own line is closed or open.
        Raises:
            ExposureRefused: the instrument does not do that.
            InstrumentError: no spectrum.
        """
        self.pixels = _NO_PIXELS
        self._exchange.release()
        await self._await_idle()
        await self._set(integration_us, scans)
        self._exchange.unverified = False
        data = await self._expose(integration_us // 1000 + 1)
        if len(data) != self._spectrum_bytes:
            raise InstrumentUnsuited(
                "instrument on %s sent a spectrum of %d bytes instead of %d; it may be another "
                "one: plug it in again" % (self._settings["port"], len(data), self._spectrum_bytes)
            )
        self._exchange.hold()
        self.pixels = data[METADATA_BYTES:]
        self.unverified = self._exchange.unverified

    async def _set(self, integration_us: int, scans: int) -> None:
        """Set the exposure."""
        found = self._instrument
        shortest_us, longest_us = found.integration_us_range  # type: ignore[union-attr]  # known
        step_us = found.integration_us_step  # type: ignore[union-attr]  # as above
        told = "integration_us %d with scans %d: the instrument takes %d to %d, and scans 1"
        told %= integration_us, scans, shortest_us, longest_us
        if scans != 1 or not shortest_us <= integration_us <= longest_us:
            raise ExposureRefused(told, 0)
        value = struct.pack("<I", integration_us // step_us)
        try:
            await self._exchange.ask(INTEGRATION_SET, value, True)
        except (InstrumentBusy, InstrumentFailed):
            raise
        except InstrumentRefused as error:
            if error.number == RESET:
                raise
            raise ExposureRefused("%s; %s" % (told, error), error.number)

    async def _expose(self, exposure_ms: int) -> memoryview:
        """Expose; return metadata and pixels."""
        line_ms = self._spectrum_bytes * 10_000 // self._settings["baud"]
        self._busy_ms = exposure_ms + line_ms
        self._busy_until_ms = time.ticks_add(time.ticks_ms(), self._busy_ms)
        data = await self._exchange.request(SPECTRUM, b"", self._spectrum_bytes, exposure_ms)
        self._busy_ms = 0
        return data

    async def _await_idle(self) -> None:
        """Wait for the end of an exposure that nobody waited for, and of its spectrum."""
        if not self._busy_ms:
            return
        left_ms = time.ticks_diff(self._busy_until_ms, time.ticks_ms())
        # Ticks come round after days: an end that lies days back may look like one to come.
        await asyncio.sleep_ms(min(max(left_ms, 0), self._busy_ms))
        self._busy_ms = 0

    async def laser_off(self) -> None:
        """Do nothing: the laser hangs on the node's own line."""

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = self._instrument = None


def _printable(text: memoryview) -> str:
    kept = [chr(code) for code in bytes(text) if 0x20 <= code <= 0x7E]
    return "".join(kept[:NAME_CHARS_MAX]).strip()
