"""Who may speak now: neither revoked nodes nor those in quarantine, which heals by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container
from typing import Final

from gateway.errors import JournalError
from gateway.ingest.quarantine import Barred, Quarantine
from gateway.observe.counters import Counters
from gateway.observe.log import Log

LOOK_S: Final = 1.0  # how much later than meant a node is heard again, or a revocation counts
POSTURE_CHARS_MAX: Final = 2_000  # of what `harmattan status` shows of the quarantine

Save = Callable[[str | None], Awaitable[None]]


async def _save_nothing(_: str | None) -> None:
    """For a gate that nobody looks at from outside."""


class Gate:
    """Asked before a message is decoded; told what is wrong with those that are refused.

    Args:
        nodes: of the post; nobody else is remembered.
        revoked: the nodes whose certificates are revoked, as of now.
        save: keeps what is to be said of the quarantine for other processes; None: nothing.
        released: told of a node that is heard again.
        beat: called at every turn of `run`.
        now_s: a clock that never goes back, seconds.

    Attributes:
        revoked: the nodes whose certificates are revoked.
        changed: set when a node is barred, or heard again; whoever acts upon it clears it.
    """

    def __init__(
        self,
        nodes: frozenset[str],
        *,
        counters: Counters,
        log: Log,
        revoked: Callable[[], frozenset[str]] = frozenset,
        save: Save = _save_nothing,
        released: Callable[[str], None] = lambda _: None,
        beat: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._counters = counters
        self._log = log.bind(part="gate")
        self._read_revoked = revoked
        self._save = save
        self._released = released
        self._beat = beat
        self._now_s = now_s
        self._quarantine = Quarantine()
        self.changed = asyncio.Event()
        self._saved: str | None = ""  # not what it can be: the last life's word is replaced first
        self.revoked: Container[str] = revoked()

    def bars(self, node: str) -> bool:
        """Say whether a node is in quarantine."""
        return self._quarantine.bars(node)

    def note(self, node: str, cause: str, count: int = 1) -> None:
        """Note what a node did wrong, and how often; it may be barred for it.

        Who is not of the post, or is revoked, is shut out as it is.
        """
        if node not in self._nodes or node in self.revoked:
            return
        barred = self._quarantine.note(node, cause, self._now_s(), count)
        if barred is not None:
            self.changed.set()
            self._counters.count("quarantined", node)
            self._log.warning("node_quarantined", **_label(barred), text=barred.text)

    def states(self) -> dict[str, Barred]:
        """Return the nodes in quarantine."""
        return self._quarantine.states()

    def barred(self) -> frozenset[str]:
        """Return the names of the nodes in quarantine."""
        return frozenset(self._quarantine.states())

    async def run(self) -> None:
        """Let nodes speak again when it is time, and notice revocations, until cancelled."""
        while True:
            self._beat()
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Do what is due now."""
        self.revoked = self._read_revoked()
        for barred in self._quarantine.release(self._now_s()):
            text = f"node {barred.node!r} is heard again; {barred.cause} barred it"
            self._log.info("node_released", **_label(barred), text=text)
            self.changed.set()
            self._released(barred.node)
        text_now = self._posture()
        if text_now != self._saved:
            try:
                await self._save(text_now)
            except JournalError:
                return  # a full disk is told elsewhere; tried again at the next look
            self._saved = text_now

    def _posture(self) -> str | None:
        """Return one line per node in quarantine, None without any."""
        told = [barred.text for barred in self._quarantine.states().values()]
        return "\n".join(told)[:POSTURE_CHARS_MAX] or None


def _label(barred: Barred) -> dict[str, object]:
    return {
        "node": barred.node,
        "cause": barred.cause,
        "length_s": round(barred.until_s - barred.since_s),
        "times": barred.times,
    }
