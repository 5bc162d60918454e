"""Goal: a fault of the line gives right data or a named error in time, and the next turn works.

Method: each driver in a real MicroPython on its simulator's pseudo-terminal. A run without faults
counts the simulator's replies; then each fault of the vocabulary is struck at each of them, once a
run, many runs side by side. What the simulator meant to send is kept before the fault spoils it.
A run that breaks the contract while the machine kept simulator or driver from running for longer
than half of a driver's shortest wait proves nothing, and is repeated.
"""

import asyncio
import json
from pathlib import Path

import pytest

from node.limits import LINE_SLACK_MS
from simulators.faults import LINE_KINDS, OCCASIONS_MAX, Fault, FaultPlan
from tests.firmware.drivers.contract.families import FAMILIES

STORY = Path(__file__).parents[2] / "stories/contract_story.py"
REPOSITORY = Path(__file__).resolve().parents[4]
AT_ONCE = 8
HELD_S = 0.3  # how long a stall, another rate or a pulled plug lasts: shorter than a restart's wait
RUN_S_MAX = 100.0
STEP_S = 0.02
GOOD = [("data", "right")] * 2
BYTES = 8  # of garbage, or lost
LATE_MS_MAX = LINE_SLACK_MS // 2
TRIES_MAX = 6


def keep_replies(line):
    """Return the list into which the device's replies go, before any fault."""
    kept, collect = [], line.device.collect

    def listen(now_s):
        replies = collect(now_s)
        kept.extend(reply.data for reply in replies)
        return replies

    line.device.collect = listen
    return kept


async def watch(late):
    """Keep in `late` by how many milliseconds this loop was held up at the worst."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + STEP_S
        await asyncio.sleep(STEP_S)
        late[0] = max(late[0], round(1000 * (loop.time() - due_s)))


async def run(micropython, folder, family, faults):
    """Let the driver take two turns; return what came of each, the plan, and the lateness in ms."""
    plan = FaultPlan(faults, seed=1)
    link = folder / "port"
    line = family.make(plan)
    line.link = link
    replies = keep_replies(line)
    settings = {**family.settings, "port": str(link)}
    name, _, _ = family.name.partition(":")
    told, late = [], [0]
    async with asyncio.timeout(RUN_S_MAX), line:
        watching = asyncio.create_task(watch(late))
        await asyncio.sleep(0)  # it counts from now on, also while other runs are being started
        process = await asyncio.create_subprocess_exec(
            *(micropython, "-X", "heapsize=1m", STORY, REPOSITORY, folder, name),
            json.dumps([family.kind, settings]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        begun = 0
        try:
            async for raw in process.stdout:
                word, _, rest = raw.decode().strip().partition(" ")
                if word == "turn":
                    begun = len(replies)
                elif word == "ready":
                    family.act(line)
                elif word == "data":
                    is_right = family.is_right(line, replies[begun:], rest.split())
                    told.append((word, "right" if is_right else f"wrong: {rest[:80]}"))
                elif word == "late":
                    late[0] = max(late[0], int(rest))
                else:
                    told.append((word, rest.replace(str(link), "PORT")))
            trace = (await process.stderr.read()).decode()
            assert await process.wait() == 0, trace
        finally:
            watching.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
    return told, plan, late[0]


async def try_fault(micropython, folder, family, fault):
    """Return what of the contract is broken with this fault, empty: nothing."""
    for _ in range(TRIES_MAX):
        told, plan, late_ms = await run(micropython, folder, family, [fault])
        wrong = judge(family, fault.kind, told)
        if plan.struck != {fault.kind: 1}:
            wrong = f"it struck {plan.struck}"
        if not wrong or late_ms <= LATE_MS_MAX:
            return wrong
    return f"{wrong}; the machine was late by {late_ms} ms in each of {TRIES_MAX} runs"


def judge(family, kind, told):
    """Return what of the contract is broken, empty: nothing."""
    if len(told) != 2:
        return f"{len(told)} turns"
    (word, text), (next_word, next_text) = told
    is_seen = kind not in family.unseen
    if word not in ("data", "error", "nothing"):
        return f"first turn: {word} {text}"
    if is_seen and word == "data" and text != "right":
        return f"first turn: {text}"
    if word == "error" and "PORT" not in text:
        return f"first turn: the error does not name the port: {text}"
    if (next_word, next_text) != ("data", "right"):
        return f"next turn: {next_word} {next_text} (first: {word} {text})"
    return ""


async def break_everywhere(micropython, folder, family, kind):
    """Return what is broken with this fault at any reply of the first turn."""
    counting = Fault("mute", at=OCCASIONS_MAX)
    first = folder / "none"
    first.mkdir()
    for _ in range(TRIES_MAX):
        told, plan, late_ms = await run(micropython, first, family, [counting])
        if late_ms <= LATE_MS_MAX:
            break
    assert told == GOOD, told
    count = plan.occasions // 2  # both turns are alike
    assert count > 0
    gate, broken = asyncio.Semaphore(AT_ONCE), []

    async def one(at):
        async with gate:
            where = folder / str(at)
            where.mkdir()
            fault = Fault(kind, at=at, bytes=BYTES, seconds=HELD_S)
            if wrong := await try_fault(micropython, where, family, fault):
                broken.append(f"{kind} at reply {at} of {count}: {wrong}")

    async with asyncio.TaskGroup() as tasks:
        for at in range(1, count + 1):
            tasks.create_task(one(at))
    return broken


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", sorted(LINE_KINDS))
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_right_data_or_a_named_error_and_the_next_works(micropython_path, tmp_path, family, kind):
    broken = asyncio.run(break_everywhere(micropython_path, tmp_path, family, kind))
    assert not broken, "\n".join(broken)
