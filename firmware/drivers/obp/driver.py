"""Driver for spectrometers that speak the Ocean Binary Protocol (STS, Ventana and their kin).

The life of a port: `open` -> `identify` -> `measure` ... -> `close`. After any InstrumentError the
owner calls `close` and begins again with `open`.

Laser: on immediately before the exposure, off after it on every path, cancellation included, and
off first thing after `open`, because a node that lost power in an exposure left it on. A hardware
interlock independent of this program is still required.

References: STS data sheet 030-00000-003-05-2016; Ventana data sheet 891-00000-200-05; message
numbers of libseabreeze's OBPMessageTypes.h.
"""

import struct

from drivers.obp.exchange import Exchange
from drivers.obp.models import Instrument, infer_model
from node import limits
from node.errors import (
    ExposureRefused,
    InstrumentError,
    InstrumentRefused,
    InstrumentUnsuited,
    LaserUncertain,
)
from protocol.limits import COEFFICIENT_COUNT_MAX, NAME_CHARS_MAX, PIXELS_BYTES_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, InstrumentSettings, Port

SERIAL_NUMBER = 0x0000_0100
ABORT = 0x0010_0000
SPECTRUM_RAW = 0x0010_1100
INTEGRATION_SET = 0x0011_0010
PIXEL_COUNT = 0x0011_0220
LAMP_SET = 0x0011_0410
SCANS_SET = 0x0012_0010
COEFFICIENT_COUNT = 0x0018_0100
COEFFICIENT = 0x0018_0101
TEMPERATURE = 0x0040_0001
LIGHT = 0x0081_0021
LIGHT_SET = 0x0081_0031
_NO_PIXELS = memoryview(b"")
MODULE_SOURCE = b"\x00\x00"  # Ventana: laser module 0, source 0


