"""Goal: what could not be sent is not lost, and what cannot be used is said in a sentence.

Method: the real link with a real client that has no connection, and with certificates that are
none. What it does on a living connection is in `test_ingest.py`.
"""

import asyncio
from functools import partial

import aiomqtt
import pytest

from gateway import wire
from gateway.errors import BrokerError
from gateway.fleet.outgoing import Outgoing
from gateway.ingest.arrivals import Arrivals
from gateway.ingest.gate import Gate
from gateway.ingest.link import Link
from gateway.observe.counters import Counters
from gateway.settings import BrokerSettings, NodeSettings, Settings
from gateway.supervisor import endure
from tests.gateway.running import recording
from tests.gateway.seen import DEADLINE_S, Log


def link_to(broker, outgoing):
    async def announce():
        raise AssertionError("there is no connection")

    counters, log = Counters(), recording(Log())
    return Link(
        Settings("post-1", broker=broker, nodes=(NodeSettings("lane-1"),)),
        arrivals=Arrivals(),
        gate=Gate(frozenset({"lane-1"}), counters=counters, log=log),
        endure=partial(endure, "link", counters=counters, log=log),
        outgoing=outgoing,
        announce=announce,
        broker_ready=None,
        now_ms=lambda: 0,
        counters=counters,
        log=log,
    )


def test_a_letter_that_could_not_be_sent_waits_for_the_next_connection(free_port):
    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        outgoing.put("lane-1", "command", wire.Command(b"command1", 2, None, b""))
        link = link_to(BrokerSettings(port=free_port), outgoing)
        client = aiomqtt.Client("127.0.0.1", free_port)
        with pytest.raises(aiomqtt.MqttError):
            await asyncio.wait_for(link._send(client), DEADLINE_S)
        (letter,) = await asyncio.wait_for(outgoing.take(), DEADLINE_S)
        assert letter.message.command_id == b"command1"

    asyncio.run(story())


def test_a_broker_that_is_not_there_is_named(free_port):
    async def story():
        link = link_to(BrokerSettings(external=True, port=free_port), Outgoing("p", lambda: 0))
        with pytest.raises(BrokerError) as caught:
            await asyncio.wait_for(link.run(), DEADLINE_S)
        text = str(caught.value)
        assert f"broker 127.0.0.1:{free_port}: " in text
        assert text.endswith("is it running, and is the port right?")

    asyncio.run(story())


def test_certificates_that_are_none_are_named(tmp_path, free_port):
    async def story():
        missing = tmp_path / "missing.pem"
        broker = BrokerSettings(
            external=True,
            host="broker.example",
            port=free_port,
            ca_file=str(missing),
            certificate_file=str(missing),
            key_file=str(missing),
        )
        with pytest.raises(
            BrokerError, match=r"missing\.pem.*give PEM files that this user may read"
        ):
            await asyncio.wait_for(link_to(broker, Outgoing("p", lambda: 0)).run(), DEADLINE_S)

    asyncio.run(story())
