"""A whole lane: spectrometer, node, post and headquarters, each real or a good simulation of it.

The spectrometer and the headquarters live in this process; the node is the real firmware on a real
MicroPython, the post the real gateway with a real mosquitto. The demo and the stories run on it.
"""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import apsw
import msgspec

from gateway.doctor.rehearsal.stage import free_port
from gateway.screening.explain import explain
from gateway.screening.verdict import Verdict
from gateway.spectra.library import load_library
from simulators.events import Event, Events
from simulators.headquarters import Headquarters
from simulators.node import Exposure, Node, NodeOffError, find_micropython
from simulators.post import SOURCE, Post
from simulators.programs import ProgramError
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.spectrometer.models import MODELS
from simulators.world import Sample, load_substances, parse_sample

BAUD = 115_200
# A strong scatterer at 100 mW fills a third of the detector in 100 ms; four scans make it quiet.
EXPOSURE = Exposure(integration_ms=100, scans=4)
# 3.2 cm^-1: more than identification allows for, so that the lane depends on its calibration.
LASER_DRIFT_NM = 0.2
STANDARD = "polystyrene"
START_S_MAX = 60.0  # Python, numpy and scipy from a cold disk on a busy machine
COMMAND_S_MAX = 150.0  # longer than any command itself waits
MEASURE_S_MAX = 60.0  # two frames at 115200 baud take a second; a reconnect may come between
SHOWN_S_MAX = 3.0  # a message over a local broker; nobody repeats it
PRESS_AGAIN_S = 15.0  # whoever waits longer for a reading presses again
PRESSES_MAX = 6
OFF_LOOK_S = 0.5  # between looks whether a node is on again
FILE_LOOK_S = 0.05  # between looks into a file that another process writes


