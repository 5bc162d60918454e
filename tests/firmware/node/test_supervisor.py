"""Goal: whatever a task dies of, it is told, counted and started again, and no other task notices.

Method: a story on MicroPython with tasks that fail by a bug, by lack of memory, by an instrument
and by a lost link; waits are noted instead of waited for. One that is real, a minute, is ended by
`hurry`. Of tasks that report, that do not, and that wait, only the second is silent.
"""


def test_tasks_are_restarted_counted_and_stopped(run_story):
    assert run_story("supervisor_story.py") == [
        "bug 4 3 True",
        "memory 2 1 True",
        "port 3 2 True",
        "link 3 0 True",
        "mute 2 2 True",
        "count 8",
        "told ['bug', 'link', 'memory', 'mute', 'port'] 10",
        "port: PortMissing: port is gone",
        "bug is traced: %s" % (["task bug failed: "] * 3),
        "memory: Traceback True",
        "bug waits [100, 200, 250]",
        "waits longer next time 90000",
        "after success 60000",
        "hurried True 2",
        "silent ['mute']",
        "reported []",
        "ended [] none",
        "steady 1 1",
    ]
