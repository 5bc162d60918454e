"""Keeps the gateway's tasks alive: the one place of the gateway with a broad `except`.

A task that raises is logged, counted and started again after a growing wait. Nothing else stops.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gateway.errors import GatewayError
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.pulse import BEAT_S_MAX

WAIT_S_MIN = 0.2  # a crash that passes at once, such as a broker restart
WAIT_S_MAX = 30.0  # a fault that lasts must neither fill the log nor delay its end by minutes
CALM_S = 60.0  # a task that ran this long was well; its next fault starts from WAIT_S_MIN
CANCEL_AGAIN_S = 6.0  # longer than the broker may take to stop, which must not be hurried

Result = TypeVar("Result")


async def supervise(
    name: str,
    run: Callable[[], Coroutine[Any, Any, None]],
    *,
    stop: asyncio.Event,
    counters: Counters,
    log: Log,
    wait_s_max: float | None = None,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Run `run()` again after every end, until cancelled.

    Args:
        name: of the task, for log and counters.
        run: what to keep alive.
        stop: set before we are cancelled. A part that is cancelled may end with another error, and
            must not be started again; `Task.cancelling` cannot tell, because a TaskGroup of Python
            3.11 that was left by a failing child leaves it above zero.
        counters: of the post.
        log: of the post.
        wait_s_max: longest wait before it is started again; None for WAIT_S_MAX.
        beat: called while it waits to be started again: it does not hang.
    """
    wait_s = WAIT_S_MIN
    wait_s_max = WAIT_S_MAX if wait_s_max is None else wait_s_max
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        started_s = loop.time()
        try:
            await asyncio.create_task(run(), name=f"{name}-run")  # one task, one life
        except GatewayError as error:
            counters.count("task_fault", name)
            log.warning("task_fault", task=name, text=str(error), again_s=round(wait_s, 1))
        except Exception as error:  # the supervisor; see the module's docstring
            counters.count("task_failed", name)
            log.exception(
                "task_failed",
                task=name,
                text=f"{type(error).__name__}: {error}",
                again_s=round(wait_s, 1),
            )
        if stop.is_set():
            return
        if loop.time() - started_s > CALM_S:
            wait_s = WAIT_S_MIN
        left_s = wait_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret
        while left_s > 0.0:
            beat()
            await asyncio.sleep(min(left_s, BEAT_S_MAX))
            left_s -= BEAT_S_MAX
        wait_s = min(wait_s * 2, wait_s_max)


async def attempt(
    name: str, work: Awaitable[Result], *, counters: Counters, log: Log
) -> Result | None:
    """Return what `work` gives; None when it fails, which is logged and counted."""
    try:
        return await work
    except Exception as error:  # the supervisor; see the module's docstring
        counters.count("task_failed", name)
        log.exception("task_failed", task=name, text=f"{type(error).__name__}: {error}")
        return None


def endure(name: str, work: Callable[[], None], *, counters: Counters, log: Log) -> bool:
    """Do `work`; False when it fails, which is logged and counted."""
    try:
        work()
    except Exception as error:  # the supervisor; see the module's docstring
        counters.count("task_failed", name)
        log.exception("task_failed", task=name, text=f"{type(error).__name__}: {error}")
        return False
    return True


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until all have ended; cancel again those that missed it."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
