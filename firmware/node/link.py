"""One TCP connection to the broker: packets out, packets in, every wait with its deadline.

Rules of the file
- A Link is used once. When anything fails it raises LinkError and its owner closes it; the next
  connection is another Link, so nothing of an old one can leak into a new one.
- One task sends, one receives. No packet is cut: a send that misses its deadline ends the link.
- The broker's address should be an IP address: looking up a name blocks the whole node.
"""

import asyncio
import select
import socket
import time

from node import limits, mqtt, refusal
from node.errors import LinkError, LinkLost, LinkRefused, MqttError
from node.pace import Pace
from node.waiting import within_ms

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Credentials, Iterator, Socket, Stream

_POLL_MS = 20
# Made once, for there is never more than one connection: a heap in use may have no room for them.
_PARSER = mqtt.Parser(limits.INBOUND_BYTES_MAX)
_CHUNK = bytearray(limits.CHUNK_BYTES)


class Link:
    """A connection to the broker.

    Args:
        host, port: of the broker.
        credentials: for TLS; None speaks without.
        server_name: that the broker's certificate must be for; needed with `credentials`.
    Attributes:
        name: host and port, for messages.
        pace: of the messages under way.
    """

    def __init__(
        self, host: str, port: int, credentials: "Credentials | None" = None, server_name: str = ""
    ) -> None:
        self.name = "%s:%d" % (host, port)
        self._address = (host, port)
        self._credentials = credentials  # None as soon as the broker has accepted us
        self._server_name = server_name
        self._socket: Socket | None = None
        self._secured: Socket | None = None
        self._stream: Stream  # since `open`
        self._parser = _PARSER
        self._parser.reset()
        self._chunk = _CHUNK
        self._incoming: Iterator[mqtt.Packet] = iter(())
        self._packet_id = 0
        self._heard_ms = time.ticks_ms()
        self._spoke_ms = time.ticks_ms()
        self._asked = False
        self.pace = Pace(time.ticks_diff, self._heard_ms)

    async def open(self, connect: bytes) -> None:
        """Connect, send CONNECT and wait for CONNACK.

        Raises:
            LinkLost: nobody there, or no answer within CONNECT_MS_MAX.
            LinkRefused: the broker says no.
            CredentialsRefused: a certificate will not do, ours or the broker's.
        """
        deadline_ms = time.ticks_add(time.ticks_ms(), limits.CONNECT_MS_MAX)
        try:
            address = socket.getaddrinfo(self._address[0], self._address[1], 0, socket.SOCK_STREAM)[
                0
            ]
            self._socket = socket.socket(address[0], address[1], address[2])
            self._socket.setblocking(False)
            try:
                self._socket.connect(address[-1])
            except OSError as error:
                if error.errno not in (115, 119):  # EINPROGRESS: Linux and RP2, ESP32
                    raise
            await self._wait_connected(deadline_ms)
        except OSError as error:
            raise self._lost(
                "cannot be reached (%s); is the gateway running, and are host and port right?"
                % error
            )
        wait_ms = 0
        if self._credentials is not None:
            self._secured = self._credentials.wrap(self._socket, self._server_name)
            wait_ms = limits.HANDSHAKE_MS_MAX
        self._stream = asyncio.StreamReader(self._secured or self._socket)  # type: ignore[assignment]  # it writes, too
        await self.send(connect, wait_ms=wait_ms)
        self._heard_ms = time.ticks_ms()
        packet = await self.receive(time.ticks_add(self._heard_ms, limits.CONNECT_MS_MAX))
        self._credentials = None
        if packet.kind != mqtt.CONNACK:
            raise self._lost(refusal.NO_CONNACK % packet.kind)
        if packet.code:
            raise LinkRefused("broker %s refuses: %s" % (self.name, refusal.connack(packet.code)))

    async def _wait_connected(self, deadline_ms: int) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLOUT)
        while True:
            for _, event in poller.poll(0):
                if event & (select.POLLERR | select.POLLHUP):
                    raise OSError(111)  # ECONNREFUSED; the cause itself is not told
                return
            if time.ticks_diff(deadline_ms, time.ticks_ms()) <= 0:
                raise OSError(110)  # ETIMEDOUT
            await asyncio.sleep_ms(_POLL_MS)

    def next_packet_id(self) -> int:
        """Return a packet identifier, 1..65535."""
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id

    async def send(self, *pieces: "bytes | memoryview", wait_ms: int = 0) -> None:
        """Send one packet, given in pieces.

        Raises:
            LinkError: the connection is gone or takes nothing for `wait_ms` (0: WRITE_MS_MAX).
        """
        try:
            for piece in pieces:
                for at in range(0, len(piece), limits.PIECE_BYTES):
                    self._stream.write(memoryview(piece)[at : at + limits.PIECE_BYTES])
                    await within_ms(self._stream.drain(), wait_ms or limits.WRITE_MS_MAX)
        except (OSError, ValueError) as error:
            raise self._broken(error)
        except asyncio.TimeoutError:
            raise self._lost("takes no bytes")
        self._spoke_ms = time.ticks_ms()

    async def publish(
        self, topic: str, payload: "bytes | memoryview", retain: bool = False, packet_id: int = 0
    ) -> None:
        """Publish with QoS 1; what counts is the gateway's receipt, PUBACK only paces.

        Args:
            topic: of the message.
            payload: the message.
            retain: have the broker keep it.
            packet_id: which the PUBACK will name; 0 takes the next.
        Raises:
            LinkLost: the connection is gone, or the broker acknowledges nothing any more.
        """
        if self.pace.unacked_count >= limits.UNACKED_MAX:
            raise self._unacknowledged()
        packet_id = packet_id or self.next_packet_id()
        head = mqtt.publish_head(topic, len(payload), packet_id, retain)
        self.pace.sent(packet_id, len(head) + len(payload), time.ticks_ms())
        await self.send(head, payload)

    async def ping(self) -> None:
        """Ask for a sign of life if the link was quiet for PING_MS; call it at least that often.

        Raises:
            LinkLost: nothing was heard although it had its time: the link is half open.
        """
        now_ms = time.ticks_ms()
        quiet_ms = time.ticks_diff(now_ms, self._heard_ms)
        if quiet_ms >= self.pace.silence_ms_max():
            raise self._lost("is silent for %d s" % (quiet_ms // 1000))
        if self.pace.is_stuck(now_ms):
            raise self._unacknowledged()
        mute_ms = time.ticks_diff(now_ms, self._spoke_ms)
        if mute_ms >= limits.PING_MS or (quiet_ms >= limits.PING_MS and not self._asked):
            self._asked = True
            await self.send(mqtt.PINGREQ)

    async def receive(self, deadline_ms: "int | None" = None) -> mqtt.Packet:
        """Return the next packet.

        Args:
            deadline_ms: ticks; None waits as long as `ping` keeps the link alive.
        Raises:
            LinkError: the connection is gone, or what came is not MQTT.
        """
        while True:
            packet = self._next()
            if packet is not None:
                return packet
            wait = self._stream.readinto(self._chunk)
            try:
                if deadline_ms is None:
                    count = await wait
                else:
                    left_ms = time.ticks_diff(deadline_ms, time.ticks_ms())
                    count = await within_ms(wait, max(left_ms, 0))
            except (OSError, ValueError) as error:
                raise self._broken(error)
            except asyncio.TimeoutError:
                raise self._lost(
                    "does not answer; is that a broker? check broker.host, port and tls"
                )
            if count == 0:  # None is a spurious wake-up
                raise self._lost("closed the connection")
            if count:
                self._heard_ms = time.ticks_ms()
                self._asked = False
                self._incoming = self._parser.feed(self._chunk, count)

    def _next(self) -> "mqtt.Packet | None":
        """Return the next packet of what has come, None when it is used up."""
        try:
            for packet in self._incoming:
                if packet.kind == mqtt.PUBACK:
                    self.pace.acknowledged(packet.packet_id, time.ticks_ms())
                return packet
        except MqttError as error:
            raise MqttError(
                "%s speaks no MQTT 3.1.1: %s; check broker.host, port and tls" % (self.name, error)
            )
        return None

    def _broken(self, error: Exception) -> LinkError:
        """Return what an error of the socket means."""
        why = self._credentials and self._credentials.explain(error, self._server_name)
        return why or self._lost("hung up (%s)" % error)

    def _unacknowledged(self) -> LinkLost:
        return self._lost(refusal.UNACKNOWLEDGED % self.pace.unacked_count)

    def unsubscribed(self) -> LinkRefused:
        """Return what a refused SUBSCRIBE means."""
        return LinkRefused("broker %s %s" % (self.name, refusal.SUBACK))

    def _lost(self, what: str) -> LinkLost:
        return LinkLost("broker %s %s" % (self.name, what))

    def close(self) -> None:
        """Close the socket; nothing is raised."""
        for socket_ in (self._secured, self._socket):
            try:
                if socket_ is not None:
                    socket_.close()
            except (OSError, ValueError):
                continue  # TLS says goodbye when it is closed, perhaps to nobody
        self._socket = self._secured = self._credentials = None
        self._stream = None  # type: ignore[assignment]  # never used again
