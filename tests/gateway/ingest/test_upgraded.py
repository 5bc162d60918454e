"""Goal: a journal of the time before calibrations is not made worse, and a calibration helps it.

Method: readings judged by today's gateway; their journal is taken back to version 1, without a word
of calibrations. Then the gateway starts with another library, and a standard is measured.
"""

import asyncio
import json

import apsw
import pytest

from gateway.journal.store import FILE_NAME
from simulators.headquarters import Headquarters
from tests.gateway.ingest.test_judging import DARK, SUGAR, UREA
from tests.gateway.ingest.test_rejudging import grow, salt
from tests.gateway.journal.older import to_version_5
from tests.gateway.library.national import SUBSTANCE_ID
from tests.gateway.running import rows, running, write_settings
from tests.gateway.scripted import connected

STANDARD, SUGAR_ID, SALT_ID, UREA_ID = 1, 3, 4, 5  # records, in the order they were said


def take_back(folder, *, with_standard):
    """Leave what version 1 kept."""
    connection = apsw.Connection(str(folder / "state" / FILE_NAME))
    to_version_5(connection)
    for table in (
        *("rejudged", "rejudgings", "orders", "calibrations", "unrecorded", "boots", "darks"),
    ):
        connection.execute(f"DROP TABLE {table}")
    connection.execute(
        "UPDATE verdicts SET explanation ="
        " CAST(json_remove(CAST(explanation AS TEXT), '$.calibration') AS BLOB)"
    )
    if not with_standard:
        connection.execute("DELETE FROM records WHERE id = ?", (STANDARD,))
    connection.pragma("user_version", 1)
    connection.close()


def said(folder):
    return rows(folder, "SELECT record_id, verdict, reason_id FROM verdicts ORDER BY 1")


def newest(folder, record_id):
    found = rows(
        folder,
        "SELECT after FROM rejudged WHERE record_id = ? ORDER BY run_id DESC LIMIT 1",
        record_id,
    )
    return json.loads(found[0][0]) if found else None


async def prepared(folder, port, *, with_standard=False):
    path = write_settings(folder, port)
    async with running(path) as log, connected(port) as node:
        await node.be_born(next_seq=5)
        await node.measure_standard()
        await node.say(node.dark(4, pixels=DARK))
        for seq, counts in enumerate((SUGAR, salt(1), UREA), start=1):
            await node.say(
                node.reading(seq, pixels=counts, dark_seq=4 if counts == SUGAR else None)
            )
        found = [(await log.event("verdict", seq=seq))["verdict"] for seq in (1, 2, 3)]
    assert (found[0], found[2]) == ("clear", "alarm")
    assert [row[0] for row in said(folder)] == [SUGAR_ID, SALT_ID, UREA_ID]
    take_back(folder, with_standard=with_standard)
    grow(folder)
    return path


def test_verdicts_do_not_become_worse_for_want_of_calibrations(tmp_path, free_port):
    async def story():
        path = await prepared(tmp_path, free_port)
        before = said(tmp_path)
        async with running(path) as log:
            await log.event("rejudged")
        assert said(tmp_path) == before
        assert newest(tmp_path, SUGAR_ID) is None  # still clear
        assert newest(tmp_path, UREA_ID) is None  # still an alarm
        # What nobody could name is named, as far as it may be without a calibration.
        found = newest(tmp_path, SALT_ID)
        assert (found["verdict"], found["reason_id"]) == ("inconclusive", "uncalibrated_listed")
        assert found["parameters"]["substance_ids"] == [SUBSTANCE_ID]

    asyncio.run(story())


def test_a_calibration_that_comes_later_leads_to_a_fresh_judgement(tmp_path, free_port):
    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            await prepared(tmp_path, free_port)
            before = said(tmp_path)
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with running(path) as log, connected(free_port) as node:
                await log.event("rejudged")
                await node.be_born(next_seq=9)
                await node.measure_standard(7)
                await log.event("calibration_made")
                changed = await log.event("verdict_changed", verdict="alarm")
                assert changed["record"] == SALT_ID
                await node.say(node.reading(9, pixels=SUGAR))  # its turn is after all of them
                await log.event("verdict", seq=9)
                await log.event("alert_delivered", 2)  # that of the time, and that of today
            marks = [stored["alert"]["rejudged"] for stored in headquarters.alerts()]
            assert [mark["verdict_before"] for mark in marks if mark] == ["inconclusive"]
        assert said(tmp_path)[:3] == before  # what was told stands
        assert newest(tmp_path, SALT_ID)["verdict"] == "alarm"
        assert newest(tmp_path, SUGAR_ID) is None
        ((first, last),) = rows(
            tmp_path,
            "SELECT verdict_before, verdict_after FROM rejudged WHERE record_id = ?",
            SALT_ID,
        )
        assert (first, last) == (before[1][1], "alarm")
        ((changed, raised),) = rows(
            tmp_path, "SELECT changed, raised FROM rejudgings ORDER BY id DESC LIMIT 1"
        )
        assert (changed, raised) == (1, 1)
        assert rows(tmp_path, "SELECT count(*) FROM unrecorded") == [(0,)]

    asyncio.run(story())


@pytest.mark.parametrize("library_grows_after", [False, True])
def test_a_standard_of_the_time_is_evaluated_after_the_upgrade(
    tmp_path, free_port, library_grows_after
):
    async def story():
        path = await prepared(tmp_path, free_port, with_standard=True)
        if library_grows_after:
            (tmp_path / "lists" / "national.toml").rename(tmp_path / "kept.toml")
            async with running(path) as log:
                await log.event("calibration_made")
                await log.event("rejudged")
            (tmp_path / "kept.toml").rename(tmp_path / "lists" / "national.toml")
        async with running(path) as log:
            changed = await log.event("verdict_changed", verdict="alarm")
            assert changed["record"] == SALT_ID
            await log.event("rejudged")
        assert newest(tmp_path, SALT_ID)["calibration"]["state"] == "valid"
        assert newest(tmp_path, SUGAR_ID) is None
        assert newest(tmp_path, UREA_ID) is None

    asyncio.run(story())
