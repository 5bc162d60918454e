"""The command line of the setup."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from provision import environment, files, programs
from provision.terminal import SetupError, complain

STEPS = {"environment": environment.ensure_environment, "tools": programs.ensure_programs}


def main(root: str, arguments: list[str]) -> int:
    """Do the steps asked for.

    Args:
        root: the project's folder, absolute.
        arguments: of the command line.

    Returns:
        Exit status: 0 when everything asked for is in place.
    """
    parser = argparse.ArgumentParser(prog=".ci/setup.py", description="Set up .venv and .tools.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="environment, tools; default both")
    parser.add_argument("--check", action="store_true", help="say what is in place, change nothing")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.steps if name not in STEPS]
    if unknown:
        parser.error(f"there is no step {unknown[0]!r}; there are {', '.join(STEPS)}")
    if asked.check:
        return _check(Path(root), asked.steps or list(STEPS))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # what was started ends too
    try:
        with files.only_one(Path(root) / ".tools/lock"):
            for name in asked.steps or STEPS:
                STEPS[name](Path(root))
    except SetupError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain(SetupError("interrupted; run make again to go on"))
        return 130
    return 0


def _check(root: Path, steps: list[str]) -> int:
    found = [environment.describe(root)] if "environment" in steps else []
    found += programs.describe(root) if "tools" in steps else []
    for _, line in found:
        print(line)
    return 0 if all(there for there, _ in found) else 1
