"""Goal: the MQTT codec speaks 3.1.1 with a real broker and takes any bytes without harm.

Method: packets checked against the standard's layout, hypothesis for arbitrary bytes and cuts, and
mosquitto itself as the peer over a plain socket.
"""

import socket
import struct
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import mqtt
from node.errors import MqttError

BODY_BYTES_MAX = 64
DEADLINE_S = 20.0


def parse(stream, step=1_000):
    """Return every packet in `stream`, fed in pieces, as tuples; then the error's text, if any."""
    parser = mqtt.Parser(BODY_BYTES_MAX)
    found = []
    try:
        for at in range(0, len(stream), step):
            piece = stream[at : at + step]
            for p in parser.feed(piece, len(piece)):
                found += [(p.kind, p.packet_id, p.code, p.topic, p.payload, p.retain, p.truncated)]
    except MqttError as error:
        found.append(str(error))
    return found


def publish(topic, payload, packet_id=0, *, retain=False):
    return mqtt.publish_head(topic, len(payload), packet_id, retain) + payload


def test_connect_has_a_clean_session_and_a_retained_will():
    packet = mqtt.connect("post.node", 30, "t/status", b"gone")
    assert packet == (
        b"\x10\x25\x00\x04MQTT\x04\x2e\x00\x1e\x00\x09post.node\x00\x08t/status\x00\x04gone"
    )
    with_user = mqtt.connect("c", 30, "t", b"x", "u", "p")
    assert with_user[9] == 0x2E | 0x80 | 0x40
    assert with_user.endswith(b"\x00\x01u\x00\x01p")


def test_subscribe_asks_for_every_topic_with_qos_1():
    packet = mqtt.subscribe(7, ["a/b", "c"])
    assert packet == b"\x82\x0c\x00\x07\x00\x03a/b\x01\x00\x01c\x01"


def test_publish_states_lengths_of_one_to_three_bytes():
    assert mqtt.publish_head("t", 2, 5, retain=True) == b"\x33\x07\x00\x01t\x00\x05"
    assert mqtt.publish_head("t", 122, 5)[:3] == b"\x32\x7f\x00"
    assert mqtt.publish_head("t", 123, 5)[:4] == b"\x32\x80\x01\x00"
    assert mqtt.publish_head("t", 20_000)[:4] == b"\x30\xa3\x9c\x01"


def test_packets_of_the_broker_are_read():
    stream = (
        b"\x20\x02\x01\x05"
        b"\x90\x04\x00\x07\x01\x80"
        b"\x40\x02\x12\x34"
        b"\xd0\x00" + publish("a/b", b"hello", 9, retain=True) + publish("c", b"")
    )
    assert parse(stream) == [
        (mqtt.CONNACK, 0, 5, "", b"", False, False),
        (mqtt.SUBACK, 7, 0x80, "", b"", False, False),
        (mqtt.PUBACK, 0x1234, 0, "", b"", False, False),
        (mqtt.PINGRESP, 0, 0, "", b"", False, False),
        (mqtt.PUBLISH, 9, 0, "a/b", b"hello", True, False),
        (mqtt.PUBLISH, 0, 0, "c", b"", False, False),
    ]


def test_a_message_that_is_too_long_is_passed_over_and_the_next_one_read():
    stream = publish("t", bytes(5000), 3) + publish("t", b"next", 4)
    for step in (1, 13, 10_000):
        assert parse(stream, step) == [
            (mqtt.PUBLISH, 3, 0, "t", b"", False, True),
            (mqtt.PUBLISH, 4, 0, "t", b"next", False, False),
        ]


