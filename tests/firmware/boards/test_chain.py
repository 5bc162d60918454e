"""Goal: what a board's pins say of the laser, and what they do, is safe where nothing is driven.

Method: `boards/chain.py` in a real MicroPython with a stand-in for `machine`.
"""


def test_interlock_key_and_line(run_story):
    assert run_story("chain_story.py") == [
        "begun 0 interlock is open; close doors and covers",
        "interlock closed laser key is off; turn it on",
        "key on ''",
        "line 1 [500]",
        "line again 1 [700]",
        "timer 0",
        "open 0 0",
        "log laser line, interlock or key is not wired: see hardware/laser_safety.md",
        "unwired '' ''",
        "key off laser key is off; turn it on 0",
    ]
