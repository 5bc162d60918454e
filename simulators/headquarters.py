"""A headquarters: receives alerts, stores them durably, and only then answers with a receipt.

It is what a post delivers to in drills and tests. It checks every field, knows an alert it has
seen by its id, refuses another body under the same id, and can be told to misbehave
(`simulators/faults.py`). One SQLite file holds everything; `kill -9` loses nothing it has
receipted. It listens on loopback only, because it speaks plain HTTP.

Interface
    POST /alerts   one alert as JSON, `Idempotency-Key` = its alert_id -> 200 with a receipt;
                   400, 409, 413, 422 = this alert is wrong; 503 = try later
    GET  /alerts   all alerts in the order of their arrival
    GET  /counts   what has happened, as JSON
"""

import argparse
import asyncio
import hashlib
import ipaddress
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw
import msgspec
from aiohttp import web

from simulators.authority import ALERTS_MAX, InvalidAlertError, Store, Stored, check_alert
from simulators.errors import FaultError, HeadquartersError
from simulators.faults import AUTHORITY_KINDS, Fault, FaultPlan, explain_faults, parse_fault
from simulators.helping import set_text

BODY_BYTES_MAX = 256 * 1024  # an alert with its evidence is a few kB
ANSWER_S_MAX = 10.0  # for the store's thread, which serves one delivery at a time
REQUEST_S_MAX = 30.0  # for a body to arrive
PORT_MAX = 65_535
STOP_S_MAX = 5.0  # for open requests when stopping
EXAMPLE = """\
example, the second line in another terminal (GET .../counts says what has happened):
  python -m simulators.headquarters --directory /tmp/authority --port 8099 --fault delay,seconds=2
  curl http://127.0.0.1:8099/alerts"""


class Receipt(msgspec.Struct, frozen=True):
    """The word that an alert is stored durably."""

    alert_id: str
    sha256: str
    receipt_id: str
    duplicate: bool


