"""Goal: a receipt means stored for ever, an alert is counted once, and nothing malformed gets in.

Method: real HTTP against the running headquarters, in this process and as the command; the command
is killed with SIGKILL right after a receipt and started again on the same directory.
"""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alerts.alert import Alert, check_receipt, encode
from simulators import authority
from simulators.authority import InvalidAlertError, Store, check_alert
from simulators.errors import HeadquartersError
from simulators.faults import AUTHORITY_KINDS, Fault, parse_fault
from simulators.headquarters import BODY_BYTES_MAX, Headquarters, main

DEADLINE_S = 60.0
HIT = {
    "substance_id": "urea",
    "cas": "57-13-6",
    "name": "Urea",
    "score": 0.98,
    "bands": [{"shift_cm1": 1011.0, "state": "found"}],
}


def build_alert(seq=1, **changes):
    fields = {
        "alert_id": f"lane-4.node-1.{'ab' * 8}.{seq}",
        "post": "lane-4",
        "node": "node-1",
        "journal_id": "ab" * 8,
        "seq": seq,
        "inspection_id": "cd" * 8,
        "drill": False,
        "time_ms": 1_790_000_000_000,
        "time_quality": 2,
        "received_ms": 1_790_000_000_100,
        "verdict": "alarm",
        "hits": [HIT],
        "sentences": {"en": "Urea found.", "ar": "عُثر على اليوريا."},
        "library_version": "2026.11-abcdef01",
        "spectrum_sha256": "0" * 64,
    }
    return {**fields, **changes}


def pack_alert(**changes):
    return json.dumps(build_alert(**changes)).encode()


BODY = pack_alert()
ALERT_ID = build_alert()["alert_id"]


def run(steps, directory, **options):
    """Run `steps(hq, post)` against a headquarters; returns what the steps return."""

    async def outer():
        async with (
            asyncio.timeout(DEADLINE_S),
            Headquarters(directory, **options) as hq,
            aiohttp.ClientSession() as session,
        ):

            async def post(body=BODY, key=ALERT_ID, content_type="application/json"):
                headers = {"Content-Type": content_type}
                if key is not None:
                    headers["Idempotency-Key"] = key
                async with session.post(hq.url, data=body, headers=headers) as response:
                    return response.status, await response.read()

            return await steps(hq, post)

    return asyncio.run(outer())


# --------------------------------------------------------------------------------------- deliveries


def test_an_alert_is_stored_and_receipted(tmp_path):
    async def steps(hq, post):
        status, answer = await post()
        receipt = json.loads(answer)
        assert status == 200
        assert receipt["alert_id"] == ALERT_ID
        assert receipt["sha256"] == hashlib.sha256(BODY).hexdigest()
        assert receipt["receipt_id"]
        assert receipt["duplicate"] is False
        (stored,) = hq.alerts()
        assert stored["alert"] == build_alert()
        assert stored["receipt_id"] == receipt["receipt_id"]
        assert stored["received_ms"] == 123_456
        assert hq.counts == {"received": 1}

    run(steps, tmp_path, now_ms=lambda: 123_456)


def test_the_gateways_own_alert_and_receipt_check_agree(tmp_path):
    alert = msgspec.convert(build_alert(time_ms=None), Alert)
    body = encode(alert)

    async def steps(_, post):
        status, answer = await post(body)
        assert status == 200
        assert check_receipt(answer, alert.alert_id, body) is None
        assert check_receipt(answer, alert.alert_id, body + b" ") is not None

    run(steps, tmp_path)


def test_the_same_alert_again_is_a_duplicate_with_the_same_receipt(tmp_path):
    async def steps(hq, post):
        receipts = [json.loads((await post())[1]) for _ in range(3)]
        assert [receipt["duplicate"] for receipt in receipts] == [False, True, True]
        assert len({receipt["receipt_id"] for receipt in receipts}) == 1
        assert [alert["deliveries"] for alert in hq.alerts()] == [3]
        assert hq.counts == {"received": 1, "duplicate": 2}

    run(steps, tmp_path)


def test_other_content_under_a_known_id_is_a_conflict(tmp_path):
    async def steps(hq, post):
        await post()
        status, answer = await post(pack_alert(drill=True))
        assert status == 409
        assert ALERT_ID in json.loads(answer)["error"]
        assert [alert["alert"]["drill"] for alert in hq.alerts()] == [False]
        assert hq.counts == {"conflict": 1, "received": 1}

    run(steps, tmp_path)


def test_many_at_once_are_each_stored_once(tmp_path):
    async def steps(hq, post):
        bodies = {build_alert(seq=seq)["alert_id"]: pack_alert(seq=seq) for seq in range(1, 31)}
        deliveries = [post(body, key) for key, body in bodies.items() for _ in range(3)]
        answers = await asyncio.gather(*deliveries)
        assert {status for status, _ in answers} == {200}
        assert sorted(alert["alert_id"] for alert in hq.alerts()) == sorted(bodies)
        assert hq.counts == {"received": 30, "duplicate": 60}

    run(steps, tmp_path)


