"""Goal: a backlog delays nobody else; each node's readings are judged in their order.

Method: pure. Hypothesis draws when readings come; a model holds what waits.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.turns import NODES_MAX, Head, Turns


class Waiting:
    """What the journal would hold."""

    def __init__(self):
        self.turns = Turns()
        self.readings = {}
        self.last_id = 0

    def come(self, node, count=1):
        for _ in range(count):
            self.last_id += 1
            self.readings.setdefault(node, []).append(self.last_id)

    def judge(self):
        heads = [Head(node, ids[0], len(ids)) for node, ids in self.readings.items() if ids]
        chosen = self.turns.next(heads)
        if chosen is None:
            assert not heads
            return None
        assert self.readings[chosen.node].pop(0) == chosen.record_id  # in its order
        return chosen.node


def test_a_quiet_node_waits_for_nobody_but_the_one_in_progress():
    """Fifty nodes after an outage: before, it came after 10,000 others."""
    waiting = Waiting()
    for node in range(50):
        waiting.come(f"n{node}", 200)
    for _ in range(77):
        waiting.judge()
    for _ in range(3):
        waiting.come("quiet")
        assert "quiet" in {waiting.judge(), waiting.judge()}
        for _ in range(50):
            waiting.judge()


def test_a_burst_of_one_node_does_not_delay_another():
    waiting = Waiting()
    waiting.come("burst", 1_000)
    for _ in range(20):
        waiting.come("other")
        judged = [waiting.judge(), waiting.judge()]
        assert "other" in judged


def test_an_officer_who_measures_without_a_pause_does_not_wait_behind_backlogs():
    """More than a fair share, and still at most one other before each of its readings."""
    waiting = Waiting()
    for node in range(50):
        waiting.come(f"n{node}", 200)
    for turn in range(600):
        if turn % 5 == 0:
            waiting.come("officer")
            assert "officer" in {waiting.judge(), waiting.judge()}
        else:
            waiting.judge()


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 5)) | st.none(), max_size=200)
)
def test_nobody_waits_for_ever(steps):
    """Whoever waits is judged within two rounds of all nodes, whatever else comes."""
    waiting = Waiting()
    waited = {}
    for step in steps:
        if step is not None:
            waiting.come(*step)
            waited.setdefault(step[0], 0)
            continue
        judged = waiting.judge()
        if judged is None:
            continue
        waited = {node: count + 1 for node, count in waited.items()}
        assert max(waited.values()) <= 2 * len("abcde")
        waited[judged] = 0
        if not waiting.readings[judged]:
            del waited[judged]


def test_memory_is_bounded():
    turns = Turns()
    for number in range(2 * NODES_MAX):
        turns.next([Head(f"n{number}", number, 1)])
    assert len(turns._judged) == NODES_MAX
