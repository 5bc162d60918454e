"""Goal: what changes in the folders, or with the day, is in force at once; faults are told.

Method: the whole gateway in this process, a real broker and journal; its folders are changed by the
command's own functions and by hand while it runs, and its clock is put forward.
"""

import asyncio
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import settings
from gateway.ingest import knowledge
from gateway.journal.store import FILE_NAME
from gateway.library.changes import distrust, install, keep_specimen, remove, trust
from gateway.library.writing import mark_changed
from gateway.observe import status
from tests.gateway.ingest.test_rejudging import salt, sugar
from tests.gateway.library.national import (
    KEY,
    LIST,
    SUBSTANCE_ID,
    packed,
    specimen,
    urea,
    write_library,
    write_list,
)
from tests.gateway.running import rows, running, write_settings
from tests.gateway.scripted import connected

DAY_NS = 86_400 * 10**9


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Look at the mark at once, at the whole folder never, so that each has a test of its own."""
    monkeypatch.setattr(knowledge, "MARK_S", 0.02)
    monkeypatch.setattr(knowledge, "LOOK_S", 1e9)


@pytest.fixture
def clock(monkeypatch):
    """Nanoseconds that the gateway's clock is ahead, from the first hour of a day in UTC."""
    real = time.time_ns
    ahead = [DAY_NS - real() % DAY_NS + 3_600 * 10**9]
    monkeypatch.setattr(time, "time_ns", lambda: real() + sum(ahead))
    return ahead


def day_of(ahead, days=0):
    at_s = time.time_ns() // 10**9 + days * 86_400
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))


async def measure(node, log, seq, counts):
    await node.say(node.reading(seq, pixels=counts))
    return await log.event("verdict", seq=seq)


def test_an_import_reaches_the_running_gateway_and_stored_readings(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=4)
            await node.measure_standard()
            first = await measure(node, log, 1, salt(1))
            assert first["verdict"] != "alarm"
            write_list(tmp_path / "lists")  # names a substance that comes with the library
            found = write_library(tmp_path / "library")
            mark_changed(tmp_path / "library")
            assert "+own-" in (await log.event("library", 2))["version"]
            changed = await log.event("verdict_changed")
            assert (changed["verdict"], changed["hits"][0]) == ("alarm", SUBSTANCE_ID)
            assert (await measure(node, log, 2, salt(2)))["verdict"] == "alarm"
            remove(tmp_path / "library", found.specimen_id)
            mark_changed(tmp_path / "library")
            await log.event("library", 3)
            assert (await measure(node, log, 3, salt(3)))["verdict"] != "alarm"
        assert len(rows(tmp_path, "SELECT 1 FROM rejudgings")) == 3

    asyncio.run(story())


def test_a_list_that_was_edited_by_hand_is_found(tmp_path, free_port, monkeypatch):
    monkeypatch.setattr(knowledge, "LOOK_S", 0.0)

    async def story():
        path = write_settings(tmp_path, free_port)
        write_library(tmp_path / "library")
        async with running(path) as log:
            before = (await log.event("library"))["lists"]
            write_list(tmp_path / "lists")
            after = (await log.event("library", 2))["lists"]
            assert "national 2026-11-20" in after
            assert "national" not in before
            (tmp_path / "lists" / "national.toml").unlink()
            assert (await log.event("library", 3))["lists"] == before

    asyncio.run(story())


def test_a_fault_in_what_is_new_leaves_the_old_in_force(tmp_path, free_port):
    def found():
        return status.read(
            settings.load(tmp_path / "post.toml"),
            tmp_path / "state" / FILE_NAME,
            running=True,
            now_ms=0,
        ).library.faults

    async def story():
        path = write_settings(tmp_path, free_port)
        write_library(tmp_path / "library")
        write_list(tmp_path / "lists")
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=3)
            await node.measure_standard()
            assert (await measure(node, log, 1, salt(1)))["verdict"] == "alarm"
            substances = tmp_path / "library" / "substances.csv"
            good = substances.read_text()
            substances.write_text(good.replace("name_es", "name_it"))
            mark_changed(tmp_path / "library")
            told = await log.event("library_fault")
            assert "name_it" in told["text"]
            assert "what was in force before stays so; a restart would leave it" in told["text"]
            assert (await measure(node, log, 2, salt(2)))["verdict"] == "alarm"
            await log.event("library_noted", faults=3)  # and what follows from it
            assert "name_it" in found()[0]
            assert all("stays so; a restart would leave it out" in text for text in found())
            substances.write_text(good)
            mark_changed(tmp_path / "library")
            await log.event("library_noted", 2, faults=0)
            assert found() == ()
            assert len(log.events("library")) == 1  # nothing else was ever in force

    asyncio.run(story())