def test_a_restart_remembers(tmp_path):
    async def first(_, post):
        return json.loads((await post())[1])

    async def second(hq, post):
        assert [alert["alert_id"] for alert in hq.alerts()] == [ALERT_ID]
        return json.loads((await post())[1])

    before, after = run(first, tmp_path), run(second, tmp_path)
    assert (before["receipt_id"], after["duplicate"]) == (after["receipt_id"], True)


def test_lists_and_counts_over_http(tmp_path):
    async def steps(hq, post):
        await post()
        async with aiohttp.ClientSession() as session:
            async with session.get(hq.url) as response:
                assert [alert["alert_id"] for alert in await response.json()] == [ALERT_ID]
            async with session.get(hq.url.replace("/alerts", "/counts")) as response:
                assert await response.json() == {"received": 1}

    run(steps, tmp_path)


# ---------------------------------------------------------------------------------------- malformed


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"post": "Lane 4"}, "$.post"),
        ({"post": "lane-5"}, "its fields say 'lane-5.node-1"),
        ({"node": ""}, "$.node"),
        ({"node": "node-1\n"}, "$.node"),
        ({"journal_id": "AB" * 8}, "$.journal_id"),
        ({"seq": 0}, "$.seq"),
        ({"seq": 2**53}, "$.seq"),
        ({"inspection_id": "cd"}, "$.inspection_id"),
        ({"drill": 0}, "$.drill"),
        ({"time_ms": -1}, "$.time_ms"),
        ({"time_quality": 4}, "$.time_quality"),
        ({"received_ms": None}, "$.received_ms"),
        ({"verdict": "clear"}, "$.verdict"),
        ({"hits": []}, "$.hits"),
        ({"hits": [HIT] * 65}, "$.hits"),
        ({"hits": [{**HIT, "score": 1.01}]}, "$.hits[0].score"),
        ({"hits": [{**HIT, "substance_id": "../urea"}]}, "$.hits[0].substance_id"),
        ({"sentences": {}}, "$.sentences"),
        ({"sentences": {"English": "Urea"}}, "sentences"),
        ({"sentences": {"en": "x" * 2001}}, "$.sentences"),
        ({"library_version": ""}, "$.library_version"),
        ({"spectrum_sha256": "0" * 63}, "$.spectrum_sha256"),
        ({"alert_id": "x"}, "alert_id is 'x'"),
    ],
)
def test_every_field_has_bounds(changes, words):
    with pytest.raises(InvalidAlertError) as caught:
        check_alert(pack_alert(**changes), ALERT_ID)
    assert caught.value.status == 422
    assert words in str(caught.value)


@pytest.mark.parametrize("field", sorted(build_alert()))
def test_every_field_is_required(field):
    fields = build_alert()
    del fields[field]
    with pytest.raises(InvalidAlertError, match=field):
        check_alert(json.dumps(fields).encode(), ALERT_ID)


@pytest.mark.parametrize(
    "body, words",
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (BODY[:-1] + b', "more": "\xff"}', "not JSON"),
        (BODY[:-1] + b', "more": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nested too deeply"),
        (BODY[:-1] + b', "more": 1e999}', "alert refused"),
        (b"[]", "alert refused"),
    ],
)
def test_bodies_that_are_no_alert(body, words):
    with pytest.raises(InvalidAlertError, match=words):
        check_alert(body, ALERT_ID)


def test_what_is_wrong_with_a_delivery_is_said_and_counted(tmp_path):
    async def steps(hq, post):
        cases = [
            (await post(key=None), 422, "Idempotency-Key is 'None'"),
            (await post(key="other"), 422, "Idempotency-Key is 'other'"),
            (await post(content_type="text/plain"), 400, "text/plain"),
            (await post(b"{}"), 422, "missing required field"),
            (await post(b"x" * (BODY_BYTES_MAX + 1)), 413, str(BODY_BYTES_MAX)),
        ]
        for (status, answer), expected, words in cases:
            assert status == expected
            assert words in json.loads(answer)["error"]
        assert hq.alerts() == []
        assert hq.counts == {"malformed": len(cases)}
        assert (await post())[0] == 200

    run(steps, tmp_path)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)), st.text())
def test_any_body_is_an_alert_or_refused(body, key):
    with pytest.raises(InvalidAlertError):
        check_alert(body, key)


@given(
    st.sampled_from(sorted(build_alert())),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
)
def test_any_value_in_any_field_is_an_alert_or_refused(field, value):
    body = json.dumps(build_alert(**{field: value})).encode()
    try:
        alert = check_alert(body, ALERT_ID)
    except InvalidAlertError:
        return
    assert alert.alert_id == ALERT_ID


def test_a_full_authority_says_try_later(tmp_path, monkeypatch):
    monkeypatch.setattr(authority, "ALERTS_MAX", 2)

    async def steps(hq, post):
        statuses = [
            (await post(pack_alert(seq=seq), build_alert(seq=seq)["alert_id"]))[0]
            for seq in (1, 2, 3)
        ]
        assert statuses == [200, 200, 503]
        assert (await post())[0] == 200  # a duplicate needs no room
        assert hq.counts == {"duplicate": 1, "full": 1, "received": 2}

    run(steps, tmp_path)


