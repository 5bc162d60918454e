"""Goal: a task that publishes ends when it is told to, and what it failed of is not hidden.

Method: tasks that lose a cancellation, as `wait_for` of Python 3.11 does when its result comes at
the same moment, that lose their broker, and that fail.
"""

import asyncio

import aiomqtt
import pytest

from gateway.ending import end


async def deaf(times):
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            times -= 1
            if not times:
                raise


async def failing(error):
    try:
        await asyncio.sleep(60)
    finally:
        raise error


async def begun(life):
    task = asyncio.create_task(life)
    await asyncio.sleep(0)
    return task


def test_a_lost_cancellation_is_repeated():
    async def story():
        task = await begun(deaf(2))
        await asyncio.wait_for(end(task), 30)
        assert task.cancelled()
        await end(task)  # it has ended

    asyncio.run(story())


def test_only_the_broker_may_be_lost():
    async def story():
        await end(await begun(failing(aiomqtt.MqttError("gone"))))
        with pytest.raises(ZeroDivisionError):
            await end(await begun(failing(ZeroDivisionError())))

    asyncio.run(story())
