"""Tells when a node falls silent and when it is back, while nobody looks at the status."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.fleet.liveness import Liveness
from gateway.observe.counters import Counters
from gateway.observe.log import Log

LOOK_S: Final = 1.0  # beside the 15 s that the most talkative node has


class Watching:
    """The part of the running gateway that asks the liveness.

    Args:
        liveness: of the post's nodes.
        revoked: returns the nodes that nobody waits for.
        barred: returns the nodes in quarantine, of which nothing is heard meanwhile.
        now_ms: a clock that nobody sets, milliseconds.
        wall_ms: the wall clock, Unix milliseconds.
        beat: called at every turn of `run`.

    Attributes:
        linked_ms: since when we are connected, Unix milliseconds; 0: we are not.
        unlinked_ms: since when we are not, likewise; 0: we are.
        changed: set when one becomes the other; whoever acts upon it clears it.
    """

    def __init__(
        self,
        liveness: Liveness,
        *,
        revoked: Callable[[], frozenset[str]],
        barred: Callable[[], frozenset[str]] = frozenset,
        now_ms: Callable[[], int],
        wall_ms: Callable[[], int],
        counters: Counters,
        log: Log,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.linked_ms = 0
        self.unlinked_ms = wall_ms()
        self.changed = asyncio.Event()
        self._liveness = liveness
        self._revoked = revoked
        self._barred = barred
        self._now_ms = now_ms
        self._wall_ms = wall_ms
        self._counters = counters
        self._log = log.bind(part="liveness")
        self._beat = beat

    def linked(self) -> None:
        """Note that we are connected from now on."""
        self._liveness.linked(self._now_ms())
        self.linked_ms, self.unlinked_ms = self._wall_ms(), 0
        self.changed.set()

    def unlinked(self) -> None:
        """Note that we are not connected."""
        self._liveness.unlinked()
        if not self.unlinked_ms:  # or it is said again
            self.linked_ms, self.unlinked_ms = 0, self._wall_ms()
            self.changed.set()

    def heard(self, node: str) -> None:
        """Note that a node said something itself."""
        self._liveness.heard(node, self._now_ms())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._beat()
            self.check()
            await asyncio.sleep(LOOK_S)

    def check(self) -> None:
        """Tell what has changed."""
        self._liveness.shut_out(self._barred(), self._now_ms())
        for change in self._liveness.check(self._now_ms(), besides=self._revoked()):
            if change.is_silent:
                self._counters.count("node_silent", change.node)
                self._log.warning(
                    "node_silent",
                    node=change.node,
                    quiet_s=round(change.quiet_ms / 1_000),
                    text=f"node {change.node!r} said nothing for {change.quiet_ms / 1_000:.0f} s;"
                    " look at its power, its link and its lamps. What it measures it keeps",
                )
            else:
                self._counters.count("node_back", change.node)
                self._log.info("node_back", node=change.node)
