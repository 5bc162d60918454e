"""The driver on an instrument the test plays; steps are arguments, results are lines.

An argument `key=value` is a setting of node.json, the value as JSON.
"""
# ruff: noqa: T201, FBT003

import asyncio
import json
import sys

REPOSITORY, FOLDER, PORT, BAUD = sys.argv[1:5]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from node.errors import InstrumentError  # noqa: E402
from node.loading import load_driver  # noqa: E402
from node.settings import check, fit  # noqa: E402

CHANGES = [argument for argument in sys.argv[5:] if "=" in argument]
STEPS = [argument for argument in sys.argv[5:] if "=" not in argument]
INSTRUMENT = {"port": PORT, "baud": int(BAUD)}
for change in CHANGES:
    key, value = change.split("=")
    INSTRUMENT[key] = json.loads(value)
GIVEN = check({"post": "p", "node": "n", "broker": {"host": "127.0.0.1"}, "instrument": INSTRUMENT})
SETTINGS = GIVEN["instrument"]


async def cancel(driver, is_begun):
    """Cancel an exposure after a while, or shortly after the driver has asked for it."""
    task = asyncio.create_task(driver.measure(2_000_000 if is_begun else 5_000_000, 1, True))
    if is_begun:
        while not driver._busy_ms:
            await asyncio.sleep_ms(10)
    await asyncio.sleep_ms(50 if is_begun else 500)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")


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
    elif name in ("whole", "odd"):
        await driver.measure(25_000 + 9 * (name == "odd"), 1, True)
        print(bytes(driver.pixels).hex(), driver.temperature_mc)
    elif name == "facts":
        found = await driver.identify()
        print(
            found.model,
            found.full_scale_counts,
            found.integration_us_range,
            found.nonlinearity_f32le.hex() if found.nonlinearity_f32le else "-",
        )
    elif name == "caution":
        await driver.identify()
        print(driver.caution.__class__.__name__, str(driver.caution).replace(PORT, "PORT"))
    elif name in ("cancelled", "given_up"):
        await cancel(driver, name == "given_up")
    elif name == "close":
        await driver.close()


async def main():
    board = Board(FOLDER)
    board.BUDGET = fit(board, GIVEN)
    driver = load_driver(SETTINGS["driver"], "spectrometer")(board, SETTINGS)
    for name in STEPS:
        try:
            await step(driver, name)
        except InstrumentError as error:
            print(error.__class__.__name__, str(error).replace(PORT, "PORT"))
            if name in ("open", "identify", "facts", "caution"):
                break


asyncio.run(main())
