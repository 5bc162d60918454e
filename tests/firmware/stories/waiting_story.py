"""The five ways out of a wait with a deadline; prints which one it was."""
# ruff: noqa: T201, UP041

import asyncio
import gc
import sys

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY + "/firmware")

from node.waiting import within_ms  # noqa: E402


async def give(wait_ms, result):
    await asyncio.sleep_ms(wait_ms)
    if isinstance(result, Exception):
        raise result
    return result


async def patient():
    """Wait, be cancelled, and have work to do on the way out."""
    try:
        await within_ms(give(60_000, 0), 120_000)
    finally:
        for turn in range(3):
            print("way out", turn, await within_ms(give(2, "done"), 10_000))


async def main():
    print(await within_ms(give(1, "result"), 10_000))
    print(await within_ms(give(0, "at once"), 0))
    try:
        await within_ms(give(1, ValueError("raised")), 10_000)
    except ValueError as error:
        print(error)
    for wait_ms in (5, 0, -5):
        try:
            await within_ms(give(60_000, 0), wait_ms)
        except asyncio.TimeoutError:
            print("time ran out")
    task = asyncio.create_task(patient())
    await asyncio.sleep_ms(5)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(200):
        await within_ms(give(0, "soon"), 600_000)
    gc.collect()
    print("memory is given back", gc.mem_alloc() - before < 4_000)
    # Nothing is left behind that could cancel a later wait.
    await asyncio.sleep_ms(20)
    print(await within_ms(give(30, "later"), 10_000))


asyncio.run(main())
