"""Goal: nobody speaks as a node who is not that node, and whoever tries is refused, named, counted.

Method: the real broker as the gateway's child with both listeners, certificates made by
`hardware.keys`, a list of revoked ones made by `cryptography`, and real clients that misbehave.
"""

import asyncio
import contextlib
import datetime as dt
import os
import resource
import socket
import ssl
import stat
import tempfile
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.doctor.rehearsal.stage import free_port
from gateway.errors import BrokerError
from gateway.ingest import door, secret, spare
from gateway.ingest.broker import CONFIGURATION_NAME, Broker, find_leftovers
from gateway.observe.counters import Counters
from gateway.settings import BrokerSettings, NodeListenerSettings, Settings
from hardware import keys
from tests.gateway.running import recording
from tests.gateway.seen import DEADLINE_S, Log, Seen

NOW = dt.datetime.now(dt.UTC)
READING = "harmattan/v1/p/lane1/reading"


@pytest.fixture(scope="module")
def authority():
    return keys.make_authority("p", NOW)


@pytest.fixture
def folder(authority):
    """A folder that user `nobody` may enter, whom the broker becomes when root starts it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "ca.pem").write_bytes(authority.certificate_pem())
        pair = keys.issue(authority, "gateway", NOW, hosts=("127.0.0.1",))
        (folder / "gateway.pem").write_bytes(pair.certificate_pem())
        (folder / "gateway-key.pem").write_bytes(pair.key_pem())
        yield folder


def context(folder, pair=None):
    made = ssl.create_default_context(cafile=folder / "ca.pem")
    if pair is not None:
        (folder / "one.pem").write_bytes(pair.certificate_pem())
        (folder / "one-key.pem").write_bytes(pair.key_pem())
        made.load_cert_chain(folder / "one.pem", folder / "one-key.pem")
    return made


def revoke(folder, authority, *pairs):
    """Write the list of revoked certificates, as one file that replaces another."""
    built = x509.CertificateRevocationListBuilder(
        authority.certificate.subject, NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=9)
    )
    for pair in pairs:
        built = built.add_revoked_certificate(
            x509.RevokedCertificateBuilder(pair.certificate.serial_number, NOW).build()
        )
    fresh = folder / "crl.pem.new"
    fresh.write_bytes(
        built.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    fresh.replace(folder / "crl.pem")


class Post:
    """A broker with both listeners."""

    def __init__(self, folder, port, nodes_port=None):
        self.nodes_port = nodes_port or free_port()
        self.folder, self.port = folder, port
        self.log, self.counters = Log(), Counters()
        self.revoked = frozenset()
        self.misbehaved = []
        self.lines = ()
        self.broker = self.make()

    def make(self):
        files = [str(self.folder / f"{n}.pem") for n in ("ca", "gateway", "gateway-key")]
        nodes = NodeListenerSettings("127.0.0.1", self.nodes_port, *files)
        return Broker(
            BrokerSettings(port=self.port, nodes=nodes),
            self.folder,
            counters=self.counters,
            log=recording(self.log),
            post="p",
            nodes=["lane1", "lane2"],
            node_lines=lambda: self.lines,
            revoked=lambda: self.revoked,
            misbehaved=lambda node, count: self.misbehaved.extend([node] * count),
        )

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.broker.run())
        try:
            ready = asyncio.create_task(self.broker.ready.wait())
            await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
            assert ready.done(), task.exception()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def local(self, name, known=None):
        user = {"username": known.user, "password": known.password} if known else {}
        return aiomqtt.Client("127.0.0.1", self.port, identifier=name, timeout=5, **user)

    def own(self, name):
        known = self.broker.secret
        host, port, transport = door.way(
            Settings(post="p", directory=str(self.folder), broker=BrokerSettings(port=self.port))
        )
        assert transport == "unix"
        user = {"username": known.user, "password": known.password}
        return aiomqtt.Client(host, port, transport=transport, identifier=name, timeout=5, **user)

    def node(self, pair, name="any"):
        trust = context(self.folder, pair)
        return aiomqtt.Client(
            "127.0.0.1", self.nodes_port, identifier=name, tls_context=trust, timeout=5
        )


async def refused(client):
    with pytest.raises((aiomqtt.MqttError, OSError)):
        async with client:
            pass


async def refused_at_once(post, pair):
    """What the broker says to a certificate, heard without a client that waits for more."""
    trust = context(post.folder, pair)

    async def say_hello():
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", post.nodes_port, ssl=trust, server_hostname="127.0.0.1"
        )
        writer.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        if not await reader.read(1):
            raise ConnectionResetError

    with pytest.raises(OSError):  # noqa: PT011 - TLS alerts and resets alike
        await asyncio.wait_for(say_hello(), DEADLINE_S)


async def gather(client, heard):
    async for message in client.messages:
        heard.add((message.topic.value, message.payload))


def test_a_local_program_cannot_be_a_node(folder, free_port):
    """Not without the password, which only this user can read and which is new at each start."""

    async def story():
        post = Post(folder, free_port)
        async with post.running():
            await refused(post.local("lane1"))
            await refused(post.local("lane1", secret.Secret("gateway", "guessed")))
            told = await post.log.event("client_refused")
            assert "gave no password on loopback" in told["text"]
            first = secret.read(folder)
            assert first == post.broker.secret
            async with post.local("gateway", first):
                pass
            assert stat.S_IMODE((folder / secret.SECRET_NAME).stat().st_mode) == 0o600
            hashed = (folder / secret.HASHED_NAME).read_text()
            assert first.password not in hashed
            assert first.password not in repr(first)
            assert first.password not in str(post.log.items)
        async with Post(folder, free_port).running() as post:
            assert secret.read(folder) != first
            await refused(post.local("gateway", first))

    asyncio.run(story())


def test_a_node_is_its_certificate_and_nobody_else(folder, free_port, authority):
    """Neither by its client's name nor on another's topics; the broker's log says who tried."""

    async def story():
        lane1, lane2 = (keys.issue(authority, name, NOW) for name in ("lane1", "lane2"))
        post, heard = Post(folder, free_port), Seen()
        async with post.running(), post.local("gateway-p", post.broker.secret) as gateway:
            await gateway.subscribe("harmattan/v1/p/#", qos=1)
            listening = asyncio.create_task(gather(gateway, heard))
            async with post.node(lane1) as honest, post.node(lane2, "gateway-p") as forger:
                await forger.publish(READING, b"forged", qos=1)
                await forger.publish("harmattan/v1/p/lane1/receipt", b"forged", qos=1)
                await forger.publish("harmattan/v1/p/lane2/reading", b"own", qos=1)
                await honest.publish(READING, b"honest", qos=1)
                await heard.wait(lambda said: said[1] == b"honest")
                told = await post.log.event("topic_foreign", client="lane2")
                assert f"published on '{READING}'" in told["text"]
            assert {said[1] for said in heard.items} == {b"own", b"honest"}
            assert post.misbehaved == ["lane2", "lane2"]
            assert post.counters.take()["topic_foreign", "lane2"] == 2
            listening.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("letters", [240, 900, 20_000])
