"""The node's program: `micropython main.py DIR` on a host; MicroPython itself starts it on a board.

DIR holds node.json; there too lie the saved config and the journal, unless the board has a
partition for them. Exit status: 0 stopped as asked, 1 failed, 2 cannot start as told.
"""

import asyncio
import gc
import sys
import time

# Collect after a thirty-second of the heap, from the first import on: what lives long then lies
# close together and leaves room in one piece for the large buffers. A large heap takes long to
# sweep, and has no need of it so often.
gc.threshold((gc.mem_alloc() + gc.mem_free()) // 32)
_ON_HOST = sys.platform in ("linux", "darwin")
if _ON_HOST:  # on a board protocol/ lies beside node/
    sys.path.insert(1, (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/..")

from node import boots  # noqa: E402 - the path comes first
from node.errors import NodeError, SettingsError  # noqa: E402
from node.node import Node  # noqa: E402


def load_board(name: str, folder: str) -> object:
    """Return the Board of module `boards.NAME`.

    Raises:
        SettingsError: there is no such board.
    """
    try:
        return __import__("boards.%s" % name, None, None, ("Board",)).Board(folder)
    except ImportError:
        raise SettingsError("node.json: board is %r; use unix, esp32_s3 or pico2_w" % name)


def prepare(folder: str) -> "tuple[dict, object]":
    """Return the settings in `folder` and its board; what reads settings is needed only here.

    Raises:
        SettingsError: they cannot be used.
    """
    from node import settings  # noqa: PLC0415

    given = settings.load(folder + "/node.json")
    board = load_board(given["board"], folder)
    board.BUDGET = settings.fit(board.BUDGET, given["instrument"]["pixels_max"])
    del sys.modules["node.settings"], sys.modules["node"].settings
    return given, board


def start(folder: str) -> int:
    """Run the node that lies in `folder`; return the exit status."""
    try:
        given, board = prepare(folder)
        gc.collect()  # the large buffers come next, and find one piece
        node = Node(board, given)
    except NodeError as error:
        print("error: %s" % error, file=sys.stderr)
        return 2
    if boots.is_unsafe(node.boots_path):
        board.log("boots ended badly: the node starts in %d s" % (boots.SAFE_MS // 1000))
        time.sleep_ms(boots.SAFE_MS)
    board.hold_signals()
    asyncio.run(node.run())
    return 0


if __name__ == "__main__":
    if not _ON_HOST:
        start("")
    elif len(sys.argv) == 2:
        sys.exit(start(sys.argv[1]))
    else:
        print("usage: micropython main.py DIR", file=sys.stderr)
        sys.exit(2)
