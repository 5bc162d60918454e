"""Goal: `write` returns when it is on the disk; a failure is its own; a bad file has a sentence.

Method: a real journal in a temporary folder. The writer's thread is held by an operation that waits
for the test, so that what is one batch is decided here and not by chance.
"""

import asyncio
import contextlib
import threading

import apsw
import pytest

from gateway.errors import JournalError
from gateway.journal import batches, place, queue
from gateway.journal.logged import log_of
from gateway.journal.opening import connect_immutable, transaction
from gateway.journal.records import save_floor
from gateway.journal.store import FILE_NAME, SCHEMA_VERSION, Journal, connect
from tests.gateway.journal.older import to_version_5
from tests.gateway.seen import DEADLINE_S


@contextlib.asynccontextmanager
async def opened(folder):
    journal = Journal(folder / "journal.sqlite")
    try:
        await journal.open()
        yield journal
    finally:
        await journal.close()


class Gate:
    """An operation that keeps the writer busy until it is opened."""

    def __init__(self):
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, connection):
        self.entered.set()
        assert self._open.wait(DEADLINE_S)

    def open(self):
        self._open.set()


def floors(connection):
    return connection.execute("SELECT journal_id, seq FROM journals ORDER BY 1").fetchall()


def keep(name, seq=1):
    return lambda connection: save_floor(connection, "lane-1", name, seq)


async def queue_behind(journal, gate, operations):
    """Start the gate, then the operations: they are the batch after it."""
    tasks = [asyncio.create_task(journal.write(gate))]
    await asyncio.to_thread(gate.entered.wait, DEADLINE_S)
    for operation in operations:
        tasks.append(asyncio.create_task(journal.write(operation)))
        await asyncio.sleep(0)
    return tasks


def test_what_waits_together_is_committed_together(tmp_path):
    async def story():
        async with opened(tmp_path) as journal:
            commits = []
            journal._writing.set_commit_hook(lambda: commits.append(1) or False)
            gate = Gate()
            tasks = await queue_behind(journal, gate, [keep(b"%d" % n) for n in range(50)])
            assert await journal.read(floors) == []
            gate.open()
            await asyncio.gather(*tasks)
            assert len(await journal.read(floors)) == 50
            assert len(commits) == 2  # the gate's, and one for the fifty

    asyncio.run(story())


@pytest.mark.parametrize(
    "fail",
    [
        lambda connection: connection.execute("INSERT INTO journals VALUES (NULL, NULL, NULL)"),
        lambda connection: connection.execute("SELECT nothing FROM nowhere"),
        lambda connection: 1 // 0,
        lambda connection: connection.execute("SELECT ?", (1 << 70,)),
    ],
    ids=["constraint", "sql", "bug", "overflow"],
)
def test_a_failing_operation_harms_no_neighbour(tmp_path, fail):
    async def story():
        async with opened(tmp_path) as journal:
            gate = Gate()

            def half(connection):
                save_floor(connection, "lane-1", b"half", 1)
                fail(connection)

            operations = [keep(b"before"), half, keep(b"after")]
            tasks = await queue_behind(journal, gate, operations)
            gate.open()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(outcome, Exception) for outcome in outcomes] == [0, 0, 1, 0]
            assert await journal.read(floors) == [(b"after", 1), (b"before", 1)]
            await journal.write(keep(b"later"))  # the writer lives
            assert len(await journal.read(floors)) == 3

    asyncio.run(story())


def test_a_result_comes_back_in_order(tmp_path):
    async def story():
        async with opened(tmp_path) as journal:
            results = await asyncio.gather(
                *(journal.write(lambda _, number=number: number) for number in range(600))
            )
            assert results == list(range(600))

    asyncio.run(story())


def test_a_cancelled_wait_does_not_undo_the_operation(tmp_path):
    async def story():
        async with opened(tmp_path) as journal:
            gate = Gate()
            tasks = await queue_behind(journal, gate, [keep(b"kept")])
            tasks[1].cancel()
            gate.open()
            await tasks[0]
            await journal.write(keep(b"next"))
            assert await journal.read(floors) == [(b"kept", 1), (b"next", 1)]

    asyncio.run(story())


def test_closing_writes_what_waits_and_refuses_what_comes(tmp_path):
    async def story():
        journal = Journal(tmp_path / "journal.sqlite")
        await journal.open()
        gate = Gate()
        tasks = await queue_behind(journal, gate, [keep(b"kept")])
        closing = asyncio.create_task(journal.close())
        await asyncio.sleep(0)
        with pytest.raises(JournalError, match="is closed; start the gateway again"):
            await journal.write(keep(b"late"))
        gate.open()
        await asyncio.gather(closing, *tasks)
        with pytest.raises(JournalError, match="is closed"):
            await journal.read(floors)
        await journal.close()  # again: nothing happens
        # The last to close folds the log into the file: one file is the whole journal.
        assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]
        connection = connect(tmp_path / "journal.sqlite", read_only=True)
        assert floors(connection) == [(b"kept", 1)]
        connection.close()

    asyncio.run(story())


