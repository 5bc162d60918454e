"""Cut the power at every operation of a story, and start the gateway on what is left."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError
from gateway.journal.store import FILE_NAME
from tests.gateway.crash import clock, damage, images
from tests.gateway.crash.players import NODES
from tests.gateway.crash.promises import BrokenPromiseError, Promised, check, of_older
from tests.gateway.crash.recorder import Recorder
from tests.gateway.crash.stories import Post
from tests.gateway.journal.released.files import NAMES, content_of

FINISH_EVERY = 32  # images whose story is gone on with to its end
NESTED_EVERY = 24  # whose power is cut a second time, while the gateway starts on it
KILLED_EVERY = 24  # where the gateway is killed, started again, and the power goes after that
STALE_EVERY = 4  # with an index of the write-ahead log that is of another time
STALE_BYTES = 32_768
MEMORY = Path("/dev/shm")  # a disk in memory: a sync costs nothing there


@dataclass(frozen=True, slots=True)
class Story:
    """What is recorded.

    Attributes:
        name: for people.
        tell: plays it on a post.
        files: that the folder has before; by seed.
        promised: before it begins.
        check: holds a disk against what was promised.
    """

    name: str
    tell: Callable[[Post], Coroutine[Any, Any, None]]
    files: Callable[[int], dict[str, bytes]] = lambda _: {}
    promised: Callable[[int], Promised] = lambda _: Promised()
    check: Callable[..., Coroutine[Any, Any, None]] = check


LIFE = Story("life", Post.live)
BRIEF = Story("brief", Post.pass_by, promised=lambda _: Promised(records=6))
OLD_AGE = Story("old_age", Post.grow_old, promised=lambda _: Promised(records=9))
DAMAGE = Story(
    "damage",
    Post.renew,
    lambda seed: {FILE_NAME: damage.damaged(seed)},
    damage.promised,
    damage.check_renewed,
)
UPGRADES = tuple(
    Story(
        f"upgrade_{name}",
        Post.upgrade,
        partial(lambda name, _: {FILE_NAME: content_of(name)}, name),
        partial(lambda name, _: of_older(content_of(name)), name),
    )
    for name in NAMES
)
STORIES = {story.name: story for story in (LIFE, BRIEF, OLD_AGE, DAMAGE, *UPGRADES)}


@dataclass(frozen=True, slots=True)
class Recording:
    """A story that was told once."""

    story: Story
    seed: int
    log: list[tuple[Any, ...]]

    @property
    def operations(self) -> int:
        """How many operations on files it has."""
        return sum(entry[0] != "mark" for entry in self.log)


def record(story: Story, seed: int, **weaker: Any) -> Recording:
    """Tell a story and note what it does to the disk.

    Args:
        story: which.
        seed: of its sizes and orders.
        weaker: for `Recorder`, to see that losses are found.
    """
    with folder() as place:
        images.lay_out(place, story.files(seed))
        recorder = Recorder(place, **weaker)
        with recorder, clock.runner() as runner:
            runner.run(story.tell(Post(place, seed, recorder.mark, story.promised(seed).records)))
    return Recording(story, seed, recorder.log)


def cut_everywhere(
    recording: Recording,
    *,
    drawn: int = 1,
    first: int = 0,
    count: int = 1 << 60,
    every: int = 1,
    killed_every: int = KILLED_EVERY,
) -> Counter[str]:
    """Check the disks of every boundary; return how many there were, by what became of the rest.

    Args:
        recording: of a story.
        drawn: images per boundary whose loose sectors are drawn.
        first: number of the first image.
        count: at most so many.
        every: take one of so many, another one for another seed.
        killed_every: of these the gateway is killed and started again before the power goes.

    Raises:
        BrokenPromiseError: says of which image, so that it can be made again.
    """
    made: Counter[str] = Counter()
    with folder() as place, clock.runner() as runner:
        for number, how, disk, promised in _images(recording, drawn):
            if number < first or number % every != recording.seed % every:
                continue
            if number >= first + count:
                break
            try:
                rng = _draws(recording, number)
                if number % killed_every == 19 % killed_every:
                    left, kept = _kill(runner, place / "disk", recording.seed, disk, promised)
                    files = left.cut("dropped", rng)
                else:
                    files, kept = disk.cut(how, rng), promised
                _start(runner, place, recording, number, files, kept)
            except (BrokenPromiseError, GatewayError) as error:
                raise BrokenPromiseError(
                    f"--repeat {recording.story.name}:{recording.seed}:{drawn}:{number} ({how}):"
                    f" {error}"
                ) from error
            made[how] += 1
    return made


def _images(recording: Recording, drawn: int) -> Iterator[tuple[int, str, images.Disk, Promised]]:
    """Yield number, kind, disk and promises of every image that a cut may leave."""
    disk = images.Disk(recording.story.files(recording.seed))
    promised = recording.story.promised(recording.seed)
    number, is_news = 0, True
    for entry in recording.log:
        if entry[0] == "mark":
            promised.say(*entry[1:])
            is_news = True
            continue
        is_news |= disk.do(entry)
        # What is safely there stays the same between syncs: that image is made once.
        for how in ("kept", *(["dropped"] if is_news else []), *["drawn"] * drawn):
            yield number, how, disk, promised
            number += 1
        is_news = False


def _draws(recording: Recording, number: int) -> random.Random:
    return random.Random(f"{recording.seed} {number}")


def _start(
    runner: asyncio.Runner,
    folder: Path,
    recording: Recording,
    number: int,
    files: dict[str, bytes],
    promised: Promised,
) -> None:
    """Start the gateway on one disk, on some of them after a second cut."""
    rng = _draws(recording, number)
    place = folder / "disk"
    if number % NESTED_EVERY == 7:
        files = _cut_again(runner, place, recording.seed, files, rng)
    place.mkdir()
    try:
        images.lay_out(place, files)
        if number % STALE_EVERY == 1 and FILE_NAME in files:
            (place / f"{FILE_NAME}-shm").write_bytes(rng.randbytes(STALE_BYTES))
        finish = number % FINISH_EVERY == 3
        runner.run(recording.story.check(place, promised, recording.seed, finish=finish))
    finally:
        shutil.rmtree(place)


def _kill(
    runner: asyncio.Runner, place: Path, seed: int, disk: images.Disk, promised: Promised
) -> tuple[images.Disk, Promised]:
    """Return disk and promises after the gateway was killed and started again.

    A kill leaves what was written, synced or not; the nodes send again what had arrived and no
    receipt covers, and have their receipts. The power goes when the last of them is sent.
    """
    disk, promised = copy.deepcopy(disk), promised.copy()
    place.mkdir()
    try:
        images.lay_out(place, disk.after_kill())
        recorder = Recorder(place)
        with recorder:
            runner.run(_take_again(place, seed, recorder, promised))
    finally:
        shutil.rmtree(place)
    receipts = [at for at, entry in enumerate(recorder.log) if entry[0] == "mark"]
    for entry in recorder.log[: receipts[-1] + 1] if receipts else recorder.log[:0]:
        if entry[0] == "mark":
            promised.say(*entry[1:])
        else:
            disk.do(entry)
    return disk, promised


async def _take_again(place: Path, seed: int, recorder: Recorder, promised: Promised) -> None:
    post = Post(place, seed, recorder.mark, promised.records)
    post.freed = copy.deepcopy(promised.receipted)
    await post.open(delivers=False)
    for node, highest in await post.read(_highest):
        if node in NODES:
            await post.take(node, highest)
    await post.close()


def _highest(connection: Any) -> list[tuple[str, int]]:
    question = "SELECT node, max(seq) FROM records GROUP BY node"
    found: list[tuple[str, int]] = connection.execute(question).fetchall()
    return found


def _cut_again(
    runner: asyncio.Runner, place: Path, seed: int, files: dict[str, bytes], rng: random.Random
) -> dict[str, bytes]:
    """Return a disk after a second cut, at any operation of the gateway's start on the first."""
    place.mkdir()
    try:
        images.lay_out(place, files)
        recorder = Recorder(place)
        with recorder:
            post = Post(place, seed, lambda *_: None)
            runner.run(post.open())
            runner.run(post.close())
    finally:
        shutil.rmtree(place)
    disk = images.Disk(files)
    for entry in recorder.log[: rng.randrange(len(recorder.log) + 1)]:
        disk.do(entry)
    return disk.cut("drawn", rng)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder on a disk in memory, where there is one."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="harmattan-crash-", dir=where) as name:
        yield Path(name).resolve()
