"""Goal: the journal knows which standard was meant, what came of it, and what is judged again.

Method: a real journal and the functions that the gateway runs in it.
"""

import pytest

from gateway import wire
from gateway.journal import calibrations, records
from gateway.journal.calibrations import Kept
from gateway.journal.dating import Stamp, learn_boot, read_moment, stamp_of
from gateway.journal.store import connect
from protocol import messages
from tests.gateway.journal.pending import read_pending
from tests.gateway.journal.test_records import birth, insert, judge, reading

AXIS = b"axis-one"
FAR_MS = 1_795_000_000_000


@pytest.fixture
def connection(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    yield connection
    connection.close()


def kept(record_id, fault="", measured_ms=5_000):
    body = b"" if fault else b"{}"
    return Kept(record_id, measured_ms, "polystyrene", fault, "why" if fault else "", body)


def standard(connection, seq, fault="", *, node="lane-1", axis_id=AXIS, again_from_ms=0):
    """Commit a reading of a standard and what came of it; return the record's id."""
    insert(connection, reading(seq, role=messages.ROLE_STANDARD), node)
    ((record_id,),) = connection.execute("SELECT max(id) FROM records").fetchall()
    calibrations.insert_calibration(
        connection, node, axis_id, kept(record_id, fault), again_from_ms
    )
    return record_id


def command(number, argument, action=messages.ACTION_CAPTURE):
    return wire.Command(b"%08d" % number, action, None, argument)


def test_an_order_is_kept_by_its_command(connection):
    save, read = calibrations.save_order, calibrations.read_order
    assert save(connection, "lane-1", command(1, b"\2cyclohexane"), 10)
    assert read(connection, "lane-1", b"%08d" % 1) == "cyclohexane"
    assert read(connection, "lane-2", b"%08d" % 1) is None
    assert read(connection, "lane-1", b"%08d" % 2) is None
    assert save(connection, "lane-1", command(1, b"\2paracetamol"), 20)  # came again: first stands
    assert read(connection, "lane-1", b"%08d" % 1) == "cyclohexane"


@pytest.mark.parametrize(
    "order",
    [
        command(1, b""),
        command(1, b"\2"),
        command(1, b"\0polystyrene"),
        command(1, b"\2\xff"),
        command(1, b"\2polystyrene", messages.ACTION_BIRTH),
    ],
)
def test_other_commands_are_no_orders(connection, order):
    assert not calibrations.save_order(connection, "lane-1", order, 10)
    assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(0,)]


def test_orders_are_bounded_by_node_and_the_newest_stay(connection):
    for number in range(100):
        calibrations.save_order(connection, "lane-1", command(number, b"\2diamond"), number)
    calibrations.save_order(connection, "lane-2", command(1, b"\2diamond"), 1)
    found = connection.execute("SELECT node, count(*) FROM orders GROUP BY node").fetchall()
    assert found == [("lane-1", calibrations.ORDERS_PER_NODE_MAX), ("lane-2", 1)]
    assert calibrations.read_order(connection, "lane-1", b"%08d" % 99) == "diamond"
    assert calibrations.read_order(connection, "lane-1", b"%08d" % 0) is None


def test_the_newest_order_stays_whatever_the_clock_says(connection):
    """SPEC 7.1: the gateway's clock was set back by an hour, an order of just now is the newest."""
    hour_ms = 3_600_000
    for number in range(64):
        calibrations.save_order(
            connection, "lane-1", command(number, b"\2diamond"), number + hour_ms
        )
    calibrations.save_order(connection, "lane-1", command(99, b"\2silicon"), 64)
    assert calibrations.read_order(connection, "lane-1", b"%08d" % 99) == "silicon"
    assert calibrations.read_order(connection, "lane-1", b"%08d" % 0) is None


def test_a_standard_is_dated_by_what_is_known_now(connection):
    """SPEC 7.7: when it was evaluated the clock was wrong."""
    now_ms = 1_795_000_000_000
    record_id = standard(connection, 1)
    stamp = stamp_of(reading(1))
    learn_boot(connection, "lane-1", Stamp(stamp.boot_id, stamp.uptime_ms + 9, None, 0), now_ms + 9)
    for found in (
        calibrations.read_newest(connection, "lane-1", AXIS),
        *calibrations.read_around(connection, "lane-1", AXIS, record_id + 1),
    ):
        assert (found.record_id, found.measured_ms) == (record_id, now_ms)


def test_those_around_a_reading_come_in_their_order_and_are_bounded(connection):
    ids = [standard(connection, seq) for seq in range(1, 151)]
    around = calibrations.read_around(connection, "lane-1", AXIS, ids[74])
    found = [entry.record_id for entry in around]
    assert found == ids[10:74] + ids[75:139]
    assert calibrations.read_around(connection, "lane-2", AXIS, ids[74]) == ()
    assert calibrations.read_around(connection, "lane-1", b"axis-two", ids[74]) == ()


def test_the_newest_is_of_the_axis(connection):
    assert calibrations.read_newest(connection, "lane-1", AXIS) is None
    standard(connection, 1)
    last = standard(connection, 2, "no_signal")
    standard(connection, 3, axis_id=b"axis-two")
    found = calibrations.read_newest(connection, "lane-1", AXIS)
    assert (found.record_id, found.fault) == (last, "no_signal")


