"""Goal: what a technician says of a node on the command line is in force within a second.

Method: a post made by `harmattan init`, the real gateway with its real broker, scripted nodes with
their certificates, and the commands in this process beside it.
"""

import asyncio
import datetime as dt
import json

import aiomqtt
import pytest

from gateway import cli
from gateway.starting.init import Answers, make_post
from tests.gateway.running import NODE, POST, Command
from tests.gateway.starting.test_init import AS_NOBODY, connected

NOW = dt.datetime.now(dt.UTC)

# The client leaves its socket open where the broker hangs up while certificates are shown.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def folder(tmp_path, free_port):
    folder = tmp_path / "p"
    answers = Answers(
        POST,
        nodes=(NODE, "lane-2"),
        listen="127.0.0.1",
        port=free_port,
        nodes_port=free_port + 1,
    )
    make_post(folder, answers, NOW)
    return folder


@pytest.fixture
def call(monkeypatch, capsys, folder):
    def run(*arguments):
        command = ["harmattan", "nodes", *map(str, arguments), "-s", str(folder / "post.toml")]
        monkeypatch.setattr("sys.argv", command)
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        return (code, *capsys.readouterr())

    return run


def test_a_list_that_is_missing_is_written_anew_and_revokes_nobody(call, folder):
    path = folder / "keys/crl.pem"
    path.unlink()
    code, printed, _ = call("crl")
    assert (code, path.exists()) == (0, True)
    assert "with 0 revoked certificates" in printed
    (folder / "keys/ca-key.pem").unlink()
    code, _, said = call("crl")
    assert code == 2
    assert "--authority-key FILE" in said


