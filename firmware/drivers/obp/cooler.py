"""The thermo-electric cooler of a detector, and the temperature the detector has.

A detector that does not become cold is no reason to stop: noise and dark current are higher, and
dark frames follow its temperature. It is told, and measuring goes on. The same holds for a
thermometer that refuses: no spectrum is lost for want of its temperature.
"""

import asyncio
import struct

from node import limits
from node.errors import (
    DetectorWarm,
    InstrumentBusy,
    InstrumentError,
    InstrumentRefused,
    InstrumentUnsuited,
)

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange
    from node.typed import InstrumentSettings

TEMPERATURE = 0x0040_0001
COOLER_TEMPERATURE = 0x0042_0004
COOLER_SET = 0x0042_0010
SET_POINT_SET = 0x0042_0011
_ABSENT = (2, 12)  # unknown message; requested information does not exist
_REFUSALS_MAX = 3  # in a row: the thermometer is not only busy
_NEAR_MC = 1_000  # dark current of a silicon detector changes by a tenth in this
_LOOK_MS = 1_000
_LOWEST_C, _HIGHEST_C = -100, 150  # beyond, it is no temperature of a detector


class Cooler:
    """Cooler and thermometer of one instrument.

    Args:
        exchange: asks the instrument.
        settings: `port`, `cooler`, `cooler_c`.
    """

    def __init__(self, exchange: "Exchange", settings: "InstrumentSettings") -> None:
        self._exchange = exchange
        self._settings = settings
        self._sensor = COOLER_TEMPERATURE  # message that tells the temperature, 0: none does
        self._refused_count = 0  # in a row
        self._is_set = False
        self._warm: InstrumentError | None = None  # what keeps the detector from being cold
        self._mute: InstrumentError | None = None  # why there is no temperature

    @property
    def caution(self) -> "InstrumentError | None":
        """What keeps the detector from being as cold as it should, or its thermometer silent."""
        return self._warm or self._mute

    def forget(self) -> None:
        """Look for the thermometer again: the instrument may be another."""
        self._sensor = COOLER_TEMPERATURE
        self._refused_count = 0
        self._mute = None

    async def start(self) -> None:
        """Have the detector cooled if node.json asks for it, and wait COOLER_MS_MAX for that.

        Raises:
            InstrumentError: the instrument does not answer.
        """
        self._warm = None
        self._is_set = False
        if not self._settings["cooler"]:
            return
        for _ in range(limits.COOLER_MS_MAX // _LOOK_MS):
            if await self.look():
                return
            await asyncio.sleep_ms(_LOOK_MS)

    async def look(self) -> bool:
        """Say whether the detector is as cold as it should be; otherwise `caution` tells."""
        if not self._settings["cooler"] or isinstance(self._warm, InstrumentUnsuited):
            return True
        if not self._is_set and not await self._set():
            return isinstance(self._warm, InstrumentUnsuited)
        now_mc, set_c = await self.temperature_mc(), self._settings["cooler_c"]
        if now_mc is not None and abs(now_mc - 1000 * set_c) <= _NEAR_MC:
            self._warm = None
            return True
        self._warm = DetectorWarm(
            "detector of the instrument on %s has %s C instead of %d C; wait, or check the "
            "cooler's supply and the room's temperature"
            % (self._settings["port"], "unknown" if now_mc is None else now_mc // 1000, set_c)
        )
        return False

    async def _set(self) -> bool:
        """Switch the cooler on; say whether it took that. One that is busy is asked again."""
        set_point = struct.pack("<f", self._settings["cooler_c"])
        try:
            await self._exchange.ask(SET_POINT_SET, set_point, True)
            await self._exchange.ask(COOLER_SET, b"\x01", True)
        except InstrumentBusy as error:
            self._warm = error
            return False
        except InstrumentRefused as error:
            self._warm = InstrumentUnsuited(
                "the detector cannot be cooled to %d C: %s; set instrument.cooler to false, or "
                "another instrument.cooler_c, in node.json" % (self._settings["cooler_c"], error)
            )
            return False
        self._is_set = True
        return True

    async def temperature_mc(self) -> "int | None":
        """Return the detector's temperature in 1e-3 degree Celsius; None: nothing tells it now.

        Raises:
            InstrumentError: the instrument does not answer.
        """
        while self._sensor:
            data = b"\x00" if self._sensor == TEMPERATURE else b""
            try:
                answer = await self._exchange.ask(self._sensor, data)
            except InstrumentRefused as error:
                if error.number not in _ABSENT and not self._is_mute(error):
                    return None
                self._sensor = TEMPERATURE if self._sensor == COOLER_TEMPERATURE else 0
                continue
            self._refused_count, self._mute = 0, None
            value_c = struct.unpack("<f", answer)[0] if len(answer) == 4 else _HIGHEST_C
            return int(value_c * 1000) if _LOWEST_C < value_c < _HIGHEST_C else None
        return None

    def _is_mute(self, error: InstrumentRefused) -> bool:
        """Count a refusal; say whether another thermometer is to be asked instead."""
        self._refused_count += 1
        if self._refused_count < _REFUSALS_MAX:
            return False
        self._mute = InstrumentRefused(
            "%s; its spectra are without a temperature, and dark frames are renewed by age only"
            % error,
            error.number,
        )
        if self._sensor == TEMPERATURE:  # there is no other: it may recover
            return False
        self._refused_count = 0
        return True
