"""Who plays in a story: what nodes send, the gateway's journal without threads, the authority."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway import wire
from gateway.alerts import alert as alerting
from gateway.errors import LinkError
from gateway.forward.https import Forwarder
from gateway.journal import outbox
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.settings import AuthoritySettings
from protocol import messages

POST = "post-1"
NODES = ("lane-1", "lane-2")
AXIS, JOURNAL, BOOT = b"axis-one", b"journal1", b"boot-one"
STANDARD_SEQ = 5  # a measured standard; what came before it is judged again
RAISED_SEQ = 10  # recognised only by the second library
NOW_MS = 1_795_000_000_000


@functools.cache
def frame_of(node: str, seq: int, seed: int) -> bytes:
    """Return a node's record as it lies on its flash."""
    rng = random.Random(f"{node} {seq} {seed}")
    stamp = (JOURNAL, seq, BOOT, seq * 1_000, NOW_MS + seq * 1_000, messages.TIME_GATEWAY)
    inspection = b"inspec%02d" % seq
    if seq % 6 == 2:
        content = rng.randbytes(20)
        return messages.Event(*stamp, inspection, 1, "QR", content, None, None).pack()
    role = messages.ROLE_SAMPLE
    if seq == 1:
        role = messages.ROLE_DARK
    elif seq == STANDARD_SEQ:
        role = messages.ROLE_STANDARD
    pixels = rng.randbytes(2 * rng.choice((32, 100, 400, 2_200 if seq == 7 else 200)))
    return messages.Reading(
        *(*stamp, inspection, role, AXIS, 400_000, 1, 100, None, 65_535, 0),
        *(1 if role == messages.ROLE_SAMPLE else None, pixels),
    ).pack()


def is_alarm(seq: int) -> bool:
    """Whether a sample shows something listed."""
    return seq % 3 == 0


def body_of(node: str, reading: wire.Reading) -> bytes:
    """Return the body of the alert that a reading causes."""
    return msgspec.json.encode(
        {"alert_id": alerting.alert_id(POST, node, reading), "seq": reading.seq}
    )


class AtOnce(Executor):
    """Does what it is given where it is given; the journal's threads cost more than its work."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **rest: Any) -> Future[Any]:
        """Do it now."""
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **rest))
        except Exception as error:  # noqa: BLE001 - as every executor does
            done.set_exception(error)
        return done


def open_journal(path: Path, tell: Callable[..., None]) -> Journal:
    """Return the gateway's journal, not yet open, without threads."""
    journal = Journal(path, now_ms=lambda: NOW_MS, tell=tell)
    for owner in (journal, *journal._lanes.values()):
        for name, found in list(vars(owner).items()):
            if isinstance(found, ThreadPoolExecutor):
                found.shutdown()
                setattr(owner, name, AtOnce())
    return journal


class Authority:
    """Keeps every alert it was sent, and says so; every third attempt does not reach it.

    Attributes:
        kept: bodies by identity.
        again: alerts that came more than once since the gateway's last start.
    """

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.again: list[str] = []
        self._fresh: set[str] = set()
        self._tries = 0

    def forget(self) -> None:
        """Note that the gateway starts anew: it may repeat what it could not keep."""
        self._fresh.clear()

    def take(self, alert_id: str, body: bytes) -> bytes:
        """Keep an alert; return its receipt.

        Raises:
            LinkError: it is not reached.
        """
        self._tries += 1
        if self._tries % 3 == 1:
            raise LinkError("the line is down")
        if alert_id in self._fresh:
            self.again.append(alert_id)
        self._fresh.add(alert_id)
        assert self.kept.setdefault(alert_id, body) == body
        return msgspec.json.encode({"alert_id": alert_id})


class Delivery(Forwarder):
    """The gateway's forwarder, but for the line: it hands alerts over."""

    def __init__(self, journal: Journal, authority: Authority, wanted: asyncio.Event) -> None:
        settings = AuthoritySettings(url="http://127.0.0.1/", retry_s_min=1.0, retry_s_max=8.0)
        super().__init__(
            settings,
            journal,
            wanted,
            now_ms=lambda: NOW_MS,
            counters=Counters(),
            log=structlog.wrap_logger(
                None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
            ),
        )
        self._authority = authority

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._deliver_next(None)  # type: ignore[arg-type]

    async def _post(self, _: Any, alert: outbox.Waiting) -> bytes:
        return self._authority.take(alert.alert_id, alert.body)
