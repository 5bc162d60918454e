"""mosquitto as the gateway's child, with a generated configuration on loopback."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from gateway.errors import BrokerError
from gateway.observe.log import Log
from gateway.settings import BrokerSettings
from protocol import limits

START_S_MAX = 10.0  # mosquitto listens after 0.06 s; a slow card needs a few seconds
STOP_S_MAX = 5.0
# The broker's own bound is wider than the protocol's, so that the gateway sees, names and counts
# a message that is too long; beyond this one the broker drops the connection.
PACKET_BYTES_MAX = 8 * limits.MESSAGE_BYTES_MAX
LOG_CHARS_MAX = 500  # of one line of the broker's log that is folded into ours

_PROGRAM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # often not on PATH


def configuration(settings: BrokerSettings) -> str:
    """Return mosquitto's configuration: one listener on loopback, everything bounded."""
    user = pwd.getpwuid(os.getuid()).pw_name
    return "\n".join(
        (
            "# Written by the gateway at every start; change the post's settings instead.",
            f"listener {settings.port} {settings.host}",
            "allow_anonymous true",
            f"user {user}",
            "persistence false",  # nodes and outbox keep what matters; the broker may forget
            f"max_packet_size {PACKET_BYTES_MAX}",
            f"max_inflight_messages {2 * limits.WINDOW_RECORDS_MAX}",
            "max_queued_messages 1000",
            "max_keepalive 300",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "",
        )
    )


def find_program(name: str) -> str:
    """Return the path of mosquitto.

    Raises:
        BrokerError: there is none.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_PROGRAM_FOLDERS))
    if found is None:
        raise BrokerError(
            f"broker program {name!r} is not on PATH; run `make tools`, install mosquitto,"
            " or set broker.program in the settings"
        )
    return found


class Broker:
    """The child process; `run` starts it, folds its log into ours and ends with it.

    Args:
        settings: where it listens.
        directory: where its configuration and process id are kept.
    """

    def __init__(self, settings: BrokerSettings, directory: Path, log: Log) -> None:
        self._settings = settings
        self._configuration = directory / "mosquitto.conf"
        self._pid = directory / "mosquitto.pid"
        self._log = log.bind(part="broker")

    async def run(self) -> None:
        """Start the broker and stay until it ends or this is cancelled.

        Raises:
            BrokerError: it does not start, or it ended by itself.
        """
        program = find_program(self._settings.program)
        await self._end_leftover()
        self._configuration.write_text(configuration(self._settings))
        child = await asyncio.create_subprocess_exec(
            program,
            "-c",
            str(self._configuration),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal reaches us first, then we stop it
        )
        self._pid.write_text(str(child.pid))
        try:
            last = await self._fold_log(child)
            status = await child.wait()
        finally:
            await _end(child)
            self._pid.unlink(missing_ok=True)
        raise BrokerError(
            f"broker on {self._settings.host}:{self._settings.port} ended with status {status}:"
            f" {last or 'it gave no reason'}"
        )

    async def _fold_log(self, child: asyncio.subprocess.Process) -> str:
        """Write the broker's lines into our log until it closes them; return the last."""
        last = ""
        if child.stderr is not None:
            async for line in child.stderr:
                last = line.decode(errors="replace").strip()[:LOG_CHARS_MAX]
                self._log.warning("broker_log", text=last)
        return last

    async def _end_leftover(self) -> None:
        """End the broker of a gateway that was killed: it holds our port and has no parent."""
        try:
            pid = int(self._pid.read_text())
        except (OSError, ValueError):
            return
        listing = await asyncio.to_thread(
            subprocess.run,
            ["ps", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        if str(self._configuration) in listing.stdout:
            self._log.info("broker_leftover", pid=pid)
            for number in (signal.SIGTERM, signal.SIGKILL):
                for _ in range(20):
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        break
                    await asyncio.sleep(0.05)
        self._pid.unlink(missing_ok=True)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_S_MAX)
    except TimeoutError:
        child.kill()
        await child.wait()
