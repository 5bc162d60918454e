"""Programs that a simulated lane runs for real: start, follow line by line, stop or kill.

Every wait has a deadline; a program that ends when it should not is reported with its last words.
"""

import asyncio
import collections
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self

LINE_BYTES_MAX = 1 << 20  # a log line with an explanation is a few kB
LAST_LINES = 20  # kept to tell why a program ended
STOP_S_MAX = 15.0


class ProgramError(Exception):
    """A program did not start, ended early, or did not say in time what it should."""


class Program:
    """One child process whose two outputs are read line by line.

    Args:
        name: for messages.
        command: program and arguments.
        environment: added to ours.
        follow: the output whose lines `lines` yields, `stdout` or `stderr`; the other is only kept.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        follow: str = "stdout",
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self.last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._follow = follow
        self._directory = directory
        self._child: asyncio.subprocess.Process | None = None
        self._rest: asyncio.Task[None] | None = None
        self.is_asked_to_end = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def is_running(self) -> bool:
        """Say whether the process lives."""
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self) -> int:
        """Return the number of the process.

        Raises:
            ProgramError: it is not started.
        """
        if self._child is None:
            raise ProgramError(f"{self.name} is not started")
        return self._child.pid

    async def start(self) -> None:
        """Start the process.

        Raises:
            ProgramError: it cannot be started.
        """
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                cwd=self._directory,
                limit=LINE_BYTES_MAX,
                start_new_session=True,  # Ctrl-C reaches whoever runs us, and we stop our children
            )
        except OSError as error:
            raise ProgramError(f"{self.name}: {self._command[0]}: {error.strerror}") from error
        other = self._child.stderr if self._follow == "stdout" else self._child.stdout
        self._rest = asyncio.create_task(self._keep(other), name=f"{self.name}-rest")

    async def _keep(self, stream: asyncio.StreamReader | None) -> None:
        if stream is not None:
            async for line in stream:
                self.last.append(line.decode(errors="replace").rstrip())

    async def lines(self) -> AsyncIterator[str]:
        """Yield the lines of the followed output until it closes."""
        if self._child is None:
            raise ProgramError(f"{self.name} is not started")
        stream = self._child.stdout if self._follow == "stdout" else self._child.stderr
        if stream is None:
            raise ProgramError(f"{self.name} has no output to follow")
        async for line in stream:
            text = line.decode(errors="replace").rstrip()
            self.last.append(text)
            yield text

    async def write(self, text: str) -> None:
        """Write to the standard input.

        Raises:
            ProgramError: the process is gone.
        """
        if self._child is None or self._child.stdin is None or not self.is_running:
            raise ProgramError(f"{self.name} is not running")
        self._child.stdin.write(text.encode())
        try:
            await self._child.stdin.drain()
        except ConnectionError as error:
            raise ProgramError(f"{self.name} closed its input") from error

    async def status(self) -> int:
        """Return the exit status once the process has ended; negative: the signal that ended it."""
        if self._child is None:
            raise ProgramError(f"{self.name} is not started")
        return await self._child.wait()

    def kill_now(self) -> None:
        """End the process before anything else happens; `kill` or `stop` then cleans up."""
        self.is_asked_to_end = True
        if self._child is not None and self._child.returncode is None:
            self._child.kill()

    async def kill(self) -> None:
        """End the process as a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int | None:
        """Ask the process to end, insist after a deadline, and return its exit status."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int | None:
        self.is_asked_to_end = True
        if self._child is None:
            return None
        if self._child.returncode is None:
            self._child.send_signal(number)
            try:
                await asyncio.wait_for(self._child.wait(), STOP_S_MAX)
            except TimeoutError:
                self._child.kill()
                await self._child.wait()
        if self._rest is not None:
            await self._rest
        return self._child.returncode

    def fault(self, what: str) -> ProgramError:
        """Return an error that ends with the program's last words."""
        words = "\n  ".join(self.last) or "(it said nothing)"
        return ProgramError(f"{self.name}: {what}; its last lines:\n  {words}")
