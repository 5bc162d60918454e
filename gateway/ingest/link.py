"""The gateway's connection to the broker: subscribe, take messages in, send letters out."""

import asyncio
import ssl
from collections.abc import Callable

import aiomqtt

from gateway.errors import BrokerError
from gateway.fleet.outgoing import Outgoing
from gateway.ingest import intake
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import Settings
from protocol import limits, topics

CONNECT_S_MAX = 10.0
PUBLISH_S_MAX = 10.0
KEEP_ALIVE_S = 30
# Messages that wait inside the client. What does not fit is dropped there, receipted nowhere, and
# so sent again by its node: a bound costs time, never a record.
QUEUED_MESSAGES_MAX = 64 * limits.WINDOW_RECORDS
ARRIVALS_MAX = 512  # taken in and not yet committed


class Link:
    """One connection at a time; `run` ends with an error when it breaks.

    Args:
        settings: of the post.
        arrivals: bounded queue of what may be acted on.
        outgoing: letters to the nodes.
        announce: called after each subscription, to say that the gateway is here.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        arrivals: asyncio.Queue[tuple[intake.Taken, bool]],
        outgoing: Outgoing,
        announce: Callable[[], None],
        counters: Counters,
        log: Log,
    ) -> None:
        self._settings = settings
        self._nodes = frozenset(node.id for node in settings.nodes)
        self._arrivals = arrivals
        self._outgoing = outgoing
        self._announce = announce
        self._counters = counters
        self._log = log.bind(part="link")

    async def run(self) -> None:
        """Connect, subscribe, and carry messages both ways until the connection breaks.

        Raises:
            BrokerError: the broker cannot be reached or the connection broke.
        """
        broker = self._settings.broker
        try:
            async with aiomqtt.Client(
                broker.host,
                broker.port,
                identifier=f"gateway-{self._settings.post}",
                clean_session=True,
                keepalive=KEEP_ALIVE_S,
                timeout=CONNECT_S_MAX,
                max_queued_incoming_messages=QUEUED_MESSAGES_MAX,
                max_inflight_messages=2 * limits.WINDOW_RECORDS_MAX,
                tls_context=_tls(self._settings),
            ) as client:
                prefix = f"{topics.PREFIX}{self._settings.post}/+/"
                await client.subscribe([(prefix + channel, 1) for channel in topics.UP])
                self._log.info("broker_connected", host=broker.host, port=broker.port)
                self._announce()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(client), name="link-send")
                    tasks.create_task(self._receive(client), name="link-receive")
        except* (aiomqtt.MqttError, OSError) as group:
            raise BrokerError(
                f"broker {broker.host}:{broker.port}: {group.exceptions[0]};"
                " is it running, and is the port right?"
            ) from group

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload
            if not payload:
                continue  # an empty retained message clears a topic: nothing is said
            taken = intake.take(
                message.topic.value, payload, post=self._settings.post, nodes=self._nodes
            )
            if isinstance(taken, intake.Refused):
                self._counters.count(taken.count, taken.node)
                self._log.warning(taken.count, node=taken.node, text=taken.text)
            else:
                await self._arrivals.put((taken, bool(message.retain)))

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            letter = await self._outgoing.take()
            try:
                await client.publish(
                    letter.topic, letter.payload, qos=1, retain=letter.retain, timeout=PUBLISH_S_MAX
                )
            except aiomqtt.MqttError:
                self._outgoing.put_back(letter)
                raise


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return mutual TLS for an external broker, None for loopback without certificates."""
    broker = settings.broker
    if not broker.ca_file:
        return None
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
        context.load_cert_chain(broker.certificate_file, broker.key_file)
    except OSError as error:
        raise BrokerError(
            f"broker certificates {broker.ca_file}, {broker.certificate_file}: {error};"
            " check the three files of [broker]"
        ) from error
    return context
