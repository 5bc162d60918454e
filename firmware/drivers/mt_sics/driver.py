"""Driver for scales that speak MT-SICS (level 0; taring needs level 1).

The life of a port: `open` -> `identify` -> `next` ... -> `close`. After any InstrumentError the
owner calls `close` and begins again with `open`.

Rules of the file
- The scale is asked for its weight every LOOK_MS (`SI`). So it is known within a second that it is
  gone, a stream that another program left on ends, and no setting of the scale matters.
- Which weight becomes a record is `settling.py`. One that has not come to rest is told only when
  somebody asked for it and SETTLE_MS have passed, and then as what it is: not stable.
- Overload, underload, a forgotten tare and a unit that is not known are no failures but `trouble`:
  the officer mends them at the scale, and the next good weight ends it. It takes two such answers
  in a row, because a drum that is set down hard is too much for a moment.
- A record's content is the scale's own line.
"""

import time

from drivers.mt_sics.exchange import Exchange
from drivers.mt_sics.frames import UNIT_UNKNOWN
from drivers.mt_sics.settling import Settling
from drivers.port import in_ms, left_ms
from node.errors import InstrumentRefused
from protocol.limits import NAME_CHARS_MAX
from protocol.messages import ACTION_TARE, ACTION_WEIGH, EVENT_WEIGHT

if False:  # for the type checker: nothing of it is compiled
    from drivers.mt_sics.frames import Answer
    from node.typed import Board, Item, Port, ReaderSettings

LOOK_MS = 250  # between two looks: a drum is seen when the hand has left it
IDENTITY_MS = 5_000  # between two questions for the serial number
SETTLE_MS = 10_000  # an ordered weight may take so long; a scale that needs more stands badly
OBEY_MS = 2_000  # to tare or zero a weight at rest; makers give one second
_TROUBLES = {
    "+": "overload: too much lies on the scale on %s; take something off",
    "-": "underload: the scale on %s shows less than nothing; put its pan back, or zero it",
    "I": "the scale on %s cannot weigh just now; look at its display",
}
_TARE_TROUBLE = (
    "the scale on %s shows less than nothing with something on it: a tare is set; take that off, "
    "zero the scale and weigh again"
)
_UNIT_TROUBLE = "the scale on %s weighs in %r, which is not known here; set it to kg or g"


