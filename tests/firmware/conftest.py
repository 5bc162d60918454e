"""What the firmware's suites share: its import path, a bench of real parts, MicroPython stories.

The bench is a broker, a simulated spectrometer on a pseudo-terminal, a node in a real MicroPython
and a client that plays the gateway. A story is a file under ``stories/`` that runs unchanged on
both interpreters and prints what it finds. Every wait ends at `DEADLINE_S`.
"""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import aiomqtt
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
STORIES = Path(__file__).parent / "stories"
DEADLINE_S = 30.0  # far beyond anything the node needs, even on a busy machine
POST, NODE = "post1", "lane1"
INTEGRATION_US = 22_000  # the shortest the simulated model takes
BAUD = 460_800

# On a board the firmware's folders lie at the root of the flash; here they are found like that too.
sys.path.insert(0, str(REPOSITORY / "firmware"))

from gateway.ending import end  # noqa: E402 - as on the node: after the path is set
from protocol import messages, topics  # noqa: E402
from simulators.board import POWER_ON, RESET_VARIABLE, reset_cause  # noqa: E402
from simulators.faults import LINE_KINDS, FaultPlan, parse_fault  # noqa: E402
from simulators.spectrometer.device import Spectrometer  # noqa: E402
from simulators.spectrometer.line import SpectrometerLine  # noqa: E402
from simulators.spectrometer.models import MODELS  # noqa: E402
from simulators.world import load_substances, parse_sample  # noqa: E402


class Watched:
    """A list that can be waited on."""

    def __init__(self):
        self.items = []
        self._changed = asyncio.Condition()

    async def add(self, item):
        async with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    async def wait(self, is_it, *, after=0):
        """Return the first item from index `after` on for which `is_it` holds."""

        def find():
            return next((item for item in self.items[after:] if is_it(item)), None)

        async with self._changed:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self._changed.wait_for(lambda: find() is not None)
            except TimeoutError:
                shown = "\n".join(str(item)[:200] for item in self.items[-30:])
                pytest.fail(f"not seen within {DEADLINE_S} s; the last that came:\n{shown}")
            return find()


