"""The node's program: `micropython main.py DIR` on a host; MicroPython itself starts it on a board.

DIR holds node.json; there too lie the saved config and the journal, unless the board has a
partition for them. Exit status: 0 stopped as asked, 2 cannot start as told, 3 wants to be started
again (a board then resets itself).
"""

import asyncio
import gc
import sys
import time

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, Boot, Given

# Collect after a thirty-second of the heap, from the first import on: what lives long then lies
# close together and leaves room in one piece for the large buffers. A large heap takes long to
# sweep, and has no need of it so often.
gc.threshold((gc.mem_alloc() + gc.mem_free()) // 32)
_ON_HOST = sys.platform in ("linux", "darwin")
if _ON_HOST:  # on a board protocol/ lies beside node/
    sys.path.insert(1, (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/..")

from node import boots, limits, supervisor  # noqa: E402 - the path comes first
from node.errors import NodeError, SettingsError  # noqa: E402


def load_board(name: str, folder: str) -> "Board":
    """Return the Board of module `boards.NAME`.

    Raises:
        SettingsError: there is no such board.
    """
    try:
        module = __import__("boards.%s" % name, None, None, ("Board",))
        make = getattr(module, "Board", None)  # None: a module that boards share
    except ImportError:
        make = None
    if make is None:
        raise SettingsError("node.json: board is %r; use unix, esp32_s3 or pico2_w" % name)
    return make(folder)  # type: ignore[no-any-return]  # by name


def run(board: "Board", given: "Given", boot: "Boot") -> int:
    """Run the node; return the exit status."""
    boot.begin("program")
    board.start_watchdog(given["watchdog_s"], boot.starved)
    if boot.crash_count >= boots.MUTE_BOOTS:
        board.log("safe mode crashes: %s; start in %d s" % (boot.words, limits.MUTE_MS // 1000))
        for _ in range(limits.MUTE_MS // limits.MUTE_STEP_MS):  # reachable with a cable
            board.feed_watchdog()
            time.sleep_ms(limits.MUTE_STEP_MS)
    board.feed_watchdog()
    from node.node import Node  # noqa: PLC0415 - within what is guarded and watched

    board.feed_watchdog()
    gc.collect()  # the large buffers come next, and find one piece
    node = Node(board, given, boot)
    board.hold_signals()
    try:
        is_restarting = asyncio.run(node.run())
    finally:
        board.laser_line(0)  # Ctrl-C, or an error of the loop itself: no task has its way out then
    if is_restarting:
        board.reset()
    return 0


def prepare(folder: str) -> "tuple[Given, Board]":
    """Return the settings in `folder` and its board; what reads settings is needed only here.

    Raises:
        SettingsError: they cannot be used.
    """
    from node import settings  # noqa: PLC0415

    given = settings.load(folder + "/node.json")
    board = load_board(given["board"], folder)
    board.BUDGET = settings.fit(board, given)
    del sys.modules["node.settings"], sys.modules["node"].settings
    del sys.modules["node.whole"], sys.modules["node"].whole
    return given, board


def start(folder: str) -> int:
    """Run the node that lies in `folder`; return the exit status."""
    try:
        given, board = prepare(folder)
    except NodeError as error:
        return refuse(error)
    boot = boots.Boot(
        folder,
        board.reset_cause(),
        time.ticks_ms,
        time.ticks_diff,
        board.log,
        board.CRASH_CAUSES,
    )

    def crashed(error: Exception) -> int:
        if isinstance(error, SettingsError):  # a person must mend it: starting again would not
            if not _ON_HOST:
                boot.hung("settings", str(error))  # the watchdog runs: safe mode will tell it
            return refuse(error)
        board.log("the node crashed: %s" % boot.crashed(error))
        board.reset()
        return 1

    return supervisor.guarded(lambda: run(board, given, boot), crashed)


def refuse(error: Exception) -> int:
    """Say why the node cannot start; return the exit status."""
    print("error: %s" % error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    if not _ON_HOST:
        start("")
    elif len(sys.argv) == 2:
        sys.exit(start(sys.argv[1]))
    else:
        print("usage: micropython main.py DIR", file=sys.stderr)
        sys.exit(2)
