"""Standard output and error as a command needs them: what cannot be shown is no traceback.

A script may close them, a disk behind them may be full, a terminal may know few letters.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import Final, TextIO

from rich.console import Console

ESCAPE: Final = "harmattan-escape"  # name of the error handler below
OUTPUT_FAULTS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF}
)
STANDARD_FDS: Final = 3  # input, output, error


def prepare() -> None:
    """Make both streams take whatever is written to them, before anything else is opened."""
    _fill_gaps()
    # rich's own ends with 1.
    Console.on_broken_pipe = _raise_again  # type: ignore[assignment, method-assign]
    codecs.register_error(ESCAPE, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE)


def finish(stream: TextIO) -> str:
    """Write what still waits; return why that failed, empty when it did not.

    Args:
        stream: standard output as it was at first: typer puts another in its place once nobody
            reads it, and ends with 1.
    """
    try:
        stream.flush()
    except OSError as error:
        _give_up()
        return told(error)
    if sys.stdout is not stream:
        return told(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
    return ""


def told(error: OSError) -> str:
    """Return an error of the system in words; one that names no file is the output's."""
    if error.filename is None and error.errno in OUTPUT_FAULTS:
        return f"the output cannot be written: {error.strerror}"
    return str(error)


def complain(text: str) -> None:
    """Write a line to standard error; where that fails nobody is left to be told."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Return letters that a stream does not know as JSON writes them, which is still JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


def _raise_again(_: Console) -> None:
    """Let a pipe that nobody reads be the fault it is; rich calls this while it stands."""
    raise  # noqa: PLE0704


def _fill_gaps() -> None:
    """Take the places of streams that were closed: the next file opened would get them.

    What is written to a standard output that was closed fails, as it does with any other program.
    """
    is_closed = False
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor >= STANDARD_FDS:
            os.close(descriptor)
            break
        is_closed |= descriptor == 1
    if is_closed:
        blind = os.open(os.devnull, os.O_RDONLY)
        os.dup2(blind, 1)
        os.close(blind)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _give_up() -> None:
    """Let what waits go nowhere: the interpreter tries once more when it ends, and complains."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        with contextlib.suppress(OSError, ValueError):  # a stream of a test has no descriptor
            os.dup2(descriptor, sys.stdout.fileno())
    finally:
        os.close(descriptor)
