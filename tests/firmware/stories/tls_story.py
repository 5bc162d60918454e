"""Connects once with the keys in a folder and prints what came of it; for real MicroPython."""
# ruff: noqa: T201

import asyncio
import sys

REPOSITORY, _, PORT, KEYS, NAME = sys.argv[1:6]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from node import credentials, mqtt  # noqa: E402
from node.errors import LinkError  # noqa: E402
from node.link import Link  # noqa: E402


async def main():
    link = None
    try:
        link = Link("127.0.0.1", int(PORT), credentials.load(KEYS, "lane1"), NAME)
        await link.open(mqtt.connect("post1.lane1", 30, "harmattan/v1/post1/lane1/status", b"gone"))
        print("connected")
        topics = ["harmattan/v1/post1/" + node + "/receipt" for node in ("lane2", "lane1")]
        await link.send(mqtt.subscribe(link.next_packet_id(), topics))
        await link.send(mqtt.PINGREQ)
        packet = await link.receive()
        while packet.kind != mqtt.PINGRESP:
            if packet.kind == mqtt.PUBLISH:
                print("heard", packet.topic)
            packet = await link.receive()
        if len(sys.argv) > 6:
            await link.publish(sys.argv[6], b"said", retain=True)
            print("acknowledged", (await link.receive()).kind == mqtt.PUBACK)
        await link.send(mqtt.DISCONNECT)
    except LinkError as error:
        print(error.__class__.__name__, error)
    finally:
        if link is not None:
            link.close()
            link.close()


asyncio.run(main())
