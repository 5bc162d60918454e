"""What is to be sent to the nodes: the newest word per topic. Bounded by the number of topics."""

import asyncio
from dataclasses import dataclass

from gateway import wire
from protocol import topics


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one node."""

    topic: str
    payload: bytes
    retain: bool


class Outgoing:
    """Letters by topic; a newer one replaces an older one that is not sent yet.

    Receipts and configs are retained and cumulative, time is only good when fresh, and a command
    that asks for a birth may be asked once: for all of them the newest word is the right one.
    """

    def __init__(self, post: str) -> None:
        self._post = post
        self._letters: dict[str, Letter] = {}
        self._filled = asyncio.Event()

    def put(self, node: str, channel: str, message: wire.Message) -> None:
        """Send `message` to `node` as soon as the broker is there."""
        topic = topics.build(self._post, node, channel)
        self._letters[topic] = Letter(topic, wire.encode(message), channel in topics.RETAINED)
        self._filled.set()

    async def take(self) -> Letter:
        """Return the letter that has waited longest."""
        while not self._letters:
            self._filled.clear()
            await self._filled.wait()
        return self._letters.pop(next(iter(self._letters)))

    def put_back(self, letter: Letter) -> None:
        """Return a letter that could not be sent, unless a newer one has come."""
        self._letters.setdefault(letter.topic, letter)
        self._filled.set()
