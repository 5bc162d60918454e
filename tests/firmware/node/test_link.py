"""Goal: a link ends by itself, with a reason, whatever the peer does or does not do.

Method: the link in a real MicroPython against peers that refuse, fall silent, speak nonsense, stop
reading or hang up, on real sockets; the link's deadlines are shortened in the story.
"""

import re
import socket
import subprocess
import threading
import time

import pytest

CONNACK = b"\x20\x02\x00\x00"


class Peer:
    """Accepts one connection and serves it in a thread with `serve`."""

    def __init__(self, serve):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(serve,), daemon=True)
        self._thread.start()

    def _run(self, serve):
        stream, _ = self._listener.accept()
        with stream:
            stream.settimeout(20)
            stream.recv(4096)  # CONNECT
            serve(stream)

    def end(self):
        self._listener.close()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


@pytest.fixture
def tell(run_story):
    """Run the story against a peer and return its lines."""

    def tell(serve, *arguments):
        peer = Peer(serve)
        try:
            return run_story("link_story.py", str(peer.port), *arguments)
        finally:
            peer.end()

    return tell


def drain(stream):
    """Read until the node closes."""
    try:
        while stream.recv(4096):
            pass
    except ConnectionResetError:
        return


def test_nobody_there(run_story, free_port):
    (line,) = run_story("link_story.py", str(free_port))
    assert line.startswith(f"LinkLost broker 127.0.0.1:{free_port} cannot be reached")
    assert line.endswith("is the gateway running, and are host and port right?")


def test_a_peer_that_accepts_and_says_nothing(tell):
    (line,) = tell(drain)
    assert line.startswith("LinkLost broker")
    assert line.endswith("does not answer; is that a broker? check broker.host, port and tls")


@pytest.mark.parametrize(
    "code, words",
    [
        (1, ("does not speak MQTT 3.1.1", "check broker.host and port")),
        (2, ("client identifier", "correct post and node in node.json")),
        (3, ("not available now", "have the gateway looked at")),
        (4, ("user name or password", "correct broker.user and broker.password")),
        (5, ("this node is not authorised", "in the post's settings", "keys/ its own")),
        (6, ("no reason (code 6)", "have the broker's log looked at")),
        (255, ("no reason (code 255)", "have the broker's log looked at")),
    ],
)
def test_a_broker_that_refuses_is_told_with_the_remedy(tell, code, words):
    def serve(stream):
        stream.sendall(bytes([0x20, 2, 0, code]))
        drain(stream)

    (line,) = tell(serve)
    assert line.startswith("LinkRefused")
    assert all(word in line for word in words), line


def test_a_peer_that_answers_something_else_is_told_with_the_remedy(tell):
    def serve(stream):
        stream.sendall(b"\x30\x05\x00\x01abc")
        drain(stream)

    (line,) = tell(serve)
    assert line.endswith(
        "answered CONNECT with packet type 3; is that a broker? check broker.host and port"
    )


def test_a_half_open_link_is_found_by_the_ping(tell):
    pings = []

    def serve(stream):
        stream.sendall(CONNACK)
        while data := stream.recv(4096):
            pings.append(data)

    lines = tell(serve)
    assert lines[0] == "connected"
    assert "is silent for" in lines[-1]
    assert b"\xc0\x00" in b"".join(pings)


def test_answered_pings_keep_it_open(tell):
    def serve(stream):
        stream.sendall(CONNACK)
        for _ in range(6):
            assert stream.recv(2) == b"\xc0\x00"
            stream.sendall(b"\xd0\x00")
        stream.close()

    lines = tell(serve)
    assert lines[:-1] == ["connected", *["heard 13"] * 6]
    assert "closed the connection" in lines[-1] or "hung up" in lines[-1]


def test_nonsense_ends_it_after_what_was_good(tell):
    def serve(stream):
        stream.sendall(CONNACK + b"\xd0\x00" + b"\x15\x03\x01 this is TLS")
        drain(stream)

    lines = tell(serve)
    assert lines[:2] == ["connected", "heard 13"]
    assert re.match(r"MqttError 127\S+ speaks no MQTT 3.1.1: broker sent .* 0x15", lines[2])
    assert lines[2].endswith("check broker.host, port and tls")


def test_a_peer_that_stops_reading_does_not_stop_the_node(tell):
    release = threading.Event()

    def serve(stream):
        stream.sendall(CONNACK)
        release.wait(20)

    timer = threading.Timer(3.0, release.set)
    timer.start()
    lines = tell(serve, "publish")
    timer.cancel()
    release.set()
    assert "takes no bytes" in lines[-1] or "is silent" in lines[-1]


def test_a_broker_that_never_acknowledges_is_given_up(tell):
    def serve(stream):
        stream.sendall(CONNACK)
        end_s = time.monotonic() + 15
        try:
            while time.monotonic() < end_s:
                stream.recv(1 << 20)
                stream.sendall(b"\xd0\x00")
        except OSError:
            return

    line = tell(serve, "publish")[-1]
    assert re.search(r"leaves \d+ messages unacknowledged; the link is too slow", line)
    assert "have both looked at" in line


def test_a_port_that_is_a_web_server_is_named(tell):
    def serve(stream):
        stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        drain(stream)

    (line,) = tell(serve)
    assert "speaks no MQTT 3.1.1: broker sent packet type 0x48" in line


def test_the_story_needs_no_python(micropython_path):
    """The suite is about MicroPython: make sure that is what runs it."""
    told = subprocess.run(
        [micropython_path, "-c", "import sys; print(sys.implementation.name, *sys.version_info)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("micropython 3 4")
