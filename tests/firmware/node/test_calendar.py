"""Goal: after a loss of power a board's clock stands where certificates are valid.

Method: the calendar with files in temporary folders and a clock that notes what it is set to; dates
against Python's, for any moment.
"""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from node.calendar import BUILT_MS, SAVE_MS, Calendar, utc

LATER_MS = BUILT_MS + 400 * 86_400_000


@given(st.integers(0, 4_102_444_799_999))
def test_dates_are_those_of_the_calendar(time_ms):
    expected = dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC)
    assert utc(time_ms) == (
        *(expected.year, expected.month, expected.day, expected.weekday()),
        *(expected.hour, expected.minute, expected.second),
    )


def make(folder):
    told = []
    return told, Calendar(str(folder / "time"), told.append)


def test_a_board_that_knows_nothing_begins_on_the_day_it_was_built_for(tmp_path):
    told, calendar = make(tmp_path)
    calendar.restore()
    assert told == [utc(BUILT_MS)]


def test_the_newest_time_known_survives_a_loss_of_power(tmp_path):
    _, calendar = make(tmp_path)
    calendar.follow(1_000, LATER_MS)
    told, calendar = make(tmp_path)
    calendar.restore()
    assert told == [utc(LATER_MS)]


def test_the_flash_is_written_at_most_every_six_hours(tmp_path):
    told, calendar = make(tmp_path)
    calendar.restore()
    path = tmp_path / "time"
    for hour in range(13):
        calendar.follow(hour * 3_600_000, LATER_MS + hour * 3_600_000)
    assert len(told) == 1 + 3
    written = path.read_bytes()
    for _ in range(5):  # boots in a row
        _, calendar = make(tmp_path)
        calendar.restore()
        calendar.follow(0, LATER_MS + 12 * 3_600_000 + SAVE_MS - 1)
        assert path.read_bytes() == written


def test_times_that_cannot_be_are_not_followed(tmp_path):
    told, calendar = make(tmp_path)
    for time_ms in (None, 0, BUILT_MS - 1, 1 << 52):
        calendar.follow(10**9, time_ms)
    assert not told
    for content in (b"", b"short", b"\xff" * 8, bytes(8), b"123456789"):
        (tmp_path / "time").write_bytes(content)
        told, calendar = make(tmp_path)
        calendar.restore()
        assert told == [utc(BUILT_MS)]


def test_a_time_that_no_board_lives_to_see_is_neither_followed_nor_restored(tmp_path):
    """A gateway with a dead battery or a wrong epoch told it: the broker would look expired."""
    told, calendar = make(tmp_path)
    far_ms = BUILT_MS + 20 * 365 * 86_400_000
    calendar.follow(1_000, far_ms)
    assert not told
    (tmp_path / "time").write_bytes(far_ms.to_bytes(8, "little"))  # as an earlier edition kept it
    told, calendar = make(tmp_path)
    calendar.restore()
    assert told == [utc(BUILT_MS)]


def test_a_time_that_is_corrected_is_followed_at_once(tmp_path):
    """Or the board would judge certificates by the wrong one for hours, and keep it."""
    told, calendar = make(tmp_path)
    calendar.follow(1_000, LATER_MS + 5 * 365 * 86_400_000)
    calendar.follow(2_000, LATER_MS)
    calendar.follow(3_000, LATER_MS + 1_000)
    assert told[1:] == [utc(LATER_MS)]
    told, calendar = make(tmp_path)
    calendar.restore()
    assert told == [utc(LATER_MS)]
