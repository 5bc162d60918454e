"""The post of a rehearsal: a folder, settings, ports, and the gateway as a child process."""

import asyncio
import contextlib
import fcntl
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway import interpreter
from gateway.doctor.rehearsal.heard import Heard
from gateway.errors import SettingsError
from gateway.files import give_to_owner
from gateway.lock import is_running, locked

POST: Final = "rehearsal"
NODE: Final = "lane"
PREFIX: Final = "rehearsal-"
MARK: Final = ".harmattan-rehearsal"  # in each of its folders: a name proves nothing
LOCK_NAME: Final = ".rehearsal.lock"
ENDED: Final = "gateway_ended"  # what we add to its log then
PORTS: Final = range(20_000, 32_000)  # below those that Linux and macOS give away
PORTS_TRIED: Final = 32
STOP_S_MAX: Final = 10.0
LINE_BYTES_MAX: Final = 1 << 20
# Of the service that may run us: a child must not speak in its name, or write over its state.
NOT_INHERITED: Final = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"),
    *("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "INVOCATION_ID"),
)

Line = dict[str, Any]


@contextlib.contextmanager
def folder_on(disk: Path) -> Iterator[Path]:
    """Give a folder on the disk of `disk`, and remove it with all that is in it.

    What an earlier rehearsal left behind, because the power went, is removed too; nothing else is,
    whatever its name.

    Raises:
        OSError: none can be made there.
        SettingsError: another rehearsal is under way; each would spoil the other's disk.
    """
    with _alone(disk):
        for left in disk.glob(f"{PREFIX}*"):
            if (left / MARK).is_file() and not left.is_symlink() and not is_running(left):
                _remove(left)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=disk))
        try:
            (folder / MARK).touch()
            with locked(folder):
                yield folder
        finally:
            _remove(folder)


@contextlib.contextmanager
def _alone(disk: Path) -> Iterator[None]:
    """Be the only rehearsal on a post."""
    path = disk / LOCK_NAME
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            give_to_owner(descriptor, disk)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(descriptor, path):
                break
        except BlockingIOError:
            os.close(descriptor)
            raise SettingsError(
                f"directory {disk}: a rehearsal is under way there; wait for its end (a minute)"
            ) from None
        os.close(descriptor)  # the one that was before us has just taken the file away
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    """Say whether a file that was opened by a name still has it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    """Remove a rehearsal's folder, its mark last: what is left half way is known again."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != MARK:
                path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port on loopback that is free now.

    Not one of those that the system gives away: who connects again and again to a port of these
    where nobody listens, one day connects to itself, and has the broker's port.

    Raises:
        OSError: none is free.
    """
    ports = random.sample(PORTS, PORTS_TRIED)
    for port in ports:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError(f"ports {', '.join(map(str, ports))} are all in use")


def write_settings(folder: Path, *, port: int, program: str, url: str, reserve_bytes: int) -> Path:
    """Write the settings of the rehearsal's post; return their path."""
    path = folder / "post.toml"
    text = f"""
post = "{POST}"
directory = "state"
[broker]
port = {port}
program = {msgspec.json.encode(program).decode()}
[[nodes]]
id = "{NODE}"
[authority]
url = "{url}"
timeout_s = 5.0
retry_s_min = 0.2
retry_s_max = 1.0
[journal]
reserve_bytes = {reserve_bytes}
"""
    path.write_text(text)
    return path


class Stage:
    """The gateway of the rehearsal; `start`, `kill`, and always `stop`.

    Args:
        settings_path: of its post.

    Attributes:
        log: every line it has said, as JSON objects.
    """

    def __init__(self, settings_path: Path) -> None:
        self.log: Heard[Line] = Heard()
        self._settings_path = settings_path
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it; it listens once the log says `broker_connected`."""
        given = {key: each for key, each in os.environ.items() if key not in NOT_INHERITED}
        self._child = await asyncio.create_subprocess_exec(
            *interpreter.command("gateway.doctor.rehearsal.child", str(os.getpid())),
            *("run", "--settings", str(self._settings_path), "--log", "json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            env=interpreter.environment(given),
            start_new_session=True,  # Ctrl-C reaches us; we stop it
        )
        self._reading = asyncio.create_task(self._read(self._child), name="rehearsal-log")

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        if child.stderr is None:
            return
        async for line in child.stderr:
            try:
                self.log.add(msgspec.json.decode(line, type=Line))
            except msgspec.DecodeError:
                self.log.add({"event": "no_json", "text": line.decode(errors="replace").strip()})
        self.log.add({"event": ENDED})

    async def heard(self, event: str, since: int = 0, **fields: object) -> Line:
        """Return the first line with this event and these fields behind the first `since` lines.

        Raises:
            EOFError: the gateway ended before it said so.
        """

        def matches(line: Line) -> bool:
            if line.get("event") == ENDED:
                last = [str(each["text"]) for each in self.log.items if each.get("text")]
                raise EOFError(f"the gateway ended by itself: {''.join(last[-1:])}")
            return line.get("event") == event and all(
                line.get(key) == value for key, value in fields.items()
            )

        return await self.log.wait(matches, since)

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
        await self._ended()

    async def stop(self) -> int | None:
        """Stop it in order, by force when that takes too long; return its exit status."""
        child = self._child
        if child is None:
            return None
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), STOP_S_MAX)
            except TimeoutError:
                child.kill()
        await self._ended()
        return child.returncode

    async def _ended(self) -> None:
        if self._child is not None:
            await self._child.wait()
        if self._reading is not None:
            await self._reading
