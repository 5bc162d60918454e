"""How the reader behaves: documents in, zones out, no I/O and no clock.

Rules of this file
* A document that is presented is read once, sent at once, and stays on the reader for `repeat`.
* It takes no commands: bytes that come are counted.
* A misread is a confusion that readers of OCR-B make, or a character that is lost; what is printed
  stays as it is.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.document.specimen import Document
from simulators.errors import WorldError
from simulators.line import Reply

BAUDS: Final = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800)
BAUD_DEFAULT: Final = 9600
BOOT_S: Final = 0.3  # s of deafness after a reset; chosen
REPLIES_MAX: Final = 64  # zones waiting for the line; more are lost, as in a full transmit buffer
# What stands before the first line, between two, and behind the last.
FRAMINGS: Final[Mapping[str, tuple[str, str, str]]] = {
    "cr": ("", "\r", "\r"),
    "crlf": ("", "\r\n", "\r\n"),
    "lf": ("", "\n", "\n"),
    "stx": ("\x02", "\r", "\r\x03"),
    "one": ("", "", "\r"),
    "bare": ("", "", ""),
}
CONFUSIONS: Final = {"0": "O", "O": "0", "1": "I", "I": "1", "8": "B", "B": "8", "5": "S", "S": "5"}
AFFIX_CHARACTERS_MAX: Final = 8


@dataclass(slots=True)
class Counts:
    """What happened, for tests and for the person at the terminal."""

    read: int = 0
    misread: int = 0
    bytes_ignored: int = 0
    resets: int = 0
    replies_lost: int = 0


class DocumentReader:
    """One reader.

    Args:
        framing: key of `FRAMINGS`.
        prefix, suffix: sent before the first line and behind the last.
        around_lines: before and behind each line instead.
        misread: part of the readings that come out wrong, 0 to 1.
        seed: of the misreads.
        baud: the rate that is set in it.

    Raises:
        WorldError: it cannot be set so.
    """

    def __init__(
        self,
        *,
        framing: str = "cr",
        prefix: str = "",
        suffix: str = "",
        around_lines: bool = False,
        misread: float = 0.0,
        seed: int = 0,
        baud: int = BAUD_DEFAULT,
    ) -> None:
        if framing not in FRAMINGS:
            raise WorldError(f"framing '{framing}': known are {', '.join(FRAMINGS)}")
        if baud not in BAUDS:
            raise WorldError(f"baud rate {baud} is not one of {', '.join(map(str, BAUDS))}")
        for affix in (prefix, suffix):
            if len(affix) > AFFIX_CHARACTERS_MAX or not affix.isascii():
                raise WorldError(
                    f"prefix or suffix '{affix[:20]}': give at most {AFFIX_CHARACTERS_MAX} ASCII"
                    " characters"
                )
        if not 0.0 <= misread <= 1.0:
            raise WorldError(f"misread {misread:g}: give a part between 0 and 1")
        self.baud = baud
        self.document: Document | None = None
        self.counts = Counts()
        self.misread_next = False
        self._framing = FRAMINGS[framing]
        self._prefix, self._suffix = prefix, suffix
        self._around_lines = around_lines
        self._misread = misread
        self._rng = np.random.default_rng(seed)
        self._replies: deque[Reply] = deque()
        self._ready_s = 0.0

    def present(self, document: Document) -> None:
        """Lay a document on it, or swipe it: it is read and sent."""
        self.document = document
        self._read(document)

    def repeat(self) -> None:
        """Read again what lies there.

        Raises:
            WorldError: nothing does.
        """
        if self.document is None:
            raise WorldError("no document was presented; give `present TD3`")
        self._read(self.document)

    def _read(self, document: Document) -> None:
        self.counts.read += 1
        lines = document.lines
        if self.misread_next or self._rng.random() < self._misread:
            self.misread_next = False
            self.counts.misread += 1
            lines = self._misread_lines(lines)
        before, between, behind = self._framing
        if self._around_lines:
            between = self._suffix + between + self._prefix
        text = before + self._prefix + between.join(lines) + self._suffix + behind
        check_at = len(text) - len(self._suffix) - len(behind) - 1
        if len(lines) == 3:  # the digit over all ends the second line, not the third
            check_at -= len(lines[-1]) + len(between)
        if len(self._replies) >= REPLIES_MAX:
            self.counts.replies_lost += 1
            return
        self._replies.append(Reply(text.encode("ascii"), check_at=check_at))

    def _misread_lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """Return lines with one letter for a digit or the reverse; without any, one is lost."""
        places = [
            (row, at)
            for row, line in enumerate(lines)
            for at, character in enumerate(line)
            if character in CONFUSIONS
        ]
        wrong = [list(line) for line in lines]
        if places:
            row, at = places[int(self._rng.integers(len(places)))]
            wrong[row][at] = CONFUSIONS[wrong[row][at]]
        else:
            row = int(self._rng.integers(len(lines)))
            wrong[row].pop()
        return tuple("".join(line) for line in wrong)

    def receive(self, data: bytes, now_s: float) -> None:  # noqa: ARG002 - as every Device
        """Take bytes from the line: it has no commands."""
        self.counts.bytes_ignored += len(data)

    def collect(self, now_s: float) -> list[Reply]:
        """Return what is to be sent by now; each is given once."""
        if now_s < self._ready_s:
            return []
        replies = list(self._replies)
        self._replies.clear()
        return replies

    def next_event_s(self) -> float | None:
        """Return when `collect` has something without new bytes; None: nothing is under way."""
        return self._ready_s if self._replies else None

    def reset_unexpectedly(self, now_s: float) -> None:
        """Lose power for a moment; what was read and not sent is gone."""
        self.counts.resets += 1
        self._replies.clear()
        self._ready_s = now_s + BOOT_S
