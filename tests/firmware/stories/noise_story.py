"""A driver on a line that never falls quiet.

`noise_story.py REPOSITORY FOLDER FAMILY KIND SETTINGS`

The port is /dev/zero and then /dev/urandom: both take what is sent and always have more to read,
faster than any line. Prints for each the last error, `hung` or `went on`; how many milliseconds it
took; by how much the loop was kept from running at the worst; and by how many bytes the heap grew.
"""
# ruff: noqa: T201, PTH123, FBT003

import asyncio
import gc
import json
import sys
import time

REPOSITORY, FOLDER, FAMILY, KIND, SETTINGS = sys.argv[1:6]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.tty import Port  # noqa: E402
from boards.unix import Board  # noqa: E402
from node.errors import InstrumentError, Misread  # noqa: E402
from node.loading import load_driver  # noqa: E402

TURN_MS_MAX = 60_000
ITEMS_MAX = 20_000
WAIT_MS = 1_000


class NoisyBoard(Board):
    def open_serial(self, name, baud):
        return Port(name, baud, open(name, "r+b"))


class Watch:
    """How late the loop wakes whoever sleeps."""

    def __init__(self):
        self.worst_ms = 0

    async def run(self):
        while True:
            begun_ms = time.ticks_ms()
            await asyncio.sleep_ms(20)
            late_ms = time.ticks_diff(time.ticks_ms(), begun_ms) - 20
            self.worst_ms = max(self.worst_ms, late_ms)


async def use(driver):
    """Use it as a node does."""
    await driver.open()
    await driver.identify()
    for _ in range(ITEMS_MAX):
        if KIND == "spectrometer":
            await driver.measure(22_000, 1, True)
            continue
        try:
            await driver.next(WAIT_MS)
        except Misread:
            continue


async def main():
    board = NoisyBoard(FOLDER)
    settings = json.loads(SETTINGS)
    for name in ("/dev/zero", "/dev/urandom"):
        settings["port"] = name
        driver, watch = load_driver(FAMILY, KIND)(board, settings), Watch()
        watching = asyncio.create_task(watch.run())
        gc.collect()
        before_bytes, begun_ms = gc.mem_alloc(), time.ticks_ms()
        try:
            await asyncio.wait_for_ms(use(driver), TURN_MS_MAX)
            told = "went on"
        except InstrumentError as error:
            told = error.__class__.__name__ + " " + str(error)
        except TimeoutError:
            told = "hung"
        took_ms = time.ticks_diff(time.ticks_ms(), begun_ms)
        await driver.close()
        watching.cancel()
        gc.collect()
        print(took_ms, watch.worst_ms, gc.mem_alloc() - before_bytes, told)


asyncio.run(main())
