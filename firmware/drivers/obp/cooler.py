"""The thermo-electric cooler of a detector, and the temperature the detector has.

A detector that does not become cold is no reason to stop: noise and dark current are higher, and
dark frames follow its temperature. It is told, and measuring goes on.
"""

import asyncio
import struct

from node import limits
from node.errors import DetectorWarm, InstrumentError, InstrumentRefused, InstrumentUnsuited

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange
    from node.typed import InstrumentSettings

TEMPERATURE = 0x0040_0001
COOLER_TEMPERATURE = 0x0042_0004
COOLER_SET = 0x0042_0010
SET_POINT_SET = 0x0042_0011
_ABSENT = (2, 12)  # unknown message; requested information does not exist
_NEAR_MC = 1_000  # dark current of a silicon detector changes by a tenth in this
_LOOK_MS = 1_000
_LOWEST_C, _HIGHEST_C = -100, 150  # beyond, it is no temperature of a detector


class Cooler:
    """Cooler and thermometer of one instrument.

    Args:
        exchange: asks the instrument.
        settings: `port`, `cooler`, `cooler_c`.
    Attributes:
        caution: what keeps the detector from being as cold as it should; None: nothing.
    """

    def __init__(self, exchange: "Exchange", settings: "InstrumentSettings") -> None:
        self._exchange = exchange
        self._settings = settings
        self._sensor = COOLER_TEMPERATURE  # message that tells the temperature, 0: none does
        self.caution: InstrumentError | None = None

    def forget(self) -> None:
        """Look for the thermometer again: the instrument may be another."""
        self._sensor = COOLER_TEMPERATURE

    async def start(self) -> None:
        """Have the detector cooled if node.json asks for it, and wait COOLER_MS_MAX for that.

        Raises:
            InstrumentError: the instrument does not answer.
        """
        self.caution = None
        if not self._settings["cooler"]:
            return
        set_point = struct.pack("<f", self._settings["cooler_c"])
        try:
            await self._exchange.ask(SET_POINT_SET, set_point, True)
            await self._exchange.ask(COOLER_SET, b"\x01", True)
        except InstrumentRefused as error:
            self.caution = InstrumentUnsuited(
                "the detector cannot be cooled to %d C: %s; set instrument.cooler to false, or "
                "another instrument.cooler_c, in node.json" % (self._settings["cooler_c"], error)
            )
            return
        for _ in range(limits.COOLER_MS_MAX // _LOOK_MS):
            if await self.look():
                return
            await asyncio.sleep_ms(_LOOK_MS)

    async def look(self) -> bool:
        """Say whether the detector is as cold as it should be; otherwise `caution` tells."""
        if not self._settings["cooler"] or isinstance(self.caution, InstrumentUnsuited):
            return True
        now_mc, set_c = await self.temperature_mc(), self._settings["cooler_c"]
        if now_mc is not None and abs(now_mc - 1000 * set_c) <= _NEAR_MC:
            self.caution = None
            return True
        self.caution = DetectorWarm(
            "detector of the instrument on %s has %s C instead of %d C; wait, or check the "
            "cooler's supply and the room's temperature"
            % (self._settings["port"], "unknown" if now_mc is None else now_mc // 1000, set_c)
        )
        return False

    async def temperature_mc(self) -> "int | None":
        """Return the detector's temperature in 1e-3 degree Celsius; None: nothing tells it."""
        while self._sensor:
            data = b"\x00" if self._sensor == TEMPERATURE else b""
            try:
                answer = await self._exchange.ask(self._sensor, data)
            except InstrumentRefused as error:
                if error.number not in _ABSENT:
                    raise
                self._sensor = TEMPERATURE if self._sensor == COOLER_TEMPERATURE else 0
                continue
            value_c = struct.unpack("<f", answer)[0] if len(answer) == 4 else _HIGHEST_C
            return int(value_c * 1000) if _LOWEST_C < value_c < _HIGHEST_C else None
        return None
