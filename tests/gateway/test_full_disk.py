"""Goal: no state of its disk ends a post: alerts go out, nodes are answered, it goes on by itself.

Method: the whole gateway in this process with a real broker, a scripted node and the simulated
headquarters; its journal lies on a VFS that is full, read-only or failing as it is told, or its
file is harmed while it runs.
"""

import asyncio
import contextlib
import random

import apsw
import pytest

from gateway.journal import setting_aside
from gateway.journal.postures import read_postures
from gateway.journal.store import FILE_NAME, connect
from protocol.messages import Receipt, Time
from simulators.headquarters import Headquarters
from tests.gateway.forward.test_https import put
from tests.gateway.journal.faulty import FAILING, FULL, READONLY, Disk
from tests.gateway.running import rows, running, write_settings
from tests.gateway.scripted import connected
from tests.gateway.seen import DEADLINE_S


def is_answer(said):
    """Not what every node is told when the gateway connects."""
    return isinstance(said, Time) and said.echo_uptime_ms is not None


@pytest.fixture
def disk(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    with Disk() as disk:
        yield disk


def looking(folder, vfs="unix"):
    """Open the journal to look; while the post runs by the disk that it lies on."""
    path = folder / "state" / FILE_NAME
    return contextlib.closing(apsw.Connection(str(path), vfs=vfs))


def fill(folder, count):
    """Leave alerts in the outbox, as a gateway did that is gone."""
    (folder / "state").mkdir()
    connection = connect(folder / "state" / FILE_NAME)
    for seq in range(1, count + 1):
        put(connection, seq)
    connection.close()


@pytest.mark.parametrize("fault", [FULL, FAILING, READONLY])
@pytest.mark.parametrize("is_at_start", [True, False])
def test_alerts_go_out_nodes_are_answered_and_readings_wait(
    tmp_path, free_port, disk, fault, is_at_start
):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            fill(tmp_path, 3)
            disk.fault = fault if is_at_start else None
            async with running(path) as log, connected(free_port) as node:
                disk.fault = fault
                await log.event("alert_delivered", 3)
                await node.be_born(next_seq=5, uptime_ms=4_711)
                time = await node.heard.wait(is_answer)
                assert time.echo_uptime_ms == 4_711
                await node.say(node.event(4))
                await log.event("readings_refused")
                await log.event("disk_unwell")
                assert not [said for said in node.heard.items if isinstance(said, Receipt)]
                disk.fault = None
                await log.event("disk_well")
                await log.event("readings_resumed")
                await node.say(node.event(4))
                await node.receipt(4)
                assert not log.events("ended")
                with looking(tmp_path, "faulty") as connection:  # it is noted at the next look
                    async with asyncio.timeout(DEADLINE_S):
                        while read_postures(connection):  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
            assert headquarters.counts["received"] == 3
            assert headquarters.counts.get("repeated", 0) == 0
        with looking(tmp_path) as connection:
            found = connection.execute("SELECT count(receipt), count(*) FROM alerts").fetchall()
            assert found == [(3, 3)]
            assert read_postures(connection) == {}

    asyncio.run(story())


def test_a_post_without_a_journal_starts_on_a_full_disk(tmp_path, free_port, disk):
    async def story():
        disk.fault = FULL
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(uptime_ms=4_711)
            await node.heard.wait(is_answer)
            disk.fault = None
            await log.event("disk_well")
            await log.event("readings_resumed")
            await node.say(node.event(1))
            await node.receipt(1)

    asyncio.run(story())


def test_a_journal_that_is_harmed_while_it_runs_is_set_aside_and_the_post_goes_on(
    tmp_path, free_port
):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with running(path) as log, connected(free_port) as node:
                await node.be_born(next_seq=2)
                await node.say(node.event(1))
                await node.receipt(1)
                with contextlib.closing(connect(tmp_path / "state" / FILE_NAME)) as other:
                    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                harm(tmp_path / "state" / FILE_NAME, ("records", "alerts", "pending"))
                for seq in range(2, 7):
                    await node.say(node.event(seq))
                await log.event("journal_damaged")
                for seq in range(2, 7):  # as the node does for what has no receipt
                    await node.say(node.event(seq))
                await node.receipt(6)
                assert not log.events("ended")
        assert len(setting_aside.damaged_folders(tmp_path / "state")) == 1
        assert len(rows(tmp_path, "SELECT 1 FROM posture WHERE name = 'journal_damaged'")) == 1

    asyncio.run(story())


def harm(path, tables):
    """Write noise over the roots of some tables, and have every connection read them anew."""
    with contextlib.closing(connect(path)) as connection:
        pages = [
            connection.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
            ).fetchall()[0][0]
            for table in tables
        ]
        connection.execute("INSERT INTO counters VALUES ('x', 'y', 1)")  # caches are out of date
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4_096)
            file.write(random.Random(page).randbytes(4_096))
