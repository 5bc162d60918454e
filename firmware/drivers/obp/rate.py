"""The serial port, at the baud rate that the instrument has.

An instrument from the maker speaks at 9600 baud, and one that lost its power at the rate that was
saved in it. One that does not answer at the rate of node.json is looked for at the others, brought
to that rate, asked there, and left at the other where it does not come along. The rate is saved in
the instrument only where node.json says so.

References: message numbers of libseabreeze's OBPMessageTypes.h; that 9600 is the maker's rate, and
that the acknowledgement still comes at the old one, is to be verified on an instrument.
"""

import struct

from node.errors import (
    InstrumentGarbled,
    InstrumentRefused,
    InstrumentSilent,
    PortRefused,
)

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange
    from node.typed import Board, InstrumentSettings, Port

BAUD_SET = 0x0000_0810
BAUD_SAVE = 0x0000_08F0
SERIAL_NUMBER = 0x0000_0100
# The maker's first, then by how often they are met.
BAUDS = (9_600, 115_200, 57_600, 38_400, 19_200, 230_400, 460_800)


class Rate:
    """The port of one instrument.

    Args:
        board: opens the port.
        settings: `port`, `baud`, `baud_save`.
        exchange: is given the port.
    """

    def __init__(
        self, board: "Board", settings: "InstrumentSettings", exchange: "Exchange"
    ) -> None:
        self._board = board
        self._settings = settings
        self._exchange = exchange
        self._port: Port | None = None

    def open(self, baud: int) -> None:
        """Open the port, at another rate if it is open.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self.close()
        self._port = self._board.open_serial(self._settings["port"], baud)
        self._exchange.open(self._port)

    def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = None

    async def find(self) -> bool:
        """Say whether the instrument answers at a rate that node.json does not name.

        Raises:
            PortLost, PortMissing: the port went away.
        """
        wanted = self._settings["baud"]
        for baud in BAUDS:
            if baud == wanted:
                continue
            try:
                self.open(baud)
            except PortRefused:  # a rate that this port does not have
                continue
            if await self._is_there():
                return True
        return False

    async def settle(self) -> None:
        """Bring an instrument that was found elsewhere to the rate of node.json, if it comes.

        Raises:
            InstrumentError: it was lost on the way.
        """
        found, wanted = self._port.baud, self._settings["baud"]  # type: ignore[union-attr]  # open
        if found == wanted:
            return
        try:
            await self._exchange.request(BAUD_SET, struct.pack("<I", wanted), setting=True)
        except InstrumentRefused as error:
            self._tell("stays at %d baud: %s" % (found, error))
            return
        except (InstrumentSilent, InstrumentGarbled):
            pass  # it may have gone there all the same
        self.open(wanted)
        if not await self._is_there():
            self.open(found)
            await self._exchange.ask(SERIAL_NUMBER)
            self._tell("stays at %d baud; %d is too fast for its cable" % (found, wanted))
            return
        self._tell("was found at %d baud, now at %d" % (found, wanted))
        if self._settings["baud_save"]:
            await self._save()

    async def _save(self) -> None:
        try:
            await self._exchange.ask(BAUD_SAVE, setting=True)
        except InstrumentRefused as error:
            self._tell("does not keep its baud rate: %s" % error)

    async def _is_there(self) -> bool:
        """Say whether the instrument answers at the rate of the port; once, for there are many."""
        try:
            await self._exchange.request(SERIAL_NUMBER)
        except InstrumentRefused:
            return True
        except (InstrumentSilent, InstrumentGarbled):
            return False
        return True

    def _tell(self, text: str) -> None:
        self._board.log("instrument on %s %s" % (self._settings["port"], text))
