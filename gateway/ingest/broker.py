"""mosquitto as the gateway's child, with a generated configuration.

It listens on loopback for this machine. Where the settings name an address for nodes, it listens
there too, with TLS, and takes only certificates of the post's authority; the certificate's common
name is the node, and a node speaks and hears on its own topics only. On loopback it then asks for a
password that only the gateway's user can read: no other program here can pretend to be a node.

A list of revoked certificates that changes is read again, and whoever is on it is disconnected.

A gateway that is killed leaves its broker behind. The next one finds it by its configuration file,
which no other program has on its command line, and ends it before it starts its own.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aiomqtt

from gateway.errors import BrokerError
from gateway.ingest import door, secret
from gateway.ingest.flood import Flood
from gateway.ingest.mosquitto import OPENED, Word, Words, access_list, configuration
from gateway.ingest.program import check_port, find_leftovers, find_program, hint_of_root
from gateway.ingest.shunning import Barred, Shunning
from gateway.ingest.written import write_if_changed
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.throttle import Throttle
from gateway.settings import BrokerSettings

__all__ = [
    "CONFIGURATION_NAME",
    "Broker",
    "access_list",
    "check_port",
    "configuration",
    "find_leftovers",
    "find_program",
    "hint_of_root",
]

CONFIGURATION_NAME = "mosquitto.conf"  # in the post's folder
START_S_MAX = 10.0  # mosquitto listens after 0.06 s; a slow card needs a few seconds
STOP_S_MAX = 3.0  # it takes milliseconds, and the gateway itself is to stop within 5 s
POLL_S = 0.02  # between two looks at whether it listens, or whether a leftover has gone
WATCH_S = 1.0  # how much later than it was written a revocation counts
KICK_S_MAX = 5.0  # to end a connection
# A CONNECT of an edition of MQTT that there is not: it is answered, and leaves nothing behind.
_HELLO = b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00"
_FLOOD = (
    "{} opens connection after connection to the nodes' listener. Take that device off the network;"
    " docs/install.md has a rule for the firewall that bounds it"
)
LOG_PIECE_BYTES = 65_536  # what a pipe holds


class Broker:
    """The child process; `run` starts it, folds its log into ours and ends with it.

    Args:
        settings: where it listens.
        directory: where its configuration and process id are kept.
        post: whose topics the nodes may use.
        nodes_count: how many may speak, which sizes its queues.
        node_lines: returns what else the nodes' listener is told.
        revoked: returns the nodes whose certificates are revoked, as of now.
        barred: who is in quarantine; what those nodes publish is dropped.
        misbehaved: told the name of a node that publishes on a foreign topic.
        beat: called while all is well.
        clock_fault: returns what is wrong with this computer's clock, by which certificates are
            judged; empty: nothing.

    Attributes:
        ready: set while it listens.
        secret: what it asks for on loopback; None: nothing.
        own: its socket file for the gateway itself; None: it has none.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins
        self,
        settings: BrokerSettings,
        directory: Path,
        *,
        counters: Counters,
        log: Log,
        post: str = "",
        nodes_count: int = 0,
        node_lines: Callable[[], tuple[str, ...]] = tuple,
        revoked: Callable[[], frozenset[str]] = frozenset,
        barred: Barred | None = None,
        misbehaved: Callable[[str], None] = lambda _: None,
        beat: Callable[[], None] = lambda: None,
        clock_fault: Callable[[], str] = str,
    ) -> None:
        self.ready = asyncio.Event()
        self.secret: secret.Secret | None = None
        self.own: Path | None = None
        self._settings = settings
        self._post = post
        self._nodes_count = nodes_count
        self._node_lines = node_lines
        self._lines: tuple[str, ...] = ()  # as it was started with
        self._revoked = revoked
        self._misbehaved = misbehaved
        self._beat = beat
        self._clock_fault = clock_fault
        self._configuration = directory / CONFIGURATION_NAME
        self._access = directory / "mosquitto.acl"
        self._pid = directory / "mosquitto.pid"  # for people; nothing depends on it
        self._counters = counters
        self._log = log.bind(part="broker")
        self._throttle = Throttle()
        self._flood = Flood(nodes_count)
        self._shunning = Shunning(
            self._access,
            post,
            barred=barred,
            is_local=not settings.nodes.host,
            end_session=self._end_session,
            log=self._log,
        )

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
                watching: list[asyncio.Task[None]] = []
                folding = tasks.create_task(self._fold_log(child), name="broker-log")
                if await self._listens(child):
                    self.ready.set()
                    self._log.info("broker_started", host=host, port=port, pid=child.pid)
                    watching = [tasks.create_task(self._watch(child), name="broker-watch")]
                    if self._settings.nodes.host or self.own:
                        shun = self._shunning.run(partial(_read_again, child))
                        watching.append(tasks.create_task(shun, name="broker-shun"))
                elif child.returncode is None:
                    child.kill()
                status = await child.wait()
                for task in watching:
                    task.cancel()
        finally:
            self.ready.clear()
            await _end(child)
            with contextlib.suppress(OSError):
                self._pid.unlink(missing_ok=True)
        reason = (folding.result() or "it gave no reason") + hint_of_root(self._settings)
        raise BrokerError(
            f"broker on {host}:{port} ended with status {status}: {reason}; it is started again"
        )

    async def _start(self, program: str) -> asyncio.subprocess.Process:
        # Started by root it becomes another user, who must be able to read what it is told.
        mode = 0o644 if os.geteuid() == 0 else 0o600
        passwords = None
        try:
            self.own = await asyncio.to_thread(self._open_door)
            if self._settings.nodes.host:
                self.secret = secret.make(self._configuration.parent, mode)
                passwords = self._configuration.with_name(secret.HASHED_NAME)
            # Where a broker of root's may not go, nobody on loopback is told apart.
            access = self._access if self._settings.nodes.host or self.own else None
            if access is not None:
                self._shunning.write()
            self._lines = self._node_lines()
            text = configuration(
                self._settings,
                access,
                passwords=passwords,
                nodes_count=self._nodes_count,
                node_lines=self._lines,
                own=self.own,
            )
            write_if_changed(self._configuration, text, mode)
            door.widen()
            return await asyncio.create_subprocess_exec(
                program,
                "-c",
                str(self._configuration),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C at the terminal reaches us first; we stop it
                umask=0o077,  # its socket file is for this user alone
            )
        except OSError as error:
            raise BrokerError(
                f"broker program {program!r} cannot be started: {error}; check broker.program, the"
                " disk, and the rights on both"
            ) from error

    def _open_door(self) -> Path | None:
        """Return where the socket file for the gateway is to be; None: it goes over loopback."""
        try:
            return door.prepare(self._configuration.parent)
        except OSError as error:  # a full disk, for one, on which there is no folder yet
            text = f"{error}; the gateway speaks to its broker over loopback, as other programs do"
            self._log.warning("broker_log", text=text)
            return None

    async def _listens(self, child: asyncio.subprocess.Process) -> bool:
        """Wait until the broker serves; False when it ends before, or takes too long.

        The kernel takes connections while the broker still reads its files, over which it may end:
        it serves when it answers.
        """
        try:
            async with asyncio.timeout(START_S_MAX):
                while child.returncode is None:
                    try:
                        reader, writer = await self._knock()
                    except OSError:
                        await asyncio.sleep(POLL_S)
                        continue
                    try:
                        writer.write(_HELLO)
                        if await reader.read(1):
                            return True
                    except OSError:
                        pass  # it ended: nobody takes the next connection
                    finally:
                        writer.close()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            self._log.error("broker_log", text=f"does not listen after {START_S_MAX:g} s")
        return False

    async def _knock(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the broker, by a way that nobody else can fill where there is one.

        Raises:
            OSError: it does not take connections yet.
        """
        if self.own is not None:
            return await asyncio.open_unix_connection(self.own)
        return await asyncio.open_connection(self._settings.host, self._settings.port)

    async def _fold_log(self, child: asyncio.subprocess.Process) -> str:
        """Take what the broker says into our log until it ends; return its last complaint."""
        words = Words(self._post)
        if child.stderr is not None:
            while piece := await child.stderr.read(LOG_PIECE_BYTES):
                for word in words.take(piece):
                    self._tell(word)
        return words.last

    def _tell(self, word: Word) -> None:
        """Take one word of the broker's log into ours; what repeats is counted."""
        if word.event == "broker_log":
            self._log.warning("broker_log", text=word.text)
            return
        now_s = asyncio.get_running_loop().time()
        if word.event == "message_barred":
            self._counters.count(word.event, word.client, word.count)
            self._shunning.dropped(word.client, word.count)
            return
        if word.event == OPENED:
            is_ours = word.text not in {"", str(self._settings.nodes.port)}
            if is_ours or not self._flood.opened(word.client, now_s):
                return
            word = Word("connection_flood", _FLOOD.format(word.client), word.client)
        is_foreign = word.event == "topic_foreign"
        self._counters.count(word.event, word.client if is_foreign else "")
        quiet = self._throttle.tell(word.event, word.client, now_s)
        if quiet is not None:
            text, fault = word.text, self._clock_fault()
            if word.event == "certificate_refused" and fault:
                text = f"a client was refused for its certificate: {fault}"
            self._log.warning(word.event, text=text, client=word.client, unmentioned=quiet)
        if is_foreign:
            self._misbehaved(word.client)

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        """Have the broker read its list of revoked certificates again whenever it changes.

        A connection that stands is not looked at again by the broker: it is ended by taking its
        name over.
        """
        lists, shut_out = self._signature(), self._revoked()
        while True:
            self._beat()
            now, revoked = self._signature(), self._revoked()
            if self._node_lines() != self._lines:  # only a new start reads these
                self._log.info("broker_told", text="what its listener for nodes is told is new")
                child.terminate()
                return
            if now != lists:
                shut_out = frozenset()  # whoever came back before the list was there
                child.send_signal(signal.SIGHUP)
                self._log.info("broker_told", text="its list of revoked certificates has changed")
                lists = now
            if self._settings.nodes.host and revoked != shut_out:
                fresh = sorted(revoked - shut_out)
                shut_out = revoked - {node for node in fresh if not await self._end_session(node)}
            await asyncio.sleep(WATCH_S)

    def _signature(self) -> list[tuple[str, int, int]]:
        """Return what changes when one of the files that the nodes' listener reads does."""
        found = []
        for line in self._node_lines():
            _, _, name = line.partition(" ")
            with contextlib.suppress(OSError):
                about = Path(name).stat()
                found.append((name, about.st_mtime_ns, about.st_ino))
        return found

    async def _end_session(self, node: str, why: str = "its certificate is revoked") -> bool:
        """End a node's connection by connecting in its name; False when that must be done again."""
        known = self.secret
        try:
            async with (
                asyncio.timeout(KICK_S_MAX),
                aiomqtt.Client(
                    str(self.own or self._settings.host),
                    self._settings.port,
                    transport="unix" if self.own else "tcp",
                    identifier=node,
                    username=known.user if known else None,
                    password=known.password if known else None,
                    timeout=KICK_S_MAX,
                ),
            ):
                pass
        except (aiomqtt.MqttError, OSError) as error:
            self._log.warning("broker_log", text=f"the connection of {node!r} stands: {error}")
            return False
        if why:
            self._log.info("node_disconnected", node=node, text=why)
        return True

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


def _read_again(child: asyncio.subprocess.Process) -> None:
    """Have the broker read its files again; one that has just ended reads them when it starts."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGHUP)


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
