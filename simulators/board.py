"""What a board does when its program ends: it starts it again, and the program can ask why.

`python -m simulators.board DIR` runs the node in DIR like that, in place of a bare MicroPython.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

RESET_VARIABLE = "HARMATTAN_RESET_CAUSE"  # what the unix board takes its reset cause from
POWER_ON, HARD_RESET, WATCHDOG = 1, 2, 3  # MicroPython's numbers
RESET_STATUS = 3  # of a program that wants to be started again
# Whoever ends the program from outside cuts its power; any other signal is a fault of its own, and
# on a board it would be the watchdog that ends it.
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def reset_cause(status: int) -> int | None:
    """Return the cause that the next start is told.

    Args:
        status: how the program ended; negative: the signal that ended it.

    Returns:
        POWER_ON, HARD_RESET or WATCHDOG; None: it ended for good.
    """
    if status < 0:
        return POWER_ON if -status in _FROM_OUTSIDE else WATCHDOG
    return HARD_RESET if status == RESET_STATUS else None


def main() -> int:
    """Run the node that the command line names until it ends for good; return its exit status."""
    from simulators.node import FIRMWARE, HEAP, find_micropython  # noqa: PLC0415 - it needs us

    parser = argparse.ArgumentParser(prog="python -m simulators.board", description=__doc__)
    parser.add_argument("directory", type=Path, help="with node.json")
    parser.add_argument("--heap", default=HEAP, help="of MicroPython (default: %(default)s)")
    given = parser.parse_args()
    command = [find_micropython(), "-X", f"heapsize={given.heap}"]
    cause: int | None = POWER_ON
    while True:
        environment = {**os.environ, RESET_VARIABLE: str(cause)}
        child = subprocess.Popen([*command, FIRMWARE, given.directory], env=environment)
        # Asked to end, the node says goodbye; without this it would be left behind.
        signal.signal(signal.SIGTERM, lambda *_, child=child: child.terminate())
        try:
            status = child.wait()
        except KeyboardInterrupt:  # the node has it, too, and says goodbye
            return child.wait()
        cause = reset_cause(status)
        if cause is None or cause == POWER_ON:
            return status
        print(f"the board resets, cause {cause}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
