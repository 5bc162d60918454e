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
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import aiomqtt

from gateway.errors import BrokerError
from gateway.ingest import door, secret, spare
from gateway.ingest.answering import TURN_S, connect, has_answered, is_alive
from gateway.ingest.mosquitto import access_list, configuration
from gateway.ingest.overheard import LOG_PIECE_BYTES, Overheard
from gateway.ingest.program import check_port, find_leftovers, find_program, hint_of_root
from gateway.ingest.shunning import Barred, Shunning
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.state import is_stopped
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
ASK_S = 5.0  # between two looks whether it still answers
# On two cores it answered within 0.2 s under floods of messages, with ten other programs at work,
# and within 0.9 s under a thousand TLS handshakes at once; a small computer is five times slower.
MUTE_TURNS_MAX = 15


class Broker:
    """The child process; `run` starts it, folds its log into ours and ends with it.

    Args:
        settings: where it listens.
        directory: where its configuration and process id are kept.
        post: whose topics the nodes may use.
        nodes: who may speak, and how many, which sizes its queues.
        node_lines: returns what else the nodes' listener is told.
        revoked: returns the nodes whose certificates are revoked, as of now.
        barred: who is in quarantine; what those nodes publish is dropped.
        misbehaved: told the name of a node that publishes on foreign topics, and how often.
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
        nodes: Iterable[str] = (),
        node_lines: Callable[[], tuple[str, ...]] = tuple,
        revoked: Callable[[], frozenset[str]] = frozenset,
        barred: Barred | None = None,
        misbehaved: Callable[[str, int], None] = lambda *_: None,
        beat: Callable[[], None] = lambda: None,
        clock_fault: Callable[[], str] = str,
    ) -> None:
        self.ready = asyncio.Event()
        self.secret: secret.Secret | None = None
        self.own: Path | None = None
        self._settings = settings
        self._nodes = frozenset(nodes)
        self._node_lines = node_lines
        self._lines: tuple[str, ...] = ()  # as it was started with
        self._revoked = revoked
        # Whose connection we end, where there is one: why, and since when.
        self._ended: dict[str, tuple[str, float]] = {}
        self._beat = beat
        self._configuration = directory / CONFIGURATION_NAME
        self._pid = directory / "mosquitto.pid"  # for people; nothing depends on it
        self._counters = counters
        self._log = log.bind(part="broker")
        self._hung = ""  # why it was killed; empty: it was not
        self._shunning = Shunning(
            directory / "mosquitto.acl",
            post,
            self._nodes,
            barred=barred,
            revoked=revoked,
            is_local=not settings.nodes.host,
            end_session=self._end_session,
            log=self._log,
        )
        self._overheard = Overheard(
            post,
            self._nodes,
            settings.nodes.port,
            revoked=revoked,
            dropped=self._shunning.dropped,
            why_ended=self._why_ended,
            misbehaved=misbehaved,
            clock_fault=clock_fault,
            counters=counters,
            log=self._log,
        )

    async def run(self) -> None:
        """Start the broker and stay until it ends or this is cancelled.

        Raises:
            BrokerError: it does not start, or it ended by itself.
        """
        host, port, self._hung = self._settings.host, self._settings.port, ""
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
                folding = tasks.create_task(self._overheard.fold(child.stderr), name="broker-log")
                if await self._listens(child):
                    self.ready.set()
                    self._log.info("broker_started", host=host, port=port, pid=child.pid)
                    watching = [
                        tasks.create_task(self._watch(child), name="broker-watch"),
                        tasks.create_task(self._heed(child), name="broker-heed"),
                    ]
                    if self._settings.nodes.host or self.own:
                        shun = self._shunning.run(
                            partial(_send, child, signal.SIGHUP),
                            partial(_send, child, signal.SIGTERM),
                        )
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
        told = (folding.result() or "it gave no reason") + hint_of_root(self._settings)
        reason = self._hung or told
        raise BrokerError(
            f"broker on {host}:{port} ended with status {status}: {reason}; it is started again"
        )

    async def _start(self, program: str) -> asyncio.subprocess.Process:
        # Started by root it becomes another user, who must be able to read what it is told.
        mode = 0o644 if os.geteuid() == 0 else 0o600
        passwords = access = None
        try:
            self.own = await asyncio.to_thread(self._open_door)
            if self._settings.nodes.host:
                self.secret, passwords = secret.make(self._configuration.parent, mode)
            # Where a broker of root's may not go, nobody on loopback is told apart.
            if self._settings.nodes.host or self.own:
                access = self._shunning.begin()
            self._lines = self._node_lines()
            text = configuration(
                self._settings,
                access,
                passwords=passwords,
                nodes_count=len(self._nodes),
                node_lines=self._lines,
                own=self.own,
            )
            told = spare.write(self._configuration, text, mode)
            if told != self._configuration:
                away = f"the disk takes nothing: what the broker is told lies in {told.parent}"
                self._log.warning("broker_log", text=away)
            door.widen()
            return await asyncio.create_subprocess_exec(
                program,
                "-c",
                str(told),
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
                        way = await connect(self.own, self._settings.host, self._settings.port)
                    except OSError:
                        await asyncio.sleep(POLL_S)
                        continue
                    if await has_answered(*way):  # or it ended: nobody takes the next one
                        return True
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            self._log.error("broker_log", text=f"does not listen after {START_S_MAX:g} s")
        return False

    async def _heed(self, child: asyncio.subprocess.Process) -> None:
        """Kill a broker that hangs, so that another is started: no node is heard by it."""
        host, port = self._settings.host, self._settings.port
        while await is_alive(self.own, host, port, turns=MUTE_TURNS_MAX):  # noqa: ASYNC110
            await asyncio.sleep(ASK_S)
        stopped = " (a signal has stopped its process)" if is_stopped(child.pid) else ""
        self._hung = f"it hung, with no answer for {MUTE_TURNS_MAX * TURN_S:g} s{stopped}"
        self._counters.count("broker_hung")
        self._log.error("broker_hung", pid=child.pid, text=f"{self._hung}, and is killed")
        if child.returncode is None:
            child.kill()

    def _why_ended(self, node: str) -> str:
        """Return why we have just ended a node's connection; empty: we did not, or it is told."""
        return self._ended.pop(node, ("", 0.0))[0]

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        """Have the broker read its list of revoked certificates again whenever it changes.

        A connection that stands is not looked at again by the broker: it is ended by taking its
        name over.
        """
        lists, shut_out = self._signature(), self._revoked()
        while True:
            self._beat()
            now, revoked = self._signature(), self._revoked()
            told_s = asyncio.get_running_loop().time() - KICK_S_MAX
            self._ended = {node: kick for node, kick in self._ended.items() if kick[1] > told_s}
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
        self._ended[node] = why, asyncio.get_running_loop().time()
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


def _send(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send the broker a signal; one that has just ended is started anew as it is."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(number)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Stop the broker, by force if it does not listen, or if we are hurried.

    What is left of its log is passed over: a pipe that is not read to its end stays open.
    """
    if child.returncode is None:
        await _stop(child)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S_MAX):
            while child.stderr is not None and await child.stderr.read(LOG_PIECE_BYTES):
                pass


async def _stop(child: asyncio.subprocess.Process) -> None:
    (child.kill if is_stopped(child.pid) else child.terminate)()
    try:
        async with asyncio.timeout(STOP_S_MAX):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
