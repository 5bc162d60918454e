"""The driver on a simulated instrument: `ocean_ascii_story.py REPOSITORY FOLDER SETTINGS STEP...`.

SETTINGS is JSON; a step that fails prints its named error; `reopen` is what a node does after one.
"""
# ruff: noqa: T201, FBT003

import asyncio
import json
import sys

REPOSITORY, FOLDER, SETTINGS = sys.argv[1:4]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from drivers.ocean_ascii.driver import Driver  # noqa: E402
from node.errors import InstrumentError  # noqa: E402


async def step(driver, name, integration_us, scans):
    """Do one step and print what came of it."""
    if name == "open":
        await driver.open()
    elif name == "reopen":
        await driver.close()
        await driver.open()
    elif name == "identify":
        found = await driver.identify()
        print(
            *(name, found.model, found.serial, found.pixel_count, found.full_scale_counts),
            *(found.coefficients_f32le.hex(), found.nonlinearity_f32le.hex()),
        )
    elif name in ("sample", "dark"):
        await driver.measure(integration_us, scans, name == "sample")
        print(name, bytes(driver.pixels).hex(), driver.temperature_mc, driver.unverified)
    elif name == "cancelled":
        task = asyncio.create_task(driver.measure(1_500_000, 1, True))
        await asyncio.sleep_ms(500)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
    elif name == "off":
        await driver.laser_off()
        print("off")
    elif name == "wait":
        await asyncio.sleep_ms(500)
    elif name == "close":
        await driver.close()


async def main():
    settings = json.loads(SETTINGS)
    board = Board(FOLDER)
    board.BUDGET = board.BUDGET.copy()
    board.BUDGET["pixels_bytes_max"] = 2 * settings["pixels_max"]
    driver = Driver(board, settings)
    for name in sys.argv[4:]:
        try:
            await step(driver, name, settings["integration_us"], settings["scans"])
        except InstrumentError as error:
            text = str(error).replace(settings["port"], "PORT")
            print("error", error.__class__.__name__, text)


asyncio.run(main())
