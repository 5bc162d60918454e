"""Goal: a clock that is years ahead is told as that, not as the end of everybody's certificates.

Method: what is told, for certificates and jumps of every kind; then a running post with its real
broker and certificates, whose wall clock the test moves and moves back, and a node whose
certificate the broker takes for expired.
"""

import asyncio
import datetime as dt
import tempfile
import time
from pathlib import Path

import aiomqtt
import pytest

from gateway import settings
from gateway.fleet.ahead import POSTURE
from gateway.fleet.timekeeping import time_quality
from gateway.journal.moments import Moments
from gateway.observe.certificates import ahead, link_ends
from hardware import keys
from protocol.messages import TIME_GATEWAY, TIME_RTC, Time
from tests.gateway.ingest.test_secured_post import Secured
from tests.gateway.running import rows, running
from tests.gateway.scripted import connected

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
NOW_MS = 1_795_000_000_000
ENDS = {"broker.nodes.certificate_file": NOW_MS + 5 * YEAR_MS, "node lane-1": NOW_MS + 6 * YEAR_MS}


def jump(before_ms, after_ms):
    return Moments(after_ms, before_ms, after_ms)


@pytest.mark.parametrize(
    "moments, now_ms, said",
    [
        (Moments(NOW_MS), NOW_MS, []),
        (jump(NOW_MS, NOW_MS + YEAR_MS), NOW_MS + YEAR_MS, []),  # a year, but nothing has ended
        # Five years of work: the certificate has really ended, and nobody blames the clock.
        (Moments(NOW_MS + 5 * YEAR_MS), NOW_MS + 5 * YEAR_MS, []),
        (jump(NOW_MS, NOW_MS + YEAR_MS), NOW_MS + 5 * YEAR_MS + 1, ["certificate_file"]),
        (jump(NOW_MS, NOW_MS + 7 * YEAR_MS), NOW_MS + 7 * YEAR_MS, ["lane-1", "in one jump from"]),
        # One that had ended before the jump has ended.
        (jump(NOW_MS + 8 * YEAR_MS, NOW_MS + 9 * YEAR_MS), NOW_MS + 9 * YEAR_MS, []),
        # Nobody knows of a jump: the journal is fresh.
        (Moments(), NOW_MS + 20 * YEAR_MS, ["none is in use for 15 years", "lane-1", "set the"]),
        (Moments(), 1 << 53, ["a year that no calendar has"]),
    ],
)
def test_it_is_the_clock_where_a_jump_passed_the_end_of_certificates(moments, now_ms, said):
    found = ahead(ENDS, moments, now_ms)
    assert bool(found) == bool(said)
    assert all(words in found for words in said), found


def test_without_certificates_a_clock_beyond_every_edition_is_told():
    assert "none is in use" in ahead({}, Moments(), NOW_MS + 20 * YEAR_MS)
    assert not ahead({}, jump(NOW_MS, NOW_MS + 9 * YEAR_MS), NOW_MS + 9 * YEAR_MS)


def test_a_time_that_ends_the_link_it_is_told_over_is_worth_less():
    """SPEC 7.3."""
    ends_ms = NOW_MS + YEAR_MS
    assert time_quality(ends_ms - 1, ends_ms) == TIME_GATEWAY
    assert time_quality(ends_ms, ends_ms) == TIME_RTC
    assert time_quality(NOW_MS + 20 * YEAR_MS) == TIME_RTC  # no certificates


@pytest.fixture
def post(free_port):
    """In a folder that user `nobody` may enter, whom the broker becomes when root starts it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "state").mkdir(mode=0o755)
        yield Secured(Path(name), free_port)


def test_a_post_tells_it_while_it_lasts(post, monkeypatch):
    now_ns, wrong_ms = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + wrong_ms[0] * 1_000_000)
    expired = keys.issue(post.authority, "lane-2", dt.datetime.now(dt.UTC), days=-1)
    trust = post.trust("lane-1")
    (post.folder / "lane-2.pem").write_bytes(expired.certificate_pem())
    (post.folder / "lane-2-key.pem").write_bytes(expired.key_pem())

    async def knock():
        with pytest.raises((aiomqtt.MqttError, OSError)):
            async with connected(
                post.port, "lane-2", tls=post.trust("lane-2", anew=False), wait_s=1.0
            ):
                pass

    async def story():
        async with running(post.path) as log, connected(post.port, tls=trust) as node:
            await node.be_born()
            first = await node.heard.wait(lambda said: isinstance(said, Time))
            assert first.time_quality == TIME_GATEWAY
            assert not rows(post.folder, "SELECT * FROM posture WHERE name = ?", POSTURE)
            wrong_ms[0] = 6 * YEAR_MS  # beyond the broker's certificate, not the authority's
            told = await log.event("clock_ahead")
            assert "broker.nodes.certificate_file" in told["text"]
            assert "The clock is wrong, not the nodes" in told["text"]
            ((text,),) = rows(post.folder, "SELECT text FROM posture WHERE name = ?", POSTURE)
            assert text == told["text"]
            told = await node.heard.wait(
                lambda said: isinstance(said, Time) and said.time_ms > first.time_ms + YEAR_MS
            )
            assert told.time_quality == TIME_RTC
            await knock()
            refused = await log.event("certificate_refused")
            assert "The clock is wrong, not the nodes" in refused["text"]
            wrong_ms[0] = 0
            await log.event("clock_ahead_no_more")
            right = await node.heard.wait(
                lambda said: isinstance(said, Time) and said.time_quality == TIME_GATEWAY, 2
            )
            assert right.time_ms < first.time_ms + YEAR_MS
            assert not rows(post.folder, "SELECT * FROM posture WHERE name = ?", POSTURE)
        counted = dict(rows(post.folder, "SELECT name, count FROM counters"))
        assert counted["clock_ahead"] == 1

    asyncio.run(story())


def test_a_start_with_such_a_clock_tells_it_and_the_next_too(post, monkeypatch):
    now_ns, wrong_ms = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + wrong_ms[0] * 1_000_000)

    async def story():
        async with running(post.path) as log:
            await log.event("broker_connected")
        wrong_ms[0] = 6 * YEAR_MS
        for _ in range(2):
            async with running(post.path) as log:
                told = await log.event("clock_ahead")
                assert f"{dt.datetime.now(dt.UTC):%Y-%m}" in told["text"]
        wrong_ms[0] = 0
        async with running(post.path) as log:
            await log.event("broker_connected")
            assert log.events("clock_ahead") == []
        assert not rows(post.folder, "SELECT * FROM posture WHERE name = ?", POSTURE)

    asyncio.run(story())


def test_the_newest_certificate_of_each_node_counts(post):
    folder = post.folder / "issued"
    folder.mkdir()
    made = keys.issue(post.authority, "lane-1", dt.datetime.now(dt.UTC), days=3)
    (folder / "lane-1.1.pem").write_bytes(made.certificate_pem())
    loaded = settings.load(post.path)
    found = link_ends(loaded)
    assert set(found) == {*("broker.nodes.ca_file", "broker.nodes.certificate_file", "node lane-1")}
    assert set(link_ends(loaded, only_own=True)) == set(found) - {"node lane-1"}
    assert found["node lane-1"] == made.certificate.not_valid_after_utc.timestamp() * 1_000
