"""Tasks that fail in every way; prints how often each ran and what the supervisor noted."""
# ruff: noqa: T201, C901

import asyncio
import sys
import time

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from node import limits  # noqa: E402
from node.errors import LinkLost, PortMissing  # noqa: E402
from node.supervisor import Supervisor  # noqa: E402

runs = {}
log = []
failed = []
waits = []


async def hurry(supervisor, start):
    """End a real wait of a minute."""
    hurried = supervisor.add("hurried", start, 60_000, 90_000)
    while hurried.wait_ms == 60_000:
        await asyncio.sleep_ms(1)
    print("waits longer next time", hurried.wait_ms)
    hurried.well()
    print("after success", hurried.wait_ms)
    hurried.hurry()
    print("hurried", await supervisor.wait(hurried, 10_000), runs["hurried"])


async def fall_silent(supervisor):
    """A task without reports, one that reports, and one that waits to be started again."""
    waits_on = asyncio.Event()

    async def fail():
        if not waits_on.is_set():
            waits_on.set()
            raise LinkLost("broker is gone")

    async def loop():
        while True:
            supervisor.talking.report()
            await asyncio.sleep_ms(1)

    mute = supervisor.add("mute", asyncio.Event().wait, silence_ms_max=20)
    supervisor.talking = supervisor.add("talking", loop, silence_ms_max=20)
    failing = supervisor.add("failing", fail, 400, 400, 20)
    while not mute.is_silent():
        await asyncio.sleep_ms(5)
    print("silent", supervisor.silent())
    mute.report(60_000)
    print("reported", supervisor.silent())
    failing.hurry()
    await supervisor.wait(failing, 10_000)
    begun_ms = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), begun_ms) < 30:
        await asyncio.sleep_ms(1)
    print("ended", supervisor.silent(), supervisor.summary())


async def main():
    real_sleep_ms = asyncio.sleep_ms

    async def sleep_ms(wait_ms):
        """Note the back-off and do not wait for it."""
        if wait_ms > 10:
            waits.append(wait_ms)
        await real_sleep_ms(0)

    def tell(name, error, _traced):
        failed.append(name)
        if name == "mute" and failed.count("mute") == 1:
            raise MemoryError("telling failed as well")

    supervisor = Supervisor(log.append, tell, lambda: 128)

    def task(name, error, times):
        async def run():
            runs[name] = runs.get(name, 0) + 1
            await real_sleep_ms(1)
            if runs[name] <= times:
                raise error

        return run

    async def steady():
        runs["steady"] = runs.get("steady", 0) + 1
        try:
            await asyncio.Event().wait()
        finally:
            await real_sleep_ms(2)  # its way out takes a while
            runs["steady left"] = 1

    asyncio.sleep_ms = sleep_ms
    try:
        supervisor.add("steady", steady)
        entries = [
            supervisor.add("bug", task("bug", ZeroDivisionError("x" * 5000), 3), 100, 250),
            supervisor.add("memory", task("memory", MemoryError(), 1)),
            supervisor.add("port", task("port", PortMissing("port is gone"), 2)),
            supervisor.add("link", task("link", LinkLost("broker is gone"), 2)),
            supervisor.add("mute", task("mute", PortMissing("port is gone"), 1)),
        ]
        for entry in entries:
            assert await supervisor.wait(entry, 10_000), entry.name
    finally:
        asyncio.sleep_ms = real_sleep_ms
    for entry in entries:
        bounded = 0 < len(entry.last_failure) <= limits.TRACEBACK_CHARS_MAX
        print(entry.name, runs[entry.name], entry.failures, bounded)
    print("count", supervisor.failure_count)
    print("told", sorted(set(failed)), len(failed))
    print("port:", entries[2].last_failure)
    print("bug is traced:", [line[:17] for line in log if "task bug" in line])
    print("memory:", entries[1].last_failure.split()[0], "MemoryError" in entries[1].last_failure)
    print("bug waits", sorted([wait for wait in waits if wait in (100, 200, 250)])[:3])
    await hurry(supervisor, task("hurried", LinkLost("broker is gone"), 1))
    await fall_silent(Supervisor(log.append))
    await supervisor.stop()
    print("steady", runs["steady"], runs["steady left"])


asyncio.run(main())
