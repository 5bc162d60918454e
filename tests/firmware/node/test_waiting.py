"""Goal: a wait with a deadline ends in one of five ways and never disturbs the way out of a task.

Method: a story on MicroPython, whose own `wait_for` fails the part about the way out.
"""


def test_every_way_out(run_story):
    assert run_story("waiting_story.py") == [
        "result",
        "at once",
        "raised",
        "time ran out",
        "time ran out",
        "time ran out",
        "way out 0 done",
        "way out 1 done",
        "way out 2 done",
        "cancelled",
        "memory is given back True",
        "later",
    ]
