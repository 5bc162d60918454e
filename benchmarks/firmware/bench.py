"""A post for one node: real mosquitto with TLS, a played gateway, a simulated spectrometer."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
import shlex
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiomqtt

from gateway.ending import end
from gateway.ingest import mosquitto
from gateway.ingest.broker import find_program
from gateway.settings import BrokerSettings, NodeListenerSettings
from hardware import keys
from protocol import messages, topics
from protocol.delivery import Ledger
from simulators.document.device import DocumentReader
from simulators.line import Line
from simulators.scale.device import Scale
from simulators.scale.pan import Build
from simulators.scanner.device import Scanner
from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.spectrometer.models import MODELS
from simulators.spectrometer.obp2_device import LaterSpectrometer
from simulators.spectrometer.obp2_models import OBP2_MODELS
from simulators.world import load_substances

POST, NODE, HOST = "post1", "lane1", "gateway.post1"
BAUD = 460_800
PIXELS = 2_048
WAIT_S_MAX = 30.0  # for any one step of a node; far beyond what it needs
LATE_SHARE_MAX = 0.1  # of the readings that are counted; the instrument is a process among others
NOW_MS = 1_795_219_200_000
LAUNCHER = Path(__file__).with_name("mapped.py")
MODEL = dataclasses.replace(
    MODELS["sts_785"],
    name="wide_785",
    pixel_count=PIXELS,
    coefficients_nm=(800.3, 0.0710, -3.0e-6, -1.2e-10),
)


def _wide(now_s: float) -> Line[Any]:
    """Return a spectrometer of 2048 pixels."""
    return SpectrometerLine(
        Spectrometer(MODEL, load_substances(), seed=1, now_s=now_s, baud=BAUD),
    )


@dataclasses.dataclass(frozen=True)
class Hangs:
    """What hangs on a node.

    Attributes:
        instrument: of node.json, without the port.
        make: the spectrometer on its line, not yet entered, from the time in seconds.
        integration_us: that it takes.
        readers: driver of node.json -> the reader on its line, not yet entered.
    """

    instrument: Mapping[str, Any]
    make: Callable[[float], Line[Any]]
    integration_us: int = 1_000
    readers: Mapping[str, Callable[[float], Line[Any]]] = dataclasses.field(default_factory=dict)


WIDE = Hangs({"baud": BAUD, "laser_mw": 100}, _wide)
ASCII_BAUD = 115_200  # the fastest it has
READERS: Mapping[str, Callable[[float], Line[Any]]] = {  # one of each kind
    "scanner": lambda _: Line(Scanner(baud=9_600)),
    "document": lambda _: Line(DocumentReader(baud=9_600)),
    "mt_sics": lambda now_s: Line(Scale(Build(), seed=1, now_s=now_s, baud=9_600)),
}


def _usb4000(now_s: float) -> Line[Any]:
    model = ASCII_MODELS["usb4000"]
    return Line(AsciiSpectrometer(model, load_substances(), seed=1, now_s=now_s, baud=ASCII_BAUD))


def _later(name: str, now_s: float) -> Line[Any]:
    model = OBP2_MODELS[name]
    return SpectrometerLine(
        LaterSpectrometer(model, load_substances(), seed=1, now_s=now_s, baud=BAUD)
    )


FULLEST: Mapping[str, Hangs] = {  # the largest spectra there are, and every kind of reader
    "usb4000": Hangs(
        {"driver": "ocean_ascii", "baud": ASCII_BAUD, "laser_mw": 100, "pixels_max": 3_648},
        _usb4000,
        10_000,
        READERS,
    ),
    "sr4": Hangs(
        {"driver": "obp2", "baud": BAUD, "laser_mw": 100, "pixels_max": 3_648},
        partial(_later, "sr4"),
        10_000,
        READERS,
    ),
}


class NodeFailedError(Exception):
    """The node ended, complained, or was not heard in time."""


class InstrumentLateError(NodeFailedError):
    """The simulated instrument had its turn too late for the node."""


class Gateway:
    """Commits what comes and answers with receipts and the time."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._ledger = Ledger()
        self.committed = 0

    async def run(self) -> None:
        """Serve until cancelled."""
        async for message in self._client.messages:
            channel = topics.parse(message.topic.value)[2]
            if channel not in topics.UP:
                continue
            told = messages.unpack(bytes(message.payload), channel)
            if isinstance(told, messages.Reading):
                self.committed += self._ledger.commit(told.seq)
                await self._receipt(told.journal_id)
            elif isinstance(told, messages.Birth):
                self._ledger.raise_floor(told.oldest_seq)
                await self._receipt(told.journal_id)
                await self._say(
                    messages.Time(NOW_MS, messages.TIME_GATEWAY, told.boot_id, told.uptime_ms)
                )

    async def _receipt(self, journal_id: bytes) -> None:
        await self._say(messages.Receipt(journal_id, self._ledger.seq, self._ledger.beyond()))

    async def _say(self, message: messages.Message) -> None:
        topic = topics.build(POST, NODE, message.CHANNEL)
        retain = message.CHANNEL in topics.RETAINED
        await self._client.publish(topic, message.pack(), qos=1, retain=retain)


