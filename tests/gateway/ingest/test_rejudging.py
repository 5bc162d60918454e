"""Goal: when library or lists change, stored readings are judged again, once, and nothing is lost.

Method: the whole gateway with a real broker and journal. Readings of a substance that nobody knows
are judged; then a specimen of it and a national list are put beside the settings and the gateway is
started again, as a real process where it is killed with SIGKILL among the readings.
"""

import asyncio
import io
import json
import shutil

import apsw
import msgspec
from rich.console import Console

from gateway import settings
from gateway.ingest import rejudging
from gateway.journal.store import FILE_NAME
from gateway.library import rejudged, showing
from gateway.observe import status
from gateway.spectra.axis import raman_axis_cm1
from simulators.headquarters import Headquarters
from tests.gateway.library.national import (
    NAMES,
    SUBSTANCE_ID,
    light_of,
    write_library,
    write_list,
)
from tests.gateway.running import NODE, POST, Command, rows, running, write_settings
from tests.gateway.scripted import FIRST_NM, LAST_NM, PIXEL_COUNT, connected

READINGS = 40
STEP_NM = (LAST_NM - FIRST_NM) / (PIXEL_COUNT - 1)
AXIS_CM1 = raman_axis_cm1((FIRST_NM, STEP_NM), PIXEL_COUNT, 785.0)


def salt(seed):
    return light_of(AXIS_CM1, seed).clip(0, 65_535).astype("<u2").tobytes()


def sugar(seed):
    bands = {402.0: 0.5, 524.0: 0.5, 640.0: 0.3, 849.0: 1.0, 1126.0: 0.6, 1462.0: 0.3}
    return light_of(AXIS_CM1, seed, bands=bands).clip(0, 65_535).astype("<u2").tobytes()


async def measured(path, port, pixels):
    """Have readings judged by a gateway that runs for nothing else."""
    async with running(path) as log, connected(port) as node:
        await node.be_born(next_seq=len(pixels) + 1)
        await node.measure_standard()  # record 1 of the journal
        await log.event("calibration_made")
        for seq, counts in enumerate(pixels, start=1):
            await node.say(node.reading(seq, pixels=counts))
        for seq in range(1, len(pixels) + 1):
            await log.event("verdict", seq=seq)
    return [line["verdict"] for line in log.events("verdict")]


def grow(folder):
    write_library(folder / "library")
    write_list(folder / "lists")


def runs(folder):
    return rows(
        folder,
        "SELECT judged, changed, raised, lowered, failed, ended_ms IS NOT NULL FROM rejudgings"
        " ORDER BY id DESC",
    )


def test_goods_that_passed_are_recognised_with_a_new_library(tmp_path, free_port):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            first = await measured(path, free_port, [salt(1), sugar(2)])
            assert first[0] != "alarm"
            grow(tmp_path)
            async with running(path) as log:
                changed = await log.event("verdict_changed", record=2)
                await log.event("rejudged")
                await log.event("alert_delivered")
            assert (changed["verdict_before"], changed["verdict"]) == (first[0], "alarm")
            assert changed["hits"][0] == SUBSTANCE_ID
            assert "ALARM: Testing salt found" in changed["text"]
            (stored,) = headquarters.alerts()
        alert = stored["alert"]
        assert alert["hits"][0]["name"] == "Testing salt"
        for language, name in NAMES.items():
            assert name in alert["sentences"][language]
            assert SUBSTANCE_ID not in alert["sentences"][language]
        assert alert["alert_id"].startswith(f"{POST}.{NODE}.")
        assert alert["rejudged"]["verdict_before"] == first[0]
        assert alert["rejudged"]["library_before"] != alert["library_version"]
        assert alert["library_version"].count("+own-") == 1
        # What the officer was told stands; what is known now stands beside it.
        ((said,),) = rows(tmp_path, "SELECT verdict FROM verdicts WHERE record_id = 2")
        assert said == first[0]
        ((before, after),) = rows(
            tmp_path, "SELECT verdict_before, verdict_after FROM rejudged WHERE record_id = 2"
        )
        assert (before, after) == (first[0], "alarm")
        assert runs(tmp_path)[0][1:] == (1, 1, 0, 0, 1)
        report = rejudged.read(settings.load(path))
        (difference,) = report.differences
        assert (difference.seq, difference.verdict_after) == (1, "alarm")
        assert difference.alert_id == alert["alert_id"]
        assert report.progress.is_ended
        assert report.names[SUBSTANCE_ID] == "Testing salt"
        printed = io.StringIO()
        showing.show_rejudged(msgspec.to_builtins(report), Console(file=printed, width=300))
        assert "Testing salt" in printed.getvalue()
        assert SUBSTANCE_ID not in printed.getvalue()
        shutil.rmtree(tmp_path / "library")  # what it was called then is still known
        assert rejudged.read(settings.load(path)).names[SUBSTANCE_ID] == "Testing salt"

    asyncio.run(story())


def test_the_same_library_judges_nothing_again(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        await measured(path, free_port, [salt(1)])
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=3)
            await node.say(node.reading(2, pixels=sugar(1)))
            await log.event("verdict", seq=2)
            assert log.events("rejudging") == []
        assert runs(tmp_path) == [(0, 0, 0, 0, 0, 1)]
        assert rows(tmp_path, "SELECT count(*) FROM rejudged") == [(0,)]

    asyncio.run(story())


