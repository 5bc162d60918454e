"""Goal: each alert reaches the authority and is stored there once; nothing else clears the outbox.

Method: the real forwarder and journal against the simulated headquarters over HTTP, which
misbehaves as it is told, and where that cannot misbehave enough, against a few lines of server. The
outbox is filled as judging fills it, and read back from the journal.
"""

import asyncio
import contextlib
import hashlib
import json
import ssl
from functools import partial

import msgspec
import pytest
import trustme
from aiohttp import web

from gateway import wire
from gateway.alerts.alert import Alert, encode
from gateway.forward.https import Forwarder
from gateway.journal import records
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.settings import AuthoritySettings
from simulators.faults import Fault
from simulators.headquarters import Headquarters
from tests.gateway.running import recording
from tests.gateway.seen import DEADLINE_S, Log

JOURNAL = b"journal1"
HIT = {"substance_id": "urea", "cas": "57-13-6", "name": "Urea", "score": 0.9}


def alert_of(seq):
    return Alert(
        alert_id=f"post-1.lane-1.{JOURNAL.hex()}.{seq}",
        post="post-1",
        node="lane-1",
        journal_id=JOURNAL.hex(),
        seq=seq,
        inspection_id=b"inspect1".hex(),
        drill=False,
        time_ms=None,
        time_quality=0,
        received_ms=1_000 + seq,
        verdict="alarm",
        hits=(HIT,),
        sentences={"en": "Urea found."},
        library_version="1",
        spectrum_sha256="0" * 64,
    )


def put(connection, seq):
    """Put an alert into the outbox, with the reading that caused it."""
    record = wire.Reading(
        *(JOURNAL, seq, b"boot-one", 5, None, 0, b"inspect1", 0, b"axis-one", 400_000, 1),
        *(100, None, 65_535, 0, None, b"\1\2" * 64),
    )
    records.insert_record(connection, "lane-1", record, wire.encode(record), 1)
    row = connection.execute("SELECT id FROM records WHERE seq = ?", (seq,)).fetchone()
    alert = alert_of(seq)
    judgement = records.Judgement(
        row[0], "alarm", "listed_found", b"{}", 1_000 + seq, alert.alert_id, encode(alert)
    )
    records.insert_judgement(connection, judgement)


def outbox(connection):
    """Return sequence number, attempts and whether delivered, of every alert."""
    rows = connection.execute("SELECT alert_id, attempts, receipt, fault FROM alerts").fetchall()
    return {int(row[0].rsplit(".", 1)[1]): (row[1], row[2] is not None, row[3]) for row in rows}


class Outbox:
    """A journal with alerts, and a forwarder at work on them."""

    def __init__(self, journal, log):
        self.journal = journal
        self.log = log
        self.wanted = asyncio.Event()
        self.counters = Counters()

    async def put(self, *seqs):
        for seq in seqs:
            await self.journal.write(partial(put, seq=seq))
        self.wanted.set()

    async def delivered(self, count):
        await self.log.event("alert_delivered", count)

    async def state(self):
        return await self.journal.read(outbox)


@contextlib.asynccontextmanager
async def forwarding(folder, url, *, before=(), **changes):
    """Run a forwarder on the journal in `folder`, with alerts that wait already."""
    settings = AuthoritySettings(url=url, retry_s_min=0.1, retry_s_max=1.0, timeout_s=5.0)
    settings = msgspec.structs.replace(settings, **changes)
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    box = Outbox(journal, Log())
    await box.put(*before)
    forwarder = Forwarder(
        settings,
        journal,
        box.wanted,
        now_ms=lambda: 9_000,
        counters=box.counters,
        log=recording(box.log),
    )
    task = asyncio.create_task(forwarder.run())
    try:
        yield box
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await journal.close()


