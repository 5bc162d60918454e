"""MQTT 3.1.1 packets: bytes in, packets out, and back. No socket, no clock.

Rules of the file
- Only what a node needs: CONNECT with will, PUBLISH with QoS 0 and 1, SUBSCRIBE, pings, DISCONNECT.
- Any bytes give packets or MqttError, and after MqttError the connection is over.
- At most `body_bytes_max` of a packet are held. A longer PUBLISH is passed over without being kept
  and comes out with `truncated` set, so that one large retained message cannot lock the node out.
- Fed whole or byte by byte, the same bytes give the same packets.

Reference: MQTT Version 3.1.1, OASIS Standard, 29 October 2014.
"""

import struct

from node.errors import MqttError

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes, Iterator

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

_CLEAN_SESSION, _WILL, _WILL_QOS1, _WILL_RETAIN, _PASSWORD, _USER = 2, 4, 8, 32, 64, 128
_LENGTH_BYTES_MAX = 4  # of the remaining length, section 2.2.3
# Fixed header flags each inbound packet must have (section 2.2.2); PUBLISH has its own.
_FLAGS = {CONNACK: 0, PUBACK: 0, SUBACK: 0, PINGRESP: 0}


def _length(value: int) -> bytes:
    """Return the remaining length as 1 to 4 bytes."""
    encoded = bytearray()
    while True:
        encoded.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(encoded)


def _field(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def connect(
    client_id: str,
    keep_alive_s: int,
    will_topic: str,
    will_payload: bytes,
    user: str = "",
    password: str = "",
) -> bytes:
    """Return CONNECT: clean session, and a retained will with QoS 1."""
    flags = _CLEAN_SESSION | _WILL | _WILL_QOS1 | _WILL_RETAIN
    payload = _field(client_id.encode()) + _field(will_topic.encode()) + _field(will_payload)
    if user:
        flags |= _USER
        payload += _field(user.encode())
        if password:
            flags |= _PASSWORD
            payload += _field(password.encode())
    body = _field(b"MQTT") + struct.pack(">BBH", 4, flags, keep_alive_s) + payload
    return b"\x10" + _length(len(body)) + body


def publish_head(topic: str, payload_bytes: int, packet_id: int = 0, retain: bool = False) -> bytes:
    """Return PUBLISH up to its payload, which follows; QoS 1 with a `packet_id`, else QoS 0."""
    name = _field(topic.encode())
    identifier = struct.pack(">H", packet_id) if packet_id else b""
    length = len(name) + len(identifier) + payload_bytes
    lead = 0x30 | (2 if packet_id else 0) | (1 if retain else 0)
    return bytes([lead]) + _length(length) + name + identifier


def puback(packet_id: int) -> bytes:
    """Return PUBACK."""
    return struct.pack(">BBH", 0x40, 2, packet_id)


def subscribe(packet_id: int, topics: "list[str]") -> bytes:
    """Return SUBSCRIBE with QoS 1 for every topic."""
    body = struct.pack(">H", packet_id)
    for topic in topics:
        body += _field(topic.encode()) + b"\x01"
    return b"\x82" + _length(len(body)) + body


class Packet:
    """One packet from the broker; only the attributes of its kind mean something.

    Attributes:
        kind: CONNACK, PUBLISH, PUBACK, SUBACK or PINGRESP.
        packet_id: of PUBLISH with QoS 1, PUBACK and SUBACK, else 0.
        code: return code of CONNACK; the worst one of SUBACK.
        topic, payload, retain, truncated: of PUBLISH; `payload` is empty when truncated.
    """

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.packet_id = 0
        self.code = 0
        self.topic = ""
        self.payload = b""
        self.retain = False
        self.truncated = False


class Parser:
    """Cuts a stream of bytes into packets.

    Args:
        body_bytes_max: of a packet behind its fixed header, bytes.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self._body = bytearray(body_bytes_max)
        self._view = memoryview(self._body)
        self._begin()

    def reset(self) -> None:
        """Forget what is held: another connection begins."""
        self._begin()

    def _begin(self) -> None:
        self._lead = -1
        self._length = 0
        self._length_bytes = 0
        self._in_body = False
        self._got = 0

    def feed(self, piece: "Bytes", count: int) -> "Iterator[Packet]":
        """Take the first `count` bytes and yield the packets they complete.

        The bytes are taken while the packets are, so `piece` must stay as it is until the last.

        Raises:
            MqttError: this is not MQTT 3.1.1, or not for a client like this.
        """
        at = 0
        while at < count:
            if self._in_body:
                at = self._take_body(piece, at, count)
            else:
                self._take_head(piece[at])
                at += 1
            if self._in_body and self._got == self._length:
                packet = self._packet()
                self._begin()
                yield packet

    def _take_head(self, byte: int) -> None:
        if self._lead < 0:
            kind = byte >> 4
            if kind != PUBLISH and _FLAGS.get(kind) != byte & 0x0F:
                raise MqttError("broker sent packet type 0x%02x, which a client never gets" % byte)
            self._lead = byte
            return
        self._length |= (byte & 0x7F) << (7 * self._length_bytes)
        self._length_bytes += 1
        if byte & 0x80:
            if self._length_bytes == _LENGTH_BYTES_MAX:
                raise MqttError("broker sent a remaining length of more than 4 bytes")
            return
        self._in_body = True
        if self._length > len(self._body) and self._lead >> 4 != PUBLISH:
            raise MqttError("broker sent %d bytes of packet 0x%02x" % (self._length, self._lead))

    def _take_body(self, piece: "Bytes", at: int, count: int) -> int:
        size = min(count - at, self._length - self._got)
        kept = min(size, len(self._body) - self._got)
        if kept > 0:
            self._view[self._got : self._got + kept] = memoryview(piece)[at : at + kept]
        self._got += size
        return at + size

    def _packet(self) -> Packet:
        kind = self._lead >> 4
        packet = Packet(kind)
        if kind == PUBLISH:
            self._read_publish(packet)
        elif kind == PINGRESP:
            self._need(self._length == 0, "PINGRESP")
        elif kind == CONNACK:
            self._need(self._length == 2 and self._body[0] <= 1, "CONNACK")
            packet.code = self._body[1]
        elif kind == PUBACK:
            self._need(self._length == 2, "PUBACK")
            packet.packet_id = self._number(0)
        else:
            self._need(self._length >= 3, "SUBACK")
            packet.packet_id = self._number(0)
            packet.code = max(self._view[2 : self._length])
        return packet

    def _read_publish(self, packet: Packet) -> None:
        qos = self._lead >> 1 & 3
        held = min(self._length, len(self._body))
        topic_end = 2 + self._number(0) if held >= 2 else held + 1
        payload_at = topic_end + (2 if qos else 0)
        self._need(qos < 2 and topic_end > 2 and payload_at <= held, "PUBLISH")
        for byte in self._view[2:topic_end]:
            self._need(0x20 <= byte <= 0x7E, "topic")
        packet.topic = bytes(self._view[2:topic_end]).decode()
        packet.retain = bool(self._lead & 1)
        if qos:
            packet.packet_id = self._number(topic_end)
            self._need(packet.packet_id > 0, "packet identifier")
        packet.truncated = self._length > held
        if not packet.truncated:
            packet.payload = bytes(self._view[payload_at:held])

    def _number(self, at: int) -> int:
        return self._body[at] << 8 | self._body[at + 1]

    def _need(self, is_so: bool, what: str) -> None:
        if not is_so:
            raise MqttError("broker sent a malformed %s" % what)
