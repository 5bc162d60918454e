"""Goal: a node that floods its own topics is named, counted and barred; the others are heard.

Method: the whole gateway in this process with a real broker. One node floods unpaced at QoS 0, and
connects anew whenever its connection is ended; its neighbour measures meanwhile, and sends again
what is not receipted, as a real node does.
"""

import asyncio
import contextlib
import datetime as dt
import errno
import os
import signal
from pathlib import Path

import aiomqtt
import pytest

from gateway.fleet import nodes_file
from gateway.ingest import spare
from gateway.ingest.intake import text_of_revoked, text_of_unknown
from gateway.ingest.mosquitto import access_list
from gateway.ingest.shunning import DROPPED_MAX, Barred, Shunning
from protocol import topics
from protocol.messages import Health
from simulators.crowd import CONNECT, PUBLISH, packet, text
from tests.gateway.ingest.test_secured_post import Secured, folder
from tests.gateway.running import POST, recording, rows, running, write_settings
from tests.gateway.scripted import TIME_NONE, connected
from tests.gateway.seen import DEADLINE_S, Log, Seen

__all__ = ["folder"]

FLOODER, NEIGHBOUR = "lane-1", "lane-2"
NODES = frozenset({FLOODER, NEIGHBOUR})
TOLD = {"node_revoked": text_of_revoked, "node_unknown": text_of_unknown}
PIECE = 64  # messages that are written at once


def flood_of(kind, node):
    """Return the cause that it is to be barred for, channel and bytes of its message."""
    if kind == "health":
        said = Health(
            *(node.boot_id, 2_000, None, TIME_NONE, None, None, 100_000, node.journal_id),
            *(1, 1, 4_096, 0, 0, 0, 0, 0, 0, ""),
        )
        return "health_replaced", kind, said.pack()
    if kind == "dup":
        return "record_repeated", "reading", node.dark(1).pack()
    if kind == "empty":
        return "message_empty", "reading", b""
    return "frame_refused", "reading", b"\xc1"


async def flood(port, tls, topic, frame, connections):
    """Publish without end; tell each connection."""
    piece = PIECE * packet(PUBLISH, 0, text(topic) + frame)
    hello = packet(CONNECT, 0, text("MQTT") + b"\x04\x02\x00\x3c" + text(FLOODER))
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            connections.add(writer)
            try:
                writer.write(hello)
                while not writer.is_closing():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # or the gateway would have no turn in this process
            finally:
                writer.close()


@contextlib.asynccontextmanager
async def flooding(port, tls, channel, frame, *, of=FLOODER):
    """Have whoever has that certificate flood a channel of a node."""
    connections, topic = Seen(), f"{topics.PREFIX}{POST}/{of}/{channel}"
    task = asyncio.create_task(flood(port, tls, topic, frame, connections))
    try:
        yield connections
    finally:
        task.cancel()
        await asyncio.wait([task])


async def heard_again(port, tls):
    """Deliver a record as a node does: a connection that is ended is made anew.

    Who is let in again begins anew, which may meet a connection that was just made.
    """
    async with asyncio.timeout(30):
        while True:
            try:
                async with connected(port, tls=tls, wait_s=2) as node, asyncio.timeout(5):
                    await node.be_born(next_seq=2)
                    await node.deliver(node.dark(1))
                    return
            except (aiomqtt.MqttError, OSError):  # TimeoutError is an OSError
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["dup", "empty", "health", "junk"])
def test_a_node_that_floods_is_barred_and_its_neighbour_is_heard(folder, free_port, kind):
    async def story():
        post = Secured(folder, free_port)
        async with (
            running(post.path) as log,
            connected(post.port, NEIGHBOUR, tls=post.trust(NEIGHBOUR)) as node,
        ):
            await node.be_born(next_seq=2)
            await node.deliver(node.dark(1))
            cause, channel, frame = flood_of(kind, node)
            async with flooding(post.port, post.trust(FLOODER), channel, frame) as connections:
                barred = await log.event("node_quarantined", node=FLOODER)
                assert barred["cause"] == cause
                await log.event("broker_told")
                await connections.wait(lambda _: True, 3)  # it came back, and floods on
                for seq in range(2, 7):
                    await node.deliver(node.reading(seq, dark_seq=1))
                    await log.event("verdict", node=NEIGHBOUR, seq=seq)
            assert not log.events("node_quarantined", node=NEIGHBOUR)
            assert not log.events("topic_foreign")
            assert len(log.events("broker_connected")) == 1
            assert not log.events("task_failed")
        counted = dict(rows(folder, "SELECT name, count FROM counters WHERE subject = ?", FLOODER))
        assert counted[cause] > 100
        assert counted["message_barred"] > 1_000  # what the broker dropped is counted, too
        assert counted["quarantined"] == 1

    asyncio.run(story())


