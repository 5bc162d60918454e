"""Nodes that are revoked: refused by the broker where it can tell them, and by the gateway anyway.

Rules of the file
- Two doors, one behind the other. The broker's list of revoked certificates bars a certificate;
  the gateway refuses whatever is said in a revoked node's name, by whichever broker it came.
- The running gateway looks at `nodes.toml` every LOOK_S. A file that cannot be read or is lost
  admits nobody again, also when the gateway starts: what was in force stays, by the copy that is
  kept beside it, and it is told.
"""

import asyncio
from collections.abc import Callable
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


class Revocation:
    """Who is revoked, kept up with the post's folder by `run`.

    Args:
        directory: the post's folder.
        beat: called at every turn of `run`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        counters: Counters,
        log: Log,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = directory / nodes_file.NAME
        self._counters = counters
        self._log = log.bind(part="revocation")
        self._beat = beat
        self._mark = self._look()
        self._file = nodes_file.NodesFile()
        self._read()

    def current(self) -> frozenset[str]:
        """Return the nodes that are revoked; whatever they say is to be refused."""
        return self._file.revoked

    async def run(self) -> None:
        """Look at the folder until cancelled."""
        while True:
            self._beat()
            self.check()
            await asyncio.sleep(LOOK_S)

    def check(self) -> None:
        """Act upon what has changed since the last look."""
        mark = self._look()
        if mark == self._mark:
            return
        self._mark, before = mark, self._file.revoked
        self._read()
        now = self._file.revoked
        for node in sorted(now - before):
            text = f"node {node!r} is refused from now on"
            self._log.warning("node_revoked", node=node, text=text)
        for node in sorted(before - now):
            self._log.info("node_restored", node=node)

    def _look(self) -> _Mark:
        """Return what tells one content of the file from the next; None where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        try:
            self._file = nodes_file.read(self._path.parent)
        except SettingsError as error:
            last = nodes_file.read_last(self._path.parent).nodes
            self._file = nodes_file.NodesFile({**last, **_revoking(self._file)})
            out = ", ".join(sorted(self._file.revoked)) or "nobody that is known"
            self._counters.count("nodes_file_fault")
            self._log.error(
                "nodes_file_fault",
                text=f"{error}. Until then whoever was revoked before stays so: {out}",
            )
        else:
            nodes_file.keep_copy(self._path.parent)


def _revoking(file: nodes_file.NodesFile) -> dict[str, nodes_file.Entry]:
    return {name: entry for name, entry in file.nodes.items() if entry.revoked is not None}
