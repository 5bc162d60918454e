"""Goal: whoever asks a node for something learns what became of it, and by a status a script reads.

Method: a running post with its real broker, and a scripted node that answers as it is told.
"""

import asyncio
import io
import json
import time

import pytest
from rich.console import Console

from gateway import settings
from gateway.errors import BrokerError, SettingsError
from gateway.fleet.ordering import ACTIONS, run_command
from protocol import messages
from tests.gateway.running import NODE, running, write_settings
from tests.gateway.scripted import connected


def ask(path, action, *, node=NODE, wait_s=30.0, as_json=True):
    """Do what `harmattan command` does; return its status and what it says."""
    output = io.StringIO()
    status = run_command(
        settings.load(path),
        node,
        action,
        as_json=as_json,
        wait_s=wait_s,
        console=Console(file=output, width=200, color_system=None),
    )
    return status, json.loads(output.getvalue()) if as_json else output.getvalue()


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_action_is_one_of_the_protocol(action):
    """SPEC 3.11, SPEC 8.5."""
    number, argument = ACTIONS[action]
    assert number in {value for key, value in vars(messages).items() if key.startswith("ACTION_")}
    assert argument in {b"", bytes([messages.ROLE_DARK])}


def test_the_answer_is_shown_and_its_kind_is_the_exit_status(tmp_path, free_port):
    """SPEC 8.2."""

    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path), connected(free_port) as node:
            await node.be_born()
            for count, (outcome, status, name) in enumerate(
                ((0, 0, "done"), (1, 1, "refused"), (2, 1, "failed"), (3, 3, "expired")), start=1
            ):
                asking = asyncio.create_task(asyncio.to_thread(ask, path, "log"))
                command = await node.heard.wait(
                    lambda m: isinstance(m, messages.Command) and m.action == 7, count
                )
                assert command.expires_ms > time.time_ns() // 1_000_000
                await node.publish("result", b"\xc1")  # whatever else comes is passed over
                await node.say(messages.Result(b"another1", 1, "not this one"))
                await node.say(
                    messages.Result(command.command_id, outcome, "so", "1.0 é\n".encode() + b"\xff")
                )
                assert await asking == (
                    status,
                    {
                        "node": NODE,
                        "action": "log",
                        "outcome": name,
                        "detail": "so",
                        "text": "1.0 é\n\ufffd",
                    },
                )
            asking = asyncio.create_task(asyncio.to_thread(ask, path, "dark", as_json=False))
            command = await node.heard.wait(
                lambda m: isinstance(m, messages.Command) and m.argument == b"\1"
            )
            await node.say(messages.Result(command.command_id, 0, "seq=4", b"\x1b[2J[red]x"))
            status, said = await asking
            assert (status, said) == (0, "lane-1 dark: done: seq=4\n?[2J[red]x\n")

    asyncio.run(story())


def test_a_node_that_is_silent_and_a_broker_that_is_not_there(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path):
            status, said = await asyncio.to_thread(ask, path, "identify", wait_s=0.2)
            assert (status, said["outcome"]) == (4, "unanswered")
            assert "harmattan status" in said["detail"]
        with pytest.raises(BrokerError, match="start the post with `harmattan run`"):
            await asyncio.to_thread(ask, path, "identify")

    asyncio.run(story())


def test_unknown_names_are_told_with_those_that_are_known(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    with pytest.raises(SettingsError, match=r"node 'lane-7' is not .* known are: .*lane-1"):
        ask(path, "identify", node="lane-7")
    with pytest.raises(SettingsError, match=r"'dance'; it knows capture, dark, birth, identify"):
        ask(path, "dance")
