"""Goal: records are dated honestly: those without a time, and those with one that cannot be true.

Method: births, healths and records of scripted boots in a real journal; the moments asked for.
"""

import pytest

from gateway import wire
from gateway.journal import records
from gateway.journal.dating import (
    ARRIVAL_UNCERTAINTY_MS,
    BOOTS_PER_NODE_MAX,
    NODE_UNCERTAINTY_MS,
    STEP_MS,
    Moment,
    Stamp,
    age_base_ms,
    learn_boot,
    read_moment,
    stamp_of,
)
from gateway.journal.store import connect
from protocol.messages import EVENT_CODE, ROLE_SAMPLE, Event, Reading

NODE = "lane-1"
NOW_MS = 1_795_000_000_000
FIRST, SECOND, THIRD = b"boot-001", b"boot-002", b"boot-003"


@pytest.fixture
def connection(tmp_path):
    opened = connect(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def commit(connection, seq, boot_id, uptime_ms, time=(None, 0), received_ms=NOW_MS):
    """Commit a reading as the gateway does and return it."""
    message = Reading(
        *(b"journal1", seq, boot_id, uptime_ms, *time, b"inspect1", ROLE_SAMPLE, b"axis-one"),
        *(400_000, 1, 100, None, 65_535, 0, None, bytes(64)),
    )
    record = wire.decode(message.pack())
    records.insert_record(connection, NODE, record, message.pack(), received_ms)
    learn_boot(connection, NODE, stamp_of(record), None)
    return record


def test_a_record_that_knows_its_time_is_believed(connection):
    record = commit(connection, 1, FIRST, 5_000, (NOW_MS - 7, 1))
    assert read_moment(connection, NODE, record, NOW_MS) == Moment(NOW_MS - 7, None, "node")


def test_a_time_without_a_quality_is_none(connection):
    """SPEC 7.2."""
    record = commit(connection, 1, FIRST, 5_000, (NOW_MS, 0))
    assert read_moment(connection, NODE, record, NOW_MS) == Moment(None, None, "none")


def test_the_arrival_of_a_birth_dates_what_the_boot_measured_before(connection):
    """SPEC 7.6."""
    record = commit(connection, 1, FIRST, 5_000)
    learn_boot(connection, NODE, Stamp(FIRST, 65_000, None, 0), NOW_MS)
    wanted = Moment(NOW_MS - 60_000, ARRIVAL_UNCERTAINTY_MS, "boot")
    assert read_moment(connection, NODE, record, NOW_MS) == wanted
    # One that was held up changes nothing, one with less delay does.
    learn_boot(connection, NODE, Stamp(FIRST, 66_000, None, 0), NOW_MS + 30_000)
    assert read_moment(connection, NODE, record, NOW_MS) == wanted
    learn_boot(connection, NODE, Stamp(FIRST, 67_000, None, 0), NOW_MS + 1_000)
    assert read_moment(connection, NODE, record, NOW_MS).time_ms == NOW_MS - 61_000
    # The gateway's clock was wrong by more than any delay, and is set now.
    learn_boot(connection, NODE, Stamp(FIRST, 68_000, None, 0), NOW_MS + 2 * STEP_MS)
    assert read_moment(connection, NODE, record, NOW_MS).time_ms > NOW_MS


@pytest.mark.parametrize("with_event", [True, False])
def test_the_nodes_own_time_is_better_and_comes_with_any_message(connection, with_event):
    """SPEC 7.6: also with a record of the same boot, measured when it knew the time."""
    record = commit(connection, 1, FIRST, 5_000)
    learn_boot(connection, NODE, Stamp(FIRST, 65_000, None, 0), NOW_MS)
    later = (b"journal1", 2, FIRST, 90_000, NOW_MS + 20_000, 2)
    if with_event:
        event = Event(*later, b"inspect2", EVENT_CODE, "]C1", b"1", None, None)
        learn_boot(connection, NODE, stamp_of(wire.decode(event.pack())), None)
    else:
        commit(connection, 2, FIRST, 90_000, later[4:])
    wanted = Moment(NOW_MS - 65_000, NODE_UNCERTAINTY_MS, "boot")
    assert read_moment(connection, NODE, record, NOW_MS) == wanted
    learn_boot(connection, NODE, Stamp(FIRST, 99_000, None, 0), NOW_MS)  # an arrival: worse
    assert read_moment(connection, NODE, record, NOW_MS) == wanted
    learn_boot(connection, NODE, Stamp(FIRST, 99_000, NOW_MS + 39_000, 2), NOW_MS)  # corrected
    assert read_moment(connection, NODE, record, NOW_MS).time_ms == NOW_MS - 55_000


def test_what_a_broker_retained_says_nothing_by_its_arrival(connection):
    """SPEC 7.6."""
    record = commit(connection, 1, FIRST, 5_000)
    learn_boot(connection, NODE, Stamp(FIRST, 65_000, None, 0), None)
    assert read_moment(connection, NODE, record, NOW_MS).source == "none"


def test_a_boot_nobody_heard_lies_between_its_neighbours(connection):
    """SPEC 7.6: uncertain by half of what is between them; a stranger's records do not count."""
    hour_ms = 3_600_000
    commit(connection, 1, FIRST, 5_000, (NOW_MS - 10 * hour_ms, 2))
    lost = [commit(connection, seq, SECOND, 5_000 + seq) for seq in (2, 3)]
    for record in lost:
        moment = read_moment(connection, NODE, record, NOW_MS)
        assert moment == Moment(NOW_MS - 5 * hour_ms, 5 * hour_ms, "between")
    commit(connection, 4, THIRD, 5_000)
    learn_boot(connection, NODE, Stamp(THIRD, 5_000, None, 0), NOW_MS - 4 * hour_ms)
    for record in lost:
        moment = read_moment(connection, NODE, record, NOW_MS)
        assert moment == Moment(NOW_MS - 7 * hour_ms, 3 * hour_ms, "between")
    first = commit(connection, 7, b"boot-xyz", 1)
    assert read_moment(connection, "lane-2", first, NOW_MS) == Moment(None, None, "none")


def test_neighbours_that_contradict_each_other_date_nothing(connection):
    """A node's clock was corrected backwards between them."""
    commit(connection, 1, FIRST, 5_000, (NOW_MS + 10, 2))
    record = commit(connection, 2, SECOND, 5_000)
    commit(connection, 3, THIRD, 5_000, (NOW_MS - 10, 2))
    assert read_moment(connection, NODE, record, NOW_MS) == Moment(None, None, "none")


def test_a_node_that_invents_boots_fills_nothing(connection):
    for number in range(BOOTS_PER_NODE_MAX + 5):
        learn_boot(connection, NODE, Stamp(b"%08d" % number, 0, None, 0), NOW_MS + number)
    found = connection.execute("SELECT count(*), min(boot_id) FROM boots").fetchall()
    assert found == [(BOOTS_PER_NODE_MAX, b"00000005")]


DAY_MS = 86_400_000


@pytest.mark.parametrize("wrong_ms", [-20_000 * DAY_MS, -40 * DAY_MS, -STEP_MS * 2, 40 * DAY_MS])
def test_a_word_that_the_arrivals_contradict_is_not_believed(connection, wrong_ms):
    """SPEC 7.7: the node was told the time by a gateway whose clock was wrong."""
    learn_boot(connection, NODE, Stamp(FIRST, 65_000, None, 0), NOW_MS)
    record = commit(connection, 1, FIRST, 5_000, (NOW_MS - 60_000 + wrong_ms, 2))
    moment = read_moment(connection, NODE, record, NOW_MS)
    assert moment == Moment(NOW_MS - 60_000, ARRIVAL_UNCERTAINTY_MS, "boot")
    undated = commit(connection, 2, FIRST, 6_000)  # nor by what the boot said so
    assert read_moment(connection, NODE, undated, NOW_MS).time_ms == NOW_MS - 59_000


@pytest.mark.parametrize("time_ms", [0, 1_700_000_000_000, NOW_MS + STEP_MS + 1])
def test_a_word_that_cannot_be_true_is_passed_over(connection, time_ms):
    """SPEC 7.7: later than it came, or long before this program was made."""
    record = commit(connection, 1, FIRST, 5_000, (time_ms, 2))
    assert read_moment(connection, NODE, record, NOW_MS).source == "none"
    commit(connection, 3, SECOND, 5_000, (NOW_MS - 10, 2))
    fourth = commit(connection, 4, FIRST, 5_000, (time_ms, 2))
    commit(connection, 5, THIRD, 5_000, (NOW_MS, 2))
    assert read_moment(connection, NODE, fourth, NOW_MS) == Moment(NOW_MS - 5, 5, "between")


def test_a_time_of_satellites_needs_no_gateway(connection):
    """SPEC 7.7."""
    learn_boot(connection, NODE, Stamp(FIRST, 65_000, None, 0), NOW_MS + 40 * DAY_MS)
    record = commit(connection, 1, FIRST, 5_000, (NOW_MS, 3))
    assert read_moment(connection, NODE, record, NOW_MS) == Moment(NOW_MS, None, "node")


def test_a_computer_in_1970_takes_nothing_from_a_node_that_knows_better(connection):
    """SPEC 7.7: neither by the arrivals of its births nor by that of the record."""
    learn_boot(connection, NODE, Stamp(FIRST, 65_000, None, 0), 90_000)
    record = commit(connection, 1, FIRST, 5_000, (NOW_MS, 2), received_ms=91_000)
    moment = read_moment(connection, NODE, record, 91_000)
    assert moment == Moment(NOW_MS, None, "node")
    assert age_base_ms(moment, 2, 91_000) == NOW_MS


def test_later_words_correct_earlier_ones_and_that_is_told(connection):
    """SPEC 7.7: also when a record with the earlier word comes from the flash afterwards."""
    wrong_ms = NOW_MS - 40 * DAY_MS
    assert not learn_boot(connection, NODE, Stamp(FIRST, 1_000, None, 0), wrong_ms)
    assert not learn_boot(connection, NODE, Stamp(FIRST, 2_000, wrong_ms + 1_000, 2), wrong_ms)
    record = commit(connection, 1, FIRST, 5_000, received_ms=wrong_ms + 4_000)
    assert read_moment(connection, NODE, record, NOW_MS).time_ms == wrong_ms + 4_000
    assert learn_boot(connection, NODE, Stamp(FIRST, 60_000, NOW_MS, 2), NOW_MS)  # it was set
    commit(connection, 2, FIRST, 6_000, (wrong_ms + 5_000, 2))
    moment = read_moment(connection, NODE, record, wrong_ms + 4_000)
    assert moment == Moment(NOW_MS - 55_000, NODE_UNCERTAINTY_MS, "boot")
    assert age_base_ms(moment, 0, wrong_ms + 4_000) == NOW_MS - 55_000
    assert not learn_boot(connection, NODE, Stamp(FIRST, 90_000, NOW_MS + 30_000, 2), NOW_MS)


def test_a_board_that_runs_for_months_may_drift(connection):
    """SPEC 7.7: 100 ppm of its uptime are no contradiction."""
    months_ms = 100 * DAY_MS
    learn_boot(connection, NODE, Stamp(FIRST, 1_000, None, 0), NOW_MS - months_ms)
    own_ms = NOW_MS + STEP_MS + 200_000
    record = commit(connection, 1, FIRST, months_ms, (own_ms, 2), received_ms=own_ms)
    assert read_moment(connection, NODE, record, own_ms) == Moment(own_ms, None, "node")
