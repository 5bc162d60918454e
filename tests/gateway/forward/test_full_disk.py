"""Goal: while the journal takes nothing, every alert that waits goes out once, each in its turn.

Method: the real forwarder, journal and simulated headquarters; the journal's disk is a VFS that is
full, read-only or failing as it is told, from the start or from some moment on.
"""

import asyncio
from functools import partial

import pytest

from gateway.errors import JournalError
from gateway.forward import unsaved
from gateway.forward.unsaved import Unsaved
from gateway.journal.condition import DiskState
from gateway.journal.store import FILE_NAME, connect
from simulators.faults import Fault
from simulators.headquarters import Headquarters
from tests.gateway.forward.test_https import forwarding, put
from tests.gateway.journal.faulty import FAILING, FULL, READONLY, Disk


@pytest.fixture
def disk(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    with Disk() as disk:
        yield disk


def fill(folder, count):
    """Leave alerts in the outbox, as a gateway did that is gone."""
    connection = connect(folder / FILE_NAME)
    for seq in range(1, count + 1):
        put(connection, seq)
    connection.close()


@pytest.mark.parametrize("fault", [FULL, FAILING, READONLY])
def test_each_alert_goes_out_once_and_its_receipt_is_saved_when_the_disk_takes_it(
    tmp_path, disk, fault
):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            async with forwarding(tmp_path, "http://127.0.0.1:9", before=range(1, 6)) as box:
                await box.log.event("alert_delivery_failed")
            disk.fault = fault
            async with forwarding(tmp_path, headquarters.url) as box:
                assert box.journal.condition.state is not DiskState.well
                await box.delivered(5)
                assert headquarters.counts["received"] == 5
                assert headquarters.counts.get("repeated", 0) == 0
                assert [settled for _, settled, _ in (await box.state()).values()] == [False] * 5
                disk.fault = None
                await box.journal.look()
                box.wanted.set()
                await box.put(6)
                await box.delivered(6)
                assert [settled for _, settled, _ in (await box.state()).values()] == [True] * 6
            assert sorted(found["alert"]["seq"] for found in headquarters.alerts()) == [
                *range(1, 7)
            ]
            assert headquarters.counts["received"] == 6

    asyncio.run(story())


def test_a_disk_that_fills_up_meanwhile_holds_nobody_up(tmp_path, disk):
    """Of some the delivery fails: they are tried again by what memory knows of them."""

    async def story():
        faults = [Fault("unavailable", at=2), Fault("digest", at=4)]
        async with (
            Headquarters(tmp_path / "headquarters", faults=faults) as headquarters,
            forwarding(tmp_path, headquarters.url, before=(1,)) as box,
        ):
            await box.delivered(1)
            for seq in (2, 3, 4):
                await box.journal.write(partial(put, seq=seq))
            disk.fault = FULL
            box.wanted.set()
            await box.delivered(4)
            assert headquarters.counts["received"] == 4
            assert box.journal.condition.state is DiskState.full
            disk.fault = None
            await box.journal.look()
            await box.put(5)
            await box.delivered(5)
            assert headquarters.counts["received"] == 5
            state = (await box.state()).values()
            assert all(settled for _, settled, _ in state)
            assert sum(attempts for attempts, _, _ in state) == 5 + len(faults)

    asyncio.run(story())


def test_a_journal_that_cannot_be_read_ends_no_forwarder(tmp_path):
    async def story():
        async with (
            Headquarters(tmp_path / "headquarters") as headquarters,
            forwarding(tmp_path, headquarters.url) as box,
        ):
            real, box.journal.read = box.journal.read, unreadable
            box.wanted.set()
            await box.log.event("outbox_fault")
            box.journal.read = real
            await box.put(1)
            await box.delivered(1)

    async def unreadable(question, *, lane):
        raise JournalError("it cannot be read")

    asyncio.run(story())


def test_what_is_unsaved_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(unsaved, "UNSAVED_MAX", 3)
    noted = Unsaved()
    assert not noted
    for number in range(5):
        noted.failed(f"alert-{number}", "no")
    noted.failed("alert-4", "never")
    assert noted.held(only_new=True) == ["alert-2", "alert-3", "alert-4"]
    assert noted.held(only_new=False) == []
    noted.delivered("alert-9", b"{}", 5)
    assert not noted.is_full
    noted.delivered("alert-1", b"{}", 5)
    noted.delivered("alert-2", b"{}", 5)
    assert noted.is_full
    fill(tmp_path, 1)
    connection = connect(tmp_path / FILE_NAME)
    (alert_id,) = connection.execute("SELECT alert_id FROM alerts").fetchone()
    noted.failed(alert_id, "first")
    noted.failed(alert_id, "last")
    taken = noted.take()
    assert not noted
    with connection:
        taken.save(connection)
    row = connection.execute("SELECT attempts, fault, receipt FROM alerts").fetchone()
    assert row == (2, "last", None)
    noted.give_back(taken)
    assert noted.is_full
    connection.close()
