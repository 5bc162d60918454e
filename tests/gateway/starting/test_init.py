"""Goal: one command makes a whole post that runs at once, or nothing; what it holds is closed.

Method: the command itself in temporary folders; every synchronisation of the disk fails once; the
real gateway runs on what was made, and a node with keys of its authority delivers to it.
"""

import asyncio
import contextlib
import datetime as dt
import errno
import json
import os
import ssl
import tempfile
import tomllib
from pathlib import Path

import aiomqtt
import pytest
from cryptography.hazmat.primitives import serialization

from gateway import certificates, cli, people, settings
from gateway.errors import SettingsError
from gateway.starting import template
from gateway.starting.check import check
from gateway.starting.init import Answers, make_post
from hardware import keys
from protocol import topics
from tests.gateway import scripted
from tests.gateway.running import NODE, POST, Command, rows

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Hash quickly; what is kept says by what it was hashed."""
    monkeypatch.setattr(people, "SCRYPT_N", 1 << 4)


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["harmattan", *map(str, arguments)])
        before = os.umask(0o022)
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            os.umask(before)
        return (code, *capsys.readouterr())

    return run


def test_a_post_is_made_whole_and_closed(call, tmp_path):
    folder = tmp_path / "hut-1"
    code, printed, said = call("init", folder, "--node", "lane-1", "--language", "fr")
    assert (code, said) == (0, "")
    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
        for path in (folder, *folder.rglob("*"))
    }
    assert {mode for name, mode in modes.items() if (tmp_path / name).is_dir()} == {0o700}
    secret = [name for name in modes if name.endswith(("-key.pem", "-key.der", ".sqlite", ".json"))]
    assert len(secret) == 5
    assert {modes[name] for name in (*secret, "hut-1/post.toml")} == {0o600}
    loaded = settings.load(folder / "post.toml")
    assert (loaded.post, loaded.language, loaded.broker.nodes.host) == ("hut-1", "fr", "")
    assert [node.id for node in loaded.nodes] == ["lane-1"]
    assert rows(folder, "PRAGMA user_version")[0][0] > 5
    (first,) = people.load(folder / "state")
    password = printed.split("password")[1].split()[0]
    assert (first.name, first.role) == ("administrator", "administrator")
    assert people.is_password(password, first.password)
    assert not people.is_password(password[:-1], first.password)
    for path in folder.rglob("*"):
        assert path.is_dir() or password.encode() not in path.read_bytes()


def test_every_comment_of_the_example_is_there(tmp_path):
    make_post(tmp_path / "p", Answers("p", nodes=("a", "b"), listen="10.0.0.1"), NOW)
    made = (tmp_path / "p/post.toml").read_text()
    for row in template.example().splitlines():
        comment = row.partition(" # ")[2] or (row if row.startswith("# ") else "")
        assert comment.removeprefix("# ").partition(" = ")[2] or comment in made
    assert tomllib.loads(made)["broker"]["nodes"]["crl_file"] == "keys/crl.pem"


def test_the_answers_are_in_the_settings_and_in_the_certificate(call, tmp_path):
    folder = tmp_path / "Bunker 7"
    arguments = ("--post", "north", "--listen", "10.1.2.3", "--host", "gw.example", "--json")
    code, printed, _ = call("init", folder, *arguments, "--administrator", "Chief", "--port", 1999)
    made = json.loads(printed)
    assert code == 0
    assert made["broker_names"] == ["gateway.north", "gw.example", "10.1.2.3"]
    assert made["administrator"] == "Chief"
    loaded = settings.load(folder / "post.toml")
    assert (loaded.post, loaded.nodes, loaded.broker.port) == ("north", (), 1999)
    assert loaded.broker.nodes.host == "10.1.2.3"
    certificate = certificates.load_certificate(folder / "keys/gateway.pem")
    names = certificate.extensions.get_extension_for_class(certificates.x509.SubjectAlternativeName)
    assert {str(name.value) for name in names.value} == set(made["broker_names"])
    conf = (folder / "state/mosquitto.conf").read_text()
    assert "listener 8883 10.1.2.3" in conf
    assert f"crlfile {folder}/keys/crl.pem" in conf
    assert str(tmp_path / ".harm") not in conf


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["Bunker 7"], "--post is missing, and the folder's name 'bunker 7' will not do"),
        (["p", "--post", "P!"], "--post: "),
        (["p", "--node", "x/y"], "--node: "),
        (["p", "--node", "x", "--node", "x"], "a name stands twice"),
        (["p", "--language", "de"], "--language 'de': use en, fr, ar, es"),
        (["p", "--listen", "gateway"], "use an IP address of this machine"),
        (["p", "--host", "a b"], "use one host's name or one IP address"),
        (["p", "--host", "1.2.3.4:8883"], "use one host's name or one IP address"),
        (["p", "--administrator", ""], "use 1 to 64 printable characters"),
        (["none/p"], "is no folder; make it first"),
    ],
)
def test_answers_that_will_not_do_make_nothing(call, tmp_path, arguments, said):
    code, printed, told = call("init", tmp_path / arguments[0], *arguments[1:])
    assert (code, printed) == (2, "")
    assert said in told
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(call, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "note").touch()
    assert "is not empty, it holds 'note'; give a folder that" in call("init", folder)[2]
    (folder / "note").unlink()
    assert call("init", folder)[0] == 0  # an empty one is taken
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, _, said = call("init", folder)
    assert code == 2
    assert "holds a post already, which is never overwritten; `harmattan init --check" in said
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (tmp_path / "file").touch()
    assert "is a file" in call("init", tmp_path / "file")[2]


@pytest.fixture(params=["beside", "within"])
def place(request, tmp_path, monkeypatch):
    """A folder that may be made, or one that exists where nothing may be made beside it."""
    folder = tmp_path / "p"
    if request.param == "within":
        folder.mkdir(mode=0o755)
        make = tempfile.mkdtemp

        def refuse(suffix=None, prefix=None, dir=None):  # noqa: A002 - as the original
            if dir == tmp_path:
                raise PermissionError(errno.EACCES, "Permission denied", str(dir))
            return make(suffix, prefix, dir)

        monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    return folder


def test_whatever_fails_nothing_is_left(place, monkeypatch):
    """Each synchronisation of the disk fails once, until one more than there are."""
    existed = place.exists()
    fsync, count, said = os.fsync, 0, set()

    def fail(descriptor):
        nonlocal count
        count -= 1
        if count == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    for number in range(1, 200):
        count = number
        try:
            make_post(place, Answers("p", nodes=("a",)), NOW)
        except SettingsError as error:
            said.add(str(error))
        else:
            break
        assert place.exists() == existed
        left = [path.name for path in place.parent.rglob("*") if path != place]
        assert left == []
    assert number > 20
    (only,) = said
    assert only.startswith(f"{place}: No space left on device; nothing is made. ")
    assert check(place, NOW).is_well
    assert place.stat().st_mode & 0o777 == 0o700


def test_what_a_kill_has_left_is_named(call, tmp_path):
    (tmp_path / "p/.harmattan-init-x").mkdir(parents=True)
    assert "remove what an init that was cut short has left" in call("init", tmp_path / "p")[2]


def as_node(folder, name):
    """Return what a client needs to be a node: its keys as PEM."""
    place = folder / "keys/nodes" / name
    context = ssl.create_default_context(cafile=folder / "keys/ca.pem")
    pair = keys.Pair(
        certificates.load_certificate(place / "node.der"),
        serialization.load_der_private_key((place / "node-key.der").read_bytes(), None),
    )
    (place / "node.pem").write_bytes(pair.certificate_pem() + pair.key_pem())
    context.load_cert_chain(place / "node.pem")
    return context


@contextlib.asynccontextmanager
async def connected(folder, port, name=NODE, *, wait_s=10):
    """Connect a scripted node with its certificate."""
    client = aiomqtt.Client("127.0.0.1", port, tls_context=as_node(folder, name), timeout=wait_s)
    async with client:
        node = scripted.Node(client, name, b"journal1", b"boot-one")
        await client.subscribe(
            [(f"{topics.PREFIX}{POST}/{name}/{down}", 1) for down in topics.DOWN]
        )
        node.listening = asyncio.create_task(scripted._listen(client, node))
        try:
            yield node
        finally:
            node.listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await node.listening


# Root's broker becomes `nobody`, who may not read the keys: here it is root only in name.
AS_NOBODY = ("unshare", "--user") if os.geteuid() == 0 else ()


def test_a_post_that_was_made_runs_at_once_and_takes_its_nodes(call, tmp_path, free_port):
    """The one that is named to init, and one whose keys are made afterwards."""
    folder = tmp_path / "p"
    ports = ("--port", free_port, "--nodes-port", free_port + 1)
    code, _, said = call(
        *("init", folder, "--post", POST, "--node", NODE, "--listen", "127.0.0.1", *ports)
    )
    assert (code, said) == (0, "")
    assert keys.main([str(folder / "keys"), "--post", POST, "lane-2"]) == 0
    path = folder / "post.toml"
    path.write_text(path.read_text() + '\n[[nodes]]\nid = "lane-2"\n')
    before = (folder / "state/mosquitto.acl").read_bytes()

    async def story():
        async with Command(path, *AS_NOBODY) as post:
            await post.log.event("broker_connected")
            for name in (NODE, "lane-2"):
                async with connected(folder, free_port + 1, name) as node:
                    await node.be_born()
                    await node.say(node.event(1))
                    await node.receipt(1)
            assert post.rest == []

    asyncio.run(story())
    assert (folder / "state/mosquitto.acl").read_bytes() == before  # as the gateway writes it
    modes = {path.name: path.stat().st_mode & 0o077 for path in (folder / "state").iterdir()}
    assert {modes[name] for name in ("journal.sqlite", "people.json", "broker.secret")} == {0}


def test_the_wheel_holds_the_example(repository_path):
    """It is a link in the tree, and a file in what is installed."""
    link = repository_path / "gateway/starting" / template.EXAMPLE
    assert Path(os.path.realpath(link)) == repository_path / "docs/post.example.toml"
    assert template.example() == (repository_path / "docs/post.example.toml").read_text()
