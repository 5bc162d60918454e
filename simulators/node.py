"""A node for the lane: the real firmware on a real MicroPython, with a folder as its flash."""

import asyncio
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.ingest.program import locate
from simulators.board import POWER_ON, RESET_VARIABLE, reset_cause
from simulators.events import Event, Events, tell_end
from simulators.programs import Program, ProgramError

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware" / "main.py"
WATCHDOG_S = 30  # a starved machine is not a node that hangs
HEAP = "512k"  # twice what an ESP32-S3 gives; 64-bit objects are twice as large


class NodeOffError(ProgramError):
    """The node does not run, or ended at this moment."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a reading is taken: milliseconds of one scan, and how many scans are averaged."""

    integration_ms: int
    scans: int


def find_micropython() -> str:
    """Return the path of MicroPython.

    Raises:
        ProgramError: there is none.
    """
    found = locate("micropython")
    if found is None:
        raise ProgramError("micropython is neither on PATH nor in .tools/bin; run `make tools`")
    return found


def parse_signal(line: str) -> tuple[str, dict[str, object]] | None:
    """Return name and fields of a line `signal NAME key=value ...`, None for any other line."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if len(words) < 2 or words[0] != "signal":
        return None
    fields: dict[str, object] = {}
    for word in words[2:]:
        key, _, value = word.partition("=")
        fields[key] = int(value) if value.isdigit() and key == "seq" else value
    return words[1], fields


class Node:
    """One node; its signals become events with the node's name as their source.

    When it resets itself, or its watchdog does, it is started again as a board would, with an
    event `reset`.

    Attributes:
        settings: of node.json; changes count from the next `start`.
        firmware: program that MicroPython runs.

    Args:
        directory: the node's flash; it survives `kill` and `start`.
        name: the node's id at the post.
        broker_port: on loopback.
        serial_path: the spectrometer's device.
        exposure: until the gateway's config says otherwise.
        baud: of the serial line.
    """

    def __init__(
        self,
        directory: Path,
        *,
        post: str,
        name: str,
        broker_port: int,
        serial_path: str,
        events: Events,
        exposure: Exposure,
        baud: int,
    ) -> None:
        self.name = name
        self.directory = directory
        self._events = events
        self.firmware = FIRMWARE
        self.settings: dict[str, Any] = {
            "post": post,
            "node": name,
            "board": "unix",
            "broker": {"host": "127.0.0.1", "port": broker_port},
            "instrument": {
                "driver": "obp",
                "port": serial_path,
                "baud": baud,
                "excitation_pm": 785_000,
                "resolution_mcm1": 8_000,
                "laser_mw": 100,
            },
            "integration_us": exposure.integration_ms * 1_000,
            "scans": exposure.scans,
            "watchdog_s": WATCHDOG_S,
        }
        self._program: Program | None = None
        self._reader: asyncio.Task[None] | None = None
        self._is_on = False

    @property
    def last(self) -> str:
        """Return the node's last lines."""
        return "\n".join(self._program.last) if self._program else ""

    async def start(self) -> None:
        """Switch the node on."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / "node.json").write_text(json.dumps(self.settings))
        self._is_on = True
        await self._start(POWER_ON)
        self._reader = asyncio.create_task(self._read(), name=f"{self.name}-signals")

    async def _start(self, cause: int) -> None:
        self._program = Program(
            self.name,
            [
                *(find_micropython(), "-X", f"heapsize={HEAP}"),
                *(str(self.firmware), str(self.directory)),
            ],
            environment={RESET_VARIABLE: str(cause)},
        )
        await self._program.start()
        if not self._is_on:  # switched off meanwhile
            self._program.kill_now()

    async def _read(self) -> None:
        while self._program is not None:
            program = self._program
            async for line in program.lines():
                signal = parse_signal(line)
                if signal is not None:
                    await self._events.add(Event(self.name, *signal))
            cause = reset_cause(await program.status())
            if not self._is_on or cause is None or cause == POWER_ON:
                await tell_end(program, self.name, self._events)
                return
            await self._events.add(Event(self.name, "reset", {"cause": cause}))
            await self._start(cause)

    async def press(self, *, hold: bool = False) -> None:
        """Push the button; hold it for a calibration standard.

        Raises:
            NodeOffError: the node is off.
        """
        await self._say("hold" if hold else "button")

    async def step(self) -> None:
        """Step on the foot switch.

        Raises:
            NodeOffError: the node is off.
        """
        await self._say("foot")

    async def _say(self, line: str) -> None:
        try:
            if self._program is None:
                raise NodeOffError(f"{self.name} is off")
            await self._program.write(line + "\n")
        except ProgramError as error:
            raise NodeOffError(f"{self.name} is off: {error}") from error

    def kill_now(self) -> None:
        """Cut the power before anything else happens; `kill` then cleans up."""
        self._is_on = False
        if self._program is not None:
            self._program.kill_now()

    async def kill(self) -> None:
        """Cut the power."""
        await self._end(graceful=False)

    async def stop(self) -> None:
        """Let the node say goodbye."""
        await self._end(graceful=True)

    async def _end(self, *, graceful: bool) -> None:
        self._is_on = False
        if self._program is None:
            return
        await (self._program.stop() if graceful else self._program.kill())
        if self._reader is not None:
            await self._reader
        self._program = None
