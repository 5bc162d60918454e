"""Goal: a node that floods its own topics is named, counted and barred; the others are heard.

Method: the whole gateway in this process with a real broker. One node floods unpaced at QoS 0, and
connects anew whenever its connection is ended; its neighbour measures meanwhile, and sends again
what is not receipted, as a real node does.
"""

import asyncio
import contextlib

import aiomqtt
import pytest

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


async def flood(port, tls, channel, frame, connections):
    """Publish without end; tell each connection."""
    topic = f"{topics.PREFIX}{POST}/{FLOODER}/{channel}"
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
async def flooding(port, tls, channel, frame):
    connections = Seen()
    task = asyncio.create_task(flood(port, tls, channel, frame, connections))
    try:
        yield connections
    finally:
        task.cancel()
        await asyncio.wait([task])


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
            barred=Barred(lambda: frozenset(barred), asyncio.Event()),
            is_local=False,
            end_session=end,
            log=recording(log),
        )
        for _ in range(3):
            await shunning._look(lambda: read.append(access.read_text()))
        assert ended == [(FLOODER, "it is in quarantine"), (FLOODER, ""), (FLOODER, "")]
        assert len(log.events("broker_log")) == 1
        assert read == []
        access.parent.mkdir()
        await shunning._look(lambda: read.append(access.read_text()))
        await shunning._look(lambda: read.append(access.read_text()))
        assert read == [access_list(POST, {FLOODER})]
        shunning.dropped(FLOODER, DROPPED_MAX + 1)
        ended.clear()
        await shunning._look(read.clear)
        assert ended == [(FLOODER, "")]
        barred.clear()
        await shunning._look(lambda: read.append(access.read_text()))
        assert read[1:] == [access_list(POST)]
        assert ended[1:] == [(FLOODER, "it is heard again, and begins anew")]

    asyncio.run(story())