FAULTS = {
    "busy": [Fault("unavailable", times=3)],
    "cut before storing": [Fault("lose_before", times=2)],
    "cut after storing": [Fault("lose_after", times=2)],
    "wrong digest": [Fault("digest", times=2)],
    "malformed receipt": [Fault("malformed", times=2)],
    "slow": [Fault("delay", seconds=0.3)],
    "all of it": [
        Fault("unavailable", at=1),
        Fault("lose_after", at=2),
        Fault("digest", at=3),
        Fault("malformed", at=4),
        Fault("lose_before", at=5),
        Fault("unavailable", at=8, every=2),
    ],
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_alert_is_stored_once_whatever_goes_wrong(tmp_path, name):
    async def story():
        async with (
            Headquarters(tmp_path / "headquarters", faults=FAULTS[name]) as headquarters,
            forwarding(tmp_path, headquarters.url, before=(1, 2)) as box,
        ):
            await box.put(3)
            await box.delivered(3)
            stored = [found["alert"]["seq"] for found in headquarters.alerts()]
            assert sorted(stored) == [1, 2, 3]
            assert headquarters.counts["received"] == 3
            settled = [found[1:] for found in (await box.state()).values()]
            assert settled == [(True, "")] * 3

    asyncio.run(story())


def test_a_full_outbox_is_delivered_whole_after_a_restart(tmp_path):
    """More than any read takes at once, first to nobody, then to an authority that is back."""

    async def story():
        count = 150
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            url = headquarters.url
        async with forwarding(tmp_path, url, before=range(1, count + 1)) as box:
            line = await box.log.event("alert_delivery_failed")
            assert "is not reached" in line["text"]
            assert not any(found[1] for found in (await box.state()).values())
        port = int(url.split(":")[2].split("/")[0])
        async with (
            Headquarters(tmp_path / "headquarters", port) as headquarters,
            forwarding(tmp_path, url) as box,
        ):
            await box.delivered(count)
            assert headquarters.counts["received"] == count
        async with Headquarters(tmp_path / "headquarters", port) as headquarters:
            async with forwarding(tmp_path, url, before=()) as box:
                await box.put(count + 1)
                await box.delivered(1)
            assert headquarters.counts["received"] == count + 1  # nothing was sent again
            assert "duplicate" not in headquarters.counts

    asyncio.run(story())


@contextlib.asynccontextmanager
async def serving(answer, tls=None):
    """Answer POSTs with what `answer(request, body)` gives; yield the address."""

    async def take(request):
        return await answer(request, await request.read())

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/alerts"
    finally:
        await runner.cleanup()


def receipt(body, **changes):
    fields = {
        "alert_id": json.loads(body)["alert_id"],
        "sha256": hashlib.sha256(body).hexdigest(),
        "receipt_id": "R-1",
        "duplicate": False,
    }
    return web.json_response({**fields, **changes})


@pytest.mark.parametrize(
    "status,body",
    [
        (400, "unknown token tok-SECRETZ9"),
        (400, '{"path": "\\/alerts\\/tok-SECRETZ9", "key": "k3y-SECRETZ9"}'),
        (503, "come back later, TOK-secretz9"),
        (200, '{"alert_id": "tok-SECRETZ9", "sha256": "0", "at_ms": 1}'),
    ],
)
def test_a_token_in_the_address_is_in_no_log_and_no_journal(tmp_path, status, body):
    async def answer(_, __):
        return web.Response(status=status, text=body)

    async def story():
        async with serving(answer) as place:
            url = f"{place}/tok-SECRETZ9?key=k3y-SECRETZ9"
            async with forwarding(tmp_path, url, before=(1,)) as box:
                await box.log.wait(lambda line: "again_s" in line)
                told = f"{box.log.items} {await box.state()}"
                assert "secretz9" not in told.casefold()
                assert "/..." in told

    asyncio.run(story())


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_an_alert_that_is_refused_waits_alone(tmp_path, status):
    async def story():
        tried = []

        async def answer(_, body):
            seq = json.loads(body)["seq"]
            tried.append(seq)
            if seq == 1:
                return web.json_response({"error": "field drill is missing"}, status=status)
            return receipt(body)

        async with (
            serving(answer) as url,
            forwarding(tmp_path, url, before=(1, 2, 3), retry_s_max=1_000) as box,
        ):
            line = await box.log.event("alert_refused")
            assert "field drill is missing" in line["text"]
            assert line["again_s"] >= 750  # as late as may be
            await box.delivered(2)
            await box.put(4)
            await box.delivered(3)
            assert tried == [1, 2, 3, 4]
            state = await box.state()
            assert state[1][:2] == (1, False)
            assert "field drill" in state[1][2]

    asyncio.run(story())


WRONG_RECEIPTS = {
    "another alert": (lambda body: receipt(body, alert_id="somebody-else"), "is for alert"),
    "another digest": (lambda body: receipt(body, sha256="0" * 64), "has digest"),
    "no digest": (lambda _: web.json_response({"receipt_id": "R-1"}), "is malformed"),
    "no receipt id": (lambda body: receipt(body, receipt_id=""), "is malformed"),
    "a friendly page": (lambda _: web.Response(text="<html>OK</html>"), "is malformed"),
    "nothing": (lambda _: web.Response(), "is malformed"),
    "far too long": (lambda _: web.Response(body=b"[" * 5_000_000), "at most 4096"),
    "deep": (lambda _: web.Response(body=b'{"x":' + b"[" * 4_000), "is malformed"),
}


@pytest.mark.parametrize("name", WRONG_RECEIPTS)
def test_a_200_without_the_right_receipt_delivers_nothing_and_holds_nobody_up(tmp_path, name):
    async def story():
        make, why = WRONG_RECEIPTS[name]

        async def answer(_, body):
            return make(body) if json.loads(body)["seq"] == 1 else receipt(body)

        async with serving(answer) as url, forwarding(tmp_path, url, before=(1, 2)) as box:
            line = await box.log.event("alert_receipt_refused")
            assert why in line["text"]
            await box.delivered(1)
            await box.log.event("alert_receipt_refused", 2)  # it is tried again
            state = await box.state()
            assert (state[1][1], state[2][1]) == (False, True)

    asyncio.run(story())


def test_a_redirect_is_not_followed(tmp_path):
    async def story():
        paths = []

        async def answer(request, body):
            paths.append(request.path)
            if request.path == "/alerts":
                raise web.HTTPTemporaryRedirect("/elsewhere")
            return receipt(body)

        async with serving(answer) as url, forwarding(tmp_path, url, before=(1,)) as box:
            line = await box.log.event("alert_delivery_failed")
            assert "redirects with 307, which is not followed" in line["text"]
        assert set(paths) == {"/alerts"}

    asyncio.run(story())


def test_a_dead_link_is_not_hammered_but_a_new_alarm_is_tried_at_once(tmp_path, free_port):
    async def story():
        url = f"http://127.0.0.1:{free_port}/alerts"
        slow = {"retry_s_min": 60.0, "retry_s_max": 60.0}
        async with forwarding(tmp_path, url, before=(1, 2, 3), **slow) as box:
            await box.log.event("alert_delivery_failed", 3)  # each is new once
            await box.put(4)
            await box.log.event("alert_delivery_failed", 4)
            assert {found[0] for found in (await box.state()).values()} == {1}
        assert box.counters.take()["alert_delivery_failed", ""] == 4

    asyncio.run(story())


def test_an_empty_outbox_is_left_alone(tmp_path):
    """It is looked at when something comes, and not all the time."""

    async def story():
        looks = []
        async with (
            Headquarters(tmp_path / "headquarters") as headquarters,
            forwarding(tmp_path, headquarters.url) as box,
        ):
            read = box.journal.read

            async def look(question, *, lane):
                looks.append(question)
                return await read(question, lane=lane)

            box.journal.read = look
            for seq in range(1, 6):
                await box.put(seq)
                await box.delivered(seq)
            # Each alert is looked for, found, and looked for in vain; a new one may come between.
            assert 5 <= len(looks) <= 20

    asyncio.run(story())


def test_https_is_checked_against_the_authority_s_certificate(tmp_path):
    async def story():
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An authority that exists in this test only.
        issuer = trustme.CA()
        issuer.issue_cert("127.0.0.1").configure_cert(tls)
        trusted = tmp_path / "authority.pem"
        issuer.cert_pem.write_to_path(str(trusted))

        async def answer(_, body):
            return receipt(body)

        async with serving(answer, tls) as url:
            async with forwarding(tmp_path, url, before=(1,)) as box:
                line = await box.log.event("alert_delivery_failed")
                assert "certificate" in line["text"]
            async with forwarding(tmp_path, url, ca_file=str(trusted)) as box:
                await box.delivered(1)
            port = url.split(":")[2].split("/")[0]
            other = f"https://127.0.0.2:{port}/alerts"  # the certificate does not name it
            async with forwarding(tmp_path, other, before=(2,), ca_file=str(trusted)) as box:
                await box.log.event("alert_delivery_failed")

    asyncio.run(story())


def test_a_certificate_file_that_is_none_is_named(tmp_path):
    async def story():
        missing = str(tmp_path / "missing.pem")
        settings = AuthoritySettings(url="https://127.0.0.1:1/", ca_file=missing)
        journal = Journal(tmp_path / "journal.sqlite")
        await journal.open()
        try:
            forwarder = Forwarder(
                settings,
                journal,
                asyncio.Event(),
                now_ms=lambda: 0,
                counters=Counters(),
                log=recording(Log()),
            )
            with pytest.raises(Exception, match=r"missing\.pem.*PEM file of the authority"):
                await asyncio.wait_for(forwarder.run(), DEADLINE_S)
        finally:
            await journal.close()

    asyncio.run(story())


def test_without_an_address_alerts_wait(tmp_path):
    async def story():
        async with forwarding(tmp_path, "", before=(1,)) as box:
            line = await box.log.event("authority_missing")
            assert "alerts wait in the outbox" in line["text"]
            assert (await box.state())[1] == (0, False, "")

    asyncio.run(story())
