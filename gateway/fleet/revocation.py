"""Nodes that are revoked: refused by the broker where it can tell them, and by the gateway anyway.

Rules of the file
- Three doors, one behind the other. The broker's certificate revocation list bars a certificate
  that tries to connect; its access list bars the name from every topic, at once and on a
  connection that stands; the gateway refuses whatever the name says, by whichever broker it came.
- The running gateway looks at `nodes.toml` and at the list every LOOK_S. What cannot be read
  changes nothing: what was in force stays, and it is told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from gateway.errors import SettingsError
from gateway.fleet import nodes_file
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import BrokerSettings, NodeListenerSettings

LOOK_S: Final = 1.0  # two files' times; a technician watches `status` after a command
CRL_NAME: Final = "crl.pem"

_Mark = tuple[int, int, int] | None


def current(directory: Path) -> frozenset[str]:
    """Return the nodes that are revoked now, by the post's folder.

    Raises:
        SettingsError: its `nodes.toml` cannot be read.
    """
    return nodes_file.read(directory).revoked


def crl_path(nodes: NodeListenerSettings) -> Path | None:
    """Return where the certificate revocation list lies; None where nodes have no certificates."""
    if nodes.crl_file:
        return Path(nodes.crl_file)
    return Path(nodes.ca_file).parent / CRL_NAME if nodes.ca_file else None


def broker_lines(settings: BrokerSettings) -> tuple[str, ...]:
    """Return what mosquitto's configuration says of the list, within the nodes' listener.

    A list that the settings name must be there; the one beside `ca_file` is used when it is.
    """
    path = crl_path(settings.nodes)
    if path is None or not (settings.nodes.crl_file or path.exists()):
        return ()
    return (f"crlfile {path}",)


def access_lines(revoked: Iterable[str]) -> tuple[str, ...]:
    """Return what mosquitto's access list says of revoked nodes; it goes before every pattern."""
    return tuple(line for node in sorted(revoked) for line in (f"user {node}", "topic deny #"))


class Revocation:
    """Who is revoked, kept up with the post's folder by `run`.

    Args:
        directory: the post's folder.
        settings: of the broker.
    """

    def __init__(
        self, directory: Path, settings: BrokerSettings, *, counters: Counters, log: Log
    ) -> None:
        self._directory = directory
        self._crl = crl_path(settings.nodes)
        self._counters = counters
        self._log = log.bind(part="revocation")
        self._marks = self._look()
        self._file = nodes_file.NodesFile()
        self._read()

    def current(self) -> frozenset[str]:
        """Return the nodes that are revoked; whatever they say is to be refused."""
        return self._file.revoked

    async def run(self, tell: Callable[[frozenset[str]], Awaitable[None]]) -> None:
        """Look at the folder until cancelled.

        Args:
            tell: called after each change with the nodes that are revoked since; the broker must
                read its lists again.

        Raises:
            BrokerError: the broker could not be told; the next start of this part does it.
        """
        while True:
            await self.check(tell)
            await asyncio.sleep(LOOK_S)

    async def check(self, tell: Callable[[frozenset[str]], Awaitable[None]]) -> None:
        """Act upon what has changed since the last look."""
        marks = self._look()
        if marks == self._marks:
            return
        before = self._file.revoked
        self._read()
        now = self._file.revoked
        for node in sorted(now - before):
            self._log.warning(
                "node_revoked", node=node, text=f"node {node!r} is refused from now on"
            )
        for node in sorted(before - now):
            self._log.info("node_restored", node=node)
        await tell(now - before)
        self._marks = marks  # only now: what could not be told is told again

    def _look(self) -> tuple[_Mark, _Mark]:
        crl = None if self._crl is None else _mark(self._crl)
        return _mark(self._directory / nodes_file.NAME), crl

    def _read(self) -> None:
        try:
            self._file = nodes_file.read(self._directory)
        except SettingsError as error:
            self._counters.count("nodes_file_fault")
            self._log.error(
                "nodes_file_fault", text=f"{error}; until then what was revoked before stays so"
            )


def _mark(path: Path) -> _Mark:
    """Return what tells one content of a file from the next; None where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
