"""Several readers side by side: each item and each error is a line, until its port goes away.

Arguments: a driver, and a file with a JSON list of settings. A line is the number of the settings,
then `open`, `item TYPE SYMBOLOGY CONTENT`, or `error NAME TEXT`; after one that ends it the reader
is closed.
"""
# ruff: noqa: T201, PTH123 - it runs on MicroPython

import asyncio
import json
import sys

REPOSITORY, FOLDER, FAMILY, SETTINGS = sys.argv[1:5]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from node.errors import InstrumentError, Misread  # noqa: E402
from node.loading import load_driver  # noqa: E402

WAIT_MS = 700  # less than a line that broke off is waited for


async def attend(number, driver):
    """Tell what comes until the port is lost."""
    try:
        await driver.open()
        print(number, "open")
        while True:
            try:
                item = await driver.next(WAIT_MS)
            except Misread as error:
                print(number, "error", error.__class__.__name__, error)
                continue
            if item is not None:
                event_type, symbology, content, mass_mg, stable = item
                assert mass_mg is None
                assert stable is None
                print(number, "item", event_type, symbology or "-", content.hex())
    except InstrumentError as error:
        print(number, "error", error.__class__.__name__, error)
    finally:
        await driver.close()


async def main(made, found):
    board = Board(FOLDER)
    await asyncio.gather(*[attend(nth, made(board, each)) for nth, each in enumerate(found)])


with open(SETTINGS) as file:
    settings = json.load(file)
asyncio.run(main(load_driver(FAMILY, "reader"), settings))