@pytest.mark.parametrize(
    "stream, text",
    [
        (b"\x10\x00", "0x10"),  # CONNECT goes the other way
        (b"\x21\x02\x00\x00", "0x21"),  # reserved flags
        (b"\x20\x03\x00\x00\x00", "CONNACK"),
        (b"\x40\x03\x00\x01\x00", "PUBACK"),
        (b"\xd0\x01\x00", "PINGRESP"),
        (b"\x90\x02\x00\x01", "SUBACK"),
        (b"\x30\x80\x80\x80\x80\x01", "4 bytes"),
        (b"\x90\xff\x01", "255 bytes"),
        (b"\x34\x05\x00\x01t\x00\x01", "PUBLISH"),  # QoS 2
        (b"\x32\x05\x00\x01t\x00\x00", "identifier"),
        (b"\x30\x03\x00\x05t", "PUBLISH"),
        (b"\x30\x02\x00\x00", "PUBLISH"),
        (b"\x30\x04\x00\x02t\xff", "topic"),
        (b"\x30\x01\x00", "PUBLISH"),
    ],
)
def test_what_is_not_mqtt_is_named(stream, text):
    (message,) = parse(stream)
    assert text in message


_STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.tuples(
            st.sampled_from(["t", "harmattan/v1/p/n/time"]),
            st.binary(max_size=200),
            st.integers(0, 0xFFFF),
        ).map(lambda parts: publish(*parts)),
        st.sampled_from([b"\x20\x02\x00\x00", b"\xd0\x00", b"\x40\x02\x00\x01"]),
    ),
    max_size=6,
).map(b"".join)


@given(_STREAMS, st.integers(1, 50))
def test_any_bytes_give_the_same_packets_however_they_are_cut(stream, step):
    assert parse(stream, step) == parse(stream, 1) == parse(stream)


def test_a_real_broker_understands_and_is_understood(mosquitto_path, free_port, tmp_path):
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {free_port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([mosquitto_path, "-c", config], stderr=subprocess.DEVNULL) as broker:
        try:
            converse(free_port)
        finally:
            broker.kill()


def converse(port):
    watcher, watcher_socket = connect(port, "watcher")
    watcher_socket.sendall(mqtt.subscribe(1, ["h/#"]))
    assert receive(watcher, watcher_socket).kind == mqtt.SUBACK
    _, node_socket = connect(port, "node")
    payload = bytes(range(256)) * 16
    node_socket.sendall(mqtt.publish_head("h/reading", len(payload), 5) + payload)
    heard = receive(watcher, watcher_socket)
    assert (heard.topic, heard.payload, heard.retain) == ("h/reading", payload, False)
    watcher_socket.sendall(mqtt.puback(heard.packet_id))
    watcher_socket.sendall(mqtt.PINGREQ)
    assert receive(watcher, watcher_socket).kind == mqtt.PINGRESP
    # A socket that just closes makes the broker publish the will; it is retained.
    node_socket.close()
    assert receive(watcher, watcher_socket).payload == b"gone"
    late, late_socket = connect(port, "late")
    late_socket.sendall(mqtt.subscribe(2, ["h/status"]))
    packets = [receive(late, late_socket), receive(late, late_socket)]
    will = next(p for p in packets if p.kind == mqtt.PUBLISH)
    assert (will.topic, will.payload, will.retain) == ("h/status", b"gone", True)
    # After DISCONNECT the broker keeps the will to itself and closes.
    watcher_socket.sendall(mqtt.DISCONNECT)
    assert watcher_socket.recv(1) == b""
    watcher_socket.close()
    late_socket.close()


def connect(port, name):
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            stream = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline_s
    stream.sendall(mqtt.connect(name, 30, "h/status", b"gone"))
    parser = mqtt.Parser(8192)
    packet = receive(parser, stream)
    assert (packet.kind, packet.code) == (mqtt.CONNACK, 0)
    return parser, stream


def receive(parser, stream):
    """Return the next packet: one byte at a time, so that none is ever left over."""
    while True:
        for packet in parser.feed(stream.recv(1), 1):
            return packet


def test_identifiers_and_lengths_are_big_endian():
    assert mqtt.puback(0x1234) == struct.pack(">BBH", 0x40, 2, 0x1234)
