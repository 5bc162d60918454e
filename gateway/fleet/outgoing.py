"""What is to be sent to the nodes: the newest word per topic and subject. Bounded per topic."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from gateway import wire
from gateway.fleet.timekeeping import time_quality
from protocol import topics

SUBJECTS_MAX = 16  # verdicts a node may have missed; an officer waits for the newest


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one node."""

    topic: str
    message: wire.Message
    retain: bool
    subject: bytes = b""


class Outgoing:
    """Letters by topic and subject; a newer one replaces an older one that is not sent yet.

    Receipts and configs are retained and cumulative, time is only good when fresh, and a command
    that asks for a birth may be asked once: for all of them the newest word is the right one.
    Verdicts have their inspection as subject; of more than SUBJECTS_MAX the oldest goes.

    Args:
        post: of the topics.
        now_ms: the gateway's wall clock, Unix milliseconds.
    """

    def __init__(self, post: str, now_ms: Callable[[], int]) -> None:
        self._post = post
        self._now_ms = now_ms
        self._letters: dict[tuple[str, bytes], Letter] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, node: str, channel: str, message: wire.Message, subject: bytes = b"") -> None:
        """Send `message` to `node` as soon as the broker is there."""
        topic = topics.build(self._post, node, channel)
        self._letters[topic, subject] = Letter(topic, message, channel in topics.RETAINED, subject)
        if subject:
            waiting = [key for key in self._letters if key[0] == topic]
            if len(waiting) > SUBJECTS_MAX:
                del self._letters[waiting[0]]
        self._filled.set()

    async def take(self) -> list[Letter]:
        """Return all letters, the one that has waited longest first; a time is that of now."""
        while not self._letters:
            self._filled.clear()
            await self._filled.wait()
        letters, self._letters = list(self._letters.values()), {}
        return [self._fresh(letter) for letter in letters]

    def _fresh(self, letter: Letter) -> Letter:
        """Return the letter; a time may have waited for the broker, and would be a wrong time."""
        if not isinstance(letter.message, wire.Time):
            return letter
        now_ms = self._now_ms()
        message = msgspec.structs.replace(
            letter.message, time_ms=now_ms, time_quality=time_quality(now_ms)
        )
        return Letter(letter.topic, message, letter.retain, letter.subject)

    def put_back(self, letter: Letter) -> None:
        """Return a letter that could not be sent, unless a newer one has come."""
        self._letters.setdefault((letter.topic, letter.subject), letter)
        self._filled.set()
