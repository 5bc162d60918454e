"""Ends tasks that publish."""

import asyncio
import contextlib
from typing import Any, Final

import aiomqtt

AGAIN_S: Final = 0.1  # between cancellations, the first of which may be lost


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel a task that publishes until it has ended; the broker may be gone meanwhile.

    The client waits with `wait_for`, which on Python 3.11 can lose a cancellation that comes with
    the broker's acknowledgement.

    Raises:
        Exception: what the task ended with, but for a lost broker.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_S)
    with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
        task.result()
