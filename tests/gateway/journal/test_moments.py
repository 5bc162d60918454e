"""Goal: it is remembered from where the clock jumped ahead, until somebody sets it back.

Method: a real journal; a clock that is well, jumps, runs on, is noted again by later starts, and is
set back.
"""

import pytest

from gateway.journal.dating import Stamp, came_ms, learn_boot
from gateway.journal.moments import JUMP_MS, Moments, note_moment, read_moments
from gateway.journal.opening import connect
from gateway.journal.store import FILE_NAME
from protocol import messages

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000
FAR_MS = NOW_MS + 20 * 365 * 24 * HOUR_MS


@pytest.fixture
def connection(tmp_path):
    return connect(tmp_path / FILE_NAME)


def test_a_clock_that_is_well_makes_no_jump(connection):
    for hour in range(5):
        found, _ = note_moment(connection, NOW_MS + hour * HOUR_MS)
        assert found == Moments(NOW_MS + hour * HOUR_MS)
    assert note_moment(connection, found.newest_ms + JUMP_MS)[0].before_ms is None
    assert note_moment(connection, NOW_MS)[0].before_ms is None  # set back by months


def test_a_jump_is_known_before_it_is_noted_and_over_later_starts(connection):
    note_moment(connection, NOW_MS)
    expected = Moments(FAR_MS, NOW_MS, FAR_MS)
    assert read_moments(connection, FAR_MS) == expected
    assert read_moments(connection, NOW_MS) == Moments(NOW_MS)  # looking notes nothing
    assert note_moment(connection, FAR_MS) == (expected, False)
    for hour in (1, 24, 24 * 80):
        found, _ = note_moment(connection, FAR_MS + hour * HOUR_MS)
        assert (found.before_ms, found.after_ms) == (NOW_MS, FAR_MS)


def test_it_ends_when_the_clock_is_set_back(connection):
    note_moment(connection, NOW_MS)
    note_moment(connection, FAR_MS)
    assert note_moment(connection, FAR_MS - HOUR_MS)[0].before_ms == NOW_MS  # set by a little
    assert note_moment(connection, NOW_MS + HOUR_MS) == (Moments(NOW_MS + HOUR_MS), False)


def test_a_journal_of_an_earlier_edition_knows_when_nodes_were_heard(connection):
    assert read_moments(connection, FAR_MS) == Moments(FAR_MS)
    connection.execute("INSERT INTO nodes (node, seen_ms) VALUES ('lane-1', ?)", (NOW_MS,))
    assert note_moment(connection, FAR_MS) == (Moments(FAR_MS, NOW_MS, FAR_MS), False)


def boots(connection):
    return connection.execute(
        "SELECT boot_id, word_ms, quality, arrival_ms FROM boots ORDER BY id"
    ).fetchall()


def learn(connection, boot_id, arrived_ms, quality=messages.TIME_GATEWAY):
    """Learn a boot as if it had just begun, and been told the time."""
    learn_boot(connection, "lane-1", Stamp(boot_id, 0, arrived_ms, quality), arrived_ms)


@pytest.mark.parametrize("step_ms", [NOW_MS - FAR_MS, 0])
def test_what_boots_were_dated_by_meanwhile_is_corrected_or_forgotten(connection, step_ms):
    learn(connection, b"before", NOW_MS)
    note_moment(connection, NOW_MS)
    note_moment(connection, FAR_MS)
    learn(connection, b"meanwhile", FAR_MS)
    learn(connection, b"by GNSS", FAR_MS, messages.TIME_GNSS)  # which nobody here knows better
    note_moment(connection, NOW_MS + HOUR_MS, step_ms)
    corrected_ms = NOW_MS if step_ms else None
    assert boots(connection) == [
        (b"before", NOW_MS, 2, NOW_MS),
        (b"meanwhile", None, 0, corrected_ms),
        (b"by GNSS", FAR_MS, 3, corrected_ms),
    ]


def test_a_clock_that_falls_behind_forgets_nothing(connection):
    note_moment(connection, NOW_MS - 2 * JUMP_MS)
    note_moment(connection, NOW_MS)  # the post lay in a store
    learn(connection, b"right", NOW_MS)
    note_moment(connection, HOUR_MS, HOUR_MS - NOW_MS)
    assert boots(connection) == [(b"right", NOW_MS, 2, NOW_MS)]


def test_a_record_of_the_future_came_before_the_clock_was_set(connection):
    assert came_ms(connection, FAR_MS) == FAR_MS  # nothing is noted
    note_moment(connection, NOW_MS)
    assert came_ms(connection, FAR_MS) == NOW_MS
    assert came_ms(connection, NOW_MS + HOUR_MS) == NOW_MS + HOUR_MS  # since the last note
    note_moment(connection, HOUR_MS)
    assert came_ms(connection, NOW_MS) == NOW_MS  # a clock in 1970 knows nothing
