"""Goal: what is counted agrees with what is there, whatever is done to it; nobody counts rows.

Method: hypothesis draws what the gateway does to records, verdicts and alerts, also in transactions
that are undone; after each step the tallies say what counting says.
"""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.journal import outbox, records
from gateway.journal.store import connect
from gateway.journal.tallies import count_anew, read_tallies
from tests.gateway.journal.test_records import birth, insert, judge, reading, wire

NODES = st.sampled_from(["lane-1", "lane-2"])


class Tallied(RuleBasedStateMachine):
    """A journal in which everything that is counted changes."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.connection = connect(Path(self.folder.name) / "journal.sqlite")
        self.seq = 1

    def teardown(self):
        self.connection.close()
        self.folder.cleanup()

    @rule(
        node=NODES, role=st.sampled_from([0, 1, 2]), is_new=st.booleans(), is_undone=st.booleans()
    )
    def commit(self, node, role, is_new, is_undone):
        self.seq += is_new
        self.connection.execute("BEGIN")
        insert(self.connection, reading(self.seq, role=role), node)
        self.connection.execute("ROLLBACK" if is_undone else "COMMIT")

    @rule(kind=st.sampled_from(["clear", "inconclusive", "alarm"]), is_no_axis=st.booleans())
    def judge(self, kind, is_no_axis):
        for _, record_id in records.read_heads(self.connection):
            alert = f"alert-{record_id}" if kind == "alarm" else None
            judge(self.connection, record_id, kind, "no_axis" if is_no_axis else "other", alert)

    @rule(node=NODES, axis=st.sampled_from([b"axis-one", b"axis-two", b"axis-xyz"]))
    def bring_an_axis(self, node, axis):
        word = birth(axis_id=axis)
        records.save_birth(self.connection, node, word, wire.encode(word), 5)

    @rule()
    def deliver(self):
        waiting = outbox.read_waiting(self.connection, [], only_new=False)
        for _ in range(2 if waiting else 0):
            outbox.save_receipt(self.connection, waiting.alert_id, b"{}", 5)

    @invariant()
    def nothing_is_miscounted(self):
        kept = said(self.connection)
        self.connection.execute("BEGIN")
        count_anew(self.connection)
        assert said(self.connection) == kept
        self.connection.execute("ROLLBACK")


def said(connection):
    return {
        (name, subject): count
        for name, subjects in read_tallies(connection).items()
        for subject, count in subjects.items()
        if count
    }


Tallied.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestTallies = Tallied.TestCase