def faults_in_status(folder):
    journal = folder / "state" / FILE_NAME
    settled = settings.load(folder / "post.toml")
    return status.read(settled, journal, running=True, now_ms=0).library.faults


def install_signed(library, key=KEY, **said):
    kept = trust(library, key.public_key())
    install(library, packed(key=key, **said))
    return kept


@pytest.mark.parametrize("way", ["by hand", "by command"])
def test_what_a_withdrawn_key_has_signed_leaves_force(tmp_path, free_port, monkeypatch, way):
    library = tmp_path / "library"

    async def story():
        path = write_settings(tmp_path, free_port)
        key_path = install_signed(library)
        regional = Ed25519PrivateKey.from_private_bytes(bytes(32))
        alike = specimen(3, substance_id="urea", confirmed="A. Person: like the salt, for a test")
        install_signed(library, regional, specimens=[alike], substances="", package_id="regional")
        async with running(path) as log, connected(free_port) as node:
            assert "+national.1.0-" in (await log.event("library"))["version"]
            await node.be_born(next_seq=3)
            await node.measure_standard()
            first = await measure(node, log, 1, salt(1))
            assert first["hits"][0] == SUBSTANCE_ID
            assert "Testing salt" in first["text"]
            if way == "by hand":
                monkeypatch.setattr(knowledge, "LOOK_S", 0.0)
                key_path.unlink()
            else:
                assert distrust(library, key_path.stem)[1] == ["national"]
                mark_changed(library)
            told = await log.event("library_withdrawn")
            assert (told["package"], told["key"]) == ("national", key_path.stem)
            now = (await log.event("library", 2))["version"]
            assert "+regional.1.0-" in now
            assert "national" not in now
            changed = await log.event("verdict_changed")
            assert SUBSTANCE_ID not in changed["hits"]
            assert SUBSTANCE_ID not in (await measure(node, log, 2, salt(2)))["hits"]
            (fault,) = faults_in_status(tmp_path)
            assert f"signed with key {key_path.stem}, which this post does not trust" in fault
            assert log.events("library_fault") == []
            trust(library, KEY.public_key())
            mark_changed(library)
            assert "+national.1.0-" in (await log.event("library", 3))["version"]

    asyncio.run(story())


def test_a_key_that_cannot_be_read_takes_nothing_along(tmp_path, free_port):
    library = tmp_path / "library"

    async def story():
        path = write_settings(tmp_path, free_port)
        key_path = install_signed(library)
        async with running(path) as log:
            key_path.write_text("damaged")
            mark_changed(library)
            await log.event("library_noted", faults=2)
            assert len(log.events("library")) == 1
            assert log.events("library_withdrawn") == []
            key_path.unlink()  # and now somebody decides
            mark_changed(library)
            await log.event("library_withdrawn")
            assert "national" not in (await log.event("library", 2))["version"]

    asyncio.run(story())


def test_a_withdrawn_key_is_heeded_beside_a_fault_that_leaves_the_rest(tmp_path, free_port):
    """The list names what only the package knew, and own things are damaged: both stay in force."""
    library = tmp_path / "library"

    async def story():
        path = write_settings(tmp_path, free_port)
        key_path = install_signed(library)
        own = keep_specimen(library, urea(3))
        write_list(tmp_path / "lists")
        async with running(path) as log:
            before = await log.event("library")
            own.write_text("damaged")
            mark_changed(library)
            await log.event("library_noted", faults=1)
            key_path.unlink()
            mark_changed(library)
            after = await log.event("library", 2)
            parts = [part for part in before["version"].split("+") if "national" not in part]
            assert after["version"].split("+") == parts
            assert "own-" in after["version"]
            assert after["lists"] == before["lists"]
            await log.event("library_noted", faults=3)
            told = faults_in_status(tmp_path)
            for words in ("does not trust", own.name, f"names '{SUBSTANCE_ID}'"):
                assert any(words in text for text in told), words
            assert len(log.events("library_withdrawn")) == 1

    asyncio.run(story())


def test_a_list_comes_into_force_at_midnight(tmp_path, free_port, clock):
    async def story():
        path = write_settings(tmp_path, free_port)
        write_library(tmp_path / "library")
        tomorrow = day_of(clock, days=1)
        write_list(tmp_path / "lists", LIST.replace("date =", f"valid_from = {tomorrow}\ndate ="))
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=3)
            await node.measure_standard()
            before = await measure(node, log, 1, salt(1))
            assert before["verdict"] != "alarm"
            assert before["hits"][0] == SUBSTANCE_ID
            clock.append(DAY_NS)
            assert "national" in (await log.event("library", 2))["lists"]
            assert (await log.event("verdict_changed"))["verdict"] == "alarm"
            assert (await measure(node, log, 2, salt(2)))["verdict"] == "alarm"

    asyncio.run(story())


