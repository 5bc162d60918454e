"""Where Prometheus asks for the metrics: HTTP on loopback, and nowhere else.

No part of the post waits for it, and asking often costs little: an answer is kept for a moment.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gateway.errors import TransientError

HOST: Final = "127.0.0.1"
KEPT_S: Final = 1.0  # far below any interval between scrapes
ANSWER_S_MAX: Final = 5.0  # Prometheus gives up after 10
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BEAT_S: Final = 5.0
_HOSTS: Final = frozenset({HOST, "localhost", "[::1]"})


class Scrape:
    """Serves `GET /metrics`.

    Args:
        port: of HOST.
        answer: returns the metrics; None: that failed.
        beat: called now and then: it turns.
    """

    def __init__(
        self, port: int, answer: Callable[[], Awaitable[bytes | None]], beat: Callable[[], None]
    ) -> None:
        self._port = port
        self._answer = answer
        self._beat = beat
        self._kept: tuple[float, bytes] | None = None
        self._asking = asyncio.Lock()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            TransientError: the port cannot be used.
        """
        application = web.Application(client_max_size=1_024)
        application.router.add_get("/metrics", self._serve)
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=30.0)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, HOST, self._port, backlog=16).start()
            except OSError as error:
                raise TransientError(
                    f"observe.metrics_port {self._port} on {HOST} cannot be used:"
                    f" {error.strerror or error}; choose another in the settings, or 0 for none"
                ) from error
            while True:
                self._beat()
                await asyncio.sleep(BEAT_S)
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        # A page in a browser on this computer must not read them under a name of its own.
        if (request.host or "").rpartition(":")[0] not in _HOSTS and request.host not in _HOSTS:
            raise web.HTTPForbidden(text="ask for 127.0.0.1\n")
        async with self._asking:
            now_s = asyncio.get_running_loop().time()
            if self._kept is None or now_s - self._kept[0] > KEPT_S:
                try:
                    async with asyncio.timeout(ANSWER_S_MAX):
                        found = await self._answer()
                except TimeoutError:
                    raise web.HTTPServiceUnavailable(text="the disk does not answer\n") from None
                if found is None:
                    raise web.HTTPServiceUnavailable(text="it failed; the log says why\n")
                self._kept = (now_s, found)
            body = self._kept[1]
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
