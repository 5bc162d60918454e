"""Power cuts in bulk: ``python -m tests.gateway.crash --images 1000000``.

Plays a story with every single fault of the disk (`faults.py`). Then plays the stories of `cuts.py`
with one seed after the other, rebuilds the disks that a cut at every operation may leave, and
starts the gateway on each. The first broken promise ends it and says what repeats it. The last line
is one JSON object.
"""
# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from tests.gateway.crash import faults
from tests.gateway.crash.bulk import cut_many, cut_story, fail_everywhere
from tests.gateway.crash.cuts import STORIES
from tests.gateway.crash.promises import BrokenPromiseError
from tests.gateway.crash.recorder import Fault


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.crash", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="at least so many")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--drawn", type=int, default=2, help="drawn images per operation")
    parser.add_argument("--faults", choices=("none", "brief", "life"), default="brief")
    parser.add_argument("--repeat", metavar="STORY:SEED:DRAWN:IMAGE", help="check one image again")
    parser.add_argument("--fail", metavar="STORY:SEED:KIND:AT:once|ever", help="one fault again")
    given = parser.parse_args()
    begun_s = time.monotonic()
    try:
        if given.repeat:
            story, *numbers = given.repeat.split(":")
            seed, drawn, image = map(int, numbers)
            cut_story(story, seed, drawn, image, 1)
            print(json.dumps({"kept": True, "images": 1}))
            return 0
        if given.fail:
            story, told, kind, at, lasts = given.fail.split(":")
            faults.fail(STORIES[story], int(told), Fault(kind, int(at), lasts == "ever"))
            print(json.dumps({"kept": True, "faults": 1}))
            return 0
        failed = 0
        if given.faults != "none":
            failed = fail_everywhere(seed=given.seed, jobs=given.jobs, long=given.faults == "life")
        begun_s = time.monotonic()
        operations, made = cut_many(
            given.images, seed=given.seed, drawn=given.drawn, jobs=given.jobs
        )
    except BrokenPromiseError as error:
        print(error, file=sys.stderr)
        print(json.dumps({"kept": False, "text": str(error)}))
        return 1
    lasted_s = time.monotonic() - begun_s
    for story in made:
        print(f"{story:12} {operations[story]:6} operations {made[story]:9} images")
    told = {
        "kept": True,
        "faults": failed,
        "images": made.total(),
        "by_story": dict(made),
        "operations": dict(operations),
        "seconds": round(lasted_s, 1),
        "images_per_s": round(made.total() / lasted_s, 1),
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