async def until_refused(folder, port):
    """Connect until the broker has read its list again; then it hangs up without a word."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with connected(folder, port, wait_s=1):
                    pass
            except (aiomqtt.MqttError, OSError):
                return
            await asyncio.sleep(0.05)


async def admitted(folder, port):
    """Deliver a record as a node does: what has no receipt for a while is sent again.

    The broker lets a node connect as soon as it has read one of its lists, and passes on what it
    sends when it has read the other.
    """
    async with asyncio.timeout(30):
        while True:
            try:
                async with connected(folder, port, wait_s=1) as node, asyncio.timeout(2):
                    await node.say(node.event(2))
                    await node.receipt(2)
                    return
            except (aiomqtt.MqttError, OSError):  # TimeoutError is an OSError
                await asyncio.sleep(0.05)


def test_a_node_is_revoked_while_it_speaks(call, folder, free_port):
    """It is cut off, refused by the broker, and its neighbour does not notice."""
    port = free_port + 1

    async def story():
        async with Command(folder / "post.toml", *AS_NOBODY) as post:
            await post.log.event("broker_connected")
            async with connected(folder, port) as one, connected(folder, port, "lane-2") as other:
                await one.be_born()
                await one.say(one.event(1))
                await one.receipt(1)
                code, printed, _ = call("revoke", NODE)
                assert code == 0
                assert "the running gateway acts on it within a second" in printed
                assert "its certificates (1) are on the broker's list" in printed
                await post.log.event("node_revoked", node=NODE)
                await post.log.event("node_disconnected", node=NODE)
                await one.lost()
                await until_refused(folder, port)
                await other.be_born()
                await other.say(other.event(1))
                await other.receipt(1)
            assert json.loads(call("list", "--json")[1])[0]["state"]["state"] == "revoked"
            assert call("restore", NODE, "--same-keys")[0] == 0
            await post.log.event("node_restored", node=NODE)
            await admitted(folder, port)

    asyncio.run(story())


def test_a_node_that_the_broker_still_lets_in_is_refused_by_the_gateway(call, folder, free_port):
    (folder / "keys/ca-key.pem").rename(folder.parent / "stick.pem")

    async def story():
        async with Command(folder / "post.toml", *AS_NOBODY) as post:
            await post.log.event("broker_connected")
            async with connected(folder, free_port + 1) as node:
                await node.be_born()
                await node.receipt(0)
                code, printed, _ = call("revoke", NODE)
                assert code == 1
                assert "left to do: the authority's key is kept elsewhere" in printed
                await post.log.event("node_disconnected", node=NODE)
                await node.lost()
            async with connected(folder, free_port + 1) as node:
                await node.say(node.event(1))
                line = await post.log.event("node_revoked", node=NODE, count=2)
                assert "revoked" in line["text"]
                assert node.covered() == set()
            code, _, _ = call("revoke", NODE, "--authority-key", folder.parent / "stick.pem")
            assert code == 0
            await until_refused(folder, free_port + 1)

    asyncio.run(story())


def test_the_first_list_counts_without_a_restart_of_the_gateway(call, folder, free_port):
    """A post from before there were lists: the broker was started without one."""
    (folder / "keys/crl.pem").unlink()
    path = folder / "post.toml"
    path.write_text(path.read_text().replace('crl_file = "keys/crl.pem"', "# no crl_file"))

    async def story():
        async with Command(path, *AS_NOBODY) as post:
            await post.log.event("broker_connected")
            async with connected(folder, free_port + 1) as node:
                await node.be_born()
                await node.receipt(0)
            assert call("revoke", NODE)[0] == 0
            await until_refused(folder, free_port + 1)

    asyncio.run(story())


def test_what_a_technician_needs_is_listed_and_shown(call, folder, free_port):
    async def story():
        async with Command(folder / "post.toml", *AS_NOBODY) as post:
            await post.log.event("broker_connected")
            async with connected(folder, free_port + 1) as node:
                await node.be_born()
                for seq, fault in enumerate(("journal: worn", ""), 1):
                    await node.say_health(fault=fault)
                    await node.say(node.event(seq))
                    await node.receipt(seq)
                assert call("rename", NODE, "North lane")[0] == 0
                code, printed, _ = call("list")
                assert code == 0
                assert "North lane" in printed
                assert "never" in printed  # lane-2
                code, printed, _ = call("show", NODE, "--json")
                shown = json.loads(printed)
                state = shown["state"]
                assert (state["state"], state["label"]) == ("online", "North lane")
                assert shown["firmware"] == "scripted 1"
                assert shown["config"]["state"] == "waiting"  # it was born with another
                assert shown["config"]["sent"] > shown["config"]["kept"] == 0
                assert [one["fault"] for one in shown["healths"]] == ["", "journal: worn"]
                assert list(shown["certificates"].values()) != ["revoked"]
                code, printed, _ = call("show", NODE, "--healths", 1)
                assert "scripted 1 on unix" in printed
                assert "is sent and not confirmed yet; in force is 0" in printed
                assert "journal: worn" not in printed

    asyncio.run(story())
    code, printed, _ = call("show", NODE)  # after the gateway has ended
    assert (code, "journal: worn" in printed) == (0, True)


def test_a_wrong_name_is_answered_with_near_ones(call):
    code, printed, said = call("show", "lane1")
    assert (code, printed) == (2, "")
    assert "node 'lane1' is not known; did you mean lane-" in said
    assert call("revoke", "nobody")[0] == 2


def test_a_list_that_may_not_be_written_is_a_sentence(call, folder, monkeypatch):
    assert call("revoke", NODE)[0] == 0

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("gateway.certificates.write_whole", refuse)
    code, printed, said = call("restore", NODE, "--same-keys")
    assert (code, printed) == (2, "")
    assert f"{folder}/keys/crl.pem: Permission denied; run this as the user of the gateway" in said


def test_a_post_without_nodes_is_told_what_to_add(call, folder):
    path = folder / "post.toml"
    path.write_text(path.read_text().split("[[nodes]]")[0])
    assert "add [[nodes]]" in call("list")[1]


def test_what_cannot_be_read_is_said_in_a_sentence(call, folder):
    (folder / "state/nodes.toml").write_text("[nodes")
    for command in (("list",), ("show", NODE), ("revoke", NODE), ("rename", NODE, "x")):
        code, printed, said = call(*command)
        assert (code, printed) == (2, "")
        assert "nodes.toml: " in said
    (folder / "state/nodes.toml").unlink()
    (folder / "state/journal.sqlite").unlink()
    assert "journal.sqlite does not exist" in call("list")[2]
    assert call("revoke", NODE)[0] == 0  # that needs no journal