def test_an_alarm_that_is_none_any_more_is_told_and_its_alert_stays(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        grow(tmp_path)
        assert await measured(path, free_port, [salt(1)]) == ["alarm"]
        (tmp_path / "lists" / "national.toml").unlink()
        async with running(path) as log:
            changed = await log.event("verdict_changed")
            await log.event("rejudged")
        assert changed["verdict_before"] == "alarm"
        assert changed["verdict"] != "alarm"
        assert runs(tmp_path)[0][1:] == (1, 0, 1, 0, 1)
        ((body,),) = rows(tmp_path, "SELECT body FROM alerts")
        assert json.loads(body)["rejudged"] is None
        write_list(tmp_path / "lists")  # and back: an alarm again, but the alert is there already
        async with running(path) as log:
            await log.event("verdict_changed", verdict="alarm")
            await log.event("rejudged")
            assert log.events("alert") == []
        assert rows(tmp_path, "SELECT count(*) FROM alerts") == [(1,)]
        assert rows(tmp_path, "SELECT verdict_after FROM rejudged ORDER BY run_id")[-1] == (
            "alarm",
        )

    asyncio.run(story())


def test_a_gateway_killed_among_stored_readings_goes_on_and_doubles_none(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        await measured(path, free_port, [salt(seed) for seed in range(READINGS)])
        grow(tmp_path)
        async with Command(path) as gateway:
            for count in (3, 12):
                await gateway.log.event("verdict_changed", count)
                gateway.kill_now()
                await gateway.ended()
                ((done, is_ended),) = rows(
                    tmp_path, "SELECT changed, ended_ms IS NOT NULL FROM rejudgings WHERE id = 2"
                )
                assert done >= count
                assert not is_ended
                assert rows(tmp_path, "SELECT count(*) FROM rejudged") == [(done,)]
                assert rows(tmp_path, "SELECT count(*) FROM alerts") == [(done,)]
                await gateway.start()
                await gateway.log.event("broker_connected")
            async with connected(free_port) as node:  # a live reading is not kept waiting
                await node.be_born(next_seq=READINGS + 2)
                await node.say(node.reading(READINGS + 1, pixels=salt(READINGS)))
                await gateway.log.event("verdict", seq=READINGS + 1)
            await gateway.log.event("rejudged")
            assert await gateway.stop() == 0
            assert gateway.rest == []
        assert runs(tmp_path)[0][1:] == (READINGS, READINGS, 0, 0, 1)
        assert rows(tmp_path, "SELECT count(*), count(DISTINCT record_id) FROM rejudged") == [
            (READINGS, READINGS)
        ]
        assert rows(tmp_path, "SELECT count(*) FROM alerts") == [(READINGS + 1,)]
        assert rows(tmp_path, "SELECT count(*) FROM verdicts WHERE verdict = 'alarm'") == [(1,)]

    asyncio.run(story())


def test_readings_older_than_ninety_days_are_left_alone(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        await measured(path, free_port, [salt(1), salt(2), salt(3)])
        connection = apsw.Connection(str(tmp_path / "state" / FILE_NAME))
        age_ms = (rejudging.DAYS + 1) * 86_400_000
        connection.execute(
            "UPDATE records SET received_ms = received_ms - ? WHERE id IN (2, 3)", (age_ms,)
        )
        connection.close()
        grow(tmp_path)
        async with running(path) as log:
            await log.event("rejudged")
        assert rows(tmp_path, "SELECT record_id FROM rejudged") == [(4,)]
        assert runs(tmp_path)[0][0] == 1

    asyncio.run(story())


def test_a_live_reading_comes_before_stored_ones(tmp_path, free_port):
    """Half of the stored readings may be judged before it, at most one may be under way."""

    async def story():
        path = write_settings(tmp_path, free_port)
        await measured(path, free_port, [salt(seed) for seed in range(READINGS)])
        grow(tmp_path)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=READINGS + 2)
            await node.say(node.reading(READINGS + 1, pixels=salt(READINGS)))
            await log.event("verdict", seq=READINGS + 1)
            committed = log.items.index(log.events("record_committed")[0])
            judged = log.items.index(log.events("verdict")[0])
            between = [
                line for line in log.items[committed:judged] if line["event"] == "verdict_changed"
            ]
            assert len(between) <= 1
            await log.event("rejudged")

    asyncio.run(story())


def test_a_faulty_part_is_left_out_told_and_shown(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        grow(tmp_path)
        (tmp_path / "library" / "packages").mkdir()
        (tmp_path / "library" / "packages" / "odd.hlp").write_bytes(b"PK\x03\x04")
        (tmp_path / "lists" / "odd.toml").write_text("list_id = 1")
        async with running(path) as log, connected(free_port) as node:
            told = [line["text"] for line in log.events("library_fault")]
            assert any("odd.hlp" in text for text in told)
            assert any("odd.toml" in text for text in told)
            await node.be_born(next_seq=2)
            await node.measure_standard()
            await log.event("calibration_made")
            await node.say(node.reading(1, pixels=salt(1)))
            assert (await log.event("verdict"))["verdict"] == "alarm"  # the rest is in use
        found = status.read(
            settings.load(path), tmp_path / "state" / FILE_NAME, running=True, now_ms=0
        )
        assert len(found.library.faults) == 2
        assert not found.is_well

    asyncio.run(story())
