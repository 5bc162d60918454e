"""Commands: done once however often they arrive, and never after they expired.

Rules of the file
- A command is known by its id. The newest COMMANDS_REMEMBERED results are kept, so a repeated
  command gets the same answer again instead of a second measurement.
- Those in LASTING are kept in a file too: noted before they are begun, so that a restart in between
  does not make a node do them twice.
- Those in ASKING change nothing and are answered anew: their answers are long, and memory is short.
- Those in TIMELESS are done whatever their expiry says. The clock may be the one that is wrong: an
  order for darkness is never too late, and a birth is what the time comes by. Where another one
  is refused for the time's sake the node asks for the time at once.
"""

import os

from node import limits
from node.segment import append
from node.shelf import NEW_SUFFIX
from node.signals import ascii_text
from protocol.limits import DETAIL_CHARS_MAX, ID_BYTES, NAME_CHARS_MAX, TAIL_BYTES_MAX
from protocol.messages import (
    ACTION_BIRTH,
    ACTION_CAPTURE,
    ACTION_JOURNAL_REPORT,
    ACTION_LASER_OFF,
    ACTION_LOG_TAIL,
    ACTION_REBOOT,
    ACTION_TARE,
    ACTION_WEIGH,
    ACTION_ZERO,
    OUTCOME_EXPIRED,
    OUTCOME_FAILED,
    OUTCOME_REFUSED,
    ROLE_DARK,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    Result,
)

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Action, Clock, Command, Known, Log, Reply

LASTING = (
    ACTION_CAPTURE,
    ACTION_REBOOT,
    ACTION_LASER_OFF,
    ACTION_TARE,
    ACTION_ZERO,
    ACTION_WEIGH,
)
ASKING = (ACTION_JOURNAL_REPORT, ACTION_LOG_TAIL)
TIMELESS = (ACTION_LASER_OFF, ACTION_BIRTH)

_COMMAND_ID, _RESULT, _IS_LASTING = range(3)
_EXPIRED = (
    "expired %d ms ago by this node's clock; if that is wrong, order again: the time is asked for"
)
_UNTIMED = "whether it expired is not known: the node has no time yet and asks for it; order again"
_UNDER_WAY = 255  # stands in the file for an outcome
_FILE_BYTES_MAX = limits.COMMANDS_REMEMBERED * (ID_BYTES + 2 + DETAIL_CHARS_MAX)


class Commands:
    """The node's commands.

    Args:
        clock: for the expiry.
        reply: function of a Result.
        path: of the file that remembers across restarts.
        log: function of one line.
    Attributes:
        actions: what this node can do: number to function of a Command. It returns (outcome,
            detail) or (outcome, detail, tail), or None when `finish` will be called later.
    """

    def __init__(self, clock: "Clock", reply: "Reply", path: str, log: "Log") -> None:
        self._clock = clock
        self._reply = reply
        self._path = path
        self._log = log
        self._known: list[Known] = []  # oldest first; see _COMMAND_ID and so on
        self.actions: dict[int, Action] = {}
        self._load()

    def take(self, command: "Command") -> None:
        """Do what the command says, or answer why not."""
        command_id, action = command.command_id, command.action
        entry = self._find(command_id)
        if entry is not None:
            if entry[_RESULT] is not None:
                self._reply(entry[_RESULT])
            return  # under way: `finish` will answer
        if action not in ASKING:
            self._known.append([command_id, None, action in LASTING])
            if len(self._known) > limits.COMMANDS_REMEMBERED:
                self._known.pop(0)
        refusal = self._refusal(command)
        answer = refusal or self.actions[action](command)
        if answer is not None:
            self.finish(command_id, *answer)

    def _refusal(self, command: "Command") -> "tuple[int, str] | None":
        """Return why a command is not even begun; else None, and it is noted where it must be."""
        now_ms, action = self._clock.time_ms(), command.action
        expires_ms = None if action in TIMELESS else command.expires_ms
        if expires_ms is not None and now_ms is not None and expires_ms <= now_ms:
            self._ask_time(command)
            return OUTCOME_EXPIRED, _EXPIRED % (now_ms - expires_ms)
        if action not in self.actions:
            known = ", ".join([str(number) for number in sorted(self.actions)])
            return OUTCOME_REFUSED, "action %d is not known here; known are %s" % (action, known)
        if action == ACTION_REBOOT and expires_ms is not None and now_ms is None:
            self._ask_time(command)
            return OUTCOME_REFUSED, _UNTIMED
        if action in LASTING and not self._save() and action == ACTION_REBOOT:
            return OUTCOME_REFUSED, "it cannot be noted, and would be done again; check the flash"
        return None

    def _ask_time(self, command: "Command") -> None:
        """Have a birth sent, which the gateway answers with the time (SPEC 7.3)."""
        if ACTION_BIRTH in self.actions:
            self.actions[ACTION_BIRTH](command)

    def finish(self, command_id: bytes, outcome: int, detail: str, tail: bytes = b"") -> None:
        """Answer a command and remember the answer."""
        detail = ascii_text(detail, DETAIL_CHARS_MAX)
        result = Result(command_id, outcome, detail, tail[-TAIL_BYTES_MAX:])
        entry = self._find(command_id)
        if entry is not None:
            entry[_RESULT] = result
            if entry[_IS_LASTING]:
                self._save()
        self._reply(result)

    def _find(self, command_id: bytes) -> "Known | None":
        for entry in self._known:
            if entry[_COMMAND_ID] == command_id:
                return entry
        return None

    def _save(self) -> bool:
        """Write the file; False when it cannot be written."""
        content = b""
        for command_id, result, is_lasting in self._known:
            if is_lasting:
                outcome = _UNDER_WAY if result is None else result.outcome
                detail = b"" if result is None else result.detail.encode()
                content += command_id + bytes([outcome, len(detail)]) + detail
        try:
            append(self._path + NEW_SUFFIX, content, "wb")
            os.rename(self._path + NEW_SUFFIX, self._path)
        except OSError as error:
            self._log("commands cannot be remembered: %s; check the flash" % error)
            return False
        return True

    def _load(self) -> None:
        """Read the file, if there is one; what was under way was cut short."""
        try:
            with open(self._path, "rb") as file:
                content = file.read(_FILE_BYTES_MAX)
        except OSError:
            return
        at = 0
        while at + ID_BYTES + 2 <= len(content):
            command_id = content[at : at + ID_BYTES]
            outcome, size = content[at + ID_BYTES], content[at + ID_BYTES + 1]
            at += ID_BYTES + 2 + size
            detail = "".join([chr(code) for code in content[at - size : at]])
            if outcome > OUTCOME_EXPIRED:
                outcome, detail = OUTCOME_FAILED, "a restart of the node cut it short"
            result = Result(command_id, outcome, ascii_text(detail, DETAIL_CHARS_MAX))
            self._known.append([command_id, result, True])


def capture_role(argument: bytes) -> "int | None":
    """Return the role of the reading that a capture asks for, None when it is none (SPEC 8.5)."""
    if not argument:
        return ROLE_SAMPLE
    if argument[0] == ROLE_STANDARD and len(argument) <= 1 + NAME_CHARS_MAX:
        return ROLE_STANDARD
    return argument[0] if len(argument) == 1 and argument[0] in (ROLE_SAMPLE, ROLE_DARK) else None
