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
import subprocess
import sys
import tomllib
from pathlib import Path

import aiomqtt
import pytest
from cryptography.hazmat.primitives import serialization

from gateway import certificates, cli, people, settings
from gateway.errors import DiskError, SettingsError
from gateway.ingest.mosquitto import access_list
from gateway.starting import init, template
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
        os.umask(0o022)
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
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
    chosen = [(node["id"], node["exposure"]) for node in tomllib.loads(made)["nodes"]]
    assert chosen == [("a", "automatic"), ("b", "automatic")]


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
        (["p", "--administrator", "  "], "use 1 to 64 printable characters without outer blanks"),
        (["p", "--port", "8883"], "--nodes-port 8883 is --port too"),
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


@pytest.fixture(params=["new", "a disk's"])
def place(request, tmp_path):
    """A folder that is made, and one that is there: the top of a disk, which is never empty."""
    folder = tmp_path / "p"
    if request.param == "a disk's":
        folder.mkdir(mode=0o755)
        (folder / "lost+found").mkdir()
    return folder


def test_whatever_fails_nothing_is_left(place, monkeypatch):
    """Each synchronisation of the disk fails once, until one more than there are."""
    existed = place.exists() and place.stat().st_ino
    within = set(place.iterdir()) if existed else set()
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
        assert place.exists() == bool(existed)
        assert set(place.parent.rglob("*")) - {place} == within
    assert number > 20
    (only,) = said
    assert only.startswith(f"{place}: No space left on device; nothing is made. ")
    if existed:  # it may be a disk's, or a terminal stands in it
        assert place.stat().st_ino == existed
    assert check(place, NOW).is_well
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_password_that_cannot_be_shown_leaves_no_post(place, arguments):
    """Nobody could ever use it, and no second init would be taken there."""
    existed = place.exists()
    for words in ("> /dev/full", ">&-"):
        line = f'exec "$0" -m gateway init "$@" --post p {words}'
        done = subprocess.run(
            ["/bin/sh", "-c", line, sys.executable, str(place), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert "nobody would know the password, so nothing is made" in done.stderr
        assert place.exists() == existed
        assert not existed or [path.name for path in place.iterdir()] == ["lost+found"]


def test_what_a_kill_has_left_is_named(call, tmp_path):
    (tmp_path / "p/.harmattan-init-x").mkdir(parents=True)
    assert "remove what an init that was cut short has left" in call("init", tmp_path / "p")[2]


def test_what_a_kill_has_left_beside_is_named_and_what_another_init_holds_is_not(call, tmp_path):
    left = tmp_path / ".harmattan-init-killed"
    left.mkdir()
    held = tmp_path / ".harmattan-init-busy"
    held.mkdir()
    descriptor = init._hold(held)
    try:
        code, printed, _ = call("init", tmp_path / "p")
        assert (code, f"left behind         {left}, by an init" in printed) == (0, True)
        assert str(held) not in printed
        held.rename(tmp_path / "q")
        inner = tmp_path / "q/.harmattan-init-y"
        inner.mkdir()
        inside = init._hold(inner)
        told = call("init", tmp_path / "q")[2]
        assert "another `harmattan init` is making a post there, wait for it" in told
        os.close(inside)
    finally:
        os.close(descriptor)
    assert left.exists()
    made = json.loads(call("init", tmp_path / "r", "--json")[1])
    assert made["left"] == [str(left)]


@pytest.mark.parametrize(
    "existed, said",
    [(False, "holds a post already, which is never overwritten"), (True, "wait for it")],
)
def test_two_inits_at_once_make_one_post_and_say_so(tmp_path, monkeypatch, existed, said):
    """The other one begins, and would end, while this one makes its keys."""
    place, issue, calls = tmp_path / "p", certificates.issue, []
    if existed:
        place.mkdir()

    def both(*arguments, **named):
        calls.append(1)
        if len(calls) == 1:
            make_post(place, Answers("other"), NOW)
        return issue(*arguments, **named)

    monkeypatch.setattr(certificates, "issue", both)
    with pytest.raises(SettingsError, match=said):
        make_post(place, Answers("this"), NOW)
    assert (place / "post.toml").exists() != existed
    assert [path.name for path in tmp_path.rglob(".harm*")] == []


def test_a_terminal_that_stands_in_the_folder_stays_in_it(tmp_path):
    """And in one that has been removed it is told so."""
    folder = tmp_path / "hut"
    folder.mkdir()
    script = f'"{sys.executable}" -m gateway init {{}} && ls -A && "{sys.executable}" -m gateway'
    done = shell(folder, script.format(".") + " nodes list")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"keys", "post.toml", "state"} <= set(done.stdout.split())
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(gone, f"rmdir {gone}; " + script.format('""'))
    assert done.returncode == 2
    assert done.stderr == (
        "harmattan: the folder that this terminal stands in has been removed; change to one that"
        " exists\n"
    )


def shell(folder, script):
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
    )


def test_where_this_user_may_not_look_nothing_is_made(call, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    code, _, told = call("init", tmp_path / "p")
    assert code == 2
    assert "Permission denied; nothing is made. Give this user the right to write there, or" in told


@pytest.mark.parametrize(
    "fault, said",
    [
        (OSError(errno.EROFS, "Read-only file system"), "Have its disk mounted for writing"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Free space on its disk"),
        (OSError(errno.EIO, "Input/output error"), "See that its disk is well"),
        (DiskError("journal x: nothing is receipted until then"), "Free space on its disk"),
    ],
)
def test_each_fault_of_the_disk_has_a_remedy_of_its_own(tmp_path, monkeypatch, fault, said):
    def fail(_):
        raise fault from None

    monkeypatch.setattr(init, "connect", fail)
    with pytest.raises(SettingsError, match=f"nothing is made. {said}, or choose another folder"):
        make_post(tmp_path / "p", Answers("p"), NOW)
    assert list(tmp_path.iterdir()) == []


def test_no_node_can_take_the_gateways_connection_over(call, tmp_path, free_port):
    """A broker ends the connection of a client when another comes by the same name."""
    folder, name = tmp_path / "p", f"gateway-{POST}"
    ports = ("--port", free_port, "--nodes-port", free_port + 1)
    code, _, said = call(
        *("init", folder, "--post", POST, "--node", name, "--listen", "127.0.0.1", *ports)
    )
    assert (code, said) == (0, "")

    async def story():
        async with Command(folder / "post.toml", *AS_NOBODY) as post:
            await post.log.event("broker_connected")
            async with connected(folder, free_port + 1, name) as node:
                await node.be_born()
                await node.say(node.event(1))
                await node.receipt(1)
            assert len(post.log.events("broker_connected")) == 1

    asyncio.run(story())


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
    access = folder / "state/mosquitto.acl"
    assert access.read_text() == access_list(POST, [NODE])  # as the gateway writes it

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
    assert access.read_text() == access_list(POST, [NODE, "lane-2"])
    modes = {path.name: path.stat().st_mode & 0o077 for path in (folder / "state").iterdir()}
    assert {modes[name] for name in ("journal.sqlite", "people.json", "broker.secret")} == {0}


def test_the_wheel_holds_the_example(repository_path):
    """It is a link in the tree, and a file in what is installed."""
    link = repository_path / "gateway/starting" / template.EXAMPLE
    assert Path(os.path.realpath(link)) == repository_path / "docs/post.example.toml"
    assert template.example() == (repository_path / "docs/post.example.toml").read_text()
