"""mosquitto as the gateway's child, with a generated configuration.

It listens on loopback for this machine. Where the settings name an address for nodes, it listens
there too, with TLS, and takes only certificates of the post's authority; the certificate's common
name is the node, and a node speaks and hears on its own topics only.

A gateway that is killed leaves its broker behind. The next one finds it by its configuration file,
which no other program has on its command line, and ends it before it starts its own.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from gateway.errors import BrokerError
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import BrokerSettings
from protocol import limits, topics

START_S_MAX = 10.0  # mosquitto listens after 0.06 s; a slow card needs a few seconds
STOP_S_MAX = 5.0
POLL_S = 0.02  # between two looks at whether it listens, or whether a leftover has gone
# The broker's own bound is wider than the protocol's, so that the gateway sees, names and counts
# a message that is too long; beyond this one the broker drops the connection.
PACKET_BYTES_MAX = 8 * limits.MESSAGE_BYTES_MAX
LOG_CHARS_MAX = 500  # of one line of the broker's log that is folded into ours

_PROGRAM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # often not on PATH
_OVERSIZE = re.compile(r"Client (?P<client>.*) disconnected due to oversize packet")
_PROCESSES = Path("/proc")  # Linux; elsewhere `ps` is asked


def configuration(settings: BrokerSettings, access: Path | None = None) -> str:
    """Return mosquitto's configuration: loopback, and nodes with certificates; all bounded.

    Args:
        settings: where it listens.
        access: the file with what nodes may do; needed where nodes have a listener.
    """
    # Started by root, it must not stay root.
    user = ("user nobody",) if os.geteuid() == 0 else ()
    nodes = settings.nodes
    listener: tuple[str, ...] = ()
    if nodes.host:
        listener = (
            f"listener {nodes.port} {nodes.host}",
            f"cafile {nodes.ca_file}",
            f"certfile {nodes.certificate_file}",
            f"keyfile {nodes.key_file}",
            "tls_version tlsv1.2",  # at least
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            f"acl_file {access}",
        )
    return "\n".join(
        (
            "# Written by the gateway at every start; change the post's settings instead.",
            "per_listener_settings true",
            f"listener {settings.port} {settings.host}",
            "allow_anonymous true",
            *listener,
            *user,
            "persistence false",  # nodes and outbox keep what matters; the broker may forget
            f"max_packet_size {PACKET_BYTES_MAX}",
            f"max_inflight_messages {2 * limits.WINDOW_RECORDS_MAX}",
            "max_queued_messages 1000",
            "max_keepalive 300",
            "set_tcp_nodelay true",  # or each receipt waits up to 40 ms for the last one's ACK
            "log_dest stderr",
            "log_timestamp false",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "",
        )
    )


def access_list(post: str) -> str:
    """Return mosquitto's access list for nodes: each its own topics, by its certificate's name."""
    rules = ["# Written by the gateway at every start."]
    for right, channels in (("write", topics.UP), ("read", topics.DOWN)):
        rules += [f"pattern {right} {topics.PREFIX}{post}/%u/{channel}" for channel in channels]
    return "\n".join([*rules, ""])


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


def check_port(host: str, port: int, setting: str = "broker.port") -> None:
    """Make sure that the broker can listen.

    Args:
        host: address to listen on.
        port: to listen on.
        setting: that says so.

    Raises:
        BrokerError: another program has the port, or this user may not have it.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise BrokerError(
            f"{setting} {port} on {host} cannot be used: {error.strerror}; stop the program that"
            f" has it, or set {setting} to another in the settings and in the nodes"
        ) from error