def revoke_by_name(folder, *names):
    """Do what `harmattan nodes revoke` and `restore` do where the authority's key is elsewhere."""
    now = dt.datetime.now(dt.UTC)
    with nodes_file.changing(folder / "state") as entries:
        entries.clear()
        entries.update({name: nodes_file.Entry(revoked=now) for name in names})


@pytest.mark.parametrize("name, event", [(FLOODER, "node_revoked"), ("lane-9", "node_unknown")])
def test_who_is_not_of_the_post_and_floods_it_is_heard_by_the_broker_alone(
    folder, free_port, name, event
):
    """A certificate that no list revokes, and one of a node that is not in the settings."""

    async def story():
        post = Secured(folder, free_port)
        trust = post.trust(name)
        async with (
            running(post.path) as log,
            connected(post.port, NEIGHBOUR, tls=post.trust(NEIGHBOUR)) as node,
        ):
            await node.be_born(next_seq=2)
            await node.deliver(node.dark(1))
            if event == "node_revoked":
                revoke_by_name(folder, name)
                await log.event("node_revoked", text=f"node {name!r} is refused from now on")
                await log.event("broker_told", text=f"nodes of which it passes nothing on: {name}")
            async with flooding(post.port, trust, "reading", bytes(3_000), of=name) as connections:
                told = await log.event(event, text=TOLD[event](name))
                await connections.wait(lambda _: True, 4)  # it is ended again and again
                for seq in range(2, 7):
                    await node.deliver(node.reading(seq, dark_seq=1))
                    await log.event("verdict", node=NEIGHBOUR, seq=seq)
            assert told["node"] == name
            assert len(log.events(event, text=told["text"])) == 1
            assert len(log.events("broker_connected")) == 1
            if event == "node_revoked":
                revoke_by_name(folder)
                await log.event("node_restored", node=name)
                await log.event("broker_told", text="nodes of which it passes nothing on: none")
                await heard_again(post.port, trust)
        subject = name if event == "node_revoked" else ""
        query = "SELECT count FROM counters WHERE name = ? AND subject = ?"
        assert rows(folder, query, event, subject)[0][0] > 3 * DROPPED_MAX
        assert not rows(folder, "SELECT * FROM counters WHERE name = 'quarantined'")

    asyncio.run(story())


def test_who_floods_anothers_topics_is_ended_again_and_again(folder, free_port):
    """Before it is barred and after; nobody gets any of it, and one line tells of a thousand."""

    async def story():
        post = Secured(folder, free_port)
        async with (
            running(post.path) as log,
            connected(post.port, NEIGHBOUR, tls=post.trust(NEIGHBOUR)) as node,
        ):
            await node.be_born(next_seq=2)
            await node.deliver(node.dark(1))
            trust = post.trust(FLOODER)
            async with flooding(post.port, trust, "event", b"x", of=NEIGHBOUR) as connections:
                await log.event("node_quarantined", node=FLOODER, cause="topic_foreign")
                await connections.wait(lambda _: True, 4)
                for seq in range(2, 7):
                    await node.deliver(node.reading(seq, dark_seq=1))
            assert len(log.events("topic_foreign")) == 1
        counted = dict(rows(folder, "SELECT name, count FROM counters WHERE subject = ?", FLOODER))
        assert counted["topic_foreign"] > 3 * DROPPED_MAX
        assert counted["quarantined"] == 1

    asyncio.run(story())


def test_a_full_disk_keeps_nobody_barred_or_heard(folder, free_port, monkeypatch):
    """The list goes to memory, for which the broker starts anew once; then no more."""
    monkeypatch.setattr("gateway.ingest.quarantine.BAR_S_MIN", 5.0)
    opened = os.open

    monkeypatch.setattr(spare, "MEMORY", folder)
    is_full = True

    def full(path, *rest, **more):
        if is_full and Path(path).parent == folder / "state" and str(path).endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, *rest, **more)

    async def story():
        nonlocal is_full
        post = Secured(folder, free_port)
        access = folder / "state" / "mosquitto.acl"
        async with running(post.path) as log:
            before = access.read_text()
            trust = post.trust(FLOODER)
            with monkeypatch.context() as patched:
                patched.setattr(os, "open", full)
                async with flooding(post.port, trust, "event", b"\xc1"):
                    await log.event("node_quarantined", node=FLOODER)
                    await log.event("broker_connected", 2)
                    is_full = False  # for a moment
                    os.kill(log.events("broker_started")[-1]["pid"], signal.SIGKILL)
                    await log.event("broker_connected", 3)
                    is_full = True
                    barred = spare.beside(access).read_text()
                    assert barred == access_list(POST, NODES, barred={FLOODER})
                await log.event("node_released", node=FLOODER)
                await log.event("broker_told", text="nodes of which it passes nothing on: none")
                assert spare.beside(access).read_text() == before
                await heard_again(post.port, trust)
            assert access.read_text() == before
            assert len(log.events("broker_started")) == 3
            assert not log.events("broker_log", text="passes nothing on")

    asyncio.run(story())


