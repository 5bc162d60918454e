"""Many stories in many processes: every fault of one, and so many images of all."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count, islice

from tests.gateway.crash import faults
from tests.gateway.crash.cuts import BRIEF, LIFE, STORIES, cut_everywhere, record

PROGRESS_S = 5.0
PARTS = 64  # of the faults: a processor's work for some seconds


def cut_story(
    story: str, seed: int, drawn: int, first: int = 0, images: int = 1 << 60
) -> tuple[int, int]:
    """Cut one story everywhere; return its operations and how many images there were.

    Raises:
        BrokenPromiseError: a promise was not kept.
    """
    recording = record(STORIES[story], seed)
    made = cut_everywhere(recording, drawn=drawn, first=first, count=images)
    return recording.operations, made.total()


def fail_some(story: str, seed: int, part: int, parts: int) -> int:
    """Play a story with each of a part of its faults; return how many there were.

    Raises:
        BrokenPromiseError: a promise was not kept.
    """
    chosen = faults.count(STORIES[story], seed).faults()[part::parts]
    for fault in chosen:
        faults.fail(STORIES[story], seed, fault)
    return len(chosen)


def fail_everywhere(*, seed: int, jobs: int, long: bool) -> int:
    """Play a story with every single fault; return how many there were.

    Args:
        seed: of its sizes.
        jobs: processes at once.
        long: the whole life of a post instead of the brief story.

    Raises:
        BrokenPromiseError: a promise was not kept.
    """
    story, made = (LIFE if long else BRIEF).name, 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        parts = [pool.submit(fail_some, story, seed, part, PARTS) for part in range(PARTS)]
        for number, ended in enumerate(parts, start=1):
            made += ended.result()
            if number % 8 == 0:
                sys.stderr.write(f"{made} faults\n")
    return made


def cut_many(
    images: int, *, seed: int, drawn: int, jobs: int, told: bool = True
) -> tuple[Counter[str], Counter[str]]:
    """Cut every story, then seed after seed; return operations and images by story.

    Args:
        images: at least so many; a story that is begun is cut to its end.
        seed: the first.
        drawn: images per operation whose loose sectors are drawn.
        jobs: processes at once.
        told: say on standard error how far it is.

    Raises:
        BrokenPromiseError: a promise was not kept.
    """
    made: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    work: Iterator[tuple[str, int]] = (
        (story, number) for number in count(seed) for story in STORIES
    )
    begun_s = told_s = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running: dict[Future[tuple[int, int]], str] = {}
        begun = 0
        while running or made.total() < images:
            if made.total() < images or begun < len(STORIES):
                for story, number in islice(work, jobs - len(running)):
                    begun += 1
                    running[pool.submit(cut_story, story, number, drawn)] = story
            done, _ = wait(running, timeout=PROGRESS_S, return_when=FIRST_COMPLETED)
            for ended in done:
                story = running.pop(ended)
                told_operations, told_images = ended.result()
                operations[story] = max(operations[story], told_operations)
                made[story] += told_images
            now_s = time.monotonic()
            if told and now_s - told_s > PROGRESS_S:
                told_s = now_s
                rate = made.total() / (now_s - begun_s)
                sys.stderr.write(f"{made.total()} images, {rate:.0f} per second\n")
    return operations, made
