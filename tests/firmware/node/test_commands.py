"""Goal: a command is done once, answered every time, and not after it expired.

Method: the commands of one node with functions that count what they are asked for.
"""

import pytest

from node import limits
from node.commands import Commands
from protocol.messages import (
    ACTION_BIRTH,
    ACTION_CAPTURE,
    OUTCOME_DONE,
    OUTCOME_EXPIRED,
    OUTCOME_FAILED,
    OUTCOME_REFUSED,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    Command,
)


class Desk:
    """Stands for clock, instrument and link."""

    def __init__(self):
        self.now_ms = None
        self.refusal = ""
        self.captures = []
        self.roles = []
        self.births = 0
        self.replies = []
        self.commands = Commands(self, self.capture, self.birth, self.replies.append)

    def time_ms(self):
        return self.now_ms

    def capture(self, command_id, role):
        self.captures.append(command_id)
        self.roles.append(role)
        return self.refusal

    def birth(self):
        self.births += 1

    def take(self, number, action=ACTION_CAPTURE, expires_ms=None, argument=b""):
        self.commands.take(Command(b"%08d" % number, action, expires_ms, argument))


@pytest.fixture
def desk():
    return Desk()


def test_a_repeated_command_is_answered_and_not_repeated(desk):
    desk.take(1)
    desk.take(1)  # under way: no answer yet
    assert (len(desk.captures), desk.replies) == (1, [])
    desk.commands.finish(b"%08d" % 1, OUTCOME_FAILED, "instrument é went away")
    desk.take(1)
    assert len(desk.captures) == 1
    first, second = desk.replies
    assert first == second
    assert (first.outcome, first.detail) == (OUTCOME_FAILED, "instrument ? went away")


def test_at_least_sixteen_commands_are_remembered(desk):
    """SPEC 8.1."""
    for number in range(16):
        desk.take(number, ACTION_BIRTH)
    for number in range(16):
        desk.take(number, ACTION_BIRTH)
    assert desk.births == 16
    assert len(desk.replies) == 32
    desk.take(99, ACTION_BIRTH)
    desk.take(0, ACTION_BIRTH)
    assert desk.births == 16 + 2  # the oldest is forgotten: memory is bounded
    assert limits.COMMANDS_REMEMBERED == 16


def test_an_expired_command_is_not_done(desk):
    desk.now_ms = 1_000
    desk.take(1, expires_ms=1_000)
    desk.take(2, expires_ms=1_001)
    assert desk.captures == [b"%08d" % 2]
    assert desk.replies[0].outcome == OUTCOME_EXPIRED


def test_a_node_without_wall_time_does_it(desk):
    """SPEC 8.3."""
    desk.take(1, ACTION_BIRTH, expires_ms=1)
    assert desk.replies[0].outcome == OUTCOME_DONE


def test_what_cannot_begin_is_refused_with_the_reason(desk):
    desk.refusal = "busy: 4 measurements are waiting"
    desk.take(1)
    desk.take(2, action=77)
    assert [reply.outcome for reply in desk.replies] == [OUTCOME_REFUSED, OUTCOME_REFUSED]
    assert desk.replies[0].detail == desk.refusal
    assert "77" in desk.replies[1].detail


@pytest.mark.parametrize(
    "argument,role",
    [
        (b"", ROLE_SAMPLE),
        (b"\0", ROLE_SAMPLE),
        (b"\2", ROLE_STANDARD),
        (b"\2polystyrene", ROLE_STANDARD),
        (b"\2" + 32 * b"x", ROLE_STANDARD),
    ],
)
def test_a_capture_says_what_lies_before_the_probe(desk, argument, role):
    """SPEC 8.5."""
    desk.take(1, argument=argument)
    assert desk.roles == [role]


@pytest.mark.parametrize(
    "argument", [b"\1", b"\3", b"\0sugar", b"\xff", b"\2" + 33 * b"x", b"polystyrene"]
)
def test_another_argument_of_a_capture_is_refused(desk, argument):
    """SPEC 8.5."""
    desk.take(1, argument=argument)
    assert desk.captures == []
    assert desk.replies[0].outcome == OUTCOME_REFUSED
    assert argument[:8].hex() in desk.replies[0].detail
