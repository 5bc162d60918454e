"""Goal: counts survive a disk that does not take them, and nothing is said past the log.

Method: the few lines of the post that no running post shows, on a real journal.
"""

import asyncio
from functools import partial

import pytest

from gateway import post
from gateway.errors import JournalError
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.counting import Counting
from gateway.observe.throttle import STATES_MAX, Flapping
from tests.gateway.running import _NoLines, recording
from tests.gateway.seen import Log


def counts(connection):
    return dict(connection.execute("SELECT name, count FROM counters").fetchall())


def test_counts_that_cannot_be_kept_wait(tmp_path):
    async def story():
        counters, lines = Counters(), _NoLines()
        counters.count("record_lost", "lane-1", 3)
        lines.dropped = 7
        closed = Journal(tmp_path / "closed.sqlite")
        with pytest.raises(JournalError):
            await Counting(closed, counters, lines).save()
        journal = Journal(tmp_path / "journal.sqlite")
        await journal.open()
        try:
            for _ in range(2):  # the second time there is nothing left to keep
                await Counting(journal, counters, lines).save()
            assert await journal.read(counts) == {"record_lost": 3, "log_dropped": 7}
        finally:
            await journal.close()

    asyncio.run(story())


def test_what_a_library_complains_of_is_a_line_of_the_log():
    async def story():
        log = Log()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *found: post._tell_fault(recording(log), *found))
        loop.call_soon(lambda: 1 // 0)
        line = await log.event("loop_fault")
        assert "ZeroDivisionError" in line["text"]

    asyncio.run(story())


def test_of_the_journal_every_state_is_counted_the_last_is_told_and_damage_at_once():
    async def story():
        log, counters, loop = Log(), Counters(), asyncio.get_running_loop()
        show = partial(post._show_journal, recording(log))
        states = Flapping(show, loop.time, loop.call_later)
        tell = partial(post._tell_journal, counters, recording(log), states)
        for number in range(STATES_MAX):
            tell("disk_unwell", f"full {number}")
            tell("disk_well", "written again")
            tell("journal_damaged", f"set aside {number}")
            assert log.items[-1]["text"] == f"set aside {number}"
            assert log.items[-1]["level"] == "error"
        tell("disk_unwell", "full again")
        assert counters.totals()["disk_unwell", ""] == STATES_MAX + 1
        assert counters.totals()["journal_damaged", ""] == STATES_MAX
        assert len(log.events("disk_unwell")) + len(log.events("disk_well")) == STATES_MAX
        states.flush()
        last = log.items[-1]
        assert (last["event"], last["level"]) == ("disk_unwell", "error")
        assert (last["text"], last["unmentioned"]) == ("full again", STATES_MAX)

    asyncio.run(story())
