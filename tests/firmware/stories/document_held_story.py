"""A document reader whose loop is held up: `document_held_story.py REPOSITORY PORT`.

Says `heard` once a part of a zone is there, has the loop held up from then until a line comes on
standard input and for longer than the driver's pause after it; then prints what the driver gives.
"""
# ruff: noqa: T201

import asyncio
import sys
import time

REPOSITORY, PORT = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from drivers.document.driver import PAUSE_MS, Driver  # noqa: E402
from node.errors import Misread  # noqa: E402


async def hold_up(driver):
    while not driver._parser.is_pending:
        await asyncio.sleep_ms(1)
    print("heard")
    sys.stdin.readline()
    time.sleep_ms(PAUSE_MS + 100)


async def main():
    settings = {"port": PORT, "baud": 9_600, "prefix": "", "suffix": "", "repeat_ms": 1_000}
    driver = Driver(Board("."), settings)
    await driver.open()
    print("open")
    holding = asyncio.create_task(hold_up(driver))
    try:
        print(await driver.next(20_000))
    except Misread as error:
        print(error)
    await holding
    await driver.close()


asyncio.run(main())