@dataclass(frozen=True, slots=True)
class Stored:
    """A reading that the node has called stored: from here on it must not be lost."""

    journal: str
    seq: int
    inspection: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict as the gateway keeps it, with the sentence for the officer in English.

    Attributes:
        hits: ids of the substances.
        names: their English names.
    """

    node: str
    journal: str
    seq: int
    verdict: str
    hits: tuple[str, ...]
    names: tuple[str, ...]
    text: str


class Lane:
    """Everything from the probe to the authority, as an asynchronous context.

    Args:
        directory: everything the lane writes; kept.
        post: the post's name.
        node: the node's name.
        seed: of the spectrometer's noise.
        exposure: how readings are taken.
        laser_drift_nm: how far the spectrometer's laser has moved since its maker's calibration.
        others: names of further nodes that may speak at the post.
        more: further sections of the node's node.json, such as `readers`.

    Attributes:
        events: what node and gateway say, in order.
        broker_port: on loopback.
    """

    def __init__(
        self,
        directory: Path,
        *,
        post: str = "demo",
        node: str = "lane-1",
        seed: int = 1,
        exposure: Exposure = EXPOSURE,
        laser_drift_nm: float = LASER_DRIFT_NM,
        others: tuple[str, ...] = (),
        more: Mapping[str, object] | None = None,
    ) -> None:
        self.directory = directory
        self.events = Events()
        self.substances = load_substances()
        self._names = (post, node)
        self._others = others
        self._more = dict(more or {})
        self._exposure = exposure
        self._device = Spectrometer(
            MODELS["ventana_785"],
            self.substances,
            seed=seed,
            baud=BAUD,
            laser_drift_nm=laser_drift_nm,
        )
        self._stack = contextlib.AsyncExitStack()
        self._revivals: set[asyncio.Task[None]] = set()
        self.broker_port: int
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
                SpectrometerLine(self._device, link=self.directory / "spectrometer")
            )
            post, node = self._names
            broker_port = self.broker_port = free_port()
            self.post = Post(
                self.directory / "post",
                post=post,
                nodes=[node, *self._others],
                broker_port=broker_port,
                authority_url=self.headquarters.url,
                events=self.events,
                exposure=self._exposure,
            )
            stack.push_async_callback(self._stop_post)
            self.events.listen(self._see)  # before the first start: a kill may come at any moment
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
            self.node.settings |= self._more
            stack.push_async_callback(self.node.stop)
            await self.node.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._revivals:
            task.cancel()
        await self._stack.aclose()

    async def _stop_post(self) -> None:
        await self.post.stop()

    async def ready(self) -> None:
        """Wait until the node has found its instrument."""
        await self.events.wait(self.node.name, "ready", deadline_s=START_S_MAX)

    def _see(self, event: Event) -> None:
        """Start again whatever was killed from outside, as somebody at the post would."""
        if event.name == "killed":
            part = self.post if event.source == SOURCE else self.node
            task = asyncio.create_task(_revive(part), name=f"revive-{event.source}")
            self._revivals.add(task)
            task.add_done_callback(self._revivals.discard)

    async def measure(self, sample: Sample) -> Stored:
        """Present a sample, push the button, and return the reading once the node has stored it.

        When nothing comes of a press, because the node was killed, it is pressed again.
        """
        node, before = self.node.name, len(self.events.all(self.node.name, "stored", role="sample"))
        self.line.present(sample)
        for _ in range(PRESSES_MAX):
            try:
                await self.node.press()
                event = await self.events.wait(
                    node, "stored", deadline_s=PRESS_AGAIN_S, count=before + 1, role="sample"
                )
            except (TimeoutError, NodeOffError):
                await asyncio.sleep(OFF_LOOK_S)  # it may be off; it is switched on by `_see`
                continue
            return stored(event)
        raise TimeoutError(f"{node} has stored nothing after {PRESSES_MAX} presses")

    async def calibrate(self, *, present: bool = True) -> dict[str, Any]:
        """Hold the standard to the probe and do what the technician of a post does.

        Args:
            present: False leaves before the probe what is there.

        Returns:
            What `harmattan calibrate --json` says, with its exit status at `status`.

        Raises:
            ProgramError: the command said nothing that can be read.
        """
        if present:
            self.line.present(parse_sample(STANDARD, self.substances))
        return await self._harmattan("calibrate", "--standard", STANDARD, "--node", self.node.name)

    async def command(self, action: str) -> dict[str, Any]:
        """Have headquarters order something of the node.

        Returns:
            What `harmattan command --json` says, with its exit status at `status`.

        Raises:
            ProgramError: the command said nothing that can be read.
        """
        return await self._harmattan("command", self.node.name, action)

    async def _harmattan(self, *words: str) -> dict[str, Any]:
        """Run a command of the gateway and return its JSON, with its exit status at `status`."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *words),
            *("--settings", str(self.post.settings_path), "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_S_MAX):
                output, complaint = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        try:
            found: dict[str, Any] = msgspec.json.decode(output)
        except msgspec.DecodeError:
            raise ProgramError(f"harmattan {words[0]}: {complaint.decode()}") from None
        return {**found, "status": child.returncode}

    async def hold_button(self) -> None:
        """Hold the button, as the officer does who has put the standard in place.

        Returns when the node has stored the reading.
        """
        node, before = self.node.name, len(self._standards())
        await self.node.press(hold=True)
        await self.events.wait(
            node, "stored", deadline_s=MEASURE_S_MAX, count=before + 1, role="standard"
        )

    def _standards(self) -> list[Event]:
        return self.events.all(self.node.name, "stored", role="standard")

    async def judged(self, reading: Stored) -> Judged:
        """Return the verdict on a reading once the gateway has committed it.

        It is read from the gateway's journal: a log line is lost when the gateway is killed.
        """
        async with asyncio.timeout(MEASURE_S_MAX):
            while True:
                for judged in read_judged(self.post.journal_path):
                    if (judged.journal, judged.seq) == (reading.journal, reading.seq):
                        return judged
                self.events.check()
                await asyncio.sleep(FILE_LOOK_S)

    async def delivered(self, alert_id: str) -> None:
        """Wait until headquarters has stored an alert."""
        async with asyncio.timeout(MEASURE_S_MAX):
            while alert_id not in {alert["alert_id"] for alert in self.headquarters.alerts()}:
                self.events.check()
                await asyncio.sleep(FILE_LOOK_S)

    async def receipted(self, reading: Stored) -> None:
        """Wait until the node has the gateway's receipt for a reading."""
        await self.events.wait(self.node.name, "sent", deadline_s=MEASURE_S_MAX, seq=reading.seq)

    async def shown(self, reading: Stored) -> str:
        """Return the verdict that the node shows its officer, "" when it has not heard of it.

        It is said once: a node or gateway that is switched off at that moment misses it.
        """
        try:
            event = await self.events.wait(
                self.node.name,
                "verdict",
                deadline_s=SHOWN_S_MAX,
                inspection=reading.inspection,
            )
        except TimeoutError:
            return ""
        return str(event.fields["outcome"])

    def alert_id(self, reading: Stored) -> str:
        """Return the identity of the alert that a reading causes, if it is an alarm."""
        post, node = self._names
        return f"{post}.{node}.{reading.journal}.{reading.seq}"


async def _revive(part: Post | Node) -> None:
    await part.kill()
    await part.start()


def read_judged(journal: Path) -> list[Judged]:
    """Return all verdicts in a gateway's journal, in the order of their readings' arrival."""
    rows = read_rows(
        journal,
        "SELECT r.node, lower(hex(r.journal_id)), r.seq, v.explanation"
        " FROM verdicts v JOIN records r ON r.id = v.record_id ORDER BY r.id",
    )
    judged = []
    for node, journal_id, seq, explanation in rows:
        verdict = msgspec.json.decode(explanation, type=Verdict)
        hits = tuple(hit.substance_id for hit in verdict.hits)
        text = explain(verdict, "en", load_library())  # a lane's post adds nothing of its own
        names = tuple(hit.name for hit in verdict.hits)
        judged.append(Judged(node, journal_id, seq, verdict.verdict, hits, names, text))
    return judged


def read_committed(journal: Path) -> list[tuple[str, int]]:
    """Return journal and sequence number of every record a gateway has committed."""
    return [
        (journal_id, seq)
        for journal_id, seq in read_rows(journal, "SELECT lower(hex(journal_id)), seq FROM records")
    ]


def read_rows(path: Path, query: str, *parameters: str | bytes | int) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a gateway's journal, also while the gateway writes."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5_000)
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()


def stored(event: Event) -> Stored:
    """Return what a node's signal `stored` says."""
    fields = event.fields
    return Stored(str(fields["journal"]), int(str(fields["seq"])), str(fields["inspection"]))
