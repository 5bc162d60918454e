"""What a node in quarantine sends is dropped by our own broker, and its connection is ended.

The gateway has one connection for all nodes, so what one of them floods it with all others would
wait behind, whether it is looked at or not. The broker drops it by its access list, which it reads
again at SIGHUP; a broker that starts is given the list of that moment, so nothing is left behind.

A connection is ended when its node is barred, when it floods on, and when its node is heard again:
an honest one then begins anew at once, with its birth and all that is not receipted.
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

LOOK_S: Final = 1.0  # between two looks at who floods on
DROPPED_MAX: Final = 1_000  # of a barred node between two looks; a window again and again is less
NODES_TOLD_MAX: Final = 20  # in one line of the log


class Barred(NamedTuple):
    """Who is in quarantine.

    Attributes:
        now: returns the names of those nodes.
        changed: set when it returns others; `Shunning` clears it.
    """

    now: Callable[[], frozenset[str]]
    changed: asyncio.Event


class Shunning:
    """Keeps the broker's access list up with the quarantine.

    Args:
        access: the broker's access list.
        post: whose topics the nodes use.
        barred: who is in quarantine; None: nobody ever.
        is_local: nodes have no certificates, so that a connection has no name by which to end it.
        end_session: ends the connection of a node and says whether that went well; its reason is
            told unless it is empty.
    """

    def __init__(
        self,
        access: Path,
        post: str,
        *,
        barred: Barred | None,
        is_local: bool,
        end_session: Callable[[str, str], Awaitable[bool]],
        log: Log,
    ) -> None:
        self._access = self._told = access
        self._post = post
        self._barred = barred or Barred(frozenset, asyncio.Event())
        self._is_local = is_local
        self._end_session = end_session
        self._log = log
        self._listed: frozenset[str] = frozenset()
        self._ended: frozenset[str] = frozenset()  # of those that are barred
        self._fault = ""  # why the list could not be written, as it was told
        self._dropped: Counter[str] = Counter()  # messages of barred nodes since the last look

    def dropped(self, node: str, count: int) -> None:
        """Note that the broker has dropped messages of a node."""
        self._dropped[node] += count

    def begin(self) -> Path:
        """Write the access list for a broker that is about to start; return where it lies.

        Raises:
            OSError: it cannot be written.
        """
        now = self._barred.now()
        self._told = spare.write(self._access, self._list_of(now), _mode())
        self._listed = now
        return self._told

    def _write(self) -> None:
        """Write the access list where the broker reads it again.

        Raises:
            OSError: it cannot be written; the old one is as it was.
        """
        now = self._barred.now()
        write_if_changed(self._told, self._list_of(now), _mode())
        self._listed = now

    def _list_of(self, barred: frozenset[str]) -> str:
        return access_list(self._post, barred, is_local=self._is_local)

    async def run(self, read_again: Callable[[], None]) -> None:
        """Act upon every change until cancelled.

        Args:
            read_again: has the broker read its access list again.
        """
        while True:
            self._barred.changed.clear()
            await self._look(read_again)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._barred.changed.wait()

    async def _look(self, read_again: Callable[[], None]) -> None:
        before, now = self._listed, self._barred.now()
        if now != before:
            try:
                self._write()
            except OSError as error:  # a full disk; tried again at the next look
                if self._fault != str(error):
                    self._fault = str(error)
                    text = f"{error}; what nodes in quarantine send comes as far as the gateway"
                    self._log.warning("broker_log", text=text)
            else:
                self._fault = ""
                read_again()
                told = ", ".join(sorted(now)[:NODES_TOLD_MAX]) or "none"
                self._log.info("broker_told", text=f"nodes of which it passes nothing on: {told}")
        flooding = {node for node, count in self._dropped.items() if count > DROPPED_MAX}
        self._dropped.clear()
        if self._is_local:
            return
        ended, self._ended = self._ended, now
        for node in sorted(now - ended):
            await self._end_session(node, "it is in quarantine")
        for node in sorted(now & ended & (flooding | (now - self._listed))):
            await self._end_session(node, "")  # as told before
        for node in sorted(ended - now):
            await self._end_session(node, "it is heard again, and begins anew")


def _mode() -> int:
    return 0o644 if os.geteuid() == 0 else 0o600  # root's broker becomes another user
