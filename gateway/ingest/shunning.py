"""What a node that is shut out sends is dropped by our own broker, and its connection is ended.

The gateway has one connection for all nodes, so what one of them floods it with all others would
wait behind, whether it is looked at or not. The broker drops it by its access list, which it reads
again at SIGHUP; a broker that starts is given the list of that moment, so nothing is left behind.

Shut out are nodes in quarantine and revoked ones. Who is not in the settings stands on no list that
lets it speak: a certificate that is revoked by name alone, or was never of a node here, does not.

A connection is ended when its node is barred, when it floods on, and when its node is heard again:
an honest one then begins anew at once, with its birth and all that is not receipted. Whoever else
floods the broker with what it may not send is ended just so.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

from gateway.ingest import spare
from gateway.ingest.mosquitto import access_list
from gateway.ingest.written import write_if_changed
from gateway.observe.log import Log
from gateway.observe.throttle import Throttle

LOOK_S: Final = 1.0  # between two looks at who floods on
DROPPED_MAX: Final = 1_000  # of a node between two looks; a window again and again is less
NODES_TOLD_MAX: Final = 20  # in one line of the log
FLOODS: Final = "it floods the broker with messages that it may not send"


class Barred(NamedTuple):
    """Who is in quarantine.

    Attributes:
        now: returns the names of those nodes.
        changed: set when it returns others; `Shunning` clears it.
    """

    now: Callable[[], frozenset[str]]
    changed: asyncio.Event


class _Shut(NamedTuple):
    """Which nodes of the post are shut out."""

    barred: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()

    @property
    def nodes(self) -> frozenset[str]:
        return self.barred | self.revoked


class Shunning:
    """Keeps the broker's access list up with the quarantine and the revocations.

    Args:
        access: the broker's access list.
        post: whose topics the nodes use.
        nodes: of the post.
        barred: who is in quarantine; None: nobody ever.
        revoked: returns the nodes that are revoked; `Broker` ends their connections then.
        is_local: nodes have no certificates, so that a connection has no name by which to end it.
        end_session: ends the connection of a node and says whether that went well; its reason is
            told unless it is empty.
    """

    def __init__(
        self,
        access: Path,
        post: str,
        nodes: frozenset[str],
        *,
        barred: Barred | None,
        revoked: Callable[[], frozenset[str]] = frozenset,
        is_local: bool,
        end_session: Callable[[str, str], Awaitable[bool]],
        log: Log,
    ) -> None:
        self._access = self._told = access
        self._post = post
        self._nodes = nodes
        self._barred = barred or Barred(frozenset, asyncio.Event())
        self._revoked = revoked
        self._is_local = is_local
        self._end_session = end_session
        self._log = log
        self._throttle = Throttle()
        self._listed = _Shut()
        self._ended: frozenset[str] = frozenset()  # of those that are shut out
        self._fault = ""  # why the list could not be written, as it was told
        self._dropped: Counter[str] = Counter()  # messages of each client since the last look

    def dropped(self, node: str, count: int) -> None:
        """Note that the broker has dropped messages of a node, or of who calls itself so."""
        self._dropped[node] += count

    def begin(self) -> Path:
        """Write the access list for a broker that is about to start; return where it lies.

        Raises:
            OSError: it cannot be written.
        """
        now = self._now()
        text, told = self._list_of(now), None
        if self._told != self._access:  # a disk that was full may take this list, and not the next
            with contextlib.suppress(OSError):
                told = spare.write_apart(self._access, text, _mode())
        self._told = told or spare.write(self._access, text, _mode())
        self._listed, self._fault = now, ""
        return self._told

    def _now(self) -> _Shut:
        return _Shut(self._barred.now() & self._nodes, self._revoked() & self._nodes)

    def _write(self, now: _Shut) -> bool:
        """Write the access list; say whether the broker reads it again where it lies.

        Its configuration names the file, and stays as it is until the broker starts anew.

        Raises:
            OSError: it cannot be written anywhere; the old one is as it was.
        """
        text, before = self._list_of(now), self._told
        try:
            write_if_changed(self._told, text, _mode())
        except OSError:
            self._told = spare.write(self._access, text, _mode())
        return self._told == before

    def _list_of(self, shut: _Shut) -> str:
        return access_list(
            self._post,
            self._nodes,
            barred=shut.barred,
            revoked=shut.revoked,
            is_local=self._is_local,
        )

    async def run(self, read_again: Callable[[], None], start_again: Callable[[], None]) -> None:
        """Act upon every change until cancelled.

        Args:
            read_again: has the broker read its access list again.
            start_again: ends the broker, so that it starts anew.
        """
        while True:
            self._barred.changed.clear()
            await self._look(read_again, start_again)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._barred.changed.wait()

    async def _look(self, read_again: Callable[[], None], start_again: Callable[[], None]) -> None:
        now = self._now()
        if now != self._listed and not self._list(now, read_again):
            self._ended = now.nodes  # with all connections
            start_again()
            return
        flooding = {node for node, count in self._dropped.items() if count > DROPPED_MAX}
        self._dropped.clear()
        if self._is_local:
            return
        listed = self._listed.nodes
        ended, self._ended = self._ended, now.nodes | (self._ended & listed)
        for node in sorted(now.barred - ended):
            await self._end_session(node, "it is in quarantine")
        for node in sorted(now.nodes & ended & (flooding | (now.nodes - listed))):
            await self._end_session(node, "")  # as told before
        for node in sorted(ended - now.nodes - listed):
            await self._end_session(node, "it is heard again, and begins anew")
        now_s = asyncio.get_running_loop().time()
        for node in sorted(flooding - now.nodes - ended):
            about = node if node in self._nodes else ""  # others have as many names as they like
            is_told = self._throttle.tell("flood", about, now_s) is None
            await self._end_session(node, "" if is_told else FLOODS)

    def _list(self, now: _Shut, read_again: Callable[[], None]) -> bool:
        """Have the broker shut out who is to be; False when it must start anew for that."""
        try:
            is_read = self._write(now)
        except OSError as error:  # neither disk nor memory; tried again at the next look
            self._tell_fault(error, now.nodes)
            return True
        self._fault = ""
        if not is_read:
            text = "the disk takes nothing: it starts anew, with its access list in memory"
            self._log.warning("broker_told", text=text)
            return False
        self._listed = now
        read_again()
        text = f"nodes of which it passes nothing on: {_named(now.nodes) or 'none'}"
        self._log.info("broker_told", text=text)
        return True

    def _tell_fault(self, error: OSError, now: frozenset[str]) -> None:
        listed = self._listed.nodes
        told = [f"{error}; the broker keeps its old access list"]
        if now - listed:
            told.append(f"what these send comes as far as the gateway: {_named(now - listed)}")
        if listed - now:
            told.append(
                "of these it passes nothing on until the disk takes the new one:"
                f" {_named(listed - now)}"
            )
        text = "; ".join(told)
        if self._fault != text:
            self._fault = text
            self._log.warning("broker_log", text=text)


def _named(nodes: frozenset[str]) -> str:
    return ", ".join(sorted(nodes)[:NODES_TOLD_MAX])


def _mode() -> int:
    return 0o644 if os.geteuid() == 0 else 0o600  # root's broker becomes another user
