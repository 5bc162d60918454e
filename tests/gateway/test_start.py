"""Goal: a gateway with a million readings in its journal starts, works and tells how it is.

Method: a journal with a million readings, most of them evicted, made in one go; the post of this
process on it, with everything that SQLite does counted by SQLite itself. No time is asserted: what
is, is that no statement takes more steps than some hundred rows need. `make bench-start` has the
times.
"""

import asyncio
import contextlib
import time

import apsw
import pytest

from benchmarks.start import JOURNAL_ID, NODE, NODES, fill
from gateway import settings
from gateway.journal.store import FILE_NAME
from gateway.observe import status as observing
from gateway.observe.figures import read_figures
from tests.gateway.ingest.test_judging import UREA
from tests.gateway.running import running
from tests.gateway.scripted import connected

READINGS = 1_000_000
STEPS_MAX = 50_000  # of SQLite's machine; one look at every reading takes millions
CHECKS = ("PRAGMA quick_check", "ROLLBACK")  # bounded by a second of their own, whatever the size


@contextlib.contextmanager
def counting():
    """Give a list to which every statement of every new connection adds its steps."""
    found = []

    def note(event):
        found.append((event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"], event["sql"]))

    def hook(connection):
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)

    apsw.connection_hooks.append(hook)
    try:
        yield found
    finally:
        apsw.connection_hooks.remove(hook)


@pytest.fixture(scope="module")
def post(tmp_path_factory):
    """Return the folder of a post with a million readings."""
    folder = tmp_path_factory.mktemp("million")
    (folder / "state").mkdir()
    fill(folder / "state" / FILE_NAME, READINGS, 1_000)
    return folder


def write(folder, port):
    path = folder / "post.toml"
    nodes = "".join(f'[[nodes]]\nid = "{NODE}{number}"\n' for number in range(NODES))
    path.write_text(f'post = "post-1"\ndirectory = "state"\n[broker]\nport = {port}\n{nodes}')
    return path


def test_it_starts_judges_and_tells_without_reading_what_is_old(post, free_port):
    async def story():
        path = write(post, free_port)
        with counting() as found:
            async with running(path) as log, connected(free_port, f"{NODE}1") as node:
                await log.event("library_noted")
                node.journal_id = JOURNAL_ID
                seq = READINGS // NODES + 1
                await node.be_born(oldest_seq=seq, next_seq=seq + 1)
                await node.measure_standard()
                await node.say(node.reading(seq, pixels=UREA))
                await log.event("alert")
                await node.receipt(seq)
                told = observing.read(
                    settings.load(path),
                    post / "state" / FILE_NAME,
                    running=True,
                    now_ms=time.time_ns() // 1_000_000,
                )
                connection = apsw.Connection(str(post / "state" / FILE_NAME))
                read_figures(connection, post / "state")
                connection.close()
        assert (told.records, told.pending) == (READINGS + 2, 0)
        assert told.verdicts["clear"] == READINGS * 49 // 50
        assert sum(node.records for node in told.nodes) == READINGS + 2
        assert len(found) > 100
        costly = {sql: steps for steps, sql in found if steps > STEPS_MAX}
        assert not [sql for sql in costly if not sql.startswith(CHECKS)], costly

    asyncio.run(story())


def test_the_measure_finds_a_look_at_every_reading(post):
    """The test above would pass by itself if steps were not counted."""
    with counting() as found:
        connection = apsw.Connection(str(post / "state" / FILE_NAME))
        connection.execute("SELECT count(*) FROM records WHERE seq > 3").fetchall()
        connection.close()
    assert max(steps for steps, _ in found) > 10 * STEPS_MAX
