"""Starts that ended badly, counted in a row, so that a node that cannot stay up stays reachable.

Rules of the file
- A crash is a reset whose cause the board counts as one (`CRASH_CAUSES`) and nobody asked for, or
  an error that went through the whole program. Lost power is none, nor is a brown-out: where power
  is bad, that says nothing about the firmware.
- The file is three words and a line: crashes in a row, cause of the newest start, mark, and the
  words of the newest crash. It is replaced as a whole, and only when it changes.
- The mark says how the start is about to end: `asked` and `trial` (a reset that is no crash, though
  some boards report it as one by the watchdog), `crash`, or `@PHASE` for a step of the start. The
  steps are marked only after a crash, so a node that is well writes nothing here.
"""

import os

from node import limits
from node.crash import CrashFile, trace
from node.segment import append

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Callable, Log, TicksDiff, TicksMs

SAFE_BOOTS = 5  # crashes in a row that lead to safe mode
MUTE_BOOTS = 10  # safe mode itself crashes: wait, so that the flash is not worn out
RESET_UNKNOWN, RESET_WATCHDOG = 0, 3  # machine.WDT_RESET on esp32 and rp2
_FILE_BYTES_MAX = 400
_HUNG = "watchdog: what hung could not be told"
_UNASKED = "reset: nobody asked for it; a fault below Python, or a tool reset the board"
_RUNNING, _ASKED, _TRIAL, _CRASH = "-", "asked", "trial", "crash"


class Boot:
    """This start, and what those before it came to.

    Args:
        folder: that the files `boots` and `crash` lie in.
        cause: reset cause of this start.
        ticks_ms, ticks_diff: the board's counter.
        log: function of one line.
        crash_causes: reset causes that are a crash unless the reset was asked for.
    Attributes:
        crash_count: crashes in a row, the one before this start included.
        is_crash: the start before this one ended by a crash.
        words: of the newest crash in this row, empty for none.
        left: all that the start before this one left to tell, empty for nothing.
        phase: step of the start that is under way, empty afterwards.
        running: function that returns the name of the task which holds the loop.
    """

    def __init__(
        self,
        folder: str,
        cause: int,
        ticks_ms: "TicksMs",
        ticks_diff: "TicksDiff",
        log: "Log",
        crash_causes: "tuple[int, ...]" = (RESET_WATCHDOG,),
    ) -> None:
        self._path = folder + "/boots"
        self._cause = cause
        self._log = log
        self._crash = CrashFile(folder + "/crash", ticks_ms, ticks_diff, log)
        self.left = self._crash.take()
        self.phase = ""
        self.running: Callable[[], str] = lambda: "main"
        before = _read(self._path)
        self.crash_count, _, mark, self.words = before
        self.is_crash = mark == _CRASH or (cause in crash_causes and mark not in (_ASKED, _TRIAL))
        if self.is_crash:
            self.crash_count += 1
            self.words = self.left.split("\n")[0]
            if not self.words and mark[0] == "@":
                self.words = "%s: reset while this went on" % mark[1:]
            self.words = self.words or (_HUNG if cause == RESET_WATCHDOG else _UNASKED)
        elif mark == _TRIAL:
            self.crash_count = SAFE_BOOTS - 1
        else:
            self.crash_count, self.words = 0, ""
        self._saved = before
        self._save(_RUNNING)

    @property
    def is_unsafe(self) -> bool:
        """Say whether the node shall start in safe mode."""
        return self.crash_count >= SAFE_BOOTS

    @property
    def where(self) -> str:
        """Return the task or step that crashed last, empty for none."""
        return self.words.split(":")[0]

    def begin(self, phase: str) -> None:
        """Note that a step of the start begins; an empty one: that all are done."""
        self.phase = phase
        if self.crash_count:
            self._save("@" + phase if phase else _RUNNING)

    def note(self, task: str, text: str) -> None:
        """Keep the words of a failure that the node lives with."""
        self._crash.write(task, text)

    def hung(self, task: str, text: str) -> None:
        """Keep the words of a hang; the watchdog's reset follows."""
        self._crash.write(task, text, is_final=True)

    def starved(self) -> None:
        """Keep the name of what holds the loop; called by the watchdog before it bites."""
        self.hung(self.phase or self.running(), "hangs: the watchdog was not fed")

    def crashed(self, error: Exception) -> str:
        """Keep an error that ends the program; return its traceback."""
        text = trace(error)
        self._crash.write(self.phase or "main", text, is_final=True)
        self._save(_CRASH)
        return text

    def asked(self, is_trial: bool) -> None:
        """Note that the reset which follows is no crash: somebody asked for it.

        Args:
            is_trial: one crash more leads back to safe mode.
        """
        self._save(_TRIAL if is_trial else _ASKED)

    def proven(self) -> None:
        """Note that the node runs well."""
        if self.crash_count:
            count, self.crash_count, self.words = self.crash_count, 0, ""
            self._save(_RUNNING)
            self._log("this start lasts: %d crashes before it are forgotten" % count)

    def _save(self, mark: str) -> None:
        state = (self.crash_count, self._cause, mark, self.words)
        if state == self._saved:
            return
        content = ("%d %d %s\n%s" % state).encode()[:_FILE_BYTES_MAX]
        try:
            append(self._path + ".new", content, "wb")
            os.rename(self._path + ".new", self._path)
        except OSError as error:
            self._log("count of crashes cannot be saved: %s; check the flash" % error)
            return
        self._saved = state


def _read(path: str) -> "tuple[int, int, str, str]":
    """Return what the file says; nothing where there is none that can be read."""
    try:
        with open(path, "rb") as file:
            head, words = file.read(_FILE_BYTES_MAX).decode().split("\n", 1)
        count, cause, mark = head.split()
        return max(int(count), 0), int(cause), mark, words[: limits.FAULT_TEXT_CHARS_MAX]
    except (OSError, ValueError):
        return 0, RESET_UNKNOWN, _RUNNING, ""
