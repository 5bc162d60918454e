"""Goal: a kill at any moment is only a pause: what was receipted is there, the rest comes again.

Method: the real command in a process of its own, killed with SIGKILL while a node that keeps to the
protocol's window sends 200 readings; its orphaned broker, or its living one, is dealt with by the
gateway that follows.
"""

import asyncio
import contextlib
import os
import signal

import aiomqtt

from gateway.ingest.broker import find_leftovers
from protocol.delivery import Window
from protocol.messages import Receipt, Time
from tests.gateway.running import NODE, Command, rows, write_settings
from tests.gateway.scripted import Node, connected
from tests.gateway.seen import DEADLINE_S

READINGS = 200
WINDOW = 16


class Sender:
    """Sends readings 1..READINGS as a node does, over as many connections as it takes.

    Attributes:
        freed: what receipts have covered.
    """

    def __init__(self, port: int) -> None:
        self.freed: set[int] = set()
        self._port = port
        self._window = Window(WINDOW, 500)
        self._admitted = 0
        self._changed = asyncio.Event()

    async def freed_count(self, count: int) -> None:
        """Return when so many records are freed."""
        async with asyncio.timeout(2 * DEADLINE_S):
            while len(self.freed) < count:
                self._changed.clear()
                await self._changed.wait()

    async def run(self) -> None:
        """Send until everything is freed; connect again whenever the connection is lost."""
        while len(self.freed) < READINGS:
            with contextlib.suppress(aiomqtt.MqttError):
                async with connected(self._port) as node:
                    self._window.reconnected(self._now_ms())
                    sending = asyncio.create_task(self._send(node))
                    lost = asyncio.create_task(node.lost())
                    await asyncio.wait([sending, lost], return_when=asyncio.FIRST_COMPLETED)
                    for task in (sending, lost):
                        task.cancel()
            await asyncio.sleep(0.05)  # between attempts to connect, as any node does

    async def _send(self, node: Node) -> None:
        await node.be_born(next_seq=READINGS + 1)
        heard = 0
        while len(self.freed) < READINGS:
            for message in node.heard.items[heard:]:
                self._take(message)
            heard = len(node.heard.items)
            now_ms = self._now_ms()
            while self._window.has_room and self._admitted < READINGS:
                self._admitted += 1
                self._window.admit(self._admitted, now_ms)
            while (seq := self._window.due(now_ms)) is not None:
                await node.say(node.dark(seq))
                self._window.sent(seq, now_ms)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await node.heard.wait(lambda _: True, heard + 1)

    def _take(self, message: object) -> None:
        if isinstance(message, Receipt):
            self.freed.update(self._window.receipt(message.seq, message.beyond))
            self._changed.set()
        elif isinstance(message, Time) and message.echo_uptime_ms is None:
            self._window.reconnected(self._now_ms())

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1_000)


def committed(folder):
    return [seq for (seq,) in rows(folder, "SELECT seq FROM records ORDER BY id")]


def test_a_gateway_killed_among_readings_loses_and_doubles_none(tmp_path, free_port):
    async def story():
        sender = Sender(free_port)
        async with Command(write_settings(tmp_path, free_port)) as gateway:
            await gateway.log.event("broker_connected")
            sending = asyncio.create_task(sender.run())
            for freed in (40, 110):
                await sender.freed_count(freed)
                gateway.kill_now()
                await gateway.ended()
                assert sender.freed <= set(committed(tmp_path))
                await gateway.start()
                await gateway.log.event("broker_leftover")
                await gateway.log.event("broker_connected")
            await sender.freed_count(150)
            gateway.kill_broker()
            await gateway.log.event("broker_started", 2)
            async with asyncio.timeout(2 * DEADLINE_S):
                await sending
            assert await gateway.stop() == 0
            assert gateway.log.items[-1]["event"] == "stopped"
            assert gateway.rest == []
        assert sorted(committed(tmp_path)) == list(range(1, READINGS + 1))
        assert rows(tmp_path, "SELECT seq FROM journals WHERE node = ?", NODE)[0][0] <= READINGS
        assert find_leftovers(tmp_path / "state" / "mosquitto.conf") == []

    asyncio.run(story())


def test_a_signal_during_the_start_leaves_nothing_behind(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        gateway = Command(path)
        await gateway.start()
        await gateway.log.event("started")  # the broker is being started at this moment
        gateway.interrupt(signal.SIGINT)
        assert await gateway.ended() == 0
        assert gateway.rest == []
        assert find_leftovers(tmp_path / "state" / "mosquitto.conf") == []
        assert not (tmp_path / "state" / "mosquitto.pid").exists()

    asyncio.run(story())


def test_a_second_gateway_is_refused_and_harms_nobody(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with Command(path) as first:
            await first.log.event("broker_connected")
            second = Command(path)
            await second.start()
            assert await second.ended() == 2
            assert "another gateway runs there; stop it first" in "".join(second.rest)
            async with connected(free_port) as node:
                await node.be_born(next_seq=2)
                await node.say(node.dark(1))
                await node.receipt(1)
            pid = first.log.events("broker_started")[0]["pid"]
            os.kill(pid, 0)  # the first one's broker lives

    asyncio.run(story())
