"""Driver for barcode scanners on a serial port: it listens, and never speaks.

The life of a port: `open` -> `identify` -> `next` ... -> `close`. After any other InstrumentError
than a Misread the owner calls `close` and begins again with `open`.

A line that breaks off is waited for as long as BROKEN_MS, so that a stalled one comes whole. Of a
scanner that sends no suffix the first code after `open` therefore takes so long; from then on a
pause of GAP_MS ends a code. A code that may have lines in it is held for such a pause (bursts.py).
"""

import asyncio
import time
from binascii import crc32

from drivers.scanner import codes, frames
from drivers.scanner.bursts import Codes
from node import limits
from node.errors import ItemRefused, LineNoisy, Misread, PortLost
from node.waiting import within_ms
from protocol.limits import CONTENT_BYTES_MAX
from protocol.messages import EVENT_CODE

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, Item, Port, ReaderSettings

GAP_MS = 100  # a scanner that types like a keyboard leaves up to 50 ms between two characters
BROKEN_MS = 2_000  # a code of 7089 digits takes longer, but never pauses for so long
LATE_MS = 20  # a wait that ended so late may have missed what came: it is looked at again
NOISE_BYTES = 16_384  # without a pause: twice the longest code there is, and yet none of use
NOISE_SHARE = 16  # a code makes up for so many times its length of noise, where it may be chance
# In the order of the faults of codes.py; one text, because each of nine would be an object.
_REASONS = (
    "has %d bytes and this node takes fewer: raise content_max|"
    "has the control byte 0x%02x: have none sent but GS, RS and EOT|"
    "broke off after %d bytes|"
    "ran into the next one after %d bytes: have it send a suffix|"
    "of %d bytes has no AIM identifier: have it sent with every code, or set aim false|"
    "of %d bytes has not the prefix of node.json|"
    "is not %d digits with a good check digit: have UPC sent as EAN|"
    "has lines behind its first %d bytes: set prefix and suffix, of the scanner and in node.json, "
    "alike|"
    "ends otherwise than with the suffix of node.json, or broke off after %d bytes: set both alike"
)


class Driver:
    """One scanner on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: `port`, `baud`; `prefix`, `suffix`, `aim`; `content_max` and `repeat_ms`.
    Attributes:
        repeat_count: codes that were the same as one just before.
    """

    KIND = "reader"

    def __init__(self, board: "Board", settings: "ReaderSettings") -> None:
        self._board = board
        self._settings = settings
        self._port: Port | None = None
        self._chunk = bytearray(limits.CHUNK_BYTES)
        room = board.BUDGET["record_bytes_max"] - limits.EVENT_HEAD_BYTES
        self._parser = frames.Parser(
            min(settings["content_max"], room, CONTENT_BYTES_MAX),
            limits.CHUNK_BYTES,
            settings["prefix"].encode(),
            settings["suffix"].encode(),
            settings["aim"],
        )
        self._codes = Codes(self._parser, settings["aim"] or settings["prefix"] != "")
        self._silent_ms = 0  # for how long nothing came while it was listened
        self._stray_bytes = 0  # that were no code, without a pause
        self._has_told = False  # of the newest bytes, that a code in them was refused
        self._newest = (0, 0)  # checksum and length of the newest code
        self._newest_ms = 0
        self.repeat_count = 0

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self._port = self._board.open_serial(self._settings["port"], self._settings["baud"])
        self._parser.reset()
        self._codes.reset()
        self._stray_bytes = 0
        self._newest = (0, 0)

    async def identify(self) -> str:
        """Return nothing: a scanner cannot be asked."""
        return ""

    async def next(self, wait_ms: int) -> "Item | None":
        """Return the next code; None when none came within `wait_ms`.

        Raises:
            Misread: something came that is no whole code; the scanner goes on.
            ItemRefused: so it did, and scanner and node.json do not agree.
            LineNoisy: bytes do not cease to come, and there is no code in them.
            PortLost: the port went away.
        """
        deadline_ms = time.ticks_add(time.ticks_ms(), wait_ms)
        while True:
            code = self._codes.next()
            if code is None and self._codes.is_open and self._pause_left_ms() <= 0:
                code = self._codes.end()
            if code is not None:
                await asyncio.sleep_ms(0)  # a burst of them holds nobody up
                if code.fault:
                    if not self._has_told:  # noise may be a hundred lines at once
                        self._has_told = True
                        raise self._refused(code)
                    continue
                made_up = self._stray_bytes - NOISE_SHARE * len(code.content)
                self._stray_bytes = max(0, made_up)
                if not self._is_repeated(code):
                    return EVENT_CODE, code.symbology, code.content, None, None
                continue
            left_ms = time.ticks_diff(deadline_ms, time.ticks_ms())
            if left_ms <= 0:
                return None
            if self._codes.is_open:
                left_ms = min(left_ms, self._pause_left_ms())
            await self._listen(left_ms)

    async def _listen(self, wait_ms: int) -> None:
        """Take what comes within `wait_ms`; return when something did, or nothing."""
        port: Port = self._port  # type: ignore[assignment]  # after `open`
        begun_ms = time.ticks_ms()
        try:
            count = await within_ms(port.stream.readinto(self._chunk), wait_ms)
        except asyncio.TimeoutError:
            late_ms = time.ticks_diff(time.ticks_ms(), begun_ms) - wait_ms
            silent_ms = wait_ms if late_ms <= LATE_MS else max(wait_ms - LATE_MS // 2, 0)
            self._silent_ms = min(self._silent_ms + silent_ms, BROKEN_MS)
            return
        except OSError as error:
            raise self._lost(error)
        if count == 0:  # None is a spurious wake-up
            raise self._lost("hung up")
        if count:
            if self._silent_ms >= BROKEN_MS:
                self._stray_bytes = 0
            self._silent_ms = 0
            self._stray_bytes += count
            if self._stray_bytes > NOISE_BYTES:
                raise self._noisy()
            self._has_told = False
            self._parser.feed(self._chunk, count)

    def _pause_left_ms(self) -> int:
        """Return for how long nothing has to come still, until that tells something."""
        return (GAP_MS if self._codes.is_quick else BROKEN_MS) - self._silent_ms

    def _is_repeated(self, code: codes.Code) -> bool:
        """Say whether the same code was read just before; one held before the glass is for long."""
        now_ms = time.ticks_ms()
        known, known_ms = self._newest, self._newest_ms
        self._newest = (crc32(code.content, crc32(code.symbology.encode())), len(code.content))
        self._newest_ms = now_ms
        repeated = self._newest == known
        repeated = repeated and time.ticks_diff(now_ms, known_ms) < self._settings["repeat_ms"]
        self.repeat_count += repeated
        return repeated

    def _refused(self, code: codes.Code) -> Misread:
        reason = _REASONS.split("|")[code.fault - 1] % code.number
        text = (
            "a code on %s %s; scan it again, then check baud rate, cable and the "
            "scanner's settings" % (self._settings["port"], reason)
        )
        is_noise = code.fault in (codes.BROKEN, codes.CUT, codes.DIGITS)
        return Misread(text) if is_noise else ItemRefused(text)

    def _noisy(self) -> LineNoisy:
        return LineNoisy(
            "scanner on %s: %d bytes at %d baud and hardly a code in them: noise, or something "
            "else that speaks; check baud rate, cable and the scanner's settings"
            % (self._settings["port"], NOISE_BYTES, self._settings["baud"])
        )

    def _lost(self, reason: object) -> PortLost:
        return PortLost(
            "serial port %s went away (%s); plug the scanner in again"
            % (self._settings["port"], reason)
        )

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = None
