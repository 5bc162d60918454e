"""Many scales side by side: each line is what one of them did; orders come on standard input.

Arguments: name=port of each. An order is `NAME tare`, `NAME zero` or `NAME weigh`.
"""
# ruff: noqa: T201

import asyncio
import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from drivers.mt_sics.driver import Driver  # noqa: E402
from node.errors import InstrumentError  # noqa: E402
from protocol import messages  # noqa: E402

ACTIONS = {
    "tare": messages.ACTION_TARE,
    "zero": messages.ACTION_ZERO,
    "weigh": messages.ACTION_WEIGH,
}
AGAIN_MS = 50
WAIT_MS = 200
orders = {}


async def attend(name, port):
    """Do what a node does with a scale; after an error begin again."""
    board = Board(FOLDER)
    board.log = lambda line: print(name, "log", line.replace(port, "PORT"))
    driver, trouble = Driver(board, {"port": port, "baud": 9600}), ""
    while True:
        try:
            await driver.open()
            print(name, "identified", await driver.identify())
            while True:
                action = orders.pop(name, "")
                if action:
                    done, told, item = await driver.obey(ACTIONS[action])
                    print(name, action, done, told.replace(port, "PORT"), item)
                item = await driver.next(WAIT_MS)
                if item is not None:
                    print(name, "item", item)
                if driver.trouble != trouble:
                    trouble = driver.trouble
                    print(name, "trouble", trouble.replace(port, "PORT"))
        except InstrumentError as error:
            print(name, error.__class__.__name__, str(error).replace(port, "PORT"))
        finally:
            await driver.close()
        await asyncio.sleep_ms(AGAIN_MS)


async def main():
    for argument in sys.argv[3:]:
        name, port = argument.split("=")
        asyncio.create_task(attend(name, port))  # noqa: RUF006 - they live as long as the program
    commands = asyncio.StreamReader(sys.stdin)
    while True:
        line = await commands.readline()
        if not line:
            return
        name, action = line.decode().split()
        orders[name] = action


asyncio.run(main())
