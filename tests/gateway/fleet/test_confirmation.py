"""Goal: a node that keeps another config than it was sent is told of once, and not too early.

Method: the comparison alone, with times as arguments.
"""

from gateway.fleet.confirmation import CONFIRM_MS_MAX, Confirmations

NODE = "lane-1"


def test_a_node_that_confirms_is_no_news():
    confirmations = Confirmations()
    assert confirmations.refused(NODE, 8, 0) is None
    confirmations.born(NODE, 8, 7, 1_000)  # it connects, and only then finds the new one
    confirmations.born(NODE, 8, 8, 1_500)
    assert confirmations.refused(NODE, 8, 10 * CONFIRM_MS_MAX) is None


def test_a_node_that_keeps_another_version_is_told_once_per_version_sent():
    confirmations = Confirmations()
    confirmations.born(NODE, 8, 7, 1_000)
    confirmations.born(NODE, 8, 7, CONFIRM_MS_MAX)
    assert confirmations.refused(NODE, 8, CONFIRM_MS_MAX + 999) is None
    assert confirmations.refused(NODE, 8, CONFIRM_MS_MAX + 1_000) == 7
    assert confirmations.refused(NODE, 8, CONFIRM_MS_MAX + 1_001) is None
    assert confirmations.refused(NODE, 9, CONFIRM_MS_MAX + 1_002) == 7


def test_a_config_that_is_taken_back_after_it_was_confirmed_is_told():
    confirmations = Confirmations()
    confirmations.born(NODE, 8, 8, 0)
    confirmations.born(NODE, 8, 7, 300_000)
    assert confirmations.refused(NODE, 8, 300_000 + CONFIRM_MS_MAX) == 7
