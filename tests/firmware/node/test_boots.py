"""Goal: crashes in a row lead to safe mode, lost power and requests do not; their words survive.

Method: starts on a real folder, with every cause and every way to end, a damaged file, a storm of
failures whose writes are counted, and a medium that refuses.
"""

import os

import pytest

from node import boots, crash, limits
from node.boots import Boot

POWER_ON, HARD, WATCHDOG = 1, 2, boots.RESET_WATCHDOG


class Board:
    """Starts on one folder, and a counter of milliseconds."""

    def __init__(self, folder):
        self.folder = folder
        self.now_ms = 0
        self.log = []
        self.crash_causes = (WATCHDOG,)

    def start(self, cause):
        return Boot(
            str(self.folder),
            cause,
            lambda: self.now_ms,
            lambda later, earlier: later - earlier,
            self.log.append,
            self.crash_causes,
        )


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


def test_crashes_in_a_row_count_and_lost_power_does_not(board):
    counts = [board.start(WATCHDOG).crash_count for _ in range(boots.SAFE_BOOTS - 1)]
    assert counts == [1, 2, 3, 4]
    boot = board.start(WATCHDOG)
    assert (boot.is_unsafe, boot.is_crash) == (True, True)
    assert boot.words == "watchdog: what hung could not be told"
    boot = board.start(POWER_ON)
    assert (boot.crash_count, boot.is_unsafe, boot.is_crash, boot.words) == (0, False, False, "")


def test_an_error_through_the_whole_program_counts_and_leaves_its_words(board):
    boot = board.start(POWER_ON)
    boot.begin("driver")
    assert "ZeroDivisionError" in boot.crashed(ZeroDivisionError("division by zero"))
    after = board.start(HARD)
    assert (after.crash_count, after.where) == (1, "driver")
    assert after.words == "driver: ZeroDivisionError: division by zero"
    assert after.left.startswith(after.words)
    assert board.start(HARD).left == ""


def test_what_was_asked_for_is_no_crash_even_where_the_board_says_watchdog(board):
    board.start(WATCHDOG)
    board.start(WATCHDOG).asked(is_trial=False)
    assert board.start(WATCHDOG).crash_count == 0


def test_one_crash_after_a_trial_leads_back_to_safe_mode(board):
    boot = [board.start(WATCHDOG) for _ in range(boots.SAFE_BOOTS)][-1]
    boot.asked(is_trial=True)
    trial = board.start(HARD)
    assert (trial.crash_count, trial.is_unsafe) == (boots.SAFE_BOOTS - 1, False)
    assert board.start(WATCHDOG).is_unsafe


def test_a_run_that_proved_itself_clears_the_count(board):
    boot = board.start(WATCHDOG)
    boot.proven()
    boot.proven()
    assert board.start(WATCHDOG).crash_count == 1


def test_the_step_that_hangs_is_known_from_the_second_time_on(board):
    board.start(POWER_ON).begin("journal")
    first = board.start(WATCHDOG)
    assert first.where == "watchdog"
    first.begin("journal")
    second = board.start(WATCHDOG)
    assert second.words == "journal: reset while this went on"
    second.begin("journal")
    second.begin("")
    assert board.start(WATCHDOG).where == "watchdog"


def test_the_task_that_starved_the_watchdog_is_named(board):
    boot = board.start(POWER_ON)
    boot.running = lambda: "acquire"
    boot.starved()
    boot.hung("uplink", "too late")
    assert board.start(WATCHDOG).words == "acquire: hangs: the watchdog was not fed"


@pytest.mark.parametrize("content", [b"\xff\xff", b"", b"7", b"x 1 -\nwords", b"3 3\n"])
def test_a_damaged_file_counts_nothing(board, content):
    (board.folder / "boots").write_bytes(content)
    boot = board.start(WATCHDOG)
    assert boot.crash_count == 1


def _written(path):
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def test_a_node_that_is_well_writes_nothing(board):
    board.start(POWER_ON)
    (board.folder / "boots").chmod(0o400)
    written = _written(board.folder / "boots")
    boot = board.start(POWER_ON)
    boot.begin("journal")
    boot.begin("")
    boot.proven()
    assert _written(board.folder / "boots") == written
    assert sorted(path.name for path in board.folder.iterdir()) == ["boots"]


def test_a_storm_of_failures_writes_once_in_ten_minutes(board, monkeypatch):
    writes = []
    monkeypatch.setattr(crash, "append", lambda path, content, mode: writes.append(content))
    monkeypatch.setattr(os, "rename", lambda *_: None)
    boot = board.start(POWER_ON)
    writes.clear()
    for _ in range(3_000):
        board.now_ms += 1_000
        boot.note("acquire", "x" * 9_000 + "\nValueError: bad")
    assert len(writes) == 3_000_000 // limits.CRASH_MS_MIN
    assert {len(content) for content in writes} == {1_500}
    assert writes[0].startswith(b"acquire: ValueError: bad\n")


def test_the_words_of_a_hang_are_kept_after_those_of_a_failure(board):
    boot = board.start(POWER_ON)
    boot.note("uplink", "ValueError: bad")
    boot.hung("acquire", "hangs")
    assert board.start(WATCHDOG).words == "acquire: hangs"


def test_a_flash_that_refuses_is_told_and_nothing_else(board):
    board.folder = board.folder / "missing"
    boot = board.start(WATCHDOG)
    boot.note("acquire", "ValueError: bad")
    boot.asked(is_trial=False)
    assert boot.crash_count == 1
    assert [line for line in board.log if "check the flash" in line] == board.log != []


@pytest.mark.parametrize(
    "causes, cause, crashes",
    [((2, 3), HARD, 1), ((2, 3), WATCHDOG, 1), ((2, 3), POWER_ON, 0), ((3,), HARD, 0)],
)
def test_a_reset_nobody_asked_for_is_a_crash_where_the_board_counts_it(
    board, causes, cause, crashes
):
    board.crash_causes = causes
    board.start(POWER_ON)
    boot = board.start(cause)
    assert boot.crash_count == crashes
    if cause == HARD and crashes:
        assert boot.words.startswith("reset: nobody asked for it; a fault below Python")
    boot.asked(is_trial=False)
    assert board.start(cause).crash_count == 0
