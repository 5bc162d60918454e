"""Goal: nothing is freed that is not committed, and what is not lost is freed in the end.

Method: a node and a gateway, each made of the real window, ledger and codec (`model.py`), joined by
a channel that loses, doubles and reorders, while either side restarts, the node's flash loses
records or is formatted, and the window is changed. Hypothesis draws the steps; the model checks
every promise at every step. Then the channel heals. Seeded stories run on both interpreters and
must say the same, byte for byte.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol import limits
from protocol.delivery import Ledger, Window
from tests.protocol import model
from tests.protocol.frames import Random

SEEDS = (1, 977, 4_242, 31_337)
STEPS = 3_000

size_drawn = st.integers(1, limits.WINDOW_RECORDS_MAX)
resend_drawn = st.integers(limits.RESEND_MS_MIN, 90_000)
index_drawn = st.integers(0, 10_000)


class Delivery(RuleBasedStateMachine):
    """SPEC 6.1, SPEC 6.2, SPEC 6.3, SPEC 6.4, SPEC 6.5, SPEC 6.7, SPEC 6.8, SPEC 6.9, SPEC 6.10.

    SPEC 6.11, SPEC 6.12, SPEC 6.13, SPEC 6.14, SPEC 6.15, SPEC 7.5.
    """

    @initialize(size=size_drawn, resend_ms=resend_drawn)
    def begin(self, size, resend_ms):
        self.world = model.World(size, resend_ms)

    @rule(count=st.integers(1, 40))
    def record(self, count):
        for _ in range(count):
            self.world.node.record(self.world.now_ms)

    @rule(count_max=st.integers(1, 40))
    def send(self, count_max):
        self.world.node_sends(count_max)

    @rule()
    def report(self):
        self.world.node_reports()

    @precondition(lambda self: self.world.up)
    @rule(index=index_drawn, keep=st.booleans())
    def deliver_up(self, index, keep):
        self.world.deliver_up(index % len(self.world.up), keep)

    @precondition(lambda self: self.world.up)
    @rule()
    def deliver_all_up(self):
        while self.world.up:
            self.world.deliver_up(0, keep=False)

    @precondition(lambda self: self.world.down)
    @rule(index=index_drawn, keep=st.booleans())
    def deliver_down(self, index, keep):
        self.world.deliver_down(index % len(self.world.down), keep)

    @precondition(lambda self: self.world.up)
    @rule(index=index_drawn)
    def drop_up(self, index):
        self.world.up.pop(index % len(self.world.up))

    @precondition(lambda self: self.world.down)
    @rule(index=index_drawn)
    def drop_down(self, index):
        self.world.down.pop(index % len(self.world.down))

    @rule()
    def commit(self):
        self.world.gateway_commits()

    @rule()
    def restart_gateway(self):
        self.world.gateway_restarts()

    @rule()
    def restart_node(self):
        self.world.node_restarts()

    @rule()
    def reconnect_node(self):
        self.world.node_reconnects()

    @precondition(lambda self: self.world.node.flash)
    @rule(index=index_drawn)
    def lose_a_record(self, index):
        self.world.node.lose(index % len(self.world.node.flash))

    @precondition(lambda self: len(self.world.node.flash) > 2 * limits.RECEIPT_RANGES_MAX)
    @rule()
    def lose_every_second_record(self):
        self.world.node.lose_every_second()

    @rule()
    def format_node(self):
        self.world.node.format()

    @rule(size=size_drawn, resend_ms=resend_drawn)
    def configure_node(self, size, resend_ms):
        self.world.node.configure(size, resend_ms)

    @rule(passed_ms=st.integers(0, 120_000))
    def wait(self, passed_ms):
        self.world.now_ms += passed_ms

    @invariant()
    def holds_what_is_not_freed(self):
        node = self.world.node
        kept = [seq for seq, _ in node.flash]
        assert set(node.window.in_flight()) <= set(kept)
        known = {seq for journal, seq in node.freed + node.lost if journal == node.journal_id}
        assert known.isdisjoint(kept)
        assert len(known) + len(kept) == node.next_seq - 1

    def teardown(self):
        if hasattr(self, "world"):
            self.world.heal()
            self.world.settle()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=150, stateful_step_count=60)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_story_is_the_same_on_micropython(on_micropython, seed):
    """SPEC 1.3, SPEC 6.7, SPEC 6.8: every frame that either side says is in the hash."""
    trace, rounds, freed, lost, committed = model.story(Random(seed), STEPS)
    assert on_micropython("story", seed=seed, steps=STEPS) == [
        *(trace, rounds, freed, lost, committed)
    ]
    assert min(freed, lost) > 50
    assert freed + lost >= committed >= freed


# The model must be able to fail: each fault below was once thinkable in the code it tests.


def broken_run():
    """Run stories until a promise breaks."""
    for seed in SEEDS:
        model.story(Random(seed), STEPS)


def test_the_model_notices_a_window_that_frees_on_sending(monkeypatch):
    """SPEC 6.7."""
    monkeypatch.setattr(Window, "receipt", lambda self, _seq, _beyond=(): self.in_flight())
    with pytest.raises(model.PromiseError, match="nothing is freed that is not committed"):
        broken_run()


def test_the_model_notices_receipts_that_leave_out_what_came_last(monkeypatch):
    """SPEC 6.9: the lowest ranges only."""
    lowest = limits.RECEIPT_RANGES_MAX
    monkeypatch.setattr(
        Ledger, "beyond", lambda self: tuple(e for span in self._ranges[:lowest] for e in span)
    )
    with pytest.raises(model.PromiseError, match="answered by the receipt that follows"):
        broken_run()


def test_the_model_notices_a_ledger_that_closes_gaps(monkeypatch):
    """SPEC 6.8."""
    commit = Ledger.commit

    def hasty(self, seq):
        self.seq = max(self.seq, seq - 3)
        return commit(self, seq)

    monkeypatch.setattr(Ledger, "commit", hasty)
    with pytest.raises(model.PromiseError, match="covers only what is committed"):
        broken_run()


def test_the_model_notices_records_that_are_never_sent_again(monkeypatch):
    """SPEC 6.6."""
    monkeypatch.setattr(Window, "reconnected", lambda _self, _now_ms: None)
    due = Window.due

    def once(self, now_ms):
        seq = due(self, now_ms)
        tried = [entry[2] for entry in self._flight if entry[0] == seq]
        return None if tried and tried[0] else seq

    monkeypatch.setattr(Window, "due", once)
    with pytest.raises(model.PromiseError, match="freed once the channel heals"):
        broken_run()


def test_the_model_notices_a_journal_that_reuses_a_number(monkeypatch):
    """SPEC 6.3."""
    restart = model.Node.restart

    def forgetful(self):
        self.next_seq = self.oldest_seq()
        self.flash = []
        restart(self)

    monkeypatch.setattr(model.Node, "restart", forgetful)
    with pytest.raises(model.PromiseError, match="one identity, one content"):
        broken_run()


def test_the_model_notices_a_receipt_taken_for_another_journal(monkeypatch):
    """SPEC 6.12."""
    monkeypatch.setattr(model.Node, "journal_id", property(lambda _self: bytes(8)))
    with pytest.raises(model.PromiseError):
        broken_run()
