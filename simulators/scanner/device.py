"""How a scanner behaves: a code is held before it, a line comes out. No I/O and no clock.

Rules of this file
* It speaks when something is scanned and takes no notice of what it is told: such scanners are
  configured by codes on paper.
* One line is one reply, so faults are counted in codes; where it types like a keyboard, one
  character is one.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import numpy as np

from simulators.line import Line, Reply
from simulators.scanner.codes import Code, draw

BOOT_S = 0.5  # s after a reset in which nothing is read; chosen
REPLIES_MAX = 65_536  # characters or lines waiting for the line; more are lost


@dataclass(slots=True)
class Counts:
    """What happened, for tests and for the person at the terminal."""

    scans: int = 0
    unread: int = 0
    resets: int = 0


class Scanner:
    """One scanner.

    Args:
        seed: of the codes it draws.
        baud: of its line.
        prefix, suffix: sent before and after each code.
        has_aim: it sends AIM identifiers.
        pace_s: seconds between two characters, as one has it that types like a keyboard; 0: none.
        every_s: seconds after which it scans by itself a code that it draws; 0: never.
        bad_part: of those, the part whose label is wrong.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        baud: int = 9_600,
        prefix: bytes = b"",
        suffix: bytes = b"\r\n",
        has_aim: bool = True,
        pace_s: float = 0.0,
        every_s: float = 0.0,
        bad_part: float = 0.0,
    ) -> None:
        self.baud = baud
        self.counts = Counts()
        self.newest: Code | None = None
        self._prefix, self._suffix = prefix, suffix
        self._has_aim = has_aim
        self._pace_s = pace_s
        self._rng = np.random.default_rng(seed)
        self._waiting: deque[tuple[float, Reply]] = deque()
        self._deaf_until_s = 0.0
        self._every_s, self._bad_part = every_s, bad_part
        self._next_s: float | None = None  # when it scans by itself

    def draw(self, *, is_good: bool = True) -> Code:
        """Return the next code of its seed."""
        return draw(self._rng, is_good=is_good)

    def scan(self, code: Code, now_s: float = 0.0) -> None:
        """Hold a code before it."""
        self.newest = code
        if now_s < self._deaf_until_s or len(self._waiting) > REPLIES_MAX - 10_000:
            self.counts.unread += 1
            return
        self.counts.scans += 1
        head = self._prefix + (code.symbology.encode() if self._has_aim else b"")
        line = head + code.content + self._suffix
        check_at = None if code.check_at is None else len(head) + code.check_at
        if not self._pace_s:
            self._waiting.append((now_s, Reply(line, check_at=check_at)))
            return
        begin_s = max(now_s, self._waiting[-1][0] + self._pace_s if self._waiting else now_s)
        for index in range(len(line)):
            check = 0 if index == check_at else None
            reply = Reply(line[index : index + 1], check_at=check)
            self._waiting.append((begin_s + index * self._pace_s, reply))

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line; they mean nothing to it."""

    def collect(self, now_s: float) -> list[Reply]:
        """Return what is to be sent by now, in order."""
        if self._next_s is not None and self._next_s <= now_s:
            self.scan(self.draw(is_good=bool(self._rng.random() >= self._bad_part)), now_s)
        if self._every_s and (self._next_s is None or self._next_s <= now_s):
            self._next_s = now_s + self._every_s
        due: list[Reply] = []
        while self._waiting and self._waiting[0][0] <= now_s:
            due.append(self._waiting.popleft()[1])
        return due

    def next_event_s(self) -> float | None:
        """Return when the next character or line is due; None: nothing was scanned."""
        next_s = [] if self._next_s is None else [self._next_s]
        due_s = [self._waiting[0][0]] if self._waiting else []
        return min(next_s + due_s, default=None)

    def reset_unexpectedly(self, now_s: float) -> None:
        """Lose power for a moment, and what was not sent with it."""
        self._waiting.clear()
        self._deaf_until_s = now_s + BOOT_S
        self.counts.resets += 1


class ScannerLine(Line[Scanner]):
    """A scanner on a pseudo-terminal, as an asynchronous context; see `Line`."""

    def scan(self, *codes: Code) -> None:
        """Hold codes before it, now; several are one burst."""
        for code in codes:
            self.device.scan(code, asyncio.get_running_loop().time())
        self.speak()
