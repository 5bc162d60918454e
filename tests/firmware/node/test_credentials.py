"""Goal: a node speaks to the broker it trusts, shows who it is, and names what is wrong with keys.

Method: the link in a real MicroPython against a real mosquitto with the configuration that the
gateway writes; keys are made for each run in temporary folders and spoilt one by one.
"""

import datetime as dt
import shutil
import socket
import subprocess
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt import publish

from gateway import certificates
from gateway.fleet.revocation import broker_lines
from gateway.ingest.broker import access_list, configuration
from gateway.settings import BrokerSettings, NodeListenerSettings
from hardware import keys

REPOSITORY = Path(__file__).resolve().parents[3]
NOW = dt.datetime.now(dt.UTC)
HOST = "gateway.post1"
DEADLINE_S = 30.0


class Post:
    """Keys of a post, and a broker with the gateway's listener for nodes."""

    def __init__(self, folder, mosquitto, ports):
        self.folder = folder
        self.port, self.plain_port = ports
        self._mosquitto = mosquitto
        self._broker = None
        keys.make_post(folder / "keys", "post1", (HOST,), ["lane1"], NOW)
        self.node = folder / "keys" / "nodes" / "lane1"
        self.authority = keys._authority(folder / "keys", "post1", NOW)

    def start(self, gateway=None):
        """Start the broker, with another certificate than the good one if `gateway` is given."""
        place = self.folder / "keys"
        if gateway is not None:
            (place / "gateway.pem").write_bytes(gateway.certificate_pem())
            (place / "gateway-key.pem").write_bytes(gateway.key_pem())
        settings = BrokerSettings(
            port=self.plain_port,
            nodes=NodeListenerSettings(
                "127.0.0.1",
                self.port,
                str(place / "ca.pem"),
                str(place / "gateway.pem"),
                str(place / "gateway-key.pem"),
            ),
        )
        access, path = self.folder / "mosquitto.acl", self.folder / "mosquitto.conf"
        access.write_text(access_list("post1", ["lane1", "lane9"]))
        # Nobody may enter pytest's folder when root runs it; else the line is not there.
        path.write_text(
            configuration(settings, access, node_lines=broker_lines(settings)).replace(
                "user nobody", "user root"
            )
        )
        self._log = (self.folder / "broker.log").open("w")
        self._broker = subprocess.Popen([self._mosquitto, "-c", path], stderr=self._log)
        end_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < end_s:
            assert self._broker.poll() is None, (self.folder / "broker.log").read_text()
            client = paho.Client(paho.CallbackAPIVersion.VERSION2)
            try:
                client.connect("127.0.0.1", self.plain_port)
            except OSError:
                time.sleep(0.02)
                continue
            client.disconnect()
            return
        pytest.fail((self.folder / "broker.log").read_text())

    def end(self):
        if self._broker is not None:
            self._broker.kill()
            self._broker.wait()
            self._log.close()


