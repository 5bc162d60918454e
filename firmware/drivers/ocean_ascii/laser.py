"""The laser: an external one on the instrument's lamp enable line."""

from node import limits
from node.errors import InstrumentError, InstrumentSilent, LaserUncertain

if False:  # for the type checker: nothing of it is compiled
    from drivers.ocean_ascii.exchange import Exchange


class Laser:
    """The laser of one instrument.

    Args:
        exchange: asks the instrument.
    Attributes:
        is_uncertain: it was switched on, and "off" is not confirmed.
    """

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self.is_uncertain = False

    async def on(self) -> None:
        """Switch it on.

        Raises:
            InstrumentError: not confirmed.
        """
        self.is_uncertain = True
        await self._exchange.ask(b"J\0\1", confirm=True)

    async def off(self, strict: bool = True) -> None:
        """Switch it off and read it back, a few times if need be.

        Args:
            strict: False while another error is on its way: that one is reported then.

        Raises:
            LaserUncertain: not confirmed.
        """
        for _ in range(limits.LASER_OFF_ATTEMPTS):
            try:
                await self._exchange.ask(b"J\0\0", confirm=True)
            except InstrumentSilent as error:
                failure: Exception = error
                break  # that was several times
            except (InstrumentError, MemoryError) as error:
                failure = error  # a spectrum on the line that halts for a moment garbles some
            else:
                self.is_uncertain = False
                return
        if strict:
            raise LaserUncertain("laser may be on: %s; use the key switch" % failure)  # type: ignore[possibly-undefined]  # one attempt at least
