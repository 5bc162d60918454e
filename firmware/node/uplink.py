"""The uplink: one connection to the broker, from CONNECT until it is lost.

Rules of the file
- A record leaves the journal by the gateway's receipt only; PUBACK frees nothing. It paces what
  follows, and begins the wait after which a record is sent again.
- `run` is one connection. It raises LinkError when that is over, and the supervisor starts the
  next.
- One task sends (this one), one listens. The listener only notes what came; it sends nothing.
- Order after CONNACK: subscribe, status, birth, then results, health and records as they are due.
"""

import asyncio
import time

from node import credentials, limits, mqtt
from node.errors import LinkError
from node.inbox import Inbox
from node.link import Link
from node.waiting import within_ms
from protocol import topics
from protocol.delivery import Window
from protocol.messages import KINDS

if False:  # for the type checker: nothing of it is compiled
    from node import typed

_TICK_MS = 1_000  # the longest nap: pings and window deadlines are looked at this often


class Uplink:
    """Delivery of a node's messages and records.

    Args:
        node: what the parts share, and the maker of messages about the node.
        broker, wifi: sections of node.json.
        commands: takes Command messages.
    Attributes:
        connect_count: connections that were accepted; the first is no reconnect.
        replies: results that are not sent yet.
        published: called with the number of a record that the broker has.
        entry: of `run` at the supervisor, which waits between connections; None before it is known.
        report: tells the supervisor that `run` lives.
    """

    def __init__(
        self, node: "typed.Node", broker: "typed.Broker", wifi: "typed.Wifi", commands: "typed.Acts"
    ) -> None:
        self._node = node
        self._broker = broker
        self._wifi = wifi
        channels = topics.UP + topics.DOWN
        self._topics = {each: topics.build(node.post, node.name, each) for each in channels}
        self._buffer = bytearray(node.board.BUDGET["record_bytes_max"])
        self._window = Window(node.settings.window, node.settings.resend_ms)
        self._inbox = Inbox(node, self, commands)
        self._admitted_seq = 0
        self._wake = asyncio.Event()
        self._wanted: list[str] = []
        self.replies: list[typed.Message] = []
        self._pubacks: list[int] = []
        self._handed: dict[int, int] = {}  # packet identifier: seq, of records without PUBACK
        self._failure: LinkError | None = None  # what ended the listener
        self._leaving = False
        self._connected_ms = 0
        self.connect_count = 0
        self.published: typed.Callable[[int], None] = lambda _seq: None
        self.entry: typed.Entry | None = None
        self.report: typed.Call = lambda: None

    def want(self, channel: str) -> None:
        """Have a birth or health message sent as soon as there is a link."""
        if channel not in self._wanted:
            self._wanted.append(channel)
        self._wake.set()

    def reply(self, message: "typed.Message") -> None:
        """Have a result sent; the oldest goes when REPLIES_MAX wait."""
        self.replies.append(message)
        if len(self.replies) > limits.REPLIES_MAX:
            self.replies.pop(0)
        self._wake.set()

    def stored(self) -> None:
        """Look at the journal: a record was stored, and an officer waits for its verdict."""
        self._wake.set()
        if self.entry is not None:
            self.entry.hurry()

    def receipted(self, receipt: "typed.Receipt") -> "list[int]":
        """Take what a receipt covers out of flight and return it."""
        freed = self._window.receipt(receipt.seq, receipt.beyond)
        if freed and self.entry is not None:
            self.entry.well()  # the whole way works, there and back
        return freed

    def repeat(self) -> None:
        """Send everything in flight again: the gateway has only just begun to listen."""
        self._window.reconnected(self._node.clock.uptime_ms())
        self._wake.set()

    def leave(self) -> None:
        """Have `run` say goodbye and end; the node stops."""
        self._leaving = True
        self._wake.set()

    async def run(self) -> None:
        """Connect and deliver until the connection is lost, or `leave` was called.

        Raises:
            LinkError: it is lost, or never came about.
        """
        broker, folder = self._broker, self._node.board.folder + "/keys"
        found = credentials.load(folder, self._node.name) if broker["tls"] else None
        link = Link(broker["host"], broker["port"], found, broker["name"] or broker["host"])
        listener: asyncio.Task[None] | None = None
        try:
            await self._connect(link)
            listener = asyncio.create_task(self._listen(link))
            while not self._leaving:
                self.report()
                self._wake.clear()
                await self._send_due(link)
                await self._nap(link)
                if listener.done():
                    await listener  # raises what nobody foresaw
                    raise self._failure  # type: ignore[misc]  # it ended: there is one
            await self._publish(link, "status", self._node.status(False))
            await link.send(mqtt.DISCONNECT)
        finally:
            # Reached (1) after DISCONNECT, (2) when the link failed, (3) when the task is
            # cancelled. In 3 a packet may be cut: nothing else is ever sent over this link.
            if listener is not None and not listener.done():
                listener.cancel()
            link.close()

    async def _connect(self, link: Link) -> None:
        node = self._node
        await node.board.connect_network(self._wifi)
        await link.open(
            mqtt.connect(
                "%s.%s" % (node.post, node.name),
                limits.KEEP_ALIVE_S,
                self._topics["status"],
                node.status(False).pack(),
                self._broker["user"],
                self._broker["password"],
            )
        )
        self.connect_count += 1
        self._pubacks, self._handed = [], {}
        self._connected_ms = node.clock.uptime_ms()
        self._window.reconnected(self._connected_ms)
        node.signals.clear("broker")
        filters = [self._topics[channel] for channel in topics.DOWN]
        await link.send(mqtt.subscribe(link.next_packet_id(), filters))
        self._wanted = ["status", "birth"] + [w for w in self._wanted if w == "health"]

    async def _listen(self, link: Link) -> None:
        """Take packets until the link fails."""
        try:
            while True:
                packet = await link.receive()
                if packet.kind == mqtt.PUBLISH:
                    if packet.packet_id:
                        self._pubacks.append(packet.packet_id)
                    self._inbox.take(packet)
                    self._wake.set()
                elif packet.kind == mqtt.PUBACK:
                    self._acknowledged(packet.packet_id)
                elif packet.kind == mqtt.SUBACK and packet.code > 2:
                    raise link.unsubscribed()
        except LinkError as error:
            self._failure = error
        finally:
            self._wake.set()

    def _acknowledged(self, packet_id: int) -> None:
        """Begin the wait of a record that the broker has, and look for more to send."""
        seq = self._handed.pop(packet_id, None)
        if seq is not None:
            self._window.sent(seq, self._node.clock.uptime_ms())
            self.published(seq)
        self._wake.set()

    async def _nap(self, link: Link) -> None:
        """Sleep until something may be due."""
        wait_ms = self._window.due_in_ms(self._node.clock.uptime_ms())
        if wait_ms is None or wait_ms > _TICK_MS or not self._may_send(link):
            wait_ms = _TICK_MS  # what ends it sooner, such as PUBACK, wakes
        try:
            await within_ms(self._wake.wait(), wait_ms)
        except asyncio.TimeoutError:
            return

    async def _send_due(self, link: Link) -> None:
        """Send everything that is due now."""
        await link.ping()
        while self._pubacks:
            await link.send(mqtt.puback(self._pubacks.pop(0)))
        while self._wanted:
            channel = self._wanted.pop(0)
            await self._publish(link, channel, self._node.message(channel))
        while self.replies:
            await self._publish(link, "result", self.replies.pop(0))
        while self._may_send(link) and await self._send_record(link):
            self.report()
            await link.ping()

    def _may_send(self, link: Link) -> bool:
        """Say whether records may go: what is under way leaves room, and the retained receipt came.

        A node that was switched on again does not remember what is receipted, and waits for that
        one for a while.
        """
        if not link.pace.has_room(time.ticks_ms()):
            return False
        waited_ms = self._node.clock.uptime_ms() - self._connected_ms
        return self._inbox.has_receipt or waited_ms >= limits.RECEIPT_WAIT_MS

    async def _publish(self, link: Link, channel: str, message: "typed.Message") -> None:
        frame = memoryview(self._buffer)[: message.pack_into(self._buffer)]
        await link.publish(self._topics[channel], frame, channel in topics.RETAINED)

    async def _send_record(self, link: Link) -> bool:
        """Send one record that is due; False when none is."""
        window, journal = self._window, self._node.journal
        window.size, window.resend_ms = self._node.settings.window, self._node.settings.resend_ms
        now_ms = self._node.clock.uptime_ms()
        seq = window.due(now_ms)
        if seq is not None:
            found = journal.read(seq, self._buffer)
            if found is None:
                window.drop(seq)
                return True
            kind, length = found
        elif window.has_room:
            following = journal.read_next(self._admitted_seq, self._buffer)
            if following is None:
                return False
            seq, kind, length = following
            window.admit(seq, now_ms)
            self._admitted_seq = seq
        else:
            return False
        window.hold(seq)
        topic = self._topics[KINDS[kind].CHANNEL]
        packet_id = link.next_packet_id()
        self._handed[packet_id] = seq  # before the first byte goes: the listener may be quicker
        await link.publish(topic, memoryview(self._buffer)[:length], packet_id=packet_id)
        return True