class Bench:
    """Everything around the node; made by `start_bench`.

    Attributes:
        folder: where nodes get their folders.
        tty: path of the instrument's port.
        gateway: what the node's messages come to.
    """

    def __init__(self, folder: Path, ports: tuple[int, int], hangs: Hangs) -> None:
        self.folder = folder
        self._hangs = hangs
        self.port, self.plain_port = ports
        self.tty = folder / "tty"
        self._count = 0

    def make_node(self) -> Path:
        """Return the folder of a new node, with settings and keys."""
        self._count += 1
        folder = self.folder / f"node{self._count}"
        folder.mkdir()
        shutil.copytree(self.folder / "keys" / "nodes" / NODE, folder / "keys")
        settings = {
            "post": POST,
            "node": NODE,
            "broker": {"host": "127.0.0.1", "port": self.port, "tls": True, "name": HOST},
            "instrument": {"port": str(self.tty), **self._hangs.instrument},
            "readers": [
                {"driver": name, "port": f"{self.tty}-{name}"} for name in self._hangs.readers
            ],
            "integration_us": self._hangs.integration_us,
            "resend_ms": 60_000,
        }
        (folder / "node.json").write_text(json.dumps(settings))
        return folder

    @contextlib.asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        """Play the gateway for one node."""
        async with aiomqtt.Client("127.0.0.1", self.plain_port) as client:
            for channel in topics.RETAINED:  # what the last node left behind
                await client.publish(topics.build(POST, NODE, channel), b"", qos=1, retain=True)
            await client.subscribe(f"harmattan/v1/{POST}/{NODE}/#", qos=1)
            played = Gateway(client)
            task = asyncio.create_task(played.run(), name="gateway")
            try:
                yield played
            finally:
                await end(task)

    async def cut(self) -> None:
        """End the node's connection: the broker gives its identifier to whoever comes last."""
        async with aiomqtt.Client("127.0.0.1", self.plain_port, identifier=f"{POST}.{NODE}"):
            pass


