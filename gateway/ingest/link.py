"""The gateway's connection to the broker: subscribe, take messages in, send letters out."""

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import aiomqtt

from gateway import wire
from gateway.errors import BrokerError
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.watching import Watching
from gateway.ingest import intake
from gateway.ingest.answering import TURN_S
from gateway.ingest.arrivals import Arrivals, Offer
from gateway.ingest.buffered import prepare, read_ahead
from gateway.ingest.door import way
from gateway.ingest.gate import Gate
from gateway.ingest.quarantine import CAUSES, EXCESSES
from gateway.ingest.secret import Secret
from gateway.ingest.sending import IN_FLIGHT_MAX, Sending
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import BEAT_S_MAX
from gateway.observe.throttle import Throttle
from gateway.settings import Settings
from protocol import limits, topics
from protocol.errors import ProtocolError

CONNECT_S_MAX = 10.0
KEEP_ALIVE_S = 30
ASK_S = 3.0  # between two words that we ask the broker for
# With ASK_S less than the 10 s after which a node that was just heard, every 5 s, may be overdue.
MUTE_TURNS_MAX = 5
SUBSCRIPTION_REFUSED = 0x80  # MQTT 3.1.1, SUBACK

REMEDIES = {
    Offer.overflow: "has too many messages waiting to be committed; it sends them again. If this"
    " lasts: is the disk slow or full, is the node's window honest?",
    Offer.crowded: "finds no room, because all nodes together have more waiting than this"
    " computer holds; it sends them again. If this lasts: is the disk slow or full?",
}
"""What to say of a node whose message found no place."""

QUIET = frozenset({"message_barred", "message_empty"})
"""What is counted only: `node_quarantined` tells of it, before or after."""

UNAFFORDABLE = (
    "this computer has no memory left for it; its node sends it again. End other programs, or give"
    " this computer more memory; restarting the gateway loses nothing"
)
FAILED = "the gateway itself failed over it; report the fault with the lines before this one"


