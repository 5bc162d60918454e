"""Power cuts in bulk: ``python -m tests.firmware.crash --cuts 200000``.

Plays the stories of `stories.py` with one seed after the other on a real MicroPython with its own
littlefs until so many cuts were made, and says how many there were of each story and how fast. The
first broken promise ends it with what repeats it.
"""
# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import count, islice
from pathlib import Path

from gateway.ingest.program import locate

REPOSITORY = Path(__file__).resolve().parents[3]
REPLAY = Path(__file__).with_name("replay.py")
STORIES = ("append", "evict", "receipt", "config", "rollover")
HEAP = "4m"  # the flash and its operations lie on it
STORY_S_MAX = 600.0  # far beyond what one story needs


class PromiseBrokenError(Exception):
    """A power cut lost something; the text names story, seed and cut."""


def replay(
    micropython: str, story: str, seed: int, first: int = 0, cuts: int = 1 << 30, spoil: str = ""
) -> int:
    """Cut one story everywhere; return how many cuts there were.

    Args:
        micropython: path of the interpreter.
        story: one of STORIES.
        seed: of its sizes and orders.
        first: number of the first cut.
        cuts: at most so many.
        spoil: how to break the firmware on purpose, see `replay.py`.

    Raises:
        PromiseBrokenError: a check failed.
    """
    told = [micropython, "-X", f"heapsize={HEAP}", str(REPLAY), str(REPOSITORY), story, str(seed)]
    done = subprocess.run(
        [*told, str(first), str(cuts), *([spoil] if spoil else [])],
        capture_output=True,
        text=True,
        timeout=STORY_S_MAX,
        check=False,
    )
    if done.returncode:
        raise PromiseBrokenError(
            f"story {story}, seed {seed}: {done.stdout.strip()}\n{done.stderr.strip()[-2000:]}"
        )
    return int(done.stdout.split()[1])


def replay_many(micropython: str, cuts: int, first_seed: int, jobs: int) -> Counter[str]:
    """Cut every story, then seed after seed, until `cuts` are made; return them by story.

    Raises:
        PromiseBrokenError: a check failed.
    """
    made: Counter[str] = Counter()
    work: Iterator[tuple[str, int]] = (
        (story, seed) for seed in count(first_seed) for story in STORIES
    )
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[int], str] = {}
        begun = 0
        while running or made.total() < cuts:
            if made.total() < cuts or begun < len(STORIES):
                for story, seed in islice(work, jobs - len(running)):
                    begun += 1
                    running[pool.submit(replay, micropython, story, seed)] = story
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                made[running.pop(ended)] += ended.result()
    return made


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.firmware.crash", description=__doc__)
    parser.add_argument("--cuts", type=int, default=20_000, help="at least so many")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--jobs", type=int, default=2, help="interpreters at once")
    given = parser.parse_args()
    micropython = locate("micropython")
    if micropython is None:
        print("micropython is neither on PATH nor in .tools/bin; run `make tools`", file=sys.stderr)
        return 2
    begun_s = time.monotonic()
    try:
        made = replay_many(micropython, given.cuts, given.seed, given.jobs)
    except PromiseBrokenError as error:
        print(error, file=sys.stderr)
        return 1
    lasted_s = time.monotonic() - begun_s
    for story in STORIES:
        print(f"{story:10} {made[story]:8} cuts")
    print(f"{made.total()} cuts, no promise broken, {made.total() / lasted_s:.0f} cuts/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
