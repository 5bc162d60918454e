"""What is to be sent to the nodes: the newest word per topic and subject. Bounded per topic."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable
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
    Verdicts have their inspection as subject; of more than SUBJECTS_MAX the oldest goes. A time
    that answers has one too: one without an echo asks for something, and must not replace it.

    Args:
        post: of the topics.
        now_ms: the gateway's wall clock, Unix milliseconds.
        quality: returns what such a time is worth.
    """

    def __init__(
        self, post: str, now_ms: Callable[[], int], quality: Callable[[int], int] = time_quality
    ) -> None:
        self._post = post
        self._now_ms = now_ms
        self._quality = quality
        self._letters: dict[tuple[str, bytes], Letter] = {}
        self._subjects: dict[str, dict[bytes, None]] = {}  # by topic, the oldest first
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, node: str, channel: str, message: wire.Message, subject: bytes = b"") -> None:
        """Send `message` to `node` as soon as the broker is there."""
        topic = topics.build(self._post, node, channel)
        self._letters[topic, subject] = Letter(topic, message, channel in topics.RETAINED, subject)
        if subject:
            self._note_subject(topic, subject)
        self._filled.set()

    def _note_subject(self, topic: str, subject: bytes) -> None:
        """Remember that a topic has this subject waiting; the oldest of too many goes."""
        waiting = self._subjects.setdefault(topic, {})
        waiting.pop(subject, None)
        waiting[subject] = None
        if len(waiting) > SUBJECTS_MAX:
            oldest = next(iter(waiting))
            del waiting[oldest], self._letters[topic, oldest]

    async def take(self, count_max: int | None = None, s_max: float | None = None) -> list[Letter]:
        """Return the letters that have waited longest; a time is that of now.

        Args:
            count_max: so many at most; None: all.
            s_max: how long to wait for one; none is returned then. None: for ever.
        """
        if not self._letters:
            self._filled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(s_max):
                    await self._filled.wait()
        keys = list(itertools.islice(self._letters, count_max))
        return [self._fresh(self._take_out(key)) for key in keys]

    def _take_out(self, key: tuple[str, bytes]) -> Letter:
        topic, subject = key
        waiting = self._subjects.get(topic)
        if subject and waiting is not None:
            waiting.pop(subject, None)
            if not waiting:
                del self._subjects[topic]
        return self._letters.pop(key)

    def _fresh(self, letter: Letter) -> Letter:
        """Return the letter; a time may have waited for the broker, and would be a wrong time."""
        if not isinstance(letter.message, wire.Time):
            return letter
        now_ms = self._now_ms()
        message = msgspec.structs.replace(
            letter.message, time_ms=now_ms, time_quality=self._quality(now_ms)
        )
        return Letter(letter.topic, message, letter.retain, letter.subject)

    def put_back(self, letters: Iterable[Letter]) -> None:
        """Return letters that could not be sent; they go first, unless a newer word has come.

        Args:
            letters: in the order in which they were taken.
        """
        newer, self._letters, self._subjects = self._letters, {}, {}
        for letter in (*letters, *newer.values()):
            self._letters[letter.topic, letter.subject] = letter
            if letter.subject:
                self._note_subject(letter.topic, letter.subject)
        self._filled.set()