class _Passage(asyncio.Queue[aiomqtt.Message]):
    """The client's queue of messages, through which they only pass.

    The client's own queue costs a task per message, and drops without a word when it is full. Ours
    hands each message on as it is read; what bounds the load is `Arrivals`.
    """

    def __init__(self, take: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._hand_on = take

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._hand_on(item)


class Link:
    """One connection at a time; `run` ends with an error when it breaks.

    Args:
        settings: of the post.
        arrivals: takes what may be acted on.
        gate: who may speak.
        endure: does a piece of work and says whether it went well, having logged what it raised.
        secret: returns what our own broker asks of us, None when it asks for nothing.
        outgoing: letters to the nodes.
        announce: called after each subscription, to say that the gateway is here.
        watching: told whether we are connected, and who is heard; None: nobody looks.
        broker_ready: set while our own broker listens; None for an external one.
        now_ms: the gateway's wall clock, Unix milliseconds.
        beat: called at every turn of the loop that sends.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins
        self,
        settings: Settings,
        *,
        arrivals: Arrivals,
        gate: Gate,
        endure: Callable[[Callable[[], None]], bool],
        outgoing: Outgoing,
        announce: Callable[[], Awaitable[None]],
        broker_ready: asyncio.Event | None,
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
        watching: Watching | None = None,
        secret: Callable[[], Secret | None] = lambda: None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._endure = endure
        self._secret = secret
        self._beat = beat
        self._nodes = frozenset(node.id for node in settings.nodes)
        self._arrivals = arrivals
        self._outgoing = outgoing
        self._announce = announce
        self._watching = watching
        self._broker_ready = broker_ready
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="link")
        self._throttle = Throttle()
        self._has_come = False  # a message, since that was looked at

    async def run(self) -> None:
        """Connect, subscribe, and carry messages both ways until the connection breaks.

        Raises:
            BrokerError: the broker cannot be reached or the connection broke.
            JournalError: what is to be announced cannot be read.
        """
        broker = self._settings.broker
        if self._broker_ready is not None:
            # Another program's broker on our port is not ours, and not to be spoken to.
            while not self._broker_ready.is_set():
                self._beat()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._broker_ready.wait(), BEAT_S_MAX)
        fault = "the connection ended"
        try:
            async with self._client() as client:
                await self._subscribe(client)
                if self._watching is not None:
                    self._watching.linked()
                self._log.info("broker_connected", host=broker.host, port=broker.port)
                await self._announce()
                read_ahead(client)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(client), name="link-send")
                    tasks.create_task(_last(client), name="link-receive")
                    tasks.create_task(self._heed(client, tasks), name="link-heed")
        except* (aiomqtt.MqttError, OSError) as group:
            fault = str(group.exceptions[0])
        finally:
            if self._watching is not None:
                self._watching.unlinked()
        raise BrokerError(
            f"broker {broker.host}:{broker.port}: {fault}; is it running, and is the port right?"
        )

    def _client(self) -> aiomqtt.Client:
        broker, secret = self._settings.broker, self._secret()
        host, port, transport = way(self._settings)
        at_once = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)] if transport == "tcp" else []
        client = aiomqtt.Client(
            host,
            port,
            transport=transport,
            # No node can take the connection over: no certificate of ours is for such a name.
            identifier=f"gateway@{self._settings.post}",
            username=secret.user if secret else None,
            password=secret.password if secret else None,
            clean_session=True,
            keepalive=KEEP_ALIVE_S,
            timeout=CONNECT_S_MAX,
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", partial(_Passage, self._take)),
            max_inflight_messages=IN_FLIGHT_MAX,
            tls_context=tls_context(self._settings),
            socket_options=at_once,
        )
        if not broker.ca_file:  # TLS reads ahead by itself
            prepare(client)
        return client

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        """Ask for what the post's nodes say.

        Raises:
            BrokerError: the broker does not allow it.
        """
        prefix = f"{topics.PREFIX}{self._settings.post}/+/"
        granted = await client.subscribe([(prefix + channel, 1) for channel in intake.READ])
        codes = [code if isinstance(code, int) else int(code.value) for code in granted]
        for channel, code in zip(intake.READ, codes, strict=False):
            if code >= SUBSCRIPTION_REFUSED:
                broker = self._settings.broker
                raise BrokerError(
                    f"broker {broker.host}:{broker.port} refuses the subscription to"
                    f" {prefix}{channel}; allow it in the broker's access list"
                )

    def _take(self, message: aiomqtt.Message) -> None:
        """Take one message in, as soon as it is read from the connection.

        Whatever it makes us raise is its own refusal: the connection is that of all the nodes.
        """
        self._has_come = True
        if not self._endure(partial(self._afford, message)):
            self._refuse_faulty("message_failed", message, FAILED)

    def _afford(self, message: aiomqtt.Message) -> None:
        try:
            self._take_in(message)
        except MemoryError:
            self._refuse_faulty("message_unaffordable", message, UNAFFORDABLE)

    def _take_in(self, message: aiomqtt.Message) -> None:
        taken = intake.take(
            message.topic.value,
            message.payload or b"",
            post=self._settings.post,
            nodes=self._nodes,
            revoked=self._gate.revoked,
            is_barred=self._gate.bars,
            retained=bool(message.retain),
            received_ms=self._now_ms(),
        )
        if isinstance(taken, intake.Refused):
            # Nobody is told of an empty message: whoever clears a topic publishes one.
            if message.payload or taken.count in QUIET:
                self._refuse(taken, is_retained=bool(message.retain))
            return
        if self._watching is not None and _is_its_own(taken):
            self._watching.heard(taken.node)
        match self._arrivals.offer(taken):
            case Offer.repeated:
                self._exceed("record_repeated", taken.node)
            case Offer.replaced:
                self._exceed("health_replaced", taken.node)
            case Offer.overflow | Offer.crowded as full:
                text = f"node {taken.node!r} {REMEDIES[full]}"
                self._tell("message_dropped", taken.node, taken.node, text)
                if full is Offer.overflow:
                    self._gate.note(taken.node, "overflow")
            case Offer.taken:
                pass

    def _refuse(self, refused: intake.Refused, *, is_retained: bool) -> None:
        """Count a message that is not acted on, and hold it against its node."""
        if refused.count in QUIET:
            self._exceed(refused.count, refused.node)
            return
        self._tell(refused.count, refused.node, refused.subject, refused.text)
        # What is retained comes again with each of our own connections, which is no fault of today.
        if refused.count in CAUSES and not is_retained:
            self._gate.note(refused.node, refused.count)

    def _exceed(self, name: str, node: str) -> None:
        """Count what says nothing new; without end it is held against its node."""
        self._counters.count(name, node)
        if name in EXCESSES:
            self._gate.note(node, name)

    def _refuse_faulty(self, name: str, message: aiomqtt.Message, remedy: str) -> None:
        """Count a message that could not be looked at to its end, and hold a fault against it."""
        topic = message.topic.value[: limits.TOPIC_CHARS_MAX]
        try:
            _, node, _ = topics.parse(topic)
        except ProtocolError:
            node = ""
        known = node if node in self._nodes else ""
        self._tell(name, known, node or topic, f"a message on {topic!r} is refused: {remedy}")
        if name in CAUSES:
            self._gate.note(node, name)

    def _tell(self, name: str, node: str, subject: str, text: str) -> None:
        """Count a message that is not acted on, and tell it unless it was told just now."""
        self._counters.count(name, node)
        quiet = self._throttle.tell(name, subject, asyncio.get_running_loop().time())
        if quiet is not None:
            self._log.warning(name, node=node, text=text, unmentioned=quiet)

    async def _send(self, client: aiomqtt.Client) -> None:
        """Send letters until the connection breaks; what the broker did not take comes back."""
        sending = Sending(client, self._outgoing)
        try:
            while True:
                self._beat()
                await sending.send(BEAT_S_MAX)
        finally:
            sending.give_back()

    async def _heed(self, client: aiomqtt.Client, tasks: asyncio.TaskGroup) -> None:
        """Notice within seconds that the broker says nothing at all, for which no node is silent.

        The connection itself breaks much later, or not at all when the broker goes on. What is
        asked for is the end of a subscription that there is not: it is confirmed, and changes
        nothing. Turns of our own loop are counted, as in `answering`.
        """
        nothing = f"{topics.PREFIX}{self._settings.post}/+/nothing"
        while True:
            asking = tasks.create_task(client.unsubscribe(nothing, timeout=math.inf))
            turns, is_mute, self._has_come = 0, False, False
            while not (await asyncio.wait([asking], timeout=TURN_S))[0]:
                turns = 0 if self._has_come else turns + 1
                self._has_come = False
                if turns == MUTE_TURNS_MAX and not is_mute:
                    is_mute = True
                    self._show_mute(is_mute=True)
            if asking.cancelled() or asking.exception():
                return  # the connection ends
            if is_mute:
                self._show_mute(is_mute=False)
            await asyncio.sleep(ASK_S)

    def _show_mute(self, *, is_mute: bool) -> None:
        if self._watching is not None:
            (self._watching.unlinked if is_mute else self._watching.linked)()
        if is_mute:
            self._log.warning("broker_mute", text="the broker says nothing: no node is heard")
        else:
            self._log.info("broker_heard")


def _is_its_own(taken: intake.Taken) -> bool:
    """Say whether a node said this itself and now: no command to it, no will that speaks for it."""
    message = taken.message
    is_will = isinstance(message, wire.Status) and not message.online
    return not (taken.retained or is_will or isinstance(message, wire.Command))


async def _last(client: aiomqtt.Client) -> None:
    """Wait until the connection is lost, which raises MqttError."""
    async for _ in client.messages:
        pass  # none comes this way: they are taken in as they are read


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return mutual TLS for a broker with certificates, None without.

    Raises:
        BrokerError: one of the files cannot be used.
    """
    broker = settings.broker
    if not broker.ca_file:
        return None
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
        context.load_cert_chain(broker.certificate_file, broker.key_file)
    except OSError as error:
        raise BrokerError(
            f"broker.ca_file {broker.ca_file}, certificate_file {broker.certificate_file}, key_file"
            f" {broker.key_file}: {error}; give PEM files that this user may read"
        ) from error
    return context
