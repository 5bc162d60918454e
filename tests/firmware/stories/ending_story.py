"""How the program ends while the laser's line is closed; one line each: what ended it, the line."""
# ruff: noqa: T201, E402, BLE001

import asyncio
import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

import main
import node.node
from boards.unix import Board
from node.shelf import exists


class Boot:
    """What `main.run` asks of it."""

    crash_count = 0

    def begin(self, _name):
        pass

    def starved(self):
        pass


class Node:
    """One with an exposure under way when it ends."""

    error = None

    def __init__(self, board, _given, _boot):
        self._board = board

    async def run(self):
        async def expose():
            try:
                self._board.laser_line(60_000)
                await asyncio.Event().wait()
            finally:
                print("never: nobody cancels it")

        self._task = asyncio.create_task(expose())
        await asyncio.sleep_ms(0)
        print("on", exists(FOLDER + "/laser.on"))
        if self.error is not None:
            raise self.error
        return False


node.node.Node = Node
for error in (KeyboardInterrupt(), SystemExit(), MemoryError(), ValueError(), None):
    Node.error = error
    board = Board(FOLDER)
    board.hold_signals = lambda: None
    try:
        main.run(board, {"watchdog_s": 0}, Boot())
    except BaseException as ended:
        print(ended.__class__.__name__, exists(FOLDER + "/laser.on"))
    else:
        print("by itself", exists(FOLDER + "/laser.on"))
    asyncio.new_event_loop()
