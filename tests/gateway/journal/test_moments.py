"""Goal: it is remembered from where the clock jumped ahead, until somebody sets it back.

Method: a real journal; a clock that is well, jumps, runs on, is noted again by later starts, and is
set back.
"""

import pytest

from gateway.journal.moments import JUMP_MS, Moments, note_moment, read_moments
from gateway.journal.opening import connect
from gateway.journal.store import FILE_NAME

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000
FAR_MS = NOW_MS + 20 * 365 * 24 * HOUR_MS


@pytest.fixture
def connection(tmp_path):
    return connect(tmp_path / FILE_NAME)


def test_a_clock_that_is_well_makes_no_jump(connection):
    for hour in range(5):
        found = note_moment(connection, NOW_MS + hour * HOUR_MS)
        assert found == Moments(NOW_MS + hour * HOUR_MS)
    assert note_moment(connection, found.newest_ms + JUMP_MS).before_ms is None
    assert note_moment(connection, NOW_MS).before_ms is None  # set back by months


def test_a_jump_is_known_before_it_is_noted_and_over_later_starts(connection):
    note_moment(connection, NOW_MS)
    expected = Moments(FAR_MS, NOW_MS, FAR_MS)
    assert read_moments(connection, FAR_MS) == expected
    assert read_moments(connection, NOW_MS) == Moments(NOW_MS)  # looking notes nothing
    assert note_moment(connection, FAR_MS) == expected
    for hour in (1, 24, 24 * 80):
        found = note_moment(connection, FAR_MS + hour * HOUR_MS)
        assert (found.before_ms, found.after_ms) == (NOW_MS, FAR_MS)


def test_it_ends_when_the_clock_is_set_back(connection):
    note_moment(connection, NOW_MS)
    note_moment(connection, FAR_MS)
    assert note_moment(connection, FAR_MS - HOUR_MS).before_ms == NOW_MS  # set by a little
    assert note_moment(connection, NOW_MS + HOUR_MS) == Moments(NOW_MS + HOUR_MS)


def test_a_journal_of_an_earlier_edition_knows_when_nodes_were_heard(connection):
    assert read_moments(connection, FAR_MS) == Moments(FAR_MS)
    connection.execute("INSERT INTO nodes (node, seen_ms) VALUES ('lane-1', ?)", (NOW_MS,))
    assert note_moment(connection, FAR_MS) == Moments(FAR_MS, NOW_MS, FAR_MS)
