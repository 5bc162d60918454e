"""A running gateway for tests: in this process, where no process has to die, or the real command.

Both have a real mosquitto and a real journal; both show their log as `Log`.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import apsw
import structlog

from gateway import post, settings
from gateway.journal.store import FILE_NAME
from gateway.lock import locked
from gateway.observe.log import Lines
from gateway.settings import Settings
from tests.gateway.seen import DEADLINE_S, Log

POST = "post-1"
NODE = "lane-1"


def write_settings(folder: Path, port: int, *, url: str = "", more: str = "") -> Path:
    """Write a settings file with two nodes, and `more` at its end; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "post.toml"
    path.write_text(
        f'post = "{POST}"\ndirectory = "state"\n'
        f"[broker]\nport = {port}\n"
        f'[authority]\nurl = "{url}"\nretry_s_min = 0.1\nretry_s_max = 1.0\ntimeout_s = 5.0\n'
        f'[[nodes]]\nid = "{NODE}"\n[[nodes]]\nid = "lane-2"\n{more}\n'
    )
    return path


def rows(folder: Path, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return rows of the journal in `folder`, whether the gateway runs or not."""
    path = folder / "state" / FILE_NAME
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()


class _NoLines(Lines):
    """Lines that go nowhere: the log is read from its last processor."""

    waiting = 0

    def __init__(self) -> None:
        self.dropped = 0

    def msg(self, message: str) -> None:
        raise AssertionError("not reached")


def recording(log: Log) -> Any:
    """Return a gateway's log whose lines go to `log`."""

    def take(_: object, level: str, line: dict[str, Any]) -> dict[str, Any]:
        log.add({**line, "level": level})
        raise structlog.DropEvent

    return structlog.wrap_logger(
        _NoLines(),
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[Log]:
    """Run the post of a settings file in this process; give its log once it has its broker."""
    async with starting(path) as log:
        await log.event("broker_connected")
        yield log


@contextlib.asynccontextmanager
async def starting(path: Path) -> AsyncIterator[Log]:
    """Run the post of a settings file in this process; give its log at once."""
    loaded: Settings = settings.load(path)
    log, stop = Log(), asyncio.Event()
    with locked(Path(loaded.directory)):
        task = asyncio.create_task(post.run(loaded, stop, recording(log), _NoLines()))
        ending = asyncio.create_task(_watch(task, log))
        try:
            yield log
        finally:
            stop.set()
            async with asyncio.timeout(DEADLINE_S):
                await task
                await ending


async def _watch(task: "asyncio.Task[None]", log: Log) -> None:
    await asyncio.wait([task])
    log.add({"event": "ended", "error": str(task.exception())})


class Command:
    """The real `harmattan run` in a process of its own.

    Args:
        path: of its settings.
        before: what stands before the command, such as another program that starts it.
    """

    def __init__(self, path: Path, *before: str) -> None:
        self._before = before
        self.log = Log()
        self.rest: list[str] = []  # lines that are no JSON: there should be none
        self._path = path
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it; a new log begins."""
        self.log = Log()
        self._child = await asyncio.create_subprocess_exec(
            *(*self._before, sys.executable, "-m", "gateway", "run", "--settings", str(self._path)),
            *("--log", "json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._child, self.log))

    async def _read(self, child: asyncio.subprocess.Process, log: Log) -> None:
        assert child.stderr is not None
        async for line in child.stderr:
            try:
                log.add(json.loads(line))
            except ValueError:
                self.rest.append(line.decode(errors="replace"))

    def kill_now(self) -> None:
        """End it as a power cut would; its broker is left behind."""
        assert self._child is not None
        self._child.kill()

    def interrupt(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._child is not None
        self._child.send_signal(number)

    async def ended(self) -> int:
        """Return its exit status."""
        assert self._child is not None
        assert self._reader is not None
        async with asyncio.timeout(DEADLINE_S):
            await self._child.wait()
            await self._reader
        assert self._child.returncode is not None
        return self._child.returncode

    async def stop(self) -> int:
        """Stop it, if it runs, and return its exit status."""
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()
        return await self.ended()

    def kill_broker(self) -> None:
        """End its broker as a crash would."""
        pid = self.log.events("broker_started")[-1]["pid"]
        os.kill(pid, signal.SIGKILL)
