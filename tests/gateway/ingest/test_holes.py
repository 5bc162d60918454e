"""Goal: a record that stays missing while later ones come is told once, and only that one.

Method: pure, on a clock of the test's own, before the real ledger.
"""

from gateway.ingest.holes import LASTING_S, Holes
from protocol.delivery import Ledger

JOURNAL = b"journal1"


def note(holes, ledger, now_s, node="a", journal_id=JOURNAL):
    return holes.note(node, journal_id, ledger.seq, ledger.missing(), now_s)


def test_a_hole_that_lasts_is_told_once_and_ends_when_it_is_filled():
    holes, ledger = Holes(), Ledger()
    for seq in (1, 2, 5):
        ledger.commit(seq)
    assert note(holes, ledger, 0.0) is None
    ledger.commit(7)
    assert note(holes, ledger, LASTING_S - 1.0) is None
    assert holes.states() == {}
    hole = note(holes, ledger, LASTING_S)
    assert (hole.seq, hole.count) == (3, 3)
    assert "node 'a': record 3 is missing for more than 10 minutes (3 in all)" in hole.text
    assert note(holes, ledger, 2 * LASTING_S) is None
    assert list(holes.states()) == ["a"]
    ledger.raise_floor(7)  # the node gives them up
    assert note(holes, ledger, 2 * LASTING_S) is None
    assert holes.states() == {}


def test_holes_that_close_in_time_are_told_of_nobody():
    """A bad link: there is always a hole, never the same one for long."""
    holes, ledger = Holes(), Ledger()
    for turn in range(100):
        ledger.commit(2 * turn + 2)
        assert note(holes, ledger, turn * (LASTING_S - 1.0)) is None
        ledger.commit(2 * turn + 1)
    assert holes.states() == {}


def test_another_journal_begins_anew():
    holes, ledger = Holes(), Ledger()
    ledger.commit(5)
    assert note(holes, ledger, 0.0) is None
    assert note(holes, ledger, LASTING_S, journal_id=b"journal2") is None