def find_leftovers(configured: Path) -> list[int]:
    """Return the ids of the processes that run with this configuration file."""
    found = []
    if _PROCESSES.joinpath("self", "cmdline").exists():
        for folder in _PROCESSES.iterdir():
            if folder.name.isdigit():
                try:
                    arguments = folder.joinpath("cmdline").read_bytes().split(b"\0")[:-1]
                except OSError:
                    continue  # it has ended, or is none of ours
                if arguments[-2:] == [b"-c", os.fsencode(configured)]:
                    found.append(int(folder.name))
        return found
    listing = subprocess.run(
        ["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, timeout=5, check=True
    )
    for line in listing.stdout.splitlines():
        number, _, command = line.strip().partition(" ")
        if command.endswith(f" -c {configured}"):
            found.append(int(number))
    return found


class Broker:
    """The child process; `run` starts it, folds its log into ours and ends with it.

    Args:
        settings: where it listens.
        directory: where its configuration and process id are kept.
        post: whose topics the nodes may use.

    Attributes:
        ready: set while it listens.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        directory: Path,
        *,
        counters: Counters,
        log: Log,
        post: str = "",
    ) -> None:
        self.ready = asyncio.Event()
        self._settings = settings
        self._post = post
        self._configuration = directory / "mosquitto.conf"
        self._access = directory / "mosquitto.acl"
        self._pid = directory / "mosquitto.pid"  # for people; nothing depends on it
        self._counters = counters
        self._log = log.bind(part="broker")

    async def run(self) -> None:
        """Start the broker and stay until it ends or this is cancelled.

        Raises:
            BrokerError: it does not start, or it ended by itself.
        """
        host, port = self._settings.host, self._settings.port
        program = find_program(self._settings.program)
        await self._end_leftovers()
        check_port(host, port)
        if self._settings.nodes.host:
            check_port(self._settings.nodes.host, self._settings.nodes.port, "broker.nodes.port")
        child = await self._start(program)
        try:
            with contextlib.suppress(OSError):  # a full disk is the journal's to tell
                self._pid.write_text(str(child.pid))
            async with asyncio.TaskGroup() as tasks:
                folding = tasks.create_task(self._fold_log(child), name="broker-log")
                if await self._listens(child):
                    self.ready.set()
                    self._log.info("broker_started", host=host, port=port, pid=child.pid)
                elif child.returncode is None:
                    child.kill()
            status = await child.wait()
        finally:
            self.ready.clear()
            await _end(child)
            self._pid.unlink(missing_ok=True)
        raise BrokerError(
            f"broker on {host}:{port} ended with status {status}:"
            f" {folding.result() or 'it gave no reason'}; it is started again"
        )

    async def _start(self, program: str) -> asyncio.subprocess.Process:
        try:
            if self._settings.nodes.host:
                self._access.write_text(access_list(self._post))
                self._access.chmod(0o644)  # no secret; the broker reads it as another user
            self._configuration.write_text(configuration(self._settings, self._access))
            return await asyncio.create_subprocess_exec(
                program,
                "-c",
                str(self._configuration),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C at the terminal reaches us first; we stop it
            )
        except OSError as error:
            raise BrokerError(
                f"broker program {program!r} cannot be started: {error}; check broker.program, the"
                " disk, and the rights on both"
            ) from error

    async def _listens(self, child: asyncio.subprocess.Process) -> bool:
        """Wait until the broker takes connections; False when it ends before, or takes too long."""
        try:
            async with asyncio.timeout(START_S_MAX):
                while child.returncode is None:
                    try:
                        _, writer = await asyncio.open_connection(
                            self._settings.host, self._settings.port
                        )
                    except OSError:
                        await asyncio.sleep(POLL_S)
                        continue
                    writer.close()
                    return True
        except TimeoutError:
            self._log.error("broker_log", text=f"does not listen after {START_S_MAX:g} s")
        return False

    async def _fold_log(self, child: asyncio.subprocess.Process) -> str:
        """Take what the broker says into our log until it ends; return its last complaint."""
        last = ""
        if child.stderr is None:
            return last
        async for line in child.stderr:
            text = line.decode(errors="replace").strip()[:LOG_CHARS_MAX]
            oversize = _OVERSIZE.match(text)
            if oversize:
                self._counters.count("packet_oversize")
                self._log.warning(
                    "packet_oversize",
                    text=f"client {oversize['client']!r} sent more than {PACKET_BYTES_MAX} bytes in"
                    " one message and was disconnected; check its firmware",
                )
            elif text.startswith(("Error", "Warning")):
                last = text
                self._log.warning("broker_log", text=text)
        return last

    async def _end_leftovers(self) -> None:
        """End the broker of a gateway that was killed: it holds our port and has no parent."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = await asyncio.to_thread(find_leftovers, self._configuration)
            for pid in pids:
                self._log.info("broker_leftover", pid=pid)
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            if await self._are_gone():
                return

    async def _are_gone(self) -> bool:
        """Wait until no leftover runs any more; False when one stays."""
        deadline_s = asyncio.get_running_loop().time() + STOP_S_MAX
        while asyncio.get_running_loop().time() < deadline_s:
            if not await asyncio.to_thread(find_leftovers, self._configuration):
                return True
            await asyncio.sleep(POLL_S)
        return False


async def _end(child: asyncio.subprocess.Process) -> None:
    """Stop the broker, by force if it does not listen, or if we are hurried."""
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(STOP_S_MAX):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
