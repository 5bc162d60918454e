"""What an instrument tells of itself, asked once and kept for as long as it is the same."""

import struct

from drivers.obp.exchange import RESET
from drivers.obp.models import Instrument, infer_model
from node.errors import InstrumentBusy, InstrumentFailed, InstrumentRefused, InstrumentUnsuited
from protocol.limits import COEFFICIENT_COUNT_MAX

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange
    from node.typed import InstrumentSettings

INTEGRATION_MIN = 0x0011_0001
INTEGRATION_MAX = 0x0011_0002
INTEGRATION_STEP = 0x0011_0003
PIXEL_COUNT = 0x0011_0220
COEFFICIENT_COUNT = 0x0018_0100
COEFFICIENT = 0x0018_0101
NONLINEARITY_COUNT = 0x0018_1100
NONLINEARITY = 0x0018_1101
METADATA_BYTES = 32  # before the pixels of a buffered spectrum, QE Pro
_BESIDE_BYTES = 72  # 1044 pixels of 4 bytes and their metadata fit where 2068 of 2 bytes do


def payload_bytes(pixels_max: int) -> int:
    """Return the longest answer of an instrument with so many pixels of 16 bits, in bytes."""
    return 2 * pixels_max + _BESIDE_BYTES


class Facts:
    """Asks for them.

    Args:
        exchange: asks the instrument.
        settings: `port`, and `model` where inference must be overruled.
        pixels_max: of a spectrum that this node can keep.
    """

    def __init__(
        self, exchange: "Exchange", settings: "InstrumentSettings", pixels_max: int
    ) -> None:
        self._ask = exchange.ask
        self._settings = settings
        self._pixels_max = pixels_max

    async def learn(self, serial: str, has_laser_module: bool) -> Instrument:
        """Return the instrument with this serial number.

        Raises:
            InstrumentUnsuited: this firmware cannot use it.
            InstrumentError: it does not answer.
        """
        pixel_count = await self._number(PIXEL_COUNT)
        model = self._settings["model"] or infer_model(pixel_count, has_laser_module)
        found = Instrument(model, serial, pixel_count)
        room = self._pixels_max
        if found.shift:
            room = min(room, (payload_bytes(room) - METADATA_BYTES) // found.pixel_bytes)
        if not 0 < pixel_count <= room:
            raise InstrumentUnsuited(
                "instrument on %s has %d pixels of %d bytes; this node takes 1 to %d, see "
                "instrument.pixels_max in docs/node.md"
                % (self._settings["port"], pixel_count, found.pixel_bytes, room)
            )
        found.coefficients_f32le = await self._coefficients()
        found.nonlinearity_f32le = await self._nonlinearity()
        await self._limits(found)
        return found

    async def _number(self, message_type: int) -> int:
        return int.from_bytes(bytes(await self._ask(message_type)), "little")

    async def _limits(self, found: Instrument) -> None:
        """Take the limits of the integration from the instrument, where it knows them."""
        told = []
        for message_type in (INTEGRATION_MIN, INTEGRATION_MAX, INTEGRATION_STEP):
            try:
                told.append(await self._number(message_type))
            except InstrumentRefused as error:
                _insist(error)
                told.append(0)  # the model's hold
        if 0 < told[0] <= told[1]:
            found.integration_us_range = (told[0], told[1])
        shortest_us, longest_us = found.integration_us_range
        if 0 < told[2] <= longest_us - shortest_us:  # else no multiple of it may lie in between
            found.integration_us_step = told[2]

    async def _coefficients(self) -> bytes:
        """Return the wavelength coefficients as the instrument stores them, 4 bytes each."""
        count = await self._number(COEFFICIENT_COUNT)
        if not 0 < count <= COEFFICIENT_COUNT_MAX:
            raise InstrumentUnsuited(
                "instrument on %s has %d wavelength coefficients; 1 to %d are needed: have it "
                "calibrated" % (self._settings["port"], count, COEFFICIENT_COUNT_MAX)
            )
        return await self._floats("wavelength", COEFFICIENT, count)

    async def _nonlinearity(self) -> bytes:
        """Return the nonlinearity coefficients, empty where there are none that could be used."""
        try:
            count = await self._number(NONLINEARITY_COUNT)
            if count > COEFFICIENT_COUNT_MAX:
                return b""
            return await self._floats("nonlinearity", NONLINEARITY, count)
        except InstrumentRefused as error:
            _insist(error)
            return b""

    async def _floats(self, kind: str, message_type: int, count: int) -> bytes:
        values = b""
        for index in range(count):
            value = bytes(await self._ask(message_type, bytes([index])))
            if len(value) != 4:
                raise InstrumentUnsuited(
                    "instrument on %s: %s coefficient %d has %d bytes instead of 4"
                    % (self._settings["port"], kind, index, len(value))
                )
            number = struct.unpack("<f", value)[0]
            if number - number != 0:  # infinite, or not a number
                raise InstrumentUnsuited(
                    "instrument on %s: %s coefficient %d is %s; have it calibrated"
                    % (self._settings["port"], kind, index, number)
                )
            values += value
        return values


def _insist(error: InstrumentRefused) -> None:
    """Raise a refusal that holds for now only: what is not there later either is left out."""
    if isinstance(error, (InstrumentBusy, InstrumentFailed)) or error.number == RESET:
        raise error