def test_a_node_that_was_barred_is_heard_again_at_once(folder, free_port, monkeypatch):
    """Its connection is ended, so that it begins anew; the broker passes its words on again."""
    monkeypatch.setattr("gateway.ingest.quarantine.BAR_S_MIN", 5.0)

    async def story():
        post = Secured(folder, free_port)
        trust = post.trust(FLOODER)
        access = folder / "state" / "mosquitto.acl"
        async with running(post.path) as log:
            before = access.read_text()
            async with connected(post.port, tls=trust) as node:
                await node.publish_until_ended(topics.build(POST, FLOODER, "event"), b"\xc1")
                await log.event("node_quarantined", node=FLOODER)
            async with connected(post.port, tls=trust):  # it comes back while it is barred
                await log.event("node_released", node=FLOODER)
                await log.event("broker_told", 2)
                await log.event("node_disconnected", text="it is heard again, and begins anew")
            assert access.read_text() == before
            async with connected(post.port, tls=trust) as node:
                await node.be_born(next_seq=2)
                await node.deliver(node.dark(1))

    asyncio.run(story())


def test_what_loopback_says_in_a_barred_nodes_name_goes_no_further(folder, free_port, monkeypatch):
    """A post of this machine alone: there are no certificates, and a client may say any name."""
    monkeypatch.setattr("gateway.ingest.quarantine.BAR_S_MIN", 3_600.0)

    async def story():
        async with (
            running(write_settings(folder, free_port)) as log,
            connected(free_port) as node,
            connected(free_port, NEIGHBOUR) as other,
            aiomqtt.Client("127.0.0.1", free_port) as listener,
        ):
            for _ in range(200):
                await node.publish("event", b"\xc1")
            await log.event("node_quarantined", node=FLOODER)
            await log.event("broker_told")
            await other.be_born(next_seq=2)
            await other.deliver(other.dark(1))
            await listener.subscribe(f"{topics.PREFIX}{POST}/+/event", 1)
            heard = []
            listening = asyncio.create_task(_collect(listener, heard))
            async with asyncio.timeout(DEADLINE_S):
                while FLOODER in heard or NEIGHBOUR not in heard:  # the list is read in a moment
                    heard.clear()
                    await node.publish("event", b"\xc1")
                    await other.say(other.event(2))
                    await other.receipt(2)
                    await asyncio.sleep(0)
            listening.cancel()

    asyncio.run(story())


def fail():
    raise AssertionError("the broker needs no new start")


async def _collect(client, heard):
    async for message in client.messages:
        heard.append(topics.parse(message.topic.value)[1])


def test_a_disk_that_takes_no_list_is_told_once_and_the_connection_ended_all_the_same(tmp_path):
    """Without certificates' names on the list each look ends the connection; then it is written."""

    async def story():
        barred, ended, log, read = {FLOODER}, [], Log(), []

        async def end(node, why):
            ended.append((node, why))
            return True

        access = tmp_path / "missing" / "mosquitto.acl"
        shunning = Shunning(
            access,
            POST,
            NODES,
            barred=Barred(lambda: frozenset(barred), asyncio.Event()),
            is_local=False,
            end_session=end,
            log=recording(log),
        )
        for _ in range(3):
            await shunning._look(lambda: read.append(access.read_text()), fail)
        assert ended == [(FLOODER, "it is in quarantine"), (FLOODER, ""), (FLOODER, "")]
        (told,) = log.events("broker_log")
        assert told["text"].endswith(f"what these send comes as far as the gateway: {FLOODER}")
        assert read == []
        access.parent.mkdir()
        await shunning._look(lambda: read.append(access.read_text()), fail)
        await shunning._look(lambda: read.append(access.read_text()), fail)
        assert read == [access_list(POST, NODES, barred={FLOODER})]
        shunning.dropped(FLOODER, DROPPED_MAX + 1)
        ended.clear()
        await shunning._look(read.clear, fail)
        assert ended == [(FLOODER, "")]
        barred.clear()
        ended.clear()
        access.parent.rename(tmp_path / "away")
        for _ in range(2):
            await shunning._look(read.clear, fail)
        told = log.events("broker_log")[1:]
        assert [
            line["text"].endswith(f"the disk takes the new one: {FLOODER}") for line in told
        ] == [True]
        assert ended == []  # it is not heard again yet, and nobody says so
        (tmp_path / "away").rename(access.parent)
        await shunning._look(lambda: read.append(access.read_text()), fail)
        assert read == [access_list(POST, NODES, barred={FLOODER}), access_list(POST, NODES)]
        assert ended == [(FLOODER, "it is heard again, and begins anew")]

    asyncio.run(story())
