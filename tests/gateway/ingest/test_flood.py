"""Goal: who opens connections without end is named; nodes that come anew are not.

Method: addresses and seconds as arguments; test_listeners.py has a real one.
"""

from gateway.ingest.flood import ADDRESSES_MAX, OPENED_MIN, OPENED_PER_NODE, WINDOW_S, Flood


def test_as_many_as_a_posts_nodes_open_are_none_too_many():
    flood = Flood(nodes_count=50)
    allowed = OPENED_MIN + 50 * OPENED_PER_NODE
    assert not any(flood.opened("10.0.0.9", 1.0) for _ in range(allowed))
    assert flood.opened("10.0.0.9", WINDOW_S - 1.0)
    assert not flood.opened("10.0.0.8", WINDOW_S - 1.0)
    assert not flood.opened("10.0.0.9", 1.0 + WINDOW_S)  # a window later it may again


def test_many_addresses_fill_nothing():
    flood = Flood()
    for number in range(3 * ADDRESSES_MAX):
        assert not flood.opened(f"fd00::{number:x}", 1.0)
    assert len(flood._counts) == ADDRESSES_MAX
    assert sum(flood.opened("fd00::1", 2.0) for _ in range(2 * OPENED_MIN)) > OPENED_MIN
