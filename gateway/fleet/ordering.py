"""Ask a node of the running post for something, and hear its answer.

The post itself need not know: the command goes over its broker, and so does the result.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator

import aiomqtt
import msgspec
from rich.console import Console
from rich.text import Text

from gateway import wire
from gateway.errors import BrokerError, SettingsError
from gateway.fleet.roster import COMMAND_LIFE_MS
from gateway.ingest import door, secret
from gateway.ingest.link import tls_context
from gateway.journal.records import read_frame
from gateway.settings import NodeSettings, Settings
from protocol import messages, topics

CONNECT_S_MAX = 10.0

ACTIONS = {
    "capture": (messages.ACTION_CAPTURE, b""),
    "dark": (messages.ACTION_CAPTURE, bytes([messages.ROLE_DARK])),
    "birth": (messages.ACTION_BIRTH, b""),
    "identify": (messages.ACTION_IDENTIFY, b""),
    "reboot": (messages.ACTION_REBOOT, b""),
    "laser-off": (messages.ACTION_LASER_OFF, b""),
    "journal": (messages.ACTION_JOURNAL_REPORT, b""),
    "log": (messages.ACTION_LOG_TAIL, b""),
    "tare": (messages.ACTION_TARE, b""),
    "zero": (messages.ACTION_ZERO, b""),
    "weigh": (messages.ACTION_WEIGH, b""),
}
"""What `harmattan command` can ask for. A standard is `harmattan calibrate`: it must be named."""

OUTCOMES = {
    messages.OUTCOME_DONE: "done",
    messages.OUTCOME_REFUSED: "refused",
    messages.OUTCOME_FAILED: "failed",
    messages.OUTCOME_EXPIRED: "expired",
}
STATUSES = {"done": 0, "refused": 1, "failed": 1, "expired": 3, "unanswered": 4}
"""Exit statuses; 2 is the command line itself and what could not be reached."""


def check_node(settings: Settings, node: str) -> NodeSettings:
    """Return a node of the settings.

    Raises:
        SettingsError: it is none; known ones are named.
    """
    for entry in settings.nodes:
        if entry.id == node:
            return entry
    known = ", ".join(entry.id for entry in settings.nodes) or "none"
    raise SettingsError(f"node {node[:40]!r} is not in the settings; known are: {known}")


class Order:
    """One command to one node, on its way.

    Args:
        settings: of the post.
        node: of the settings.
        action: of protocol.messages.ACTION_*.
        argument: as the action demands.
    Attributes:
        command_id: drawn for it.
        answer: the node's result, once there is one.
    """

    def __init__(self, settings: Settings, node: str, action: int, argument: bytes = b"") -> None:
        self._settings = settings
        self._prefix = f"{topics.PREFIX}{settings.post}/{node}/"
        self._action = action
        self._argument = argument
        self.command_id = secrets.token_bytes(8)
        self.answer: asyncio.Future[wire.Result] = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def sent(self) -> AsyncIterator[None]:
        """Send it, and listen for the answer while the context lasts.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        broker, known = self._settings.broker, secret.of_post(self._settings)
        host, port, transport = door.way(self._settings)
        command = wire.Command(
            self.command_id,
            self._action,
            time.time_ns() // 1_000_000 + COMMAND_LIFE_MS,
            self._argument,
        )
        try:
            async with aiomqtt.Client(
                host,
                port,
                transport=transport,
                identifier=f"order-{self.command_id.hex()}",
                username=known.user if known else None,
                password=known.password if known else None,
                timeout=CONNECT_S_MAX,
                tls_context=tls_context(self._settings),
            ) as client:
                await client.subscribe(self._prefix + "result", qos=1)
                await client.publish(self._prefix + "command", wire.encode(command), qos=1)
                listening = asyncio.create_task(self._hear(client), name="results")
                try:
                    yield
                finally:
                    listening.cancel()
                    await asyncio.wait([listening])
        except aiomqtt.MqttError as error:
            remedy = "start the post with `harmattan run`"
            if secret.is_asked(self._settings):
                remedy += f"; run this as its user, who may read {secret.SECRET_NAME} in its folder"
            raise BrokerError(f"broker {broker.host}:{broker.port}: {error}; {remedy}") from error

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            answer = read_frame(message.payload)
            if not isinstance(answer, wire.Result) or answer.command_id != self.command_id:
                continue
            if not self.answer.done():
                self.answer.set_result(answer)


def run_command(
    settings: Settings, node: str, action: str, *, as_json: bool, wait_s: float, console: Console
) -> int:
    """Have a node of the running post do something and say what came of it.

    Returns:
        0 done, 1 refused or failed, 3 expired, 4 no answer in time.

    Raises:
        SettingsError: there is no such node or action.
        BrokerError: the broker cannot be reached.
    """
    check_node(settings, node)
    if action not in ACTIONS:
        raise SettingsError(
            f"a node does not know {action[:40]!r}; it knows {', '.join(ACTIONS)}, and standards"
            " by `harmattan calibrate --node`"
        )
    result = asyncio.run(_ask(settings, node, action, wait_s))
    if result is None:
        outcome, tail = "unanswered", ""
        detail = (
            f"nothing came within {wait_s:g} s; look at the node with `harmattan status`: is it "
            "online?"
        )
    else:
        outcome, detail = OUTCOMES[result.outcome], result.detail
        tail = result.tail.decode("utf-8", "replace")
    if as_json:
        record = {"node": node, "action": action, "outcome": outcome, "detail": detail}
        console.out(msgspec.json.encode({**record, "text": tail}).decode(), highlight=False)
        return STATUSES[outcome]
    style = "bold green" if outcome == "done" else "bold red"
    told = f": {detail}" if detail else ""
    console.print(Text(f"{node} {action}: "), Text(outcome, style=style), Text(told), sep="")
    if tail:
        console.print(Text(_plain(tail)), soft_wrap=True)
    return STATUSES[outcome]


def _plain(text: str) -> str:
    """Return what a node said without characters that a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text).rstrip("\n")


async def _ask(settings: Settings, node: str, action: str, wait_s: float) -> wire.Result | None:
    """Return the node's answer, None when it does not come in time."""
    number, argument = ACTIONS[action]
    order = Order(settings, node, number, argument)
    async with order.sent():
        try:
            return await asyncio.wait_for(order.answer, wait_s)
        except TimeoutError:
            return None
