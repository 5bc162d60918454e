"""Goal: a fault of the line gives right data or a named error in time, and the next turn works.

Method: each driver in a real MicroPython on its simulator's pseudo-terminal. A run without faults
counts the simulator's replies; then each fault of the vocabulary is struck at each of them, once a
run, many runs side by side. What the simulator meant to send is kept before the fault spoils it.
A wrong checksum must be noticed: an error, or one request more. Which errors name a fault, where
nothing may come of it, and the driver's own deadline from the fault to the error, are the family's
(`families.py`, `expected.py`). A run that breaks the contract while the machine kept simulator or
driver from running for longer than half of a driver's shortest wait proves nothing: it is repeated.
"""

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from node.limits import LINE_SLACK_MS
from simulators.faults import LINE_KINDS, OCCASIONS_MAX, Fault, FaultPlan
from tests.firmware.drivers.contract.expected import LASTING, limit_s
from tests.firmware.drivers.contract.families import FAMILIES
from tests.firmware.drivers.simulated import keep_replies

STORY = Path(__file__).parents[2] / "stories/contract_story.py"
REPOSITORY = Path(__file__).resolve().parents[4]
AT_ONCE = 8
HELD_S = 0.3  # how long a stall, another rate or a pulled plug lasts: shorter than a restart's wait
RUN_S_MAX = 100.0
STEP_S = 0.02
BYTES = 8  # of garbage, or lost
LATE_MS_MAX = LINE_SLACK_MS // 2
TRIES_MAX = 6


class Told(NamedTuple):
    """What came of a turn, and how long after the fault."""

    word: str
    text: str
    after_s: float


class TimedPlan(FaultPlan):
    """A plan that knows when it struck, the replies, and how many of them the first turn had."""

    struck_s = None
    replies = ()
    turn_replies = 0

    def next(self, **reply):
        striking = super().next(**reply)
        if striking and self.struck_s is None:
            self.struck_s = asyncio.get_running_loop().time()
        return striking


