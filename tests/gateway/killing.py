"""Kills at random moments under load: ``python -m tests.gateway.killing --kills 1000 --seed 7``.

A real lane (MicroPython node, spectrometer, gateway with its mosquitto, headquarters) and CROWD
more nodes that all keep measuring. Between kills the wait is drawn from an exponential
distribution, the victim from gateway, broker and node, and whether the next kill may already come
while a killed gateway starts. The seed decides all of it; what it meets is up to the machine. Held
to, all along:

1. What a receipt has covered is in the journal of a gateway that was just killed.

And when everybody has calmed down:

2. Every record that a node ever called stored is committed once, byte for byte as it was sent.
3. Every sample has one verdict, and nothing waits for one.
4. Headquarters has the alert of every alarm, no other, and never two bodies under one name.

The last line is one JSON object; a broken promise ends the program with status 1 and says which.
"""
# ruff: noqa: T201 - a program for the terminal

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import wire
from simulators import crowd
from simulators.crowd import CODE, DARK, SAMPLE, STANDARD, CrowdNode
from simulators.events import Event
from simulators.lane import Lane, Stored, read_rows, stored
from simulators.node import NodeOffError
from simulators.post import SOURCE
from simulators.world import parse_sample

POST, LANE = "demo", "lane-1"
JOURNAL = Path("post/state/journal.sqlite")
HEADQUARTERS = Path("headquarters/headquarters.sqlite")
CROWD = 4
KEPT_MAX = 1_000_000  # here nothing is given up: every loss is the post's
RESEND_MS = 1_000
WAIT_MEAN_S = 0.4
RECORDS_PER_S = 20.0  # of each node of the crowd
SHARES = {DARK: 0.83, CODE: 0.12, SAMPLE: 0.05}
VICTIMS = {"gateway": 0.4, "broker": 0.3, "node": 0.3}
STARTING_SHARE = 0.25  # of the gateway's kills after which nobody waits until it is up
PRESS_S = (0.2, 1.5)  # between presses of the officer
UP_S_MAX = 60.0  # of a gateway on a busy machine
CALM_S_MAX = 120.0  # until everything is delivered, without progress
SHOW_S = 10.0  # between lines of progress
LOOK_S = 0.1  # between looks into files of other processes


class BrokenPromiseError(AssertionError):
    """Something is lost or doubled; the text says what."""


@dataclass(frozen=True, slots=True)
class Promised:
    """What nodes have measured: all of it is to be found at the end.

    Attributes:
        crowd: the simulated nodes.
        measured: by each of them: number -> what.
        stored: by the real node.
        kills: by victim.
    """

    crowd: list[CrowdNode]
    measured: dict[str, dict[int, str]]
    stored: list[Stored]
    kills: Counter[str]


