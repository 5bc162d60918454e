"""Goal: a command is done once, answered every time, and not after it expired.

Method: the commands of one node with functions that count what they are asked for.
"""

import pytest

from node import limits
from node.commands import Commands, capture_role
from protocol.messages import (
    ACTION_BIRTH,
    ACTION_CAPTURE,
    ACTION_LASER_OFF,
    ACTION_LOG_TAIL,
    ACTION_REBOOT,
    OUTCOME_DONE,
    OUTCOME_EXPIRED,
    OUTCOME_FAILED,
    OUTCOME_REFUSED,
    ROLE_DARK,
    ROLE_SAMPLE,
    ROLE_STANDARD,
    Command,
)


class Desk:
    """Stands for clock, instrument and link."""

    def __init__(self, folder):
        self.path = str(folder / "commands")
        self.log = []
        self.now_ms = None
        self.refusal = ""
        self.captures = []
        self.births = 0
        self.replies = []
        self.reboots = self.darkened = 0
        self.restart()

    def restart(self):
        """Switch it off and on: what is not in the file is forgotten."""
        self.commands = Commands(self, self.replies.append, self.path, self.log.append)
        self.commands.actions = {
            ACTION_CAPTURE: self.capture,
            ACTION_BIRTH: self.birth,
            ACTION_REBOOT: self.reboot,
            ACTION_LASER_OFF: self.darken,
            ACTION_LOG_TAIL: lambda _: (OUTCOME_DONE, "", b"x" * 2_000),
        }

    def darken(self, _):
        self.darkened += 1
        return OUTCOME_DONE, ""

    def reboot(self, _):
        self.reboots += 1
        return OUTCOME_DONE, "restarting"

    def time_ms(self):
        return self.now_ms

    def capture(self, command):
        self.captures.append(command.command_id)
        return (OUTCOME_REFUSED, self.refusal) if self.refusal else None

    def birth(self, _):
        self.births += 1
        return OUTCOME_DONE, ""

    def take(self, number, action=ACTION_CAPTURE, expires_ms=None, argument=b""):
        self.commands.take(Command(b"%08d" % number, action, expires_ms, argument))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


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
    desk.take(1, expires_ms=1)
    assert desk.captures == [b"%08d" % 1]


def test_darkness_and_a_birth_are_never_too_late(desk):
    """SPEC 8.3: the clock that says so may be the wrong one."""
    desk.now_ms = 10**13
    desk.take(1, ACTION_LASER_OFF, expires_ms=1)
    desk.take(2, ACTION_BIRTH, expires_ms=1)
    assert [reply.outcome for reply in desk.replies] == [OUTCOME_DONE, OUTCOME_DONE]
    assert (desk.darkened, desk.births) == (1, 1)


def test_a_node_that_refuses_for_the_times_sake_asks_for_the_time(desk):
    """SPEC 8.3."""
    desk.take(1, ACTION_REBOOT, expires_ms=5_000)
    assert desk.births == 1
    desk.now_ms = 10**13
    desk.take(2, expires_ms=1)
    assert (desk.births, desk.captures, desk.reboots) == (2, [], 0)
    assert desk.replies[1].detail == (
        "expired 9999999999999 ms ago by this node's clock; if that is wrong, order again: "
        "the time is asked for"
    )
    assert "order again" in desk.replies[0].detail


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
        (b"\1", ROLE_DARK),
        (b"\2", ROLE_STANDARD),
        (b"\2polystyrene", ROLE_STANDARD),
        (b"\2" + 32 * b"x", ROLE_STANDARD),
        (b"\3", None),
        (b"\0sugar", None),
        (b"\1sugar", None),
        (b"\xff", None),
        (b"\2" + 33 * b"x", None),
        (b"polystyrene", None),
    ],
)
def test_a_capture_says_what_lies_before_the_probe(argument, role):
    """SPEC 8.5."""
    assert capture_role(argument) == role


def test_a_reboot_is_stored_before_it_is_answered_and_not_done_again_afterwards(desk):
    """SPEC 8.7, SPEC 8.1."""
    desk.take(1, ACTION_REBOOT)
    desk.restart()
    desk.take(1, ACTION_REBOOT)
    assert desk.reboots == 1
    assert desk.replies[0] == desk.replies[1]
    assert (desk.replies[1].outcome, desk.replies[1].detail) == (OUTCOME_DONE, "restarting")


def test_a_reboot_that_cannot_be_noted_is_refused(desk):
    """SPEC 8.7."""
    desk.commands._path = "/nowhere/commands"
    desk.take(1, ACTION_REBOOT)
    assert desk.reboots == 0
    assert desk.replies[0].outcome == OUTCOME_REFUSED
    assert "check the flash" in desk.replies[0].detail
    assert "commands cannot be remembered" in desk.log[0]


def test_a_reboot_that_may_have_expired_is_refused(desk):
    """SPEC 8.3: a node without wall time cannot tell, and to restart late is worse than never."""
    desk.take(1, ACTION_REBOOT, expires_ms=5_000)
    desk.now_ms = 4_999
    desk.take(2, ACTION_REBOOT, expires_ms=5_000)
    assert [reply.outcome for reply in desk.replies] == [OUTCOME_REFUSED, OUTCOME_DONE]
    assert desk.reboots == 1


def test_a_measurement_that_a_restart_cut_short_is_not_begun_again(desk):
    """SPEC 8.1."""
    desk.take(1)
    desk.take(2)
    desk.commands.finish(b"%08d" % 2, OUTCOME_DONE, "seq=7")
    desk.take(3, ACTION_BIRTH)
    desk.restart()
    desk.take(1)
    desk.take(2)
    assert len(desk.captures) == 2
    cut, done = desk.replies[-2:]
    assert (cut.outcome, cut.detail) == (OUTCOME_FAILED, "a restart of the node cut it short")
    assert (done.outcome, done.detail) == (OUTCOME_DONE, "seq=7")
    desk.take(3, ACTION_BIRTH)  # that one may be done twice, and no write was spent on it
    assert desk.births == 2


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 30])
def test_a_damaged_file_of_commands_makes_nothing_worse(desk, tmp_path, size):
    """What is left of it counts; the node starts."""
    desk.take(1)
    desk.commands.finish(b"%08d" % 1, OUTCOME_FAILED, "instrument é went away")
    whole = (tmp_path / "commands").read_bytes()
    (tmp_path / "commands").write_bytes(whole[:size] + b"\xff" * (size % 3))
    desk.restart()
    desk.take(2, ACTION_REBOOT)
    assert desk.reboots == 1


def test_text_that_was_asked_for_is_bounded_and_asked_for_anew(desk):
    """SPEC 8.9, SPEC 8.1: and none of it is kept in memory."""
    desk.take(1, ACTION_LOG_TAIL)
    desk.take(1, ACTION_LOG_TAIL)
    assert [len(reply.tail) for reply in desk.replies] == [1_024, 1_024]
    assert desk.commands._known == []
