"""The driver on an instrument the test plays; steps are arguments, results are lines."""
# ruff: noqa: T201, FBT003

import asyncio
import sys

REPOSITORY, FOLDER, PORT, BAUD = sys.argv[1:5]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from drivers.obp.driver import Driver  # noqa: E402
from node.errors import InstrumentError  # noqa: E402


async def step(driver, name):
    """Do one step and print what came of it."""
    if name == "open":
        await driver.open()
    elif name == "identify":
        found = await driver.identify()
        coefficients = found.coefficients_f32le.hex()
        print(found.model, found.serial, found.pixel_count, found.full_scale_counts, coefficients)
    elif name in ("sample", "dark"):
        await driver.measure(20_000, 2, name == "sample")
        print(name, bytes(driver.pixels).hex()[:32], driver.temperature_mc, driver.unverified)
    elif name == "cancelled":
        task = asyncio.create_task(driver.measure(5_000_000, 1, True))
        await asyncio.sleep_ms(500)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
    elif name == "close":
        await driver.close()


async def main():
    driver = Driver(Board(FOLDER), {"port": PORT, "baud": int(BAUD), "model": ""})
    for name in sys.argv[5:]:
        try:
            await step(driver, name)
        except InstrumentError as error:
            print(error.__class__.__name__, str(error).replace(PORT, "PORT"))


asyncio.run(main())
