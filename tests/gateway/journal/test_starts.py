"""Goal: what happened since the gateway's last start can be told from what happened before.

Method: a real journal: starts, counts between them, a journal that is set aside, a post that runs.
"""

import asyncio

import apsw
import msgspec

from gateway import settings
from gateway.journal.opening import connect
from gateway.journal.records import save_counters
from gateway.journal.setting_aside import renew
from gateway.journal.starts import STARTS_MAX, digest, read_start, save_start
from gateway.journal.store import FILE_NAME
from tests.gateway.running import running, write_settings


def test_a_start_remembers_what_was_counted_by_then(tmp_path):
    connection = connect(tmp_path / FILE_NAME)
    assert read_start(connection) is None
    save_counters(connection, {("task_fault", "link"): 3, ("log_dropped", ""): 1})
    for _ in range(2):  # an operation may run twice
        save_start(connection, 1_000, 77)
    save_counters(connection, {("task_fault", "link"): 2})
    found = read_start(connection)
    assert found.started_ms == (1_000,)
    assert found.settings_digest == 77
    assert found.counts == {("task_fault", "link"): 3, ("log_dropped", ""): 1}
    save_start(connection, 2_000, 78)
    found = read_start(connection)
    assert (found.started_ms, found.settings_digest) == ((2_000, 1_000), 78)
    assert found.counts["task_fault", "link"] == 5


def test_of_many_starts_the_newest_are_remembered(tmp_path):
    connection = connect(tmp_path / FILE_NAME)
    with connection:
        for number in range(STARTS_MAX + 10):
            save_start(connection, number, 1)
    found = read_start(connection)
    assert found.started_ms == tuple(range(STARTS_MAX + 9, 9, -1))


def test_a_start_of_a_clock_that_was_ahead_is_forgotten(tmp_path):
    """It would be the newest for ever, and push out those that are."""
    connection = connect(tmp_path / FILE_NAME)
    for now_ms in (1_000, 9_000_000, 2_000):
        save_start(connection, now_ms, 1)
    assert read_start(connection).started_ms == (2_000, 1_000)


def test_a_journal_that_takes_a_damaged_ones_place_knows_the_start(tmp_path):
    path = tmp_path / FILE_NAME
    connection = connect(path)
    save_counters(connection, {("task_fault", "link"): 3})
    save_start(connection, 1_000, 77)
    before = read_start(connection)
    connection.close()
    renew(path, apsw.CorruptError("as a test says"))
    assert read_start(connect(path)) == before


def test_every_setting_changes_the_digest(tmp_path, free_port):
    loaded = settings.load(write_settings(tmp_path, free_port))
    assert digest(loaded) == digest(settings.load(tmp_path / "post.toml"))
    assert 0 <= digest(loaded) < 1 << 56  # an integer of SQLite
    for changed in ({"language": "fr"}, {"nodes": loaded.nodes[:1]}):
        assert digest(msgspec.structs.replace(loaded, **changed)) != digest(loaded)


def test_a_post_notes_each_of_its_starts(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        for _ in range(2):
            async with running(path):
                pass
        return settings.load(path)

    loaded = asyncio.run(story())
    found = read_start(connect(tmp_path / "state" / FILE_NAME, read_only=True))
    assert len(found.started_ms) == 2
    assert found.settings_digest == digest(loaded)
