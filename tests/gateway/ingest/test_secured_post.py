"""Goal: a post with a listener for nodes works for them and its own commands, and for nobody else.

Method: the whole gateway in this process with certificates of `hardware.keys`, nodes over TLS, one
of which is hostile.
"""

import asyncio
import datetime as dt
import io
import os
import signal
import ssl
import tempfile
from pathlib import Path

import aiomqtt
import pytest
from rich.console import Console

from gateway import settings
from gateway.certificates import write_crl
from gateway.doctor.rehearsal.stage import free_port
from gateway.fleet import nodes_file
from gateway.fleet.ordering import run_command
from gateway.ingest.quarantine import CAUSES, SCORE_MAX
from hardware import keys
from protocol import messages, topics
from tests.gateway.running import NODE, POST, rows, running, write_settings
from tests.gateway.scripted import connected


@pytest.fixture
def folder():
    """A folder that user `nobody` may enter, whom the broker becomes when root starts it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "state").mkdir(mode=0o755)
        yield Path(name)


class Secured:
    """A post's settings and certificates."""

    def __init__(self, folder, port):
        self.folder = folder
        now = dt.datetime.now(dt.UTC)
        self.authority = keys.make_authority(POST, now)
        (folder / "ca.pem").write_bytes(self.authority.certificate_pem())
        self.serials, self.revoked = {}, {}
        self.issue("gateway", ("127.0.0.1",))
        self.port = free_port()
        self.path = write_settings(
            folder,
            port,
            more=f'[broker.nodes]\nhost = "127.0.0.1"\nport = {self.port}\nca_file = "ca.pem"\n'
            'certificate_file = "gateway.pem"\nkey_file = "gateway-key.pem"\n',
        )

    def issue(self, name, hosts=()):
        pair = keys.issue(self.authority, name, dt.datetime.now(dt.UTC), hosts=hosts)
        self.serials[name] = pair.certificate.serial_number
        (self.folder / f"{name}.pem").write_bytes(pair.certificate_pem())
        (self.folder / f"{name}-key.pem").write_bytes(pair.key_pem())

    def trust(self, name, *, anew=True):
        """Return what a node with its certificate connects with."""
        if anew:
            self.issue(name)
        made = ssl.create_default_context(cafile=self.folder / "ca.pem")
        made.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}-key.pem")
        return made

    def revoke(self, name):
        """Do what `harmattan nodes revoke` does: the node's name, and its certificate."""
        now = dt.datetime.now(dt.UTC)
        self.revoked[self.serials.get(name, 1)] = now
        write_crl(self.folder / "crl.pem", self.authority, self.revoked, now)
        with nodes_file.changing(self.folder / "state") as entries:
            entries[name] = nodes_file.Entry(revoked=now)


def ask(path, action):
    console = Console(file=io.StringIO())
    loaded = settings.load(path)
    return run_command(loaded, NODE, action, as_json=True, wait_s=30.0, console=console)


def test_nodes_and_commands_reach_the_post_and_a_forger_is_barred(folder, free_port):
    async def story():
        post = Secured(folder, free_port)
        async with (
            running(post.path) as log,
            connected(post.port, tls=post.trust("lane-1")) as node,
            connected(post.port, "lane-2", tls=post.trust("lane-2")) as forger,
        ):
            await node.be_born(next_seq=3)
            await node.say(node.event(1))
            await node.receipt(1)
            asking = asyncio.create_task(asyncio.to_thread(ask, post.path, "journal"))
            command = await node.heard.wait(lambda said: isinstance(said, messages.Command))
            await node.say(messages.Result(command.command_id, 0, "done"))
            assert await asking == 0
            with pytest.raises(aiomqtt.MqttError):
                async with connected(free_port):
                    pass
            await log.event("client_refused")
            foreign = topics.build(POST, "lane-1", "event")
            await forger.publish_until_ended(foreign, node.event(100).pack())
            barred = await log.event("node_quarantined", node="lane-2", cause="topic_foreign")
            assert "revoke its certificate" in barred["text"]
            await log.event("node_disconnected", node="lane-2", text="it is in quarantine")
            async with connected(post.port, "lane-2", tls=post.trust("lane-2")) as again:
                await again.say(again.event(1))
            await node.say(node.event(2))
            await node.receipt(2)
        assert rows(folder, "SELECT node, seq FROM records ORDER BY seq") == [(NODE, 1), (NODE, 2)]
        counted = dict(rows(folder, "SELECT name, count FROM counters WHERE subject = 'lane-2'"))
        assert counted["topic_foreign"] > SCORE_MAX // CAUSES["topic_foreign"]
        assert counted["message_barred"] == 1
        assert not rows(folder, "SELECT * FROM counters WHERE subject = 'lane-1'")

    asyncio.run(story())


async def insist_shut_out(post, node, *, heard):
    """Insist that a node does not come in with the key it had, and that another is heard."""
    with pytest.raises((aiomqtt.MqttError, OSError)):
        async with connected(post.port, tls=post.trust(node, anew=False), wait_s=1.0):
            pass
    async with connected(post.port, heard, tls=post.trust(heard)) as other:
        await other.be_born(next_seq=2)
        await other.say(other.event(1))
        await other.receipt(1)


def test_a_node_that_is_revoked_is_out_and_stays_out(folder, free_port):
    """The first revocation of a post, and one after it; the others go on."""

    async def story():
        post = Secured(folder, free_port)
        async with (
            running(post.path) as log,
            connected(post.port, tls=post.trust("lane-1")) as node,
        ):
            await node.be_born(next_seq=2)
            await node.receipt(0)
            post.revoke("lane-9")
            await log.event("node_revoked", node="lane-9")
            await log.event("broker_told")
            await log.event("broker_connected", 2)  # it is started anew for the first list alone
            async with connected(post.port, tls=post.trust("lane-1", anew=False)):
                post.revoke("lane-1")
                await log.event("node_revoked", node="lane-1")
                await log.event("broker_told", 2)
                await log.event("node_disconnected", node="lane-1")
            assert not log.events("node_disconnected", node="lane-9")  # it never was connected
            await insist_shut_out(post, "lane-1", heard="lane-2")
            assert len(log.events("broker_started")) == 2

    asyncio.run(story())


def test_a_revocation_counts_although_the_broker_hangs(folder, free_port, monkeypatch):
    """It cannot read its list; the one that is started instead reads it at its start."""
    monkeypatch.setattr("gateway.ingest.broker.ASK_S", 0.1)
    monkeypatch.setattr("gateway.ingest.broker.MUTE_TURNS_MAX", 2)

    async def story():
        post = Secured(folder, free_port)
        post.revoke("lane-9")
        async with (
            running(post.path) as log,
            connected(post.port, tls=post.trust("lane-1")) as node,
        ):
            await node.be_born(next_seq=2)
            await node.receipt(0)
            os.kill((await log.event("broker_started"))["pid"], signal.SIGSTOP)
            post.revoke("lane-1")
            await log.event("node_revoked", node="lane-1")
            await log.event("broker_hung")
            await log.event("broker_connected", 2)
            assert not log.events("node_disconnected", node="lane-1")  # the other never had it
            await insist_shut_out(post, "lane-1", heard="lane-2")

    asyncio.run(story())
