"""Commands: done once however often they arrive, and never after they expired.

A command is known by its id. The newest COMMANDS_REMEMBERED results are kept, so a repeated command
gets the same answer again instead of a second measurement.
"""

from node import limits
from node.signals import ascii_text
from protocol.limits import DETAIL_CHARS_MAX, NAME_CHARS_MAX
from protocol.messages import (
    ACTION_BIRTH,
    ACTION_CAPTURE,
    OUTCOME_DONE,
    OUTCOME_EXPIRED,
    OUTCOME_REFUSED,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    Result,
)


class Commands:
    """The node's commands.

    Args:
        clock: for the expiry.
        capture: function of a command id and a role; begins a measurement that ends in `finish`,
        or returns the reason why not.
        birth: function without arguments that publishes the birth.
        reply: function of a Result.
    """

    def __init__(self, clock: object, capture: object, birth: object, reply: object) -> None:
        self._clock = clock
        self._capture = capture
        self._birth = birth
        self._reply = reply
        self._results: list[list] = []  # command_id, Result or None while under way

    def take(self, command: object) -> None:
        """Do what the command says, or answer why not."""
        for command_id, result in self._results:
            if command_id == command.command_id:
                if result is not None:
                    self._reply(result)
                return  # under way: `finish` will answer
        self._results.append([command.command_id, None])
        if len(self._results) > limits.COMMANDS_REMEMBERED:
            self._results.pop(0)
        now_ms = self._clock.time_ms()
        expires_ms = command.expires_ms
        if expires_ms is not None and now_ms is not None and expires_ms <= now_ms:
            late_ms = now_ms - expires_ms
            self.finish(command.command_id, OUTCOME_EXPIRED, "expired %d ms ago" % late_ms)
        elif command.action == ACTION_BIRTH:
            self._birth()
            self.finish(command.command_id, OUTCOME_DONE, "")
        elif command.action == ACTION_CAPTURE:
            role = capture_role(command.argument)
            if role is None:
                reason = "argument %s of capture is not known here" % command.argument[:8].hex()
            else:
                reason = self._capture(command.command_id, role)
            if reason:
                self.finish(command.command_id, OUTCOME_REFUSED, reason)
        else:
            self.finish(
                command.command_id, OUTCOME_REFUSED, "action %d is not known here" % command.action
            )

    def finish(self, command_id: bytes, outcome: int, detail: str) -> None:
        """Answer a command and remember the answer."""
        result = Result(command_id, outcome, ascii_text(detail, DETAIL_CHARS_MAX))
        for entry in self._results:
            if entry[0] == command_id:
                entry[1] = result
        self._reply(result)


def capture_role(argument: bytes) -> "int | None":
    """Return the role of the reading that a capture asks for, None when it is none (SPEC 8.5)."""
    if not argument:
        return ROLE_SAMPLE
    if argument[0] == ROLE_STANDARD and len(argument) <= 1 + NAME_CHARS_MAX:
        return ROLE_STANDARD
    return ROLE_SAMPLE if argument == bytes([ROLE_SAMPLE]) else None
