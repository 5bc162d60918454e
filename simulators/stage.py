"""What the programs that bring up a whole lane share: its folder, what cannot be had, their end."""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from simulators.errors import WorldError
from simulators.programs import ProgramError

Performance = Callable[[Path, Console], Coroutine[Any, Any, bool]]


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add the option `--directory`."""
    parser.add_argument(
        "--directory",
        type=Path,
        help="where to keep everything that is written (default: a new folder under "
        f"{tempfile.gettempdir()}, removed when all is right)",
    )


def perform(name: str, kept: Path | None, performance: Performance) -> int:
    """Run a lane and return the program's exit status.

    Args:
        name: of the program, for complaints.
        kept: where everything that is written is kept; None: nowhere, if all is right.
        performance: says whether all was right.

    Returns:
        0: all was right, 1: something was not, 2: something needed is missing.
    """
    console = Console(highlight=False, soft_wrap=True)
    is_right = False
    directory = kept
    try:
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix=f"harmattan-{name}-"))
        is_right = asyncio.run(performance(directory, console))
    except (ProgramError, WorldError, TimeoutError, OSError) as error:
        why = str(error) or "the lane does not answer"  # a TimeoutError has no words
        sys.stderr.write(f"{name}: {why}\n")
        return 2
    except KeyboardInterrupt:
        console.print("stopped")
        is_right = True
    finally:
        if kept is None and directory is not None:
            _leave(name, directory, is_right=is_right)
    return 0 if is_right else 1


def _leave(name: str, directory: Path, *, is_right: bool) -> None:
    """Remove the folder that was made, or say where it is if it tells what went wrong."""
    with contextlib.suppress(OSError):
        if is_right:
            shutil.rmtree(directory)
        else:
            directory.rmdir()
    if directory.exists():
        sys.stderr.write(f"{name}: logs and databases are kept in {directory}\n")
