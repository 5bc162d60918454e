"""Driver for document readers that send machine-readable zones (MRZ) by themselves.

Rules of the file
- A zone with a wrong check digit is a Misread at once, so that the document can be read again
  while it is still in the hand. Nothing is corrected.
- The same wrong zone TRIES times in a row is what is printed: it is given, marked as wrong. Real
  documents with wrong digits exist, and a false one is what a post looks for.
- Nothing of a document leaves this file but in an item: errors name fields and count characters.
  Zones are compared by digest, and buffers are overwritten.
"""

import asyncio
import hashlib
import time

from drivers.document.frames import Parser, lines_of
from node import limits
from node.errors import InstrumentGarbled, Misread, PortLost
from node.waiting import within_ms
from protocol.messages import EVENT_DOCUMENT
from protocol.mrz import kind_of, wrong_fields

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, Item, Port, ReaderSettings

PAUSE_MS = 300  # readers send a zone in one go; some think between its lines
TRIES = 3  # a reader that errs seldom errs three times alike
TRIES_MS_MAX = 60_000  # between two of them; later it is another document
NOISE_MAX = 3  # misreads of noise in a row: then the line is at fault, not the document
WRONG = "?"  # behind the symbology of a zone with wrong check digits
_BLANK = bytes(limits.CHUNK_BYTES)


class Driver:
    """One document reader on one serial port.

    Args:
        board: opens the port (`open_serial`).
        settings: `port`, `baud`, `prefix`, `suffix`; `repeat_ms`, for a document that lies on the
            reader and is sent again and again.
    Attributes:
        misread_count, repeat_count: zones that were not given, since the start.
    """

    KIND = "reader"

    def __init__(self, board: "Board", settings: "ReaderSettings") -> None:
        self._board = board
        self._settings = settings
        self._port: Port | None = None
        self._chunk = bytearray(limits.CHUNK_BYTES)
        self._parser = Parser(settings["prefix"].encode(), settings["suffix"].encode())
        self._heard_ms = 0
        self._noise_count = 0
        self._given: tuple[bytes, int] = (b"", 0)  # digest of the newest item, and when
        self._wrong: tuple[bytes, int, int] = (b"", 0, 0)  # of the newest misread: and how often
        self.misread_count = self.repeat_count = 0

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        self._port = self._board.open_serial(self._settings["port"], self._settings["baud"])
        self._parser.reset()

    async def identify(self) -> str:
        """Return what is known of the reader: it cannot be asked."""
        return "document reader at %d baud" % self._settings["baud"]

    async def next(self, wait_ms: int) -> "Item | None":
        """Return the next document, None: none within `wait_ms`.

        Raises:
            Misread: a document is to be read again; the port stays open and `next` may be called.
            InstrumentGarbled: what comes is noise.
            PortLost: the port has gone.
        """
        deadline_ms = time.ticks_add(time.ticks_ms(), wait_ms)
        while True:
            zone = self._parser.next()
            if zone is None:
                zone = await self._listen(deadline_ms)
            if zone is not None:
                item = self._judge(zone)
                if item is not None:
                    return item
            elif time.ticks_diff(deadline_ms, time.ticks_ms()) <= 0:
                return None

    async def _listen(self, deadline_ms: int) -> "bytes | None":
        """Feed the parser; return what a pause ends, None: more is to come, or nothing came."""
        parser = self._parser
        self._chunk[:] = _BLANK  # what was in it has been read
        wait_ms = left_ms = time.ticks_diff(deadline_ms, time.ticks_ms())
        is_over = False  # whatever lies there is taken first: the loop may have been held up
        if parser.is_pending:
            quiet_ms = time.ticks_diff(time.ticks_ms(), self._heard_ms)
            is_over = quiet_ms >= PAUSE_MS
            wait_ms = min(left_ms, PAUSE_MS - quiet_ms)
        try:
            count = await within_ms(self._port.stream.readinto(self._chunk), max(wait_ms, 0))  # type: ignore[union-attr]  # open
        except asyncio.TimeoutError:
            return parser.finish() if is_over else None
        except OSError as error:
            raise self._lost(error)
        if count == 0:  # None is a spurious wake-up
            raise self._lost("hung up")
        if count:
            self._heard_ms = time.ticks_ms()
            parser.feed(self._chunk, count)
        return None

    def _judge(self, zone: bytes) -> "Item | None":
        """Return the item of a zone, None: it was given already.

        Raises:
            Misread, InstrumentGarbled: it is none.
        """
        if not zone:
            self._refuse_text()
        self._noise_count = 0
        now_ms = time.ticks_ms()
        kind = kind_of(zone)
        wrong = wrong_fields(kind, zone)
        digest = hashlib.sha256(zone).digest()
        if wrong and not self._is_wrong_again(digest, now_ms, wrong):
            self.misread_count += 1
            raise self._misread("wrong %s" % ", ".join(wrong))
        known, given_ms = self._given
        self._given = (digest, now_ms)
        if known == digest and time.ticks_diff(now_ms, given_ms) < self._settings["repeat_ms"]:
            self.repeat_count += 1
            return None
        symbology = kind + WRONG if wrong else kind
        return EVENT_DOCUMENT, symbology, lines_of(zone), None, None

    def _is_wrong_again(self, digest: bytes, now_ms: int, wrong: "list[str]") -> bool:
        """Count a wrong zone; say whether it came often enough to be what is printed."""
        known, seen_ms, count = self._wrong
        if known != digest or time.ticks_diff(now_ms, seen_ms) > TRIES_MS_MAX:
            count = 0
        self._wrong = (digest, now_ms, count + 1)
        return count + 1 >= TRIES and wrong != ["characters"]

    def _refuse_text(self) -> None:
        """Raise what text that is no zone means."""
        parser = self._parser
        self.misread_count += 1
        self._noise_count = self._noise_count + 1 if parser.is_noise else 0
        if self._noise_count >= NOISE_MAX:
            self._noise_count = 0
            raise InstrumentGarbled(
                "document reader on %s: what comes at %d baud is noise, or something else speaks; "
                "check baud rate, parity and cable"
                % (self._settings["port"], self._settings["baud"])
            )
        what = "%d characters in %d lines; 2 x 44, 2 x 36 or 3 x 30 are needed" % (
            parser.character_count,
            parser.line_count,
        )
        around = (self._settings["prefix"], self._settings["suffix"])
        if around != ("", ""):  # they may be set otherwise in the reader
            what += ", and around them prefix %r and suffix %r" % around
        raise self._misread(what)

    def _misread(self, what: str) -> Misread:
        return Misread(
            "document reader on %s: misread (%s); read the document again"
            % (self._settings["port"], what)
        )

    def _lost(self, reason: object) -> PortLost:
        return PortLost(
            "serial port %s went away (%s); plug the document reader in again"
            % (self._settings["port"], reason)
        )

    async def close(self) -> None:
        """Give the port back; nothing is raised."""
        if self._port is not None:
            self._port.close()
        self._port = None
        self._parser.reset()
        self._chunk[:] = _BLANK
