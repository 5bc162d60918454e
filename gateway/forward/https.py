"""Delivery of the outbox by HTTPS POST, until the receiver's own receipt clears each row.

An alert leaves the outbox only when a 200 carries its identity and the digest of the bytes sent.
Everything else, however friendly, is a failure that is noted, shown and tried again.
"""

import asyncio
import random
from collections.abc import Callable
from functools import partial

import aiohttp

from gateway.alerts.alert import RECEIPT_BYTES_MAX, check_receipt
from gateway.alerts.retry import Schedule
from gateway.errors import LinkError, RefusedError
from gateway.journal import records
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import AuthoritySettings

WAITING_READ_MAX = 64  # of the outbox at a time: bounds memory, not the outbox
REFUSED_STATUSES = frozenset({400, 404, 405, 409, 410, 413, 415, 422})
FAULT_CHARS_MAX = 300  # of the authority's own words that are kept and logged


class Forwarder:
    """Sends what waits in the outbox, oldest first; one that fails does not hold up the others.

    Args:
        settings: where to, and how patiently.
        wanted: set when a new alert is in the outbox.
        now_ms: the gateway's wall clock, Unix milliseconds.
    """

    def __init__(
        self,
        settings: AuthoritySettings,
        journal: Journal,
        wanted: asyncio.Event,
        *,
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._wanted = wanted
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="forward")
        self._schedule = Schedule(settings.retry_s_min, settings.retry_s_max)

    async def run(self) -> None:
        """Deliver until cancelled; without an address, only say that alerts wait."""
        if not self._settings.url:
            self._log.warning(
                "authority_missing", text="authority.url is empty: alerts wait in the outbox"
            )
            await asyncio.Event().wait()
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                self._wanted.clear()
                await self._deliver_due(session)
                await self._wait()

    async def _wait(self) -> None:
        """Sleep until a new alert comes or a failed one is due."""
        next_s = self._schedule.next_s()
        left_s = None if next_s is None else max(next_s - asyncio.get_running_loop().time(), 0.0)
        try:
            await asyncio.wait_for(self._wanted.wait(), left_s)
        except TimeoutError:
            return

    async def _deliver_due(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        for alert in records.read_waiting(self._journal, WAITING_READ_MAX):
            if not self._schedule.due(alert.alert_id, loop.time()):
                continue
            try:
                receipt = await self._post(session, alert)
            except (LinkError, RefusedError) as error:
                await self._failed(alert.alert_id, error)
                continue
            await self._journal.write(
                partial(
                    records.save_receipt,
                    alert_id=alert.alert_id,
                    receipt=receipt,
                    receipt_ms=self._now_ms(),
                )
            )
            self._schedule.delivered(alert.alert_id)
            self._log.info("alert_delivered", alert=alert.alert_id)

    async def _failed(self, alert_id: str, error: LinkError | RefusedError) -> None:
        refused = isinstance(error, RefusedError)
        wait_s = self._schedule.failed(
            alert_id,
            asyncio.get_running_loop().time(),
            refused=refused,
            jitter=random.random(),  # noqa: S311 - spreads retries, no secret
        )
        self._counters.count("alert_refused" if refused else "alert_delivery_failed")
        self._log.warning(
            "alert_refused" if refused else "alert_delivery_failed",
            alert=alert_id,
            text=str(error),
            again_s=round(wait_s, 1),
        )
        await self._journal.write(
            partial(records.save_attempt, alert_id=alert_id, fault=str(error))
        )

    async def _post(self, session: aiohttp.ClientSession, alert: records.Waiting) -> bytes:
        """Send one alert and return its valid receipt.

        Raises:
            LinkError: no answer, or not a receipt for this alert.
            RefusedError: the authority says that this alert is wrong.
        """
        url = self._settings.url
        try:
            async with session.post(
                url,
                data=alert.body,
                headers={"Content-Type": "application/json", "Idempotency-Key": alert.alert_id},
                allow_redirects=False,  # a redirect could lead to plain HTTP or another host
            ) as response:
                answer = await _read_bounded(response.content)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LinkError(
                f"authority {url}: {type(error).__name__}: {error}; check the link"
            ) from error
        if status in REFUSED_STATUSES:
            words = answer[:FAULT_CHARS_MAX].decode(errors="replace")
            raise RefusedError(f"authority {url} refuses the alert with {status}: {words}")
        if status != 200:
            raise LinkError(f"authority {url} answered {status}; it is tried again")
        fault = check_receipt(answer, alert.alert_id, alert.body)
        if fault is not None:
            raise LinkError(f"authority {url} answered 200, but its {fault}")
        return answer


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    """Return the body, or just enough of it to see that it is too long for a receipt."""
    answer = b""
    async for chunk in content.iter_chunked(RECEIPT_BYTES_MAX):
        answer += chunk
        if len(answer) > RECEIPT_BYTES_MAX:
            break
    return answer