# ------------------------------------------------------------------------------------------- faults


def test_unavailable_some_times_then_accepted_once(tmp_path):
    async def steps(hq, post):
        statuses = [(await post())[0] for _ in range(4)]
        assert statuses == [503, 503, 503, 200]
        assert hq.counts == {"fault_unavailable": 3, "received": 1}

    run(steps, tmp_path, faults=[Fault("unavailable", times=3)])


@pytest.mark.parametrize("kind, is_stored", [("lose_before", False), ("lose_after", True)])
def test_a_lost_connection_before_and_after_storing(tmp_path, kind, is_stored):
    async def steps(hq, post):
        with pytest.raises(aiohttp.ClientError):
            await post()
        assert len(hq.alerts()) == is_stored
        receipt = json.loads((await post())[1])
        assert receipt["duplicate"] is is_stored
        assert len(hq.alerts()) == 1

    run(steps, tmp_path, faults=[Fault(kind)])


@pytest.mark.parametrize("kind, words", [("digest", "digest"), ("malformed", "malformed")])
def test_a_wrong_receipt_is_one_the_gateway_does_not_believe(tmp_path, kind, words):
    async def steps(hq, post):
        status, answer = await post()
        assert status == 200
        assert words in check_receipt(answer, ALERT_ID, BODY)
        status, answer = await post()
        assert check_receipt(answer, ALERT_ID, BODY) is None
        assert len(hq.alerts()) == 1

    run(steps, tmp_path, faults=[Fault(kind)])


def test_a_delay_keeps_the_answer_back(tmp_path):
    async def steps(_, post):
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        assert (await post())[0] == 200
        assert loop.time() - start_s >= 0.2

    run(steps, tmp_path, faults=[Fault("delay", seconds=0.2)])


def test_every_fault_of_the_vocabulary_is_used_here():
    assert {parse_fault(kind, AUTHORITY_KINDS).kind for kind in AUTHORITY_KINDS} == {
        "unavailable", "lose_before", "lose_after", "digest", "malformed", "delay",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- beginning


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", "::"])
def test_only_loopback(tmp_path, host):
    async def steps(*_):
        pytest.fail("it listens")

    with pytest.raises(HeadquartersError, match="not a loopback address"):
        run(steps, tmp_path, host=host)


def test_a_busy_port_is_named(tmp_path):
    async def steps(*_):
        pytest.fail("it listens")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HeadquartersError, match=f"port {port} on 127.0.0.1 is not free"):
            run(steps, tmp_path, port=port)


def test_an_unusable_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    async def steps(*_):
        pytest.fail("it listens")

    with pytest.raises(HeadquartersError, match="choose a writable directory"):
        run(steps, tmp_path / "file")


def test_closed_it_says_so(tmp_path):
    with pytest.raises(HeadquartersError, match="closed"):
        Headquarters(tmp_path).alerts()


def test_the_store_syncs_every_commit(tmp_path):
    store = Store(tmp_path / "a.sqlite")
    assert store._connection.pragma("synchronous") == 2
    assert store._connection.pragma("journal_mode") == "wal"
    store.close()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--fault", "fire"], "unknown fault 'fire'"),
        (["--fault", "unavailable,times=0"], "times=0 is outside"),
    ],
)
def test_bad_arguments_are_one_sentence_and_status_2(capsys, tmp_path, arguments, words):
    assert main(["--directory", str(tmp_path), *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1


# ------------------------------------------------------------------------------------ the command


class Command:
    """`python -m simulators.headquarters` as a child process."""

    def __init__(self, directory):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulators.headquarters", "--directory", str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._watch = threading.Timer(DEADLINE_S, self.process.kill)
        self._watch.start()
        self.url = self.process.stdout.readline().strip()

    def post(self, body, key):
        request = urllib.request.Request(
            self.url, body, {"Content-Type": "application/json", "Idempotency-Key": key}
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            return json.load(response)

    def get(self):
        with urllib.request.urlopen(self.url, timeout=DEADLINE_S) as response:
            return json.load(response)

    def end(self, number):
        os.kill(self.process.pid, number)
        self.process.communicate(timeout=DEADLINE_S)
        self._watch.cancel()
        return self.process.returncode


def test_killed_after_a_receipt_it_has_lost_nothing(tmp_path):
    receipts = {}
    for round_number in range(3):
        command = Command(tmp_path)
        try:
            assert [alert["alert_id"] for alert in command.get()] == list(receipts)
            for alert_id, receipt in receipts.items():
                seq = int(alert_id.rsplit(".", 1)[1])
                again = command.post(pack_alert(seq=seq), alert_id)
                assert again == {**receipt, "duplicate": True}
            alert = build_alert(seq=round_number + 1)
            receipts[alert["alert_id"]] = command.post(
                json.dumps(alert).encode(), alert["alert_id"]
            )
        finally:
            assert command.end(signal.SIGKILL) == -signal.SIGKILL
    assert len(receipts) == 3


def test_a_signal_ends_it(tmp_path):
    command = Command(tmp_path)
    assert command.url.startswith("http://127.0.0.1:")
    assert command.end(signal.SIGTERM) == 0
