"""What the person at the terminal sees, and the running of other programs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HEARTBEAT_S = 10.0  # a longer silence makes people press Ctrl-C
OUTPUT_LINES_MAX = 12  # the end of a failed program's output is where the reason stands


class SetupError(Exception):
    """Something cannot be had; the text says what is wrong and what to do, in one sentence.

    Args:
        text: the sentence.
        output: the last lines a failed program wrote, shown above the sentence.
    """

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"harmattan: {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took when it is done."""
    say(f"{text} ...")
    begin = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - begin:.0f} s")


def run(
    command: Sequence[str | Path],
    *,
    remedy: str,
    seconds_max: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and give what it printed.

    Args:
        command: program and arguments.
        remedy: what a person can do when it fails, a clause that follows a semicolon.
        seconds_max: deadline; the program and its children are killed when it passes.
        cwd: folder to run it in.
        env: variables set in addition to the present ones.

    Returns:
        Standard output and standard error, as they came.

    Raises:
        SetupError: it is not there, failed, or did not end in time.
    """
    words = [str(word) for word in command]
    shown = shlex.join(words)
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its children end with it
        )
    except OSError as error:
        raise SetupError(f"cannot start {shown}: {error.strerror}; {remedy}") from error
    try:
        output = _wait(child, seconds_max)
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"{shown} did not end within {seconds_max:.0f} s; {remedy}", _tail(error.output)
        ) from error
    finally:
        if child.poll() is None:  # deadline or Ctrl-C
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if child.returncode != 0:
        raise SetupError(f"{shown} failed (status {child.returncode}); {remedy}", _tail(output))
    return output.decode(errors="replace")


def _wait(child: subprocess.Popen[bytes], seconds_max: float) -> bytes:
    begin = time.monotonic()
    while True:
        left = begin + seconds_max - time.monotonic()
        try:
            return child.communicate(timeout=max(0.0, min(HEARTBEAT_S, left)))[0]
        except subprocess.TimeoutExpired:
            if left <= HEARTBEAT_S:
                raise
            say(f"  still at it after {time.monotonic() - begin:.0f} s")


def _tail(output: bytes | None) -> str:
    lines = (output or b"").decode(errors="replace").rstrip().splitlines()
    return "\n".join(lines[-OUTPUT_LINES_MAX:])


def complain(error: SetupError) -> None:
    """Print what went wrong: the failed program's last lines, then the sentence."""
    for line in error.output.splitlines():
        print(f"  | {line}", file=sys.stderr)
    print(f"harmattan: {error}", file=sys.stderr, flush=True)
