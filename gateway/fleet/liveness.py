"""Which nodes are heard as often as they should be. Pure: times enter as arguments.

A node sends its health every `health_s`. After HEALTHS of them have not come it is silent; each
node has its own jitter on top, so that a dead switch is not told as a thousand faults in one
moment. After our own connection to the broker was away every node has its whole time again: what
was said meanwhile we could not hear.
"""

import enum
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

HEALTHS: Final = 3  # so many may be lost on a bad link before a node is taken for silent
JITTER: Final = 0.1  # of that time; a node's own, the same in every process


def patience_ms(node: str, health_s: float) -> int:
    """Return for how long a node may say nothing: HEALTHS periods and up to a tenth more.

    Args:
        node: its id, which sets the jitter.
        health_s: seconds between two of its healths.
    """
    share = zlib.crc32(node.encode()) / 0xFFFFFFFF
    return round(HEALTHS * health_s * 1_000 * (1.0 + JITTER * share))


def is_overdue(node: str, health_s: float, heard_ms: int, linked_ms: int, now_ms: int) -> bool:
    """Say whether a node was silent for too long.

    Args:
        node: its id.
        health_s: seconds between two of its healths.
        heard_ms: when it was heard last.
        linked_ms: since when we can hear, on the same clock; 0 when that is not known.
        now_ms: now, on the same clock.
    """
    return now_ms - max(heard_ms, linked_ms) > patience_ms(node, health_s)


class Heard(enum.StrEnum):
    """How a node is heard."""

    heard = "heard"  # within its time
    awaited = "awaited"  # not yet since our connection stands; its time is not over
    silent = "silent"  # its time is over
    unknown = "unknown"  # we have no connection ourselves


@dataclass(frozen=True, slots=True)
class State:
    """How a node is heard.

    Attributes:
        heard: how.
        since_ms: when it was heard last, or could have been first; None: we have no connection.
        due_ms: when it is silent if nothing comes; None likewise.
    """

    heard: Heard
    since_ms: int | None
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A node fell silent, or is back.

    Attributes:
        node: its id.
        is_silent: now.
        quiet_ms: for how long nothing came.
    """

    node: str
    is_silent: bool
    quiet_ms: int


class Liveness:
    """The nodes of a post, by what was heard of them.

    Args:
        health_s: seconds between two healths, by node.
    """

    def __init__(self, health_s: Mapping[str, float]) -> None:
        self._patience_ms = {node: patience_ms(node, each_s) for node, each_s in health_s.items()}
        self._heard_ms: dict[str, int] = {}  # since our connection stands
        self._last_ms: dict[str, int] = {}  # ever
        self._shut_out: set[str] = set()
        self._admitted_ms: dict[str, int] = {}  # when a node was last let in again
        self._silent: set[str] = set()
        self._linked_ms: int | None = None

    def linked(self, now_ms: int) -> None:
        """Note that we have a connection from now on; every node has its whole time again."""
        self._linked_ms = now_ms
        self._heard_ms.clear()

    def unlinked(self) -> None:
        """Note that we have no connection: nobody can be heard."""
        self._linked_ms = None

    def heard(self, node: str, now_ms: int) -> None:
        """Note that a node said something itself, which the broker had not kept from before."""
        if node in self._patience_ms:
            self._heard_ms[node] = self._last_ms[node] = now_ms

    def shut_out(self, nodes: Iterable[str], now_ms: int) -> None:
        """Note which nodes nobody listens to; who is let in again has its whole time again."""
        now = set(nodes)
        for node in self._shut_out - now:
            self._admitted_ms[node] = now_ms
        self._shut_out = now

    def check(self, now_ms: int, *, besides: Iterable[str] = ()) -> list[Change]:
        """Return which nodes fell silent and which are back since the last time, in order.

        Args:
            now_ms: now.
            besides: nodes that nobody waits for, such as revoked ones.
        """
        if self._linked_ms is None:
            return []
        changes = []
        left_out = self._shut_out | set(besides)
        for node in sorted(self._patience_ms):
            is_silent = self._state(node, now_ms).heard is Heard.silent
            if node in left_out:
                self._silent.discard(node)
            elif is_silent and node not in self._silent:
                self._silent.add(node)
                since_ms = self._last_ms.get(node, self._linked_ms)
                changes.append(Change(node, is_silent=True, quiet_ms=now_ms - since_ms))
            elif node in self._silent and node in self._heard_ms and not is_silent:
                self._silent.discard(node)
                changes.append(Change(node, is_silent=False, quiet_ms=0))
        return changes

    def states(self, now_ms: int) -> dict[str, State]:
        """Return how each node is heard that anybody listens to."""
        return {
            node: self._state(node, now_ms)
            for node in self._patience_ms
            if node not in self._shut_out
        }

    def _state(self, node: str, now_ms: int) -> State:
        if self._linked_ms is None:
            return State(Heard.unknown, None, None)
        heard_ms = self._heard_ms.get(node)
        since_ms = self._linked_ms if heard_ms is None else heard_ms
        since_ms = max(since_ms, self._admitted_ms.get(node, since_ms))
        due_ms = since_ms + self._patience_ms[node]
        if now_ms > due_ms:
            return State(Heard.silent, since_ms, due_ms)
        return State(Heard.awaited if heard_ms is None else Heard.heard, since_ms, due_ms)