def test_a_list_that_expires_is_told_at_midnight_and_stays_in_use(tmp_path, free_port, clock):
    async def story():
        path = write_settings(tmp_path, free_port)
        write_library(tmp_path / "library")
        today = day_of(clock)
        write_list(tmp_path / "lists", LIST.replace("date =", f"valid_until = {today}\ndate ="))
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=3)
            await node.measure_standard()
            assert (await measure(node, log, 1, salt(1)))["verdict"] == "alarm"
            assert log.events("list_notice") == []
            clock.append(DAY_NS)
            assert "used until somebody" in (await log.event("list_notice"))["text"]
            assert (await measure(node, log, 2, salt(2)))["verdict"] == "alarm"

    asyncio.run(story())


def test_a_dead_clock_takes_no_list_out_of_force(tmp_path, free_port, clock):
    """The regulation began in 2021, a national list begins tomorrow by no clock of 2000."""

    async def story():
        path = write_settings(tmp_path, free_port)
        write_library(tmp_path / "library")
        write_list(tmp_path / "lists", LIST.replace("date =", "valid_from = 2026-12-24\ndate ="))
        real_ns = time.time_ns()
        clock.append(946_684_800 * 10**9 - real_ns)  # the first of January 2000
        async with running(path) as log:
            assert "eu-2019-1148" in (await log.event("library"))["lists"]
            assert "national" not in (await log.event("library"))["lists"]
            assert "clock says 2000-01-01" in (await log.event("clock_behind"))["text"]
            clock.append(real_ns - 946_684_800 * 10**9 + 400 * DAY_NS)  # somebody sets it
            assert "national" in (await log.event("library", 2))["lists"]
            assert len(log.events("clock_behind")) == 1

    asyncio.run(story())


def test_what_does_not_change_anything_is_not_judged_again(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        write_library(tmp_path / "library")
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=3)
            await node.measure_standard()
            await measure(node, log, 1, sugar(1))
            mark_changed(tmp_path / "library")
            (tmp_path / "library" / "note.txt").write_text("of no interest")
            await measure(node, log, 2, sugar(2))
            assert len(log.events("library")) == 1
        assert len(rows(tmp_path, "SELECT 1 FROM rejudgings")) == 1

    asyncio.run(story())


def test_what_changes_in_the_middle_of_a_run_begins_another(tmp_path, free_port):
    """No reading stays judged with the list that was there for a moment only."""
    count = 48  # enough that a run of them does not end while the folder is looked at

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=count + 1)
            await node.measure_standard()
            for seq in range(1, count + 1):
                await node.say(node.reading(seq, pixels=salt(seq)))
            await log.event("verdict", seq=count)
            write_library(tmp_path / "library")
            write_list(tmp_path / "lists")
            mark_changed(tmp_path / "library")
            await log.event("verdict_changed", 2, verdict="alarm")
            (tmp_path / "lists" / "national.toml").unlink()
            mark_changed(tmp_path / "library")
            shipped = (await log.event("library", 3))["lists"]
            assert "national" not in shipped
            await log.event("rejudged", run=3)
        newest = rows(
            tmp_path,
            "SELECT verdict_after, count(*) FROM rejudged j WHERE run_id ="
            " (SELECT max(run_id) FROM rejudged n WHERE n.record_id = j.record_id) GROUP BY 1",
        )
        assert dict(newest).get("alarm", 0) == 0
        ((ended,),) = rows(tmp_path, "SELECT ended_ms FROM rejudgings WHERE id = 2")
        assert ended is None, "the first run came to its end too soon for this test"

    asyncio.run(story())


def test_an_old_fault_does_not_stop_what_is_new(tmp_path, free_port):
    """It was left out at the start; it stays so, and told, while good things come."""

    async def story():
        path = write_settings(tmp_path, free_port)
        (tmp_path / "lists").mkdir()
        (tmp_path / "lists" / "odd.toml").write_text("list_id = 1")
        async with running(path) as log:
            assert "odd.toml" in (await log.event("library_fault"))["text"]
            write_library(tmp_path / "library")
            mark_changed(tmp_path / "library")
            assert "+own-" in (await log.event("library", 2))["version"]
            assert (await log.event("library_noted", 2))["faults"] == 1
            (told,) = faults_in_status(tmp_path)
            assert told.endswith("it is left out, the rest is in use")
            assert len(log.events("library_fault")) == 1

    asyncio.run(story())