def test_a_forger_is_named_however_long_its_topic_is(folder, free_port, authority, letters):
    async def story():
        lane2, post = keys.issue(authority, "lane2", NOW), Post(folder, free_port)
        async with post.running(), post.node(lane2) as forger:
            await forger.publish(READING + "/" + "x" * letters, b"forged", qos=1)
            await post.log.event("topic_foreign", client="lane2")
        assert post.misbehaved == ["lane2"]

    asyncio.run(story())


def test_a_foreign_subscription_brings_nothing(folder, free_port, authority):
    async def story():
        lane1, lane2 = (keys.issue(authority, name, NOW) for name in ("lane1", "lane2"))
        post, heard = Post(folder, free_port), Seen()
        async with post.running(), post.node(lane1) as honest, post.node(lane2) as curious:
            await curious.subscribe([("#", 1), ("harmattan/v1/p/lane1/+", 1), ("$SYS/#", 1)])
            listening = asyncio.create_task(gather(curious, heard))
            await honest.publish(READING, b"not for lane2", qos=1)
            async with post.local("gateway", post.broker.secret) as gateway:
                await gateway.publish("harmattan/v1/p/lane1/receipt", b"nor this", qos=1)
                await gateway.publish("harmattan/v1/p/lane2/receipt", b"its own", qos=1)
            await heard.wait(lambda said: said[1] == b"its own")
            assert len(heard.items) == 1
            listening.cancel()

    asyncio.run(story())


