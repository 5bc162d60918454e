"""Goal: laser hours and the age of the last standard outlive restarts, for few writes.

Method: the file in a folder, written and read again; writes are counted by what the file holds.
"""

import pytest

from node.upkeep import SAVE_LASER_MS, SAVE_MS, Upkeep

HOUR_MS = 3_600_000
NOW_MS = 1_795_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "upkeep"


@pytest.fixture
def begin(path):
    """A function that switches the node on with an instrument."""

    def start(serial="VEN 1"):
        upkeep = Upkeep(str(path), print)
        if serial is not None:
            upkeep.use(serial)
        return upkeep

    return start


def test_laser_time_is_summed_over_restarts(begin, path):
    upkeep = begin()
    assert upkeep.laser_on_s() == 0
    for _ in range(3):
        upkeep.laser(SAVE_LASER_MS // 2, 1_000)
    assert upkeep.laser_on_s() == 900
    assert begin().laser_on_s() == 600  # a power cut forgets what is less than ten minutes
    assert path.read_text() == "600 0 VEN 1\n"


def test_a_little_laser_is_saved_within_the_hour(begin):
    upkeep = begin()
    upkeep.laser(3_000, SAVE_MS - 1)
    assert begin().laser_on_s() == 0
    upkeep.laser(3_000, SAVE_MS)
    assert begin().laser_on_s() == 6
    upkeep.laser(3_000, SAVE_MS + 1)
    assert begin().laser_on_s() == 6


def test_a_node_that_stops_forgets_nothing_and_writes_nothing_for_nothing(begin, path):
    upkeep = begin()
    upkeep.close(0)
    assert not path.exists()
    upkeep.laser(3_000, 1)
    upkeep.close(2)
    assert begin().laser_on_s() == 3


def test_each_instrument_has_its_own_hours_and_few_are_kept(begin):
    for number in range(5):
        begin(f"serial {number}").laser(SAVE_LASER_MS * (number + 1), 0)
    assert begin("serial 4").laser_on_s() == 3_000
    assert begin("serial 1").laser_on_s() == 1_200
    assert begin("serial 0").laser_on_s() == 0
    assert begin(None).laser_on_s() == 3_000  # the one that was there last


def test_the_age_of_a_standard_needs_no_wall_clock_in_the_same_boot(begin):
    upkeep = begin()
    assert upkeep.calibration_age_h(0, None) is None
    upkeep.standard(HOUR_MS, None)
    assert upkeep.calibration_age_h(3 * HOUR_MS, None) == 2
    assert begin().calibration_age_h(0, NOW_MS) is None  # when it was, nobody could say
    assert upkeep.calibration_age_h(3 * HOUR_MS, NOW_MS) == 2  # now it can, and is kept
    later = begin()
    assert later.calibration_age_h(0, None) is None
    assert later.calibration_age_h(0, NOW_MS + HOUR_MS) == 3
    assert later.calibration_age_h(0, NOW_MS - 30 * HOUR_MS) == 0  # a clock that was set back


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x y z\n", b"1\n", b"12 0 VEN 1"])
def test_a_damaged_file_begins_anew(begin, path, content):
    path.write_bytes(content)
    assert begin().laser_on_s() in (0, 12)


def test_a_file_that_cannot_be_written_is_told_and_counts_on(path, capsys):
    upkeep = Upkeep(str(path / "no" / "folder"), print)
    upkeep.use("VEN 1")
    upkeep.laser(SAVE_LASER_MS, 0)
    assert upkeep.laser_on_s() == 600
    assert "laser hours cannot be saved" in capsys.readouterr().out