class NodeProgram:
    """The firmware in a real MicroPython; its signals are `(name, fields)`."""

    def __init__(self, micropython, folder, heap, *, speed=1, root=REPOSITORY, **options):
        program = "firmware/main.py" if speed == 1 else "simulators/fast_node.py"
        self._command = [
            str(micropython),
            "-X",
            f"heapsize={heap}",
            str(root / program),
            str(folder),
            *([str(speed)] if speed > 1 else []),
        ]
        self._options = options
        self.signals = Watched()
        self.words = []  # (name of a signal, the word beside it)
        self.log = Watched()

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **self._options,
        )
        self._readers = [
            asyncio.create_task(self._read_signals()),
            asyncio.create_task(self._read_log()),
        ]

    async def _read_signals(self):
        async for line in self.process.stdout:
            words = shlex.split(line.decode())
            assert words[0] == "signal", line
            fields = dict(word.split("=", 1) for word in words[2:])
            self.words.append((words[1], fields.pop("word")))
            await self.signals.add((words[1], fields))

    async def _read_log(self):
        async for line in self.process.stderr:
            await self.log.add(line.decode().rstrip())

    async def wait(self, name, *, after=0, **fields):
        """Return the fields of the first such signal."""
        wanted = {key: str(value) for key, value in fields.items()}
        found = await self.signals.wait(
            lambda item: item[0] == name and wanted.items() <= item[1].items(), after=after
        )
        return found[1]

    async def press(self):
        await self.tell("button")

    async def tell(self, line):
        """Do at the node what a line on its standard input stands for."""
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    async def end(self, number=signal.SIGKILL):
        """End it and return the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE_S):
            status = await self.process.wait()
        await asyncio.gather(*self._readers)
        return status


class BoardProgram(NodeProgram):
    """The same, started again when it resets itself or the watchdog does, as a board would.

    Attributes:
        causes: of each start.

    Args:
        cause: of the first.
    """

    def __init__(self, *arguments, cause=POWER_ON, **options):
        super().__init__(*arguments, **options)
        self.causes = []
        self._cause = cause

    async def start(self):
        self._is_on = True
        await self._begin(self._cause)
        self._keeper = asyncio.create_task(self._keep())

    async def _begin(self, cause):
        self.causes.append(cause)
        self._options["env"] = os.environ | {RESET_VARIABLE: str(cause)}
        await super().start()

    async def _keep(self):
        while True:
            status = await self.process.wait()
            await asyncio.gather(*self._readers)
            cause = reset_cause(status)
            if not self._is_on or cause is None or cause == POWER_ON:
                return
            await self._begin(cause)
            if not self._is_on:  # switched off meanwhile
                self.process.kill()

    async def end(self, number=signal.SIGKILL):
        self._is_on = False
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE_S):
            await self._keeper
        return self.process.returncode


class Gateway:
    """Plays the gateway: collects what the node says, says what it is told to say.

    Of itself it only answers each birth with the newest receipt (SPEC 5.7).
    """

    def __init__(self, port, receipts=()):
        self._port = port
        self._receipts = {receipt.journal_id: receipt for receipt in receipts}
        self.heard = Watched()  # (channel, message, retained)

    async def __aenter__(self):
        self._client = aiomqtt.Client("127.0.0.1", self._port)
        await self._client.__aenter__()
        await self._client.subscribe(f"harmattan/v1/{POST}/{NODE}/#", qos=1)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exception):
        await end(self._task)
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.__aexit__(*exception)

    async def _listen(self):
        async for message in self._client.messages:
            channel = topics.parse(message.topic.value)[2]
            if channel in topics.UP:
                unpacked = messages.unpack(bytes(message.payload), channel)
                await self.heard.add((channel, unpacked, message.retain))
                if channel == "birth":
                    nothing = messages.Receipt(unpacked.journal_id, unpacked.oldest_seq - 1, ())
                    await self.say(self._receipts.get(unpacked.journal_id, nothing))

    async def wait(self, channel, is_it=lambda _: True, *, after=0):
        """Return the first message on `channel` for which `is_it` holds."""
        found = await self.heard.wait(
            lambda item: item[0] == channel and is_it(item[1]), after=after
        )
        return found[1]

    def count(self, channel, is_it=lambda _: True):
        return sum(item[0] == channel and is_it(item[1]) for item in self.heard.items)

    async def say(self, message):
        if message.CHANNEL == "receipt":
            self._receipts[message.journal_id] = message
        await self.say_bytes(message.CHANNEL, message.pack())

    async def say_bytes(self, channel, payload):
        topic = topics.build(POST, NODE, channel)
        await self._client.publish(topic, payload, qos=1, retain=channel in topics.RETAINED)


class Bench:
    """Broker, instrument, node and gateway; whatever was started ends with it."""

    def __init__(self, folder, micropython, mosquitto, port):
        self.folder = folder
        self.port = port
        self.tty = folder / "tty"
        self._micropython = micropython
        self._mosquitto = mosquitto
        self._stack = contextlib.AsyncExitStack()
        self._broker = None
        self.line = None
        self.node = None

    async def __aenter__(self):
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *exception):
        await self._stack.__aexit__(*exception)

    async def start_broker(self, more=""):
        """Start it; `more` are further lines of its configuration."""
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{more}")
        self._broker = await asyncio.create_subprocess_exec(
            str(self._mosquitto), "-c", str(config), stderr=subprocess.DEVNULL
        )
        self._stack.push_async_callback(self._end, self._broker)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return

    async def kill_broker(self):
        await self._end(self._broker)

    async def _end(self, process):
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def start_gateway(self, *receipts):
        """Start a gateway that has given these receipts before."""
        return await self._stack.enter_async_context(Gateway(self.port, receipts))

    async def plug(self, *, faults=(), model="ventana_785", seed=1):
        """Connect a spectrometer whose port is always found at `tty`."""
        now_s = asyncio.get_running_loop().time()
        device = Spectrometer(MODELS[model], load_substances(), seed=seed, now_s=now_s, baud=BAUD)
        plan = FaultPlan([parse_fault(text, LINE_KINDS) for text in faults])
        self.line = await self._stack.enter_async_context(
            SpectrometerLine(device, link=self.tty, faults=plan)
        )
        return self.line

    def sample(self, text):
        """Return a sample by its one-line form."""
        return parse_sample(text, load_substances())

    def settings(self, **changes):
        return {
            "post": POST,
            "node": NODE,
            "board": "unix",
            "broker": {"host": "127.0.0.1", "port": self.port},
            "instrument": {
                "driver": "obp",
                "port": str(self.tty),
                "baud": BAUD,
                "excitation_pm": 785_000,
                "resolution_mcm1": 8_000,
                "laser_mw": 100,
            },
            "integration_us": INTEGRATION_US,
            "scans": 1,
            "resend_ms": 60_000,
            "watchdog_s": 30,
        } | changes

    async def start_node(
        self, heap="512k", options=None, program=NodeProgram, folder=None, **changes
    ):
        """Start the node; `changes` are to its settings, `options` to the program."""
        folder = folder or self.folder
        (folder / "node.json").write_text(json.dumps(self.settings(**changes)))
        self.node = node = program(self._micropython, folder, heap, **(options or {}))
        await node.start()
        self._stack.push_async_callback(node.end)
        return node

    async def measure_with(self, line, **instrument):
        """Measure urea with another spectrometer; return its device, the birth and both readings.

        `instrument` are changes to that section of the settings.
        """
        device = line.device
        device.present(self.sample("urea"))
        async with self:
            await self.start_broker()
            gateway = await self.start_gateway()
            async with line:
                section = self.settings()["instrument"] | instrument
                node = await self.start_node(instrument=section, integration_us=200_000)
                await node.wait("ready", instrument=device.serial_number)
                birth = await gateway.wait("birth", lambda birth: birth.instrument_serial)
                await self.take()
                readings = [
                    await gateway.wait("reading", lambda each, role=role: each.role == role)
                    for role in (messages.ROLE_DARK, messages.ROLE_SAMPLE)
                ]
        return device, birth, readings

    async def take(self):
        """Press the button and return the number of the sample that is stored."""
        after = len(self.node.signals.items)
        await self.node.press()
        return int((await self.node.wait("stored", after=after, role="sample"))["seq"])


@pytest.fixture
def bench(tmp_path, micropython_path, mosquitto_path, free_port):
    """A bench, not yet entered."""
    return Bench(tmp_path, micropython_path, mosquitto_path, free_port)


@pytest.fixture
def run_story(micropython_path, tmp_path):
    """Run a story on one interpreter and return the lines it printed."""

    def run(name, *arguments, interpreter="micropython", heap="2m"):
        command = (
            [str(micropython_path), "-X", f"heapsize={heap}"]
            if interpreter == "micropython"
            else [sys.executable]
        )
        folder = tmp_path / interpreter
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [*command, str(STORIES / name), str(REPOSITORY), str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 0, f"{interpreter}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.splitlines()

    return run


@pytest.fixture(params=["cpython", "micropython"])
def interpreter(request):
    """Each of the two interpreters the code must run on."""
    return request.param
