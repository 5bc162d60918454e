"""What a board does when its program ends: it starts it again, and the program can ask why.

`python -m simulators.board DIR` runs the node in DIR like that, in place of a bare MicroPython.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from simulators.helping import set_rows
from simulators.programs import ProgramError

SWITCHES = {
    "button": "the push button: a sample",
    "hold": "the button held for three seconds: a calibration standard",
    "foot": "the foot switch: a sample",
}
EPILOG = """\
what the node says is on standard output, a line `signal NAME key=value ...` each; docs/node.md
lists them. Exit status: the node's; 2: it cannot be started.

example, with the spectrometer in another terminal and any broker or none:
  mkdir -p /tmp/node
  echo '{"post": "post-1", "node": "lane-1", "broker": {"host": "127.0.0.1", "port": 1883},
    "instrument": {"port": "/tmp/spectrometer", "baud": 115200, "laser_mw": 100}
    }' > /tmp/node/node.json
  python -m simulators.board /tmp/node
  button"""
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


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    from simulators.node import HEAP  # noqa: PLC0415 - it needs us

    parser = argparse.ArgumentParser(
        prog="python -m simulators.board",
        description="A board for the node in a folder: it starts it again when it resets itself or "
        "its watchdog bites, and tells it why.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="standard input is the node's switches, one a line:\n"
        f"{set_rows(SWITCHES)}\n\n{EPILOG}",
    )
    parser.add_argument("directory", type=Path, help="of the node, with its node.json")
    parser.add_argument("--heap", default=HEAP, help="of MicroPython (default: %(default)s)")
    return parser


def main() -> int:
    """Run the node that the command line names until it ends for good; return its exit status."""
    from simulators.node import FIRMWARE, find_micropython  # noqa: PLC0415 - it needs us

    given = build_parser().parse_args()
    try:
        micropython = find_micropython()
    except ProgramError as error:
        sys.stderr.write(f"board: {error}\n")
        return 2
    return _run([micropython, "-X", f"heapsize={given.heap}", FIRMWARE, given.directory])


def _run(command: list[str | Path]) -> int:
    """Run a node's program again and again, as its end demands; return the last exit status."""
    cause: int | None = POWER_ON
    while True:
        environment = {**os.environ, RESET_VARIABLE: str(cause)}
        child = subprocess.Popen(command, env=environment)
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
