"""Goal: a letter is kept until the broker has acknowledged it, and what waits stays the newest.

Method: the real client at a broker of a few lines, which acknowledges what the test lets it.
"""

import asyncio
import contextlib

import aiomqtt
import pytest

from gateway import wire
from gateway.fleet.outgoing import Outgoing
from gateway.ingest.sending import ACKNOWLEDGED_S_MAX, IN_FLIGHT_MAX, SILENT_S_MAX, Sending
from simulators.crowd import CONNACK, CONNECT, PUBACK, PUBLISH, packet, split
from tests.gateway.seen import DEADLINE_S


class Broker:
    """Takes what is published, and acknowledges it when it is told to."""

    def __init__(self):
        self.published = []  # packet id and body of each
        self._writer = None

    async def serve(self, reader, writer):
        self._writer, buffer = writer, b""
        while data := await reader.read(4_096):
            buffer += data
            while (found := split(buffer)) is not None:
                first, body, buffer = found
                if first >> 4 == CONNECT:
                    writer.write(packet(CONNACK, 0, b"\0\0"))
                elif first >> 4 == PUBLISH:
                    size = int.from_bytes(body[:2], "big")
                    self.published.append((body[2 + size : 4 + size], body))
        writer.close()

    def acknowledge(self, published):
        for packet_id, _ in published:
            self._writer.write(packet(PUBACK, 0, packet_id))

    async def has(self, count):
        async with asyncio.timeout(DEADLINE_S):
            while len(self.published) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def connected():
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = aiomqtt.Client("127.0.0.1", port, max_inflight_messages=IN_FLIGHT_MAX)
    async with server, client:
        yield broker, client, Outgoing("post-1", lambda: 0)


def receipt(seq):
    return wire.Receipt(b"journal1", seq, ())


async def send(sending):
    async with asyncio.timeout(DEADLINE_S):
        await sending.send(DEADLINE_S)


def test_so_many_are_under_way_and_those_that_wait_are_replaced_by_newer_ones():
    async def story():
        async with connected() as (broker, client, outgoing):
            sending = Sending(client, outgoing)
            for number in range(IN_FLIGHT_MAX + 2):
                outgoing.put(f"lane-{number}", "receipt", receipt(1))
            await send(sending)
            await broker.has(IN_FLIGHT_MAX)
            assert len(outgoing) == 2
            await sending.send(0.0)  # no room
            waiting = asyncio.create_task(send(sending))
            outgoing.put(f"lane-{IN_FLIGHT_MAX}", "receipt", receipt(2))
            assert len(outgoing) == 2
            broker.acknowledge(broker.published[:1])
            await waiting
            await send(sending)
            await broker.has(IN_FLIGHT_MAX + 1)
            assert wire.encode(receipt(2)) in broker.published[-1][1]

    asyncio.run(story())


def test_what_was_not_acknowledged_comes_back_but_for_what_there_is_a_newer_word():
    async def story():
        async with connected() as (broker, client, outgoing):
            sending = Sending(client, outgoing)
            for number in range(3):
                outgoing.put(f"lane-{number}", "receipt", receipt(1))
            await send(sending)
            await broker.has(3)
            broker.acknowledge(broker.published[1:2])
            async with asyncio.timeout(DEADLINE_S):
                await sending._acknowledgement.wait()
            outgoing.put("lane-2", "receipt", receipt(2))
            sending.give_back()
            left = {letter.topic: letter.message.seq for letter in await outgoing.take()}
            assert left == {
                "harmattan/v1/post-1/lane-0/receipt": 1,
                "harmattan/v1/post-1/lane-2/receipt": 2,
            }

    asyncio.run(story())


def test_of_two_letters_on_one_subject_the_newer_comes_back():
    def verdict(outcome):
        return wire.Verdict(b"inspect1", outcome, drill=False, detail="")

    async def story():
        async with connected() as (broker, client, outgoing):
            sending = Sending(client, outgoing)
            for number, outcome in enumerate((0, 2), start=1):
                outgoing.put("lane-1", "verdict", verdict(outcome), b"inspect1")
                outgoing.put("lane-1", "receipt", receipt(number))
                await send(sending)
                await broker.has(2 * number)
            sending.give_back()
            left = [letter.message for letter in await outgoing.take()]
            assert left == [verdict(2), receipt(2)]

    asyncio.run(story())


def test_a_broker_that_acknowledges_nothing_is_left():
    async def story():
        async with connected() as (broker, client, outgoing):
            sending = Sending(client, outgoing, silent_s_max=0.0)
            outgoing.put("lane-1", "receipt", receipt(1))
            await send(sending)
            await broker.has(1)
            with pytest.raises(aiomqtt.MqttError, match="has said nothing for 0 s"):
                await send(sending)
            sending.give_back()
            assert len(outgoing) == 1

    asyncio.run(story())


def test_a_broker_that_is_behind_with_its_acknowledgements_is_not_left_at_once():
    """They wait behind a flood of other messages; one that never comes was dropped."""

    async def story():
        async with connected() as (broker, client, outgoing):
            sending = Sending(client, outgoing)
            now_s = sending._now_s
            sending._now_s = lambda: now_s() - 2 * SILENT_S_MAX
            outgoing.put("lane-1", "receipt", receipt(1))
            await send(sending)  # long ago; what it said to our CONNECT has come just now
            await broker.has(1)
            sending._now_s = now_s
            await sending.send(0.0)
            sending._now_s = lambda: now_s() + 2 * SILENT_S_MAX
            with pytest.raises(aiomqtt.MqttError, match="has said nothing for 10 s"):
                await send(sending)
            sending._now_s = lambda: now_s() - 2 * ACKNOWLEDGED_S_MAX
            outgoing.put("lane-2", "receipt", receipt(1))
            sending._letters.clear()
            await send(sending)
            sending._now_s = now_s
            with pytest.raises(aiomqtt.MqttError, match="acknowledged a message for 30 s"):
                await send(sending)
            sending._letters.clear()
            sending._now_s = lambda: now_s() - 2 * SILENT_S_MAX
            for number in range(IN_FLIGHT_MAX):  # nothing else can be sent
                outgoing.put(f"lane-{number}", "receipt", receipt(2))
            await send(sending)
            sending._now_s = now_s
            with pytest.raises(aiomqtt.MqttError, match="acknowledged a message for 10 s"):
                await send(sending)

    asyncio.run(story())


def test_without_a_connection_all_that_was_taken_comes_back(free_port):
    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        sending = Sending(aiomqtt.Client("127.0.0.1", free_port), outgoing)
        for number in range(3):
            outgoing.put(f"lane-{number}", "receipt", receipt(1))
        with pytest.raises(aiomqtt.MqttError):
            await send(sending)
        sending.give_back()
        assert len(outgoing) == 3

    asyncio.run(story())
