"""Goal: ten thousand connections leave nothing behind: no memory, no descriptor, no second one.

Method: a whole node's uplink in a real MicroPython, against a peer in the same program that
refuses, hangs up before and after the subscriptions, and speaks nonsense, in turn; heap and
descriptors are counted after a tenth and at the end. Fewer with TLS, whose handshakes take longer.
"""

import datetime as dt

import pytest

from hardware import keys

HEAP_BYTES = 256  # one small object; one that leaks per connection is more after ten


def measure(lines):
    return {name: text for name, _, text in (line.partition(" ") for line in lines)}


def check(found, count):
    assert int(found["connections"]) == count
    assert int(found["most"]) == 1
    assert abs(int(found["heap"])) <= HEAP_BYTES
    assert int(found["descriptors"]) == 0
    assert found["endings"].split() == ["LinkLost", "LinkRefused", "MqttError"]


def test_ten_thousand_connections_leave_nothing_behind(run_story, free_port):
    check(measure(run_story("reconnect_story.py", str(free_port), "10000")), 10_000)


@pytest.fixture
def post_keys(tmp_path):
    """A node's keys, and beside them a server's, as DER."""
    now = dt.datetime.now(dt.UTC)
    authority = keys.make_authority("a", now)
    folder = tmp_path / "micropython" / "keys"
    folder.mkdir(parents=True)
    keys.write_node(folder, authority, keys.issue(authority, "lane1", now))
    server = keys.issue(authority, "gateway.post1", now, hosts=("127.0.0.1",))
    (folder / "server.der").write_bytes(server.certificate_der())
    (folder / "server-key.der").write_bytes(server.key_der())
    return folder


def test_a_hundred_connections_with_tls_leave_nothing_behind(run_story, free_port, post_keys):
    found = measure(run_story("reconnect_story.py", str(free_port), "100", str(post_keys)))
    check(found, 100)
