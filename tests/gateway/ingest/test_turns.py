"""Goal: a backlog delays nobody else; each node's readings are judged in their order.

Method: pure. Hypothesis draws when readings come; a model holds what waits.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.turns import NODES_MAX, Turns


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
        heads = [(node, ids[0]) for node, ids in self.readings.items() if ids]
        chosen = self.turns.next(heads)
        if chosen is None:
            assert not heads
            return None
        node, record_id = chosen
        assert self.readings[node].pop(0) == record_id  # in its order
        return node


def test_a_quiet_node_waits_for_nobody_but_the_one_in_progress():
    """Fifty nodes after an outage: before, it came after 10,000 others."""
    waiting = Waiting()
    for node in range(50):
        waiting.come(f"n{node}", 200)
    for _ in range(77):
        waiting.judge()
    waiting.come("quiet")
    assert waiting.judge() == "quiet"
    for _ in range(50):
        waiting.judge()
    waiting.come("quiet")
    assert waiting.judge() == "quiet"


def test_a_burst_of_one_node_does_not_delay_another():
    waiting = Waiting()
    waiting.come("burst", 1_000)
    for _ in range(20):
        waiting.come("other")
        judged = [waiting.judge(), waiting.judge()]
        assert "other" in judged


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 5)) | st.none(), max_size=200)
)
def test_nobody_is_passed_over_twice_by_the_same_node(steps):
    waiting = Waiting()
    passed = {}  # node that waits: who was judged since its head came to be its head
    for step in steps:
        if step is not None:
            waiting.come(*step)
            passed.setdefault(step[0], set())
            continue
        judged = waiting.judge()
        if judged is None:
            continue
        for node, others in passed.items():
            if node != judged and waiting.readings[node]:
                assert judged not in others
                others.add(judged)
        passed[judged] = set()
        if not waiting.readings[judged]:
            del passed[judged]


def test_memory_is_bounded():
    turns = Turns()
    for number in range(2 * NODES_MAX):
        turns.next([(f"n{number}", number)])
    assert len(turns._judged) == NODES_MAX
