"""The last words of a failure, kept over the reset that follows it.

Rules of the file
- One file, written anew as a whole: a power cut leaves the old words or the new ones.
- It is written at most once in CRASH_MS_MIN of one start: what fails in a loop wears no flash out.
  The words of a hang are the exception, once, because nothing can follow them.
- The next start reads it and moves it aside, so that no words are told twice.
"""

import io
import os
import sys

from node import limits
from node.segment import append

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Log, TicksDiff, TicksMs

_BYTES_MAX = limits.TRACEBACK_CHARS_MAX


class CrashFile:
    """The file.

    Args:
        path: of it, on the main file system.
        ticks_ms, ticks_diff: the board's counter.
        log: function of one line.
    """

    def __init__(self, path: str, ticks_ms: "TicksMs", ticks_diff: "TicksDiff", log: "Log") -> None:
        self._path = path
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._log = log
        self._written_ms: int | None = None
        self._is_final = False

    def take(self) -> str:
        """Return what the start before this one left, and move it aside; empty: nothing."""
        try:
            with open(self._path, "rb") as file:
                content = file.read(_BYTES_MAX)
            os.rename(self._path, self._path + ".last")
        except OSError:
            return ""
        return "".join([chr(c) if c == 10 or 32 <= c < 127 else "?" for c in content])

    def write(self, task: str, text: str, is_final: bool = False) -> bool:
        """Keep the words of a failure; say whether they were written.

        Args:
            task: whose failure it is.
            text: a traceback, or one sentence; its end is what is kept of a long one.
            is_final: a reset is about to follow; only the first of such words are kept.
        """
        now_ms = self._ticks_ms()
        if is_final:
            if self._is_final:
                return False
            self._is_final = True
        elif (
            self._written_ms is not None
            and self._ticks_diff(now_ms, self._written_ms) < limits.CRASH_MS_MIN
        ):
            return False
        self._written_ms = now_ms
        head = ("%s: %s\n" % (task, last_line(text))).encode()[:_BYTES_MAX]
        rest = text.encode()
        rest = rest[max(len(rest) - (_BYTES_MAX - len(head)), 0) :]
        try:
            append(self._path + ".new", head + rest, "wb")
            os.rename(self._path + ".new", self._path)
        except OSError as error:
            self._log("words of a failure cannot be kept: %s; check the flash" % error)
            return False
        return True


def trace(error: Exception) -> str:
    """Return the traceback of an error, its end where it is too long."""
    lines = io.StringIO()
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, lines)  # type: ignore[call-overload]  # StringIO will do
    else:  # CPython
        lines.write("%s: %s" % (error.__class__.__name__, error))
    return lines.getvalue()[-limits.TRACEBACK_CHARS_MAX :]


def last_line(text: str) -> str:
    """Return the last line that says something: of a traceback the error and its message."""
    for line in reversed(text.split("\n")):
        if line.strip():
            return line.strip()[: limits.FAULT_TEXT_CHARS_MAX]
    return ""
