"""Goal: a record is committed once, ledgers can be rebuilt, judges and outbox get what is theirs.

Method: a real journal in memory and the functions that the gateway runs in it. Hypothesis draws
records, floors and restarts; after each step the rebuilt ledger must say what the kept one says,
and what is lost must be exactly what was given up and is not there.
"""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway import wire
from gateway.journal import darks, outbox, records
from gateway.journal.store import connect
from protocol import messages
from protocol.delivery import Ledger
from tests.gateway.journal.pending import read_pending

JOURNAL = b"journal1"


@pytest.fixture
def connection(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    yield connection
    connection.close()


def reading(seq, *, role=messages.ROLE_SAMPLE, journal_id=JOURNAL, dark_seq=None):
    return wire.Reading(
        *(journal_id, seq, b"boot-one", 5, None, 0, b"inspect1", role, b"axis-one", 400_000, 1),
        *(100, None, 65_535, 0, dark_seq, b"\1\2" * 64),
    )


def birth(*, axis_id=b"axis-one", boot_id=b"boot-one"):
    return wire.Birth(
        *(boot_id, 5, None, 0, JOURNAL, 1, 9, "firmware", "unix", 0, "model", "serial"),
        *(axis_id, 64, 785_000, 8_000, b"\0" * 8, 65_535),
    )


def offline(boot_id):
    return wire.Status(boot_id, online=False, uptime_ms=1)


def insert(connection, record, node="lane-1"):
    return records.insert_record(connection, node, record, wire.encode(record), 1_000)


def judge(connection, record_id, verdict="clear", reason_id="unknown_clear", alert_id=None):
    return records.insert_judgement(
        connection,
        records.Judgement(record_id, verdict, reason_id, b"{}", 2_000, alert_id, b"body"),
    )


class Ledgers(RuleBasedStateMachine):
    """One journal of one node: what is committed, given up, and forgotten by a restart."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.connection = connect(Path(self.folder.name) / "journal.sqlite")
        self.ledger = Ledger()
        self.committed: set[int] = set()
        self.floor = 0
        self.is_known = False
        self.lost = 0

    def teardown(self):
        self.connection.close()
        self.folder.cleanup()

    @initialize(is_born=st.booleans())
    def begin(self, is_born):
        if is_born:
            self.raise_floor(1)

    @rule(seqs=st.lists(st.integers(1, 30), min_size=1, max_size=8))
    def commit(self, seqs):
        """One batch; with it, one batch late, the floor that was known before it."""
        if self.ledger.seq:
            records.save_floor(self.connection, "lane-1", JOURNAL, self.ledger.seq)
            self.is_known = True
        for seq in seqs:
            record = reading(seq, role=messages.ROLE_DARK)
            assert insert(self.connection, record) == (seq not in self.committed)
            self.committed.add(seq)
        for seq in seqs:
            self.ledger.commit(seq)

    @rule(oldest_seq=st.integers(1, 45))
    def raise_floor(self, oldest_seq):
        lost = records.raise_floor(self.connection, "lane-1", JOURNAL, oldest_seq)
        given_up = set(range(self.floor + 1, oldest_seq)) - self.committed
        assert lost == (len(given_up) if self.is_known else 0)
        self.ledger.raise_floor(oldest_seq)
        self.floor = max(self.floor, oldest_seq - 1)
        self.is_known = True

    @rule()
    def restart(self):
        self.ledger = records.read_ledger(self.connection, "lane-1", JOURNAL)

    @invariant()
    def rebuilt_is_the_same(self):
        rebuilt = records.read_ledger(self.connection, "lane-1", JOURNAL)
        assert rebuilt.seq == self.ledger.seq
        assert set(zip(rebuilt.beyond()[::2], rebuilt.beyond()[1::2], strict=True)) == set(
            zip(self.ledger.beyond()[::2], self.ledger.beyond()[1::2], strict=True)
        )

    @invariant()
    def nothing_is_receipted_that_could_still_come(self):
        settled = self.committed | set(range(1, self.floor + 1))
        assert set(range(1, self.ledger.seq + 1)) <= settled


Ledgers.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestLedgers = Ledgers.TestCase


def test_a_record_is_one_by_node_journal_and_seq(connection):
    assert insert(connection, reading(1))
    assert not insert(connection, reading(1))
    assert not insert(connection, reading(1, role=messages.ROLE_DARK))  # the first stands
    assert insert(connection, reading(1), node="lane-2")
    assert insert(connection, reading(1, journal_id=b"journal2"))
    assert connection.execute("SELECT count(*) FROM pending").fetchall() == [(3,)]


def test_samples_and_standards_go_to_the_judges_and_dark_frames_do_not(connection):
    insert(connection, reading(1, role=messages.ROLE_DARK))
    insert(connection, reading(2, role=messages.ROLE_STANDARD))
    insert(connection, reading(3))
    assert [pending.reading.seq for pending in read_pending(connection, 9)] == [2, 3]


def test_nodes_take_turns_and_each_keeps_its_order(connection):
    for seq in range(1, 7):
        insert(connection, reading(seq), "lane-1")
    for node in ("lane-2", "lane-3"):
        for seq in (1, 2):
            insert(connection, reading(seq), node)
    turns = [(p.node[-1], p.reading.seq) for p in read_pending(connection, 9)]
    assert turns == [
        *[(node, seq) for seq in (1, 2) for node in "123"],
        ("1", 3),
        ("1", 4),
        ("1", 5),
    ]
    assert len(read_pending(connection, 4)) == 4


def test_a_frame_that_is_not_valid_any_more_stops_no_judge(connection):
    insert(connection, reading(1))
    connection.execute("UPDATE records SET frame = x'c1'")
    (pending,) = read_pending(connection, 9)
    assert pending.reading is None
    judge(connection, pending.record_id)
    assert read_pending(connection, 9) == []


def test_a_dark_frame_is_one_of_the_same_journal_and_role(connection):
    insert(connection, reading(1, role=messages.ROLE_DARK))
    insert(connection, reading(2))
    read = darks.read_dark
    assert read(connection, "lane-1", reading(3, dark_seq=1)).seq == 1
    assert read(connection, "lane-1", reading(3, dark_seq=2)) is None
    assert read(connection, "lane-1", reading(3, dark_seq=9)) is None
    assert read(connection, "lane-1", reading(3)) is None
    assert read(connection, "lane-2", reading(3, dark_seq=1)) is None
    assert read(connection, "lane-1", reading(3, dark_seq=1, journal_id=b"journal2")) is None


def test_a_new_axis_sends_back_what_lacked_one(connection):
    for seq in (1, 2, 3):
        insert(connection, reading(seq))
    insert(connection, reading(1), "lane-2")
    for record_id, reason in enumerate(("no_axis", "bad_axis", "no_axis", "no_axis"), start=1):
        judge(connection, record_id, "inconclusive", reason)
    word = birth()
    assert records.save_birth(connection, "lane-1", word, wire.encode(word), 5)
    assert [p.record_id for p in read_pending(connection, 9)] == [1, 3]
    assert not records.save_birth(connection, "lane-1", word, wire.encode(word), 6)
    assert records.read_axis_birth(connection, "lane-1", b"axis-one") == word
    assert records.read_axis_birth(connection, "lane-2", b"axis-one") is None
    blind = birth(axis_id=None)
    assert not records.save_birth(connection, "lane-1", blind, wire.encode(blind), 7)
    assert records.read_births(connection) == {"lane-1": blind}


def test_what_is_retained_says_nothing_about_now(connection):
    state = "SELECT online, seen_ms FROM nodes"
    word = birth()
    records.save_birth(connection, "lane-1", word, wire.encode(word), None)
    assert connection.execute(state).fetchall() == [(0, None)]
    records.save_birth(connection, "lane-1", word, wire.encode(word), 70)
    assert connection.execute(state).fetchall() == [(1, 70)]
    records.save_birth(connection, "lane-1", word, wire.encode(word), None)
    assert connection.execute(state).fetchall() == [(1, 70)]
    assert not records.save_status(connection, "lane-1", offline(b"boot-old"), 80)
    assert records.save_status(connection, "lane-1", offline(b"boot-one"), 80)
    assert connection.execute(state).fetchall() == [(0, 80)]


def test_a_config_keeps_its_version_until_it_changes(connection):
    wanted = wire.Config(1, 400_000, 1, 0, 300, 8, 5_000)
    other = msgspec.structs.replace(wanted, scans=4)

    def version(config, now_s):
        return records.save_config(connection, "lane-1", config, now_s).version

    assert version(wanted, 1_000) == 1_000
    assert version(wanted, 2_000) == 1_000
    assert version(other, 3_000) == 3_000
    assert version(wanted, 3_000) == 3_001  # within the same second
    assert version(other, 5) == 3_002  # the clock went back
    connection.execute("UPDATE configs SET frame = x'c1'")  # damaged: begins anew, but not at 1
    assert version(wanted, 9_000) == 9_000
    connection.execute("DELETE FROM configs")
    assert version(wanted, -1) == 1
    assert version(other, 1 << 40) == (1 << 32) - 1


def test_a_config_that_a_node_did_not_confirm_is_sent_as_a_new_version(connection):
    wanted = wire.Config(1, 400_000, 1, 0, 300, 8, 5_000)

    def version(now_s, confirmed):
        return records.save_config(connection, "lane-1", wanted, now_s, confirmed).version

    assert version(1_000, None) == 1_000
    assert version(2_000, 1_000) == 1_000
    assert version(3_000, 999) == 3_000
    assert version(3_000, 999) == 3_001
    assert version(4_000, None) == 3_001  # never born: nothing was taken back


def test_a_verdict_and_its_alert_are_one_and_the_alert_is_made_once(connection):
    insert(connection, reading(1))
    assert judge(connection, 1, "alarm", "listed_found", "post.lane-1.00.1")
    assert not judge(connection, 1, "alarm", "listed_found", "post.lane-1.00.1")
    assert not judge(connection, 1, "alarm", "listed_found", "renamed-post.lane-1.00.1")
    assert connection.execute("SELECT alert_id, body FROM alerts").fetchall() == [
        ("post.lane-1.00.1", b"body")
    ]
    with pytest.raises(Exception, match="constraint"):
        judge(connection, 1, "perhaps")


def test_the_outbox_gives_the_least_tried_first_and_holds_nobody_up(connection):
    for seq in range(1, 5):
        insert(connection, reading(seq))
        judge(connection, seq, "alarm", "listed_found", f"alert-{seq}")
    read = outbox.read_waiting
    assert read(connection, [], only_new=False).alert_id == "alert-1"
    outbox.save_attempt(connection, "alert-1", "x" * 1_000)
    outbox.save_attempt(connection, "alert-2", "no")
    assert read(connection, [], only_new=False).alert_id == "alert-3"
    assert read(connection, ["alert-3"], only_new=True).alert_id == "alert-4"
    assert read(connection, ["alert-3", "alert-4"], only_new=True) is None
    assert read(connection, ["alert-3", "alert-4"], only_new=False).alert_id == "alert-1"
    outbox.save_receipt(connection, "alert-3", b"{}", 5)
    assert read(connection, [], only_new=False).alert_id == "alert-4"
    outbox.save_receipt(connection, "alert-3", b"another", 9)  # the first receipt stands
    found = connection.execute("SELECT receipt, receipt_ms FROM alerts WHERE receipt NOT NULL")
    assert found.fetchall() == [(b"{}", 5)]


def test_counters_add_up_and_stop_before_they_overflow(connection):
    records.save_counters(connection, {("record_lost", "lane-1"): 2, ("task_fault", "link"): 1})
    records.save_counters(connection, {("record_lost", "lane-1"): 1 << 60})
    records.save_counters(connection, {("record_lost", "lane-1"): 1 << 60})
    found = connection.execute("SELECT * FROM counters ORDER BY name").fetchall()
    assert found == [("record_lost", "lane-1", records.COUNT_MAX), ("task_fault", "link", 1)]