class Driver:
    """One scale on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: `port` and `baud`.
    Attributes:
        trouble: what keeps the scale from weighing, with the remedy; empty: nothing.
    """

    KIND = "reader"

    def __init__(self, board: "Board", settings: "ReaderSettings") -> None:
        self._board = board
        self._settings = settings
        self._port: Port | None = None
        self._exchange = Exchange()
        self._settling = Settling()
        self._serial = ""
        self._status = ""  # of the answer before
        self._look_ms = self._identity_ms = 0  # when each is due
        self.trouble = ""

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self._port = self._board.open_serial(self._settings["port"], self._settings["baud"])
        self._exchange.open(self._port)
        self._look_ms = self._identity_ms = time.ticks_ms()
        self._settling.disturb()
        self._status = self.trouble = ""

    async def identify(self) -> str:
        """Ask the scale what it is.

        Returns:
            One line with model and serial number; what it does not tell is left out.
        Raises:
            InstrumentError: it does not answer.
        """
        serial = await self._ask_text("I4")
        if self._serial not in ("", serial):
            serial = await self._ask_text("I4")  # noise may have changed a letter
        model = await self._ask_text("I2")
        if self._serial not in ("", serial):
            self._settling.note(0)  # another scale: what lies on it is not what lay on the other
        self._serial = serial
        self._exchange.is_restarted = False
        self._identity_ms = in_ms(IDENTITY_MS)
        return ("scale %s, serial number %s" % (model, serial or "unknown")).replace(" ,", ",")

    async def _ask_text(self, command: str) -> str:
        """Return what stands in quotes; empty where the model does not know the command."""
        try:
            return (await self._exchange.ask(command)).text[:NAME_CHARS_MAX]
        except InstrumentRefused:
            return ""

    async def next(self, wait_ms: int) -> "Item | None":
        """Return the next weight that becomes a record, None when there is none within `wait_ms`.

        Raises:
            InstrumentError: the scale does not answer.
        """
        end_ms = in_ms(wait_ms)
        while True:
            answer = await self._exchange.hear(min(left_ms(self._look_ms), left_ms(end_ms)))
            if answer is None:
                if left_ms(self._look_ms) > 0:
                    return None
                answer = await self._look()
            mass_mg = self._judge(answer)
            if mass_mg is not None and self._settling.take(
                mass_mg, answer.step_mg, answer.status == "S"
            ):
                return _item(answer)
            if left_ms(end_ms) <= 0:
                return None

    async def _look(self) -> "Answer":
        """Return what the scale shows now; from time to time see whether it is still the same."""
        if self._exchange.is_restarted or left_ms(self._identity_ms) <= 0:
            known = self._serial
            found = await self.identify()
            if self._serial != known:
                self._board.log("another scale hangs on %s: %s" % (self._settings["port"], found))
        self._look_ms = in_ms(LOOK_MS)
        return await self._exchange.ask("SI")

    def _judge(self, answer: "Answer") -> "int | None":
        """Return the mass of an answer, None when there is none; say in `trouble` why."""
        status, before = answer.status, self._status
        self._status = status
        if answer.mass_mg is not None:
            self.trouble = _TARE_TROUBLE % self._settings["port"] if self._settling.is_below else ""
            return answer.mass_mg
        self._settling.disturb()
        if status == before:
            port = self._settings["port"]
            if status == UNIT_UNKNOWN:
                self.trouble = _UNIT_TROUBLE % (port, answer.text)
            else:
                self.trouble = _TROUBLES.get(status, _TROUBLES["I"]) % port
        return None

    async def obey(self, action: int) -> "tuple[bool, str, Item | None]":
        """Do what was ordered.

        Args:
            action: ACTION_TARE, ACTION_ZERO or ACTION_WEIGH.
        Returns:
            Whether it was done, a sentence about it, and of ACTION_WEIGH the weight.
        Raises:
            InstrumentError: the scale does not answer.
        """
        answer, rests = await self._rest()
        if answer is None or (not rests and action != ACTION_WEIGH):
            unsettled = "the weight did not settle within %d s" % (SETTLE_MS // 1000)
            return False, (self.trouble if answer is None else "") or unsettled, None
        if action == ACTION_WEIGH:
            if not rests:
                told = "the weight did not settle within %d s: about %d mg"
                return False, told % (SETTLE_MS // 1000, answer.mass_mg), _item(answer, False)
            self._settling.note(answer.mass_mg)  # type: ignore[arg-type]  # a weight rests
            return True, "%d mg" % answer.mass_mg, _item(answer)  # type: ignore[str-format]
        return await self._command("T" if action == ACTION_TARE else "Z")

    async def _rest(self) -> "tuple[Answer | None, bool]":
        """Return the newest weight and whether it rests; wait for that, but not for ever."""
        end_ms, weight = in_ms(SETTLE_MS), None
        self._settling.disturb()
        while left_ms(end_ms) > 0:
            answer = await self._exchange.hear(left_ms(self._look_ms)) or await self._look()
            mass_mg = self._judge(answer)
            if mass_mg is not None:
                weight = answer
                if self._settling.rests(mass_mg, answer.step_mg, answer.status == "S"):
                    return weight, True
            elif self.trouble:
                return None, False
        return weight, False

    async def _command(self, command: str) -> "tuple[bool, str, None]":
        """Tare or zero a scale whose weight rests."""
        what = "tare" if command == "T" else "zero"
        try:
            answer = await self._exchange.ask(command, OBEY_MS)
        except InstrumentRefused as error:
            return False, str(error), None
        if answer.status in ("+", "-", "I"):
            return False, "the scale does not %s what lies on it: %s" % (what, answer.line), None
        self._settling.note(0)
        if answer.mass_mg is None:
            return True, "%s is done" % what, None
        return True, "%s is %d mg" % (what, answer.mass_mg), None

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = None


def _item(answer: "Answer", is_stable: bool = True) -> "Item":
    return EVENT_WEIGHT, "", answer.line.encode(), answer.mass_mg, is_stable