def test_what_came_of_an_order_is_found_by_its_command(connection):
    assert calibrations.read_ordered(connection, "lane-1", b"inspect1") is None
    record_id = standard(connection, 1)
    assert calibrations.read_ordered(connection, "lane-1", b"inspect1").record_id == record_id
    assert calibrations.read_ordered(connection, "lane-1", b"inspect2") is None
    connection.execute("UPDATE records SET frame = x'c1'")  # damaged: passed over
    assert calibrations.read_ordered(connection, "lane-1", b"inspect1") is None


def test_a_valid_one_sends_back_what_lacked_it_and_nothing_else(connection):
    reasons = (
        "not_calibrated",
        "calibration_expired",
        "uncalibrated_listed",
        "calibration_failed",
        "no_signal",
        "no_axis",
    )
    for record_id, reason in enumerate(reasons, start=1):
        insert(connection, reading(record_id))
        judge(connection, record_id, "inconclusive", reason)
    insert(connection, reading(1), "lane-2")
    judge(connection, 7, "inconclusive", "not_calibrated")
    standard(connection, 10, "wrong_material")
    assert read_pending(connection, 9) == []
    standard(connection, 11, again_from_ms=1_001)  # they came at 1000: too long ago
    assert read_pending(connection, 9) == []
    standard(connection, 12, again_from_ms=1_000)
    assert [pending.record_id for pending in read_pending(connection, 9)] == [1, 2, 3, 4]


def test_a_standard_waits_for_its_axis_as_a_sample_does(connection):
    record_id = standard(connection, 1, "no_axis")
    other = standard(connection, 2, "no_signal")
    word = birth()
    assert records.save_birth(connection, "lane-1", word, wire.encode(word), 5)
    assert [pending.record_id for pending in read_pending(connection, 9)] == [record_id]
    calibrations.insert_calibration(connection, "lane-1", AXIS, kept(record_id), 0)
    found = calibrations.read_around(connection, "lane-1", AXIS, other)
    assert [(entry.record_id, entry.fault) for entry in found] == [(record_id, "")]
    assert read_pending(connection, 9) == []


def rejudge(connection, run_id, record_id, reason, rejudged_ms):
    connection.execute(
        "INSERT OR IGNORE INTO rejudgings"
        " (id, library_version, lists_version, since_ms, below_id, started_ms)"
        " VALUES (?, 'x', 'x', 0, 0, 0)",
        (run_id,),
    )
    after = b'{"reason_id": "%s"}' % reason.encode()
    connection.execute(
        "INSERT INTO rejudged VALUES (?, ?, 'clear', x'', 'inconclusive', ?, ?)",
        (run_id, record_id, after, rejudged_ms),
    )


def test_a_valid_one_sends_back_what_lacked_it_when_it_was_judged_again(connection):
    """What counts is the newest verdict, of the time (judged at 2000) or of a run."""
    for record_id in range(1, 7):
        insert(connection, reading(record_id))
        judge(connection, record_id, "clear", "harmless_found")
    rejudge(connection, 1, 1, "not_calibrated", 3_000)
    rejudge(connection, 1, 2, "uncalibrated_listed", 3_000)
    rejudge(connection, 2, 2, "listed_found", 4_000)  # the newest run knew better
    rejudge(connection, 1, 3, "not_calibrated", 1_500)  # judged anew since
    rejudge(connection, 1, 4, 'not_calibrated", ', 3_000)  # not readable
    connection.execute("INSERT INTO unrecorded (record_id) VALUES (5)")
    standard(connection, 12, again_from_ms=1_001)
    assert read_pending(connection, 9) == []
    standard(connection, 13, again_from_ms=1_000)
    found = read_pending(connection, 9)
    assert [(pending.record_id, pending.is_told) for pending in found] == [(1, True), (5, True)]


def test_a_verdict_that_says_what_it_waits_for_is_replaced(connection):
    for record_id, reason in enumerate(("not_calibrated", "no_axis", "harmless_found"), start=1):
        insert(connection, reading(record_id))
        judge(connection, record_id, "inconclusive", reason)
        connection.execute(
            "INSERT INTO pending SELECT node, id FROM records WHERE id = ?", (record_id,)
        )
    insert(connection, reading(4))
    found = read_pending(connection, 9)
    assert [pending.is_told for pending in found] == [False, False, True, False]


@pytest.mark.parametrize("reason, wanted", [("uncalibrated_listed", [1]), ("harmless_found", [])])
def test_a_verdict_by_a_time_that_was_corrected_meanwhile_is_not_the_last(
    connection, reason, wanted
):
    """The correction came between looking and saying, when there was no verdict to send back."""
    insert(connection, reading(1))
    (pending,) = read_pending(connection, 9)
    moment = read_moment(connection, "lane-1", pending.reading, pending.received_ms)
    judgement = records.Judgement(1, "inconclusive", reason, b"{}", 5)

    def say():
        records.insert_judgement(connection, judgement)
        calibrations.want_if_moved(connection, judgement, pending, moment)
        return [each.record_id for each in read_pending(connection, 9)]

    assert say() == []
    stamp = stamp_of(pending.reading)
    learn_boot(connection, "lane-1", Stamp(stamp.boot_id, stamp.uptime_ms, FAR_MS, 2), FAR_MS)
    assert say() == wanted
