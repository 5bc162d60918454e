"""One command, one answer over a serial port, each with its own deadline.

Rules of the file
- Answers carry neither a tag nor a checksum. What is set is read back; a constant counts when it
  read the same twice; a NAK counts when it came again. Between two attempts the line must be quiet.
- Deadline = 2 x transfer time + what the instrument needs + LINE_SLACK_MS.
- An exposure is never repeated.
- Every failure is an InstrumentError that names the port and the remedy.
"""

import asyncio
import struct

from drivers.ocean_ascii import frames
from drivers.port import Line, in_ms
from node import limits
from node.errors import InstrumentGarbled, InstrumentRefused, InstrumentSilent

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Port

ATTEMPTS = 3  # of a question or a setting; of "laser off" too
_NOTHING_HELD = b"\0\0\0\0\r"  # ends a command that was cut short, in either data mode


class Exchange(Line):
    """Commands and answers on an open port.

    The buffers are made with it, once: a heap in use has no room of that size left.

    Args:
        pixels_max: most pixels of one spectrum.
    """

    def __init__(self, pixels_max: int) -> None:
        self._chunk = bytearray(limits.CHUNK_BYTES)
        self._answer = frames.Answer()
        self._spectrum = frames.Spectrum(pixels_max, limits.CHUNK_BYTES)
        self._longest_bytes = frames.HEAD_BYTES + 4 * pixels_max + frames.TAIL_BYTES

    def open(self, port: "Port") -> None:
        """Use a port of the board: `name`, `baud`, `stream` (asyncio stream)."""
        self._port = port

    async def wake(self) -> None:
        """Have the instrument listen for a command in binary data mode, whatever it did before.

        Raises:
            InstrumentError: nothing answers at this baud rate.
        """
        await self._send(_NOTHING_HELD)
        await self.settle()
        await self.request(b"bB")
        await self.settle()  # from ASCII mode: a prompt

    async def request(self, command: bytes, size: int = 0) -> bytes:
        """Send one command and return what follows its ACK.

        Args:
            command: letter and data.
            size: bytes that follow the ACK, or frames.TEXT.
        Raises:
            InstrumentError: see `node.errors`.
        """
        answer = self._answer
        answer.expect(size)
        answer_bytes = frames.TEXT_BYTES_MAX + 2 if size == frames.TEXT else size + 1
        deadline_ms = self._deadline_ms(len(command) + answer_bytes)
        await self._send(command)
        while not answer.is_whole:
            try:
                count = await self._read(deadline_ms)
            except asyncio.TimeoutError:
                raise self._no_answer()
            answer.feed(self._chunk, count)
        if answer.word == frames.NAK:
            raise InstrumentRefused(
                "instrument on %s refuses command %s: NAK" % (self._port.name, _shown(command)),
                frames.NAK,
            )
        return answer.data

    async def ask(self, command: bytes, size: int = 0, confirm: bool = False) -> bytes:
        """Do the same, and again when the line was at fault.

        Args:
            command: letter and data.
            size: as for `request`.
            confirm: read the value back that the command sets.
        Raises:
            InstrumentError: no attempt succeeded.
        """
        for _ in range(ATTEMPTS):
            try:
                data = await self.request(command, size)
                if confirm:
                    await self._confirm(command)
            except (InstrumentSilent, InstrumentGarbled, InstrumentRefused) as error:
                failure = error
            else:
                return data
            await self.settle()
        raise failure  # type: ignore[possibly-undefined]  # one attempt at least

    async def _confirm(self, command: bytes) -> None:
        """Raise InstrumentGarbled unless the value that `command` set reads back."""
        letter, value = command[:1], command[1:]
        if await self.request(b"?" + letter, len(value)) != value:
            raise InstrumentGarbled(
                "instrument on %s does not confirm command %s; check cable and shield"
                % (self._port.name, _shown(letter))
            )

    async def constant(self, index: int) -> str:
        """Return one of the constants that the maker stored, once it read the same twice.

        Raises:
            InstrumentError: no two answers in a row agree.
        """
        command = b"?x" + struct.pack(">H", index)
        before = b""
        for _ in range(ATTEMPTS + 1):
            text = await self.ask(command, frames.TEXT)
            if text == before:
                return text.decode()
            if before:
                await self.settle()
            before = text
        raise InstrumentGarbled(
            "instrument on %s: constant %d reads differently each time; check cable and shield"
            % (self._port.name, index)
        )

    async def expose(self, pixel_count: int, scans: int, busy_ms: int) -> memoryview:
        """Take a spectrum and return its pixels, valid until the next one.

        Args:
            pixel_count: that the instrument sends.
            scans: that were set.
            busy_ms: how long the instrument needs, milliseconds.
        Raises:
            InstrumentError: see `node.errors`.
        """
        spectrum, port = self._spectrum, self._port
        spectrum.expect(pixel_count, scans)
        pixels_bytes = pixel_count * (4 if scans > 1 else 2)
        line_bytes = frames.HEAD_BYTES + pixels_bytes + frames.TAIL_BYTES
        deadline_ms = self._deadline_ms(line_bytes, busy_ms)
        await self._send(b"S")
        while not spectrum.is_whole:
            try:
                count = await self._read(deadline_ms)
            except asyncio.TimeoutError:
                raise self._no_answer()
            spectrum.feed(self._chunk, count)
            if spectrum.is_refused:
                raise InstrumentRefused(
                    "instrument on %s takes no spectrum: ETX" % port.name, frames.ETX
                )
        if not spectrum.is_sound:
            raise InstrumentGarbled(
                "instrument on %s: checksum or end of the spectrum is wrong at %d baud; check "
                "cable and shield" % (port.name, port.baud)
            )
        return spectrum.pixels

    def _deadline_ms(self, line_bytes: int, busy_ms: int = 0) -> int:
        return in_ms(2 * self._line_ms(line_bytes) + busy_ms + limits.LINE_SLACK_MS)


def _shown(command: bytes) -> str:
    """Return a command's letters, without its data."""
    return "".join([chr(code) for code in command[:2] if 32 < code < 127])