class Headquarters:
    """The authority as an asynchronous context.

    Args:
        directory: where its database lives; the same directory is the same authority.
        port: on `host`; 0 = any free one.
        host: a loopback address.
        faults: how it misbehaves, an occasion being one delivery.
        now_ms: wall clock, Unix milliseconds.

    Attributes:
        url: where to deliver.

    Raises:
        HeadquartersError: on entering: not a loopback address, a busy port, an unusable directory.
    """

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        faults: Sequence[Fault] = (),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.url = ""
        self._directory = directory
        self._host = host
        self._port = port
        self._now_ms = now_ms
        self._plan = FaultPlan(faults)
        # SQLite is met in one thread only, so that a sync never holds up the loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="headquarters")
        self._store: Store | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        check_loopback(self._host)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / "headquarters.sqlite"
            self._store = await self._in_thread(Store, path)
        except (OSError, apsw.Error) as error:
            raise HeadquartersError(
                f"cannot keep alerts in {self._directory}: {error}; choose a writable directory"
            ) from None
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.add_routes(
            [
                web.post("/alerts", self._receive),
                web.get("/alerts", self._list),
                web.get("/counts", self._show_counts),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S_MAX)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except OSError as error:
            await self._close()
            raise HeadquartersError(
                f"port {self._port} on {self._host} is not free ({error.strerror}); "
                "choose another, or 0 for any"
            ) from None
        port = self._runner.addresses[0][1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{port}/alerts"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._store is not None:
            await self._in_thread(self._store.close)
        self._thread.shutdown()

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        """Run a function of the store in the store's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    @property
    def store(self) -> Store:
        """The open store.

        Raises:
            HeadquartersError: the context is not entered.
        """
        if self._store is None:
            raise HeadquartersError("the headquarters is closed; use it in `async with`")
        return self._store

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts in the order of their arrival, with digest, receipt and deliveries."""
        return self._thread.submit(self.store.alerts).result(ANSWER_S_MAX)

    @property
    def counts(self) -> dict[str, int]:
        """How often what has happened: received, duplicate, conflict, malformed, faults by kind."""
        return self._thread.submit(self.store.counts).result(ANSWER_S_MAX)

    # ------------------------------------------------------------------------------- interface

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        """Take one delivery."""
        faults = {fault.kind: fault for fault in self._plan.next()}
        for kind in faults:
            await self._in_thread(self.store.count, f"fault_{kind}")
        if "delay" in faults:
            await asyncio.sleep(faults["delay"].seconds)
        if "unavailable" in faults:
            return _answer(503, {"error": "temporarily unavailable, try again"})
        if "lose_before" in faults:
            return _cut(request)
        try:
            body = await _read_body(request)
            alert = check_alert(body, request.headers.get("Idempotency-Key"))
            stored = await self._in_thread(self.store.save, alert.alert_id, body, self._now_ms())
        except InvalidAlertError as error:
            await self._in_thread(self.store.count, error.kind)
            return _answer(error.status, {"error": str(error)})
        if stored is None:
            await self._in_thread(self.store.count, "full")
            return _answer(503, {"error": f"{ALERTS_MAX} alerts are stored, there is no room"})
        if "lose_after" in faults:
            return _cut(request)
        return _confirm(alert.alert_id, body, stored, faults)

    async def _list(self, _: web.Request) -> web.Response:
        return _answer(200, await self._in_thread(self.store.alerts))

    async def _show_counts(self, _: web.Request) -> web.Response:
        return _answer(200, await self._in_thread(self.store.counts))


def check_loopback(host: str) -> None:
    """Make sure that plain HTTP stays inside this computer.

    Raises:
        HeadquartersError: `host` is no loopback address.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise HeadquartersError(
            f"host '{host}' is not a loopback address: this headquarters speaks plain HTTP; "
            "use 127.0.0.1 or ::1, and a TLS proxy before it for others"
        )


async def _read_body(request: web.Request) -> bytes:
    """The body of a delivery, bounded in size and time.

    Raises:
        InvalidAlertError: not JSON by its type, too large, or too slow.
    """
    if request.content_type != "application/json":
        raise InvalidAlertError(
            400, "malformed", f"Content-Type is '{request.content_type}', not application/json"
        )
    try:
        async with asyncio.timeout(REQUEST_S_MAX):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise InvalidAlertError(
            413, "malformed", f"body is larger than {BODY_BYTES_MAX} bytes"
        ) from None
    except TimeoutError:
        raise InvalidAlertError(
            400, "malformed", f"body did not arrive within {REQUEST_S_MAX:g} s"
        ) from None


def _confirm(
    alert_id: str, body: bytes, stored: Stored, faults: Mapping[str, Fault]
) -> web.Response:
    """The receipt, or what a fault makes of it."""
    if "malformed" in faults:
        return web.Response(body=b'{"alert_id": ', content_type="application/json")
    digest = hashlib.sha256(body + (b" " if "digest" in faults else b"")).hexdigest()
    receipt = Receipt(alert_id, digest, stored.receipt_id, stored.is_duplicate)
    return web.Response(body=msgspec.json.encode(receipt), content_type="application/json")


def _answer(status: int, content: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json"
    )


def _cut(request: web.Request) -> web.Response:
    """Drop the connection in the middle of the exchange."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


# ------------------------------------------------------------------------------------ the command


async def serve(options: argparse.Namespace, faults: Sequence[Fault]) -> None:
    """Run until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Headquarters(options.directory, options.port, faults=faults) as headquarters:
        print(headquarters.url, flush=True)
        print(
            f"deliver alerts with POST to this address, read them back with GET; they are kept in "
            f"{options.directory}. Ctrl-C ends.",
            file=sys.stderr,
            flush=True,
        )
        await stop.wait()


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.headquarters",
        description=set_text(
            "An authority that receives alerts on 127.0.0.1 and answers with receipts. The first "
            "line on standard output is its address. Ctrl-C ends."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{explain_faults(AUTHORITY_KINDS, 'deliveries')}\n\n{EXAMPLE}",
    )
    parser.add_argument("--directory", type=Path, required=True, help="where alerts are kept")
    parser.add_argument("--port", type=_port, default=0, help="0 = any free one (default)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[,KEY=VALUE]...",
        help="how it misbehaves, such as unavailable,times=3; see below (repeatable)",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"'{text[:20]}': give 0 to {PORT_MAX}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 2 = cannot start."""
    options = build_parser().parse_args(arguments)
    try:
        faults = [parse_fault(text, AUTHORITY_KINDS) for text in options.fault]
        asyncio.run(serve(options, faults))
    except (FaultError, HeadquartersError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
