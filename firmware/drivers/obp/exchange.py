"""One request, one answer over a serial port, each with its own deadline.

Rules of the file
- One exchange at a time; an answer counts only with the request's type and tag. Late answers to
  requests given up earlier are passed over and counted.
- Deadline = 2 x transfer time + what the instrument needs + LINE_SLACK_MS; "deferred" starts it
  anew.
- A question or a setting is repeated once when noise ate it; an exposure never is.
- Every failure is an InstrumentError that names the port and the remedy.
"""

import asyncio

from drivers.obp import frames
from drivers.port import Line, in_ms
from node import limits
from node.errors import (
    InstrumentBusy,
    InstrumentFailed,
    InstrumentGarbled,
    InstrumentRefused,
    InstrumentSilent,
)
from protocol.limits import NAME_CHARS_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Port

BAD_CHECKSUM, NOT_READY, RESET, DEFERRED = 3, 7, 9, 255
# One text, because each of twenty would be an object on the heap.
_ERRORS = """
0 none
1 bad protocol version
2 unknown message type
3 bad checksum
4 message too large
5 payload length mismatch
6 argument invalid
7 not ready
8 unknown checksum type
9 it was reset unexpectedly
10 too many buses
11 out of memory
12 requested information does not exist
13 internal error
100 decrypt error
101 firmware layout invalid
102 packet of wrong size
103 hardware revision incompatible
104 flash map incompatible
255 answer deferred too often
"""
_REFUSED = frames.NACK | frames.HARDWARE_EXCEPTION
_FAILED = (10, 11, 13, 100, 101, 102, 103, 104)  # of the instrument's own, whatever was asked


class Exchange(Line):
    """Requests and answers on an open port.

    The buffers are made with it, once: a heap in use has no room of that size left.

    Args:
        payload_bytes_max: longest answer of the model, bytes.
        version: of the protocol, in requests.
    Attributes:
        unverified: an answer since the last `measure` came without a checksum.
        stray_count: answers that belonged to no request of ours.
        reset_count: how often the instrument told that it had lost its settings.
    """

    def __init__(self, payload_bytes_max: int, version: int = frames.VERSION) -> None:
        self._chunk = bytearray(limits.CHUNK_BYTES)
        self._version = version
        self._large = frames.Parser(payload_bytes_max, limits.CHUNK_BYTES)
        self._small = frames.Parser(NAME_CHARS_MAX, limits.CHUNK_BYTES)
        self._parser = self._large
        self._longest_bytes = payload_bytes_max + frames.FRAME_BYTES_MIN
        self._regarding = 0
        self.unverified = False
        self.stray_count = self.reset_count = 0

    def open(self, port: "Port") -> None:
        """Use a port of the board: `name`, `baud`, `stream` (asyncio stream)."""
        self._port = port
        self._large.reset()
        self.release()

    def hold(self) -> None:
        """Keep the newest answer where it is until `release`; answers meanwhile must be short."""
        self._parser = self._small

    def release(self) -> None:
        """Let the next answer take the place of one that was held."""
        self._parser = self._large

    async def ask(
        self, message_type: int, data: bytes = b"", setting: bool = False, after_reset: bool = True
    ) -> memoryview:
        """Exchange a question or a setting; repeat it once when the line was at fault.

        Args:
            message_type: number of the message.
            data: argument.
            setting: ask for an acknowledgement.
            after_reset: repeat it, too, when the instrument was reset before.
        Returns:
            The answer's data, valid until the next exchange or, held, until the next long one.
        Raises:
            InstrumentError: no usable answer.
        """
        try:
            return await self.request(message_type, data, NAME_CHARS_MAX, setting=setting)
        except (InstrumentSilent, InstrumentGarbled):
            pass
        except InstrumentRefused as error:
            if error.number != BAD_CHECKSUM and not (error.number == RESET and after_reset):
                raise
        return await self.request(message_type, data, NAME_CHARS_MAX, setting=setting)

    async def request(
        self,
        message_type: int,
        data: bytes = b"",
        answer_bytes: int = 0,
        busy_ms: int = 0,
        setting: bool = False,
    ) -> memoryview:
        """Send one request and return its answer's data, valid until the next exchange.

        Args:
            message_type: number of the message.
            data: argument.
            answer_bytes: payload expected, bytes; for the deadline.
            busy_ms: how long the instrument needs, milliseconds.
            setting: ask for an acknowledgement.
        Raises:
            InstrumentError: see `node.errors`.
        """
        self._regarding = (self._regarding + 1) & 0xFFFFFFFF
        self._parser.reset()
        flags = frames.ACK_REQUESTED if setting else 0
        frame = frames.build(message_type, self._regarding, data, flags, version=self._version)
        line_ms = self._line_ms(len(frame) + frames.FRAME_BYTES_MIN + answer_bytes)
        wait_ms = 2 * line_ms + busy_ms + limits.LINE_SLACK_MS
        deadline_ms = in_ms(wait_ms)
        await self._send(frame)
        for _ in range(limits.DEFERRALS_MAX):
            answer = await self._receive(message_type, deadline_ms)
            if answer.error != DEFERRED:
                break
            deadline_ms = in_ms(wait_ms)
        if answer.error or answer.flags & _REFUSED:  # type: ignore[possibly-undefined]  # DEFERRALS_MAX > 0
            raise self._refusal(message_type, answer)
        if not answer.verified:
            self.unverified = True
        return answer.data

    def _refusal(self, message_type: int, answer: frames.Frame) -> InstrumentRefused:
        """Return the error that an answer means: busy, failed, or a plain no."""
        number, is_failed = answer.error, answer.flags & frames.HARDWARE_EXCEPTION
        if number == RESET:
            self.reset_count += 1
        text = "instrument on %s refuses message 0x%08x: error %d, %s" % (
            self._port.name,
            message_type,
            number,
            _meaning(number),
        )
        if is_failed:
            text += ", and reports a failure of its hardware"
        if is_failed or number in _FAILED:
            told = "; switch it off and on, and have it repaired if that does not help"
            return InstrumentFailed(text + told, number)
        if number in (NOT_READY, DEFERRED):
            return InstrumentBusy(text + "; wait a little and measure again", number)
        return InstrumentRefused(text, number)

    async def _receive(self, message_type: int, deadline_ms: int) -> frames.Frame:
        """Return the next frame that answers the request under way."""
        while True:
            frame = self._parser.next()
            if frame is not None:
                ours = frame.regarding == self._regarding and frame.message_type == message_type
                if ours and frame.flags & frames.RESPONSE:
                    return frame
                self.stray_count += 1
                self._heard_bytes = 0  # no noise, but nothing of ours
                continue
            try:
                count = await self._read(deadline_ms)
            except asyncio.TimeoutError:
                raise self._no_answer()
            self._parser.feed(self._chunk, count)


def _meaning(number: int) -> str:
    """Return what an instrument means by an error number."""
    lead = "\n%d " % number
    at = _ERRORS.find(lead)
    return _ERRORS[at + len(lead) :].split("\n", 1)[0] if at >= 0 else "unknown"
