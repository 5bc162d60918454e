"""A stand-in for the authority: takes alerts on loopback and answers with receipts, or is away."""

import hashlib
from collections import Counter
from types import TracebackType
from typing import Final, Self

import msgspec
from aiohttp import web

from gateway.alerts.alert import Receipt
from gateway.doctor.rehearsal.heard import Heard

HOST: Final = "127.0.0.1"
BODY_BYTES_MAX: Final = 1 << 20  # an alert has some kB


class _Named(msgspec.Struct):
    """What is needed of an alert."""

    alert_id: str


class StandIn:
    """Listens at a port of its own until `cut`, and again after `mend`.

    Attributes:
        taken: identities of the alerts that were answered with a receipt, in order, each time.
    """

    def __init__(self) -> None:
        self.taken: Heard[str] = Heard()
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where alerts are taken."""
        return f"http://{HOST}:{self._port}/alerts"

    @property
    def counts(self) -> Counter[str]:
        """Return how often each alert was taken."""
        return Counter(self.taken.items)

    @property
    def is_there(self) -> bool:
        """Say whether it takes alerts now."""
        return self._runner is not None

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Take nothing any more, as when the line is cut."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def mend(self) -> None:
        """Take alerts, at the port of before."""
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_post("/alerts", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            alert_id = msgspec.json.decode(body, type=_Named).alert_id
        except msgspec.DecodeError:
            return web.Response(status=400)
        receipt = Receipt(
            alert_id,
            hashlib.sha256(body).hexdigest(),
            f"rehearsal-{len(self.taken.items) + 1}",
            duplicate=alert_id in self.counts,
        )
        self.taken.add(alert_id)
        return web.Response(body=msgspec.json.encode(receipt), content_type="application/json")
