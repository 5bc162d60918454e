"""Goal: reading ahead changes how often the system is asked, and not one byte.

Method: a real pair of sockets; Hypothesis draws what is sent and how much is asked for. That the
MQTT client takes everything that was read ahead is shown by a broker that sends a burst and then
falls silent: nothing may wait for the next packet.
"""

import asyncio
import socket

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.buffered import PIECE_BYTES, BufferedSocket, prepare, read_ahead
from simulators.crowd import CONNACK, PUBLISH, SUBACK, packet, text

BURST = 200
DEADLINE_S = 30.0


def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(0.0)
    reader = BufferedSocket(ours)
    reader.is_ahead = True
    return reader, theirs


@given(
    sent=st.binary(min_size=1, max_size=3_000),
    sizes=st.lists(st.integers(1, 2 * PIECE_BYTES), min_size=1),
)
def test_what_is_sent_is_read_in_pieces_of_any_size(sent, sizes):
    reader, sender = pair()
    with reader, sender:
        sender.sendall(sent)
        read = b""
        for size in sizes * len(sent):
            if len(read) == len(sent):
                break
            piece = reader.recv(size)
            assert 0 < len(piece) <= size
            read += piece
            assert reader.pending() <= len(sent) - len(read)
        assert read == sent
        assert reader.pending() == 0
        with pytest.raises(BlockingIOError):
            reader.recv(1)
        sender.close()
        assert reader.recv(1) == b""


def test_a_burst_is_taken_to_its_end():
    """Of the whole burst the system's socket is empty at once; what is read ahead must not wait."""

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(packet(CONNACK, 0, b"\0\0"))
        await reader.read(100)
        messages = [packet(PUBLISH, 0, text("t") + bytes([number])) for number in range(BURST)]
        writer.write(packet(SUBACK, 0, b"\0\1\0") + b"".join(messages))
        await reader.read(100)  # until the client ends
        writer.close()

    async def story():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = aiomqtt.Client("127.0.0.1", port)
        prepare(client)
        heard = []
        async with server, asyncio.timeout(DEADLINE_S), client:
            assert isinstance(client._client._sock, BufferedSocket)
            assert not client._client._sock.is_ahead
            read_ahead(client)
            await client.subscribe("t")
            async for message in client.messages:
                heard.append(message.payload[0])
                if len(heard) == BURST:
                    break
        assert heard == list(range(BURST))

    asyncio.run(story())
