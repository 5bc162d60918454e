"""One command, one answer over a serial port, with a deadline.

Rules of the file
- An answer counts only with the name of the command. Echoes, answers to commands given up earlier
  and weights of a scale that sends by itself are passed over and counted; between two commands
  those weights are heard.
- Deadline = 2 x transfer time + what the scale needs + LINE_SLACK_MS.
- A command is repeated once when noise ate it or its answer. That changes nothing: to tare and to
  zero twice is to do it once.
- `@` is never sent: on some models it undoes what the officer has tared.
- Every failure is an InstrumentError that names the port and the remedy.
"""

import asyncio

from drivers.mt_sics import frames
from drivers.port import Line, in_ms
from node import limits
from node.errors import InstrumentGarbled, InstrumentRefused, InstrumentSilent

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Port

_EXCHANGE_BYTES = 64  # a command and its answer with a name in quotes
_SYNTAX, _TRANSMISSION, _LOGICAL = 1, 2, 3  # `number` of an InstrumentRefused: 1 + place in ERRORS
_MEANINGS = ("it does not know that", "it could not read that", "it cannot do that now")


class Exchange(Line):
    """Commands and answers on an open port; its buffers are made with it, once.

    Attributes:
        stray_count: lines that answered no command of ours.
        is_restarted: the scale has said that it was switched on; whoever reads it sets it back.
    """

    WHAT = "scale"
    REMEDY = ", and that it is set to MT-SICS"

    def __init__(self) -> None:
        self._chunk = bytearray(limits.CHUNK_BYTES)
        self._parser = frames.Parser(limits.CHUNK_BYTES)
        self.stray_count = 0
        self.is_restarted = False

    def open(self, port: "Port") -> None:
        """Use a port of the board: `name`, `baud`, `stream` (asyncio stream)."""
        self._port = port
        self._parser.reset()

    async def ask(self, command: str, busy_ms: int = 0) -> frames.Answer:
        """Send a command and return its answer; repeat it once when the line was at fault.

        Args:
            command: one word; answers to SI are called S.
            busy_ms: how long the scale needs, milliseconds.

        Raises:
            InstrumentError: no usable answer.
        """
        try:
            return await self._request(command, busy_ms)
        except (InstrumentSilent, InstrumentGarbled):
            pass
        except InstrumentRefused as error:
            if error.number == _LOGICAL:
                raise
        return await self._request(command, busy_ms)

    async def hear(self, wait_ms: int) -> "frames.Answer | None":
        """Return a weight that the scale sends by itself, None when none comes within `wait_ms`.

        Raises:
            PortLost: the port has gone.
        """
        return await self._receive("S", in_ms(wait_ms))

    async def _request(self, command: str, busy_ms: int) -> frames.Answer:
        wait_ms = 2 * self._line_ms(_EXCHANGE_BYTES) + busy_ms + limits.LINE_SLACK_MS
        deadline_ms = in_ms(wait_ms)
        await self._send(command.encode() + b"\r\n")
        answer = await self._receive("S" if command == "SI" else command, deadline_ms)
        if answer is None:
            raise self._no_answer()
        if answer.command in frames.ERRORS:
            place = frames.ERRORS.index(answer.command)
            raise InstrumentRefused(
                "scale on %s answers %s to %s: %s; look at its display, and whether it is set to "
                "MT-SICS" % (self._port.name, answer.command, command, _MEANINGS[place]),
                place + 1,
            )
        return answer

    async def _receive(self, command: str, deadline_ms: int) -> "frames.Answer | None":
        """Return the next answer to a command, or an error of the scale; None: none came."""
        while True:
            line = self._parser.next()
            if line is not None:
                answer = frames.read(line)
                if answer is not None and answer.command in (command,) + frames.ERRORS:
                    return answer
                if answer is not None and answer.command == "I4":
                    self.is_restarted = True
                self.stray_count += 1
                if answer is not None:
                    self._heard_bytes = 0  # no noise, but nothing of ours
                continue
            try:
                count = await self._read(deadline_ms)
            except asyncio.TimeoutError:
                return None
            self._parser.feed(self._chunk, count)