def test_wrong_certificates_are_refused_and_counted(folder, free_port, authority):
    async def story():
        post = Post(folder, free_port)
        old = NOW - dt.timedelta(days=9_000)
        foreign = keys.issue(keys.make_authority("p", NOW), "lane1", NOW)
        expired = keys.issue(authority, "lane1", old)
        async with post.running():
            for pair in (None, foreign, expired):
                await refused_at_once(post, pair)
                async with asyncio.timeout(DEADLINE_S):
                    while ("certificate_refused", "") not in post.counters.take():  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            told = await post.log.event("certificate_refused")
            assert "look at its certificate's dates, authority and revocation" in told["text"]
            async with post.node(keys.issue(authority, "lane1", NOW)):
                pass

    asyncio.run(story())


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("gateway-key.pem", b"no key", ["broker.nodes.key_file", "damaged", "harmattan keys"]),
        ("gateway-key.pem", "another", ["is not the key of the certificate beside it"]),
        ("gateway-key.pem", "locked", ["broker.nodes.key_file", "it has a password"]),
        ("gateway.pem", b"", ["broker.nodes.certificate_file", "damaged", "no start line"]),
        ("gateway.pem", None, ["it is not there", "correct its name"]),
        ("ca.pem", b"no authority", ["broker.nodes.ca_file", "new keys for every node"]),
        ("crl.pem", b"no list", ["broker.nodes.crl_file", "`harmattan nodes crl`"]),
        ("crl.pem", None, ["broker.nodes.crl_file", "it is not there"]),
    ],
)
def test_a_broker_that_cannot_use_its_own_files_says_which_and_what_to_do(
    folder, free_port, authority, name, content, said
):
    """Its own words name the file, and OpenSSL's the reason, in lines of their own."""
    other = keys.issue(authority, "gateway", NOW, hosts=("127.0.0.1",))
    forms = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    lock = serialization.BestAvailableEncryption(b"word")
    content = {"another": other.key_pem(), "locked": other.key.private_bytes(*forms, lock)}.get(
        content, content
    )

    async def story():
        post = Post(folder, free_port)
        if name == "crl.pem":
            post.lines = (f"crlfile {folder / name}",)
        if content is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(BrokerError) as raised:
            async with asyncio.timeout(DEADLINE_S):
                await post.broker.run()
        (told,) = post.log.events("broker_log")
        assert str(folder / name) in told["text"]
        for words in said:
            assert words in told["text"]
        assert told["text"] in str(raised.value)
        assert ("certificate_refused", "") not in post.counters.take()

    asyncio.run(story())


def test_a_broker_whose_list_is_missing_did_not_start_and_refused_nobody(
    folder, free_port, authority
):
    """Mosquitto listens for a moment, then ends over the file that is not there."""

    async def story():
        post = Post(folder, free_port)
        post.lines = (f"crlfile {folder / 'crl.pem'}",)
        with pytest.raises(BrokerError, match=r"ended with status [^0]"):
            async with asyncio.timeout(DEADLINE_S):
                await post.broker.run()
        assert post.log.events("broker_started") == []
        assert post.log.events("certificate_refused") == []
        assert ("certificate_refused", "") not in post.counters.take()

    asyncio.run(story())


