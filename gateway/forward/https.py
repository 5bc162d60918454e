"""Delivery of the outbox by HTTPS POST, until the receiver's own receipt clears each row.

An alert leaves the outbox only when a 200 carries its identity and the digest of the bytes sent.
Everything else, however friendly, is a failure that is noted, shown and tried again.

A journal that takes nothing holds up no alert: each goes out once, and what came of it is kept in
memory until the disk takes it. No error of the journal ends the delivery.
"""

import asyncio
import random
import ssl
from collections.abc import Callable
from functools import partial

import aiohttp

from gateway.alerts.alert import RECEIPT_BYTES_MAX, check_receipt
from gateway.alerts.retry import Schedule
from gateway.errors import DeliveryError, JournalError, LinkError, ReceiptError, RefusedError
from gateway.forward.unsaved import Unsaved
from gateway.journal import outbox
from gateway.journal.store import Journal
from gateway.masking import mask_said, mask_url
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import BEAT_S_MAX
from gateway.settings import AuthoritySettings

# The authority will say the same again; 404 and 405 mean that the address is wrong.
REFUSED_STATUSES = frozenset({400, 404, 405, 409, 410, 413, 415, 422})
WORDS_CHARS_MAX = 300  # of the authority's own words that are kept and logged
JOURNAL_AGAIN_S = 1.0  # between questions to a journal that cannot be read or written

_COUNTS: dict[type[DeliveryError], str] = {
    LinkError: "alert_delivery_failed",
    ReceiptError: "alert_receipt_refused",
    RefusedError: "alert_refused",
}


