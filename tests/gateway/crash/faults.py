"""Let any one operation on files fail, once or for ever, and hold the gateway to its promises.

`once`: the gateway finishes its story as if nothing had been. For ever: it gives steps up, loses
nothing, has out every alert that it had made and can read, and finishes its story in the same
process when the fault ends. In both cases the power goes once more at some moment of it all.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError
from tests.gateway.crash import clock, images
from tests.gateway.crash.cuts import Story, folder
from tests.gateway.crash.promises import (
    BrokenPromiseError,
    Promised,
    check,
    insist,
    insist_whole,
)
from tests.gateway.crash.recorder import KINDS, Fault, Recorder, quiet
from tests.gateway.crash.stories import Post

CUTS_AFTER = 4  # a disk that is well again is cut at so many moments
AFTER = 60  # operations: that long the next start is at what the fault has left

READABLE = frozenset({"full", "short"})  # faults that let what is there be read


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many operations of a story each kind of fault can meet."""

    story: Story
    seed: int
    met: dict[str, int]

    def faults(self) -> list[Fault]:
        """Return every fault: each kind at each operation, once and for ever."""
        return [
            Fault(kind, at, lasts)
            for kind in KINDS
            for at in range(self.met[kind])
            for lasts in (False, True)
        ]


def count(story: Story, seed: int) -> Numbers:
    """Tell a story without faults and count what they could meet."""
    with folder() as place, clock.runner() as runner:
        images.lay_out(place, story.files(seed))
        recorder = Recorder(place)
        with recorder:
            runner.run(story.tell(Post(place, seed, recorder.mark, story.promised(seed).records)))
    return Numbers(story, seed, dict(recorder.met))


def fail(story: Story, seed: int, fault: Fault, cuts_after: int = CUTS_AFTER) -> None:
    """Tell a story with one fault in it.

    Args:
        story: to tell.
        seed: of it.
        fault: in it.
        cuts_after: how often the power goes once a lasting fault has ended.

    Raises:
        BrokenPromiseError: says of which fault.
    """
    with folder() as place, clock.runner() as runner, quiet():
        try:
            runner.run(_fail(place, story, seed, fault, cuts_after))
        except (BrokenPromiseError, GatewayError, AssertionError, ExceptionGroup) as error:
            lasts = "ever" if fault.lasts else "once"
            raise BrokenPromiseError(
                f"--fail {story.name}:{seed}:{fault.kind}:{fault.at}:{lasts}: {error!r}"
            ) from error


async def _fail(place: Path, story: Story, seed: int, fault: Fault, cuts_after: int) -> None:
    live, cut = place / "live", place / "cut"
    live.mkdir()
    cut.mkdir()
    images.lay_out(live, story.files(seed))
    recorder = Recorder(live, fault)
    with recorder:
        promised = story.promised(seed)

        def say(*words: object) -> None:
            recorder.mark(*words)
            promised.say(*words)

        post = Post(live, seed, say, promised.records)
        post.bears = fault.lasts
        await story.tell(post)
        told = [f"corrupt: {text}" for name, text in post.told if name == "journal_damaged"]
        insist(told)
        if fault.lasts:
            _insist_on_alerts(post, promised, fault)
            mended = len(recorder.log)
            recorder.mend()
            post.bears = False
            await post.reopen()
            await post.finish()
            await insist_whole(post, promised, seed)
            await post.close()
    rng, count = random.Random(f"{seed} {fault}"), len(recorder.log)
    stops = [rng.randrange(count)]
    if fault.lasts:  # the disk that is well again may hold for written what it has lost
        stops += [rng.randrange(mended, min(mended + AFTER, count)) for _ in range(cuts_after)]
    for number, stop in enumerate(stops):
        part = cut / str(number)
        part.mkdir()
        await _cut(part, story, seed, recorder.log[: stop + 1], rng)


def _insist_on_alerts(post: Post, promised: Promised, fault: Fault) -> None:
    """Insist that what was made has gone out, and once for each start, while the disk was full."""
    if fault.kind not in READABLE:
        return
    missing = set(promised.alerts) - set(post.authority.kept)
    insist([f"lost: alerts not sent while the disk is full: {sorted(missing)}"] if missing else ())
    again = post.authority.again
    insist([f"doubled: alerts sent over and over: {again}"] if again else ())


async def _cut(
    cut: Path, story: Story, seed: int, log: list[tuple[Any, ...]], rng: random.Random
) -> None:
    """Cut the power after these operations, and start the gateway on what is left."""
    disk, promised = images.Disk(story.files(seed)), story.promised(seed)
    for entry in log:
        if entry[0] == "mark":
            promised.say(*entry[1:])
        else:
            disk.do(entry)
    images.lay_out(cut, disk.cut(rng.choice(images.HOWS), rng))
    await check(cut, promised, seed, finish=False)
