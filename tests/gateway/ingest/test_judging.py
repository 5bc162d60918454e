"""Goal: every sample gets one verdict, every alarm one alert, whatever the evaluation does.

Method: the whole gateway in this process with the simulated headquarters. Readings are made by the
forward model of the spectra's tests, as a node would count them. Where the evaluation has to fail,
it is replaced by one that raises.
"""

import asyncio
import hashlib
import json
import time

import numpy as np
import pytest

from gateway.catalogue import LANGUAGES as CATALOGUES
from gateway.ingest import judging
from gateway.settings import LANGUAGES
from gateway.spectra.library import load_library
from protocol.messages import VERDICT_ALARM, VERDICT_CLEAR, Verdict
from simulators.faults import Fault
from simulators.forward import World, measure
from simulators.headquarters import Headquarters
from tests.gateway.running import NODE, POST, Command, rows, running, write_settings
from tests.gateway.scripted import PIXEL_COUNT, connected

EXACT = World(height_spread=0.0, width_spread=0.0, position_share=0.0, axis_error_cm1=0.0)


def pixels_of(substance_id, seed=1):
    """Return the counts of one clean measurement, as they stand in a reading."""
    rng = np.random.default_rng(seed)
    spectrum = measure(load_library(), {substance_id: 1.0}, 100.0, rng, EXACT)
    counts = np.clip(np.rint(spectrum.intensity_counts), 0, 65_535)
    assert counts.size == PIXEL_COUNT
    return counts.astype("<u2").tobytes()


UREA = pixels_of("urea")
SUGAR = pixels_of("sucrose")
DARK = bytes(2 * PIXEL_COUNT)  # a detector without offset or dark current, as the model's


def test_an_alarm_becomes_one_alert_at_headquarters(tmp_path, free_port):
    """SPEC 3.14: and the node that measured is told each verdict."""

    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with running(path) as log, connected(free_port) as node:
                await node.be_born(next_seq=5)
                await node.measure_standard()
                await node.say(node.dark(4, pixels=DARK))
                await node.say(node.reading(1, pixels=SUGAR, dark_seq=4))
                await node.say(node.reading(2, pixels=UREA))
                await node.say(node.reading(2, pixels=UREA))  # delivered twice
                await log.event("alert_delivered")
                assert (await log.event("verdict", seq=1))["verdict"] == "clear"
                found = await log.event("verdict", seq=2)
                assert (found["verdict"], found["hits"]) == ("alarm", ["urea"])
                await node.say(node.reading(3, pixels=SUGAR))
                # Without a dark frame nothing is cleared.
                assert (await log.event("verdict", seq=3))["verdict"] == "inconclusive"
            (stored,) = headquarters.alerts()
        told = [message for message in node.heard.items if isinstance(message, Verdict)]
        assert [(message.outcome, message.detail, message.drill) for message in told[:2]] == [
            (VERDICT_CLEAR, "sucrose", False),
            (VERDICT_ALARM, "urea", False),
        ]
        assert told[0].inspection_id == b"inspect1"
        alert = stored["alert"]
        assert stored["alert_id"] == f"{POST}.{NODE}.{node.journal_id.hex()}.2"
        assert alert["spectrum_sha256"] == hashlib.sha256(UREA).hexdigest()
        assert (alert["seq"], alert["drill"], alert["time_quality"]) == (2, False, 0)
        # Dated by the birth's arrival: uptime 1.0 s then, 5.002 s when it was measured.
        assert (alert["time_source"], alert["time_uncertainty_ms"]) == ("boot", 60_000)
        assert abs(alert["time_ms"] - 4_002 - alert["received_ms"]) < 30_000
        assert set(alert["sentences"]) == set(LANGUAGES)
        assert alert["hits"][0]["substance_id"] == "urea"
        counted = dict(rows(tmp_path, "SELECT name, count FROM counters WHERE subject = ?", NODE))
        assert (counted["verdict_alarm"], counted["verdict_clear"]) == (1, 1)
        assert counted["verdict_inconclusive"] == 1
        assert rows(tmp_path, "SELECT count(*) FROM pending") == [(0,)]
        ((explanation,),) = rows(
            tmp_path, "SELECT explanation FROM verdicts WHERE reason_id = 'listed_found'"
        )
        assert json.loads(explanation)["hits"][0]["bands"]

    asyncio.run(story())


