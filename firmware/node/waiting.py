"""Waiting with a deadline, in a way that leaves the way out of a cancelled task alone.

MicroPython's `asyncio.wait_for` cancels its caller a second time when it is cancelled itself, so
the first wait in a `finally:` is cut short. Here that wait may be "laser off".
"""

import asyncio

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Awaitable, T


async def within_ms(awaitable: "Awaitable[T]", wait_ms: int) -> "T":
    """Await something for at most `wait_ms`.

    Control leaves the `await` in five ways: the result is there; it raised; time ran out; the task
    was cancelled by somebody else; both of the last at once, which counts as time ran out, so who
    cancels must look whether the task ended (the supervisor does).

    Args:
        awaitable: coroutine; it runs in the caller's task.
        wait_ms: milliseconds; 0 or less gives it one turn of the loop.

    Raises:
        asyncio.TimeoutError: time ran out.
    """
    task = asyncio.current_task()
    state = [False, False]  # finished, timed out

    async def watch() -> None:
        await asyncio.sleep_ms(max(wait_ms, 0))
        if not state[0]:
            state[1] = True
            task.cancel()  # type: ignore[union-attr]  # a coroutine runs within a task

    timer = asyncio.create_task(watch())
    try:
        return await awaitable
    except asyncio.CancelledError:
        if state[1]:
            raise asyncio.TimeoutError
        raise
    finally:
        state[0] = True
        timer.cancel()
