"""Whether a broker answers: one that hangs has its connections taken by the kernel all the same.

It is asked by a CONNECT of an edition of MQTT that there is not, which leaves nothing behind. It is
well when it says anything to that, and when it ends the connection: who hangs does neither.
"""

import asyncio
import os
import socket
import ssl
from pathlib import Path
from typing import Final

HELLO: Final = b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00"
TURN_S: Final = 1.0  # of our own loop, by which a broker's silence is measured
POLL_S: Final = 0.1  # between two tries to find a place in its queue of connections
MUTE: Final = "takes connections and says nothing: it hangs"


async def connect(
    own: Path | None, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a broker, by a way that nobody else can fill where there is one.

    Args:
        own: the gateway's own socket file; None: there is none.
        host: its address.
        port: its port.

    Raises:
        OSError: it does not take connections.
    """
    if own is not None:
        ours = socket.socket(socket.AF_UNIX)
        try:
            ours.settimeout(0.0)
            ours.connect(os.fspath(own))  # at once or not; asyncio takes "try again" for "done"
        except OSError:
            ours.close()
            raise
        return await asyncio.open_unix_connection(sock=ours)
    return await asyncio.open_connection(host, port)


async def has_answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Greet the broker and wait until it says something; False when it ends the connection."""
    try:
        writer.write(HELLO)
        return bool(await reader.read(1))
    except OSError:
        return False
    finally:
        writer.close()


async def is_alive(own: Path | None, host: str, port: int, *, turns: int) -> bool:
    """Say whether a broker that should run takes connections and does anything with them.

    What cannot be tried, as with no file descriptor left, says nothing against it.

    Args:
        own: as `connect`.
        host: as `connect`.
        port: as `connect`.
        turns: for how many TURN_S it may be silent. Turns of our own loop are counted, not the
            clock: while the loop is held, by a disk or a debugger, its answer may be waiting.
    """
    asking = asyncio.create_task(_ask(own, host, port), name="broker-ask")
    try:
        for _ in range(turns):
            await asyncio.wait([asking], timeout=TURN_S)
            if asking.done():
                return True
        return False
    finally:
        asking.cancel()
        await asyncio.wait([asking])


async def _ask(own: Path | None, host: str, port: int) -> None:
    """Return when a broker has shown that it turns, or cannot be asked."""
    while True:
        try:
            reader, writer = await connect(own, host, port)
        except OSError as error:
            # So many wait that it takes no more, or it listens no longer and has not ended.
            if isinstance(error, BlockingIOError | ConnectionRefusedError):
                await asyncio.sleep(POLL_S)
                continue
            if own is None or not isinstance(error, FileNotFoundError):
                return
            own = None  # somebody has removed the file: by loopback, as other programs
            continue
        await has_answered(reader, writer)
        return


def fault_of(host: str, port: int, s_max: float, context: ssl.SSLContext | None = None) -> str:
    """Say why a broker does not answer; empty when it does, or ends the connection.

    Args:
        host: its address.
        port: its port.
        s_max: how long to wait at each step, seconds.
        context: of TLS, where it speaks that; None: it does not.
    """
    try:
        with socket.create_connection((host, port), timeout=s_max) as plain:
            try:
                if context is None:
                    return _greet(plain)
                with context.wrap_socket(plain, server_hostname=host) as secured:
                    return _greet(secured)
            except TimeoutError:
                return MUTE
    except (ConnectionResetError, BrokenPipeError):
        return ""
    except OSError as error:
        return error.strerror or str(error)


def _greet(connected: socket.socket) -> str:
    connected.sendall(HELLO)
    connected.recv(1)
    return ""
