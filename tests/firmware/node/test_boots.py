"""Goal: only watchdog resets in a row make a node wait before it starts.

Method: boots counted in a file, with both causes, a damaged file and a run that proved itself.
"""

from node import boots

POWER_ON = 1


def test_watchdog_resets_in_a_row_count_and_lost_power_does_not(tmp_path):
    path = str(tmp_path / "boots")
    assert [boots.count(path, boots.RESET_WATCHDOG) for _ in range(4)] == [1, 2, 3, 4]
    assert not boots.is_unsafe(path)
    assert boots.count(path, boots.RESET_WATCHDOG) == boots.SAFE_BOOTS
    assert boots.is_unsafe(path)
    assert boots.count(path, POWER_ON) == 0
    assert not boots.is_unsafe(path)


def test_a_run_that_proved_itself_clears_the_count(tmp_path):
    path = str(tmp_path / "boots")
    boots.count(path, boots.RESET_WATCHDOG)
    boots.clear(path)
    boots.clear(path)
    assert boots.count(path, boots.RESET_WATCHDOG) == 1


def test_a_damaged_count_is_none(tmp_path):
    path = tmp_path / "boots"
    path.write_bytes(b"\xff\xff")
    assert not boots.is_unsafe(str(path))
    assert boots.count(str(path), boots.RESET_WATCHDOG) == 1
