"""The laser: a module of the instrument's own, or an external one on its lamp line.

Which of the two it is, is asked once after the port was opened. Only a plain "unknown" means the
lamp line: switching the wrong one off would leave a laser on.
"""

import struct

from node import limits
from node.errors import (
    InstrumentError,
    InstrumentGarbled,
    InstrumentRefused,
    InstrumentUnsuited,
    LaserUncertain,
)

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange

LAMP_SET = 0x0011_0410
LIGHT = 0x0081_0021
LIGHT_SET = 0x0081_0031
LEVEL_SET = 0x0081_0051
_SOURCE = b"\x00\x00"  # Ventana: laser module 0, source 0
# Unknown message; a module or source that does not exist: the same, said in three ways.
_NO_MODULE = (2, 6, 12)


class Laser:
    """The laser of one instrument.

    Args:
        exchange: asks the instrument.
        percent: of the module's full power; 0: as the instrument has it.
    Attributes:
        is_module: it obeys light source messages; otherwise the lamp line.
        is_uncertain: it was switched on, and "off" is not confirmed.
    """

    def __init__(self, exchange: "Exchange", percent: int) -> None:
        self._exchange = exchange
        self._percent = percent
        self.is_module = self.is_uncertain = False

    async def find(self) -> None:
        """Learn how it is switched; the instrument's first answer, whatever the baud rate.

        Raises:
            InstrumentError: there is no answer, or none that tells.
        """
        try:
            await self._exchange.ask(LIGHT, _SOURCE)
            self.is_module = True
        except InstrumentRefused as error:
            self.is_module = False
            if error.number not in _NO_MODULE:
                # It cannot be told which it is, so both are off before anything else.
                await self.off(strict=False)
                self.is_module = True
                await self.off(strict=False)
                raise

    async def on(self) -> None:
        """Switch it on, a module at its power.

        A reset just before has forgotten power and exposure; then it is not tried again.

        Raises:
            InstrumentError: not confirmed.
        """
        self.is_uncertain = True
        if self.is_module and self._percent:
            level = struct.pack("<f", self._percent / 100)
            try:
                await self._exchange.ask(LEVEL_SET, _SOURCE + level, True, after_reset=False)
            except InstrumentRefused as error:
                if error.number not in _NO_MODULE:
                    raise
                raise InstrumentUnsuited(
                    "the laser's power cannot be set to %d %%: %s; set instrument.laser_percent "
                    "to 0 in node.json" % (self._percent, error)
                )
        await self._switch(True)

    async def off(self, strict: bool = True) -> None:
        """Switch it off, LASER_OFF_ATTEMPTS times if need be.

        The answer may come behind a spectrum that is on the line: that is let pass once.

        Args:
            strict: False while another error is on its way: that one is reported then.

        Raises:
            LaserUncertain: not confirmed.
        """
        is_settled = False
        failure: Exception | None = None
        for _ in range(limits.LASER_OFF_ATTEMPTS):
            try:
                if not is_settled and isinstance(failure, InstrumentGarbled):
                    is_settled = True
                    await self._exchange.settle()
                await self._switch(False)
            except (InstrumentError, MemoryError) as error:
                failure = error
            else:
                self.is_uncertain = False
                return
        if strict:
            raise LaserUncertain("laser may be on: %s; use the key switch" % failure)

    async def _switch(self, on: bool) -> None:
        state = bytes([on])
        if self.is_module:
            await self._exchange.ask(LIGHT_SET, _SOURCE + state, True, after_reset=not on)
        else:
            await self._exchange.ask(LAMP_SET, state, True, after_reset=not on)