class Forwarder:
    """Sends what waits in the outbox, one at a time; one that fails does not hold up the others.

    Args:
        settings: where to, and how patiently.
        wanted: set when a new alert is in the outbox.
        now_ms: the gateway's wall clock, Unix milliseconds.
        beat: called at every turn.
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
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._wanted = wanted
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="forward")
        self._beat = beat
        self._schedule = Schedule(settings.retry_s_min, settings.retry_s_max)
        self._unsaved = Unsaved()
        self._is_put_off = False
        self._save_s = 0.0  # when it is tried next, by the loop's clock

    async def run(self) -> None:
        """Deliver until cancelled; without an address, only say that alerts wait.

        Raises:
            LinkError: the authority's certificate file cannot be used.
        """
        if not self._settings.url:
            self._log.warning(
                "authority_missing",
                text="authority.url is empty: alerts wait in the outbox; set it in the settings",
            )
            while True:
                self._beat()
                await asyncio.sleep(BEAT_S_MAX)
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        connector = aiohttp.TCPConnector(ssl=_tls(self._settings))
        # Not through a proxy that the environment names, and with no cookies to keep.
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            try:
                while True:
                    self._beat()
                    await self._deliver_next(session)
            finally:  # at the end there is no better moment
                self._save_s = 0.0
                await self._save(asyncio.get_running_loop().time())

    async def _deliver_next(self, session: aiohttp.ClientSession) -> None:
        """Deliver the alert whose turn it is, or wait until there is one."""
        now_s = asyncio.get_running_loop().time()
        self._wanted.clear()
        await self._save(now_s)
        alert = await self._next(now_s)
        if alert is None:
            due_s = [due for due in (self._schedule.next_s(now_s),) if due is not None]
            due_s += [self._save_s] if self._unsaved or self._save_s > now_s else []
            await self._wait(min(due_s, default=None))
            return
        try:
            receipt = await self._post(session, alert)
        except DeliveryError as error:
            await self._failed(alert.alert_id, error)
            return
        self._unsaved.delivered(alert.alert_id, receipt, self._now_ms())
        self._schedule.delivered(alert.alert_id)
        await self._save(asyncio.get_running_loop().time())
        self._counters.count("alert_delivered")
        self._log.info("alert_delivered", alert=alert.alert_id)

    async def _next(self, now_s: float) -> outbox.Waiting | None:
        """Return the alert whose turn it is; None: there is none, or the journal does not say."""
        if self._unsaved.is_full:
            return None
        only_new = self._schedule.link_waits(now_s)
        held = [*self._schedule.held(now_s), *self._unsaved.held(only_new=only_new)]
        question = partial(outbox.read_waiting, held=held, only_new=only_new)
        try:
            return await self._journal.read(question, lane="outbox")
        except JournalError as error:
            self._put_off(error)
            return None

    async def _save(self, now_s: float) -> None:
        """Save what came of deliveries, if there is any and the journal may take it now."""
        if not self._unsaved or (now_s < self._save_s and not self._is_disk_well()):
            return
        taken = self._unsaved.take()
        try:
            await self._journal.write(taken.save)
            self._is_put_off = False
        except JournalError as error:
            self._unsaved.give_back(taken)
            self._put_off(error)

    def _put_off(self, error: JournalError) -> None:
        self._save_s = asyncio.get_running_loop().time() + JOURNAL_AGAIN_S
        if self._is_put_off:
            return
        self._is_put_off = True  # told once, until something is saved
        self._log.warning("outbox_fault", text=f"{error}; alerts still go out where they can")

    def _is_disk_well(self) -> bool:
        return self._journal.condition.is_writable

    async def _wait(self, until_s: float | None) -> None:
        """Sleep until a new alert comes, until `until_s` of the loop's clock, or to beat."""
        beat_s = asyncio.get_running_loop().time() + BEAT_S_MAX
        try:
            async with asyncio.timeout_at(beat_s if until_s is None else min(until_s, beat_s)):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _failed(self, alert_id: str, error: DeliveryError) -> None:
        now_s = asyncio.get_running_loop().time()
        jitter = random.random()  # noqa: S311 - spreads attempts, no secret
        if isinstance(error, LinkError):
            wait_s = self._schedule.link_failed(now_s, jitter)
        else:
            refused = isinstance(error, RefusedError)
            wait_s = self._schedule.alert_failed(alert_id, now_s, jitter, refused=refused)
        name = _COUNTS[type(error)]
        self._counters.count(name)
        self._unsaved.failed(alert_id, str(error))
        await self._save(now_s)
        self._log.warning(name, alert=alert_id, text=str(error), again_s=round(wait_s, 1))

    async def _post(self, session: aiohttp.ClientSession, alert: outbox.Waiting) -> bytes:
        """Send one alert and return its valid receipt.

        Raises:
            LinkError: no answer, or one that means "later".
            ReceiptError: a 200 that is not the receipt for this alert.
            RefusedError: the authority says that this alert is wrong.
        """
        url = self._settings.url
        shown = mask_url(url)  # a path or a query may be a token
        try:
            async with session.post(
                url,
                data=alert.body,
                headers={
                    "Content-Type": "application/json",
                    "Idempotency-Key": alert.alert_id,
                    "Accept-Encoding": "identity",  # a receipt is short; nothing is to be unpacked
                },
                allow_redirects=False,  # a redirect could lead to plain HTTP or another host
            ) as response:
                answer = await _read_bounded(response.content)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = mask_said(str(error), url) or type(error).__name__
            raise LinkError(
                f"authority {shown} is not reached: {reason}; check the link and the address"
            ) from error
        words = repr(mask_said(answer.decode(errors="replace"), url)[:WORDS_CHARS_MAX])
        if status in REFUSED_STATUSES:
            raise RefusedError(
                f"authority {shown} refuses the alert with {status}: {words}; check authority.url,"
                " then show these words to the authority"
            )
        if 300 <= status < 400:
            raise LinkError(
                f"authority {shown} redirects with {status}, which is not followed; set"
                " authority.url to where alerts are taken"
            )
        if status != 200:
            raise LinkError(f"authority {shown} answered {status}: {words}; it is tried again")
        fault = check_receipt(answer, alert.alert_id, alert.body)
        if fault is not None:
            told = mask_said(fault, url)
            raise ReceiptError(
                f"authority {shown} answered 200, but its {told}; show this to the authority"
            )
        return answer


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    """Return the body, or just enough of it to see that it is too long for a receipt."""
    answer = b""
    async for chunk in content.iter_chunked(RECEIPT_BYTES_MAX):
        answer += chunk
        if len(answer) > RECEIPT_BYTES_MAX:
            break
    return answer


def _tls(settings: AuthoritySettings) -> ssl.SSLContext | bool:
    """Return how the authority's certificate is checked: by its own authority, or the system's."""
    if not settings.ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise LinkError(
            f"authority.ca_file {settings.ca_file}: {error}; give the PEM file of the authority's"
            " certification authority"
        ) from error