@contextlib.asynccontextmanager
async def start_bench(folder: Path, hangs: Hangs = WIDE) -> AsyncIterator[Bench]:
    """Start broker and instruments in `folder`."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = one.getsockname()[1], two.getsockname()[1]
    place = folder / "keys"
    keys.make_post(place, POST, (HOST,), [NODE], dt.datetime.now(dt.UTC))
    files = (str(place / name) for name in ("ca.pem", "gateway.pem", "gateway-key.pem"))
    nodes = NodeListenerSettings("127.0.0.1", ports[0], *files)
    access, path = folder / "mosquitto.acl", folder / "mosquitto.conf"
    access.write_text(mosquitto.access_list(POST, [NODE]))
    text = mosquitto.configuration(BrokerSettings(port=ports[1], nodes=nodes), access)
    path.write_text(text.replace("user nobody", "user root"))  # who must read the temporary folder
    process = await asyncio.create_subprocess_exec(
        find_program("mosquitto"), "-c", str(path), stderr=asyncio.subprocess.DEVNULL
    )
    bench = Bench(folder, ports, hangs)
    now_s = asyncio.get_running_loop().time()
    try:
        await _listens(ports[1])
        async with contextlib.AsyncExitStack() as lines:
            for end_of_name, make in {"": hangs.make, **hangs.readers}.items():
                line = make(now_s)
                line.link = Path(f"{bench.tty}-{end_of_name}" if end_of_name else bench.tty)
                await lines.enter_async_context(line)
            yield bench
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


class Node:
    """One node in a real MicroPython.

    Args:
        code: folder with main.py, or ROMFS image.
        folder: of the node.
        heap_bytes: its heap.
        count: have it tell about its heap.
        late_max: readings that are asked for again because the instrument was late.
    """

    def __init__(
        self, code: Path, folder: Path, heap_bytes: int, *, count: bool = False, late_max: int = 0
    ) -> None:
        self._command = [
            shutil.which("micropython") or "micropython",
            "-X",
            f"heapsize={heap_bytes}",
            str(LAUNCHER),
            str(code),
            str(folder),
            *(["count"] if count else []),
        ]
        self.complaints: list[str] = []
        self._late_left = late_max

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._input, self._output = self._process.stdin, self._process.stdout
        self._log = asyncio.create_task(self._read_log(self._process.stderr), name="log")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._log

    async def _read_log(self, log: asyncio.StreamReader | None) -> None:
        while log is not None and (line := await log.readline()):
            if b"MemoryError" in line or b"memory alloc" in line:
                self.complaints.append(line.decode().strip())

    async def press(self) -> None:
        """Push the button."""
        if self._input is not None:
            self._input.write(b"button\n")
            with contextlib.suppress(ConnectionError):
                await self._input.drain()

    async def wait(self, name: str, **fields: str) -> dict[str, str]:
        """Return the fields of the next such signal.

        Raises:
            InstrumentLateError: the node complains of its instrument.
            NodeFailedError: it does not come, or the node complains.
        """
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                while self._output is not None and (line := await self._output.readline()):
                    words = shlex.split(line.decode())
                    found = dict(word.split("=", 1) for word in words[2:])
                    if self.complaints:
                        raise NodeFailedError(self.complaints[0])
                    if words[1] == "fault" and found["what"] == "instrument":
                        raise InstrumentLateError(found["text"])
                    if words[1] == "fault" and found["what"] != "broker":
                        raise NodeFailedError(found["text"])
                    if words[1] == name and fields.items() <= found.items():
                        return found
        except TimeoutError as error:
            raise NodeFailedError(f"{name} {fields} did not come") from error
        status = await self._process.wait()
        raise NodeFailedError(f"the node ended with status {status}; {self.complaints}")

    async def measure(self) -> str:
        """Have it take a reading; return its number.

        Raises:
            InstrumentLateError: for more than `late_max` readings.
            NodeFailedError: as `wait`.
        """
        is_ready = True
        while True:
            try:
                if not is_ready:
                    await self.wait("ready")
                await self.press()
                return (await self.wait("stored", role="sample"))["seq"]
            except InstrumentLateError:
                is_ready = False
                self._late_left -= 1
                if self._late_left < 0:
                    raise


async def run(
    bench: Bench, code: Path, heap_bytes: int, readings: int, *, cuts: int = 0, count: bool = False
) -> list[dict[str, int]]:
    """Take readings, cut the connection now and then; each is receipted before the next is taken.

    Args:
        bench: the post.
        code: folder with main.py, or ROMFS image.
        heap_bytes: of the node.
        readings: how many samples.
        cuts: how often the connection is cut, spread evenly.
        count: have the node tell about its heap.
    Returns:
        What the node told of its heap after each reading, nothing without `count`.

    Raises:
        NodeFailedError: it could not do it with this heap.
    """
    told: list[dict[str, int]] = []
    late_max = int(LATE_SHARE_MAX * readings) if count else 0
    node = Node(code, bench.make_node(), heap_bytes, count=count, late_max=late_max)
    async with bench.gateway() as gateway, node:
        await node.wait("ready")
        for number in range(1, readings + 1):
            seq = await node.measure()
            if cuts and number % max(readings // cuts, 1) == 0:
                await bench.cut()
            await node.wait("sent", seq=seq)
            if count:
                found = await node.wait("heap")
                told.append({key: int(value) for key, value in found.items()})
        if gateway.committed < readings:
            raise NodeFailedError(f"{gateway.committed} of {readings} readings arrived")
        if node.complaints:
            raise NodeFailedError(node.complaints[0])
    return told


async def runs(bench: Bench, code: Path, heap_bytes: int, readings: int, cuts: int) -> bool:
    """Say whether the node can do it with this heap."""
    try:
        await run(bench, code, heap_bytes, readings, cuts=cuts)
    except NodeFailedError as error:
        print(f"  {heap_bytes:,}: {str(error)[:100]}", file=sys.stderr)
        return False
    return True


async def smallest(
    bench: Bench, code: Path, low: int, high: int, step: int, readings: int, cuts: int
) -> int:
    """Return the smallest heap found by halving between one that fails and one that does.

    Args:
        bench: the post.
        code: folder with main.py, or ROMFS image.
        low: bytes that are too few.
        high: bytes that are enough.
        step: how closely it is looked for, bytes.
        readings: that must be taken.
        cuts: of the connection meanwhile.

    Raises:
        NodeFailedError: `high` is not enough.
    """
    await run(bench, code, high, readings, cuts=cuts)
    while high - low > step:
        middle = (low + high) // 2 // step * step
        if await runs(bench, code, middle, readings, cuts):
            high = middle
        else:
            low = middle
    return high


def figures(told: list[dict[str, int]]) -> dict[str, Any]:
    """Return heap in use early and late, and bytes taken per reading, of a counted run."""
    early, late = told[min(99, len(told) // 2)], told[-1]
    between = len(told) - 1 - min(99, len(told) // 2)
    return {
        "heap_at_100_bytes": early["used"],
        f"heap_at_{len(told)}_bytes": late["used"],
        "taken_per_reading_bytes": (late["taken"] - early["taken"]) // max(between, 1),
    }
