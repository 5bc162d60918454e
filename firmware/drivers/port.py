"""A port and what hangs on it: bytes out and in, each wait with its deadline, and errors in words.

Rules of the file
- What lies there when a deadline is over is still taken, for the loop may have been held up; but
  only for LATE_MS, so that a line which never falls quiet keeps nobody for ever.
- Every failure is an InstrumentError that names the port and the remedy.
"""

import asyncio
import time

from node import limits
from node.errors import InstrumentError, InstrumentGarbled, InstrumentSilent, LineNoisy, PortLost
from node.waiting import within_ms

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes, Port

QUIET_MS = 60  # without a byte: nothing is under way; more than the 50 ms a baud change needs
LATE_MS = 500  # nothing of ours holds the loop up for longer: a flash block is erased in 400 ms


class Line:
    """An open port and what hangs on it; whoever inherits makes `_chunk`, once.

    Attributes:
        WHAT: hangs there, in the words of an error.
        REMEDY: what is to be looked at, too, when it is silent.
    """

    WHAT = "instrument"
    REMEDY = ""
    _port: "Port"  # since `open`
    _chunk: bytearray
    _heard_bytes: int  # since bytes were sent
    _longest_bytes: int  # that are sent at once, of who settles

    def _line_ms(self, count: int) -> int:
        """Return how long so many bytes are on the line."""
        return count * 10_000 // self._port.baud

    async def _send(self, data: "Bytes") -> None:
        """Send bytes.

        Raises:
            InstrumentSilent: the port takes none.
            PortLost: it went away.
        """
        self._heard_bytes = 0
        wait_ms = 2 * self._line_ms(len(data)) + limits.LINE_SLACK_MS
        try:
            self._port.stream.write(data)
            await within_ms(self._port.stream.drain(), wait_ms)
        except (OSError, ValueError) as error:  # the latter: it was closed
            raise self._lost(error)
        except asyncio.TimeoutError:
            raise InstrumentSilent(
                "serial port %s takes no bytes; check flow control and cable" % self._port.name
            )

    async def _read(self, deadline_ms: int) -> int:
        """Read into the chunk; return how many bytes, at least one.

        Raises:
            asyncio.TimeoutError: none came in time.
            PortLost: the port went away.
        """
        while True:
            wait_ms = left_ms(deadline_ms)
            if wait_ms < -LATE_MS:
                raise asyncio.TimeoutError
            try:
                count = await within_ms(self._port.stream.readinto(self._chunk), wait_ms)
            except (OSError, ValueError) as error:
                raise self._lost(error)
            if count:
                self._heard_bytes += count
                return count
            if count == 0:  # None is a spurious wake-up
                raise self._lost("hung up")

    async def settle(self) -> None:
        """Pass over what is still coming, until the line is quiet.

        Raises:
            LineNoisy: it is not, for longer than anything lasts that the instrument sends.
            PortLost: it went away.
        """
        limit_ms = self._line_ms(self._longest_bytes) + limits.LINE_SLACK_MS
        deadline_ms = in_ms(limit_ms)
        while left_ms(deadline_ms) > 0:
            try:
                await self._read(in_ms(QUIET_MS))
            except asyncio.TimeoutError:
                return
        raise LineNoisy(
            "instrument on %s: the line is not quiet for a moment in %d ms at %d baud: noise, or "
            "something else that speaks; check baud rate, cable and shield"
            % (self._port.name, limit_ms, self._port.baud)
        )

    def _no_answer(self) -> InstrumentError:
        """Return what it means that none came to what was sent."""
        what, name, baud = self.WHAT, self._port.name, self._port.baud
        if self._heard_bytes:
            return InstrumentGarbled(
                "%s on %s: %d bytes at %d baud, none of them an answer; check baud rate, parity "
                "(8N1), cable and shield" % (what, name, self._heard_bytes, baud)
            )
        return InstrumentSilent(
            "%s on %s does not answer at %d baud; check its power, cable and baud rate%s"
            % (what, name, baud, self.REMEDY)
        )

    def _lost(self, reason: object) -> PortLost:
        return PortLost(
            "serial port %s went away (%s); plug the %s in again"
            % (self._port.name, reason, self.WHAT)
        )


def in_ms(wait_ms: int) -> int:
    """Return the deadline that is so far away."""
    return time.ticks_add(time.ticks_ms(), wait_ms)


def left_ms(deadline_ms: int) -> int:
    """Return how far away a deadline is; less than 0: it is over."""
    return time.ticks_diff(deadline_ms, time.ticks_ms())
