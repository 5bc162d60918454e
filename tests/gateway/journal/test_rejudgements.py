"""Goal: runs, steps and differences are kept so that a kill costs at most the step it falls into.

Method: the functions on a real journal; records and verdicts are made by the journal's own writers.
"""

import msgspec
import pytest

from gateway import wire
from gateway.journal import records, rejudgements
from gateway.journal.differences import read_differences, read_progress
from gateway.journal.records import Judgement
from gateway.journal.rejudgements import Changed, Step
from gateway.journal.store import connect
from protocol.messages import Reading
from tests.gateway.journal.pending import read_pending

NODE = "lane-1"


def explanation(verdict, library="1", hits=()):
    return msgspec.json.encode(
        {
            "verdict": verdict,
            "reason_id": "r",
            "library_version": library,
            "hits": [{"substance_id": name} for name in hits],
            "lists": [],
        }
    )


def judgement(record_id, verdict, judged_ms=1_000, alert=None, **keywords):
    told = explanation(verdict, **keywords)
    return Judgement(record_id, verdict, "r", told, judged_ms, alert, b"body" if alert else None)


@pytest.fixture
def connection(tmp_path):
    found = connect(tmp_path / "journal.sqlite")
    for seq in (1, 2, 3):
        frame = Reading(
            *(b"journal1", seq, b"boot-one", 5_000, None, 0, b"inspect1", 0, b"axis-one"),
            *(400_000, 1, 100, None, 65_535, 0, None, bytes(64)),
        ).pack()
        records.insert_record(found, NODE, wire.decode(frame), frame, received_ms=seq)
        records.insert_judgement(found, judgement(seq, "clear"))
    yield found
    found.close()


def begin(connection, library="2", lists="a", now_ms=50):
    return rejudgements.begin_run(
        connection, library, lists, since_ms=0, now_ms=now_ms, faults=["one"]
    )


def test_a_run_goes_on_until_library_or_lists_change(connection):
    first = begin(connection)
    assert (first.below_id, first.is_ended) == (4, False)
    assert first.lists_changed  # nothing is known of the lists of these verdicts
    rejudgements.save_step(connection, first.run_id, Step(3, 1, 0))
    again = begin(connection, now_ms=70)
    assert (again.run_id, again.below_id) == (first.run_id, 3)
    rejudgements.end_run(connection, first.run_id, Step(1, 2, 0), 80)
    assert begin(connection).is_ended
    assert read_progress(connection).judged == 3
    other = begin(connection, library="3")
    assert (other.run_id > first.run_id, other.below_id, other.lists_changed) == (True, 4, False)
    assert begin(connection, library="3", lists="b").lists_changed


def test_a_journal_without_verdicts_has_nothing_to_do(tmp_path):
    empty = connect(tmp_path / "empty.sqlite")
    assert begin(empty).is_ended
    assert read_progress(empty).faults == ("one",)
    empty.close()


def test_readings_come_newest_first(connection):
    assert rejudgements.read_next(connection, 4, 2) == [(3, 3), (2, 2)]
    assert rejudgements.read_next(connection, 2, 2) == [(1, 1)]
    assert rejudgements.read_next(connection, 1, 2) == []


def test_a_difference_stands_beside_the_first_verdict(connection):
    run = begin(connection)
    after = judgement(2, "alarm", 2_000, alert="a.2", library="2", hits=("urea",))
    before = explanation("clear")
    assert rejudgements.save_step(
        connection, run.run_id, Step(2, 2, 1), Changed(before, "clear", after)
    )
    progress = read_progress(connection)
    assert (progress.judged, progress.changed, progress.raised, progress.lowered) == (2, 1, 1, 0)
    assert progress.failed == 1
    ((kept,),) = connection.execute("SELECT verdict FROM verdicts WHERE record_id = 2").fetchall()
    assert kept == "clear"
    (found,) = read_differences(connection, 10)
    assert (found.seq, found.verdict_before, found.verdict_after) == (2, "clear", "alarm")
    assert (found.hits_after, found.alert_id, found.node) == (("urea",), "a.2", NODE)
    second = begin(connection, library="3")
    lowered = judgement(2, "clear", 3_000, library="3")
    change = Changed(after.explanation, "alarm", lowered)
    assert not rejudgements.save_step(connection, second.run_id, Step(2, 1, 0), change)
    assert read_progress(connection).lowered == 1
    assert len(read_differences(connection, 10)) == 2