async def watch(late):
    """Keep in `late` by how many milliseconds this loop was held up at the worst."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + STEP_S
        await asyncio.sleep(STEP_S)
        late[0] = max(late[0], round(1000 * (loop.time() - due_s)))


async def run(micropython, folder, family, faults):
    """Let the driver take two turns; return what came of each, the plan, and the lateness in ms."""
    plan = TimedPlan(faults, seed=1)
    clock = asyncio.get_running_loop().time
    link = folder / "port"
    line = family.make(plan)
    line.link = link
    replies = plan.replies = keep_replies(line.device)
    settings = {**family.settings, "port": str(link)}
    name, _, _ = family.name.partition(":")
    fault_ms = round(1000 * max(f.seconds * (f.kind in LASTING) for f in faults))
    told, late = [], [0]
    async with asyncio.timeout(RUN_S_MAX), line:
        watching = asyncio.create_task(watch(late))
        await asyncio.sleep(0)  # it counts from now on, also while other runs are being started
        process = await asyncio.create_subprocess_exec(
            *(micropython, "-X", "heapsize=1m", STORY, REPOSITORY, folder, name),
            json.dumps([family.kind, settings, fault_ms]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        begun = 0
        try:
            async for raw in process.stdout:
                after_s = clock() - (plan.struck_s or 0.0)
                word, _, rest = raw.decode().strip().partition(" ")
                if word == "turn":
                    begun = plan.turn_replies = len(replies)
                elif word == "ready":
                    family.act(line)
                elif word == "data":
                    is_right = family.is_right(line, replies[begun:], rest.split())
                    text = "right" if is_right else f"wrong: {rest[:80]}"
                    told.append(Told(word, text, after_s))
                elif word == "late":
                    late[0] = max(late[0], int(rest))
                else:
                    told.append(Told(word, rest.replace(str(link), "PORT"), after_s))
            trace = (await process.stderr.read()).decode()
            assert await process.wait() == 0, trace
        finally:
            watching.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
    return told, plan, late[0]


async def try_fault(micropython, folder, family, fault, count):
    """Return what of the contract is broken with this fault, empty: nothing.

    `count` is how many replies a turn without faults has.
    """
    for _ in range(TRIES_MAX):
        told, plan, late_ms = await run(micropython, folder, family, [fault])
        wrong = judge(family, fault.kind, told, late_ms)
        if not wrong and fault.kind == "checksum":
            is_asked_again = plan.turn_replies > count
            wrong = judge_noticed(family, plan.replies[fault.at - 1], told[0], is_asked_again)
        if plan.struck != {fault.kind: 1}:
            wrong = f"it struck {plan.struck}"
        if not wrong or late_ms <= LATE_MS_MAX:
            return wrong
    return f"{wrong}; the machine was late by {late_ms} ms in each of {TRIES_MAX} runs"


def judge(family, kind, told, late_ms):
    """Return what of the contract is broken, empty: nothing."""
    if len(told) != 2:
        return f"{len(told)} turns"
    first, after = told
    wrong = judge_fault(family, kind, first, late_ms)
    if not wrong and after[:2] != ("data", "right"):
        wrong = f"next turn: {after.word} {after.text} (first: {first.word} {first.text})"
    return wrong


def judge_fault(family, kind, told, late_ms):
    """Return what is wrong with what came of the turn with the fault."""
    word, text, after_s = told
    if word == "data":
        return "" if text == "right" or kind in family.unseen else f"first turn: {text}"
    if word == "nothing":
        return "" if kind in family.lost else "first turn: nothing, and nobody was told why"
    if word != "error":
        return f"first turn: {word} {text}"
    name, _, text = text.partition(" ")
    if name not in family.errors[kind]:
        return f"first turn: {name} does not name it: {text}"
    if "PORT" not in text:
        return f"first turn: the error does not name the port: {text}"
    if after_s > limit_s(family.deadline_s(kind), late_ms):
        deadline_s = family.deadline_s(kind)
        return f"first turn: {name} {after_s:.2f} s after it, the deadline is {deadline_s:.2f} s"
    return ""


def judge_noticed(family, reply, told, is_asked_again):
    """Return what is wrong where the content of a reply is right and only its checksum is not.

    A driver that compares none gives right data here, too. Of a reader the check digit is content.
    """
    if family.kind != "spectrometer" or not family.is_checked(reply):
        return ""
    if told.word != "data" or is_asked_again:
        return ""
    return "first turn: the checksum was wrong, and nobody noticed"


async def count_replies(micropython, folder, family):
    """Return how many replies a turn without faults has; it gives right data."""
    for _ in range(TRIES_MAX):
        told, plan, late_ms = await run(
            micropython, folder, family, [Fault("mute", at=OCCASIONS_MAX)]
        )
        if late_ms <= LATE_MS_MAX:
            break
    assert [turn[:2] for turn in told] == [("data", "right")] * 2, told
    assert plan.occasions >= 2
    return plan.occasions // 2  # both turns are alike


async def break_everywhere(micropython, folder, family, kind):
    """Return what is broken with this fault at any reply of the first turn."""
    first = folder / "none"
    first.mkdir()
    count = await count_replies(micropython, first, family)
    steps = range(1, count + 1)
    if family.is_sampled:
        kinds = sorted(LINE_KINDS)
        steps = [at for at in steps if kinds[at % len(kinds)] == kind]
    gate, broken = asyncio.Semaphore(AT_ONCE), []

    async def one(at):
        async with gate:
            where = folder / str(at)
            where.mkdir()
            fault = Fault(kind, at=at, bytes=BYTES, seconds=HELD_S)
            if wrong := await try_fault(micropython, where, family, fault, count):
                broken.append(f"{kind} at reply {at} of {count}: {wrong}")

    async with asyncio.TaskGroup() as tasks:
        for at in steps:
            tasks.create_task(one(at))
    return broken


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", sorted(LINE_KINDS))
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_right_data_or_a_named_error_and_the_next_works(micropython_path, tmp_path, family, kind):
    broken = asyncio.run(break_everywhere(micropython_path, tmp_path, family, kind))
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    "kind, told, wrong",
    [
        ("drop", Told("nothing", "", 0.0), "nobody was told why"),
        ("mute", Told("nothing", "", 0.0), ""),
        ("drop", Told("error", "Misread a code on PORT", 0.1), ""),
        ("drop", Told("error", "Misread a code on PORT", 9.0), "the deadline is 2.00 s"),
        ("drop", Told("error", "Misread a code", 0.1), "does not name the port"),
        ("unplug", Told("error", "Misread a code on PORT", 0.1), "does not name it"),
        ("checksum", Told("data", "wrong: 4006381333930", 0.1), "wrong: 4006381333930"),
        ("stall", Told("hung", "", 45.0), "hung"),
    ],
)
def test_the_judge_holds_a_driver_to_what_is_expected(kind, told, wrong):
    scanner = next(family for family in FAMILIES if family.name == "scanner")
    found = judge(scanner, kind, [told, Told("data", "right", 0.0)], 0)
    assert wrong in found
    assert bool(found) == bool(wrong)


@pytest.mark.parametrize(
    "reply, word, is_asked_again, wrong",
    [
        (bytes(64), "data", False, "nobody noticed"),
        (bytes(64), "data", True, ""),
        (bytes(64), "error", False, ""),
        (bytes(8) + b"\0\0\x10\0" + bytes(52), "data", False, ""),  # "aborted" is not needed
    ],
)
def test_the_judge_wants_a_wrong_checksum_noticed(reply, word, is_asked_again, wrong):
    found = judge_noticed(FAMILIES[0], reply, Told(word, "", 0.0), is_asked_again)
    assert wrong in found
    assert bool(found) == bool(wrong)


def test_the_judge_wants_the_next_turn_to_work():
    told = Told("error", "PortLost serial port PORT went away", 0.0)
    assert judge(FAMILIES[0], "unplug", [told, told], 0).startswith("next turn: error PortLost")
