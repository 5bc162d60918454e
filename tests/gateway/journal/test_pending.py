"""Goal: who is to be judged next is found at once, however much is stored or waits.

Method: a real journal with many nodes; SQLite's own plan says what a question reads.
"""

import pytest

from gateway.journal import records
from gateway.journal.darks import read_dark
from gateway.journal.rejudgements import read_stored
from gateway.journal.store import connect
from protocol import messages
from tests.gateway.journal.pending import read_pending
from tests.gateway.journal.test_records import JOURNAL, insert, judge, reading


@pytest.fixture
def connection(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    yield connection
    connection.close()


def plans(connection, ask):
    """What SQLite does for the questions that `ask` asks, in its words."""
    asked = []
    connection.exec_trace = lambda _, sql, bindings: asked.append((sql, bindings)) or True
    ask()
    connection.exec_trace = None
    return [
        row[3]
        for sql, bindings in asked
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)
    ]


def test_every_node_with_something_pending_has_one_head(connection):
    assert records.read_heads(connection) == []
    with connection:
        for node in range(30):
            for seq in range(1, 1 + (1 if node == 7 else 20)):
                insert(connection, reading(seq), f"lane-{node:02}")
        insert(connection, reading(1, role=messages.ROLE_DARK), "lane-99")
    heads = records.read_heads(connection)
    assert [node for node, _ in heads] == [f"lane-{node:02}" for node in range(30)]
    for node, record_id in heads:
        pending = records.read_pending_one(connection, record_id)
        assert (pending.node, pending.reading.seq) == (node, 1)
    judge(connection, heads[7][1])
    judge(connection, heads[0][1])
    assert "lane-07" not in dict(records.read_heads(connection))
    assert dict(records.read_heads(connection))["lane-00"] == heads[0][1] + 1
    assert records.read_pending_one(connection, heads[7][1]) is None


@pytest.mark.parametrize("name", ["heads", "one", "pending", "judged", "stored"])
def test_no_question_of_the_judges_reads_all_records(connection, name):
    insert(connection, reading(1, role=messages.ROLE_DARK))
    for seq in (2, 3):
        insert(connection, reading(seq, dark_seq=1))
    judge(connection, 3)
    questions = {
        "heads": lambda: records.read_heads(connection),
        "one": lambda: records.read_pending_one(connection, 2),
        "pending": lambda: read_pending(connection, 16),
        "judged": lambda: judge(connection, 2),
        "stored": lambda: read_stored(connection, 3),
    }
    found = plans(connection, questions[name])
    assert found
    scanned = [plan for plan in found if plan.startswith("SCAN") and "heads" not in plan]
    assert [plan for plan in scanned if "CONSTANT" not in plan] == []


def test_a_frame_with_other_bytes_than_it_came_with_is_not_judged(connection):
    """A flipped bit in the counts decodes as well as the true ones."""
    insert(connection, reading(1, role=messages.ROLE_DARK))
    for seq in (2, 3):
        insert(connection, reading(seq, dark_seq=1))
    judge(connection, 3)
    flip = "UPDATE records SET frame = CAST(replace(frame, x'01020102', x'01020103') AS BLOB)"
    assert read_dark(connection, "lane-1", reading(2, dark_seq=1)) is not None
    assert read_stored(connection, 3) is not None
    connection.execute(f"{flip} WHERE id > 1")
    pending = records.read_pending_one(connection, 2)
    assert pending.is_damaged
    assert pending.reading is None
    assert read_stored(connection, 3) is None
    connection.execute("UPDATE records SET crc = NULL")  # of an older version: nothing is known
    assert not records.read_pending_one(connection, 2).is_damaged
    connection.execute("UPDATE records SET crc = 7 WHERE id = 1")
    assert read_dark(connection, "lane-1", reading(2, dark_seq=1)) is None


def test_what_comes_again_after_its_eviction_is_old(connection):
    for seq in (1, 2, 3):
        insert(connection, reading(seq))
    records.save_floor(connection, "lane-1", JOURNAL, 3)
    connection.execute("UPDATE records SET frame = x'' WHERE id = 1")
    same, other = reading(1), reading(1, dark_seq=9)
    assert not insert(connection, same)
    for record, is_same in ((same, True), (other, False)):
        frame = records.wire.encode(record)
        assert records.read_is_same(connection, "lane-1", record, frame) == is_same
    connection.execute("DELETE FROM pending")
    connection.execute("DELETE FROM records WHERE id < 3")
    connection.execute("UPDATE journals SET evicted_seq = 2")
    assert not insert(connection, reading(1))
    assert records.read_is_same(connection, "lane-1", other, records.wire.encode(other))
    assert not insert(connection, reading(3))  # it is there
    assert insert(connection, reading(4))
    assert insert(connection, reading(1), "lane-2")
    assert records.read_ledger(connection, "lane-1", JOURNAL).seq == 4