class Driver:
    """One spectrometer on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: `port`, `baud`, and `model` where inference must be overruled.
    Attributes:
        pixels: the newest spectrum, little-endian u16 each; where the port's bytes came in, and
            valid until the next call.
        temperature_mc: at the detector in 1e-3 degree Celsius, None when it has no sensor.
        unverified: the newest spectrum came without a checksum.
    """

    def __init__(self, board: "Board", settings: "InstrumentSettings") -> None:
        self._board = board
        self._settings = settings
        self._port: Port | None = None
        self._instrument: Instrument | None = None
        self._has_thermometer = True
        self._pixels_max = min(board.BUDGET["pixels_bytes_max"], PIXELS_BYTES_MAX) // 2
        self._exchange = Exchange(2 * self._pixels_max)
        self.pixels = _NO_PIXELS
        self.temperature_mc: int | None = None
        self.unverified = False

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self._port = self._board.open_serial(self._settings["port"], self._settings["baud"])
        self._exchange.open(self._port)

    async def identify(self) -> Instrument:
        """Ask the instrument what it is; the first time after `open` also switch its laser off.

        Returns:
            The instrument; the same object as before while its serial number is the same.
        Raises:
            InstrumentError: it does not answer, or this firmware cannot use it.
        """
        ask = self._exchange.ask
        self._exchange.release()
        known = self._instrument or await self._first_contact()
        serial = _printable(await ask(SERIAL_NUMBER, answer_bytes=NAME_CHARS_MAX))
        if known.serial == serial and known.pixel_count:
            return known
        pixel_count = int.from_bytes(bytes(await ask(PIXEL_COUNT)), "little")
        if not 0 < pixel_count <= self._pixels_max:
            raise InstrumentUnsuited(
                "instrument on %s has %d pixels; this node takes 1 to %d, see "
                "instrument.pixels_max in docs/node.md"
                % (self._settings["port"], pixel_count, self._pixels_max)
            )
        coefficients = await self._coefficients()
        module = known.has_laser_module
        model = self._settings["model"] or infer_model(pixel_count, module)
        self._instrument = Instrument(model, serial, pixel_count, coefficients, module)
        return self._instrument

    async def _first_contact(self) -> Instrument:
        """Learn how the laser is switched, switch it off and end whatever is being exposed.

        A power cut may have left both under way, and an exposing instrument takes no settings.
        """
        try:
            await self._exchange.ask(LIGHT, MODULE_SOURCE)
            module = True
        except InstrumentRefused:
            module = False  # a model without the module does not know the message
        found = self._instrument = Instrument("", "", 0, b"", module)
        await self._laser_off()
        await self._abort()
        return found

    async def _coefficients(self) -> bytes:
        """Return the wavelength coefficients as the instrument stores them, 4 bytes each."""
        ask = self._exchange.ask
        count = int.from_bytes(bytes(await ask(COEFFICIENT_COUNT)), "little")
        if not 0 < count <= COEFFICIENT_COUNT_MAX:
            raise InstrumentUnsuited(
                "instrument on %s has %d wavelength coefficients; 1 to %d are needed: have it "
                "calibrated" % (self._settings["port"], count, COEFFICIENT_COUNT_MAX)
            )
        coefficients = b""
        for index in range(count):
            value = bytes(await ask(COEFFICIENT, bytes([index])))
            if len(value) != 4:
                raise InstrumentUnsuited(
                    "instrument on %s: wavelength coefficient %d has %d bytes instead of 4"
                    % (self._settings["port"], index, len(value))
                )
            coefficients += value
        return coefficients

    async def measure(self, integration_us: int, scans: int, laser_on: bool) -> None:
        """Expose once; `pixels`, `temperature_mc` and `unverified` then describe the spectrum.

        Args:
            integration_us: of one scan, microseconds.
            scans: averaged by the instrument.
            laser_on: False for a dark frame.
        Raises:
            ExposureRefused: the instrument does not do that.
            InstrumentError: no spectrum; the laser is off as far as the port allows.
            LaserUncertain: there is a spectrum, but "laser off" was not confirmed.
        """
        ask = self._exchange.ask
        self.pixels = _NO_PIXELS
        self._exchange.release()
        try:
            await ask(INTEGRATION_SET, struct.pack("<I", integration_us), setting=True)
            await ask(SCANS_SET, struct.pack("<H", scans), setting=True)
        except InstrumentRefused as error:
            told = "the instrument refuses integration_us %d with scans %d: %s"
            raise ExposureRefused(told % (integration_us, scans, error), error.number)
        self._exchange.unverified = False
        complete = False
        try:
            if laser_on:
                await self._laser(True)
            await self._expose(integration_us * scans // 1000)
            complete = True
        finally:
            # Reached (1) after a spectrum, (2) after an InstrumentError, (3) when the task is
            # cancelled. In 2 and 3 the instrument may still be exposing: that is ended as well.
            if laser_on:
                await self._laser_off(complete)
            if not complete:
                await self._abort()
        self.unverified = self._exchange.unverified
        self.temperature_mc = await self._temperature()

    async def _expose(self, exposure_ms: int) -> None:
        size = 2 * self._instrument.pixel_count  # type: ignore[union-attr]  # after `identify`
        data = await self._exchange.request(SPECTRUM_RAW, answer_bytes=size, busy_ms=exposure_ms)
        if len(data) != size:
            raise InstrumentUnsuited(
                "instrument on %s sent %d bytes of pixels instead of %d; only 16-bit models are "
                "supported" % (self._settings["port"], len(data), size)
            )
        self._exchange.hold()
        self.pixels = data

    async def _laser(self, on: bool) -> None:
        if self._instrument.has_laser_module:  # type: ignore[union-attr]  # first contact was
            await self._exchange.ask(LIGHT_SET, MODULE_SOURCE + bytes([on]), setting=True)
        else:
            await self._exchange.ask(LAMP_SET, bytes([on]), setting=True)

    async def _laser_off(self, strict: bool = True) -> None:
        """Switch the laser off, LASER_OFF_ATTEMPTS times if need be.

        Args:
            strict: False while another error is on its way: that one is reported then.
        """
        for _ in range(limits.LASER_OFF_ATTEMPTS):
            try:
                await self._laser(False)
            except InstrumentError as error:
                failure = error
            else:
                return
        if strict:
            raise LaserUncertain("laser may be on: %s; use the key switch" % failure)  # type: ignore[possibly-undefined]  # one attempt at least

    async def laser_off(self) -> None:
        """Switch the laser off, whatever it is.

        Raises:
            LaserUncertain: the instrument did not confirm.
        """
        await self._laser_off()

    async def _abort(self) -> None:
        """End an exposure nobody waits for; another error is on its way, so none is raised."""
        try:
            await self._exchange.request(ABORT, setting=True)
        except InstrumentError:
            return

    async def _temperature(self) -> "int | None":
        if not self._has_thermometer:
            return None
        try:
            data = await self._exchange.ask(TEMPERATURE, b"\x00")
        except InstrumentRefused:
            self._has_thermometer = False
            return None
        value_c = struct.unpack("<f", data)[0] if len(data) == 4 else 0.0
        return int(value_c * 1000) if -100.0 < value_c < 150.0 and len(data) == 4 else None

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = self._instrument = None


def _printable(text: memoryview) -> str:
    kept = [chr(code) for code in bytes(text) if 0x20 <= code <= 0x7E]
    return "".join(kept[:NAME_CHARS_MAX]).strip()
