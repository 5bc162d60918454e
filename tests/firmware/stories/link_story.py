"""The link against peers of the test; prints what each attempt ended with. Limits are shortened."""
# ruff: noqa: T201

import asyncio
import sys
import time

REPOSITORY, _, PORT = sys.argv[1:4]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from node import limits, mqtt  # noqa: E402
from node.errors import LinkError  # noqa: E402
from node.link import Link  # noqa: E402

limits.CONNECT_MS_MAX = 400
limits.PING_MS = 100
limits.SILENCE_MS_MAX = 300
limits.SLOW_MS_PER_KB = 0
limits.WRITE_MS_MAX = 300


async def converse(link):
    """Connect, then ping and publish until the link ends."""
    await link.open(mqtt.connect("node", 30, "t", b"gone"))
    print("connected")

    async def listen():
        while True:
            packet = await link.receive()
            print("heard", packet.kind)

    listener = asyncio.create_task(listen())
    try:
        while not listener.done():
            await link.ping()
            if len(sys.argv) > 4:
                await link.publish("t", bytes(60_000))
            await asyncio.sleep_ms(20)
        await listener
    finally:
        listener.cancel()


async def main():
    link = Link("127.0.0.1", int(PORT))
    begun_ms = time.ticks_ms()
    try:
        await converse(link)
    except LinkError as error:
        print(error.__class__.__name__, error)
    finally:
        link.close()
        link.close()
    # A lone node must not wait for the operating system's own, much longer, deadlines.
    assert time.ticks_diff(time.ticks_ms(), begun_ms) < 20_000


asyncio.run(main())
