"""Times the driver beside a bare reader of the same bytes; for MicroPython.

    reading.py ROOT FOLDER PORT BAUD ROUNDS

Prints one JSON object. Each round takes a spectrum twice over the same open port: with the driver,
and with a loop that writes the same requests and only counts what comes back. Beside both a task
watches how late it is woken. Of each spectrum that the driver gave the check sum is told.
"""

import asyncio
import binascii
import gc
import json
import sys
import time

ROOT, FOLDER, PORT, BAUD, ROUNDS = sys.argv[1:6]
sys.path[:0] = [ROOT, ROOT + "/firmware"]

from benchmarks.firmware.lateness import Lateness  # noqa: E402
from boards.unix import Board  # type: ignore[import-not-found]  # noqa: E402
from drivers.obp import frames  # type: ignore[import-not-found]  # noqa: E402
from drivers.obp.driver import Driver  # type: ignore[import-not-found]  # noqa: E402
from node.settings import check  # type: ignore[import-not-found]  # noqa: E402
from protocol.errors import ProtocolError  # noqa: E402

INTEGRATION_US, SCANS = 1_000, 1
WAIT_MS_MAX = 10_000  # for a whole spectrum
PAUSE_MS = 200  # before each turn, for what is left of the last one
# What `measure` asks, and the bytes of each answer.
REQUESTS = (
    (0x0011_0010, INTEGRATION_US.to_bytes(4, "little"), 4, 0),
    (0x0012_0010, SCANS.to_bytes(2, "little"), 4, 0),
    (0x0010_1100, b"", 0, 1),
    (0x0040_0001, b"\0", 0, 0),
)


class Shared(Board):  # type: ignore[misc]
    """The board, with the driver's port in `port`."""

    def open_serial(self, name: str, baud: int):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Open a port and keep it."""
        self.port = super().open_serial(name, baud)
        return self.port


async def timed(coroutine):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Return what a turn took, its worst lateness, the loop's own of it, when it began and ended.

    The first three in microseconds, the moments in nanoseconds since the epoch.
    """
    await asyncio.sleep_ms(PAUSE_MS)  # type: ignore[attr-defined]
    gc.collect()
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    begun_ns, begun_us = time.time_ns(), time.ticks_us()  # type: ignore[attr-defined]
    await asyncio.wait_for_ms(coroutine, WAIT_MS_MAX)  # type: ignore[attr-defined]
    took_us = time.ticks_diff(time.ticks_us(), begun_us)  # type: ignore[attr-defined]
    await asyncio.sleep_ms(3)  # type: ignore[attr-defined]  # a wake-up held up until now is late, too
    watching.cancel()
    return [took_us, lateness.worst_us, lateness.own_us, begun_ns, time.time_ns()]


class Bare:
    """Writes the driver's requests and counts what comes back."""

    def __init__(self, stream, pixel_bytes: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        self._stream = stream
        self._pieces = []
        for kind, data, flags, has_pixels in REQUESTS:
            answer_bytes = frames.FRAME_BYTES_MIN + has_pixels * pixel_bytes
            self._pieces.append((frames.build(kind, 1, data, flags), answer_bytes))
        self.line_bytes = sum([len(request) + answer for request, answer in self._pieces])
        self._buffer = bytearray(256)

    async def read(self) -> None:
        """Take one spectrum."""
        for request, answer_bytes in self._pieces:
            self._stream.write(request)
            await self._stream.drain()
            left = answer_bytes
            while left > 0:
                left -= await self._stream.readinto(self._buffer) or 0


async def main() -> None:
    """Take the turns and print what they took."""
    instrument = {"port": PORT, "baud": int(BAUD), "model": "sts"}
    broker = {"host": "127.0.0.1"}
    given = check({"post": "p", "node": "n", "broker": broker, "instrument": instrument})
    board = Shared(FOLDER)
    driver = Driver(board, given["instrument"])
    await driver.open()
    found = await driver.identify()
    await driver.measure(
        INTEGRATION_US, SCANS, laser_on=False
    )  # asks once whether there is a cooler
    size = 2 * found.pixel_count
    bare = Bare(board.port.stream, size)
    turns = []
    for _ in range(int(ROUNDS)):
        turn = await timed(driver.measure(INTEGRATION_US, SCANS, laser_on=False))  # type: ignore[no-untyped-call]
        if len(driver.pixels) != size or driver.unverified:
            raise ProtocolError("the driver read something else")
        crc = binascii.crc32(driver.pixels)
        turns.append({"driver": turn, "bare": await timed(bare.read()), "crc": crc})  # type: ignore[no-untyped-call]
    line_us = bare.line_bytes * 10_000_000 // int(BAUD) + INTEGRATION_US * SCANS
    print(json.dumps({"pixels": found.pixel_count, "line_us": line_us, "turns": turns}))
    await driver.close()


asyncio.run(main())