def test_a_revoked_node_is_disconnected_and_refused_from_then_on(folder, free_port, authority):
    async def story():
        lane1, lane2 = (keys.issue(authority, name, NOW) for name in ("lane1", "lane2"))
        post = Post(folder, free_port)
        revoke(folder, authority)
        post.lines = (f"crlfile {folder / 'crl.pem'}",)
        async with post.running(), post.node(lane1) as out, post.node(lane2) as honest:
            lost = asyncio.create_task(gather(out, Seen()))
            revoke(folder, authority, lane1)
            post.revoked = frozenset({"lane0", "lane1"})  # lane0 was never there
            await post.log.event("broker_told")
            await post.log.event("node_disconnected", node="lane1")
            assert len(post.log.events("node_disconnected")) == 1
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(aiomqtt.MqttError):
                    await lost
            await refused_at_once(post, lane1)
            await honest.publish("harmattan/v1/p/lane2/reading", b"still here", qos=1)

    asyncio.run(story())


@contextlib.contextmanager
def holding(port, count):
    """Hold idle connections, as a program or a device does that never says a word."""
    with contextlib.ExitStack() as held:
        for _ in range(count):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        yield


def test_idle_connections_shut_nobody_out(folder, free_port, authority):
    """Neither a node, nor the gateway; 40 of them were enough for that once."""

    async def story():
        lane1, post = keys.issue(authority, "lane1", NOW), Post(folder, free_port)
        async with post.running():
            with holding(post.port, 40), holding(post.nodes_port, 40):
                async with post.own("gateway-p") as gateway, post.node(lane1) as node:
                    await gateway.subscribe(READING, qos=1)
                    await node.publish(READING, b"heard", qos=1)
                    said = await asyncio.wait_for(anext(aiter(gateway.messages)), DEADLINE_S)
                    assert said.payload == b"heard"
            assert ("connection_refused", "") not in post.counters.take()

    asyncio.run(story())


def test_who_opens_connections_without_end_is_named(folder, free_port, monkeypatch):
    """On the nodes' listener; programs of this machine are the machine's own affair."""
    monkeypatch.setattr("gateway.ingest.flood.OPENED_MIN", 10)  # and 4 for each of the two nodes

    async def story():
        post = Post(folder, free_port)
        async with post.running():
            for port in (post.port, post.nodes_port):
                for _ in range(25):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
            told = await post.log.event("connection_flood", client="127.0.0.1")
            assert "harmattan docs install#a-bound-for-each-address" in told["text"]
            async with post.own("gateway-p"):  # what came before is read by now
                pass
        counted = post.counters.take()["connection_flood", ""]
        assert 0 < counted <= 7, counted

    asyncio.run(story())


def test_a_listener_that_is_full_is_told_and_the_gateway_has_its_own_way(
    folder, free_port, authority, monkeypatch
):
    monkeypatch.setattr("gateway.ingest.mosquitto.CONNECTIONS_SPARE", 0)  # 20 places

    async def story():
        lane1, lane2 = (keys.issue(authority, name, NOW) for name in ("lane1", "lane2"))
        post = Post(folder, free_port)
        async with post.running(), post.node(lane1) as node:
            with holding(post.port, 40), holding(post.nodes_port, 40):
                await refused_at_once(post, lane2)
                async with post.own("gateway-p") as gateway:
                    await gateway.subscribe(READING, qos=1)
                    await node.publish(READING, b"stands", qos=1)
                    said = await asyncio.wait_for(anext(aiter(gateway.messages)), DEADLINE_S)
                    assert said.payload == b"stands"
                told = await post.log.event("connection_refused", client="127.0.0.1")
                assert "too many are open" in told["text"]
                assert post.counters.take()["connection_refused", ""] > 0
            async with post.node(lane2):
                pass
            mode = stat.S_IMODE((folder / door.FOLDER).stat().st_mode)
            assert not mode & 0o077  # no other user can fill it

    asyncio.run(story())


