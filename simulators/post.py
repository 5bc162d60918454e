"""A post for the lane: the real `harmattan run` in its own process, with its own broker."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from gateway.ingest.broker import find_leftovers
from simulators.events import Event, Events, tell_end
from simulators.node import Exposure
from simulators.programs import Program

RESEND_MS = 1_000  # so that a demo or a story heals while somebody watches
SOURCE = "gateway"  # of the events; their names are those of the gateway's log


class Post:
    """One gateway; its log lines become events with the source `gateway`.

    Args:
        directory: settings, database and broker files; it survives `kill` and `start`.
        exposure: that the nodes are told to use.
    """

    def __init__(
        self,
        directory: Path,
        *,
        post: str,
        nodes: list[str],
        broker_port: int,
        authority_url: str,
        events: Events,
        exposure: Exposure,
    ) -> None:
        self.directory = directory
        self.settings_path = directory / "post.toml"
        self._events = events
        self._program: Program | None = None
        self._reader: asyncio.Task[None] | None = None
        lines = [
            f'post = "{post}"',
            'directory = "state"',
            "[broker]",
            f"port = {broker_port}",
            "[authority]",
            f'url = "{authority_url}"',
            "retry_s_min = 0.5",
            "retry_s_max = 5.0",
        ]
        for node in nodes:
            lines += [
                "[[nodes]]",
                f'id = "{node}"',
                f"integration_ms = {exposure.integration_ms}",
                f"scans = {exposure.scans}",
                f"resend_ms = {RESEND_MS}",
                "health_s = 10",
            ]
        directory.mkdir(parents=True, exist_ok=True)
        self.settings_path.write_text("\n".join(lines) + "\n")

    @property
    def journal_path(self) -> Path:
        """Return the path of the post's database."""
        return self.directory / "state" / "journal.sqlite"

    @property
    def last(self) -> str:
        """Return the gateway's last lines."""
        return "\n".join(self._program.last) if self._program else ""

    async def start(self) -> None:
        """Start the gateway; it starts its broker."""
        self._program = Program(
            SOURCE,
            [
                sys.executable,
                "-m",
                "gateway",
                "run",
                "--settings",
                str(self.settings_path),
                "--log",
                "json",
            ],
            follow="stderr",
        )
        await self._program.start()
        self._reader = asyncio.create_task(self._read(self._program), name="gateway-log")

    async def _read(self, program: Program) -> None:
        async for line in program.lines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue  # a traceback or a warning of a library; it is kept in `last`
            if isinstance(fields, dict) and isinstance(fields.get("event"), str):
                await self._events.add(Event(SOURCE, fields.pop("event"), fields))
        await tell_end(program, SOURCE, self._events)

    def kill_broker(self) -> None:
        """End the broker as a crash would; the gateway has to notice."""
        os.kill(int((self.directory / "state" / "mosquitto.pid").read_text()), signal.SIGKILL)

    def kill_now(self) -> None:
        """Cut the power before anything else happens; `kill` then cleans up."""
        if self._program is not None:
            self._program.kill_now()

    async def kill(self) -> None:
        """End the gateway as a power cut would; its broker is left behind, as an orphan."""
        if self._program is not None:
            await self._program.kill()
            await self._finish()

    async def stop(self) -> int | None:
        """Stop the gateway and return its exit status."""
        if self._program is None:
            return None
        status = await self._program.stop()
        await self._finish()
        # A gateway that was killed has left its broker behind; nothing else would end it now.
        for pid in find_leftovers(self.directory / "state" / "mosquitto.conf"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return status

    async def _finish(self) -> None:
        if self._reader is not None:
            await self._reader
        self._program = None