def test_the_log_is_folded_in_before_the_connection_is_closed(tmp_path):
    """A close that folds it in holds the interpreter meanwhile, and with it timers and signals."""
    path = tmp_path / FILE_NAME
    sizes = []

    class Watched(apsw.Connection):
        def close(self, force=False):  # noqa: FBT002 - as it is called
            sizes.append(log_of(path).stat().st_size if log_of(path).exists() else -1)
            super().close(force)

    connect(path).close()
    connection = Watched(str(path))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    with transaction(connection):
        connection.execute("INSERT INTO counters VALUES ('a', 'b', 1)")
    assert log_of(path).stat().st_size > 0
    batches.end(connection, path, place.Place.of(path))
    assert sizes[0] == 0
    assert not log_of(path).exists()


def test_a_log_that_somebody_reads_is_left_at_the_end(tmp_path):
    path = tmp_path / FILE_NAME
    connection = connect(path)
    with contextlib.closing(apsw.Connection(str(path))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM counters").fetchall()
        with transaction(connection):
            connection.execute("INSERT INTO counters VALUES ('a', 'b', 1)")
        batches.end(connection, path, place.Place.of(path))
        assert log_of(path).stat().st_size > 0
    connection = connect(path)
    assert connection.execute("SELECT count FROM counters WHERE name = 'a'").fetchall() == [(1,)]
    connection.close()


def test_a_full_queue_makes_writers_wait(tmp_path, monkeypatch):
    async def story():
        monkeypatch.setattr(queue, "OPERATIONS_MAX", 4)
        async with opened(tmp_path) as journal:
            gate = Gate()
            tasks = await queue_behind(journal, gate, [keep(b"%d" % n) for n in range(20)])
            assert journal.waiting == 3
            gate.open()
            await asyncio.gather(*tasks)
            assert len(await journal.read(floors)) == 20

    asyncio.run(story())


def test_a_full_disk_is_told_and_passes(tmp_path):
    async def story():
        async with opened(tmp_path) as journal:
            pages = journal._writing.pragma("page_count")
            await journal.write(lambda connection: connection.pragma("max_page_count", pages + 2))

            def fill(connection):
                connection.execute(
                    "INSERT INTO records VALUES (NULL, 'lane-1', x'00', 1, 3, 1,"
                    " zeroblob(100000), NULL, NULL)"
                )

            with pytest.raises(JournalError, match="is full; free space on its disk"):
                await journal.write(fill)
            await journal.write(lambda connection: connection.pragma("max_page_count", 1 << 20))
            await journal.write(fill)

    asyncio.run(story())


def test_every_commit_is_synced_and_the_reader_cannot_write(tmp_path):
    """What the settings promise, `tests/gateway/crash` proves."""

    async def story():
        async with opened(tmp_path) as journal:
            assert journal._writing.pragma("synchronous") == 2
            assert journal._writing.pragma("journal_mode") == "wal"
            with pytest.raises(JournalError, match="readonly"):
                await journal.read(keep(b"from the reader"))

    asyncio.run(story())


def make_foreign(path):
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE songs (title)")
    connection.close()


def make_newer(path):
    connection = connect(path)
    connection.pragma("user_version", 99)
    connection.close()


def make_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    "make, sentence",
    [
        (make_foreign, "has schema version 0, this gateway knows 6; use the gateway that wrote it"),
        (make_newer, "has schema version 99, this gateway knows 6; use the gateway that wrote it"),
        (make_folder, "is no file; move it away"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_in_a_sentence(tmp_path, make, sentence):
    make(tmp_path / "journal.sqlite")

    async def story():
        async with opened(tmp_path):
            pass

    with pytest.raises(JournalError) as caught:
        asyncio.run(story())
    assert str(tmp_path / "journal.sqlite") in str(caught.value)
    assert sentence in str(caught.value)


def test_a_folder_that_is_not_there_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(JournalError, match="right to write"):
        connect(tmp_path / "missing" / "journal.sqlite")
    with pytest.raises(JournalError, match="does not exist; `harmattan run` makes it"):
        connect(tmp_path / "journal.sqlite", read_only=True)


def test_a_file_that_a_full_disk_left_empty_is_no_other_editions(tmp_path):
    """It is the gateway's own: who looks is told that, and the next start begins it."""
    path = tmp_path / "journal.sqlite"
    path.touch()
    for look in (lambda: connect(path, read_only=True), lambda: connect_immutable(path)):
        with pytest.raises(JournalError, match=r"nothing in it yet.*free space.*start the gateway"):
            look()
    assert path.stat().st_size == 0
    connect(path).close()
    connect(path, read_only=True).close()


def test_a_journal_of_an_older_version_gets_the_tables_it_lacks(tmp_path):
    path = tmp_path / "journal.sqlite"
    connection = connect(path)
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    whole = connection.execute(tables).fetchall()
    connection.execute("INSERT INTO counters (name, subject, count) VALUES ('a', 'b', 3)")
    to_version_5(connection)
    connection.execute("DROP TABLE rejudged")
    connection.execute("DROP TABLE rejudgings")
    connection.pragma("user_version", 1)
    connection.close()
    with pytest.raises(JournalError, match="start the gateway once"):
        connect(path, read_only=True)
    connection = connect(path)
    assert connection.execute(tables).fetchall() == whole
    assert connection.execute("SELECT count FROM counters").fetchall() == [(3,)]
    assert connection.pragma("user_version") == SCHEMA_VERSION
    connection.close()
    connect(path, read_only=True).close()