def test_a_broker_is_found_to_have_started_while_others_fill_its_port(
    folder, free_port, monkeypatch
):
    async def find_no_place(*_, **__):
        raise ConnectionResetError

    monkeypatch.setattr(asyncio, "open_connection", find_no_place)

    async def story():
        post = Post(folder, free_port)
        async with post.running(), post.own("gateway-p"):
            pass

    asyncio.run(story())


def test_a_broker_may_have_more_connections_than_a_shell_grants():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    try:
        door.widen()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_post_whose_folder_has_too_long_a_name_goes_over_loopback(tmp_path):
    settings = Settings(post="p", directory=str(tmp_path / ("long" * 30)))
    assert door.path_in(Path(settings.directory)) is None
    assert door.path_in(tmp_path / "with blank") is None
    assert door.way(settings) == ("127.0.0.1", 18883, "tcp")


def test_files_are_written_only_when_they_change_and_a_full_disk_starts_no_fault(
    folder, free_port, monkeypatch
):
    """What a start needs is there from the last one: nothing has to be written."""

    async def story():
        async with Post(folder, free_port).running() as post:
            known, port = post.broker.secret, post.nodes_port
        files = [folder / "mosquitto.conf", folder / "mosquitto.acl"]
        before = [file.stat().st_mtime_ns for file in files]

        opened = os.open

        def full(path, *rest, **more):
            if str(path).endswith(".part"):
                raise OSError(28, "No space left on device")
            return opened(path, *rest, **more)

        monkeypatch.setattr(os, "open", full)
        async with Post(folder, free_port, port).running() as post:
            assert post.broker.secret == known
            async with post.local("gateway", known):
                pass
        assert [file.stat().st_mtime_ns for file in files] == before
        for file in folder.glob("mosquitto.*"):
            file.unlink()
        with pytest.raises(BrokerError, match=r"mosquitto\.passwords: No space left.*free space"):
            await Post(folder, free_port).broker.run()
        assert not spare.beside(files[0]).parent.exists()

    asyncio.run(story())


def test_a_first_start_on_a_full_disk_has_a_broker(folder, free_port, monkeypatch):
    """What it is told lies in memory, for nobody else, until the disk takes it; then no more."""
    opened = os.open
    configured = folder / CONFIGURATION_NAME
    memory = spare.beside(configured).parent

    def full(path, *rest, **more):
        if str(path).startswith(str(folder)) and str(path).endswith(".part"):
            raise OSError(28, "No space left on device")
        return opened(path, *rest, **more)

    async def story():
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", full)
            async with Post(folder, free_port).running() as post:
                assert not list(folder.glob("mosquitto.[acp][!i]*"))
                assert stat.S_IMODE(memory.stat().st_mode) & 0o066 == 0
                first = secret.read(folder)
                assert first == post.broker.secret
                async with post.local("gateway", first):
                    pass
                await refused(post.local("lane1"))
                assert len(find_leftovers(configured)) == 1
                told = await post.log.event("broker_log")
                assert "disk takes nothing" in told["text"]
            assert find_leftovers(configured) == []
        async with Post(folder, free_port).running() as post:
            assert secret.read(folder) == post.broker.secret != first
            assert configured.exists()
            assert not memory.exists()

    asyncio.run(story())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_what_somebody_else_has_laid_into_memory_is_not_believed(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(spare, "MEMORY", tmp_path)
    plain = folder / secret.SECRET_NAME
    there = spare.beside(plain)
    there.parent.mkdir()
    there.write_text('["gateway", "planted"]')
    assert secret.read(folder).password == "planted"
    os.chown(there.parent, 65_534, 65_534)
    assert secret.read(folder) is None

    def full(path, *_):
        if path.parent == folder:
            raise OSError(28, "No space left on device")
        path.write_text("written")

    monkeypatch.setattr(spare, "write_if_changed", full)
    with pytest.raises(OSError, match="No space left"):
        spare.write(plain, "mine", 0o600)
    assert "planted" in there.read_text()