def test_an_alert_says_when_it_was_measured_and_who_says_so(tmp_path, free_port):
    """SPEC 7.2, SPEC 7.6: a time without a quality is passed over; that of the boot is used."""
    now_ms = time.time_ns() // 1_000_000

    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with running(path) as log, connected(free_port) as node:
                await node.be_born(next_seq=4)
                await node.measure_standard()
                said = ((1, (now_ms - 9, 0)), (2, (now_ms, 2)), (3, (None, 0)))
                for seq, stamp in said:
                    await node.say(node.reading(seq, pixels=UREA, time=stamp))
                    await log.event("alert_delivered", seq)
            alerts = {found["alert"]["seq"]: found["alert"] for found in headquarters.alerts()}
        assert (alerts[1]["time_source"], alerts[1]["time_quality"]) == ("boot", 0)
        assert alerts[1]["time_ms"] != now_ms - 9
        assert alerts[1]["time_uncertainty_ms"] == 60_000
        own = alerts[2]
        assert (own["time_ms"], own["time_quality"], own["time_source"]) == (now_ms, 2, "node")
        assert own["time_uncertainty_ms"] is None
        # The boot has told its time meanwhile: one millisecond of uptime later than record 2.
        assert (alerts[3]["time_ms"], alerts[3]["time_uncertainty_ms"]) == (now_ms + 1, 5_000)

    asyncio.run(story())


def test_the_age_of_a_calibration_is_counted_from_the_measurement(tmp_path, free_port):
    """SPEC 7.6: goods measured 40 days after the standard arrive in the same minute as it."""
    day_ms = 86_400_000
    now_ms = time.time_ns() // 1_000_000

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=3)
            node.boot_id = b"unheard1"  # it was off the link then, and started again since
            await node.measure_standard(time=(now_ms - 40 * day_ms, 2))
            await log.event("calibration_made")
            await node.say(node.reading(1, pixels=UREA, time=(now_ms - 39 * day_ms, 2)))
            assert (await log.event("verdict", seq=1))["verdict"] == "alarm"
            await node.say(node.reading(2, pixels=UREA, time=(now_ms, 2)))
            assert "too old" in (await log.event("verdict", seq=2))["text"]

    asyncio.run(story())


def test_a_gateway_killed_between_alarm_and_delivery_alerts_once(tmp_path, free_port):
    """The authority stores the alert and its receipt is lost; then the gateway is killed."""

    async def story():
        faults = [Fault("lose_after", at=1), Fault("unavailable", at=2, times=2)]
        async with Headquarters(tmp_path / "headquarters", faults=faults) as headquarters:
            gateway = Command(write_settings(tmp_path, free_port, url=headquarters.url))
            await gateway.start()
            await gateway.log.event("broker_connected")
            async with connected(free_port) as node:
                await node.be_born(next_seq=2)
                await node.measure_standard()
                await node.say(node.reading(1, pixels=UREA))
                await gateway.log.event("alert_delivery_failed")
            gateway.kill_now()
            await gateway.ended()
            assert rows(tmp_path, "SELECT receipt FROM alerts") == [(None,)]
            await gateway.start()
            await gateway.log.event("alert_delivered")
            assert await gateway.stop() == 0
            assert len(headquarters.alerts()) == 1
            assert headquarters.counts["received"] == 1
        ((body, receipt),) = rows(tmp_path, "SELECT body, receipt FROM alerts")
        assert json.loads(receipt)["sha256"] == hashlib.sha256(body).hexdigest()
        assert len(rows(tmp_path, "SELECT * FROM verdicts")) == 1

    asyncio.run(story())


@pytest.mark.parametrize("stage", ["evaluate", "explain"])
def test_an_evaluation_that_fails_is_inconclusive_and_the_next_goes_on(
    tmp_path, free_port, monkeypatch, stage
):
    real = getattr(judging, stage)
    failed = []

    def fail(*arguments, **keywords):
        if not failed:
            failed.append(stage)
            raise ZeroDivisionError("as if")
        return real(*arguments, **keywords)

    monkeypatch.setattr(judging, stage, fail)

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=3)
            await node.measure_standard()
            await node.say(node.reading(1, pixels=UREA))
            first = await log.event("verdict", seq=1)
            assert (first["verdict"], first["reason"]) == ("inconclusive", "judgement_failed")
            await log.event("judgement_failed", seq=1)
            failure = await log.event("task_failed", task="judging")
            assert "ZeroDivisionError: as if" in failure["text"]
            await node.say(node.reading(2, pixels=UREA))
            assert (await log.event("verdict", seq=2))["verdict"] == "alarm"
            await node.receipt(2)

    asyncio.run(story())


def test_every_sentence_language_has_a_catalogue():
    assert LANGUAGES == CATALOGUES