def test_the_newest_verdict_is_what_a_run_compares_with(connection):
    def newest():
        return rejudgements.told(rejudgements.read_stored(connection, 2).explanation).verdict

    assert newest() == "clear"
    run = begin(connection)
    after = judgement(2, "inconclusive", 2_000, library="2")
    rejudgements.save_step(
        connection, run.run_id, Step(2, 1, 0), Changed(explanation("clear"), "clear", after)
    )
    assert newest() == "inconclusive"
    records.insert_judgement(connection, judgement(2, "alarm", 3_000))  # its calibration came
    assert newest() == "alarm"
    assert rejudgements.read_stored(connection, 99) is None


def test_a_verdict_that_cannot_be_read_is_none():
    assert rejudgements.told(b"nothing") is None
    assert rejudgements.told(b"{}") is None


def test_lists_of_an_interrupted_run_are_not_forgotten(connection):
    """A reading that the interrupted run has judged stands on its lists, whatever came before."""
    first = begin(connection, lists="a")
    rejudgements.end_run(connection, first.run_id, Step(1, 3, 0), 60)
    assert not begin(connection, library="3", lists="a").lists_changed
    interrupted = begin(connection, library="3", lists="b")
    rejudgements.save_step(connection, interrupted.run_id, Step(3, 1, 0))
    back = begin(connection, library="3", lists="a")
    assert (back.run_id > interrupted.run_id, back.below_id) == (True, 4)
    assert back.lists_changed  # since the last run that ended, lists "b" were in use
    rejudgements.save_step(connection, back.run_id, Step(2, 1, 0))
    assert begin(connection, library="3", lists="a").lists_changed  # also when it goes on
    rejudgements.end_run(connection, back.run_id, Step(1, 1, 0), 90)
    assert not begin(connection, library="4", lists="a").lists_changed


def test_a_list_that_changed_in_an_interrupted_run_is_looked_at_by_the_next(connection):
    first = begin(connection, lists="a")
    rejudgements.end_run(connection, first.run_id, Step(1, 3, 0), 60)
    begin(connection, lists="b")  # interrupted at once
    assert begin(connection, library="3", lists="b").lists_changed


def test_a_reading_has_one_difference_in_a_run(connection):
    """It is judged again by the run without a calibration, then out of turn with one."""
    run = begin(connection)
    connection.execute("INSERT INTO unrecorded (record_id) VALUES (2)")
    assert rejudgements.read_stored(connection, 2).is_unrecorded
    lowered = judgement(2, "inconclusive", 2_000)
    first = explanation("alarm")
    rejudgements.save_step(connection, run.run_id, Step(2, 1, 0), Changed(first, "alarm", lowered))
    after = judgement(2, "alarm", 3_000, alert="a.2")
    connection.execute("INSERT INTO pending SELECT node, id FROM records WHERE id = 2")
    changed = Changed(lowered.explanation, "inconclusive", after)
    assert rejudgements.save_now(connection, run.run_id, 2, is_calibrated=True, changed=changed)
    progress = read_progress(connection)
    assert (progress.changed, progress.raised, progress.lowered) == (1, 0, 0)
    (found,) = read_differences(connection, 10)
    assert (found.verdict_before, found.verdict_after) == ("alarm", "alarm")
    assert read_pending(connection, 10) == []
    assert not rejudgements.read_stored(connection, 2).is_unrecorded
    other = begin(connection, library="3")
    connection.execute("INSERT INTO pending SELECT node, id FROM records WHERE id = 3")
    assert not rejudgements.save_now(connection, other.run_id, 3, is_calibrated=False, changed=None)
    assert read_pending(connection, 10) == []
