"""Keeps the gateway's tasks alive: the one place of the gateway with a broad `except`.

A task that raises is logged, counted and started again after a growing wait. Nothing else stops.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from gateway.errors import TransientError
from gateway.observe.counters import Counters
from gateway.observe.log import Log

WAIT_S_MIN = 0.2  # a crash that passes at once, such as a broker restart
WAIT_S_MAX = 30.0  # a fault that lasts must neither fill the log nor delay its end by minutes
CALM_S = 60.0  # a task that ran this long was well; its next fault starts from WAIT_S_MIN


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    counters: Counters,
    log: Log,
) -> None:
    """Run `run()` for ever, again after every end, until cancelled."""
    wait_s = WAIT_S_MIN
    loop = asyncio.get_running_loop()
    while True:
        started_s = loop.time()
        try:
            await run()
        except TransientError as error:
            log.warning("task_fault", task=name, text=str(error), again_s=round(wait_s, 1))
        except Exception as error:  # the supervisor; see the module's docstring
            counters.count("task_failed", name)
            log.exception(
                "task_failed",
                task=name,
                text=f"{type(error).__name__}: {error}",
                again_s=round(wait_s, 1),
            )
        if loop.time() - started_s > CALM_S:
            wait_s = WAIT_S_MIN
        await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
        wait_s = min(wait_s * 2, WAIT_S_MAX)
