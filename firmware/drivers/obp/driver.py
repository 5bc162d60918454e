"""Driver for spectrometers that speak the Ocean Binary Protocol (STS, Ventana, HDX, QE Pro).

The life of a port: `open` -> `identify` -> `measure` ... -> `close`. After any InstrumentError the
owner calls `close` and begins again with `open`.

Laser: on immediately before the exposure, off after it on every path, cancellation included, and
off first thing after `open`, because a node that lost power in an exposure left it on. A hardware
interlock independent of this program is still required.

References: STS data sheet 030-00000-003-05-2016; Ventana data sheet 891-00000-200-05; message
numbers of libseabreeze's OBPMessageTypes.h; the buffered spectra of a QE Pro as python-seabreeze
reads them.
"""

from drivers.obp.cooler import Cooler
from drivers.obp.exchange import Exchange
from drivers.obp.facts import Facts, payload_bytes
from drivers.obp.laser import Laser
from drivers.obp.models import Instrument
from drivers.obp.rate import SERIAL_NUMBER, Rate
from drivers.obp.spectra import Spectra, narrow
from node.errors import InstrumentError, InstrumentGarbled, InstrumentSilent
from protocol.limits import NAME_CHARS_MAX, PIXELS_BYTES_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, InstrumentSettings

ABORT = 0x0010_0000
_NO_PIXELS = memoryview(b"")


class Driver:
    """One spectrometer on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: section `instrument` of node.json.
    Attributes:
        pixels: the newest spectrum, little-endian u16 each; where the port's bytes came in, and
            valid until the next call.
        temperature_mc: at the detector in 1e-3 degree Celsius, asked for after each spectrum and
            when idle; None when it has no sensor.
        unverified: the newest spectrum came without a checksum.
    """

    KIND = "spectrometer"

    def __init__(self, board: "Board", settings: "InstrumentSettings") -> None:
        self._board = board
        self._settings = settings
        self._instrument: Instrument | None = None
        pixels_max = min(board.BUDGET["pixels_bytes_max"], PIXELS_BYTES_MAX) // 2
        self._exchange = Exchange(payload_bytes(pixels_max))
        self._rate = Rate(board, settings, self._exchange)
        self._facts = Facts(self._exchange, settings, pixels_max)
        self._laser = Laser(self._exchange, settings["laser_percent"])
        self._cooler = Cooler(self._exchange, settings)
        self._spectra = Spectra(self._exchange, settings)
        self._is_met = False
        self._reset_count = 0
        self.pixels = _NO_PIXELS
        self.temperature_mc: int | None = None
        self.unverified = False

    @property
    def caution(self) -> "InstrumentError | None":
        """What is not as it should be, although there are spectra; None: nothing."""
        return self._cooler.caution

    @property
    def laser_uncertain(self) -> bool:
        """Whether the laser was switched on, and "off" is not confirmed."""
        return self._laser.is_uncertain

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self._rate.open(self._settings["baud"])

    async def identify(self) -> Instrument:
        """Ask the instrument what it is; the first time after `open` also switch its laser off.

        Returns:
            The instrument; the same object as before while its serial number is the same.
        Raises:
            InstrumentError: it does not answer, or this firmware cannot use it.
        """
        self._exchange.release()
        if not self._is_met:
            await self._meet()
        serial = _printable(await self._exchange.ask(SERIAL_NUMBER))
        known = self._instrument
        is_reset = self._exchange.reset_count != self._reset_count
        if known is not None and known.serial == serial and not is_reset:
            await self._cooler.look()
            # A dark frame is chosen by what the detector has now, not at the spectrum before.
            self.temperature_mc = await self._cooler.temperature_mc()
            return known
        self._reset_count = self._exchange.reset_count
        self._cooler.forget()
        found = await self._facts.learn(serial, self._laser.is_module)
        await self._cooler.start()
        self._spectra.use(found)
        self._instrument = found
        return found

    async def _meet(self) -> None:
        """Find the instrument, switch its laser off and end whatever is being exposed.

        A power cut may have left both under way, and an exposing instrument takes no settings.
        """
        try:
            await self._laser.find()
        except (InstrumentSilent, InstrumentGarbled):
            if not await self._rate.find():
                raise
            await self._laser.find()
        await self._laser.off()
        await self._abort()
        await self._rate.settle()
        self._is_met = True

    async def measure(self, integration_us: int, scans: int, laser_on: bool) -> None:
        """Expose once; `pixels`, `temperature_mc` and `unverified` then describe the spectrum.

        Args:
            integration_us: of one scan, microseconds.
            scans: averaged by the instrument.
            laser_on: False for a dark frame.
        Raises:
            ExposureRefused: the instrument does not do that.
            InstrumentError: no spectrum; the laser is off as far as the port allows.
            LaserUncertain: "laser off" was not confirmed.
        """
        self.pixels = _NO_PIXELS
        self._exchange.release()
        await self._spectra.set(integration_us, scans)
        self._exchange.unverified = False
        complete = False
        try:
            if laser_on:
                await self._laser.on()
            pixels = await self._spectra.take(integration_us * scans // 1000)
            complete = True
        finally:
            # Reached (1) after a spectrum, (2) after an InstrumentError, (3) when the task is
            # cancelled. In 2 and 3 the instrument may still be exposing: that is ended as well.
            if laser_on:
                await self._laser.off(complete)
            if not complete:
                await self._abort()
        shift = self._instrument.shift  # type: ignore[union-attr]  # after `identify`
        self.pixels = await narrow(pixels, shift) if shift else pixels
        self.unverified = self._exchange.unverified
        self.temperature_mc = await self._cooler.temperature_mc()

    async def laser_off(self) -> None:
        """Switch the laser off, whatever it is.

        Raises:
            LaserUncertain: the instrument did not confirm.
        """
        await self._laser.off()

    async def _abort(self) -> None:
        """End an exposure nobody waits for; another error is on its way, so none is raised."""
        try:
            await self._exchange.request(ABORT, setting=True)
        except InstrumentError:
            return

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        self._rate.close()
        self._is_met, self._instrument = False, None


def _printable(text: memoryview) -> str:
    kept = [chr(code) for code in bytes(text) if 0x20 <= code <= 0x7E]
    return "".join(kept[:NAME_CHARS_MAX]).strip()