@pytest.fixture
def post(tmp_path, mosquitto_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = one.getsockname()[1], other.getsockname()[1]
    made = Post(tmp_path, mosquitto_path, ports)
    yield made
    made.end()


@pytest.fixture
def tell(post, run_story):
    """Connect once and return the lines; `name` is the broker's as node.json has it."""

    def tell(*arguments, name=HOST, heap="2m"):
        return run_story(
            "tls_story.py", str(post.port), str(post.node), name, *arguments, heap=heap
        )

    return tell


def test_both_sides_know_each_other_and_a_node_hears_only_its_own(post, tell):
    post.start()
    for node in ("lane2", "lane1"):
        publish.single(
            f"harmattan/v1/post1/{node}/receipt", b"r", 1, retain=True, port=post.plain_port
        )
    assert tell() == ["connected", "heard harmattan/v1/post1/lane1/receipt"]


@pytest.mark.parametrize("node, is_heard", [("lane1", True), ("lane2", False)])
def test_a_node_speaks_only_for_itself_whatever_it_says_it_is(post, tell, node, is_heard):
    post.start()
    topic = f"harmattan/v1/post1/{node}/reading"
    assert tell(topic)[-1] == "acknowledged True"  # MQTT 3.1.1 knows no refusal of a PUBLISH
    heard = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append(message.topic)
    client.connect("127.0.0.1", post.plain_port)
    client.subscribe([(topic, 1), ("harmattan/v1/post1/lane1/told", 1)])
    client.publish("harmattan/v1/post1/lane1/told", b"x", qos=1)
    end_s = time.monotonic() + DEADLINE_S
    while "harmattan/v1/post1/lane1/told" not in heard and time.monotonic() < end_s:
        client.loop(0.1)
    client.disconnect()
    assert (topic in heard) == is_heard


def said(lines):
    """Return the one line of a refusal without the name of its class."""
    (line,) = lines
    assert line.startswith("CredentialsRefused "), line
    return line.removeprefix("CredentialsRefused ")


def test_a_broker_with_another_name_is_refused(post, tell):
    post.start()
    assert said(tell(name="gateway.post2")) == (
        "broker's certificate is for another name than gateway.post2; correct broker.name"
    )


def test_a_broker_of_another_authority_is_refused(post, tell):
    post.start()
    other = keys.make_authority("other", NOW)
    (post.node / "ca.der").write_bytes(other.certificate_der())
    assert said(tell()) == (
        "broker's certificate is not signed by keys/ca.der; copy this post's ca.der"
    )


def test_a_broker_whose_certificate_has_expired_is_refused(post, tell):
    post.start(keys.issue(post.authority, HOST, NOW - dt.timedelta(days=9), hosts=(HOST,), days=2))
    assert said(tell()).startswith("broker's certificate has expired; renew it, or correct")


def test_a_broker_whose_certificate_begins_later_is_refused(post, tell):
    later = NOW + dt.timedelta(days=9)
    post.start(keys.issue(post.authority, HOST, NOW, hosts=(HOST,), since=later))
    assert said(tell()).startswith("broker's certificate is not valid yet; correct this node's")


REFUSED = "broker refuses this node's certificate: it has expired or was revoked, another post"


def test_a_foreign_certificate_is_refused_by_the_broker(post, tell):
    post.start()
    other = keys.make_authority("other", NOW)
    shutil.rmtree(post.node)
    post.node.mkdir()
    keys.write_node(post.node, post.authority, keys.issue(other, "lane1", NOW))
    assert said(tell()).startswith(REFUSED)


def test_an_expired_certificate_is_refused_by_the_broker(post, tell):
    post.start()
    shutil.rmtree(post.node)
    post.node.mkdir()
    old = keys.issue(post.authority, "lane1", NOW - dt.timedelta(days=9), days=2)
    keys.write_node(post.node, post.authority, old)
    assert said(tell()).startswith(REFUSED)


def test_a_revoked_certificate_is_refused_by_the_broker(post, tell):
    """By the list that `harmattan nodes revoke` writes; the node's next keys are taken."""
    ((mine,), _) = certificates.issued_to(post.folder / "keys", "lane1")
    path = post.folder / "keys" / "crl.pem"
    certificates.write_crl(path, post.authority, {mine.serial_number: NOW}, NOW)
    post.start()
    assert said(tell()).startswith(REFUSED)
    shutil.rmtree(post.node)  # new keys under the same name
    certificates.add_node(post.folder / "keys", post.authority, "lane1", NOW)
    assert tell()[0] == "connected"


def test_a_missing_certificate_is_told_from_a_refused_one(post, tell):
    post.start()
    (post.node / "node.der").unlink()
    (post.node / "node-key.der").unlink()
    assert said(tell()).startswith(
        "broker asks for a certificate and this node has none: keys/node.der and keys/node-key.der"
    )


def test_a_key_of_another_certificate_is_refused(post, tell):
    post.start()
    other = keys.issue(post.authority, "lane1", NOW)
    (post.node / "node-key.der").write_bytes(other.key_der())
    assert "node-key.der" in said(tell())


def test_the_certificate_of_another_node_is_refused_before_the_broker_drops_all(post, tell):
    """The broker takes what such a node says, acknowledges it, and tells nobody."""
    post.start()
    keys.make_post(post.folder / "keys", "post1", (HOST,), ["lane2"], NOW)
    for name in ("node.der", "node-key.der"):
        shutil.copy(post.folder / "keys" / "nodes" / "lane2" / name, post.node / name)
    assert said(tell()) == (
        "keys/node.der is the certificate of lane2, and this node is lane1; copy the keys of lane1"
    )


NAMED = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/firmware"]
from node.der import common_name
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        content = file.read()
    for size in range(len(content) + 1):
        found = common_name(content[:size])
        assert found in ("", "lane9"), found
    spoilt = bytearray(content)
    for at in range(len(content)):
        for value in (0, 0x7F, 0x82, 0xFF):
            spoilt[at] = value
            common_name(bytes(spoilt))
        spoilt[at] = content[at]
    print(common_name(content))
"""


def test_a_name_is_read_from_a_certificate_and_nothing_from_what_is_none(
    tmp_path, post, micropython_path
):
    """Cut at every byte and spoilt at every byte, it is read or not, and nothing else happens."""
    issued = keys.issue(post.authority, "lane9", NOW)
    (tmp_path / "long.der").write_bytes(issued.certificate_der())
    (tmp_path / "key.der").write_bytes(issued.key_der())
    paths = [tmp_path / "long.der", tmp_path / "key.der"]
    done = subprocess.run(
        [micropython_path, "-c", NAMED, REPOSITORY, *paths],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == ["lane9", ""]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-7])


def as_pem(path):
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")


def blown_up(path):
    path.write_bytes(b"0" * 3_000)


def spoilt_inside(path):
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) - 4))


def gone(path):
    path.unlink()


@pytest.mark.parametrize("name", ["ca.der", "node.der", "node-key.der"])
@pytest.mark.parametrize(
    "spoil, words",
    [
        (cut_short, "is not one whole DER file"),
        (as_pem, "is not one whole DER file"),
        (blown_up, "has more than 2048 bytes"),
        (spoilt_inside, "cannot be used"),
        (gone, "is missing"),
    ],
)
def test_a_file_that_will_not_do_is_named_with_the_remedy(post, run_story, name, spoil, words):
    spoil(post.node / name)
    lines = run_story("tls_story.py", str(post.port), str(post.node), HOST)
    text = said(lines)
    assert f"keys/{name}" in text
    assert words in text
    assert "harmattan keys" in text


def test_files_that_may_not_be_read_are_named(post, run_story):
    (post.node / "ca.der").unlink()
    (post.node / "ca.der").mkdir()
    (line,) = run_story("tls_story.py", str(post.port), str(post.node), HOST)
    assert "keys/ca.der cannot be read" in line


KEPT = """
import sys
root, good, other = sys.argv[1:]
sys.path[:0] = [root, root + "/firmware"]
from node import credentials
from node.errors import CredentialsRefused
first = credentials.load(good, "lane1")
print(credentials.load(good, "lane1") is first)
second = credentials.load(other, "lane1")
print(second is first, credentials.load(other, "lane1") is second)
with open(other + "/ca.der", "wb") as file:
    file.write(b"0")
try:
    credentials.load(other, "lane1")
except CredentialsRefused as error:
    print(error)
print(credentials.load(good, "lane1") is second)
"""


def test_unchanged_keys_are_read_into_memory_once(post, tmp_path, micropython_path):
    """And changed ones again, without a restart."""
    other = tmp_path / "other"
    keys.make_post(other, "post2", (HOST,), ["lane1"], NOW)
    folders = [post.node, other / "nodes" / "lane1"]
    done = subprocess.run(
        [micropython_path, "-c", KEPT, REPOSITORY, *folders],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["True", "False True"]
    assert "keys/ca.der" in lines[2]
    assert lines[3:] == ["False"]
