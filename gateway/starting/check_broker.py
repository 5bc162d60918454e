"""Start a post's broker for a moment, with the real files on free ports of loopback."""

import asyncio
import errno
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import structlog

from gateway.errors import BrokerError, GatewayError
from gateway.fleet.revocation import broker_lines
from gateway.ingest.broker import Broker, check_port, find_program
from gateway.lock import is_running
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import NodeListenerSettings, Settings
from gateway.starting.findings import Found

BROKER_S_MAX: Final = 15.0  # to start and to shake hands once


def check_broker(loaded: Settings) -> Iterator[Found]:
    """Start the broker with the real files on free ports of loopback, and connect to it once."""
    if loaded.broker.external:
        yield Found(
            "broker",
            f"the broker at {loaded.broker.host}:{loaded.broker.port} is external and was not"
            " asked; `harmattan run` says whether it answers",
            is_fault=False,
        )
        return
    try:
        find_program(loaded.broker.program)
    except GatewayError as error:
        yield Found("broker", str(error))
        return
    yield from _check_ports(loaded)
    complaints: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="harmattan-check-") as place:
            if os.geteuid() == 0:  # what is tried is whether `nobody` may read the post's files
                Path(place).chmod(0o755)
            asyncio.run(_try_broker(loaded, Path(place), _collecting(complaints)))
    except (GatewayError, OSError) as error:
        told = str(error).removesuffix("; it is started again")
        before = "".join(f"; {text}" for text in dict.fromkeys(complaints) if text not in told)
        yield Found("broker", f"{told}{before}")


def _check_ports(loaded: Settings) -> Iterator[Found]:
    """Look whether the broker may listen where the settings say."""
    if is_running(Path(loaded.directory)):
        return  # its own broker has them
    broker = loaded.broker
    for host, port, setting in (
        (broker.host, broker.port, "broker.port"),
        (broker.nodes.host, broker.nodes.port, "broker.nodes.port"),
    ):
        try:
            if host:
                check_port(host, port, setting)
        except BrokerError as error:
            about = error.__cause__
            # Whoever has the port now may have gone when the post starts.
            is_taken = isinstance(about, OSError) and about.errno == errno.EADDRINUSE
            yield Found("broker", str(error), is_fault=not is_taken)


def _collecting(complaints: list[str]) -> Log:
    """Return a log that keeps what the broker complains of."""

    def take(_: object, __: str, line: MutableMapping[str, Any]) -> NoReturn:
        if line.get("event") == "broker_log":
            complaints.append(str(line["text"]))
        raise structlog.DropEvent

    log: Log = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    return log


async def _try_broker(loaded: Settings, place: Path, log: Log) -> None:
    """Run the broker until it has answered.

    Raises:
        BrokerError: it does not start, or its certificate is not what nodes accept.
    """
    nodes = loaded.broker.nodes
    tried = msgspec.structs.replace(
        loaded.broker,
        host="127.0.0.1",
        port=_free_port(),
        nodes=msgspec.structs.replace(
            nodes, host="127.0.0.1" if nodes.host else "", port=_free_port()
        ),
    )
    broker = Broker(
        tried,
        place,
        counters=Counters(),
        log=log,
        post=loaded.post,
        nodes=[node.id for node in loaded.nodes],
        node_lines=lambda: broker_lines(loaded.broker),
    )
    running = asyncio.create_task(broker.run(), name="broker")
    ready = asyncio.create_task(broker.ready.wait(), name="ready")
    try:
        async with asyncio.timeout(BROKER_S_MAX):
            await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            if nodes.host:
                try:
                    await _shake_hands(tried.nodes)
                except OSError:  # it takes connections before it has read all its files
                    await running
    except TimeoutError:
        raise BrokerError(
            f"broker program {tried.program!r} does not answer within {BROKER_S_MAX:g} s; is this"
            " computer overloaded?"
        ) from None
    finally:
        ready.cancel()
        running.cancel()
        await asyncio.gather(running, ready, return_exceptions=True)


async def _shake_hands(nodes: NodeListenerSettings) -> None:
    """Connect as far as a node without a certificate comes: it knows the broker by then.

    Raises:
        BrokerError: a node would not accept the broker.
    """
    context = ssl.create_default_context(cafile=nodes.ca_file)
    context.check_hostname = False  # by which name nodes go is in their own settings
    try:
        _, writer = await asyncio.open_connection(nodes.host, nodes.port, ssl=context)
        writer.close()
    except ssl.SSLCertVerificationError as error:
        raise BrokerError(
            f"nodes would refuse the broker's certificate: {error.verify_message}; look at its"
            f" dates and at {nodes.ca_file}"
        ) from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