class Killing:
    """One lane with its crowd, and what is done to it.

    Args:
        lane: entered, calibrated.
        rng: decides.
    """

    def __init__(self, lane: Lane, rng: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self._lane = lane
        self._rng = rng
        self._is_up = asyncio.Event()
        self._is_up.set()  # an entered lane is
        self._receipted: set[tuple[str, int]] = set()  # not yet looked for
        self._stored: list[Stored] = []  # by the real node
        self._measured: dict[str, dict[int, str]] = defaultdict(dict)  # by the crowd: seq -> what
        lane.events.listen(self._see)
        self.crowd = [
            CrowdNode(
                POST,
                f"crowd-{number}",
                lane.broker_port,
                make=crowd.make,
                journal_id=rng.randbytes(8),
                kept_max=KEPT_MAX,
                resend_ms=RESEND_MS,
                freed=self._freed,
            )
            for number in range(CROWD)
        ]

    def _see(self, event: Event) -> None:
        if event.source == SOURCE and event.name == "broker_connected":
            self._is_up.set()
        elif event.source == LANE and event.name == "stored":
            self._stored.append(stored(event))

    def _freed(self, node: CrowdNode, seqs: list[int]) -> None:
        self._receipted.update((node.name, seq) for seq in seqs)

    def measure(self, node: CrowdNode, what: str) -> None:
        """Let a node of the crowd measure something."""
        self._measured[node.name][node.add(what)] = what

    async def live(self, node: CrowdNode) -> None:
        """Let a node of the crowd measure all the time."""
        while True:
            await asyncio.sleep(self._rng.expovariate(RECORDS_PER_S))
            (what,) = self._rng.choices(list(SHARES), list(SHARES.values()))
            self.measure(node, what)

    def wait_s(self) -> float:
        """Draw the time until the next kill."""
        return self._rng.expovariate(1.0 / WAIT_MEAN_S)

    async def press(self) -> None:
        """Let an officer press the real node's button all the time."""
        while True:
            with contextlib.suppress(NodeOffError):
                await self._lane.node.press()
            await asyncio.sleep(self._rng.uniform(*PRESS_S))

    async def kill(self) -> None:
        """Kill one victim now, and start it again."""
        (victim,) = self._rng.choices(list(VICTIMS), list(VICTIMS.values()))
        if victim == "broker":
            pid_file = self._lane.post.directory / "state" / "mosquitto.pid"
            try:
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
            except (FileNotFoundError, ValueError, ProcessLookupError):
                return  # it does not run at this moment, or says not yet as what
        elif victim == "gateway":
            self._lane.post.kill_now()
            await self._lane.post.kill()
            self.look_for_receipted()
            self._is_up.clear()
            await self._lane.post.start()
            if self._rng.random() > STARTING_SHARE:
                await self.up()
        else:
            self._lane.node.kill_now()
            await self._lane.node.kill()
            await self._lane.node.start()
        self.kills[victim] += 1

    async def up(self) -> None:
        """Wait until the gateway has its broker."""
        async with asyncio.timeout(UP_S_MAX):
            await self._is_up.wait()

    def look_for_receipted(self) -> None:
        """Insist that what receipts covered is in the journal.

        Raises:
            BrokenPromiseError: it is not.
        """
        sought, self._receipted = self._receipted, set()
        if not sought:
            return
        wanted = {node.name: (2**60, 0) for node in self.crowd}
        for name, seq in sought:
            low, high = wanted[name]
            wanted[name] = (min(low, seq), max(high, seq))
        found: set[tuple[str, int]] = set()
        for name, (low, high) in wanted.items():
            query = (
                f"SELECT seq FROM records WHERE node = '{name}' AND seq BETWEEN {low} AND {high}"
            )
            rows = read_rows(self._lane.post.journal_path, query)
            found |= {(name, seq) for (seq,) in rows}
        if missing := sorted(sought - found):
            raise BrokenPromiseError(f"receipted and not committed: {missing[:10]}")

    # --------------------------------------------------------------------------------- afterwards

    async def calm(self) -> None:
        """Wait until everything is delivered and judged.

        Raises:
            BrokenPromiseError: nothing moves any more, and something is missing.
        """
        last, since_s = "", time.monotonic()
        while left := self._left():
            if left != last:
                last, since_s = left, time.monotonic()
            if time.monotonic() > since_s + CALM_S_MAX:
                raise BrokenPromiseError(f"still to come, and nothing moves: {left}")
            await asyncio.sleep(LOOK_S)

    def _left(self) -> str:
        """Return in words what is still to come, "" when there is nothing."""
        kept = sum(len(node.kept) for node in self.crowd)
        if kept:
            return f"{kept} records not receipted"
        path = self._lane.post.journal_path
        committed = set(
            read_rows(
                path, f"SELECT lower(hex(journal_id)), seq FROM records WHERE node = '{LANE}'"
            )
        )
        missing = [r for r in self._stored if (r.journal, r.seq) not in committed]
        if missing:
            return f"{len(missing)} readings of {LANE} not committed"
        ((pending,),) = read_rows(path, "SELECT count(*) FROM pending")
        if pending:
            return f"{pending} readings not judged"
        alerts = _alerts(self._lane.directory / HEADQUARTERS)
        waiting = len(set(_alarms(path)) - set(alerts))
        return f"{waiting} alerts not delivered" if waiting else ""

    def promised(self) -> Promised:
        """Return what was promised to whom."""
        return Promised(self.crowd, self._measured, self._stored, self.kills)


def check(folder: Path, promised: Promised) -> dict[str, Any]:
    """Insist on every promise; gateway and headquarters may run or not.

    Args:
        folder: of the lane.
        promised: by its parts.

    Returns:
        How much there was of what.

    Raises:
        BrokenPromiseError: one is broken.
    """
    path, headquarters = folder / JOURNAL, folder / HEADQUARTERS
    for node in promised.crowd:
        _check_node(path, node, promised.measured[node.name])
    of_lane = read_rows(
        path, f"SELECT lower(hex(journal_id)), seq FROM records WHERE node = '{LANE}'"
    )
    if missing := {(r.journal, r.seq) for r in promised.stored} - set(of_lane):
        raise BrokenPromiseError(f"stored by {LANE} and not committed: {sorted(missing)[:10]}")
    if len(of_lane) != len(set(of_lane)):
        raise BrokenPromiseError(f"records of {LANE} are committed twice")
    alarms, alerts = _alarms(path), _alerts(headquarters)
    samples = [
        f"{POST}.{node.name}.{node.journal_id.hex()}.{seq}"
        for node in promised.crowd
        for seq, what in promised.measured[node.name].items()
        if what == SAMPLE
    ]
    _same("samples of the crowd and their alarms", samples, [a for a in alarms if ".crowd-" in a])
    _same("alarms and headquarters' alerts", alarms, alerts)
    counts = dict(read_rows(headquarters, "SELECT kind, n FROM counts"))
    for wrong in ("conflict", "malformed"):
        if counts.get(wrong):
            raise BrokenPromiseError(f"headquarters counts {counts[wrong]} x {wrong}")
    return {
        "kills": dict(promised.kills),
        "records": sum(node.kept.next_seq - 1 for node in promised.crowd),
        "readings_of_the_real_node": len(promised.stored),
        "alerts": len(alerts),
        "alerts_delivered_again": counts.get("duplicate", 0),
    }


def _check_node(path: Path, node: CrowdNode, measured: dict[int, str]) -> None:
    """Insist that the journal has exactly what a node measured, as it was."""
    if node.kept.evicted_count:
        raise BrokenPromiseError(f"{node.name} gave up {node.kept.evicted_count} records")
    rows = read_rows(path, f"SELECT seq, frame FROM records WHERE node = '{node.name}'")
    _same(f"records of {node.name}", list(measured), [seq for seq, _ in rows])
    for seq, frame in rows:
        if frame and frame != wire.encode(crowd.make(node, seq, measured[seq])):
            raise BrokenPromiseError(f"{node.name}: record {seq} is not as it was sent")


def _alerts(headquarters: Path) -> list[str]:
    """Return the names of headquarters' alerts; the list that it gives has an end."""
    return [name for (name,) in read_rows(headquarters, "SELECT alert_id FROM alerts")]


def _alarms(path: Path) -> list[str]:
    """Return the names that the alerts of all alarms in a journal must have."""
    rows = read_rows(
        path,
        "SELECT r.node, lower(hex(r.journal_id)), r.seq FROM verdicts v"
        " JOIN records r ON r.id = v.record_id WHERE v.verdict = 'alarm'",
    )
    return [f"{POST}.{node}.{journal_id}.{seq}" for node, journal_id, seq in rows]


def _same(what: str, wanted: list[Any], found: list[Any]) -> None:
    """Insist that two lists have the same elements, each as often.

    Raises:
        BrokenPromiseError: they have not.
    """
    here, there = Counter(wanted), Counter(found)
    if here != there:
        missing, extra = list((here - there).elements()), list((there - here).elements())
        raise BrokenPromiseError(
            f"{what}: {len(missing)} missing {missing[:10]}, {len(extra)} too many {extra[:10]}"
        )


async def kill_often(folder: Path, kills: int, seed: int) -> Promised:
    """Kill so many victims under load and wait until everything is delivered.

    Returns:
        What is to be found in the folder now.

    Raises:
        BrokenPromiseError: something receipted is missing, or does not come; says which.
    """
    rng = random.Random(seed)
    names = tuple(f"crowd-{number}" for number in range(CROWD))
    async with Lane(folder, node=LANE, others=names) as lane:
        await lane.ready()
        if (await lane.calibrate())["status"]:
            raise RuntimeError("the lane could not be calibrated")
        killing = Killing(lane, rng)
        await _play(killing, lane, kills)
        killing.look_for_receipted()
        return killing.promised()


async def _play(killing: Killing, lane: Lane, kills: int) -> None:
    """Let everybody measure while kills are made; then let it calm down."""
    lane.line.present(parse_sample("ammonium_nitrate in ldpe", lane.substances))
    async with asyncio.TaskGroup() as group:
        lives = [group.create_task(node.run()) for node in killing.crowd]
        for node in killing.crowd:
            killing.measure(node, STANDARD)  # before any sample: else it is judged twice
        measuring = [group.create_task(killing.live(node)) for node in killing.crowd]
        measuring.append(group.create_task(killing.press()))
        shown_s = time.monotonic()
        while killing.kills.total() < kills:
            await asyncio.sleep(killing.wait_s())
            await killing.kill()
            if time.monotonic() > shown_s + SHOW_S:
                shown_s = time.monotonic()
                print(f"  {killing.kills.total()} of {kills} kills", file=sys.stderr, flush=True)
        for task in measuring:
            task.cancel()
        await killing.up()
        await killing.calm()
        for task in lives:
            task.cancel()


def _run(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Return the figures; the key `broken` is there when a promise is."""
    broken: list[BaseException] = []
    try:
        return {"seed": seed, **check(folder, asyncio.run(kill_often(folder, kills, seed)))}
    except* BrokenPromiseError as group:
        broken += group.exceptions
    return {"seed": seed, "broken": str(broken[0])}


def main() -> int:
    """Run the command; 1 for a broken promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.killing", description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"kill: {options.kills} kills, seed {seed}", file=sys.stderr, flush=True)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="harmattan-kill-") as folder:
        found = _run(Path(folder), options.kills, seed)
    print(json.dumps({**found, "taken_s": round(time.monotonic() - started_s)}), flush=True)
    return 1 if "broken" in found else 0


if __name__ == "__main__":
    sys.exit(main())
