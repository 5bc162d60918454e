"""A whole lane: spectrometer, node, post and headquarters, each real or a good simulation of it.

The spectrometer and the headquarters live in this process; the node is the real firmware on a real
MicroPython, the post the real gateway with a real mosquitto. The demo and the stories run on it.
"""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from simulators.events import Event, Events
from simulators.headquarters import Headquarters
from simulators.node import Exposure, Node, find_micropython
from simulators.post import SOURCE, Post
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.spectrometer.models import MODELS
from simulators.world import Sample, load_substances

BAUD = 115_200
# A strong scatterer at 100 mW fills a third of the detector in 100 ms; four scans make it quiet.
EXPOSURE = Exposure(integration_ms=100, scans=4)
START_S_MAX = 60.0  # Python, numpy and scipy from a cold disk on a busy machine
MEASURE_S_MAX = 60.0  # two frames at 115200 baud take a second; a reconnect may come between


def free_port() -> int:
    """Return a TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Stored:
    """A reading that the node has called stored: from here on it must not be lost."""

    journal: str
    seq: int
    inspection: str


class Lane:
    """Everything from the probe to the authority, as an asynchronous context.

    Args:
        directory: everything the lane writes; kept.
        post: the post's name.
        node: the node's name.
        seed: of the spectrometer's noise.
        exposure: how readings are taken.

    Attributes:
        events: what node and gateway say, in order.
    """

    def __init__(
        self,
        directory: Path,
        *,
        post: str = "demo",
        node: str = "lane-1",
        seed: int = 1,
        exposure: Exposure = EXPOSURE,
    ) -> None:
        self.directory = directory
        self.events = Events()
        self.substances = load_substances()
        self._names = (post, node)
        self._exposure = exposure
        self._device = Spectrometer(MODELS["ventana_785"], self.substances, seed=seed, baud=BAUD)
        self._stack = contextlib.AsyncExitStack()
        self.line: SpectrometerLine
        self.headquarters: Headquarters
        self.post: Post
        self.node: Node

    async def __aenter__(self) -> Self:
        find_micropython()  # better missed now than after everything else has started
        async with contextlib.AsyncExitStack() as stack:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.headquarters = await stack.enter_async_context(
                Headquarters(self.directory / "headquarters")
            )
            self.line = await stack.enter_async_context(
                SpectrometerLine(self._device, BAUD, link=self.directory / "spectrometer")
            )
            post, node = self._names
            broker_port = free_port()
            self.post = Post(
                self.directory / "post",
                post=post,
                nodes=[node],
                broker_port=broker_port,
                authority_url=self.headquarters.url,
                events=self.events,
                exposure=self._exposure,
            )
            stack.push_async_callback(self._stop_post)
            await self.post.start()
            await self.events.wait(SOURCE, "broker_connected", deadline_s=START_S_MAX)
            self.node = Node(
                self.directory / "node",
                post=post,
                name=node,
                broker_port=broker_port,
                serial_path=str(self.directory / "spectrometer"),
                events=self.events,
                exposure=self._exposure,
                baud=BAUD,
            )
            stack.push_async_callback(self.node.stop)
            await self.node.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _stop_post(self) -> None:
        await self.post.stop()

    async def ready(self) -> None:
        """Wait until the node has found its instrument."""
        await self.events.wait(self.node.name, "ready", deadline_s=START_S_MAX)

    async def measure(self, sample: Sample) -> Stored:
        """Present a sample, push the button, and return the reading once the node has stored it."""
        before = len(self.events.all(self.node.name, "stored", role="sample"))
        self.line.present(sample)
        await self.node.press()
        event = await self.events.wait(
            self.node.name,
            "stored",
            deadline_s=MEASURE_S_MAX,
            count=before + 1,
            role="sample",
        )
        return stored(event)

    async def verdict(self, reading: Stored) -> Event:
        """Return the gateway's verdict on a reading, waiting for it."""
        return await self.events.wait(
            SOURCE, "verdict", deadline_s=MEASURE_S_MAX, journal=reading.journal, seq=reading.seq
        )

    async def receipted(self, reading: Stored) -> None:
        """Wait until the node has the gateway's receipt for a reading."""
        await self.events.wait(self.node.name, "sent", deadline_s=MEASURE_S_MAX, seq=reading.seq)

    def alert_id(self, reading: Stored) -> str:
        """Return the identity of the alert that a reading causes, if it is an alarm."""
        post, node = self._names
        return f"{post}.{node}.{reading.journal}.{reading.seq}"


def stored(event: Event) -> Stored:
    """Return what a node's signal `stored` says."""
    fields = event.fields
    return Stored(str(fields["journal"]), int(str(fields["seq"])), str(fields["inspection"]))
